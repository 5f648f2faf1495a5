//! Adjacent rows that a short listing shows as one line.

use crate::atlas::Atlas;
use crate::image_rows::ImageRows;
use crate::row::Row;
use crate::totals::Shares;
use std::borrow::Cow;
use std::ops::Range;
use vmatlas_explain::label::Confidence;
use vmatlas_maps::{AddressRange, Device, Perms, Sizes};

/// The fewest adjacent rows with the same purpose that are one line.
const FEWEST_ALIKE: usize = 3;
/// The fewest rows that are one line if two purposes alternate, as stacks and their guards do.
const FEWEST_ALTERNATING: usize = 4;

/// One or more adjacent rows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Fold<'a> {
    /// The indexes of the rows.
    pub rows: Range<usize>,
    /// What the rows have in common.
    pub what: Folded,
    /// From the start of the first row to the end of the last.
    pub range: AddressRange,
    /// The sum of the rows' sizes; less than the range if it has gaps.
    pub size: u64,
    /// The sums of the rows' sizes of smaps.
    pub sizes: Sizes,
    /// The different permissions, in the order in which they occur.
    pub perms: Vec<Perms>,
    /// Whether a row can be written and executed.
    pub has_writable_code: bool,
    /// The label groups of the rows, in the order in which they occur; of one row none.
    pub groups: Vec<FoldedGroup<'a>>,
    /// The bytes that neither a name nor a label explains; of one row 0.
    pub unexplained: u64,
}

/// What the rows of a [`Fold`] have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Folded {
    /// There is one row.
    Nothing,
    /// The file; if it is a program or library, with its `.bss`.
    File,
    /// The name, kind and purpose, or two purposes that alternate.
    Purpose,
}

/// The memory of a [`Fold`] in a label group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoldedGroup<'a> {
    /// The group.
    pub group: &'a str,
    /// Its bytes.
    pub size: u64,
    /// The lowest confidence of its labels.
    pub confidence: Confidence,
}

/// What rows must have in common to be one line.
#[derive(PartialEq, Eq)]
enum Key<'a> {
    /// A program or library, by its first row.
    Image(usize),
    File(Name<'a>, Device, u64),
    /// Memory with these label groups: name, kind, groups, and whether it is writable code.
    Purpose(Name<'a>, &'static str, Cow<'a, str>, bool),
}

/// The name of a row. Equal ones mostly have the same place.
struct Name<'a>(&'a [u8]);

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0) || self.0 == other.0
    }
}

impl Eq for Name<'_> {}

impl<'a> Key<'a> {
    fn of(row: &Row<'a>, images: &ImageRows) -> Option<Key<'a>> {
        if row.is_rollup() {
            return None;
        }
        if let Some(first) = images.first_row_of(row.index()) {
            return Some(Key::Image(first));
        }
        let mapping = row.mapping;
        if mapping.has_file() {
            return Some(Key::File(Name(mapping.name), mapping.device, mapping.inode));
        }
        let mut groups = row.labels().iter().map(|part| &*part.label.group);
        let mut all = Cow::Borrowed(groups.next().unwrap_or_default());
        let rest: Vec<&str> = groups.filter(|group| *group != all).collect();
        if !rest.is_empty() {
            all = Cow::Owned([&[&*all], &rest[..]].concat().join("\0"));
        }
        let is_writable_code = mapping.perms.write() && mapping.perms.execute();
        Some(Key::Purpose(Name(mapping.name), mapping.kind().word(), all, is_writable_code))
    }
}

/// A key by number, which it shares with equal keys of the two rows before.
#[derive(Clone, Copy, PartialEq, Eq)]
struct KeyNumber {
    number: usize,
    is_purpose: bool,
}

/// The folds of an atlas, each row in one, in the order of the rows.
#[derive(Clone)]
pub struct Folds<'a> {
    atlas: &'a Atlas,
    parts: Vec<(Range<u32>, Folded)>,
}

impl<'a> Folds<'a> {
    /// Folds the rows of an atlas: adjacent rows of one file, adjacent rows with one purpose, and
    /// rows of which two purposes alternate.
    pub fn of(atlas: &'a Atlas) -> Folds<'a> {
        let numbers = key_numbers(atlas);
        let mut parts = Vec::new();
        let mut from = 0;
        while let Some((length, what)) = next(&numbers[from..]) {
            parts.push((from as u32..(from + length) as u32, what));
            from += length;
        }
        Folds { atlas, parts }
    }

    /// The rows with these indexes, each for itself.
    pub fn unfolded(atlas: &'a Atlas, rows: &[usize]) -> Folds<'a> {
        let known = rows.iter().filter(|&&row| atlas.row(row).is_some());
        let part = |&row: &usize| (row as u32..row as u32 + 1, Folded::Nothing);
        Folds { atlas, parts: known.map(part).collect() }
    }

    /// The number of folds.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The indexes of the rows of the fold at an index.
    pub fn rows_of(&self, index: usize) -> Option<Range<usize>> {
        let (rows, _) = self.parts.get(index)?;
        Some(rows.start as usize..rows.end as usize)
    }

    /// The fold at an index.
    pub fn get(&self, index: usize) -> Option<Fold<'a>> {
        let (_, what) = self.parts.get(index)?;
        fold(self.atlas, self.rows_of(index)?, *what)
    }

    /// The folds.
    pub fn iter(&self) -> impl Iterator<Item = Fold<'a>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

fn key_numbers(atlas: &Atlas) -> Vec<KeyNumber> {
    let images = ImageRows::of(atlas);
    let mut end_of_last = 0;
    let mut numbers: Vec<KeyNumber> = Vec::with_capacity(atlas.maps().len());
    // The key of the last row, and of the one before.
    let mut last: [Option<Key<'_>>; 2] = [None, None];
    for row in atlas.rows() {
        let overlaps = row.range.start < end_of_last;
        end_of_last = row.range.end;
        let key = Key::of(&row, &images).filter(|_| !overlaps);
        let is_equal = |before: &Option<Key<'_>>| key.is_some() && *before == key;
        let same = last.iter().position(is_equal).and_then(|back| numbers.iter().rev().nth(back));
        let is_purpose = matches!(key, Some(Key::Purpose(..)));
        numbers.push(*same.unwrap_or(&KeyNumber { number: numbers.len(), is_purpose }));
        let [newer, _] = last;
        last = [key, newer];
    }
    numbers
}

/// The number of rows in the first fold.
fn next(keys: &[KeyNumber]) -> Option<(usize, Folded)> {
    let first = keys.first()?;
    let same = keys.iter().take_while(|key| *key == first).count();
    if !first.is_purpose {
        return Some(if same > 1 { (same, Folded::File) } else { (1, Folded::Nothing) });
    }
    if same >= FEWEST_ALIKE {
        return Some((same, Folded::Purpose));
    }
    if same == 1 && keys.get(1).is_some_and(|second| second.is_purpose) {
        let again = keys.iter().skip(2).zip(keys).take_while(|(key, before)| key == before);
        let length = 2 + again.count();
        if length >= FEWEST_ALTERNATING {
            return Some((length, Folded::Purpose));
        }
    }
    Some((1, Folded::Nothing))
}

fn fold(atlas: &Atlas, rows: Range<usize>, what: Folded) -> Option<Fold<'_>> {
    let first = atlas.row(rows.start)?;
    let mut fold = Fold {
        range: first.range,
        rows: rows.clone(),
        what,
        size: 0,
        sizes: Sizes::default(),
        perms: Vec::new(),
        has_writable_code: false,
        groups: Vec::new(),
        unexplained: 0,
    };
    for row in rows.filter_map(|index| atlas.row(index)) {
        fold.add(&row);
    }
    Some(fold)
}

impl<'a> Fold<'a> {
    fn add(&mut self, row: &Row<'a>) {
        self.range = AddressRange::new(self.range.start, self.range.end.max(row.range.end));
        self.size = self.size.saturating_add(row.range.size());
        self.sizes = self.sizes.plus(row.sizes());
        if !self.perms.contains(&row.perms) {
            self.perms.push(row.perms);
        }
        self.has_writable_code |= row.perms.write() && row.perms.execute();
        if self.what != Folded::Purpose {
            return;
        }
        let Some(shares) = Shares::of(row) else { return };
        self.unexplained = self.unexplained.saturating_add(shares.unexplained);
        for (group, size, confidence) in shares.groups {
            match self.groups.iter_mut().find(|known| known.group == group) {
                Some(known) => {
                    known.size = known.size.saturating_add(size);
                    known.confidence = known.confidence.min(confidence);
                }
                None => self.groups.push(FoldedGroup { group, size, confidence }),
            }
        }
    }

    /// The bytes between the rows that are not mapped.
    pub fn gaps(&self) -> u64 {
        self.range.size().saturating_sub(self.size)
    }
}
