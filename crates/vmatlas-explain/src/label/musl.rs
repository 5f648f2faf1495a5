//! musl's malloc (mallocng, since musl 1.2.1): groups of blocks, each with its own mapping.
//!
//! A group begins with a pointer to its `struct meta`, whose third word points back and whose fifth
//! word contains the number of pages (src/malloc/mallocng/meta.h).

use super::allocators::free_rows;
use super::words::file_name;
use super::{Confidence, Label, Labeller};
use vmatlas_maps::AddressRange;
use vmatlas_maps::Kind;

/// Bits below `maplen` in the fifth word of `struct meta`: `last_idx`, `freeable`, `sizeclass`.
const MAPLEN_SHIFT: u32 = 12;

/// Longest sequence of groups that is followed.
const MAX_GROUPS: usize = 1 << 20;
/// Number of pages that are searched for the start of a group.
const MAX_PAGES: usize = 1 << 14;

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    let known = is_used(labeller);
    if labeller.memory.is_none() {
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
    if meta == 0 || field(2)? != start {
        return None;
    }
    // Two `int`s precede it.
    let number = if word == 4 { 5 } else { 4 };
    let pages = field(number)? >> MAPLEN_SHIFT;
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
