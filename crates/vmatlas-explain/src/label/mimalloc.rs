//! mimalloc: segments of 32 MiB (4 MiB before version 2), aligned to their size.
//!
//! A segment's header has a cookie: its address combined with a random number that is also in the
//! main heap's data (`_mi_ptr_cookie`, src/segment.c and src/init.c, versions 1.0 to 2.1).

use super::allocators::{MIMALLOC, free_rows};
use super::peek::Peek;
use super::runs::is_anonymous;
use super::words::file_name;
use super::{Confidence, ImageFacts, Label, Labeller};
use std::collections::HashSet;
use vmatlas_maps::AddressRange;

const SEGMENT: u64 = 32 << 20;
const OLD_SEGMENT: u64 = 4 << 20;
/// Number of bytes of a segment that contain the cookie.
const HEADER: usize = 512;
/// Upper limit of mimalloc's data in bytes.
const MAX_DATA: u64 = 1 << 20;

/// The smallest slice of an arena of version 3, and the smallest arena, in bytes.
const SLICE: u64 = 64 << 10;
const SMALLEST_ARENA: u64 = 32 << 20;
/// Number of addresses that are tried as the starts of arenas, and for each row.
const MAX_STARTS: usize = 1 << 14;
const MAX_STARTS_OF_ROW: usize = 1 << 10;

/// Labels the arenas of version 3, which begin with their own address and size, a pointer into the
/// data of the library that contains the allocator, and their number of slices (`mi_arena_t`; seen
/// in version 3.0 to 3.2, linked into programs and libraries that do not export its functions).
pub(super) fn recognise_arenas(labeller: &mut Labeller<'_>) {
    let Some(peek) = Peek::of(labeller) else { return };
    let rows = labeller.maps.iter().filter(is_anonymous);
    let starts = rows.filter(|row| row.perms.read() && row.perms.write()).flat_map(|row| {
        // The kernel merges adjacent arenas.
        let first = row.range.start.checked_next_multiple_of(SLICE).unwrap_or(u64::MAX);
        let at_start = Some(first).filter(|first| *first < row.range.end);
        let next = first.checked_add(1).and_then(|at| at.checked_next_multiple_of(SMALLEST_ARENA));
        let aligned = (next.unwrap_or(u64::MAX)..row.range.end).step_by(SMALLEST_ARENA as usize);
        at_start.into_iter().chain(aligned).take(MAX_STARTS_OF_ROW)
    });
    for start in starts.take(MAX_STARTS).collect::<Vec<_>>() {
        let Some((arena, file)) = arena(labeller, peek, start) else { continue };
        let text = format!("mimalloc: arena of the allocator in {file}");
        let because = format!(
            "it begins with its own address and size and a pointer to the data of {file}, as the \
             arenas of mimalloc 3"
        );
        let used = Label::new("mimalloc", Confidence::Likely, text.as_str(), because.as_str());
        let reserved = Label { text: format!("reserved: {text}"), ..used.clone() };
        labeller.label_reservation(arena, &used, &reserved);
    }
}

/// The arena at an address, and the file whose data it points to.
fn arena(labeller: &Labeller<'_>, peek: Peek<'_>, start: u64) -> Option<(AddressRange, String)> {
    let [own, size, rest @ ..] = peek.words::<10>(start)?;
    let end = start.checked_add(size)?;
    let fits = own == start && size >= SMALLEST_ARENA && size.is_multiple_of(SLICE);
    if !fits || !rest.contains(&(size / SLICE)) {
        return None;
    }
    // All of it is one reservation.
    let mut at = start;
    while at < end {
        at = labeller.row_at(at).filter(is_anonymous)?.range.end;
    }
    let images = labeller.facts.images.iter();
    let image = images.clone().find(|image| {
        let data = image.segments.iter().filter(|(_, _, writable)| *writable);
        data.into_iter().any(|(range, ..)| rest.iter().any(|word| range.contains(*word)))
    })?;
    Some((AddressRange::new(start, end), file_name(&image.name)))
}

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    let Some(file) = labeller.file_with(&MIMALLOC) else { return };
    let image = labeller.image_with(&MIMALLOC);
    let numbers = image.map(|image| numbers(labeller, image)).unwrap_or_default();
    // Version 3 has arenas, and no segments.
    let is_newer = |version: &str| version.starts_with("3.");
    let is_newer = image
        .and_then(|image| image.version("mimalloc"))
        .map_or_else(|| file.contains(".so.3") || file.contains("-3."), is_newer);
    for range in free_rows(labeller) {
        if !range.start.is_multiple_of(OLD_SEGMENT) {
            continue;
        }
        if has_cookie(labeller, range.start, &numbers) {
            let because = format!(
                "the header at {:#x} has a cookie made from the random number of the main heap",
                range.start
            );
            label(labeller, range, Confidence::Certain, &because);
        } else if !is_newer && range.start.is_multiple_of(SEGMENT) && range.size() >= OLD_SEGMENT {
            // The program, other allocators and the kernel align memory so, too.
            let because =
                format!("it is aligned to 32 MiB, as the segments of mimalloc, which is in {file}");
            label(labeller, range, Confidence::Guess, &because);
        }
    }
}

fn label(labeller: &mut Labeller<'_>, range: AddressRange, confidence: Confidence, because: &str) {
    let text = "mimalloc: segments, memory for blocks";
    labeller.label(range, &Label::new("mimalloc", confidence, text, because));
}

/// The words of mimalloc's data that may be random numbers.
fn numbers(labeller: &Labeller<'_>, image: &ImageFacts) -> HashSet<u64> {
    let mut numbers = HashSet::new();
    let Some(memory) = labeller.memory else { return numbers };
    let word = labeller.word_size() as usize;
    for (range, _, _) in image.segments.iter().filter(|(_, _, writable)| *writable) {
        let size = range.size().min(MAX_DATA);
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        let length = memory.read(range.start, &mut bytes);
        numbers.extend(super::pointers(bytes.get(..length).unwrap_or_default(), word));
    }
    // Addresses are excluded, because headers contain them too.
    numbers.retain(|number| labeller.row_at(*number).is_none());
    numbers
}

fn has_cookie(labeller: &Labeller<'_>, start: u64, numbers: &HashSet<u64>) -> bool {
    let Some(memory) = labeller.memory.filter(|_| !numbers.is_empty()) else { return false };
    let mut header = [0; HEADER];
    let length = memory.read(start, &mut header);
    let word = labeller.word_size() as usize;
    let mut words = super::pointers(header.get(..length).unwrap_or_default(), word);
    words.any(|word| numbers.contains(&(word ^ start)))
}
