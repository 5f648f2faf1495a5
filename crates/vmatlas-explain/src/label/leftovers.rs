//! Large ranges in a process with a runtime, which belong to the runtime or to the C library:
//! without memory the two cannot be distinguished.

use super::runs::runs;
use super::{Confidence, Label, Labeller, cpython, go, ruby, v8};
use vmatlas_maps::AddressRange;

/// Smaller malloc blocks have no mapping of their own (`M_MMAP_THRESHOLD`, mallopt(3)).
const SMALLEST: u64 = 128 << 10;

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    let (runtime, what) = match () {
        () if cpython::is_here(labeller) => ("CPython", "arenas of CPython's small objects"),
        () if ruby::is_here(labeller) => ("Ruby", "pages of Ruby's heap"),
        () if v8::is_here(labeller) => ("V8", "data of V8 beside its heap"),
        () if go::is_here(labeller) => ("Go", "memory of the Go runtime"),
        () => return,
    };
    let label = Label::new(
        "large blocks",
        Confidence::Guess,
        format!("large blocks of malloc, or {what}, or both"),
        format!("{runtime} is mapped, and nothing else is known to look so"),
    );
    // Memory refutes the C library's part, and CPython's array of arenas is complete.
    let is_refuted = cpython::has_found(labeller);
    let own = Label::new(
        "large blocks",
        Confidence::Guess,
        format!("{what}, or memory that other code mapped itself"),
        format!("{runtime} is mapped, and this is no block of malloc"),
    );
    let mut stretches: Vec<AddressRange> = Vec::new();
    for run in runs(labeller) {
        let mut is_guarded = false;
        for part in run.parts() {
            let is_data = part.perms.read() && part.perms.write() && !part.perms.execute();
            // Memory above a guard is a stack, perhaps of a fiber.
            if is_data && !is_guarded {
                // A part of a block may be a separate row, for example if it was advised to use
                // huge pages.
                match stretches.last_mut() {
                    Some(last) if last.end == part.range.start => {
                        *last = last.with_end(part.range.end);
                    }
                    _ => stretches.push(part.range),
                }
            }
            is_guarded = part.perms.none();
        }
    }
    for range in stretches.into_iter().filter(|range| range.size() >= SMALLEST) {
        match labeller.is_read(range) {
            false => labeller.label(range, &label),
            true if !is_refuted => labeller.label(range, &own),
            true => {}
        }
    }
}
