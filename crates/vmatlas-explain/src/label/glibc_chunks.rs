//! Chunks of glibc's malloc: large blocks have mappings of their own.
//!
//! A chunk begins with the size of the one before it (0 where there is none) and its own, whose
//! low three bits are flags: 1 the one before is in use, 2 it is a mapping, 4 it is of a thread's
//! arena (malloc/malloc.c).

use super::words::size;
use super::{Confidence, Label, Labeller, is_private_memory};
use vmatlas_maps::AddressRange;

const IS_MMAPPED: u64 = 2;
/// Smaller blocks have no mapping of their own, unless mallopt(3) says so.
const SMALLEST: u64 = 64 << 10;
/// So many chunks in a row are no accident.
const ENOUGH: usize = 16;

/// glibc maps so many blocks at most (`M_MMAP_MAX`, mallopt(3)).
const MAX_BLOCKS: usize = 65536;
/// So many pages are looked at for the head of a chunk.
const MAX_PAGES: usize = 1 << 14;

/// Labels large blocks by their chunks.
pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    if labeller.memory.is_none() {
        return;
    }
    // A block may be several rows, as where a part of it was advised to be in huge pages.
    let rows = labeller.maps.iter().filter(is_private_memory);
    let mut ranges: Vec<AddressRange> = Vec::new();
    for row in rows.flat_map(|row| labeller.unlabelled(row.range)) {
        match ranges.last_mut() {
            Some(last) if last.end == row.start => *last = last.with_end(row.end),
            _ => ranges.push(row),
        }
    }
    // Those that begin a row first: there are many pages.
    let mut rest = Vec::new();
    for range in ranges {
        let end = blocks(labeller, range, Confidence::Certain);
        rest.push(AddressRange::new(end, range.end));
    }
    let mut pages = 0;
    for range in rest {
        let (mut start, end) = (range.start, range.end);
        while start < end && pages < MAX_PAGES {
            let next = blocks(labeller, AddressRange::new(start, end), Confidence::Likely);
            start = next.max(start.saturating_add(labeller.page_size()));
            pages += 1;
        }
    }
}

/// Labels the blocks that a range begins with, one behind the other where the kernel joined them;
/// where they end.
pub(super) fn blocks(
    labeller: &mut Labeller<'_>,
    range: AddressRange,
    confidence: Confidence,
) -> u64 {
    let mut start = range.start;
    for _ in 0..MAX_BLOCKS {
        let Some(length) = mapped_chunk(labeller, start, range.end) else { break };
        let block = AddressRange::new(start, start.saturating_add(length));
        let text = format!("malloc: a single block of {}", size(length));
        let because = "its first words are those of a chunk with a mapping of its own";
        labeller.label(block, &Label::new("large malloc block", confidence, text, because));
        start = block.end;
    }
    start
}

/// The size of the block that begins with a chunk that has a mapping of its own.
fn mapped_chunk(labeller: &Labeller<'_>, start: u64, end: u64) -> Option<u64> {
    let word = labeller.word_size();
    pads(labeller).iter().find_map(|pad| {
        let chunk = start.checked_add(*pad)?;
        let before = labeller.word(chunk)?;
        let header = labeller.word(chunk.checked_add(word)?)?;
        let length = (header & !7).checked_add(*pad)?;
        let fits = before == *pad
            && header & 7 == IS_MMAPPED
            && length >= SMALLEST
            && length.is_multiple_of(labeller.page_size())
            && start.checked_add(length).is_some_and(|chunk_end| chunk_end <= end);
        fits.then_some(length)
    })
}

/// How far the first chunk is from the beginning of a page: blocks are aligned to 16 bytes, which
/// on 32 bits (since glibc 2.26) their chunks are not.
fn pads(labeller: &Labeller<'_>) -> &'static [u64] {
    if labeller.word_size() == 4 { &[8, 0] } else { &[0] }
}

/// Whether a range begins with chunks, one behind the other, up to its end or so many that it is
/// no accident.
pub(super) fn are_chunks(labeller: &Labeller<'_>, start: u64, end: u64) -> bool {
    let Some(start) = start.checked_next_multiple_of(16) else { return false };
    let mut pads = pads(labeller).iter();
    pads.any(|pad| start.checked_add(*pad).is_some_and(|start| are_from(labeller, start, end)))
}

fn are_from(labeller: &Labeller<'_>, mut at: u64, end: u64) -> bool {
    let word = labeller.word_size();
    for _ in 0..ENOUGH {
        let header = at.checked_add(word).and_then(|at| labeller.word(at));
        let Some(header) = header else { return false };
        let length = header & !7;
        // None of these is a mapping or of another arena.
        if header & 6 != 0 || length < 2 * word || !length.is_multiple_of(2 * word) {
            return false;
        }
        match at.checked_add(length) {
            // The last one, `top`, ends where the break was moved to.
            Some(next) if next == end => return true,
            Some(next) if next < end => at = next,
            _ => return false,
        }
    }
    true
}
