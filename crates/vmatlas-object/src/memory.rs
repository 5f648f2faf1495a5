//! Access to the memory of a process, live or dumped.

use crate::budget::Budget;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

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

/// Memory whose words come from whole pages, each of which is read once: the structures of an
/// allocator are many words in few pages, and each read of a process is a system call.
#[derive(Debug)]
pub struct CachedMemory<M> {
    memory: M,
    /// The readable bytes of pages, by address.
    pages: Mutex<HashMap<u64, Page>>,
}

/// The unit of reading, in bytes; no machine has smaller pages.
const PAGE: u64 = 4096;

/// The readable bytes of a page.
#[derive(Debug)]
enum Page {
    /// So many zeros: memory that was reserved and not used.
    Zeros(usize),
    Bytes(Box<[u8]>),
}

impl<M: Memory> CachedMemory<M> {
    /// Maximum number of kept pages: 16 MiB.
    const MAX_PAGES: usize = 4096;

    /// Memory of which read pages are kept. They do not change any more, whatever the process does.
    pub fn new(memory: M) -> CachedMemory<M> {
        CachedMemory { memory, pages: Mutex::default() }
    }

    /// Copies bytes of one page, which are `at` bytes behind its begin; returns their number.
    fn read_page(&self, page: u64, at: usize, bytes: &mut [u8]) -> usize {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if pages.len() >= Self::MAX_PAGES && !pages.contains_key(&page) {
            pages.clear();
        }
        let whole = pages.entry(page).or_insert_with(|| {
            let mut whole = [0; PAGE as usize];
            let length = self.memory.read(page, &mut whole);
            let whole = &whole[..length];
            if whole.iter().all(|byte| *byte == 0) {
                Page::Zeros(length)
            } else {
                Page::Bytes(whole.into())
            }
        });
        match whole {
            Page::Zeros(readable) => {
                let length = readable.saturating_sub(at).min(bytes.len());
                bytes[..length].fill(0);
                length
            }
            Page::Bytes(whole) => {
                let readable = whole.get(at..).unwrap_or_default();
                let length = readable.len().min(bytes.len());
                bytes[..length].copy_from_slice(&readable[..length]);
                length
            }
        }
    }
}

impl<M: Memory> Memory for CachedMemory<M> {
    fn read(&self, address: u64, bytes: &mut [u8]) -> usize {
        if bytes.len() as u64 >= PAGE {
            return self.memory.read(address, bytes);
        }
        let at = (address % PAGE) as usize;
        let first = bytes.len().min(PAGE as usize - at);
        let (in_first, in_second) = bytes.split_at_mut(first);
        let length = self.read_page(address - at as u64, at, in_first);
        let second = address.checked_add(first as u64);
        match second.filter(|_| length == first && !in_second.is_empty()) {
            Some(second) => length + self.read_page(second, 0, in_second),
            None => length,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Readable from 0x1000 to 0x3004; a byte is the low byte of its address.
    struct Counted(AtomicU32);

    impl Memory for Counted {
        fn read(&self, address: u64, bytes: &mut [u8]) -> usize {
            self.0.fetch_add(1, Ordering::Relaxed);
            let length = 0x3004_u64.saturating_sub(address).min(bytes.len() as u64) as usize;
            if address < 0x1000 {
                return 0;
            }
            bytes[..length].iter_mut().zip(address..).for_each(|(byte, at)| *byte = at as u8);
            length
        }
    }

    #[test]
    fn pages_are_read_once() {
        let memory = CachedMemory::new(Counted(AtomicU32::new(0)));
        let check = |address: u64, length: usize, expected: usize, reads: u32| {
            let mut bytes = vec![0; length];
            assert_eq!(memory.read(address, &mut bytes), expected, "{address:x} {length}");
            let direct = (address..).take(expected).map(|at| at as u8);
            assert!(bytes.iter().copied().take(expected).eq(direct), "{address:x} {length}");
            assert_eq!(memory.memory.0.load(Ordering::Relaxed), reads, "{address:x} {length}");
        };
        check(0x1800, 8, 8, 1);
        check(0x1ff8, 8, 8, 1);
        check(0x1ffc, 8, 8, 2);
        check(0x2ff0, 4095, 20, 3);
        check(0x3000, 8, 4, 3);
        check(0x3004, 8, 0, 3);
        check(0x10, 8, 0, 4);
        check(0xff8, 16, 0, 4);
        check(0x1000, 0x1000, 0x1000, 5);
        check(u64::MAX - 3, 8, 0, 6);
    }
}
