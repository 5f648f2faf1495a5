//! The values of a number over time, in bounded memory.

use super::trend::{Trend, trend};

/// The most values that are kept: the trend of as many takes some milliseconds.
const MOST: usize = 128;

/// Values at times. If there are too many, every second one is dropped, and from then on values at
/// twice the distance are kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    values: Vec<(f64, f64)>,
    /// One of so many values is kept.
    each: u64,
    seen: u64,
}

impl Series {
    /// Adds the value at a time in seconds, which is not before the last one.
    pub(super) fn push(&mut self, seconds: f64, value: u64) {
        let each = self.each.max(1);
        if self.seen.is_multiple_of(each) {
            self.values.push((seconds, value as f64));
        }
        self.seen += 1;
        if self.values.len() >= MOST {
            let mut at = 0;
            self.values.retain(|_| {
                at += 1;
                at % 2 == 1
            });
            self.each = each * 2;
        }
    }

    /// The trend of the values; a change below `least` is none.
    pub(super) fn trend(&self, least: u64) -> Trend {
        trend(&self.values, least as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_series_keeps_its_trend_and_few_values() {
        let mut series = Series::default();
        for at in 0_u32..100_000 {
            series.push(f64::from(at), u64::from(at) * 1000);
            assert!(series.values.len() < MOST);
        }
        let trend = series.trend(1);
        assert!(
            matches!(trend, Trend::Grows { per_second } if (per_second - 1000.0).abs() < 1.0),
            "{trend:?}"
        );
        assert!(series.values.len() >= MOST / 2 - 1, "{}", series.values.len());
        let gaps: Vec<f64> = series.values.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        assert!(gaps.iter().all(|gap| *gap == gaps[0]), "{gaps:?}");
    }
}
