//! Accesses to mappings without memory behind them.

use crate::explain::{Cause, Conclusion, Evidence, name, words};
use crate::label::Confidence;
use vmatlas_maps::Kind;
use vmatlas_maps::Mapping;

/// `BUS_ADRERR`: the mapping has no memory behind it, mostly because the file is shorter.
pub(super) fn no_memory(
    evidence: &Evidence<'_>,
    address: u64,
    mapped: Option<Mapping<'_>>,
) -> Conclusion {
    let code = "si_code is BUS_ADRERR";
    let Some(row) = mapped else {
        return Conclusion::new(
            Cause::PastFile,
            Confidence::Likely,
            "There is no memory behind the address: a file is mapped there that ends before, \
             most likely, for it was cut after it was mapped.",
            code,
        );
    };
    let failed = |sentence: &str, because: &str| {
        let because = format!("{code}, and {because}");
        Conclusion::new(Cause::MemoryFailure, Confidence::Likely, sentence, because)
    };
    match row.kind() {
        Kind::File
        | Kind::Memfd { .. }
        | Kind::SharedAnonymous
        | Kind::NamedSharedAnonymous { .. }
        | Kind::SysvShm { .. }
        | Kind::Secretmem => {}
        Kind::Anonymous
        | Kind::NamedAnonymous { .. }
        | Kind::Heap
        | Kind::Stack
        | Kind::ThreadStack { .. } => {
            return failed(
                "There is no memory behind the address: the page could not be read back from \
                 swap, or a userfaultfd says so.",
                "no file is mapped there",
            );
        }
        Kind::HugeAnonymous => {
            return failed(
                "There is no memory behind the address: no huge page was left, or a userfaultfd \
                 says so.",
                "no file is mapped there",
            );
        }
        _ => {
            return failed(
                "The device or the part of the kernel behind the mapping could not give that page.",
                "no regular file is mapped there",
            );
        }
    }
    past_end(evidence, &row, address.wrapping_sub(row.range.start).wrapping_add(row.offset))
}

/// An access to a mapped file at an offset for which it has no page.
fn past_end(evidence: &Evidence<'_>, row: &Mapping<'_>, offset: u64) -> Conclusion {
    let code = "si_code is BUS_ADRERR";
    // A file that has the name of one that was removed is another.
    let same = row.file_name().is_some_and(|file| file.deleted != Some(true) && !file.ambiguous);
    let named = match name(row.name) {
        empty if empty.is_empty() => String::new(),
        named => format!(", {named}"),
    };
    match evidence.place.file_size.filter(|_| same) {
        Some(size) if offset >= size => Conclusion::new(
            Cause::PastFile,
            Confidence::Likely,
            format!(
                "The mapping goes on beyond the end of its file: the access is at offset \
                 {offset:#x}, and {} has {} now. It was cut after it was mapped, or never was as \
                 long.",
                name(row.name),
                words::bytes(size)
            ),
            format!("{code}, and the file that has this name now ends before"),
        ),
        Some(size) => Conclusion::new(
            Cause::MemoryFailure,
            Confidence::Guess,
            format!(
                "The file could not give that page: its file system is full or has failed, or \
                 the file was shorter at that time (now it has {}).",
                words::bytes(size)
            ),
            format!("{code}, though offset {offset:#x} is within the file today"),
        ),
        None => Conclusion::new(
            Cause::PastFile,
            Confidence::Likely,
            format!(
                "The mapping goes on beyond the end of its file{named}, or the file could not give \
                 that page: the access is at offset {offset:#x}. The file was cut after it was \
                 mapped, or never was as long; or its file system is full, has no huge page left, \
                 or has failed."
            ),
            format!("{code} in a mapping of a file whose size is not known"),
        ),
    }
}
