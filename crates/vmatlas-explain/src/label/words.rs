//! Sizes and names in the text of labels.

pub(super) use vmatlas_maps::size::long as size;

/// The last part of a path.
pub(super) fn file_name(path: &[u8]) -> String {
    String::from_utf8_lossy(last_part(path)).into_owned()
}

/// The bytes of the last part of a path.
pub(super) fn last_part(path: &[u8]) -> &[u8] {
    let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
    path.rsplit(|&b| b == b'/').next().unwrap_or(path)
}
