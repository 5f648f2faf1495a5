//! The sections of programs and libraries, by the rows they lie in.

use crate::output::words::printable;
use std::cmp::Reverse;
use vmatlas::Maps;
use vmatlas::label::ImageFacts;
use vmatlas_linux::Images;

/// How many sections are named of a row.
const MOST: usize = 3;

/// For each row of a live process the largest sections of its file that lie in it.
pub(crate) fn of_images(maps: &Maps, images: &Images<'_>) -> Vec<String> {
    let of_row = |(index, row)| {
        let sections = images.of_row(index).map_or(Vec::new(), |image| {
            let sections = image.sections(&row).into_iter();
            sections.map(|section| (section.size, section.name.clone())).collect()
        });
        largest(sections)
    };
    maps.iter().enumerate().map(of_row).collect()
}

/// For each row of a core dump the largest sections of its file that begin in it.
pub(crate) fn of_facts(maps: &Maps, images: &[ImageFacts]) -> Vec<String> {
    let mut sections: Vec<Vec<(u64, String)>> = vec![Vec::new(); maps.len()];
    for image in images {
        for (name, range) in &image.sections {
            let row = maps.find(range.start).mapping;
            let in_file = |row: &usize| maps.get(*row).is_some_and(|row| row.name == image.name);
            if let Some(sections) = row.filter(in_file).and_then(|row| sections.get_mut(row)) {
                sections.push((range.size(), name.clone()));
            }
        }
    }
    sections.into_iter().map(largest).collect()
}

fn largest(mut sections: Vec<(u64, String)>) -> String {
    sections.sort_by_key(|(size, _)| Reverse(*size));
    let names = sections.iter().take(MOST).map(|(_, name)| printable(name.as_bytes()));
    names.collect::<Vec<_>>().join(" ")
}
