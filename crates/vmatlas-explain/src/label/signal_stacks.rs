//! Stacks for signal handlers, see sigaltstack(2).
//!
//! Rust's standard library gives each thread a signal stack: a guard page, and `SIGSTKSZ` (8 KiB)
//! or more if the processor has many registers to save (`AT_MINSIGSTKSZ`: some 1.7 KiB without
//! AVX-512, 3.5 KiB with it, 11.7 KiB with AMX). The requested size need not be whole pages; the
//! kernel maps whole pages.

use super::{Confidence, Label, Labeller, Sign};
use vmatlas_maps::AddressRange;
use vmatlas_maps::Kind;
use vmatlas_maps::uapi::auxvec::AT_MINSIGSTKSZ;
use vmatlas_maps::uapi::signal::SIGSTKSZ;

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    let rust = Sign { symbols: &["rust_eh_personality"], files: &["libstd-"] };
    // Other programs have small blocks above a guard for other purposes.
    if labeller.file_with(&rust).is_none() {
        return;
    }
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
    let because = "it has the size of one, and a guard page below it, and this is Rust";
    let likely = Confidence::Likely;
    let stack = Label::new(
        "alternate signal stack",
        likely,
        "alternate signal stack of a thread (sigaltstack)",
        because,
    );
    let guard = Label::new("guard", likely, "guard below an alternate signal stack", because);
    for (below, row) in found {
        labeller.label(below, &guard);
        labeller.label(row, &stack);
    }
}
