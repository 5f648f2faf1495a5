//! A target as time goes on.

use crate::atlas::{Atlas, Open};
use crate::error::Result;
use crate::machine::{By, Sum};
use crate::needs::Needs;
use crate::source::open::Target;
use crate::words;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The readings of a target, one after the other. They end when the process does.
pub struct Watch {
    last: Option<Arc<Atlas>>,
    is_first: bool,
    began: Instant,
    next: Instant,
    every: Duration,
}

/// A reading of a watched target.
pub struct Look {
    atlas: Arc<Atlas>,
    before: Arc<Atlas>,
    since: Duration,
}

/// By how much something grew from one reading to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SumGrowth {
    /// What it is, as in [`Sum::key`].
    pub key: String,
    /// In bytes of addresses; below 0 where it shrank.
    pub size: i64,
    /// In bytes of resident memory.
    pub rss: i64,
}

/// Reads a target, with sizes, now and then every so often.
///
/// # Errors
/// As [`Open::open`], for the first reading.
pub fn watch(target: impl Into<Target>, every: Duration) -> Result<Watch> {
    let first = Open::new(target).needs(Needs::SIZES).open()?;
    let began = Instant::now();
    Ok(Watch { last: Some(Arc::new(first)), is_first: true, began, next: began + every, every })
}

impl Iterator for Watch {
    type Item = Result<Look>;

    fn next(&mut self) -> Option<Result<Look>> {
        let before = self.last.clone()?;
        if self.is_first {
            self.is_first = false;
            let since = self.began.elapsed();
            return Some(Ok(Look { atlas: before.clone(), before, since }));
        }
        sleep(self.next.saturating_duration_since(Instant::now()));
        // A reading that takes longer than the time between two does not make the next ones hurry.
        self.next = (self.next + self.every).max(Instant::now());
        match before.again() {
            Ok(atlas) if !atlas.maps().is_empty() => {
                let atlas = Arc::new(atlas);
                self.last = Some(atlas.clone());
                Some(Ok(Look { atlas, before, since: self.began.elapsed() }))
            }
            Err(error) if !error.is_gone() => {
                self.last = None;
                Some(Err(error))
            }
            _ => None,
        }
    }
}

impl Look {
    /// The reading.
    pub fn atlas(&self) -> &Atlas {
        &self.atlas
    }

    /// When it was, in seconds from the first one.
    pub fn seconds(&self) -> f64 {
        self.since.as_secs_f64()
    }

    /// What grew or shrank since the reading before, the largest change first.
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

/// `+1.2M thread stack`: the change of resident memory, or of size.
impl fmt::Display for SumGrowth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = if self.rss == 0 { self.size } else { self.rss };
        let sign = if by < 0 { '-' } else { '+' };
        let size = words::size(by.unsigned_abs());
        write!(f, "{sign}{size} {}", words::printable(self.key.as_bytes()))
    }
}
