//! Shared functions of the glibc recognisers.

use super::{Label, Labeller, Sign};
use vmatlas_maps::{AddressRange, Kind};

/// Whether the program uses glibc: the shared library, or its malloc in a static program with
/// symbols.
pub(super) fn has_glibc(labeller: &Labeller<'_>) -> bool {
    /// The second symbol belongs to its malloc only.
    const GLIBC: Sign = Sign {
        symbols: &["gnu_get_libc_version", "__libc_mallopt"],
        files: &["libc.so.6", "libc-2."],
    };
    labeller.file_with(&GLIBC).is_some()
}

/// Labels the inaccessible part at the start of a range.
pub(super) fn label_reserve(labeller: &mut Labeller<'_>, range: AddressRange, label: &Label) {
    if let Some(row) = labeller.row_at(range.start)
        && row.perms.none()
        && row.kind() == Kind::Anonymous
    {
        let end = row.range.end.min(range.end);
        labeller.label(AddressRange::new(range.start, end), label);
    }
}
