//! The threads that glibc knows, from its lists of stacks (nptl/descr.h and nptl/allocatestack.c,
//! glibc 2.12 to 2.42).
//!
//! A `struct pthread` begins with the thread's control block, which points to itself twice; the
//! offsets of its `list` and `tid` have not changed. The lists begin in the data of ld.so (of
//! libpthread before 2.34, of the program if it is static).

use super::Labeller;
use crate::crash::Machine;
use std::collections::HashSet;
use vmatlas_maps::AddressRange;
use vmatlas_object::Memory;

/// The contents of a `struct pthread`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pthread {
    /// Its address: the thread pointer of its thread.
    pub(super) address: u64,
    /// The thread's id; 0 if it has ended, -1 if it was also joined, and its stack is kept for a new
    /// thread.
    pub(super) tid: u32,
    /// The stack with its guard; `None` for the first thread, whose stack the kernel mapped.
    pub(super) stack: Option<AddressRange>,
    /// The size of the guard in bytes.
    pub(super) guard: u64,
}

/// Field offsets on one machine.
struct Layout {
    word: u64,
    /// Offset of the control block's second pointer to itself.
    own: u64,
    list: u64,
    tid: u64,
    /// Lowest offset of the stack's description.
    stack_from: usize,
    /// Size of the bytes read, which limits that offset.
    size: usize,
}

const X86_64: Layout =
    Layout { word: 8, own: 0x10, list: 0x2c0, tid: 0x2d0, stack_from: 0x600, size: 0x900 };
const X86: Layout =
    Layout { word: 4, own: 0x8, list: 0x60, tid: 0x68, stack_from: 0x200, size: 0x480 };

/// The lists begin within this many bytes of a segment.
const MAX_DATA: u64 = 256 << 10;
/// More threads than the default kernel limit on most machines.
const MAX_THREADS: usize = 1 << 17;

/// Upper limit of a stack in bytes; other words may look like a larger one.
const LARGEST_STACK: u64 = 64 << 30;

/// All threads, by address; empty without memory, or on machines with an unknown layout.
pub(super) fn all(labeller: &Labeller<'_>) -> Vec<Pthread> {
    let Some(memory) = labeller.memory else { return Vec::new() };
    let layout = match labeller.facts.machine {
        Some(Machine::X86_64) => X86_64,
        Some(Machine::X86) => X86,
        _ => return Vec::new(),
    };
    let reader = Reader { memory, layout };
    let mut found = HashSet::new();
    for thread in &labeller.facts.threads {
        found.extend(thread.thread_pointer.filter(|&at| reader.is_pthread(at)));
    }
    for data in data_of_lists(labeller) {
        reader.lists(data, &mut found);
    }
    let mut all: Vec<Pthread> = found.into_iter().filter_map(|at| reader.pthread(at)).collect();
    all.sort_unstable_by_key(|pthread| pthread.address);
    all
}

/// The data segments in which the lists may begin.
fn data_of_lists(labeller: &Labeller<'_>) -> Vec<AddressRange> {
    let images = &labeller.facts.images;
    let bounded =
        |start: u64, end: u64| AddressRange::new(start, end.min(start.saturating_add(MAX_DATA)));
    let writable = |name: &[u8], only: bool| {
        let named = images.iter().filter(move |image| {
            !only || super::words::file_name(&image.name).as_bytes().starts_with(name)
        });
        let segments = named.flat_map(|image| &image.segments).filter(|(_, _, writable)| *writable);
        segments.map(|(range, _, _)| bounded(range.start, range.end)).collect::<Vec<_>>()
    };
    if let Some(start) = images.iter().find_map(|image| image.symbol("_rtld_global")) {
        let end = start.saturating_add(16 << 10);
        return [vec![AddressRange::new(start, end)], writable(b"libpthread", true)].concat();
    }
    // A static program has no libraries.
    if images.len() == 1 { writable(b"", false) } else { Vec::new() }
}

struct Reader<'a> {
    memory: &'a dyn Memory,
    layout: Layout,
}

impl Reader<'_> {
    fn word(&self, address: u64) -> Option<u64> {
        match self.layout.word {
            8 => self.memory.array(address).map(u64::from_le_bytes),
            _ => self.memory.array(address).map(|bytes| u32::from_le_bytes(bytes).into()),
        }
    }

    fn is_pthread(&self, at: u64) -> bool {
        let own = || self.word(at.checked_add(self.layout.own)?);
        at.is_multiple_of(16) && self.word(at) == Some(at) && own() == Some(at)
    }

    /// Adds the threads of all lists that begin in a range.
    fn lists(&self, data: AddressRange, found: &mut HashSet<u64>) {
        let mut bytes = vec![0; usize::try_from(data.size()).unwrap_or(0)];
        let length = self.memory.read(data.start, &mut bytes);
        bytes.truncate(length);
        let word = self.layout.word as usize;
        for (index, chunk) in bytes.chunks_exact(word).enumerate() {
            let next = super::little_endian(chunk);
            let head = data.start.saturating_add((index * word) as u64);
            // An empty list points to itself.
            if next == 0 || next == head {
                continue;
            }
            let Some(first) = next.checked_sub(self.layout.list) else { continue };
            let before = || self.word(next.checked_add(self.layout.word)?);
            if first.is_multiple_of(16) && before() == Some(head) && self.is_pthread(first) {
                self.follow(head, next, found);
            }
        }
    }

    fn follow(&self, head: u64, mut next: u64, found: &mut HashSet<u64>) {
        while next != head && found.len() < MAX_THREADS {
            let Some(at) = next.checked_sub(self.layout.list) else { return };
            // Stops at a known thread: the list is circular or changes during the walk.
            if !self.is_pthread(at) || !found.insert(at) {
                return;
            }
            let Some(after) = self.word(next) else { return };
            next = after;
        }
    }

    fn pthread(&self, address: u64) -> Option<Pthread> {
        let mut bytes = vec![0; self.layout.size];
        let length = self.memory.read(address, &mut bytes);
        bytes.truncate(length);
        let tid = bytes.get(self.layout.tid as usize..)?.first_chunk()?;
        let tid = u32::from_le_bytes(*tid);
        let found = self.stack(address, &bytes);
        let (stack, guard) = found.map_or((None, 0), |(stack, guard)| (Some(stack), guard));
        Some(Pthread { address, tid, stack, guard })
    }

    /// `stackblock`, `stackblock_size` and `guardsize`: the first three words that describe a stack
    /// that contains the structure itself.
    fn stack(&self, address: u64, bytes: &[u8]) -> Option<(AddressRange, u64)> {
        let word = self.layout.word as usize;
        let value = |at: usize| {
            let bytes = bytes.get(at..at.checked_add(word)?)?;
            Some(super::little_endian(bytes))
        };
        (self.layout.stack_from..bytes.len()).step_by(word).find_map(|at| {
            let (start, size, guard) = (value(at)?, value(at + word)?, value(at + 2 * word)?);
            let stack = AddressRange::new(start, start.checked_add(size)?);
            let fits = start != 0
                && size <= LARGEST_STACK
                && size % 16 == 0
                && stack.contains(address)
                && stack.end - address < 64 << 20
                && guard < address - start
                && guard % 4096 == 0;
            fits.then_some((stack, guard))
        })
    }
}
