//! Allocators that replace the C library's: jemalloc and tcmalloc, recognised by their shapes.

use super::{Confidence, ImageFacts, Label, Labeller, Sign, is_unnamed_memory};
use std::collections::{BTreeSet, HashSet};
use vmatlas_maps::AddressRange;
use vmatlas_maps::Kind;

const JEMALLOC: Sign =
    Sign { symbols: &["mallctl", "je_mallctl", "_rjem_mallctl"], files: &["libjemalloc"] };
const TCMALLOC: Sign = Sign {
    symbols: &["MallocExtension_GetNumericProperty", "MallocExtension_Internal_GetNumericProperty"],
    files: &["libtcmalloc"],
};
pub(super) const MIMALLOC: Sign =
    Sign { symbols: &["_mi_heap_main", "mi_version"], files: &["libmimalloc"] };

/// Whether an allocator replaces the C library's.
pub(super) fn replaced(labeller: &Labeller<'_>) -> bool {
    [JEMALLOC, TCMALLOC, MIMALLOC].iter().any(|sign| labeller.file_with(sign).is_some())
}

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    jemalloc(labeller);
    tcmalloc(labeller);
}

/// Labels jemalloc 5. It maps memory in its larger size classes, from 2 MiB on, and keeps it (the
/// option `retain`). Its mappings are multiples of 512 KiB and mostly aligned to that, and its own
/// data points to their starts.
fn jemalloc(labeller: &mut Labeller<'_>) {
    const STEP: u64 = 512 << 10;
    let Some(file) = labeller.file_with(&JEMALLOC) else { return };
    let text = "jemalloc: memory for blocks and its own data";
    let label = |confidence, because: &str| {
        let because = format!("{because} jemalloc, which is in {file}");
        Label::new("jemalloc", confidence, text, because)
    };
    let aligned = label(
        Confidence::Likely,
        "it begins and ends at multiples of 512 KiB, like the mappings of",
    );
    let steps = label(Confidence::Guess, "its size is a multiple of 512 KiB, like the mappings of");
    let pointed = label(Confidence::Likely, "its start is among the addresses in the data of");
    let image = labeller.image_with(&JEMALLOC);
    let known = image.map(|image| pointers_of(labeller, image)).unwrap_or_default();
    for range in free_rows(labeller) {
        if range.start.is_multiple_of(STEP) && range.end.is_multiple_of(STEP) {
            labeller.label(range, &aligned);
        } else if known.contains(&range.start) && range.size() >= STEP {
            labeller.label(range, &pointed);
        } else if labeller.memory.is_none() && range.size().is_multiple_of(STEP) {
            labeller.label(range, &steps);
        }
    }
}

/// The addresses found in the rows that an allocator's data points to, where it describes its
/// memory. Only page starts count.
fn pointers_of(labeller: &Labeller<'_>, image: &ImageFacts) -> HashSet<u64> {
    /// jemalloc's metadata takes a hundredth of the memory described.
    const MAX: u64 = 64 << 20;
    /// Bytes that are read at once.
    const PIECE: u64 = 256 << 10;
    let mut found = HashSet::new();
    let Some(memory) = labeller.memory else { return found };
    let word = labeller.word_size() as usize;
    let mut left = MAX;
    let mut bytes = vec![0; PIECE as usize];
    // Passes on a range in pieces.
    let mut read = |mut range: AddressRange, each: &mut dyn FnMut(&[u8])| {
        while range.start < range.end && left > 0 {
            let size = range.size().min(left).min(PIECE);
            let piece = &mut bytes[..size as usize];
            let length = memory.read(range.start, piece);
            each(&piece[..length]);
            if length < piece.len() {
                break;
            }
            left -= size;
            range = AddressRange::new(range.start + size, range.end);
        }
    };
    let mut rows = BTreeSet::new();
    for (segment, _, _) in image.segments.iter().filter(|(_, _, writable)| *writable) {
        read(*segment, &mut |bytes| {
            for pointer in super::pointers(bytes, word) {
                let row = labeller.row_at(pointer).filter(is_unnamed_memory);
                rows.extend(row.map(|row| row.range));
            }
        });
    }
    for row in rows {
        // Memory with other labels, such as stacks, is excluded.
        for free in labeller.unlabelled(row) {
            read(free, &mut |bytes| {
                let pages = super::pointers(bytes, word);
                found.extend(pages.filter(|pointer| pointer.is_multiple_of(labeller.page_size())));
            });
        }
    }
    found
}

/// Labels gperftools' tcmalloc, which allocates from the program break if it can.
fn tcmalloc(labeller: &mut Labeller<'_>) {
    let Some(file) = labeller.file_with(&TCMALLOC) else { return };
    let because = format!(
        "the kernel calls it [heap], and tcmalloc, which is in {file}, takes memory from there first"
    );
    let text = "tcmalloc: memory for blocks and its own data (the program break)";
    let label = Label::new("tcmalloc", Confidence::Likely, text, because);
    let heap = labeller.maps.iter().filter(|row| row.kind() == Kind::Heap);
    for range in heap.map(|row| row.range).collect::<Vec<_>>() {
        labeller.label(range, &label);
    }
}

/// Private anonymous memory without a label: rows, or parts of rows.
pub(super) fn free_rows(labeller: &Labeller<'_>) -> Vec<AddressRange> {
    let rows = labeller.maps.iter().filter(is_unnamed_memory);
    rows.flat_map(|row| labeller.unlabelled(row.range)).collect()
}
