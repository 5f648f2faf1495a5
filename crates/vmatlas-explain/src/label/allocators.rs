//! Allocators that replace the C library's: jemalloc and tcmalloc, recognised by their shapes.

use super::words::file_name;
use super::{Confidence, ImageFacts, Label, Labeller, Sign, is_unnamed_memory, others};
use crate::frames;
use std::collections::{BTreeSet, HashSet};
use vmatlas_maps::AddressRange;
use vmatlas_maps::{KernelVersion, Kind};

const JEMALLOC: Sign =
    Sign { symbols: &["mallctl", "je_mallctl", "_rjem_mallctl"], files: &[frames::JEMALLOC] };
const TCMALLOC: Sign = Sign {
    symbols: &["MallocExtension_GetNumericProperty", "MallocExtension_Internal_GetNumericProperty"],
    files: &[frames::TCMALLOC],
};
/// The tcmalloc of gperftools, which uses the program break. That of Google's own repository does
/// not.
const GPERFTOOLS: Sign =
    Sign { symbols: &["MallocExtension_GetNumericProperty"], files: &[frames::TCMALLOC] };
pub(super) const MIMALLOC: Sign =
    Sign { symbols: &["_mi_heap_main", "mi_version"], files: &[frames::MIMALLOC] };

/// Whether an allocator replaces the C library's.
pub(super) fn replaced(labeller: &Labeller<'_>) -> bool {
    known(labeller).next().is_some()
}

/// The name of a file with a `malloc` that is not the C library's.
pub(super) fn other_malloc(labeller: &Labeller<'_>) -> Option<String> {
    /// The C libraries and their dynamic linkers, some of which define it, too.
    const C_LIBRARIES: [&str; 7] =
        ["libc.", "libc-2.", "ld-", "ld.so", "ld64.so", "ld32.so", "libuClibc"];
    let is_other = |image: &&ImageFacts| {
        let name = file_name(&image.name);
        image.symbol("malloc").is_some()
            && !C_LIBRARIES.iter().any(|prefix| name.starts_with(prefix))
            // A static program.
            && !super::glibc::is_in(image)
    };
    labeller.facts.images.iter().find(is_other).map(|image| file_name(&image.name))
}

/// The names of these allocators, as far as the process contains them.
pub(super) fn known(labeller: &Labeller<'_>) -> impl Iterator<Item = &'static str> {
    let signs = [("jemalloc", JEMALLOC), ("tcmalloc", TCMALLOC), ("mimalloc", MIMALLOC)];
    signs.into_iter().filter(|(_, sign)| labeller.file_with(sign).is_some()).map(|(name, _)| name)
}

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    jemalloc(labeller, Step::Known);
}

/// Labels memory that only resembles an allocator's.
pub(super) fn recognise_guesses(labeller: &mut Labeller<'_>) {
    jemalloc(labeller, Step::Shapes);
}

/// Which evidence for jemalloc is used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Its own data, or its shapes if nothing else maps memory.
    Known,
    /// Its shapes, whatever else is in the process.
    Shapes,
}

/// Labels jemalloc 5. It maps memory in its larger size classes, from 2 MiB on, and keeps it (the
/// option `retain`). Its mappings are multiples of 512 KiB and mostly aligned to that, and its own
/// data points to their starts.
fn jemalloc(labeller: &mut Labeller<'_>, step: Step) {
    const STEP: u64 = 512 << 10;
    let Some(file) = labeller.file_with(&JEMALLOC) else { return };
    let text = "jemalloc: memory for blocks and its own data";
    let label = |confidence, because: &str, but: &str| {
        let because = format!("{because} jemalloc, which is in {file}{but}");
        Label::new("jemalloc", confidence, text, because)
    };
    const ALIGNED: &str = "it begins and ends at multiples of 512 KiB, like the mappings of";
    let is_aligned =
        |range: &AddressRange| range.start.is_multiple_of(STEP) && range.end.is_multiple_of(STEP);
    if step == Step::Shapes {
        let aligned = label(Confidence::Guess, ALIGNED, ", but so is other memory");
        let because = "its size is a multiple of 512 KiB, like the mappings of";
        let steps = label(Confidence::Guess, because, "");
        for range in free_rows(labeller) {
            if is_aligned(&range) {
                labeller.label(range, &aligned);
            } else if range.size().is_multiple_of(STEP) {
                labeller.label(range, &steps);
            }
        }
        return;
    }
    let image = labeller.image_with(&JEMALLOC);
    let known = image.map(|image| pointers_of(labeller, image)).unwrap_or_default();
    // Huge pages, other allocators and the heaps of runtimes are aligned to 512 KiB, too, and newer
    // kernels align all large mappings.
    let is_aligned_by_kernel =
        labeller.facts.kernel.is_none_or(|kernel| kernel >= KernelVersion::new(6, 7, 0));
    let program = labeller.files.first().copied();
    let is_own = |path: &[u8], name: &str| name == file || Some(path) == program;
    let is_alone = labeller.memory.is_none()
        && !is_aligned_by_kernel
        && others::other_than(labeller, "jemalloc").is_none()
        && others::unknown_code(labeller, is_own).is_none();
    let aligned = label(Confidence::Likely, ALIGNED, ", and no other allocator is known here");
    let pointed = label(Confidence::Likely, "its start is among the addresses in the data of", "");
    for range in free_rows(labeller) {
        if known.contains(&range.start) && range.size() >= STEP {
            labeller.label(range, &pointed);
        } else if is_alone && is_aligned(&range) {
            labeller.label(range, &aligned);
        }
    }
}

/// The addresses found in the rows that an allocator's data points to, where it describes its
/// memory. Only page starts count.
fn pointers_of(labeller: &Labeller<'_>, image: &ImageFacts) -> HashSet<u64> {
    /// jemalloc's metadata takes a hundredth of the memory described.
    const MAX: u64 = 64 << 20;
    /// Bytes that are read at once.
    const PIECE: u64 = 256 << 10;
    let mut found = HashSet::new();
    let Some(memory) = labeller.memory else { return found };
    let word = labeller.word_size() as usize;
    let mut left = MAX;
    let mut bytes = vec![0; PIECE as usize];
    // Passes on a range in pieces.
    let mut read = |mut range: AddressRange, each: &mut dyn FnMut(&[u8])| {
        while range.start < range.end && left > 0 {
            let size = range.size().min(left).min(PIECE);
            let piece = &mut bytes[..size as usize];
            let length = memory.read(range.start, piece);
            each(&piece[..length]);
            if length < piece.len() {
                break;
            }
            left -= size;
            range = AddressRange::new(range.start + size, range.end);
        }
    };
    let mut rows = BTreeSet::new();
    for (segment, _, _) in image.segments.iter().filter(|(_, _, writable)| *writable) {
        read(*segment, &mut |bytes| {
            for pointer in super::pointers(bytes, word) {
                let row = labeller.row_at(pointer).filter(is_unnamed_memory);
                rows.extend(row.map(|row| row.range));
            }
        });
    }
    for row in rows {
        // Memory with other labels, such as stacks, is excluded.
        for free in labeller.unlabelled(row) {
            read(free, &mut |bytes| {
                let pages = super::pointers(bytes, word);
                found.extend(pages.filter(|pointer| pointer.is_multiple_of(labeller.page_size())));
            });
        }
    }
    found
}

/// The label of the program break if gperftools' tcmalloc allocates from it, as it does if it can;
/// `None` if the C library's malloc was there first.
pub(super) fn tcmalloc_break(labeller: &Labeller<'_>) -> Option<Label> {
    let file = labeller.file_with(&GPERFTOOLS)?;
    // Libraries are mapped from high to low addresses as they are loaded. A library before the C
    // library replaces its functions; one that is opened later does not.
    let start = |matches: &dyn Fn(&str) -> bool| {
        let mut rows = labeller.maps.iter().filter(|row| row.kind() == Kind::File);
        rows.find(|row| matches(&file_name(row.name))).map(|row| row.range.start)
    };
    let library = start(&|name| name.starts_with("libc.so") || name.starts_with("libc-2."));
    let is_program = labeller.files.first().is_some_and(|path| file_name(path) == file);
    let is_opened_later = start(&|name| name == file) < library;
    if is_opened_later && !is_program {
        return None;
    }
    let because = format!(
        "the kernel calls it [heap], and tcmalloc, which is in {file}, takes memory from there first"
    );
    let text = "tcmalloc: memory for blocks and its own data (the program break)";
    Some(Label::new("tcmalloc", Confidence::Likely, text, because))
}

/// The rows of the program break. The kernel calls every mapping `[heap]` that touches it
/// (`vma_is_initial_heap`), such as the range for code that V8 reserves near the program.
pub(super) fn program_break(labeller: &Labeller<'_>) -> Vec<AddressRange> {
    let start = labeller.facts.start_brk.unwrap_or(0);
    let heaps = labeller.maps.iter().filter(|row| {
        row.kind() == Kind::Heap
            && row.perms.read()
            && row.perms.write()
            && !row.perms.execute()
            && row.range.end > start
    });
    heaps.map(|row| row.range).collect()
}

/// Private anonymous memory without a label: rows, or parts of rows.
pub(super) fn free_rows(labeller: &Labeller<'_>) -> Vec<AddressRange> {
    let rows = labeller.maps.iter().filter(is_unnamed_memory);
    rows.flat_map(|row| labeller.unlabelled(row.range)).collect()
}
