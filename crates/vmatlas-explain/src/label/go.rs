//! Go's heap and its runtime's metadata (src/runtime/malloc.go and mpagealloc.go, on 64 bits;
//! checked on Go 1.19, 1.22, 1.26 and 1.27).
//!
//! The heap grows in arenas of 64 MiB from preferred addresses, since 1.26 from random ones. A reserved array has a pointer to
//! each arena's metadata, and page summaries are reserved for the whole address space.

use super::peek::{Peek, words};
use super::runs::{Part, Run, runs, runs_within};
use super::{Confidence, ImageFacts, Label, Labeller, others};
use crate::crash::Machine;
use vmatlas_maps::AddressRange;

/// `heapArenaBytes`.
const ARENA: u64 = 64 << 20;
/// The heap begins at `0x00c0 << 32`, or at a multiple of 1 TiB above if that is in use.
const HINT: u64 = 0xc0 << 32;
const HINT_ARM: u64 = 0x40 << 32;
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

/// The heap begins at a random multiple of an arena since this version (`randomizeHeapBase`).
const FIRST_RANDOM: (u32, u32) = (1, 26);
/// Other memory is this near to a random address, in bytes, only by chance.
const DISTANCE: u64 = 4 << 30;
/// The runtime's data has less at a time in most programs, in bytes; the kernel may have merged a
/// larger part with memory of the program.
const MOST_MERGED: u64 = 2 << 20;
/// Upper limit of the variables of a program that are read; the file is not trusted.
const MAX_DATA: u64 = 64 << 20;

/// The facts about Go in a process.
pub(super) struct Go<'a> {
    /// Whether there are no other libraries, so that nothing but Go code maps memory.
    is_alone: bool,
    /// Whether the program itself may map memory.
    may_map: bool,
    version: Option<(u32, u32)>,
    mheap: Option<Mheap<'a>>,
    /// The variables of a program without symbols, in which `runtime.mheap_` is.
    data: Option<Mheap<'a>>,
    has_heap: bool,
}

/// Whether the process contains Go.
pub(super) fn is_here(labeller: &Labeller<'_>) -> bool {
    image(labeller).is_some()
}

fn image<'a>(labeller: &Labeller<'a>) -> Option<&'a ImageFacts> {
    let is_go = |(name, _): &(String, AddressRange)| {
        matches!(name.as_str(), ".gopclntab" | ".go.buildinfo")
    };
    labeller.facts.images.iter().find(|image| image.sections.iter().any(is_go))
}

/// The first two numbers of a version.
fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

impl<'a> Go<'a> {
    pub(super) fn of(labeller: &Labeller<'a>) -> Option<Go<'a>> {
        let image = image(labeller)?;
        let images = &labeller.facts.images;
        let peek = Peek::of(labeller);
        let mheap = images.iter().find_map(|image| image.symbol("runtime.mheap_"));
        let mheap = peek.zip(mheap).map(|(peek, mheap)| Mheap::read(peek, mheap));
        let data = peek.filter(|_| mheap.is_none()).map(|peek| Mheap::of_data(peek, image));
        Some(Go {
            is_alone: images.len() == 1,
            may_map: image.go_calls_mmap != Some(false),
            version: image.version("Go").and_then(major_minor),
            mheap,
            data,
            has_heap: false,
        })
    }

    /// Labels the heap. Thread stacks are inside it.
    pub(super) fn recognise_heap(&mut self, labeller: &mut Labeller<'_>) {
        let arrays = self.mheap.as_ref().or(self.data.as_ref());
        let hinted = hinted(labeller);
        for heap in hinted {
            let because = "Go is mapped, and asks for these addresses for its heap";
            heap_at(labeller, arrays, heap, (Confidence::Likely, because));
            self.has_heap = true;
        }
        if self.version.is_some_and(|version| version < FIRST_RANDOM) {
            return;
        }
        for heap in whole_arenas(labeller) {
            let likely = self.random_heap(labeller, heap);
            if likely.is_some() || arrays.is_some_and(|arrays| arrays.has_arena(heap.start)) {
                let because = "Go is mapped, and this is as large as arenas of its heap";
                let guess = (Confidence::Guess, because);
                heap_at(labeller, arrays, heap, likely.unwrap_or(guess));
                self.has_heap = true;
            }
        }
    }

    /// The evidence that whole arenas at a random address are the heap; `None` if there is none.
    fn random_heap(
        &self,
        labeller: &Labeller<'_>,
        heap: AddressRange,
    ) -> Option<(Confidence, &'static str)> {
        let mut pointers = labeller.facts.threads.iter().filter_map(|t| t.stack_pointer);
        let is_known = self.version.is_some();
        if is_known && pointers.any(|pointer| heap.contains(pointer)) {
            let because = "it consists of arenas of 64 MiB as the heap of this version of Go, and \
                           a thread's stack is in it";
            return Some((Confidence::Likely, because));
        }
        if !is_lonely(labeller, heap) {
            return None;
        }
        let program = labeller.files.first().copied();
        let is_own = |path: &[u8], _: &str| Some(path) == program;
        let other = others::other_than(labeller, "Go").map(str::to_owned);
        let other = other.or_else(|| others::unknown_code(labeller, is_own));
        Some(match is_known && (self.is_alone || other.is_none()) {
            true => (
                Confidence::Likely,
                "it consists of arenas of 64 MiB at a random address, as the heap of this version \
                 of Go",
            ),
            false => (
                Confidence::Guess,
                "it consists of arenas of 64 MiB at a random address, as the heap of Go since 1.26",
            ),
        })
    }

    /// Labels the metadata outside of the heap, by its sizes.
    pub(super) fn recognise_metadata(&self, labeller: &mut Labeller<'_>) {
        if let Some(mheap) = self.mheap.as_ref().filter(|_| self.is_alone && self.has_heap) {
            match self.may_map {
                true => pointed_to(labeller, mheap, Confidence::Likely, MOST_MERGED),
                false => pointed_to(labeller, mheap, Confidence::Certain, u64::MAX),
            }
        }
        for run in runs(labeller) {
            let reserved = run.parts().iter().filter(|part| part.perms.none());
            let is_summaries = reserved.map(|part| part.range.size()).sum::<u64>() >= SUMMARIES;
            if self.is_alone && !self.has_heap {
                let because = "this is a Go program without libraries; where its heap is was not \
                               found";
                let what = "memory of the Go runtime: its heap, or data beside it";
                label_runtime(labeller, run.range(), Confidence::Guess, what, because);
                continue;
            }
            if self.is_alone && !self.may_map {
                let because = "this is a Go program without libraries that maps no memory itself, \
                               and not its heap";
                label_metadata(labeller, run.range(), Confidence::Likely, because);
                continue;
            }
            if is_summaries {
                let because = "Go is mapped, and its summaries of pages have this size";
                for part in summaries(&run) {
                    label_metadata(labeller, part, Confidence::Likely, because);
                }
            }
            if self.is_alone {
                let because = "this is a Go program without libraries, and not its heap";
                let what = "data of the Go runtime beside the heap, or memory that the program \
                            mapped itself";
                label_runtime(labeller, run.range(), Confidence::Guess, what, because);
            }
        }
    }

    /// Labels memory that the runtime points to and the C library does not know.
    pub(super) fn recognise_pointed_to(&self, labeller: &mut Labeller<'_>) {
        // Otherwise it may be the heap.
        if let Some(mheap) = self.mheap.as_ref().filter(|_| self.has_heap) {
            pointed_to(labeller, mheap, Confidence::Likely, MOST_MERGED);
        }
    }
}

fn label_metadata(
    labeller: &mut Labeller<'_>,
    range: AddressRange,
    confidence: Confidence,
    because: &str,
) {
    label_runtime(labeller, range, confidence, "data of the Go runtime beside the heap", because);
}

fn label_runtime(
    labeller: &mut Labeller<'_>,
    range: AddressRange,
    confidence: Confidence,
    what: &str,
    because: &str,
) {
    let label = |text: String| Label::new(METADATA, confidence, text, because);
    let reserved = label(format!("reserved for {what}"));
    labeller.label_reservation(range, &label(what.to_owned()), &reserved);
}

/// Runs that begin at one of the heap's preferred addresses.
fn hinted(labeller: &Labeller<'_>) -> Vec<AddressRange> {
    let hint = if labeller.facts.machine == Some(Machine::AArch64) { HINT_ARM } else { HINT };
    let mut found = Vec::new();
    for index in 0..HINTS {
        let start = hint.saturating_add(index * HINT_STEP);
        let hint = AddressRange::new(start, start.saturating_add(HINT_STEP));
        let first = runs_within(labeller, hint).first().map(Run::range);
        found.extend(first.filter(|range| range.start == start));
    }
    found
}

/// Runs that consist of whole arenas, and are used.
fn whole_arenas(labeller: &Labeller<'_>) -> Vec<AddressRange> {
    let mut all = runs(labeller);
    all.retain(|run| {
        let range = run.range();
        let is_data = |part: &Part| part.perms.read() && part.perms.write();
        range.start.is_multiple_of(ARENA)
            && range.end.is_multiple_of(ARENA)
            && run.parts().iter().any(is_data)
            && !run.parts().iter().any(|part| part.perms.execute())
    });
    all.iter().map(Run::range).collect()
}

/// Whether a range is far from all other memory, as a random address mostly is.
fn is_lonely(labeller: &Labeller<'_>, range: AddressRange) -> bool {
    let row = |index: Option<usize>| index.and_then(|index| labeller.maps.get(index));
    let before = row(labeller.maps.find(range.start).before).map_or(0, |row| row.range.end);
    let last = labeller.maps.find(range.end.saturating_sub(1));
    let after = row(last.after).map_or(u64::MAX, |row| row.range.start);
    range.start.saturating_sub(before) >= DISTANCE && after.saturating_sub(range.end) >= DISTANCE
}

fn heap_at(
    labeller: &mut Labeller<'_>,
    mheap: Option<&Mheap<'_>>,
    heap: AddressRange,
    otherwise: (Confidence, &'static str),
) {
    let is_known = mheap.is_some_and(|mheap| mheap.has_arena(heap.start));
    let proof = (Confidence::Certain, "the array of arenas of runtime.mheap_ has it");
    let (confidence, because) = if is_known { proof } else { otherwise };
    // Reservations are whole arenas.
    let end = heap.end - heap.end % ARENA;
    let heap = AddressRange::new(heap.start, if end > heap.start { end } else { heap.end });
    let used = Label::new(HEAP, confidence, "heap of Go, with stacks of goroutines", because);
    let reserved = Label::new(HEAP, confidence, "reserved for the heap of Go", because);
    labeller.label_reservation(heap, &used, &reserved);
}

/// The reserved parts of a run with summaries, and the parts inside the reservations that are in
/// use. The kernel merges other memory with the run.
fn summaries(run: &Run) -> Vec<AddressRange> {
    let parts = run.parts();
    let is_reserved = |index: Option<usize>| {
        index.and_then(|index| parts.get(index)).is_some_and(|part| part.perms.none())
    };
    let is_part = |index: usize, part: &Part| {
        let is_inside = is_reserved(index.checked_sub(1)) && is_reserved(index.checked_add(1));
        part.perms.none() || is_inside && part.range.size() <= MOST_MERGED
    };
    let parts = parts.iter().enumerate().filter(|(index, part)| is_part(*index, part));
    parts.map(|(_, part)| part.range).collect()
}

/// Labels the memory that `runtime.mheap_` points to, in parts of at most `most` bytes.
fn pointed_to(labeller: &mut Labeller<'_>, mheap: &Mheap<'_>, confidence: Confidence, most: u64) {
    for pointer in &mheap.words {
        let at = AddressRange::new(*pointer, pointer.saturating_add(1));
        let Some(row) = labeller.row_at(*pointer).filter(super::runs::is_anonymous) else {
            continue;
        };
        if labeller.is_labelled(at) {
            continue;
        }
        let parts = labeller.unlabelled(row.range);
        let part = parts.into_iter().find(|part| part.contains(*pointer));
        if let Some(part) = part.filter(|part| part.size() <= most) {
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

    /// The variables of a program: those that may point to the array of arenas.
    fn of_data(peek: Peek<'a>, image: &ImageFacts) -> Mheap<'a> {
        let data = image.segments.iter().filter(|(_, _, writable)| *writable);
        let words = data.flat_map(|(range, _, _)| {
            let size = usize::try_from(range.size().min(MAX_DATA)).unwrap_or(0);
            let bytes = peek.bytes(range.start, size);
            words(&bytes).filter(|word| *word != 0 && word % 4096 == 0).collect::<Vec<u64>>()
        });
        let mut words: Vec<u64> = words.collect();
        words.sort_unstable();
        words.dedup();
        Mheap { peek, words }
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
