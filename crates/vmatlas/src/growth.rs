//! The change of sizes between two readings, of a row or of sums by a key.

use crate::atlas::Atlas;
use crate::totals::{By, MapTotals};
use crate::words::values::{change, printable};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use vmatlas_maps::{Sizes, Total};

/// The change of sizes in bytes; below 0 if they shrank. Changes of sizes of smaps are `None` if a
/// side lacks them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SizeChange {
    /// The change of the address space that is covered.
    pub size: i64,
    /// The change of resident memory.
    pub rss: Option<i64>,
    /// The change of the proportional share of resident memory.
    pub pss: Option<i64>,
    /// The change of resident memory that no other process maps.
    pub uss: Option<i64>,
    /// The change of memory in swap space.
    pub swap: Option<i64>,
}

/// The growth of a group between two readings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SumGrowth {
    /// The key of the group, as in [`Sum::key`](crate::Sum::key).
    pub key: String,
    /// The change of its sizes.
    pub change: SizeChange,
}

/// The size of a row or a group, and its sizes of smaps; `None` where it does not exist.
pub(crate) type Side = Option<(u64, Sizes)>;

impl SizeChange {
    /// The change from one side to the other. What does not exist has no bytes.
    pub(crate) fn between(from: Side, to: Side) -> SizeChange {
        let change = |of: fn(&Sizes) -> Option<u64>| {
            let bytes = |side: Side| side.map_or(Some(0), |(_, sizes)| of(&sizes));
            Some(difference(bytes(from)?, bytes(to)?))
        };
        let size = |side: Side| side.map_or(0, |(size, _)| size);
        SizeChange {
            size: difference(size(from), size(to)),
            rss: change(|sizes| sizes.rss),
            pss: change(|sizes| sizes.pss),
            uss: change(|sizes| sizes.uss),
            swap: change(|sizes| sizes.swap),
        }
    }

    /// Whether no size changed.
    pub fn is_nothing(&self) -> bool {
        let SizeChange { size, rss, pss, uss, swap } = *self;
        size == 0 && [rss, pss, uss, swap].into_iter().flatten().all(|change| change == 0)
    }

    /// The order of changes: the largest of resident memory first, then of size, then of shares.
    pub(crate) fn rank(&self) -> impl Ord + use<> {
        let bytes = |change: Option<i64>| change.unwrap_or(0).unsigned_abs();
        let SizeChange { size, rss, pss, uss, swap } = *self;
        Reverse([bytes(rss), size.unsigned_abs(), bytes(swap), bytes(uss), bytes(pss)])
    }
}

/// `to - from`, at most as an `i64` can be.
pub(crate) fn difference(from: u64, to: u64) -> i64 {
    let difference = i128::from(to) - i128::from(from);
    i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
}

/// The groups whose sizes changed, the largest change of resident memory first. `taken` accepts the
/// rows of each side that count, by index.
pub(crate) fn by_key(
    (from, from_taken): (&Atlas, impl Fn(usize) -> bool),
    (to, to_taken): (&Atlas, impl Fn(usize) -> bool),
    by: By,
) -> Vec<SumGrowth> {
    let (from, to) = (MapTotals::of(from, by, from_taken), MapTotals::of(to, by, to_taken));
    let mut sides: BTreeMap<Vec<u8>, (Side, Side)> = BTreeMap::new();
    let side = |total: &Total| Some((total.size, total.sizes));
    for group in from.groups {
        sides.entry(group.total.key.clone()).or_default().0 = side(&group.total);
    }
    for group in to.groups {
        sides.entry(group.total.key.clone()).or_default().1 = side(&group.total);
    }
    let growth = |(key, (from, to)): (Vec<u8>, (Side, Side))| SumGrowth {
        key: String::from_utf8_lossy(&key).into_owned(),
        change: SizeChange::between(from, to),
    };
    let mut all: Vec<SumGrowth> = sides.into_iter().map(growth).collect();
    all.retain(|growth| !growth.change.is_nothing());
    all.sort_by_key(|growth| growth.change.rank());
    all
}

/// `+1.2M`: the change of resident memory, or of size if that of resident memory is 0 or not known.
impl fmt::Display for SizeChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&change(self.rss.filter(|rss| *rss != 0).unwrap_or(self.size)))
    }
}

/// `+1.2M thread stack`: the change of resident memory or of size.
impl fmt::Display for SumGrowth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.change, printable(self.key.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(size: u64, rss: Option<u64>) -> Side {
        let mut sizes = Sizes::default();
        sizes.rss = rss;
        Some((size, sizes))
    }

    #[test]
    fn what_does_not_exist_has_no_bytes_and_what_is_not_known_no_change() {
        let change = SizeChange::between(None, side(8192, Some(4096)));
        assert_eq!((change.size, change.rss, change.pss), (8192, Some(4096), None));
        let change = SizeChange::between(side(8192, Some(4096)), None);
        assert_eq!((change.size, change.rss), (-8192, Some(-4096)));
        let change = SizeChange::between(side(0, None), side(0, Some(1)));
        assert!(change.rss.is_none() && change.is_nothing());
        assert_eq!(difference(0, u64::MAX), i64::MAX);
        assert_eq!(difference(u64::MAX, 0), i64::MIN);
    }
}
