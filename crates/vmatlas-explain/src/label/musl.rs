//! musl's malloc (mallocng, since musl 1.2.1): groups of blocks, each with its own mapping.
//!
//! A group begins with a pointer to its `struct meta`, whose third word points back and whose fifth
//! word contains the number of pages. All `struct meta` lie in pages that begin with a random number
//! (`struct meta_area`, src/malloc/mallocng/meta.h).

use super::allocators::free_rows;
use super::glibc::has_glibc;
use super::words::file_name;
use super::{Confidence, Label, Labeller};
use vmatlas_maps::AddressRange;
use vmatlas_maps::Kind;

/// Bits below `maplen` in the fifth word of `struct meta`: `last_idx`, `freeable`, `sizeclass`.
const MAPLEN_SHIFT: u32 = 12;
/// Set in every group that has a mapping of its own.
const FREEABLE: u64 = 1 << 5;
/// The number of size classes.
const SIZE_CLASSES: u64 = 48;
/// The size class of a block that has a group of its own.
const SINGLE: u64 = 63;
/// Pages of `struct meta_area` have this size, in bytes.
const AREA: u64 = 4096;

/// Longest sequence of groups that is followed.
const MAX_GROUPS: usize = 1 << 20;
/// Number of pages that are searched for the start of a group.
const MAX_PAGES: usize = 1 << 14;

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    let known = is_used(labeller);
    // Pools of other programs begin with a pointer to a description, too.
    if labeller.memory.is_none() || !known && has_glibc(labeller) {
        return;
    }
    let mut pages = 0;
    let mut any = false;
    for range in free_rows(labeller) {
        let mut start = range.start;
        while start < range.end && pages < MAX_PAGES {
            let end = groups(labeller, AddressRange::new(start, range.end));
            any |= end > start;
            // The kernel merges groups with other mappings.
            if !known && end == range.start {
                break;
            }
            start = end.max(start.saturating_add(labeller.page_size()));
            pages += 1;
        }
    }
    if any {
        program_break(labeller);
    }
}

/// Whether the program uses musl, whose library is also the dynamic linker.
pub(super) fn is_used(labeller: &Labeller<'_>) -> bool {
    let is_musl = |path: &&[u8]| {
        let name = file_name(path);
        name.starts_with("ld-musl-")
            || name == "libc.so" && memchr::memmem::find(path, b"musl").is_some()
    };
    labeller.files.iter().any(is_musl)
}

/// Labels consecutive groups from the start of a range, and returns their end.
fn groups(labeller: &mut Labeller<'_>, range: AddressRange) -> u64 {
    let mut end = range.start;
    for _ in 0..MAX_GROUPS {
        let Some(size) = group(labeller, end) else { break };
        match end.checked_add(size) {
            Some(next) if next <= range.end => end = next,
            _ => break,
        }
    }
    if end > range.start {
        let text = "musl malloc: groups of blocks";
        let because = "each begins with a pointer to a description that points back";
        let label = Label::new("musl malloc", Confidence::Certain, text, because);
        labeller.label(AddressRange::new(range.start, end), &label);
    }
    end
}

/// The size in bytes of the group at an address.
fn group(labeller: &Labeller<'_>, start: u64) -> Option<u64> {
    let word = labeller.word_size();
    let meta = labeller.word(start)?;
    let field = |number: u64| labeller.word(meta.checked_add(number * word)?);
    // The size of the beginning of `struct meta_area`, and of a `struct meta`.
    let (head, size) = if word == 4 { (16, 24) } else { (24, 40) };
    let index = (meta % AREA).checked_sub(head)?;
    let random = labeller.word(meta - meta % AREA)?;
    if !index.is_multiple_of(size) || random == 0 || field(2)? != start {
        return None;
    }
    // Two `int`s precede it.
    let flags = field(if word == 4 { 5 } else { 4 })?;
    let class = flags >> 6 & 63;
    if flags & FREEABLE == 0 || class >= SIZE_CLASSES && class != SINGLE {
        return None;
    }
    let pages = flags >> MAPLEN_SHIFT;
    pages.checked_mul(labeller.page_size()).filter(|size| *size != 0)
}

/// Labels the program break, which contains the groups' metadata.
fn program_break(labeller: &mut Labeller<'_>) {
    let label = Label::new(
        "musl malloc",
        Confidence::Likely,
        "musl malloc: descriptions of groups (the program break)",
        "the kernel calls it [heap], where musl's malloc keeps them",
    );
    let heap = labeller.maps.iter().filter(|row| row.kind() == Kind::Heap);
    for range in heap.map(|row| row.range).collect::<Vec<_>>() {
        labeller.label(range, &label);
    }
}
