//! How often the sizes of rows are read, so that it costs little.

use std::time::Duration;

/// One part of so many of a core's time may be used.
const SHARE: u32 = 100;

/// When the sizes of rows were read, and what that costs.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<Duration>,
    /// What the next reading is expected to cost.
    cost: Duration,
}

impl Pace {
    /// Adds to the expected cost, before anything was read.
    pub(super) fn expect(&mut self, cost: Duration) {
        self.cost += cost;
    }

    /// Whether the sizes may be read at a time.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        match self.last {
            None => true,
            Some(last) => now.saturating_sub(last) >= self.cost * SHARE,
        }
    }

    /// The sizes were read at a time, and have cost so much.
    pub(super) fn paid(&mut self, now: Duration, cost: Duration) {
        // The first reading also opens the files, which later ones do not.
        if self.last.is_some() {
            self.cost = cost;
        }
        self.last = Some(now);
    }

    /// The time between two readings.
    pub(super) fn every(&self) -> Option<Duration> {
        self.last.map(|_| self.cost * SHARE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costly_sizes_are_read_seldom() {
        let seconds = Duration::from_secs;
        let mut pace = Pace::default();
        pace.expect(Duration::from_millis(20));
        assert!(pace.is_due(seconds(0)));
        pace.paid(seconds(0), seconds(5));
        assert!(!pace.is_due(seconds(1)) && pace.is_due(seconds(2)), "by the estimate");
        pace.paid(seconds(2), Duration::from_millis(100));
        assert!(!pace.is_due(seconds(11)) && pace.is_due(seconds(12)), "by the last cost");
        assert_eq!(pace.every(), Some(seconds(10)));
    }
}
