//! Memory of Chromium and programs based on it: PartitionAlloc, Oilpan and sandboxed V8 (seen on
//! Chromium 156; base/allocator/partition_allocator/, v8/src/heap/cppgc/ and v8/src/sandbox/).
//!
//! Each reserves a large range aligned to its own size, so that a pointer's upper bits identify its
//! range.

use super::runs::{Part, Run, runs};
use super::words::file_name;
use super::{Confidence, Label, Labeller};
use vmatlas_maps::AddressRange;

/// Names of Chromium and of some programs based on it.
const PROGRAMS: [&str; 10] = [
    "chrome",
    "chromium",
    "chromium-browser",
    "chrome-headless-shell",
    "headless_shell",
    "content_shell",
    "electron",
    "msedge",
    "brave",
    "vivaldi-bin",
];

const GIB: u64 = 1 << 30;
/// V8's sandbox has 1 TiB, or half of it if addresses are scarce; guards surround it.
const SMALLEST_SANDBOX: u64 = 512 * GIB;
/// Range of 32-bit pointers from the start of the sandbox.
const POINTER_CAGE: u64 = 4 * GIB;
/// The pools of PartitionAlloc, and Oilpan's caged heap.
const POOL: u64 = 16 * GIB;
/// The first partition page of a super page is a guard, or metadata between guards.
const SUPER_PAGE: u64 = 2 << 20;
/// Trusted objects of V8 are outside of its sandbox, in a cage of their own.
const TRUSTED_SPACE: u64 = GIB;
const V8_PAGE: u64 = 256 << 10;
/// Pointer tables begin with a segment and reserve at least this, in bytes.
const TABLE_SEGMENT: u64 = 64 << 10;
const SMALLEST_TABLE: u64 = 32 << 20;
/// `kMaximalCodeRangeSize` is a multiple of this.
const CODE_RANGE: u64 = 128 << 20;

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    let is_chromium = |name: &[u8]| PROGRAMS.contains(&file_name(name).as_str());
    let images = &labeller.facts.images;
    let is_here = images.iter().any(|image| is_chromium(&image.name))
        || labeller.maps.iter().any(|row| row.perms.execute() && is_chromium(row.name));
    if !is_here {
        return;
    }
    for mut run in runs(labeller) {
        if run.range().size() >= SMALLEST_SANDBOX {
            let start = sandbox(labeller, &run);
            let Some(below) = run.below(start) else { continue };
            run = below;
        }
        for window in windows(&run, POOL) {
            pool(labeller, &run, window);
        }
        for window in windows(&run, TRUSTED_SPACE) {
            trusted_space(labeller, &run, window);
        }
        if run.range().size() >= POOL {
            metadata(labeller, &run);
        }
        tables(labeller, &run);
        code(labeller, &run);
    }
}

/// Labels the accessible and the reserved parts of a range.
fn label(
    labeller: &mut Labeller<'_>,
    range: AddressRange,
    (group, confidence): (&'static str, Confidence),
    what: &str,
    because: &str,
) {
    let because = format!("this is Chromium, and {because}");
    let used = Label::new(group, confidence, what, because.as_str());
    let reserved = Label::new(group, confidence, format!("reserved: {what}"), because.as_str());
    labeller.label_reservation(range, &used, &reserved);
}

/// The ranges in a run with this size and alignment.
fn windows(run: &Run, size: u64) -> Vec<AddressRange> {
    let range = run.range();
    let (start, end) = (range.start, range.end);
    let first = start.checked_next_multiple_of(size);
    let starts = std::iter::successors(first, |start| start.checked_add(size));
    let windows = starts.map(|start| AddressRange::new(start, start.saturating_add(size)));
    windows.take_while(|window| window.end <= end && window.size() == size).collect()
}

/// The accessible parts of a range.
fn used(run: &Run, range: AddressRange) -> Vec<Part> {
    run.within(range).filter(|part| !part.perms.none()).collect()
}

/// Labels a sandbox with its guards; returns where the lower one starts. Other memory may lie
/// directly below it.
fn sandbox(labeller: &mut Labeller<'_>, run: &Run) -> u64 {
    let mut range = run.range();
    let is_start =
        |start: u64| start.is_multiple_of(POINTER_CAGE) && range.end - start >= SMALLEST_SANDBOX;
    let starts = used(run, range).into_iter().map(|part| part.range.start);
    let starts: Vec<u64> = starts.filter(|start| is_start(*start)).collect();
    let guard_of =
        |start: u64| run.parts().iter().find(|part| part.range.end == start && part.perms.none());
    // The guard of a sandbox is large; other aligned memory may lie below it.
    let is_guarded = |start: &u64| guard_of(*start).is_some_and(|g| g.range.size() >= POINTER_CAGE);
    let guarded = starts.iter().copied().find(is_guarded);
    if let Some(start) = guarded.or(starts.first().copied()) {
        let guard = guard_of(start);
        // The kernel merges it with a reservation below.
        let guard =
            guard.and_then(|guard| guard.range.start.checked_next_multiple_of(POINTER_CAGE));
        range = AddressRange::new(guard.unwrap_or(start), range.end);
        let cage = AddressRange::new(start, start.saturating_add(POINTER_CAGE).min(range.end));
        let because = "it lies in the first 4 GiB of V8's sandbox, where its pointers reach";
        let what = "heap of JavaScript objects, in the cage of V8's pointers";
        label(labeller, cage, ("V8 heap", Confidence::Likely), what, because);
    }
    let because = "nothing else reserves as much as V8's sandbox";
    let what = "array buffers and others in V8's sandbox, and its guards";
    label(labeller, range, ("V8 sandbox", Confidence::Likely), what, because);
    range.start
}

fn pool(labeller: &mut Labeller<'_>, run: &Run, window: AddressRange) {
    let used = used(run, window);
    if used.is_empty() {
        return;
    }
    let begins_super_page = |part: &Part| part.range.start.is_multiple_of(SUPER_PAGE);
    if !used.iter().any(begins_super_page) {
        let because = "pools of super pages that begin with a guard have this size and place";
        let what = "PartitionAlloc: Chromium's malloc, and objects of Blink";
        label(labeller, window, ("PartitionAlloc", Confidence::Likely), what, because);
    } else {
        let because = "Oilpan's heap has this size and alignment";
        let what = "Oilpan: objects of Blink with a garbage collector";
        label(labeller, window, ("Oilpan heap", Confidence::Likely), what, because);
    }
}

/// Labels the metadata of super pages, which since 2025 may be at a distance, in a range of equal
/// size.
fn metadata(labeller: &mut Labeller<'_>, run: &Run) {
    let range = run.range();
    let used = used(run, range);
    if !used.is_empty() && used.iter().all(|part| part.range.size() < SUPER_PAGE / 8) {
        let because = "it reserves as much as a pool, and has a few pages for a super page";
        let what = "metadata of PartitionAlloc's super pages";
        label(labeller, range, ("PartitionAlloc", Confidence::Guess), what, because);
    }
}

fn trusted_space(labeller: &mut Labeller<'_>, run: &Run, window: AddressRange) {
    let used = used(run, window);
    let is_page = |part: &Part| part.range.start.is_multiple_of(V8_PAGE) && !part.perms.execute();
    if !used.is_empty() && used.iter().all(is_page) {
        let because = "V8's trusted space has this size and alignment, and pages as its heap";
        let what = "objects that V8 trusts, outside of its sandbox";
        label(labeller, window, ("V8 heap", Confidence::Guess), what, because);
    }
}

/// Labels the tables of pointers out of the sandbox: a first segment, reserved addresses, and a
/// read-only last segment.
fn tables(labeller: &mut Labeller<'_>, run: &Run) {
    let because = "V8's tables of pointers reserve as much behind a segment of 64 KiB";
    let what = "table of V8's pointers out of its sandbox";
    for pair in run.parts().windows(2) {
        let [part, next] = pair else { continue };
        let is_segments = part.perms.read()
            && part.range.start.is_multiple_of(TABLE_SEGMENT)
            && part.range.end.is_multiple_of(TABLE_SEGMENT);
        if is_segments && next.perms.none() && next.range.size() >= SMALLEST_TABLE {
            let range = AddressRange::new(part.range.start, next.range.end);
            label(labeller, range, ("V8 pointer table", Confidence::Guess), what, because);
        }
    }
}

fn code(labeller: &mut Labeller<'_>, run: &Run) {
    for part in run.parts() {
        let size = part.range.size();
        if part.perms.execute() && size >= CODE_RANGE && size.is_multiple_of(CODE_RANGE) {
            let because = "V8's code range has such a size, and may be executed";
            let what = "code of JavaScript";
            label(labeller, part.range, ("V8 code", Confidence::Likely), what, because);
        }
    }
}
