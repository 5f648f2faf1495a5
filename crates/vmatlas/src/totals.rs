//! Sums over the rows of a target: by kind, by purpose for kinds whose names explain none, and of
//! unexplained memory.

use crate::atlas::Atlas;
use crate::row::Row;
use std::borrow::Cow;
use std::collections::HashSet;
use vmatlas_explain::label::Label;
use vmatlas_maps::{Mapping, Total, Totals};

/// Sums over the rows of an [`Atlas`]: by kind, by purpose for kinds whose names explain none, and
/// of unexplained memory.
pub struct MapTotals {
    /// All rows.
    pub all: Total,
    /// The kinds, the largest first.
    pub kinds: Vec<KindTotals>,
    /// Memory that neither a name nor a label explains.
    pub unexplained: Total,
}

/// The sums of a kind.
pub struct KindTotals {
    /// All rows of the kind.
    pub total: Total,
    /// Sums by label group, for rows whose names do not explain their purpose.
    pub labels: Vec<Total>,
    /// The rows that neither a name nor a label explains.
    pub unexplained: Total,
    /// The number of programs and libraries that its rows belong to, each with all its segments.
    pub images: usize,
}

/// The source of a row's purpose.
#[derive(Clone, Copy)]
enum Purpose<'a> {
    Name,
    Label(&'a Label),
    Nothing,
}

impl<'a> Purpose<'a> {
    fn of(row: &Row<'a>) -> Purpose<'a> {
        match row.label() {
            _ if row.mapping.shows_its_purpose() => Purpose::Name,
            Some(label) => Purpose::Label(label),
            None => Purpose::Nothing,
        }
    }
}

impl MapTotals {
    /// Sums up the rows whose index `taken` accepts.
    pub fn of(atlas: &Atlas, taken: impl Fn(usize) -> bool) -> MapTotals {
        let maps = atlas.maps();
        // Computed once for each row, because labels and filters are costly.
        let purpose =
            |index| atlas.row(index).filter(|_| taken(index)).map(|row| Purpose::of(&row));
        let purposes: Vec<Option<Purpose<'_>>> = (0..maps.len()).map(purpose).collect();
        let kind = |_, mapping: &Mapping<'_>| Cow::Borrowed(mapping.kind().word().as_bytes());
        let kinds = Totals::sum_by(maps, kind, |index| purposes[index].is_some());
        let is_open = |index: usize| matches!(purposes[index], Some(Purpose::Nothing));
        let open = Totals::sum_by(maps, kind, is_open);
        let group = |index: usize, mapping: &Mapping<'_>| {
            let group = match purposes[index] {
                Some(Purpose::Label(label)) => &*label.group,
                _ => "",
            };
            Cow::Owned(format!("{}/{group}", mapping.kind().word()).into_bytes())
        };
        let is_labelled = |index: usize| matches!(purposes[index], Some(Purpose::Label(_)));
        let groups = Totals::sum_by(maps, group, is_labelled);
        let images: HashSet<&[u8]> =
            atlas.facts().images.iter().map(|image| &*image.name).collect();
        let of_image = maps
            .iter()
            .enumerate()
            .filter(|(index, row)| purposes[*index].is_some() && images.contains(row.name));
        let images: HashSet<_> = of_image
            .map(|(_, row)| (row.kind().word().as_bytes(), row.name, row.device, row.inode))
            .collect();
        let of_kind = |total: Total| KindTotals {
            images: images.iter().filter(|(kind, ..)| *kind == total.key).count(),
            labels: groups.groups.iter().filter_map(|group| part_of(&total, group)).collect(),
            unexplained: find(&open, &total.key),
            total,
        };
        MapTotals {
            all: kinds.all,
            kinds: kinds.groups.into_iter().map(of_kind).collect(),
            unexplained: open.all,
        }
    }
}

/// The sum of a label group, under the group's own name, if it belongs to that kind.
fn part_of(kind: &Total, group: &Total) -> Option<Total> {
    let name = group.key.strip_prefix(kind.key.as_slice())?.strip_prefix(b"/")?;
    let mut part = group.clone();
    part.key = name.to_vec();
    Some(part)
}

fn find(totals: &Totals, key: &[u8]) -> Total {
    totals.groups.iter().find(|total| total.key == key).cloned().unwrap_or_default()
}
