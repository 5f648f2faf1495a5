//! Sums over the rows of a target: by kind, by what those without a telling name are for, and of what
//! nothing explains.

use crate::row::Row;
use crate::target::Target;
use std::borrow::Cow;
use std::collections::HashSet;
use vmatlas::{Total, Totals};

pub(crate) struct MapTotals {
    pub(crate) all: Total,
    /// The kinds, the largest first.
    pub(crate) kinds: Vec<KindTotals>,
    pub(crate) unexplained: Total,
}

/// The sums of a kind.
pub(crate) struct KindTotals {
    pub(crate) total: Total,
    /// By the groups of the labels, where the names of this kind tell no purpose.
    pub(crate) labels: Vec<Total>,
    pub(crate) unexplained: Total,
    /// How many programs and libraries its rows are of, each with all its segments.
    pub(crate) images: usize,
}

impl MapTotals {
    /// Sums up the rows that `taken` lets through, given by their index.
    pub(crate) fn of(target: &Target, taken: impl Fn(usize) -> bool) -> MapTotals {
        let maps = &target.maps;
        let row = |index| Row::of(target, index);
        let unexplained = |index| row(index).is_some_and(|row| row.is_unexplained());
        let labelled = |index: usize| {
            row(index).is_some_and(|row| !row.mapping.tells_its_purpose() && row.label().is_some())
        };
        let kind = |_, mapping: &vmatlas::Mapping<'_>| kind_key(mapping);
        let kinds = Totals::by(maps, kind, &taken);
        let open = Totals::by(maps, kind, |index| taken(index) && unexplained(index));
        let group = |index, mapping: &vmatlas::Mapping<'_>| {
            let group = row(index).and_then(|row| Some(row.label()?.group.clone()));
            let (kind, group) = (mapping.kind().word(), group.unwrap_or_default());
            Cow::Owned(format!("{kind}/{group}").into_bytes())
        };
        let groups = Totals::by(maps, group, |index| taken(index) && labelled(index));
        let images: HashSet<&[u8]> = target.facts.images.iter().map(|image| &*image.name).collect();
        let images = |kind: &Total| {
            let rows = maps.iter().enumerate().filter(|(index, _)| taken(*index));
            let of_kind = rows.filter(|(_, row)| row.kind().word().as_bytes() == kind.key);
            let names = of_kind.filter(|(_, row)| images.contains(row.name));
            names.map(|(_, row)| (row.name, row.device, row.inode)).collect::<HashSet<_>>().len()
        };
        let of_kind = |total: Total| KindTotals {
            images: images(&total),
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

fn kind_key(mapping: &vmatlas::Mapping<'_>) -> Cow<'static, [u8]> {
    Cow::Borrowed(mapping.kind().word().as_bytes())
}

/// The sum of a group of labels, under its own name, if it belongs to that kind.
fn part_of(kind: &Total, group: &Total) -> Option<Total> {
    let name = group.key.strip_prefix(kind.key.as_slice())?.strip_prefix(b"/")?;
    Some(Total { key: name.to_vec(), ..group.clone() })
}

fn find(totals: &Totals, key: &[u8]) -> Total {
    totals.groups.iter().find(|total| total.key == key).cloned().unwrap_or_default()
}
