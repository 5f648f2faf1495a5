//! Converts the text of maps to rows of a region.

use crate::page_size;
use std::path::Path;
use vmatlas_maps::{RowError, rows};
use vmatlas_space::scenario::{KernelRow, Region};

/// The number of pages of a region.
fn pages(region: Region) -> u64 {
    match region {
        Region::Plain | Region::Heap => 1 << 20,
        Region::Stack => 1040,
    }
}

/// The rows of a text in scenario form, cut to the region.
pub(super) fn kernel_rows(
    text: &[u8],
    region: Region,
    base: u64,
    directory: Option<&Path>,
) -> impl Iterator<Item = Result<KernelRow, RowError>> {
    let page_size = page_size() as u64;
    let end = base + pages(region) * page_size;
    let directory = directory.map(|directory| directory.as_os_str().as_encoded_bytes());
    rows(text).map(move |row| {
        let row = row?;
        let (from, to) = (row.range.start.max(base), row.range.end.min(end));
        let mut shown = KernelRow {
            from: ((from - base) / page_size) as i64,
            to: ((to - base) / page_size) as i64,
            perms: row.perms,
            offset: 0,
            device: row.device,
            inode: row.inode,
            name: name(row.name, row.inode, directory),
        };
        if shown.identity().is_some() {
            shown.offset = (row.offset + (from - row.range.start)) / page_size;
        }
        Ok(shown)
    })
}

/// The name without the directory, with `#INODE` for an unnamed file.
fn name(name: &[u8], inode: u64, directory: Option<&[u8]>) -> Vec<u8> {
    let below = directory.and_then(|directory| name.strip_prefix(directory)?.strip_prefix(b"/"));
    let Some(below) = below else { return name.to_vec() };
    match below.strip_prefix(format!("#{inode}").as_bytes()) {
        Some(rest) => [b"#INODE", rest].concat(),
        None => below.to_vec(),
    }
}
