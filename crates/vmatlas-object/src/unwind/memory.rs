//! The memory a walk reads.

/// Where a walk gets the target's memory from.
pub trait ReadMemory {
    /// A walk begins at this stack pointer: what was read for another may have changed since.
    fn begin(&mut self, stack_pointer: u64);

    /// The eight bytes of the stack at this address.
    fn word(&mut self, address: u64) -> Option<u64>;

    /// Reads code; false if not all of it can be read.
    fn code(&mut self, address: u64, bytes: &mut [u8]) -> bool;

    /// The four bytes of the stack at this address.
    fn half_word(&mut self, address: u64) -> Option<u32> {
        // The word that ends with it may be the last one there is.
        match self.word(address) {
            Some(word) => Some(word as u32),
            None => self.word(address.checked_sub(4)?).map(|word| (word >> 32) as u32),
        }
    }
}

/// A copy of the innermost bytes of a stack, as samples of perf have it.
pub struct StackCopy<'a> {
    /// The address of the first byte: the stack pointer.
    pub start: u64,
    /// The bytes from there on.
    pub bytes: &'a [u8],
    /// Where code can be read, which changes less than stacks do; without it some frames that
    /// have no table are not found.
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
