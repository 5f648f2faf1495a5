//! glibc malloc heaps by their shape, where memory cannot be read.

use super::glibc::{has_glibc, label_reserve};
use super::runs::is_anonymous;
use super::words::size;
use super::{
    Confidence, Label, Labeller, allocators, equal_stacks, is_unnamed_memory, jvm, others, threads,
};
use vmatlas_maps::{AddressRange, Mapping};

/// Usual upper limit of a guard in bytes.
const MAX_GUARD: u64 = 64 << 10;

/// Accessible bytes of a new heap of an arena (`HEAP_MIN_SIZE`, and a page for the first block).
const FIRST_SIZE: u64 = 132 << 10;

/// Labels heaps by alignment and size: rows that begin at a possible heap start and, with the
/// reserve after them, end at one. Full heaps have no reserve, and are merged with the next heap or
/// directly adjacent to one.
pub(super) fn recognise(labeller: &mut Labeller<'_>, heap_size: u64) {
    let known = has_glibc(labeller) && allocators::other_malloc(labeller).is_none();
    // Parts of their heaps and tables may have this size and alignment, too: Go's heap since 1.26,
    // and one in 16 nodes of HotSpot's metaspace.
    let reserves = |name: &&str| matches!(*name, "Go" | "HotSpot" | "V8" | ".NET");
    let has_other = others::known(labeller).iter().any(reserves);
    // The Java heap has rows of any size, and its end is seldom known.
    let is_jvm = jvm::is_here(labeller);
    let mut found: Vec<(AddressRange, AddressRange)> = Vec::new();
    for stretch in stretches(labeller, heap_size) {
        let mut above: Option<u64> = None;
        for (index, row) in stretch.iter().enumerate().rev() {
            let range = row.range;
            let aligned = range.start.is_multiple_of(heap_size);
            // The begin of a heap says whether it is one.
            if !aligned || !is_unnamed_memory(row) || labeller.is_read(range) {
                continue;
            }
            let Some(end) = range.end.checked_next_multiple_of(heap_size) else { continue };
            let has_reserve = stretch
                .get(index + 1)
                .is_some_and(|next| next.perms.none() && is_reserve(next.range, end));
            let is_one = end.checked_sub(range.start) == Some(heap_size);
            let lower = |count| index.checked_sub(count).and_then(|at: usize| stretch.get(at));
            let is_above_one = lower(1).zip(lower(2)).is_some_and(|(reserve, heap)| {
                let size = range.start.checked_sub(heap.range.start);
                reserve.perms.none() && size == Some(heap_size)
            });
            let is_full = end == range.end && (above == Some(end) || is_above_one);
            if has_reserve && (is_one || !is_jvm) || is_full && !is_jvm {
                above = Some(range.start);
                found.push((range, AddressRange::new(range.end, end)));
            }
        }
    }
    // The heaps of other runtimes, and memory that programs reserve themselves, look the same.
    let is_one = |(row, reserve): &&(AddressRange, AddressRange)| {
        reserve.size() > 0 && reserve.end - row.start == heap_size
    };
    let several = found.iter().filter(is_one).count() > 1;
    let has_threads = has_threads(labeller);
    for (row, reserve) in found {
        let one = reserve.size() > 0 && reserve.end - row.start == heap_size;
        let because = match one {
            true => format!(
                "with the reserve behind it, it has the size of a heap, {}, and is aligned to that",
                size(heap_size)
            ),
            false => format!(
                "it is aligned to the size of heaps, {}, and has that of several",
                size(heap_size)
            ),
        };
        let fits = has_threads && (several || row.size() == FIRST_SIZE);
        let is_likely = one && known && !has_other && fits;
        let confidence = if is_likely { Confidence::Likely } else { Confidence::Guess };
        let text = match one {
            true => format!(
                "glibc malloc: arena of a thread, {} of {} accessible",
                size(row.size()),
                size(heap_size)
            ),
            false => format!("glibc malloc: full heaps of arenas of threads, {}", size(row.size())),
        };
        labeller.label(row, &Label::new("glibc arena", confidence, text, because.as_str()));
        let text = "glibc malloc: reserve of the arena of a thread";
        let label = Label::new("glibc arena reserve", confidence, text, because);
        label_reserve(labeller, reserve, &label);
    }
}

/// Whether the process may have several threads: as far as they are known, else by their stacks. One
/// thread has the main arena only.
fn has_threads(labeller: &Labeller<'_>) -> bool {
    match labeller.facts.threads.len() {
        0 => equal_stacks::above_guards(labeller)
            .iter()
            .any(|(_, range)| range.size() >= threads::SMALLEST_STACK),
        threads => threads > 1,
    }
}

/// Whether a row without permissions extends to the end of a heap; a guard may be merged with it.
fn is_reserve(row: AddressRange, end: u64) -> bool {
    row.end.checked_sub(end).is_some_and(|excess| excess <= MAX_GUARD)
}

/// Adjacent rows of private unnamed memory, without their labelled parts. If a row without
/// permissions is neither a guard nor the reserve of a heap, all memory adjacent to it is excluded:
/// it belongs to a runtime's reservation, whose parts may look like heaps. Below a reservation
/// larger than a heap there may be heaps, because reservations are placed next to each other.
fn stretches<'a>(labeller: &Labeller<'a>, heap_size: u64) -> Vec<Vec<Mapping<'a>>> {
    let mut stretches: Vec<Vec<Mapping<'a>>> = Vec::new();
    let mut last: Option<AddressRange> = None;
    let mut is_left_out = false;
    let unlabelled = |row: Mapping<'a>| {
        let free = labeller.unlabelled(row.range).into_iter().next()?;
        (free.start == row.range.start).then_some(Mapping { range: free, ..row })
    };
    for row in labeller.maps.iter().filter(is_anonymous).filter_map(unlabelled) {
        let below = last.replace(row.range).filter(|below| below.end == row.range.start);
        if below.is_none() {
            // A row by itself has no reserve, and no heap beside it.
            match stretches.last_mut() {
                Some(last) if last.len() < 2 => last.clear(),
                _ => stretches.push(Vec::new()),
            }
            is_left_out = false;
        }
        let fits = !row.perms.none()
            || row.range.size() <= MAX_GUARD
            || below.is_some_and(|below| {
                let end = below.end.checked_next_multiple_of(heap_size);
                end.is_some_and(|end| {
                    below.start <= end.saturating_sub(heap_size) && is_reserve(row.range, end)
                })
            });
        let Some(stretch) = stretches.last_mut() else { continue };
        if !fits && row.range.size() <= heap_size {
            stretch.clear();
        }
        is_left_out |= !fits;
        if !is_left_out {
            stretch.push(row);
        }
    }
    stretches
}
