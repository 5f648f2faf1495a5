//! Access to the memory of a process, live or dumped.

use crate::budget::Budget;
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
    const READS: u32 = 256;

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

/// Memory whose words come from whole pages, of which the last ones are kept: the structures of an
/// allocator are many words in few pages, and each read of a process is a system call.
#[derive(Debug)]
pub struct CachedMemory<M> {
    memory: M,
    /// Each page has one place, by its address.
    places: Mutex<Vec<Place>>,
}

/// The unit of reading, in bytes; no machine has smaller pages.
const PAGE: u64 = 4096;

/// The page that is kept in one place.
#[derive(Clone, Debug, Default)]
struct Place {
    address: u64,
    /// The number of readable bytes; `None` if no page is kept here.
    readable: Option<usize>,
    are_zeros: bool,
    /// Room for a page, if one with other bytes than zeros was ever kept here. It is used again,
    /// because the kernel takes as long to give us a page as to read one.
    bytes: Vec<u8>,
}

impl<M: Memory> CachedMemory<M> {
    /// A power of two. These pages take 2 MiB.
    const PLACES: usize = 512;

    /// Memory of which the last pages that were read are kept: these do not change, whatever the
    /// process does.
    pub fn new(memory: M) -> CachedMemory<M> {
        CachedMemory { memory, places: Mutex::default() }
    }

    /// The place of a page. Structures are often aligned to more than a page, so all bits of the
    /// address count.
    fn place(page: u64) -> usize {
        let mixed = (page / PAGE).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> (64 - Self::PLACES.ilog2())) as usize
    }

    /// Copies bytes of one page, which are `at` bytes behind its begin; returns their number.
    fn read_page(&self, page: u64, at: usize, bytes: &mut [u8]) -> usize {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.is_empty() {
            places.resize(Self::PLACES, Place::default());
        }
        let place = &mut places[Self::place(page)];
        let readable = match place.readable.filter(|_| place.address == page) {
            Some(readable) => readable,
            None => {
                let mut whole = [0; PAGE as usize];
                let readable = self.memory.read(page, &mut whole);
                place.are_zeros = are_zeros(&whole[..readable]);
                if !place.are_zeros {
                    place.bytes.clear();
                    place.bytes.extend_from_slice(&whole[..readable]);
                }
                (place.address, place.readable) = (page, Some(readable));
                readable
            }
        };
        let length = readable.saturating_sub(at).min(bytes.len());
        match place.are_zeros {
            true => bytes[..length].fill(0),
            false => {
                let kept = place.bytes.get(at..).unwrap_or_default();
                bytes[..length].copy_from_slice(&kept[..length]);
            }
        }
        length
    }
}

/// Whether all bytes are 0. Looks at many at a time, as processors can.
fn are_zeros(bytes: &[u8]) -> bool {
    let is_zero = |piece: &[u8]| piece.iter().fold(0, |all, byte| all | byte) == 0;
    bytes.chunks(256).all(is_zero)
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
