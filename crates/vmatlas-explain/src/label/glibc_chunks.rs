//! glibc malloc chunks: large blocks have their own mappings.
//!
//! A chunk begins with the size of the previous chunk (0 if there is none) and its own size, whose
//! low three bits are flags: 1 the previous chunk is in use, 2 the chunk is a mapping, 4 it belongs
//! to a thread's arena (malloc/malloc.c).

use super::words::size;
use super::{Confidence, Label, Labeller, is_private_memory, little_endian};
use std::iter;
use vmatlas_maps::AddressRange;

const IS_MMAPPED: u64 = 2;
/// Smaller blocks have no mapping of their own, unless mallopt(3) changes the threshold.
const SMALLEST: u64 = 64 << 10;
/// This many consecutive chunks are not a coincidence.
const ENOUGH: usize = 16;

/// Largest number of blocks that glibc maps (`M_MMAP_MAX`, mallopt(3)).
const MAX_BLOCKS: usize = 65536;
/// Number of pages that are searched for the head of a chunk.
const MAX_PAGES: usize = 1 << 14;

/// Labels large blocks by their chunk headers.
pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    if labeller.memory.is_none() {
        return;
    }
    // A block may be several rows, for example if a part was advised to use huge pages.
    let rows = labeller.maps.iter().filter(is_private_memory);
    let mut ranges: Vec<AddressRange> = Vec::new();
    for row in rows.flat_map(|row| labeller.unlabelled(row.range)) {
        match ranges.last_mut() {
            Some(last) if last.end == row.start => *last = last.with_end(row.end),
            _ => ranges.push(row),
        }
    }
    // Starts of rows first, because there are many pages.
    let mut rest = Vec::new();
    for range in ranges {
        let end = blocks(labeller, range, Confidence::Certain);
        rest.push(AddressRange::new(end, range.end));
    }
    let mut pages = 0;
    for range in rest {
        let (mut start, end) = (range.start, range.end);
        for head in heads(labeller, range, &mut pages) {
            if head < start {
                continue;
            }
            let chain = chain(labeller, AddressRange::new(head, end));
            start = chain.last().map_or(head, |block| block.end);
            // Other memory, such as that of a virtual machine, contains such words, too.
            let confidence = if start == end { Confidence::Likely } else { Confidence::Guess };
            label(labeller, &chain, confidence);
        }
    }
}

/// The pages of a range that begin as a chunk with its own mapping. Adds to the number of pages that
/// were looked at, until there are [`MAX_PAGES`].
fn heads(labeller: &Labeller<'_>, range: AddressRange, pages: &mut usize) -> Vec<u64> {
    /// The bytes that are read at once.
    const PIECE: u64 = 256 << 10;
    let mut heads = Vec::new();
    let Some(memory) = labeller.memory else { return heads };
    let (page, word) = (labeller.page_size() as usize, labeller.word_size() as usize);
    let mut bytes = vec![0; range.size().min(PIECE) as usize];
    let mut at = range.start;
    while at < range.end && *pages < MAX_PAGES {
        let piece = &mut bytes[..(range.end - at).min(PIECE) as usize];
        let length = memory.read(at, piece);
        for (number, content) in piece[..length].chunks(page).enumerate() {
            let is_head = |pad: &u64| {
                let header = content.get(*pad as usize + word..)?.get(..word)?;
                Some(little_endian(header) & 7 == IS_MMAPPED)
            };
            if pads(labeller).iter().any(|pad| is_head(pad) == Some(true)) {
                heads.push(at + (number * page) as u64);
            }
        }
        *pages += piece.len().div_ceil(page);
        // Pages that cannot be read are left out.
        at += piece.len() as u64;
    }
    heads
}

/// Labels consecutive blocks from the start of a range, where the kernel merged them, and returns
/// their end.
pub(super) fn blocks(
    labeller: &mut Labeller<'_>,
    range: AddressRange,
    confidence: Confidence,
) -> u64 {
    let chain = chain(labeller, range);
    label(labeller, &chain, confidence);
    chain.last().map_or(range.start, |block| block.end)
}

/// Consecutive blocks from the start of a range.
fn chain(labeller: &Labeller<'_>, range: AddressRange) -> Vec<AddressRange> {
    let mut start = range.start;
    let next = || {
        let length = mapped_chunk(labeller, start, range.end)?;
        let block = AddressRange::new(start, start.saturating_add(length));
        start = block.end;
        Some(block)
    };
    iter::from_fn(next).take(MAX_BLOCKS).collect()
}

fn label(labeller: &mut Labeller<'_>, blocks: &[AddressRange], confidence: Confidence) {
    let because = match confidence {
        Confidence::Certain => "its first words are those of a chunk with a mapping of its own",
        Confidence::Likely => {
            "its first words are those of a chunk with a mapping of its own, and it ends with the \
             memory around it"
        }
        Confidence::Guess => {
            "its first words are those of a chunk with a mapping of its own; but it lies inside \
             other memory, which may contain them"
        }
    };
    for block in blocks {
        let text = format!("malloc: a single block of {}", size(block.size()));
        labeller.label(*block, &Label::new("large malloc block", confidence, text, because));
    }
}

/// The size of the chunk at `start`, if it has its own mapping.
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

/// Offsets of the first chunk in a page. Blocks are aligned to 16 bytes; on 32 bits (since glibc
/// 2.26) their chunks are not.
fn pads(labeller: &Labeller<'_>) -> &'static [u64] {
    if labeller.word_size() == 4 { &[8, 0] } else { &[0] }
}

/// Whether a range begins with consecutive chunks, up to its end or for a number that is not a
/// coincidence.
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
        // These chunks are neither mappings nor in other arenas.
        if header & 6 != 0 || length < 2 * word || !length.is_multiple_of(2 * word) {
            return false;
        }
        match at.checked_add(length) {
            // The last chunk, `top`, ends at the program break.
            Some(next) if next == end => return true,
            Some(next) if next < end => at = next,
            _ => return false,
        }
    }
    true
}
