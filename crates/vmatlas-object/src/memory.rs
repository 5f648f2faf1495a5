//! Reading the memory of a process, wherever it is.

/// The memory of a process: a live one, or as much of it as a core dump holds.
pub trait Memory {
    /// Reads from `address` on. Gives how many bytes were read, which is less than asked for where
    /// the memory ends or may not be read, and 0 where nothing is there.
    fn read(&self, address: u64, bytes: &mut [u8]) -> usize;
}

impl<M: Memory + ?Sized> Memory for &M {
    fn read(&self, address: u64, bytes: &mut [u8]) -> usize {
        (**self).read(address, bytes)
    }
}

impl dyn Memory + '_ {
    /// Exactly `N` bytes, if they can all be read.
    pub fn array<const N: usize>(&self, address: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        (self.read(address, &mut bytes) == N).then_some(bytes)
    }
}
