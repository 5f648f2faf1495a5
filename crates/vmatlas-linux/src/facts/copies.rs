//! Executable memory whose bytes are those of the file that is mapped around it.

use crate::images::Images;
use crate::memory::ProcessMemory;
use crate::process::Process;
use vmatlas_explain::label::{Facts, copied_from};
use vmatlas_maps::{AddressRange, Kind, Mapping, Maps};
use vmatlas_object::Memory as _;
use vmatlas_object::elf::FileOffset;

/// Bytes that are compared at once, and in all.
const PIECE: u64 = 1 << 20;
const MAX: u64 = 256 << 20;

/// The copies, sorted.
pub(super) fn of(
    process: &Process,
    images: &Images,
    maps: &Maps,
    facts: &Facts,
) -> Vec<AddressRange> {
    let candidates = maps.iter().enumerate().filter(|(_, row)| {
        row.kind() == Kind::Anonymous
            && row.perms.read()
            && row.perms.execute()
            && !row.perms.write()
            && !row.perms.shared()
    });
    let candidates: Vec<(usize, Mapping<'_>)> = candidates.collect();
    if candidates.is_empty() {
        return Vec::new();
    }
    let Ok(memory) = ProcessMemory::open(process, maps, None) else { return Vec::new() };
    let mut left = MAX;
    let mut is_copy = |index: usize, row: &Mapping<'_>| {
        let (Some(file), Some(size)) =
            (copied_from(maps, facts, index), left.checked_sub(row.range.size()))
        else {
            return false;
        };
        left = size;
        is_equal(images, maps, &memory, file, row).unwrap_or(false)
    };
    let found = candidates.into_iter().filter(|(index, row)| is_copy(*index, row));
    found.map(|(_, row)| row.range).collect()
}

/// Whether a row has the bytes that the file of row `file` has as far from that row.
fn is_equal(
    images: &Images,
    maps: &Maps,
    memory: &ProcessMemory,
    file: usize,
    row: &Mapping<'_>,
) -> Option<bool> {
    let of_file = maps.get(file)?;
    let image = images.of_row(maps, file)?;
    let offset = of_file.offset.wrapping_add(row.range.start.wrapping_sub(of_file.range.start));
    let mut own = vec![0; PIECE as usize];
    // Zeros are equal to any other zeros.
    let mut has_content = false;
    for start in (row.range.start..row.range.end).step_by(PIECE as usize) {
        let size = PIECE.min(row.range.end - start);
        let at = FileOffset::new(offset.checked_add(start - row.range.start)?);
        let bytes = image.elf().bytes_at(at, size).ok()?;
        let own = own.get_mut(..usize::try_from(size).ok()?)?;
        if memory.read(start, own) < own.len() || *own != bytes {
            return Some(false);
        }
        has_content |= own.iter().any(|byte| *byte != 0);
    }
    Some(has_content)
}
