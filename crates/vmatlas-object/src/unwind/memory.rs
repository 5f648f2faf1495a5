//! The memory that a walk reads.

/// Reads the target's memory for a walk.
pub trait ReadMemory {
    /// Starts a walk at this stack pointer. Memory read for an earlier walk may have changed.
    fn begin(&mut self, stack_pointer: u64);

    /// Reads eight bytes of the stack at this address.
    fn word(&mut self, address: u64) -> Option<u64>;

    /// Reads code; returns false if any byte cannot be read.
    fn code(&mut self, address: u64, bytes: &mut [u8]) -> bool;

    /// Reads four bytes of the stack at this address.
    fn half_word(&mut self, address: u64) -> Option<u32> {
        // The eight bytes that end with the half word may be the last readable ones.
        match self.word(address) {
            Some(word) => Some(word as u32),
            None => self.word(address.checked_sub(4)?).map(|word| (word >> 32) as u32),
        }
    }
}

/// A copy of the innermost bytes of a stack, as perf samples contain it.
pub struct StackCopy<'a> {
    /// The address of the first byte: the stack pointer.
    pub start: u64,
    /// The bytes from `start` on.
    pub bytes: &'a [u8],
    /// Reads code, which changes less often than stacks. Without it, some frames without a table
    /// are not found.
    pub code: Option<&'a mut dyn ReadMemory>,
}

impl ReadMemory for StackCopy<'_> {
    fn begin(&mut self, _: u64) {}

    #[inline]
    fn word(&mut self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.start)?).ok()?;
        let bytes = self.bytes.get(at..)?.first_chunk()?;
        Some(u64::from_le_bytes(*bytes))
    }

    fn code(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        self.code.as_mut().is_some_and(|memory| memory.code(address, bytes))
    }
}
