//! The differences between two address spaces, with their origins.

use crate::atlas::Atlas;
use crate::growth::{SizeChange, SumGrowth, by_key};
use crate::recorded::{Ending, Made, Recorded};
use crate::row::Row;
use crate::totals::By;
use std::collections::HashMap;
use vmatlas_maps::{AddressRange, Change, Filter, Group, Mapping, Maps, Sizes, Totals};

/// The difference between two address spaces, by the identity of mappings: see
/// [`vmatlas_maps::Diff`].
pub struct Diff<'a> {
    from: &'a Atlas,
    to: &'a Atlas,
    /// The added, removed, changed and moved rows.
    pub rows: vmatlas_maps::Diff<'a>,
    from_index: HashMap<Mapping<'a>, usize>,
    to_index: HashMap<Mapping<'a>, usize>,
    taken: Taken,
}

/// Whether each row counts, of the first side and of the second; all do if there is no filter.
struct Taken(Option<[Vec<bool>; 2]>);

const FROM: usize = 0;
const TO: usize = 1;

impl Taken {
    /// Whether the row at an index of a side counts.
    fn has(&self, side: usize, index: usize) -> bool {
        self.0.as_ref().is_none_or(|taken| taken[side].get(index) == Some(&true))
    }
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

/// A row whose sizes changed, or that was added or removed, between two readings.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Growth<'a> {
    /// The row before; `None` if it was added.
    pub from: Option<Row<'a>>,
    /// The row after; `None` if it was removed.
    pub to: Option<Row<'a>>,
    /// The change of its sizes; of sizes of smaps only if both readings have them.
    pub change: SizeChange,
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
    Diff { from, to, rows, from_index: index(from), to_index: index(to), taken: Taken(None) }
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
        let taken =
            |atlas: &Atlas| -> Vec<bool> { atlas.rows().map(|row| filter.matches(&row)).collect() };
        self.taken = Taken(Some([taken(self.from), taken(self.to)]));
        let counts = |side, index: &HashMap<Mapping<'a>, usize>, row: &Mapping<'a>| {
            index.get(row).is_some_and(|&at| self.taken.has(side, at))
        };
        let from = |row: &Mapping<'a>| counts(FROM, &self.from_index, row);
        let to = |row: &Mapping<'a>| counts(TO, &self.to_index, row);
        let rows = &mut self.rows;
        rows.added.retain(to);
        rows.removed.retain(from);
        rows.moved.retain(|(a, b)| from(a) || to(b));
        rows.changed.retain(|change| from(&change.from) || to(&change.to));
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

    /// All rows whose sizes changed, or that were added or removed. The largest change of resident
    /// memory comes first, or of size if there are no sizes of smaps.
    pub fn by_growth(&self) -> Vec<Growth<'a>> {
        let added = self.rows.added.iter().map(|row| (None, self.to_row(row)));
        let removed = self.rows.removed.iter().map(|row| (self.from_row(row), None));
        let changed = self.rows.changed.iter().map(|change| (change.from, change.to));
        let kept = changed.chain(self.rows.moved.iter().copied()).chain(self.same());
        let kept = kept.map(|(from, to)| (self.from_row(&from), self.to_row(&to)));
        let with_sizes = self.from.has_sizes() && self.to.has_sizes();
        let side = |row: Option<Row<'a>>| {
            let row = row?;
            // smaps_rollup has one row for the whole process, whose range includes the gaps.
            let size = if row.is_rollup() { 0 } else { row.range.size() };
            Some((size, if with_sizes { row.sizes() } else { Sizes::default() }))
        };
        let growth = |(from, to)| {
            let mut change = SizeChange::between(side(from), side(to));
            if !with_sizes {
                change = SizeChange { size: change.size, ..SizeChange::default() };
            }
            Growth { from, to, change }
        };
        let mut all: Vec<Growth<'a>> = added
            .chain(removed)
            .chain(kept)
            .map(growth)
            .filter(|growth| !growth.change.is_nothing())
            .collect();
        all.sort_by_key(|growth| growth.change.rank());
        all
    }

    /// The groups of rows whose sizes changed, the largest change of resident memory first. With a
    /// [filter](Diff::retain), those rows of each side count that it matches. Rows of several
    /// processes have no sums.
    pub fn growth(&self, by: By) -> Vec<SumGrowth> {
        let taken = |side| move |index| self.taken.has(side, index);
        by_key((self.from, taken(FROM)), (self.to, taken(TO)), by)
    }

    /// The change of the sums of all rows that count.
    pub fn whole_change(&self) -> SizeChange {
        let side = |side, atlas: &Atlas| {
            let taken = |index| self.taken.has(side, index);
            let all = Totals::sum(atlas.maps(), Group::Kind, taken).all;
            let with_sizes = self.from.has_sizes() && self.to.has_sizes();
            Some((all.size, if with_sizes { all.sizes } else { Sizes::default() }))
        };
        SizeChange::between(side(FROM, self.from), side(TO, self.to))
    }

    /// The rows that are the same in both.
    fn same(&self) -> impl Iterator<Item = (Mapping<'a>, Mapping<'a>)> + '_ {
        let moved: std::collections::HashSet<Mapping<'a>> =
            self.rows.moved.iter().map(|(_, to)| *to).collect();
        let counts = |row: &Mapping<'a>, at: usize| {
            let before = self.from_index.get(row);
            before.is_some_and(|&from| self.taken.has(FROM, from) || self.taken.has(TO, at))
        };
        let rows = self.to.maps().iter().enumerate();
        let same = rows.filter(move |(at, row)| counts(row, *at)).map(|(_, row)| row);
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

/// `+12K  7f…`: the change of resident memory or of size, and the row.
impl std::fmt::Display for Growth<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:<7}", self.change)?;
        self.to.or(self.from).map_or(Ok(()), |row| write!(f, " {row}"))
    }
}
