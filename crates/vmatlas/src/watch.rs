//! Repeated readings of a target.

use crate::atlas::{Atlas, Open};
use crate::error::Result;
use crate::growth::{SumGrowth, by_key};
use crate::needs::Needs;
use crate::source::open::Target;
use crate::totals::By;
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
        by_key((&self.before, |_| true), (&self.atlas, |_| true), by).into_iter()
    }
}
