//! One look at watched processes, and what earlier ones showed.

use super::series::Series;
use super::verdict::{self, LEAST_BYTES, LEAST_ROWS, Trends, Verdict};
use crate::atlas::Atlas;
use crate::growth::difference;
use crate::totals::{By, MapTotals};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use vmatlas_maps::{AddressRange, Diff, Mapping, Perms};

/// The most keys whose trend is followed.
const MAX_KEYS: usize = 4096;
/// The most new and gone rows of a look that are kept: the largest.
const MAX_ROWS: usize = 100;

/// A look at watched processes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Look {
    /// The time since the watch began.
    pub since: Duration,
    /// The processes that were read.
    pub processes: usize,
    /// The processes that have ended since the last look.
    pub ended: usize,
    /// The rows of all of them.
    pub rows: u64,
    /// Their address space in bytes.
    pub size: u64,
    /// Their resident memory in bytes: the sum of the rows if [`has_sizes`](Look::has_sizes), else
    /// the kernel's count, which may be off by some hundred pages.
    pub rss: u64,
    /// Whether the sizes of rows were read.
    pub has_sizes: bool,
    /// The sums by key, the largest growth since the start first; empty without sizes.
    pub totals: Vec<LookTotal>,
    /// The rows that are new since the last look, and those that are gone.
    pub added: u64,
    /// The rows that are gone since the last look.
    pub removed: u64,
    /// The largest of them.
    pub changes: Vec<RowChange>,
    /// What grows, by all looks so far.
    pub verdict: Verdict,
    /// The time between two readings of sizes, if their cost limits it.
    pub sizes_every: Option<Duration>,
}

/// The sums of a key at a look. Bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LookTotal {
    /// The key. It may hold any bytes: escape it for terminals.
    pub key: String,
    /// The number of rows.
    pub rows: u64,
    /// Their size.
    pub size: u64,
    /// Their resident memory.
    pub rss: u64,
    /// The change of resident memory since the start.
    pub since_start: i64,
    /// The change of resident memory since the last look with sizes.
    pub since_last: i64,
}

impl LookTotal {
    /// The growth of resident memory in bytes a minute since the start.
    pub fn per_minute(&self, since: Duration) -> Option<f64> {
        let seconds = since.as_secs_f64();
        (seconds > 0.0).then(|| self.since_start as f64 * 60.0 / seconds)
    }
}

/// A row that is new or gone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowChange {
    /// The process.
    pub pid: u32,
    /// Whether it is new; otherwise it is gone.
    pub is_new: bool,
    /// Its addresses.
    pub range: AddressRange,
    /// Its permissions.
    pub perms: Perms,
    /// Its name: any bytes.
    pub name: Vec<u8>,
}

/// The rows that are new and gone between two readings of a process.
pub(super) fn row_changes(pid: u32, before: &Atlas, after: &Atlas) -> Vec<RowChange> {
    if before.maps().iter().eq(after.maps().iter()) {
        return Vec::new();
    }
    let diff = Diff::compare(before.maps(), after.maps());
    let change = |is_new| {
        move |row: &Mapping<'_>| RowChange {
            pid,
            is_new,
            range: row.range,
            perms: row.perms,
            name: row.name.to_vec(),
        }
    };
    let added = diff.added.iter().map(change(true));
    added.chain(diff.removed.iter().map(change(false))).collect()
}

/// What a key has shown so far.
#[derive(Debug, Default)]
struct KeySeries {
    rss: Series,
    first: (u64, u64),
    last: (u64, u64),
}

impl KeySeries {
    /// Whether its address space has not grown since the start.
    fn has_same_size(&self) -> bool {
        self.last.1 <= self.first.1
    }
}

/// The looks so far.
pub(super) struct Looks {
    by: By,
    count: usize,
    /// The times of the first look and of the last one with sizes, in seconds.
    times: Option<(f64, f64)>,
    keys: HashMap<String, KeySeries>,
    rows: Series,
    size: Series,
    rss: Series,
}

impl Looks {
    pub(super) fn new(by: By) -> Looks {
        Looks {
            by,
            count: 0,
            times: None,
            keys: HashMap::new(),
            rows: Series::default(),
            size: Series::default(),
            rss: Series::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Adds a look, and returns it with the verdict by all.
    pub(super) fn add<'a>(
        &mut self,
        since: Duration,
        atlases: impl Iterator<Item = &'a Atlas>,
        has_sizes: bool,
        ended: usize,
        mut changes: Vec<RowChange>,
    ) -> Look {
        let seconds = since.as_secs_f64();
        let (mut processes, mut rows, mut size, mut rss) = (0, 0, 0_u64, 0_u64);
        // Rows, size, resident memory.
        let mut sums: BTreeMap<Vec<u8>, [u64; 3]> = BTreeMap::new();
        for atlas in atlases {
            processes += 1;
            rows += atlas.maps().len() as u64;
            let sizes = atlas.maps().iter().map(|row| row.range.size());
            size = sizes.fold(size, u64::saturating_add);
            rss = rss.saturating_add(atlas.resident().unwrap_or(0));
            if has_sizes {
                for group in MapTotals::of(atlas, self.by, |_| true).groups {
                    let total = group.total;
                    let sum = sums.entry(total.key).or_default();
                    let more = [total.mappings, total.size, total.sizes.rss.unwrap_or(0)];
                    sum.iter_mut()
                        .zip(more)
                        .for_each(|(sum, more)| *sum = sum.saturating_add(more));
                }
            }
        }
        self.count += 1;
        self.rows.push(seconds, rows);
        self.size.push(seconds, size);
        let totals = if has_sizes {
            // The kernel's count is of another kind.
            self.rss.push(seconds, rss);
            self.totals(seconds, sums)
        } else {
            Vec::new()
        };
        let is_new = |change: &&RowChange| change.is_new;
        let added = changes.iter().filter(is_new).count() as u64;
        let removed = changes.len() as u64 - added;
        changes.sort_by_key(|change| std::cmp::Reverse(change.range.size()));
        changes.truncate(MAX_ROWS);
        let verdict = verdict::of(&self.trends(), since);
        let sizes_every = None;
        Look {
            since,
            processes,
            ended,
            rows,
            size,
            rss,
            has_sizes,
            totals,
            added,
            removed,
            changes,
            verdict,
            sizes_every,
        }
    }

    fn trends(&self) -> Trends<'_> {
        let mut keys = Vec::with_capacity(self.keys.len());
        for (key, series) in &self.keys {
            keys.push((key.as_str(), series.rss.trend(LEAST_BYTES), series.has_same_size()));
        }
        Trends {
            keys,
            whole: self.rss.trend(LEAST_BYTES),
            size: self.size.trend(LEAST_BYTES),
            rows: self.rows.trend(LEAST_ROWS),
        }
    }

    /// Adds the sums of a look; the largest growth since the start comes first.
    fn totals(&mut self, seconds: f64, mut sums: BTreeMap<Vec<u8>, [u64; 3]>) -> Vec<LookTotal> {
        // Keys that are gone have nothing.
        for key in self.keys.keys() {
            sums.entry(key.clone().into_bytes()).or_default();
        }
        let mut totals = Vec::with_capacity(sums.len());
        for (key, [rows, size, rss]) in sums {
            let key = String::from_utf8_lossy(&key).into_owned();
            let is_followed = self.keys.contains_key(&key) || self.keys.len() < MAX_KEYS;
            if !is_followed {
                continue;
            }
            let times = self.times;
            let series = self.keys.entry(key.clone()).or_insert_with(|| {
                let mut series = KeySeries::default();
                // What is new had nothing before.
                match times {
                    Some((first, last)) => {
                        series.rss.push(first, 0);
                        series.rss.push(last, 0);
                    }
                    None => (series.first, series.last) = ((rss, size), (rss, size)),
                }
                series
            });
            let (since_start, since_last) =
                (difference(series.first.0, rss), difference(series.last.0, rss));
            series.rss.push(seconds, rss);
            series.last = (rss, size);
            totals.push(LookTotal { key, rows, size, rss, since_start, since_last });
        }
        self.times = Some((self.times.map_or(seconds, |(first, _)| first), seconds));
        let rank = |total: &LookTotal| {
            (total.since_start.unsigned_abs(), total.since_last.unsigned_abs(), total.rss)
        };
        totals.sort_by_key(|total| std::cmp::Reverse(rank(total)));
        totals
    }
}
