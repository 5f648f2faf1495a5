//! Sums over the rows of a map.

use crate::mapping::Mapping;
use crate::maps::Maps;
use std::borrow::Cow;
use std::collections::HashMap;

/// The key by which rows are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Group {
    /// The [kind](crate::Kind::word).
    Kind,
    /// The name as shown; file names without ` (deleted)`.
    Name,
    /// The permissions.
    Perms,
}

/// Sizes of smaps, of a row or of several, in bytes. A text may lack some fields; a sum is that of
/// the rows that have the field. Shares of resident memory are unknown if a row with resident memory
/// lacks theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sizes {
    /// Resident memory (`Rss`).
    pub rss: Option<u64>,
    /// The proportional share of resident memory (`Pss`).
    pub pss: Option<u64>,
    /// Resident memory that no other process maps (`Private_Clean` and `Private_Dirty`).
    pub uss: Option<u64>,
    /// Memory in swap space (`Swap`).
    pub swap: Option<u64>,
    /// Resident memory that was written since it was read from its file, if it has one
    /// (`Private_Dirty` and `Shared_Dirty`).
    pub dirty: Option<u64>,
    /// Memory in huge pages of hugetlbfs, which the kernel does not count as resident
    /// (`Shared_Hugetlb` and `Private_Hugetlb`).
    pub hugetlb: Option<u64>,
    /// Resident memory in transparent huge pages that one entry of the page tables maps
    /// (`AnonHugePages`, `ShmemPmdMapped` and `FilePmdMapped`).
    pub thp: Option<u64>,
}

impl Sizes {
    /// The sizes of a row.
    pub fn of(maps: &Maps, index: usize) -> Sizes {
        let [rss, pss, clean, dirty, shared_dirty, swap, shared_huge, private_huge, huge @ ..] =
            maps.sizes(index);
        let both = |one: Option<u64>, other: Option<u64>| Some(one?.saturating_add(other?));
        Sizes {
            rss,
            pss,
            uss: both(clean, dirty),
            swap,
            dirty: both(shared_dirty, dirty),
            hugetlb: both(shared_huge, private_huge),
            thp: huge.into_iter().fold(None, add),
        }
    }

    /// The sums of both.
    #[must_use]
    pub fn plus(self, more: Sizes) -> Sizes {
        // A part of the resident memory, of which no row with resident memory may lack it.
        let part = |one: Option<u64>, other: Option<u64>| {
            let lacks = |sizes: Sizes, part: Option<u64>| {
                part.is_none() && sizes.rss.is_some_and(|rss| rss > 0)
            };
            let is_known = !lacks(self, one) && !lacks(more, other);
            add(one, other).filter(|_| is_known)
        };
        Sizes {
            rss: add(self.rss, more.rss),
            pss: part(self.pss, more.pss),
            uss: part(self.uss, more.uss),
            swap: add(self.swap, more.swap),
            dirty: part(self.dirty, more.dirty),
            hugetlb: add(self.hugetlb, more.hugetlb),
            thp: add(self.thp, more.thp),
        }
    }

    /// What is left of these sizes without a part of them.
    #[must_use]
    pub fn minus(self, part: Sizes) -> Sizes {
        let minus = |whole: Option<u64>, part: Option<u64>| Some(whole?.saturating_sub(part?));
        Sizes {
            rss: minus(self.rss, part.rss),
            pss: minus(self.pss, part.pss),
            uss: minus(self.uss, part.uss),
            swap: minus(self.swap, part.swap),
            dirty: minus(self.dirty, part.dirty),
            hugetlb: minus(self.hugetlb, part.hugetlb),
            thp: minus(self.thp, part.thp),
        }
    }

    /// The share of a part of `part` bytes of a row of `whole` bytes, if its pages are evenly
    /// resident: the kernel counts them by row.
    #[must_use]
    pub fn share(self, part: u64, whole: u64) -> Sizes {
        let share = |bytes: Option<u64>| {
            let share = u128::from(bytes?) * u128::from(part) / u128::from(whole.max(1));
            Some(u64::try_from(share).unwrap_or(u64::MAX))
        };
        let Sizes { rss, pss, uss, swap, dirty, hugetlb, thp } = self;
        let [rss, pss, uss, thp] = [rss, pss, uss, thp].map(share);
        let [swap, dirty, hugetlb] = [swap, dirty, hugetlb].map(share);
        Sizes { rss, pss, uss, swap, dirty, hugetlb, thp }
    }
}

/// The sum of the rows of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Total {
    /// The common value: the word of a kind, a name or permissions.
    pub key: Vec<u8>,
    /// The number of rows.
    pub mappings: u64,
    /// The sum of their sizes, in bytes.
    pub size: u64,
    /// The sums of their smaps fields.
    pub sizes: Sizes,
}

/// Sums by group, largest first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// The groups.
    pub groups: Vec<Total>,
    /// The sum of all; its key is empty.
    pub all: Total,
}

impl Totals {
    /// Sums up the rows for which `take` returns true; `take` gets the row index. A rollup counts
    /// only in a map without other rows, which it sums up itself.
    ///
    /// ```
    /// use vmatlas_maps::{Group, Maps, Totals};
    /// let maps = Maps::parse(b"1000-2000 r--p 0 0:0 0\n5000-8000 rw-p 0 0:0 0 [heap]\n").unwrap();
    /// let totals = Totals::sum(&maps, Group::Kind, |_| true);
    /// assert_eq!(totals.groups[0].key, b"heap");
    /// assert_eq!(totals.all.size, 0x4000);
    /// ```
    pub fn sum(maps: &Maps, group: Group, take: impl Fn(usize) -> bool) -> Totals {
        let key = |_, row: &Mapping<'_>| match group {
            Group::Kind => Cow::Borrowed(row.kind().word().as_bytes()),
            Group::Name => Cow::Owned(
                row.file_name().map_or(Cow::Borrowed(row.name), |file| file.path).into_owned(),
            ),
            Group::Perms => Cow::Owned(row.perms.0.to_vec()),
        };
        Totals::sum_by(maps, key, take)
    }

    /// Sums up those rows by a key from the caller, such as their labels.
    pub fn sum_by<'k>(
        maps: &Maps,
        key: impl Fn(usize, &Mapping<'_>) -> Cow<'k, [u8]>,
        take: impl Fn(usize) -> bool,
    ) -> Totals {
        let empty = |key| Total { key, ..Total::default() };
        let mut all = empty(Vec::new());
        let mut groups: Vec<Total> = Vec::new();
        let mut by_key: HashMap<Vec<u8>, usize> = HashMap::new();
        let has_mappings = maps.iter().any(|row| !row.is_rollup());
        let counts = |row: &Mapping<'_>| !has_mappings || !row.is_rollup();
        let taken = maps.iter().enumerate().filter(|(index, row)| counts(row) && take(*index));
        for (index, row) in taken {
            let key = key(index, &row);
            let at = match by_key.get(key.as_ref()) {
                Some(&at) => at,
                None => {
                    groups.push(empty(key.to_vec()));
                    by_key.insert(key.into_owned(), groups.len() - 1);
                    groups.len() - 1
                }
            };
            let sizes = Sizes::of(maps, index);
            // smaps_rollup has one row for the whole process, whose range includes the gaps.
            let (count, size) = if row.is_rollup() { (0, 0) } else { (1, row.range.size()) };
            for total in [&mut groups[at], &mut all] {
                total.mappings += count;
                total.size = total.size.saturating_add(size);
                total.sizes = total.sizes.plus(sizes);
            }
        }
        groups.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.key.cmp(&b.key)));
        Totals { groups, all }
    }
}

/// The sum of two sizes, of those that are known.
fn add(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    }
}
