//! The differences between two address spaces, with their origins.

use crate::atlas::Atlas;
use crate::recorded::{Ending, Made, Recorded};
use crate::row::Row;
use std::collections::HashMap;
use vmatlas_maps::{AddressRange, Change, Filter, Mapping, Maps};

/// The difference between two address spaces, by the identity of mappings: see
/// [`vmatlas_maps::Diff`].
pub struct Diff<'a> {
    from: &'a Atlas,
    to: &'a Atlas,
    /// The added, removed, changed and moved rows.
    pub rows: vmatlas_maps::Diff<'a>,
    from_index: HashMap<Mapping<'a>, usize>,
    to_index: HashMap<Mapping<'a>, usize>,
}

/// The origins of a row's change, if both sides belong to one recording.
#[derive(Default)]
#[non_exhaustive]
pub struct Causes<'a> {
    /// The origin of the bytes that a row gained, or of a new row.
    pub made: Option<Made<'a>>,
    /// The event that unmapped the bytes that a row lost, or the whole row.
    pub ended: Option<Ending>,
}

/// A row whose size changed, or that was added or removed, between two readings.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Growth<'a> {
    /// The row before; `None` if it was added.
    pub from: Option<Row<'a>>,
    /// The row after; `None` if it was removed.
    pub to: Option<Row<'a>>,
    /// The change of its size in bytes.
    pub size: i64,
    /// The change of its resident memory in bytes, if both readings have sizes.
    pub rss: Option<i64>,
}

/// Compares two address spaces.
///
/// ```
/// let before = vmatlas::open("self")?;
/// let after = before.again()?;
/// let diff = vmatlas::diff(&before, &after);
/// assert!(diff.by_growth().len() <= before.rows().len() + after.rows().len());
/// # Ok::<(), vmatlas::Error>(())
/// ```
pub fn diff<'a>(from: &'a Atlas, to: &'a Atlas) -> Diff<'a> {
    let index = |atlas: &'a Atlas| {
        atlas.maps().iter().enumerate().map(|(index, row)| (row, index)).collect()
    };
    let mut rows = vmatlas_maps::Diff::compare(from.maps(), to.maps());
    part_strangers(from, to, &mut rows);
    Diff { from, to, rows, from_index: index(from), to_index: index(to) }
}

/// Parts memory without a name that was compared by its place, if the recording or log shows that
/// other events mapped it: one mapping was removed, and the other added.
fn part_strangers<'a>(from: &'a Atlas, to: &'a Atlas, rows: &mut vmatlas_maps::Diff<'a>) {
    let (Some(first), Some(second)) = (from.recorded(), to.recorded()) else { return };
    let is_one_log = || from.file().is_some_and(|file| to.file() == Some(file));
    if !first.is_of_same_image(second, is_one_log) {
        return;
    }
    let mut part = |a: &Mapping<'a>, b: &Mapping<'a>| {
        let are_nameless = a.name.is_empty() && b.name.is_empty();
        let are_strangers = are_nameless && !first.shares_origin(a.range, second, b.range);
        if are_strangers {
            rows.removed.push(*a);
            rows.added.push(*b);
        }
        are_strangers
    };
    rows.changed.retain(|change| !part(&change.from, &change.to));
    rows.moved.retain(|(a, b)| !part(a, b));
    rows.removed.sort_by_key(|row| row.range.start);
    rows.added.sort_by_key(|row| row.range.start);
}

impl<'a> Diff<'a> {
    /// Drops the rows that a filter matches on neither side.
    pub fn retain(&mut self, filter: &Filter) {
        let rows = &mut self.rows;
        rows.added.retain(|row| filter.matches(row));
        rows.removed.retain(|row| filter.matches(row));
        rows.moved.retain(|(from, to)| filter.matches(from) || filter.matches(to));
        rows.changed.retain(|change| filter.matches(&change.from) || filter.matches(&change.to));
    }

    /// Whether the two sides differ in nothing but addresses.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Finds a row of the first address space.
    pub fn from_row(&self, row: &Mapping<'_>) -> Option<Row<'a>> {
        self.from.row(*self.from_index.get(row)?)
    }

    /// Finds a row of the second address space.
    pub fn to_row(&self, row: &Mapping<'_>) -> Option<Row<'a>> {
        self.to.row(*self.to_index.get(row)?)
    }

    /// All rows whose size changed, or that were added or removed. The largest change of resident
    /// memory comes first, or of size if there are no sizes of smaps.
    pub fn by_growth(&self) -> Vec<Growth<'a>> {
        let added = self.rows.added.iter().map(|row| (None, self.to_row(row)));
        let removed = self.rows.removed.iter().map(|row| (self.from_row(row), None));
        let changed = self.rows.changed.iter().map(|change| (change.from, change.to));
        let kept = changed.chain(self.rows.moved.iter().copied()).chain(self.same());
        let kept = kept.map(|(from, to)| (self.from_row(&from), self.to_row(&to)));
        let with_sizes = self.from.has_sizes() && self.to.has_sizes();
        let growth = |(from, to): (Option<Row<'a>>, Option<Row<'a>>)| {
            let by = |value: &dyn Fn(&Row<'a>) -> u64| {
                let value = |row: &Option<Row<'a>>| row.as_ref().map_or(0, value);
                value(&to).wrapping_sub(value(&from)).cast_signed()
            };
            Growth {
                from,
                to,
                size: by(&|row| row.range.size()),
                rss: with_sizes.then(|| by(&|row| row.rss().unwrap_or(0))),
            }
        };
        let mut all: Vec<Growth<'a>> = added
            .chain(removed)
            .chain(kept)
            .map(growth)
            .filter(|growth| growth.size != 0 || growth.rss.unwrap_or(0) != 0)
            .collect();
        all.sort_by_key(|growth| {
            let (rss, size) = (growth.rss.unwrap_or(0).unsigned_abs(), growth.size.unsigned_abs());
            std::cmp::Reverse((rss, size))
        });
        all
    }

    /// The rows that are the same in both.
    fn same(&self) -> impl Iterator<Item = (Mapping<'a>, Mapping<'a>)> + '_ {
        let moved: std::collections::HashSet<Mapping<'a>> =
            self.rows.moved.iter().map(|(_, to)| *to).collect();
        let same = self.to.maps().iter().filter(|row| self.from_index.contains_key(row));
        same.filter(move |row| !moved.contains(row)).map(|row| (row, row))
    }

    /// The origin of an added row, and the number of origins that it has.
    pub fn who_added(&self, row: &Mapping<'_>) -> Option<(Made<'a>, usize)> {
        let mut made = self.to_row(row)?.made();
        let (first, _) = made.next()?;
        Some((first, made.len()))
    }

    /// The events that unmapped removed rows and lost parts of rows, by the start of the unmapped
    /// range.
    pub fn endings(&self) -> HashMap<u64, Ending> {
        let Some((from, to)) = self.recorded() else { return HashMap::new() };
        let removed = self.rows.removed.iter().map(|row| row.range.start);
        let lost = self.kept().filter_map(|change| lost(change, self.to.maps()));
        let addresses: Vec<u64> = removed.chain(lost).collect();
        from.endings(&addresses, to, self.to.symbols())
    }

    /// The origins of a row's change, given the [`endings`](Diff::endings).
    pub fn who_changed(
        &self,
        change: &Change<'_>,
        endings: &HashMap<u64, Ending>,
    ) -> Option<Causes<'a>> {
        let (_, to) = self.recorded()?;
        let (old, new) = (change.from.range, change.to.range);
        if !old.overlaps(&new) {
            return None;
        }
        let below = AddressRange::new(new.start, old.start.max(new.start));
        let above = AddressRange::new(old.end.min(new.end), new.end);
        let gained = [above, below].into_iter().find(|range| range.size() > 0);
        let made = gained.and_then(|range| to.made_in(range, || self.to.origins()));
        let ended = lost(change, self.to.maps()).and_then(|at| endings.get(&at).cloned());
        Some(Causes { made, ended })
    }

    fn recorded(&self) -> Option<(&'a Recorded, &'a Recorded)> {
        Some((self.from.recorded()?, self.to.recorded()?))
    }

    /// The changed rows that still share an address with their former range.
    fn kept(&self) -> impl Iterator<Item = &Change<'a>> {
        self.rows.changed.iter().filter(|change| change.from.range.overlaps(&change.to.range))
    }
}

/// The first address that a mapping has lost and that is now unmapped.
fn lost(change: &Change<'_>, now: &Maps) -> Option<u64> {
    let (old, new) = (change.from.range, change.to.range);
    let below = AddressRange::new(old.start, new.start.max(old.start));
    let above = AddressRange::new(new.end.min(old.end), old.end);
    [below, above].into_iter().find_map(|range| {
        let mut address = range.start;
        while address < range.end {
            let row = now.find(address).mapping.and_then(|index| now.get(index));
            match row {
                Some(row) => address = row.range.end,
                None => return Some(address),
            }
        }
        None
    })
}

/// `+12K -> …`: the change of resident memory or of size, and the row.
impl std::fmt::Display for Growth<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let by = self.rss.filter(|rss| *rss != 0).unwrap_or(self.size);
        let sign = if by < 0 { '-' } else { '+' };
        write!(f, "{sign}{:<6}", crate::words::size(by.unsigned_abs()))?;
        self.to.or(self.from).map_or(Ok(()), |row| write!(f, " {row}"))
    }
}
