//! Stacks for signal handlers, see sigaltstack(2).
//!
//! Rust's standard library gives each thread a signal stack: a guard page, and `SIGSTKSZ` (8 KiB)
//! or more if the processor has many registers to save (`AT_MINSIGSTKSZ`: some 1.7 KiB without
//! AVX-512, 3.5 KiB with it, 11.7 KiB with AMX). The requested size need not be whole pages; the
//! kernel maps whole pages.

use super::{Confidence, Label, Labeller, Sign};
use vmatlas_maps::uapi::auxvec::AT_MINSIGSTKSZ;
use vmatlas_maps::uapi::signal::SIGSTKSZ;
use vmatlas_maps::{AddressRange, Kind, Mapping};

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    let rust = Sign { symbols: &["rust_eh_personality"], files: &["libstd-"] };
    // Other programs have small blocks above a guard for other purposes.
    let Some(file) = labeller.file_with(&rust) else { return };
    // In them, a library in Rust makes no signal stacks.
    let program = labeller.files.first().copied();
    let is_program = labeller.facts.images.iter().any(|image| {
        Some(image.name.as_slice()) == program && image.symbol(rust.symbols[0]).is_some()
    });
    let page = labeller.page_size();
    let least = labeller.facts.auxv.get(AT_MINSIGSTKSZ).unwrap_or(0).max(SIGSTKSZ);
    let Some(size) = least.checked_next_multiple_of(page) else { return };
    let mut below: Option<AddressRange> = None;
    let mut found = Vec::new();
    for row in labeller.maps.iter() {
        let is_anonymous = row.kind() == Kind::Anonymous;
        if is_anonymous
            && row.perms.read()
            && row.perms.write()
            && row.range.size() == size
            && let Some(guard) = below
            && guard.end == row.range.start
            && guard.size() == page
            && !labeller.is_labelled(AddressRange::new(guard.start, row.range.end))
        {
            found.push((guard, row.range));
        }
        below = (is_anonymous && row.perms.none()).then_some(row.range);
    }
    let threads = labeller.facts.threads.len();
    let are_too_many = threads > 0 && found.len() > threads;
    for (below, row) in found {
        let because_of_library;
        let (confidence, because) = if are_too_many {
            (
                Confidence::Guess,
                "it has the size of one, and a guard page below it, and this is Rust; but there is \
                 more such memory than threads",
            )
        } else if !is_program {
            because_of_library = format!(
                "it has the size of one, and a guard page below it, and {file} is Rust; but \
                 whether the program is Rust is not known"
            );
            (Confidence::Guess, because_of_library.as_str())
        } else if has_own_guards(labeller, below, row) {
            (
                Confidence::Guess,
                "it has the size of one, and a guard page below it, and this is Rust; but memory \
                 for secrets has this size and guards, too",
            )
        } else {
            (
                Confidence::Likely,
                "it has the size of one, and a guard page below it, and this is Rust",
            )
        };
        let text = "guard below an alternate signal stack";
        labeller.label(below, &Label::new("guard", confidence, text, because));
        let text = "alternate signal stack of a thread (sigaltstack)";
        labeller.label(row, &Label::new("alternate signal stack", confidence, text, because));
    }
}

/// Whether the memory has a guard above, too, that is not the guard of other memory, or a page that
/// may only be read below its guard, as the memory that sodium_malloc and its like return.
fn has_own_guards(labeller: &Labeller<'_>, guard: AddressRange, row: AddressRange) -> bool {
    let is_data = |row: &Mapping<'_>| {
        row.kind() == Kind::Anonymous
            && row.perms.read()
            && row.perms.write()
            && row.range.size() >= SIGSTKSZ
    };
    let above = labeller.row_at(row.end).filter(|row| row.perms.none());
    let is_own = above.is_some_and(|above| {
        above.kind() == Kind::Anonymous
            && labeller.row_at(above.range.end).as_ref().is_none_or(|next| !is_data(next))
    });
    let below = labeller.row_below(guard.start);
    let has_page = below
        .is_some_and(|row| row.kind() == Kind::Anonymous && row.perms.read() && !row.perms.write());
    is_own || has_page
}
