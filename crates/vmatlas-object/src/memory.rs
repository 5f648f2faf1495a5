//! Access to the memory of a process, live or dumped.

use crate::budget::Budget;
use std::sync::atomic::{AtomicU32, Ordering};

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

/// Memory that cannot be read any more when the time limit of a [`Budget`] has passed.
#[derive(Debug)]
pub struct TimedMemory<M> {
    memory: M,
    budget: Budget,
    reads: AtomicU32,
}

impl<M: Memory> TimedMemory<M> {
    /// The reads of one clock: reading it takes as long as reading a word of memory.
    const READS: u32 = 32;

    /// Memory that is read within a budget.
    pub fn new(memory: M, budget: Budget) -> TimedMemory<M> {
        TimedMemory { memory, budget, reads: AtomicU32::new(0) }
    }
}

impl<M: Memory> Memory for TimedMemory<M> {
    fn read(&self, address: u64, bytes: &mut [u8]) -> usize {
        let is_due = self.reads.fetch_add(1, Ordering::Relaxed).is_multiple_of(Self::READS);
        if self.budget.is_exceeded() || is_due && !self.budget.has_time() {
            return 0;
        }
        self.memory.read(address, bytes)
    }
}
