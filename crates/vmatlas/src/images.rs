//! The programs and libraries of an address space.

use crate::atlas::Atlas;
use crate::row::{FilePath, Row};
use crate::words::values::{hex, printable};
use vmatlas_explain::label::ImageFacts;
use vmatlas_maps::AddressRange;

/// A program or library that is mapped, with all its segments.
#[derive(Clone, Copy)]
pub struct Image<'a> {
    pub(crate) atlas: &'a Atlas,
    pub(crate) facts: &'a ImageFacts,
}

impl Atlas {
    /// The mapped programs and libraries, in the order of their addresses.
    pub fn images(&self) -> impl ExactSizeIterator<Item = Image<'_>> {
        self.facts().images.iter().map(|facts| Image { atlas: self, facts })
    }
}

impl<'a> Image<'a> {
    /// The last component of its path.
    pub fn name(&self) -> String {
        let name = self.facts.name.rsplit(|&b| b == b'/').next().unwrap_or_default();
        printable(name)
    }

    /// Its path as the rows show it, certain if one of its rows is.
    pub fn path(&self) -> Option<FilePath<'a>> {
        self.rows().next()?.path()
    }

    /// The start of its first segment.
    pub fn base(&self) -> u64 {
        self.facts.segments.first().map_or(self.facts.bias, |(range, ..)| range.start)
    }

    /// The difference to add to an address in the file to get an address of the process.
    pub fn bias(&self) -> u64 {
        self.facts.bias
    }

    /// Its build ID in hexadecimal, if the file has one and the source provides it.
    pub fn build_id(&self) -> Option<String> {
        let row = self.rows().next()?;
        let id = match (self.atlas.live(), self.atlas.core()) {
            (Some(live), _) => {
                let maps = self.atlas.maps();
                let images = live.images(maps, |index| index == row.index())?;
                return images.of_row(maps, row.index())?.elf().build_id();
            }
            (None, Some(core)) => core.dump.image_of(&row)?.build_id?,
            (None, None) => return None,
        };
        Some(hex(&id))
    }

    /// The rows of its segments.
    pub fn rows(&self) -> impl Iterator<Item = Row<'a>> + use<'a> {
        let (atlas, facts) = (self.atlas, self.facts);
        let first = facts.segments.first().map_or(0, |(range, ..)| range.start);
        let last = facts.segments.iter().map(|(range, ..)| range.end).max().unwrap_or(0);
        let all = AddressRange::new(first, last);
        let place = atlas.maps().find(first);
        let rows =
            place.mapping.or(place.after).into_iter().flat_map(move |at| at..atlas.maps().len());
        rows.map_while(move |index| atlas.row(index).filter(|row| row.range.overlaps(&all)))
            .filter(move |row| row.name == facts.name)
    }
}
