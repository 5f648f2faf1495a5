//! The rows of each program and library.

use crate::atlas::Atlas;
use crate::row::Row;
use std::collections::{HashMap, HashSet};
use vmatlas_explain::label::{BSS, Confidence::Certain};
use vmatlas_maps::Kind;

/// The rows of programs and libraries: files that are ELF images as far as they were read, or of
/// which a row can be executed; with the `.bss` that follows a row, if that is certain.
pub struct ImageRows {
    /// By row, the first row of the same image.
    first: Vec<Option<usize>>,
}

impl ImageRows {
    /// Finds the images of the rows.
    pub fn of(atlas: &Atlas) -> ImageRows {
        let maps = atlas.maps();
        let mut names: HashSet<&[u8]> =
            atlas.facts().images.iter().map(|image| &*image.name).collect();
        let code = maps.iter().filter(|row| row.perms.execute() && row.kind() == Kind::File);
        names.extend(code.map(|row| row.name));
        let mut firsts = HashMap::new();
        let mut first: Vec<Option<usize>> = Vec::with_capacity(maps.len());
        let mut end_of_last = 0;
        for row in atlas.rows() {
            let image =
                if !row.name.is_empty() && names.contains(row.name) && row.kind() == Kind::File {
                    let identity = (row.mapping.name, row.mapping.device, row.mapping.inode);
                    Some(*firsts.entry(identity).or_insert(row.index()))
                } else {
                    let before = first.last().copied().flatten();
                    before.filter(|_| row.range.start == end_of_last && is_bss(&row))
                };
            first.push(image);
            end_of_last = row.range.end;
        }
        ImageRows { first }
    }

    /// The first row of the image that a row belongs to; `None` if it belongs to none.
    pub fn first_row_of(&self, index: usize) -> Option<usize> {
        self.first.get(index).copied().flatten()
    }
}

/// Whether all of a row is the `.bss` of an image for certain.
fn is_bss(row: &Row<'_>) -> bool {
    let parts = row.labels();
    !row.mapping.shows_its_purpose()
        && !parts.is_empty()
        && parts.iter().all(|part| part.label.group == BSS && part.label.confidence == Certain)
        && parts.iter().map(|part| part.range.size()).sum::<u64>() == row.range.size()
}
