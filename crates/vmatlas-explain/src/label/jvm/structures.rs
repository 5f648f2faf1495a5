//! Labels from HotSpot's structures.

use super::super::runs::{Run, runs_within};
use super::super::words::size;
use super::super::{Confidence, Label, Labeller};
use super::vm_structs::VmStructs;
use super::{Jvm, layout};
use std::collections::BTreeSet;
use vmatlas_maps::AddressRange;

/// Longest list that is followed.
const MAX_LOADERS: usize = 4096;
const MAX_CLASSES: usize = 1 << 14;
const MAX_THREADS: u32 = 1 << 16;

/// The options that choose a collector, and the collector's name.
const COLLECTORS: [(&str, &str); 6] = [
    ("UseSerialGC", "Serial"),
    ("UseParallelGC", "Parallel"),
    ("UseG1GC", "G1"),
    ("UseZGC", "ZGC"),
    ("UseShenandoahGC", "Shenandoah"),
    ("UseEpsilonGC", "Epsilon"),
];

pub(super) fn recognise(labeller: &mut Labeller<'_>, structs: &VmStructs<'_>, jvm: &mut Jvm) {
    let options = COLLECTORS.map(|(option, _)| option);
    let sizes = ["CompressedClassSpaceSize", "MarkStackSize"];
    let options = structs.options(&[sizes.as_slice(), options.as_slice()].concat());
    let (sizes, chosen) = options.split_at(sizes.len());
    let is_set = |address: &Option<u64>| address.and_then(|at| structs.peek.byte(at)) == Some(1);
    let collector = COLLECTORS.iter().zip(chosen).find(|(_, option)| is_set(option));
    jvm.collector = collector.map(|((_, name), _)| *name).or(jvm.collector);
    let mut sizes = sizes.iter().map(|option| option.and_then(|at| structs.peek.u64(at)));
    let class_space = sizes.next().flatten();
    jvm.mark_stack = sizes.next().flatten().and_then(|entries| entries.checked_mul(8));
    if let Some(heap) = heap(structs) {
        jvm.has_heap = true;
        let because = "HotSpot's CollectedHeap has these addresses";
        jvm.label_heap(labeller, heap, Confidence::Certain, because);
    }
    code_cache(labeller, structs);
    card_table(labeller, structs);
    class_data(labeller, structs);
    metaspace(labeller, structs, class_space.unwrap_or(layout::CLASS_SPACE));
    threads(labeller, structs);
}

fn range(start: Option<u64>, end: Option<u64>) -> Option<AddressRange> {
    Some(AddressRange::new(start?, end?)).filter(|range| range.size() > 0)
}

/// `Universe::_collectedHeap->_reserved`, which ZGC leaves empty.
fn heap(structs: &VmStructs<'_>) -> Option<AddressRange> {
    let heap = structs.value("Universe", "_collectedHeap")?;
    let reserved = structs.address(heap, "CollectedHeap", "_reserved")?;
    let start = structs.of_object(reserved, "MemRegion", "_start")?;
    let words = structs.of_object(reserved, "MemRegion", "_word_size")?;
    range(Some(start), start.checked_add(words.checked_mul(8)?))
}

fn certain(group: &'static str, text: &str, because: &str) -> Label {
    Label::new(group, Confidence::Certain, text, because)
}

fn code_cache(labeller: &mut Labeller<'_>, structs: &VmStructs<'_>) {
    let bound = |field| structs.value("CodeCache", field);
    if let Some(cache) = range(bound("_low_bound"), bound("_high_bound")) {
        let because = "HotSpot's CodeCache has these addresses";
        let code = certain("JVM code cache", "compiled Java code and stubs", because);
        let reserved = certain("JVM code cache", "reserved for compiled Java code", because);
        labeller.label_reservation(cache, &code, &reserved);
    }
    let because = "HotSpot's CodeHeap has its segment map here";
    let map = certain("JVM code cache", "map of the segments of the code cache", because);
    let text = "reserved for the map of the segments of the code cache";
    let reserved = certain("JVM code cache", text, because);
    for segments in segment_maps(structs).into_iter().flatten() {
        labeller.label_reservation(segments, &map, &reserved);
    }
}

/// `_segmap` of each of `CodeCache::_heaps`.
fn segment_maps(structs: &VmStructs<'_>) -> Option<Vec<AddressRange>> {
    let heaps = structs.value("CodeCache", "_heaps")?;
    let count = structs.peek.u32(structs.address(heaps, "GrowableArrayBase", "_len")?)?;
    let data = structs.of_object(heaps, "GrowableArray<int>", "_data")?;
    let map = |index: u32| {
        let heap = structs.peek.u64(data.checked_add(u64::from(index) * 8)?)?;
        let map = structs.address(heap, "CodeHeap", "_segmap")?;
        let boundary = |field| structs.of_object(map, "VirtualSpace", field);
        range(boundary("_low_boundary"), boundary("_high_boundary"))
    };
    // There are at most three.
    Some((0..count.min(8)).filter_map(map).collect())
}

/// `CardTable::_byte_map` of the barriers of the collectors that have one.
fn card_table(labeller: &mut Labeller<'_>, structs: &VmStructs<'_>) {
    let found = || {
        let barriers = structs.value("BarrierSet", "_barrier_set")?;
        let table = structs.of_object(barriers, "CardTableBarrierSet", "_card_table")?;
        let start = structs.of_object(table, "CardTable", "_byte_map")?;
        let length = structs.of_object(table, "CardTable", "_byte_map_size")?;
        // Other barriers have different data in these fields.
        let fits = start.is_multiple_of(labeller.page_size()) && length < 1 << 40;
        range(Some(start), start.checked_add(length)).filter(|_| fits)
    };
    let Some(table) = found() else { return };
    let because = "HotSpot's CardTable has its bytes here";
    let label = certain("JVM GC data", "card table of the Java heap", because);
    let reserved = certain("JVM GC data", "reserved for the card table of the Java heap", because);
    labeller.label_reservation(table, &label, &reserved);
}

/// The class data sharing archive, and the class space that follows it.
fn class_data(labeller: &mut Labeller<'_>, structs: &VmStructs<'_>) {
    let shared = |field| structs.value("MetaspaceObj", field);
    let Some(archive) = range(shared("_shared_metaspace_base"), shared("_shared_metaspace_top"))
    else {
        return;
    };
    // Both are reserved together, so that a 32-bit class pointer has one base.
    let Some(end) = archive.end.checked_next_multiple_of(layout::CLASS_SPACE_ALIGNMENT) else {
        return;
    };
    let because = "HotSpot has its shared metaspace at these addresses";
    let label = |text| certain("JVM class data archive", text, because);
    let data = label("archive of class data (CDS)");
    let reserved = label("reserved for the archive of class data (CDS)");
    labeller.label_reservation(archive, &data, &reserved);
    let because = "HotSpot's shared metaspace ends below, and a class space may follow";
    let text = "reserved for the archive of class data (CDS)";
    let label = Label::new("JVM class data archive", Confidence::Likely, text, because);
    let between = runs_within(labeller, AddressRange::new(archive.end, end));
    for part in between.iter().flat_map(Run::parts).filter(|part| part.perms.none()) {
        labeller.label(part.range, &label);
    }
}

/// Labels the metaspace by the classes of all class loaders: the `Klass` of a class is in the class
/// space, unless it comes from the archive, and its constant pool in the rest.
fn metaspace(labeller: &mut Labeller<'_>, structs: &VmStructs<'_>, class_space: u64) {
    let (klasses, pools) = classes(structs);
    let because = "classes that HotSpot knows, or their constant pools, lie here";
    let count = |range: AddressRange| {
        let within = |found: &BTreeSet<u64>| found.range(range.start..range.end).count();
        (within(&klasses), within(&pools))
    };
    // Memory with the same size and granules may be the rest. It contains classes too if class
    // pointers have 64 bits, but hardly more of them than constant pools.
    for space in layout::metaspaces(labeller, class_space) {
        let (klasses, pools) = count(space.range);
        if space.is_class_space && klasses > pools.saturating_mul(2) {
            space.label(labeller, Confidence::Certain, because);
        }
    }
    for mut space in layout::metaspaces(labeller, layout::METASPACE_NODE) {
        space.is_class_space = false;
        if count(space.range) != (0, 0) {
            space.label(labeller, Confidence::Certain, because);
        }
    }
}

/// The addresses of classes and constant pools.
fn classes(structs: &VmStructs<'_>) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let (mut klasses, mut pools) = (BTreeSet::new(), BTreeSet::new());
    let mut loader = structs.value("ClassLoaderDataGraph", "_head");
    for _ in 0..MAX_LOADERS {
        let Some(at) = loader.filter(|&at| at != 0) else { break };
        let mut klass = structs.of_object(at, "ClassLoaderData", "_klasses");
        while let Some(at) = klass.filter(|&at| at != 0 && klasses.len() < MAX_CLASSES) {
            // Stops in a loop too, as a list may change during the walk.
            if !klasses.insert(at) {
                break;
            }
            // In an array class, this field is another class.
            pools.extend(structs.of_object(at, "InstanceKlass", "_constants"));
            klass = structs.of_object(at, "Klass", "_next_link");
        }
        loader = structs.of_object(at, "ClassLoaderData", "_next");
    }
    pools.retain(|pool| !klasses.contains(pool));
    (klasses, pools)
}

/// Labels the guard zones of Java threads, which are inside the stack that the C library knows
/// (share/runtime/stackOverflow.hpp).
fn threads(labeller: &mut Labeller<'_>, structs: &VmStructs<'_>) {
    let Some(list) = structs.value("ThreadsSMRSupport", "_java_thread_list") else { return };
    let count = || structs.peek.u32(structs.address(list, "ThreadsList", "_length")?);
    let Some(array) = structs.of_object(list, "ThreadsList", "_threads") else { return };
    for index in 0..count().unwrap_or(0).min(MAX_THREADS) {
        let thread = array
            .checked_add(u64::from(index) * 8)
            .and_then(|at| structs.peek.u64(at))
            .unwrap_or(0);
        guard_zones(labeller, structs, thread);
    }
}

fn guard_zones(labeller: &mut Labeller<'_>, structs: &VmStructs<'_>, thread: u64) -> Option<()> {
    let base = structs.of_object(thread, "JavaThread", "_stack_base")?;
    let length = structs.of_object(thread, "JavaThread", "_stack_size")?;
    let bottom = base.checked_sub(length)?;
    let row = labeller.row_at(bottom)?;
    let zones = AddressRange::new(bottom, row.range.end);
    if !row.perms.none() || zones.size() > 1 << 20 || zones.end >= base {
        return None;
    }
    let system = structs
        .of_object(thread, "Thread", "_osthread")
        .or_else(|| structs.of_object(thread, "JavaThread", "_osthread"));
    let id = structs.peek.u32(structs.address(system?, "OSThread", "_thread_id")?)?;
    let text = format!("guard zones (yellow, red) of Java thread {id}, {}", size(zones.size()));
    let because = format!("HotSpot's JavaThread at {thread:#x} has its stack from here");
    labeller.label(zones, &Label::new("guard", Confidence::Certain, text, because));
    Some(())
}
