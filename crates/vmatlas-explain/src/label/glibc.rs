//! Shared functions of the glibc recognisers.

use super::words::file_name;
use super::{ImageFacts, Label, Labeller, Sign};
use vmatlas_maps::{AddressRange, Kind};

/// The second symbol belongs to its malloc only.
const GLIBC: Sign =
    Sign { symbols: &["gnu_get_libc_version", "__libc_mallopt"], files: &["libc.so.6", "libc-2."] };

/// Whether the program uses glibc: the shared library, or its malloc in a static program with
/// symbols.
pub(super) fn has_glibc(labeller: &Labeller<'_>) -> bool {
    labeller.file_with(&GLIBC).is_some()
}

/// Whether an image is glibc, or a static program with it.
pub(super) fn is_in(image: &ImageFacts) -> bool {
    let name = file_name(&image.name);
    GLIBC.symbols.iter().any(|symbol| image.symbol(symbol).is_some())
        || GLIBC.files.iter().any(|prefix| name.starts_with(prefix))
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
