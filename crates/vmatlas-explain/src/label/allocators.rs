//! Allocators that replace the C library's.

use super::words::file_name;
use super::{Confidence, ImageFacts, Label, Labeller, Sign, is_unnamed_memory};
use crate::frames;
use vmatlas_maps::{AddressRange, Kind};

pub(super) const JEMALLOC: Sign =
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
