//! Memory that the dynamic linker allocates: the thread-local storage of the first thread, and
//! allocations before malloc is available.

use super::words::file_name;
use super::{Confidence, ImageFacts, Label, Labeller, exclusion, is_unnamed_memory, musl};
use std::collections::BTreeMap;
use vmatlas_maps::AddressRange;
use vmatlas_maps::Kind;

/// It maps no more at a time, except for programs with much thread-local storage.
const LARGEST: u64 = 256 << 10;
/// Upper limit of its data in bytes: 10 KiB in glibc 2.36.
const MAX_DATA: u64 = 64 << 10;

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    by_pointers(labeller);
    if labeller.memory.is_none() {
        by_place(labeller);
    }
}

/// Small rows that memory has not explained otherwise.
pub(super) fn recognise_rest(labeller: &mut Labeller<'_>) {
    by_place(labeller);
}

/// The control block of the first thread, with its thread-local storage below it.
pub(super) fn recognise_first_thread(labeller: &mut Labeller<'_>) {
    let all = super::glibc_threads::all(labeller);
    let Some(first) = all.iter().find(|p| p.stack.is_none() && Some(p.tid) == labeller.facts.pid)
    else {
        return;
    };
    let Some(range) = storage(labeller, first.address) else { return };
    let text = "memory of the dynamic linker: thread-local storage of the first thread";
    let because = format!("the first thread's struct pthread is here, at {:#x}", first.address);
    labeller.label(range, &Label::new("loader", Confidence::Certain, text, because));
}

/// From the lowest thread-local storage below a thread's control block to the end of the block. Its
/// second word points to the addresses of each library's storage (`dtv_t`, two words each, after a
/// count: sysdeps/generic/dl-dtv.h of glibc).
fn storage(labeller: &Labeller<'_>, block: u64) -> Option<AddressRange> {
    /// The storage of further libraries is allocated on demand elsewhere.
    const MAX_LIBRARIES: u64 = 64;
    /// Upper limit of the size of `struct pthread`, in bytes.
    const BLOCK: u64 = 0x900;
    let word = labeller.word_size();
    let entries = labeller.word(block.checked_add(word)?)?;
    let addresses = (1..=MAX_LIBRARIES)
        .map_while(|n| labeller.word(entries.checked_add(n * 2 * word)?))
        .filter(|at| block.checked_sub(*at).is_some_and(|below| below < LARGEST));
    let (page, first) = (labeller.page_size(), addresses.min().unwrap_or(block));
    let end = block.checked_add(BLOCK)?.checked_next_multiple_of(page)?;
    let row = labeller.row_at(block).filter(is_unnamed_memory)?;
    let start = (first - first % page).max(row.range.start);
    Some(AddressRange::new(start, end.min(row.range.end)))
}

/// The unlabelled part of a row that contains an address: the kernel merges it with .bss.
fn small_part(labeller: &Labeller<'_>, address: u64) -> Option<AddressRange> {
    let row = labeller.row_at(address).filter(is_unnamed_memory)?;
    let mut parts = labeller.unlabelled(row.range).into_iter();
    // Memory above a guard is a stack: glibc's linker has the list of all threads.
    let is_small = |part: &AddressRange| {
        part.size() <= LARGEST && !exclusion::follows_guard(labeller, part.start)
    };
    parts.find(|part| part.contains(address) && is_small(part))
}

/// Labels memory that the dynamic linker's data points to.
fn by_pointers(labeller: &mut Labeller<'_>) {
    let Some(memory) = labeller.memory else { return };
    // The linker of musl is its whole C library, whose data points to stacks and blocks.
    if musl::is_used(labeller) {
        return;
    }
    let Some(linker) = labeller.facts.images.iter().find(|image| is_linker(image)) else { return };
    first_stack(labeller, linker);
    let word = labeller.word_size() as usize;
    // Each with the lowest pointer to it: below may be memory of another mapping.
    let mut parts: BTreeMap<AddressRange, u64> = BTreeMap::new();
    for (range, _, writable) in &linker.segments {
        if !writable {
            continue;
        }
        let size = range.size().min(MAX_DATA);
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        let length = memory.read(range.start, &mut bytes);
        for pointer in super::pointers(bytes.get(..length).unwrap_or_default(), word) {
            if let Some(part) = small_part(labeller, pointer) {
                let lowest = parts.entry(part).or_insert(pointer);
                *lowest = pointer.min(*lowest);
            }
        }
    }
    let page = labeller.page_size();
    let because = format!("the data of {} points here", file_name(&linker.name));
    let text = "memory of the dynamic linker";
    let label = Label::new("loader", Confidence::Likely, text, because);
    for (part, lowest) in parts {
        let start = part.start.max(lowest - lowest % page);
        labeller.label(AddressRange::new(start, part.end), &label);
    }
}

/// Labels the first thread's stack, to which the linker points, too, where the kernel does not name
/// it because another program made it, such as an emulator.
fn first_stack(labeller: &mut Labeller<'_>, linker: &ImageFacts) {
    let Some(end) = linker.symbol("__libc_stack_end") else { return };
    let Some(row) = labeller.word(end).and_then(|end| labeller.row_at(end)) else { return };
    if !is_unnamed_memory(&row) {
        return;
    }
    let text = "stack of the first thread";
    let because = format!("__libc_stack_end of {} points here", file_name(&linker.name));
    labeller.label(row.range, &Label::new("thread stack", Confidence::Likely, text, because));
}

fn is_linker(image: &ImageFacts) -> bool {
    image.symbol("_rtld_global").is_some() || file_name(&image.name).starts_with("ld-")
}

/// Labels small rows directly below a library or a kernel mapping: the dynamic linker makes the
/// last mappings before the program starts, from high to low addresses.
fn by_place(labeller: &mut Labeller<'_>) {
    let maps = labeller.maps;
    let mut found = Vec::new();
    for (row, next) in maps.iter().zip(maps.iter().skip(1)) {
        let is_library = next.kind() == Kind::File && next.offset == 0 && !next.perms.write();
        let touches = row.range.end == next.range.start
            && (is_library || matches!(next.kind(), Kind::Vvar | Kind::Vdso));
        if touches && is_unnamed_memory(&row) {
            let parts = labeller.unlabelled(row.range).into_iter();
            found.extend(parts.filter(|p| p.end == row.range.end && p.size() <= 32 << 10));
        }
    }
    let label = Label::new(
        "loader",
        Confidence::Guess,
        "memory of the dynamic linker",
        "it is small and lies directly below a library, as the memory that the linker maps when a \
         program starts",
    );
    for row in found {
        labeller.label(row, &label);
    }
}
