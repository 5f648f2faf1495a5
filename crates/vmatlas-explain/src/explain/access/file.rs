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
    let offset = address.wrapping_sub(row.range.start).wrapping_add(row.offset);
    let file = match row.kind() {
        Kind::File | Kind::Memfd { .. } | Kind::SharedAnonymous | Kind::SysvShm { .. } => true,
        _ => row.inode != 0 || !row.name.is_empty(),
    };
    if !file || row.kind() == Kind::HugeAnonymous {
        return Conclusion::new(
            Cause::MemoryFailure,
            Confidence::Likely,
            "There is no memory behind the address: no huge page was left, or a userfaultfd says \
             so.",
            format!("{code}, and no file is mapped there"),
        );
    }
    match evidence.place.file_size {
        Some(size) if offset >= size => Conclusion::new(
            Cause::PastFile,
            Confidence::Certain,
            format!(
                "The mapping goes on beyond the end of its file: the access is at offset \
                 {offset:#x}, and {} has {} now. It was cut after it was mapped, or never was as \
                 long.",
                name(row.name),
                words::bytes(size)
            ),
            format!("{code}, and the file ends before"),
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
                "The mapping goes on beyond the end of its file, {}: the access is at offset \
                 {offset:#x}. The file was cut after it was mapped, or never was as long.",
                name(row.name)
            ),
            format!("{code} in a mapping of a file whose size is not known"),
        ),
    }
}
