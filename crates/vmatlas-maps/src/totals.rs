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
    /// Their resident memory in bytes, if a row has the field of smaps: texts may lack some fields.
    pub rss: Option<u64>,
    /// Their proportional share of resident memory in bytes, if a row has the field.
    pub pss: Option<u64>,
    /// Their memory in huge pages of hugetlbfs in bytes, which the kernel does not count as resident
    /// (`Shared_Hugetlb` and `Private_Hugetlb`), if a row has such a field.
    pub hugetlb: Option<u64>,
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
            let field = |name: &[u8]| {
                maps.fields(index).find(|f| f.name == name).and_then(|f| f.value.number())
            };
            let (rss, pss) = (field(b"Rss"), field(b"Pss"));
            let hugetlb = add(field(b"Shared_Hugetlb"), field(b"Private_Hugetlb"));
            // smaps_rollup has one row for the whole process, whose range includes the gaps.
            let (count, size) = if row.is_rollup() { (0, 0) } else { (1, row.range.size()) };
            for total in [&mut groups[at], &mut all] {
                total.mappings += count;
                total.size = total.size.saturating_add(size);
                total.rss = add(total.rss, rss);
                total.pss = add(total.pss, pss);
                total.hugetlb = add(total.hugetlb, hugetlb);
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
