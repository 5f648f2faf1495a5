//! Sections of programs and libraries, by row.

use std::cmp::Reverse;
use vmatlas_explain::label::ImageFacts;
use vmatlas_linux::Images;
use vmatlas_maps::Maps;

/// The most sections to keep for a row.
const MAX: usize = 3;

/// A section of an ELF file that lies in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Section {
    /// Its name, such as `.text`. It may hold any bytes: escape it for terminals.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
}

/// The largest sections that lie in each row of a live process.
pub(crate) fn of_images(maps: &Maps, images: &Images) -> Vec<Vec<Section>> {
    let of_row = |(index, row)| {
        let Some(image) = images.of_row(maps, index) else { return Vec::new() };
        let mut sections = image.sections(&row);
        sections.retain(|section| !section.name.is_empty());
        sections.sort_by_key(|section| Reverse(section.size));
        let largest = sections.into_iter().take(MAX);
        largest.map(|section| Section { name: section.name.clone(), size: section.size }).collect()
    };
    maps.iter().enumerate().map(of_row).collect()
}

/// The largest sections that begin in each row of a core dump.
pub(crate) fn of_facts(maps: &Maps, images: &[ImageFacts]) -> Vec<Vec<Section>> {
    let mut sections: Vec<Vec<Section>> = vec![Vec::new(); maps.len()];
    for image in images {
        for (name, range) in &image.sections {
            let row = maps.find(range.start).mapping;
            let in_file = |row: &usize| maps.get(*row).is_some_and(|row| row.name == image.name);
            if let Some(sections) = row.filter(in_file).and_then(|row| sections.get_mut(row)) {
                sections.push(Section { name: name.clone(), size: range.size() });
            }
        }
    }
    for sections in &mut sections {
        sections.retain(|section| !section.name.is_empty());
        sections.sort_by_key(|section| Reverse(section.size));
        sections.truncate(MAX);
    }
    sections
}
