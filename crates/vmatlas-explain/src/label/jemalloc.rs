//! jemalloc 5: by its own data, else by the shapes of its mappings.
//!
//! Its data about itself lies in base blocks (src/base.c): mappings of a multiple of 2 MiB, which
//! begin with their size, the address of the next block, and a description of the part that is not
//! used yet, which ends where the block ends. The other memory is listed there as extents, each with
//! its address and size side by side (`struct edata_s`, before 5.3 `struct extent_s`).

use super::allocators::{JEMALLOC, free_rows};
use super::{Confidence, ImageFacts, Label, Labeller, is_unnamed_memory, little_endian, others};
use std::collections::HashSet;
use vmatlas_maps::{AddressRange, KernelVersion};

/// The size that base blocks are a multiple of, and their alignment.
const BLOCK: u64 = 2 << 20;
/// The words of a block in which the description of its unused part is.
const HEAD: usize = 64;
/// The alignment of the address in an extent: large blocks begin at any cache line of a page.
const CACHE_LINE: u64 = 64;
/// The most bytes of base blocks that are read. They take a hundredth of the memory described.
const MOST: u64 = 64 << 20;
/// Bytes that are read at once.
const PIECE: u64 = 256 << 10;
/// The unit in which memory is unused; no machine has smaller pages.
const PAGE: usize = 4096;
/// The most addresses that are tried as those of base blocks.
const MOST_TRIES: usize = 1 << 16;
/// The multiple of sizes and of most addresses of its mappings.
const STEP: u64 = 512 << 10;

const ALIGNED: &str = "it begins and ends at multiples of 512 KiB, like the mappings of";

fn label(confidence: Confidence, because: &str, file: &str, but: &str) -> Label {
    let text = "jemalloc: memory for blocks and its own data";
    let because = format!("{because} jemalloc, which is in {file}{but}");
    Label::new("jemalloc", confidence, text, because)
}

fn is_aligned(range: AddressRange) -> bool {
    range.start.is_multiple_of(STEP) && range.end.is_multiple_of(STEP)
}

/// Labels the memory that its data lists, or its shapes if nothing else maps memory.
pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    let Some(file) = labeller.file_with(&JEMALLOC) else { return };
    let image = labeller.image_with(&JEMALLOC);
    let own = image.map(|image| extents(labeller, image)).unwrap_or_default();
    let listed = label(Confidence::Likely, "it is among the extents in the data of", &file, "");
    // Huge pages, other allocators and the heaps of runtimes are aligned to 512 KiB, too, and newer
    // kernels align all large mappings.
    let is_aligned_by_kernel =
        labeller.facts.kernel.is_none_or(|kernel| kernel >= KernelVersion::new(6, 7, 0));
    let program = labeller.files.first().copied();
    let is_own = |path: &[u8], name: &str| name == file || Some(path) == program;
    let is_alone = labeller.memory.is_none()
        && !is_aligned_by_kernel
        && others::other_than(labeller, "jemalloc").is_none()
        && others::unknown_code(labeller, is_own).is_none();
    let but = ", and no other allocator is known here";
    let aligned = label(Confidence::Likely, ALIGNED, &file, but);
    for range in free_rows(labeller) {
        let from = own.partition_point(|extent| extent.end <= range.start);
        let overlapping = own[from..].iter().map_while(|extent| extent.intersect(&range));
        let overlapping: Vec<AddressRange> = overlapping.collect();
        for part in &overlapping {
            labeller.label(*part, &listed);
        }
        if overlapping.is_empty() && is_alone && is_aligned(range) {
            labeller.label(range, &aligned);
        }
    }
}

/// Labels memory that only resembles that of jemalloc.
pub(super) fn recognise_guesses(labeller: &mut Labeller<'_>) {
    let Some(file) = labeller.file_with(&JEMALLOC) else { return };
    // Its data lists all of its memory.
    let is_listed = labeller.parts.values().any(|part| part.label.group == "jemalloc");
    if labeller.memory.is_some() && is_listed {
        return;
    }
    let aligned = label(Confidence::Guess, ALIGNED, &file, ", but so is other memory");
    let because = "its size is a multiple of 512 KiB, like the mappings of";
    let steps = label(Confidence::Guess, because, &file, "");
    for range in free_rows(labeller) {
        if is_aligned(range) {
            labeller.label(range, &aligned);
        } else if range.size().is_multiple_of(STEP) {
            labeller.label(range, &steps);
        }
    }
}

/// The base blocks that can be reached from the variables of an image, and the extents that they
/// list, in order and disjoint.
fn extents(labeller: &Labeller<'_>, image: &ImageFacts) -> Vec<AddressRange> {
    let mut found: Vec<AddressRange> = Vec::new();
    let mut left = MOST;
    let mut tried = HashSet::new();
    let mut next = Vec::new();
    // The arenas and what else the variables point to lie in the first block of each arena.
    for (variables, _, _) in image.segments.iter().filter(|(_, _, writable)| *writable) {
        words(labeller, *variables, &mut left, &mut |words| {
            // Most words are 0.
            let starts = words.iter().map(|address| address & !(BLOCK - 1));
            next.extend(starts.filter(|start| *start > 0 && tried.insert(*start)));
            next.len() < MOST_TRIES
        });
    }
    while let Some(start) = next.pop() {
        let Some(block) = base_block(labeller, start) else { continue };
        found.push(block);
        words(labeller, block, &mut left, &mut |words| {
            let starts = words.iter().copied().filter(|start| *start > 0);
            let starts = starts.filter(|start| start.is_multiple_of(BLOCK));
            next.extend(starts.filter(|start| tried.insert(*start)));
            found.extend(words.windows(2).filter_map(|pair| extent(labeller, pair)));
            found = AddressRange::joined(std::mem::take(&mut found));
            tried.len() < MOST_TRIES
        });
    }
    AddressRange::joined(found)
}

/// The extent of which these words are the address and the size.
fn extent(labeller: &Labeller<'_>, pair: &[u64]) -> Option<AddressRange> {
    let &[address, size] = pair else { return None };
    // Most words are 0.
    if address == 0 {
        return None;
    }
    let page = labeller.page_size();
    // The lowest bits of the size are a serial number.
    let (start, size) = (address & !(page - 1), size & !(page - 1));
    let end = start.checked_add(size).filter(|end| *end > start)?;
    if start == 0 || !address.is_multiple_of(CACHE_LINE) {
        return None;
    }
    let row = labeller.row_at(start).filter(is_unnamed_memory)?;
    (end <= row.range.end).then(|| AddressRange::new(start, end))
}

/// The base block at an address.
fn base_block(labeller: &Labeller<'_>, start: u64) -> Option<AddressRange> {
    let row = labeller.row_at(start).filter(is_unnamed_memory)?;
    let head = AddressRange::new(start, start + HEAD as u64 * labeller.word_size());
    let (mut all, mut first) = (head.size(), Vec::new());
    words(labeller, head, &mut all, &mut |words| {
        first.extend_from_slice(words);
        true
    });
    let head = first;
    let (&size, &next) = (head.first()?, head.get(1)?);
    let end = start.checked_add(size).filter(|end| *end > start && *end <= row.range.end)?;
    let is_unused = |pair: &[u64]| match *pair {
        [from, size] => from > start && from <= end && from.checked_add(size) == Some(end),
        _ => false,
    };
    let fits = size.is_multiple_of(BLOCK)
        && next.is_multiple_of(BLOCK)
        && head.windows(2).skip(2).any(is_unused);
    fits.then(|| AddressRange::new(start, end))
}

/// Passes on the words of a range in pieces, as far as they can be read, as many bytes as are left,
/// and until `each` returns false. Most pages of a block are unused: pages of zeros become one word.
fn words(
    labeller: &Labeller<'_>,
    mut range: AddressRange,
    left: &mut u64,
    each: &mut dyn FnMut(&[u64]) -> bool,
) {
    let Some(memory) = labeller.memory else { return };
    let mut bytes = vec![0; range.size().min(*left).min(PIECE) as usize];
    let mut words: Vec<u64> = Vec::new();
    // Many bytes at a time, as processors can.
    let are_zeros = |page: &[u8]| page.iter().fold(0, |all, byte| all | byte) == 0;
    while range.start < range.end && *left > 0 {
        let size = range.size().min(*left).min(PIECE);
        let piece = &mut bytes[..size as usize];
        let length = memory.read(range.start, piece);
        words.clear();
        for page in piece[..length].chunks(PAGE) {
            if !are_zeros(page) {
                words.extend(page.chunks_exact(labeller.word_size() as usize).map(little_endian));
            } else if words.last().is_none_or(|last| *last != 0) {
                words.push(0);
            }
        }
        if !each(&words) || length < piece.len() {
            return;
        }
        *left -= size;
        range = AddressRange::new(range.start + size, range.end);
    }
}
