//! The rows of a process, written as what they have in common with other rows: those of the same
//! process in the snapshot before, or of another process of the same program.

use super::tables::Tables;
#[cfg(feature = "write")]
use super::tables::turned;
#[cfg(feature = "write")]
use vmatlas_space::bytes::Put;
use vmatlas_space::bytes::Take;

/// A row: a shape at an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SavedRow {
    /// The bytes between the end of the row before it and its start.
    pub(super) gap: u64,
    /// The number of its shape.
    pub(super) shape: u32,
}

/// What to do with the next rows of the other process. The number of rows stands above two bits.
const COPY: u64 = 0;
/// Copies one row, at another gap.
const MOVE: u64 = 1;
const SKIP: u64 = 2;
/// Adds rows that the other does not have.
const ADD: u64 = 3;

/// The columns from which rows are read.
pub(super) struct Columns<'a> {
    pub(super) steps: Take<'a>,
    pub(super) gaps: Take<'a>,
    pub(super) shapes: Take<'a>,
}

/// The rows, and for each the place of the row in the other list that it was copied from.
pub(super) type Derived = (Vec<SavedRow>, Vec<Option<u32>>);

impl Columns<'_> {
    /// Reads rows; `None` if the bytes are invalid or there are more than `most`.
    pub(super) fn read(
        &mut self,
        like: &[SavedRow],
        tables: &Tables,
        most: usize,
    ) -> Option<Derived> {
        let (mut rows, mut from) = (Vec::new(), Vec::new());
        let (mut at, mut last) = (0usize, 0u32);
        for _ in 0..self.steps.count()? {
            let step = self.steps.uint()?;
            let count = usize::try_from(step >> 2).ok()?;
            if step & 3 != SKIP && count > most - rows.len() {
                return None;
            }
            match step & 3 {
                COPY => {
                    let end = at.checked_add(count)?;
                    rows.extend_from_slice(like.get(at..end)?);
                    from.extend((at..end).map(|at| Some(at as u32)));
                    at = end;
                }
                MOVE => {
                    for _ in 0..count {
                        let shape = like.get(at)?.shape;
                        rows.push(SavedRow { gap: self.gaps.uint()?.rotate_left(12), shape });
                        from.push(Some(at as u32));
                        at += 1;
                    }
                }
                SKIP => at = at.checked_add(count).filter(|at| *at <= like.len())?,
                _ => {
                    for _ in 0..count {
                        let gap = self.gaps.uint()?.rotate_left(12);
                        let next = i64::from(last).checked_add(self.shapes.signed()?)?;
                        last = u32::try_from(next).ok()?;
                        tables.shapes.get(last as usize)?;
                        rows.push(SavedRow { gap, shape: last });
                        from.push(None);
                    }
                }
            }
        }
        Some((rows, from))
    }
}

/// The columns to which rows are written.
#[cfg(feature = "write")]
#[derive(Default)]
pub(super) struct NewColumns {
    pub(super) steps: Vec<u8>,
    pub(super) gaps: Vec<u8>,
    pub(super) shapes: Vec<u8>,
}

/// How far rows that both lists have are looked for.
#[cfg(feature = "write")]
const LOOK: usize = 32;

#[cfg(feature = "write")]
impl NewColumns {
    /// Writes rows, and returns for each the place of the row that it is copied from.
    pub(super) fn write(&mut self, rows: &[SavedRow], like: &[SavedRow]) -> Vec<Option<u32>> {
        let mut steps: Vec<(u64, usize)> = Vec::new();
        let mut step = |what: u64, count: usize| match steps.last_mut() {
            Some((last, sum)) if *last == what => *sum += count,
            _ => steps.push((what, count)),
        };
        let mut from = Vec::with_capacity(rows.len());
        let (mut at, mut last) = (0, 0);
        while let Some(row) = rows.get(from.len()) {
            let here = from.len();
            match like.get(at) {
                Some(other) if other.shape == row.shape => {
                    if other.gap == row.gap {
                        step(COPY, 1);
                    } else {
                        step(MOVE, 1);
                        self.gaps.put(turned(row.gap));
                    }
                    from.push(Some(at as u32));
                    at += 1;
                    continue;
                }
                Some(other) => {
                    let is_same = |one: Option<&SavedRow>, other: Option<&SavedRow>| {
                        one.is_some_and(|one| other.is_some_and(|other| one.shape == other.shape))
                    };
                    let skipped = (1..LOOK).find_map(|far| match () {
                        () if is_same(like.get(at + far), Some(row)) => Some(far),
                        () if is_same(rows.get(here + far), Some(other)) => Some(0),
                        () if is_same(rows.get(here + far), like.get(at + far)) => Some(1),
                        () => None,
                    });
                    let skipped = skipped.unwrap_or(1);
                    if skipped > 0 {
                        step(SKIP, skipped);
                        at += skipped;
                    }
                    if is_same(like.get(at), Some(row)) {
                        continue;
                    }
                }
                None => {}
            }
            step(ADD, 1);
            self.gaps.put(turned(row.gap));
            self.shapes.put_signed(i64::from(row.shape) - last);
            last = i64::from(row.shape);
            from.push(None);
        }
        self.steps.put(steps.len() as u64);
        steps.iter().for_each(|(what, count)| self.steps.put((*count as u64) << 2 | what));
        from
    }
}
