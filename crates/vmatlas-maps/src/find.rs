//! Finds the mapping at an address.

use crate::maps::Maps;

/// The position of an address among the rows of a [`Maps`], as row indices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The first row that covers the address; `None` in a gap.
    pub mapping: Option<usize>,
    /// The nearest row that ends at or below that mapping's start; in a gap, at or below the
    /// address.
    pub before: Option<usize>,
    /// The nearest row that starts at or above that mapping's end; in a gap, above the address.
    pub after: Option<usize>,
}

impl Maps {
    /// The index of the row at `address`; quicker than [`find`](Maps::find).
    ///
    /// ```
    /// let maps = vmatlas_maps::Maps::parse(b"1000-2000 r--p 0 0:0 0\n5000-6000 rw-p 0 0:0 0\n").unwrap();
    /// assert_eq!([0x1000, 0x3000, 0x5fff].map(|at| maps.index_at(at)), [Some(0), None, Some(1)]);
    /// ```
    pub fn index_at(&self, address: u64) -> Option<usize> {
        if !self.is_ordered() {
            return self.scan(address).mapping;
        }
        let index = self.lower_bound(address);
        let row = self.get(index)?;
        (row.range.contains(address) && !row.is_rollup()).then_some(index)
    }

    /// Finds the row at `address`: by binary search in an ordered map, else by linear scan. The
    /// row of smaps_rollup is no mapping, so it covers no address.
    ///
    /// ```
    /// let maps = vmatlas_maps::Maps::parse(b"1000-2000 r--p 0 0:0 0\n5000-6000 rw-p 0 0:0 0\n").unwrap();
    /// let place = maps.find(0x3000);
    /// assert_eq!((place.mapping, place.before, place.after), (None, Some(0), Some(1)));
    /// ```
    pub fn find(&self, address: u64) -> Found {
        if !self.is_ordered() {
            return self.scan(address);
        }
        let next = self.lower_bound(address);
        let covering = self.get(next).filter(|row| row.range.contains(address));
        let (mapping, after) = match covering {
            Some(row) if row.is_rollup() => (None, next + 1),
            Some(_) => (Some(next), next + 1),
            None => (None, next),
        };
        let is_mapping = |index: &usize| self.get(*index).is_some_and(|row| !row.is_rollup());
        Found {
            mapping,
            before: (0..next).rev().find(is_mapping),
            after: (after..self.len()).find(is_mapping),
        }
    }

    fn scan(&self, address: u64) -> Found {
        let rows = || self.iter().enumerate().filter(|(_, row)| !row.is_rollup());
        let ranges = || rows().map(|(index, row)| (index, row.range));
        let mapping = ranges().find(|(_, range)| range.contains(address));
        let (below, above) = match mapping {
            Some((_, range)) => (range.start, range.end),
            None => (address, address.saturating_add(1)),
        };
        let others = || ranges().filter(|(i, _)| mapping.is_none_or(|(m, _)| *i != m));
        Found {
            mapping: mapping.map(|(i, _)| i),
            before: others()
                .filter(|(_, r)| r.end <= below)
                .max_by_key(|(_, r)| r.end)
                .map(|(i, _)| i),
            after: others()
                .filter(|(_, r)| r.start >= above)
                .min_by_key(|(_, r)| r.start)
                .map(|(i, _)| i),
        }
    }
}
