//! Memory of malloc, guessed because no other explanation remains.

use super::allocators::{free_rows, other_malloc, replaced};
use super::found_stack::LARGEST_GUARD;
use super::{Confidence, Label, Labeller, glibc, musl};
use vmatlas_maps::Kind;
use vmatlas_maps::Mapping;

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    // A program that compiles code at run time has other memory of this shape.
    let makes_code = |row: &Mapping<'_>| row.perms.execute() && row.kind() == Kind::Anonymous;
    let is_replaced = replaced(labeller) || other_malloc(labeller).is_some();
    if is_replaced || labeller.maps.iter().any(|row| makes_code(&row)) {
        return;
    }
    let (least, label) = if musl::is_used(labeller) {
        let text = "musl malloc: groups of blocks, perhaps";
        let because = "musl's malloc maps memory like this, and nothing else is known here";
        (0, Label::new("musl malloc", Confidence::Guess, text, because))
    } else if glibc::has_glibc(labeller) {
        let text = "large blocks of malloc, or memory that the program mapped itself";
        let because = "glibc's malloc maps blocks of 128 KiB and more like this (mallopt(3)), and \
                       nothing else is known here";
        (128 << 10, Label::new("large blocks", Confidence::Guess, text, because))
    } else {
        return;
    };
    for range in free_rows(labeller).iter().filter(|range| range.size() > least) {
        // The begin of a block or a group says whether it is one.
        if !labeller.is_read(*range) && !follows_guard(labeller, range.start) {
            labeller.label(*range, &label);
        }
    }
}

/// Whether the range may be the stack of a running thread.
pub(super) fn follows_guard(labeller: &Labeller<'_>, start: u64) -> bool {
    let below = labeller.row_below(start);
    // A labelled row is the end of other memory, such as the reserve of an arena.
    let is_guard = |row: Mapping<'_>| {
        row.perms.none() && row.range.size() <= LARGEST_GUARD && !labeller.is_labelled(row.range)
    };
    let guards = &labeller.facts.guards;
    let light = guards.get(guards.partition_point(|guard| guard.end < start));
    below.is_some_and(is_guard) || light.is_some_and(|guard| guard.end == start)
}
