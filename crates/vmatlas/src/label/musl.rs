//! musl's malloc (mallocng, since musl 1.2.1): groups of blocks, each with a mapping of its own.
//!
//! A group begins with a pointer to its `struct meta`, whose third word points back and whose
//! fifth has the number of pages (src/malloc/mallocng/meta.h).

use super::allocators::free_rows;
use super::words::file_name;
use super::{Confidence, ImageFacts, Label, Labeller};
use crate::kind::Kind;
use crate::mapping::AddressRange;

/// Below `maplen` in the fifth word of `struct meta`: `last_idx`, `freeable`, `sizeclass`.
const MAPLEN_SHIFT: u32 = 12;

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    let dynamic = labeller.facts.images.iter().any(is_musl);
    if labeller.memory.is_some() {
        let mut is_used = false;
        for range in free_rows(labeller) {
            is_used |= groups(labeller, range);
        }
        if is_used {
            program_break(labeller);
        }
    } else if dynamic {
        by_exclusion(labeller);
    }
}

fn is_musl(image: &ImageFacts) -> bool {
    let name = file_name(&image.name);
    // The C library is the dynamic linker, and a link under that name.
    name.starts_with("ld-musl-") || name == "libc.so"
}

/// Labels the groups from the beginning of a range; whether there are any.
fn groups(labeller: &mut Labeller<'_>, range: AddressRange) -> bool {
    let mut end = range.start;
    while end < range.end
        && let Some(size) = group(labeller, end)
        && let Some(next) = end.checked_add(size).filter(|next| *next <= range.end)
    {
        end = next;
    }
    let text = "musl malloc: groups of blocks";
    let because = "each begins with a pointer to a description that points back";
    let label = Label::new("musl malloc", Confidence::Certain, text, because);
    labeller.label(AddressRange::new(range.start, end), &label);
    end > range.start
}

/// The size of the group at an address, in bytes.
fn group(labeller: &Labeller<'_>, start: u64) -> Option<u64> {
    let word = labeller.word_size();
    let meta = labeller.word(start)?;
    let field = |number: u64| labeller.word(meta.checked_add(number * word)?);
    if meta == 0 || field(2)? != start {
        return None;
    }
    // Two `int`s come before it.
    let number = if word == 4 { 5 } else { 4 };
    let pages = field(number)? >> MAPLEN_SHIFT;
    pages.checked_mul(labeller.page_size()).filter(|size| *size != 0)
}

/// The descriptions are in the program break.
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

/// With musl little else is anonymous.
fn by_exclusion(labeller: &mut Labeller<'_>) {
    let label = Label::new(
        "musl malloc",
        Confidence::Guess,
        "musl malloc: groups of blocks, perhaps",
        "the program uses musl, whose malloc maps memory like this",
    );
    for range in free_rows(labeller) {
        labeller.label(range, &label);
    }
}
