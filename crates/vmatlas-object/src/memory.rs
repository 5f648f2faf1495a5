//! Access to the memory of a process, live or dumped.

/// The memory of a process: a live process, or the part that a core dump contains.
pub trait Memory {
    /// Reads memory at `address` into `bytes` and returns the number of bytes read. The number is
    /// smaller than `bytes.len()` if the readable memory ends first, and 0 if nothing is readable
    /// at `address`.
    fn read(&self, address: u64, bytes: &mut [u8]) -> usize;
}

impl<M: Memory + ?Sized> Memory for &M {
    fn read(&self, address: u64, bytes: &mut [u8]) -> usize {
        (**self).read(address, bytes)
    }
}

impl dyn Memory + '_ {
    /// Reads exactly `N` bytes; `None` if any of them cannot be read.
    pub fn array<const N: usize>(&self, address: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        (self.read(address, &mut bytes) == N).then_some(bytes)
    }
}
