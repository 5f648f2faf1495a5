//! Go's heap and its runtime's metadata (src/runtime/malloc.go and mpagealloc.go, on 64 bits;
//! checked on Go 1.19).
//!
//! The heap grows in arenas of 64 MiB from preferred addresses. A reserved array has a pointer to
//! each arena's metadata, and page summaries are reserved for the whole address space.

use super::peek::{Peek, words};
use super::runs::{Run, runs, runs_within};
use super::{Confidence, Label, Labeller};
use vmatlas_maps::AddressRange;

/// `heapArenaBytes`.
const ARENA: u64 = 64 << 20;
/// The heap begins at `0x00c0 << 32`, or at a multiple of 1 TiB above if that is in use.
const HINT: u64 = 0xc0 << 32;
const HINT_STEP: u64 = 1 << 40;
const HINTS: u64 = 0x80;
/// The lowest address that the arena array covers (`arenaBaseOffset`): addresses on x86-64 are
/// signed.
const BASES: [u64; 2] = [0xffff_8000_0000_0000, 0];
/// `runtime.mheap_` is somewhat larger.
const MAX_HEAP: usize = 88 << 10;
/// The page allocator's summaries are reserved for all addresses. No other reservation beside a
/// small heap is this large.
const SUMMARIES: u64 = 500 << 20;

const HEAP: &str = "Go heap";
const METADATA: &str = "Go runtime";

/// The facts about Go in a process.
pub(super) struct Go<'a> {
    /// Whether there are no other libraries, so that nothing else maps memory.
    is_alone: bool,
    mheap: Option<Mheap<'a>>,
}

/// Whether the process contains Go.
pub(super) fn is_here(labeller: &Labeller<'_>) -> bool {
    let is_go = |(name, _): &(String, AddressRange)| {
        matches!(name.as_str(), ".gopclntab" | ".go.buildinfo")
    };
    labeller.facts.images.iter().any(|image| image.sections.iter().any(is_go))
}

impl<'a> Go<'a> {
    pub(super) fn of(labeller: &Labeller<'a>) -> Option<Go<'a>> {
        if !is_here(labeller) {
            return None;
        }
        let images = &labeller.facts.images;
        let mheap = images.iter().find_map(|image| image.symbol("runtime.mheap_"));
        let mheap = Peek::of(labeller).zip(mheap).map(|(peek, mheap)| Mheap::read(peek, mheap));
        Some(Go { is_alone: images.len() == 1, mheap })
    }

    /// Labels the heap. Thread stacks are inside it.
    pub(super) fn recognise_heap(&self, labeller: &mut Labeller<'_>) {
        for heap in hinted(labeller) {
            heap_at(labeller, self.mheap.as_ref(), heap);
        }
    }

    /// Labels the metadata outside of the heap, by its sizes.
    pub(super) fn recognise_metadata(&self, labeller: &mut Labeller<'_>) {
        if let Some(mheap) = self.mheap.as_ref().filter(|_| self.is_alone) {
            pointed_to(labeller, mheap, Confidence::Certain);
        }
        for run in runs(labeller) {
            let reserved = run.parts().iter().filter(|part| part.perms.none());
            let is_summaries = reserved.map(|part| part.range.size()).sum::<u64>() >= SUMMARIES;
            if self.is_alone || is_summaries {
                let because = match self.is_alone {
                    true => "this is a Go program without libraries, and not its heap",
                    false => "Go is mapped, and its summaries of pages have this size",
                };
                label_metadata(labeller, run.range(), Confidence::Likely, because);
            }
        }
    }

    /// Labels memory that the runtime points to and the C library does not know.
    pub(super) fn recognise_pointed_to(&self, labeller: &mut Labeller<'_>) {
        if let Some(mheap) = &self.mheap {
            pointed_to(labeller, mheap, Confidence::Likely);
        }
    }
}

fn label_metadata(
    labeller: &mut Labeller<'_>,
    range: AddressRange,
    confidence: Confidence,
    because: &str,
) {
    let label = |text| Label::new(METADATA, confidence, text, because);
    let used = label("data of the Go runtime beside the heap");
    let reserved = label("reserved for data of the Go runtime beside the heap");
    labeller.label_reservation(range, &used, &reserved);
}

/// Runs that begin at one of the heap's preferred addresses.
fn hinted(labeller: &Labeller<'_>) -> Vec<AddressRange> {
    let mut found = Vec::new();
    for index in 0..HINTS {
        let start = HINT.saturating_add(index * HINT_STEP);
        let hint = AddressRange::new(start, start.saturating_add(HINT_STEP));
        let first = runs_within(labeller, hint).first().map(Run::range);
        found.extend(first.filter(|range| range.start == start));
    }
    found
}

fn heap_at(labeller: &mut Labeller<'_>, mheap: Option<&Mheap<'_>>, heap: AddressRange) {
    let is_known = mheap.is_some_and(|mheap| mheap.has_arena(heap.start));
    let (confidence, because) = match is_known {
        true => (Confidence::Certain, "the array of arenas of runtime.mheap_ has it"),
        false => (Confidence::Likely, "Go is mapped, and asks for these addresses for its heap"),
    };
    // Reservations are whole arenas.
    let end = heap.end - heap.end % ARENA;
    let heap = AddressRange::new(heap.start, if end > heap.start { end } else { heap.end });
    let used = Label::new(HEAP, confidence, "heap of Go, with stacks of goroutines", because);
    let reserved = Label::new(HEAP, confidence, "reserved for the heap of Go", because);
    labeller.label_reservation(heap, &used, &reserved);
}

/// Labels the memory that `runtime.mheap_` points to.
fn pointed_to(labeller: &mut Labeller<'_>, mheap: &Mheap<'_>, confidence: Confidence) {
    for pointer in &mheap.words {
        let at = AddressRange::new(*pointer, pointer.saturating_add(1));
        let Some(row) = labeller.row_at(*pointer).filter(super::runs::is_anonymous) else {
            continue;
        };
        if labeller.is_labelled(at) {
            continue;
        }
        let parts = labeller.unlabelled(row.range);
        if let Some(part) = parts.into_iter().find(|part| part.contains(*pointer)) {
            let because = "runtime.mheap_ points into it";
            label_metadata(labeller, part, confidence, because);
        }
    }
}

/// `runtime.mheap_`.
pub(super) struct Mheap<'a> {
    peek: Peek<'a>,
    words: Vec<u64>,
}

impl<'a> Mheap<'a> {
    fn read(peek: Peek<'a>, address: u64) -> Mheap<'a> {
        Mheap { peek, words: words(&peek.bytes(address, MAX_HEAP)).collect() }
    }

    /// Whether an array it points to has an arena at that address, and none before it.
    fn has_arena(&self, arena: u64) -> bool {
        BASES.iter().any(|base| {
            let index = arena.wrapping_sub(*base) / ARENA;
            self.words.iter().any(|&array| {
                let entry = index.checked_mul(8).and_then(|offset| array.checked_add(offset));
                let Some(entry) = entry.filter(|_| array != 0 && array % 4096 == 0) else {
                    return false;
                };
                let pair = entry.checked_sub(8).and_then(|at| self.peek.words(at));
                // The metadata of an arena is page-aligned.
                pair.is_some_and(|[before, own]| before == 0 && own != 0 && own % 4096 == 0)
            })
        })
    }
}
