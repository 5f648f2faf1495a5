//! HotSpot's memory layout, as seen on JDK 17 and 25; no other program is known to use it.

use super::super::runs::{Part, Run, is_anonymous, runs, runs_within};
use super::super::{Confidence, Label, Labeller};
use super::Jvm;
use vmatlas_maps::Kind;
use vmatlas_maps::{AddressRange, Mapping};

/// Size of the metaspace's `VirtualSpaceNode`s, and of the granules in which they are committed
/// (share/memory/metaspace/metaspaceSettings.hpp, JDK 16 to 25).
pub(super) const METASPACE_NODE: u64 = 64 << 20;
const COMMIT_GRANULE: u64 = 64 << 10;
/// The nodes begin at multiples of a chunk.
const METASPACE_ALIGNMENT: u64 = 4 << 20;
/// The default of `CompressedClassSpaceSize`. Archives and the class space are aligned to
/// `CLASS_SPACE_ALIGNMENT`.
pub(super) const CLASS_SPACE: u64 = 1 << 30;
pub(super) const CLASS_SPACE_ALIGNMENT: u64 = 16 << 20;
/// Limit of 32-bit references (share/oops/compressedOops.hpp). The heap is below it if possible.
const COMPRESSED_OOPS: u64 = 32 << 30;
/// Lowest address of the heap (`HeapBaseMinAddress`). Below it, Shenandoah has its map of the
/// regions that it collects, as near to 0 as the kernel allows
/// (gc/shenandoah/shenandoahCollectionSet.cpp).
const LOWEST_HEAP: u64 = 2 << 30;
/// Smaller ranges cannot be distinguished from others.
const SMALLEST_HEAP: u64 = 4 << 20;
/// Sizes of the code cache with and without tiered compilation (`ReservedCodeCacheSize`); alignment
/// may add a page.
const CODE_CACHES: [u64; 2] = [240 << 20, 48 << 20];
/// The code cache begins with more than this (`InitialCodeCacheSize`), in bytes.
const SMALLEST_CODE: u64 = 1 << 20;
const CODE_CACHE: &str = "JVM code cache";

/// The collector, identified by its thread names, which the kernel truncates to 15 bytes.
pub(super) fn collector(labeller: &Labeller<'_>) -> Option<&'static str> {
    let threads = &labeller.facts.threads;
    let has = |start: &str| threads.iter().any(|thread| thread.comm.starts_with(start.as_bytes()));
    match () {
        () if has("G1 ") => Some("G1"),
        () if has("ZDirector") || has("ZDriver") => Some("ZGC"),
        () if has("Shenandoah") => Some("Shenandoah"),
        () if has("GC Thread#") => Some("Parallel"),
        () => None,
    }
}

pub(super) fn recognise(labeller: &mut Labeller<'_>, jvm: &Jvm) {
    z_heap(labeller, jvm);
    code_cache(labeller);
    let because = "libjvm is mapped, and size and granules are those of its metaspace";
    for space in metaspaces(labeller, CLASS_SPACE) {
        // Others reserve as much, but not after an archive.
        if space.is_class_space && archive(labeller, space.range.start) {
            space.label(labeller, Confidence::Likely, because);
        }
    }
    if !jvm.has_heap {
        heap(labeller, jvm);
    }
    for mut space in metaspaces(labeller, CLASS_SPACE) {
        if !space.is_class_space && space.is_bounded {
            // The class space may be this small too (`CompressedClassSpaceSize`).
            space.is_class_space = archive(labeller, space.range.start);
            // The kernel places no mapping this low on its own: it is the class space or a heap.
            if space.is_class_space || space.range.end > COMPRESSED_OOPS {
                space.label(labeller, Confidence::Likely, because);
            }
        }
    }
}

/// Labels the heap of ZGC, which maps a memfd, before JDK 21 in three places at once
/// (os/linux/gc/z/zPhysicalMemoryBacking_linux.cpp).
fn z_heap(labeller: &mut Labeller<'_>, jvm: &Jvm) {
    let is_heap = |kind| matches!(kind, Kind::Memfd { name: b"java_heap" });
    let rows = labeller.maps.iter().filter(|row| is_heap(row.kind()));
    let rows: Vec<AddressRange> = rows.map(|row| row.range).collect();
    for range in rows {
        let text = format!("heap of Java objects{}", jvm.by_collector());
        let because = "the name of this memfd is java_heap";
        labeller.label(range, &Label::new("JVM heap", Confidence::Certain, text, because));
        let Some(after) = labeller.row_at(range.end) else { continue };
        if is_anonymous(&after) && after.perms.none() {
            let because = "it follows the memfd of the heap";
            jvm.label_heap(labeller, after.range, Confidence::Likely, because);
        }
    }
}

/// Labels the code cache in a reservation of the default size. Libraries of a program, such as JNA
/// and libffi, have small memory with the same permissions.
fn code_cache(labeller: &mut Labeller<'_>) {
    if labeller.parts.values().any(|part| part.label.group == CODE_CACHE) {
        return;
    }
    for run in runs(labeller) {
        let codes = run.parts().iter().filter(|part| part.perms.write() && part.perms.execute());
        let codes: Vec<AddressRange> = codes.map(|part| part.range).collect();
        let (Some(first), Some(last)) = (codes.first(), codes.last()) else { continue };
        let page = labeller.page_size();
        let sizes = CODE_CACHES.iter().flat_map(|&size| [size, size.saturating_add(page)]);
        let ends = sizes.filter_map(|size| first.start.checked_add(size));
        let mut ends = ends.filter(|&end| end >= last.end && end <= run.range().end);
        let Some(end) = ends.find(|&end| run.may_end_at(end)) else { continue };
        let cache = AddressRange::new(first.start, end);
        let is_code = |part: &Part| part.perms.write() && part.perms.execute();
        if first.size() < SMALLEST_CODE
            || !run.within(cache).all(|part| part.perms.none() || is_code(&part))
        {
            continue;
        }
        let because = "libjvm is mapped, and it may be written and executed, in a reservation of the \
                       default size";
        let label = |text| Label::new(CODE_CACHE, Confidence::Likely, text, because);
        let reserved = label("reserved for compiled Java code");
        labeller.label_reservation(cache, &label("compiled Java code and stubs"), &reserved);
    }
}

/// Whether a class data archive (`.jsa`), mapped as a file, is directly below an address, apart
/// from its labelled reserve.
fn archive(labeller: &mut Labeller<'_>, end: u64) -> bool {
    let Some(start) = end.checked_sub(CLASS_SPACE_ALIGNMENT) else { return false };
    let place = labeller.maps.find(end - 1);
    let Some(last) = place.mapping.and_then(|at| labeller.maps.get(at)) else { return false };
    let below = || labeller.row_below(last.range.start).is_some_and(|row| is_archive(&row));
    if !is_archive(&last) && !below() {
        return false;
    }
    let label = Label::new(
        "JVM class data archive",
        Confidence::Likely,
        "reserved for the archive of class data (CDS)",
        "it surrounds the mapped archive, and the class space follows",
    );
    // Since JDK 25 a page may precede it.
    for part in runs_within(labeller, AddressRange::new(start, end)).iter().flat_map(Run::parts) {
        if part.perms.none() {
            labeller.label(part.range, &label);
        }
    }
    true
}

/// A part of the metaspace.
pub(super) struct Metaspace {
    pub(super) range: AddressRange,
    /// Whether it is the class space, whose addresses fit 32-bit class pointers.
    pub(super) is_class_space: bool,
    /// Whether a row ends at its end.
    is_bounded: bool,
}

impl Metaspace {
    pub(super) fn label(&self, labeller: &mut Labeller<'_>, confidence: Confidence, because: &str) {
        let what = match self.is_class_space {
            true => "classes of the JVM (compressed class space)",
            false => "data of classes of the JVM (metaspace)",
        };
        let group = if self.is_class_space { "JVM class space" } else { "JVM metaspace" };
        let used = Label::new(group, confidence, what, because);
        let reserved = Label::new(group, confidence, format!("reserved for {what}"), because);
        labeller.label_reservation(self.range, &used, &reserved);
    }
}

/// Ranges laid out as metaspace: a reservation of the size of a node or of the class space, in
/// which whole granules are accessible.
pub(super) fn metaspaces(labeller: &Labeller<'_>, class_space: u64) -> Vec<Metaspace> {
    let mut found: Vec<Metaspace> = Vec::new();
    for run in runs(labeller) {
        let mut done = 0;
        for part in run.parts().iter().filter(|part| !part.perms.none()) {
            let sizes = [
                (class_space, CLASS_SPACE_ALIGNMENT, true),
                (METASPACE_NODE, METASPACE_ALIGNMENT, false),
            ];
            // The kernel may have merged its start with memory below.
            let last = part.range.end.saturating_sub(1);
            let candidates = sizes.iter().flat_map(|&(size, alignment, is_class_space)| {
                let starts = [part.range.start, part.range.start.max(last - last % alignment)];
                let aligned = starts.into_iter().filter(move |start| start % alignment == 0);
                aligned.map(move |start| (start, start.checked_add(size), is_class_space))
            });
            for (start, end, is_class_space) in candidates {
                let Some(end) = end.filter(|_| start >= done) else { continue };
                let range = AddressRange::new(start, end);
                if is_metaspace(&run, range) {
                    let is_bounded = run.parts().iter().any(|part| part.range.end == end);
                    found.push(Metaspace { range, is_class_space, is_bounded });
                    done = end;
                    break;
                }
            }
        }
    }
    found
}

fn is_metaspace(run: &Run, range: AddressRange) -> bool {
    let parts: Vec<Part> = run.within(range).collect();
    let (reserved, used): (Vec<&Part>, Vec<&Part>) =
        parts.iter().partition(|part| part.perms.none());
    let is_granules = |part: &&Part| {
        let whole = |at: u64| at.is_multiple_of(COMMIT_GRANULE);
        let is_data = part.perms.read() && part.perms.write() && !part.perms.execute();
        is_data && whole(part.range.start) && whole(part.range.end)
    };
    // A glibc arena is one accessible row and a reserve, from a multiple of 64 MiB.
    let may_be_arena = range.size() == METASPACE_NODE
        && range.start.is_multiple_of(METASPACE_NODE)
        && used.len() == 1;
    range.end <= run.range().end
        && run.may_end_at(range.end)
        && !reserved.is_empty()
        && !may_be_arena
        && used.iter().all(is_granules)
}

/// Labels the Java heap below the limit of 32-bit references: the only large range there besides
/// the class space, which cannot be identified without an archive below it.
fn heap(labeller: &mut Labeller<'_>, jvm: &Jvm) {
    // ZGC has 64-bit references, and its heap is not private memory.
    if jvm.collector == Some("ZGC") {
        return;
    }
    let has_archive = labeller.maps.iter().any(|row| is_archive(&row));
    let mut heaps = low_stretches(labeller);
    let mut spaces = Vec::new();
    if !has_archive {
        for heap in &mut heaps {
            if let Some(space) = class_space_at_end(labeller, *heap) {
                *heap = heap.with_end(space.range.start);
                spaces.push(space);
            }
        }
    }
    heaps.retain(|heap| heap.size() >= SMALLEST_HEAP && heap.start >= LOWEST_HEAP);
    let [heap] = *heaps.as_slice() else { return };
    // Without an archive, the class space may be a part of it.
    let confidence = if has_archive { Confidence::Likely } else { Confidence::Guess };
    let because =
        "libjvm is mapped, and this is the only such memory within reach of 32-bit references";
    jvm.label_heap(labeller, heap, confidence, because);
    for space in spaces {
        let because = "libjvm is mapped, and it has the size and granules of the class space";
        space.label(labeller, confidence, because);
    }
}

/// Large unlabelled ranges below the limit of 32-bit references, including archives of objects
/// mapped into the heap.
fn low_stretches(labeller: &Labeller<'_>) -> Vec<AddressRange> {
    let mut stretches: Vec<AddressRange> = Vec::new();
    let is_part = |row: &Mapping<'_>| {
        is_anonymous(row) && !row.perms.execute() && !labeller.is_labelled(row.range)
    };
    let low = labeller.maps.iter().take_while(|row| row.range.end <= COMPRESSED_OOPS);
    for row in low {
        match stretches.last_mut() {
            Some(last) if last.end == row.range.start && (is_part(&row) || is_archive(&row)) => {
                *last = last.with_end(row.range.end);
            }
            _ if is_part(&row) => stretches.push(row.range),
            _ => {}
        }
    }
    stretches.retain(|stretch| stretch.size() >= SMALLEST_HEAP);
    stretches
}

fn class_space_at_end(labeller: &Labeller<'_>, stretch: AddressRange) -> Option<Metaspace> {
    let start = stretch.end.checked_sub(CLASS_SPACE).filter(|start| *start >= stretch.start)?;
    let run = runs_within(labeller, stretch).pop()?;
    let range = AddressRange::new(start, stretch.end);
    let begins = run.parts().iter().any(|part| part.range.start == start && !part.perms.none());
    let fits = begins && start.is_multiple_of(CLASS_SPACE_ALIGNMENT) && is_metaspace(&run, range);
    fits.then_some(Metaspace { range, is_class_space: true, is_bounded: true })
}

fn is_archive(row: &Mapping<'_>) -> bool {
    row.name.ends_with(b".jsa")
}
