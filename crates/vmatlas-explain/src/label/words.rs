//! Sizes and names in the text of labels.

pub(super) use vmatlas_maps::size::long as size;

/// The last part of a path.
pub(super) fn file_name(path: &[u8]) -> String {
    let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
    let name = path.rsplit(|&b| b == b'/').next().unwrap_or(path);
    String::from_utf8_lossy(name).into_owned()
}
