//! Repeated readings of a target.

use crate::atlas::{Atlas, Open};
use crate::error::Result;
use crate::machine::Sum;
use crate::needs::Needs;
use crate::source::open::Target;
use crate::totals::By;
use crate::words;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// An iterator over readings of a target. It ends when the process does.
pub struct Watch {
    last: Option<Arc<Atlas>>,
    is_first: bool,
    began: Instant,
    next: Instant,
    every: Duration,
}

/// A reading of a watched target.
pub struct Reading {
    atlas: Arc<Atlas>,
    before: Arc<Atlas>,
    since: Duration,
}

/// The growth of a group between two readings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SumGrowth {
    /// The key of the group, as in [`Sum::key`].
    pub key: String,
    /// The change of size in bytes; below 0 if it shrank.
    pub size: i64,
    /// The change of resident memory in bytes.
    pub rss: i64,
}

/// Reads a target with its sizes, now and then at every interval.
///
/// # Errors
/// Same as [`Open::open`], for the first reading.
pub fn watch(target: impl Into<Target>, every: Duration) -> Result<Watch> {
    let first = Open::new(target).needs(Needs::SIZES).open()?;
    let began = Instant::now();
    Ok(Watch { last: Some(Arc::new(first)), is_first: true, began, next: began + every, every })
}

impl Iterator for Watch {
    type Item = Result<Reading>;

    fn next(&mut self) -> Option<Result<Reading>> {
        let before = self.last.clone()?;
        if self.is_first {
            self.is_first = false;
            let since = self.began.elapsed();
            return Some(Ok(Reading { atlas: before.clone(), before, since }));
        }
        sleep(self.next.saturating_duration_since(Instant::now()));
        // After a slow reading the next ones are not rushed.
        self.next = (self.next + self.every).max(Instant::now());
        match before.again() {
            Ok(atlas) if !atlas.maps().is_empty() => {
                let atlas = Arc::new(atlas);
                self.last = Some(atlas.clone());
                Some(Ok(Reading { atlas, before, since: self.began.elapsed() }))
            }
            Err(error) if !error.is_gone() => {
                self.last = None;
                Some(Err(error))
            }
            _ => None,
        }
    }
}

impl Reading {
    /// The atlas of this reading.
    pub fn atlas(&self) -> &Atlas {
        &self.atlas
    }

    /// The time of the reading in seconds since the first one.
    pub fn seconds(&self) -> f64 {
        self.since.as_secs_f64()
    }

    /// The groups that grew or shrank since the last reading, the largest change first.
    pub fn growth(&self, by: By) -> impl Iterator<Item = SumGrowth> + use<> {
        let mut all: BTreeMap<String, SumGrowth> = BTreeMap::new();
        for (atlas, sign) in [(&self.before, -1), (&self.atlas, 1)] {
            for Sum { key, size, rss, .. } in atlas.totals(by) {
                let growth = all.entry(key.clone()).or_insert(SumGrowth { key, size: 0, rss: 0 });
                growth.size = growth.size.saturating_add(sign * size.cast_signed());
                growth.rss = growth.rss.saturating_add(sign * rss.unwrap_or(0).cast_signed());
            }
        }
        let mut all: Vec<SumGrowth> =
            all.into_values().filter(|growth| growth.size != 0 || growth.rss != 0).collect();
        all.sort_by_key(|growth| {
            std::cmp::Reverse((growth.rss.unsigned_abs(), growth.size.unsigned_abs()))
        });
        all.into_iter()
    }
}

/// `+1.2M thread stack`: the change of resident memory or of size.
impl fmt::Display for SumGrowth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = if self.rss == 0 { self.size } else { self.rss };
        let sign = if by < 0 { '-' } else { '+' };
        let size = words::size(by.unsigned_abs());
        write!(f, "{sign}{size} {}", words::printable(self.key.as_bytes()))
    }
}
