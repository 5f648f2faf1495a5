//! Sums over the rows of a target: by kind, by purpose for kinds whose names explain none, and of
//! unexplained memory.

use crate::atlas::Atlas;
use crate::row::Row;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use vmatlas_maps::{Mapping, Total, Totals};

/// Sums over the rows of an [`Atlas`]: by kind, by purpose for kinds whose names explain none, and
/// of unexplained memory. A row with several purposes counts in each with the size of its parts, and
/// with resident memory in proportion.
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
    /// Sums by label group, for rows whose names do not explain their purpose; the number of rows is
    /// that of rows with a part of the group.
    pub labels: Vec<Total>,
    /// The parts of rows that neither a name nor a label explains.
    pub unexplained: Total,
    /// The number of programs and libraries that its rows belong to, each with all its segments.
    pub images: usize,
}

/// The shares of a row's purposes: the bytes of each label group, and the bytes without a purpose.
/// `None` if the name explains the row.
pub(crate) struct Shares<'a> {
    pub(crate) groups: Vec<(&'a str, u64)>,
    pub(crate) unexplained: u64,
}

impl<'a> Shares<'a> {
    pub(crate) fn of(row: &Row<'a>) -> Option<Shares<'a>> {
        if row.mapping.shows_its_purpose() {
            return None;
        }
        let mut unexplained = row.range.size();
        let mut groups: Vec<(&str, u64)> = Vec::new();
        for part in row.labels() {
            let size = part.range.intersect(&row.range).map_or(0, |common| common.size());
            unexplained = unexplained.saturating_sub(size);
            match groups.iter_mut().find(|(group, _)| *group == part.label.group) {
                Some((_, sum)) => *sum += size,
                None => groups.push((&part.label.group, size)),
            }
        }
        Some(Shares { groups, unexplained })
    }
}

/// The share of `bytes` of a row that a part of its size has, if its pages are evenly resident: the
/// kernel counts resident memory by row.
pub(crate) fn share(bytes: Option<u64>, part: u64, row: u64) -> Option<u64> {
    let share = u128::from(bytes?) * u128::from(part) / u128::from(row.max(1));
    Some(u64::try_from(share).unwrap_or(u64::MAX))
}

/// Adds a part of a row to a sum.
fn add(sum: &mut Total, row: &Row<'_>, part: u64) {
    let more = |sum: Option<u64>, bytes: Option<u64>| {
        let share = share(bytes, part, row.range.size()).unwrap_or(0);
        sum.map(|sum| sum.saturating_add(share))
    };
    sum.mappings += 1;
    sum.size = sum.size.saturating_add(part);
    (sum.rss, sum.pss) = (more(sum.rss, row.rss()), more(sum.pss, row.pss()));
    sum.hugetlb = more(sum.hugetlb, row.hugetlb());
}

impl MapTotals {
    /// Sums up the rows whose index `taken` accepts. Rows of several processes have no sums.
    pub fn of(atlas: &Atlas, taken: impl Fn(usize) -> bool) -> MapTotals {
        let maps = atlas.maps();
        let is_one = maps.processes() == 1;
        let taken: Vec<bool> = (0..maps.len()).map(|index| is_one && taken(index)).collect();
        // Computed once for each row, because labels and filters are costly.
        let kind = |_, mapping: &Mapping<'_>| Cow::Borrowed(mapping.kind().word().as_bytes());
        let kinds = Totals::sum_by(maps, kind, |index| taken[index]);
        let Total { rss, pss, hugetlb, .. } = kinds.all;
        let [rss, pss, hugetlb] = [rss, pss, hugetlb].map(|sum| sum.map(|_| 0));
        let empty = || {
            let mut total = Total::default();
            (total.rss, total.pss, total.hugetlb) = (rss, pss, hugetlb);
            total
        };
        let mut groups: BTreeMap<(&str, &str), Total> = BTreeMap::new();
        let mut open: BTreeMap<&[u8], Total> = BTreeMap::new();
        let mut unexplained = empty();
        let rows = atlas.rows().filter(|row| taken[row.index()] && !row.mapping.is_rollup());
        for row in rows {
            let Some(shares) = Shares::of(&row) else { continue };
            let kind = row.kind().word();
            for (group, size) in shares.groups {
                add(groups.entry((kind, group)).or_insert_with(empty), &row, size);
            }
            if shares.unexplained > 0 {
                let open = open.entry(kind.as_bytes()).or_insert_with(empty);
                add(open, &row, shares.unexplained);
                add(&mut unexplained, &row, shares.unexplained);
            }
        }
        let images: HashSet<&[u8]> =
            atlas.facts().images.iter().map(|image| &*image.name).collect();
        let of_image = maps
            .iter()
            .enumerate()
            .filter(|(index, row)| taken[*index] && images.contains(row.name));
        let images: HashSet<_> = of_image
            .map(|(_, row)| (row.kind().word().as_bytes(), row.name, row.device, row.inode))
            .collect();
        let of_kind = |total: Total| KindTotals {
            images: images.iter().filter(|(kind, ..)| *kind == total.key).count(),
            labels: labels_of(&groups, &total.key),
            unexplained: open.get(&*total.key).cloned().unwrap_or_else(empty),
            total,
        };
        MapTotals {
            all: kinds.all,
            kinds: kinds.groups.into_iter().map(of_kind).collect(),
            unexplained,
        }
    }
}

/// The sums of a kind by label group, the largest first.
fn labels_of(groups: &BTreeMap<(&str, &str), Total>, kind: &[u8]) -> Vec<Total> {
    let of_kind = groups.iter().filter(|((word, _), _)| word.as_bytes() == kind);
    let named = of_kind.map(|((_, group), total)| {
        let mut total = total.clone();
        total.key = group.as_bytes().to_vec();
        total
    });
    let mut totals: Vec<Total> = named.collect();
    totals.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.key.cmp(&b.key)));
    totals
}
