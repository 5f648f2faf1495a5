//! The ranges with guards (MADV_GUARD_INSTALL).

use std::collections::BTreeMap;
use std::ops::Range;

/// Ranges that neither overlap nor touch, by start address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guards(BTreeMap<u64, u64>);

impl Guards {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|(start, end)| (*start, *end))
    }

    /// The first guarded address of a range.
    pub(crate) fn first_in(&self, range: Range<u64>) -> Option<u64> {
        if self.0.is_empty() {
            return None;
        }
        let before = self.0.range(..=range.start).next_back();
        if before.is_some_and(|(_, end)| *end > range.start) {
            return Some(range.start);
        }
        self.0.range(range).next().map(|(start, _)| *start)
    }

    pub(crate) fn insert(&mut self, range: Range<u64>) {
        let mut range = range;
        let touching = self.0.range(..=range.end).rev();
        let touching: Vec<u64> =
            touching.take_while(|(_, end)| **end >= range.start).map(|(start, _)| *start).collect();
        for start in touching {
            let end = self.0.remove(&start).unwrap_or(start);
            range = range.start.min(start)..range.end.max(end);
        }
        self.0.insert(range.start, range.end);
    }

    /// Removes the guards of a range; returns the ranges that had them.
    pub(crate) fn remove(&mut self, range: Range<u64>) -> Vec<Range<u64>> {
        if self.0.is_empty() || range.is_empty() {
            return Vec::new();
        }
        let overlapping = self.0.range(..range.end).rev();
        let overlapping: Vec<Range<u64>> = overlapping
            .take_while(|(_, end)| **end > range.start)
            .map(|(start, end)| *start..*end)
            .collect();
        for old in &overlapping {
            self.0.remove(&old.start);
            if old.start < range.start {
                self.0.insert(old.start, range.start);
            }
            if old.end > range.end {
                self.0.insert(range.end, old.end);
            }
        }
        let cut = |old: &Range<u64>| old.start.max(range.start)..old.end.min(range.end);
        overlapping.iter().map(cut).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Guards;

    #[test]
    fn ranges_join_and_are_cut() {
        let mut guards = Guards::default();
        guards.insert(10..20);
        guards.insert(30..40);
        guards.insert(20..30);
        assert_eq!(guards.first_in(0..100), Some(10));
        assert_eq!(guards.remove(15..25).pop(), Some(15..25));
        assert_eq!(guards.first_in(12..100), Some(12));
        assert_eq!(guards.first_in(15..100), Some(25));
        assert_eq!(guards.first_in(15..25), None);
        assert!(guards.remove(12..12).is_empty());
        assert_eq!(guards.remove(0..100), [25..40, 10..15]);
        assert_eq!(guards.first_in(0..u64::MAX), None);
    }
}
