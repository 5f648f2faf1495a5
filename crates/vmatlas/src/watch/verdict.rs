//! What grows, by all looks so far.

use super::look::Looks;
use super::trend::Trend;
use std::time::Duration;

/// A smaller change of memory is none: some pages come and go in any process.
const LEAST_BYTES: u64 = 16 << 10;
/// A smaller change of the number of rows is none.
const LEAST_ROWS: u64 = 4;

/// What grows steadily, and otherwise how resident memory changes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Verdict {
    /// The time since the watch began.
    pub since: Duration,
    /// What grows steadily, the fastest first; the number of mappings last.
    pub growing: Vec<Finding>,
    /// How resident memory as a whole changes.
    pub whole: Trend,
}

/// A number that grows steadily.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Finding {
    /// The number.
    pub measure: Measure,
    /// The key whose memory grows; empty if the number is of all memory.
    pub key: String,
    /// Its growth in a minute: bytes or mappings.
    pub per_minute: f64,
    /// Whether the memory was mapped before and is only touched now.
    pub is_mapped_before: bool,
}

/// The numbers that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Measure {
    /// Resident memory.
    Resident,
    /// Address space, of which nothing more becomes resident.
    Size,
    /// The number of mappings.
    Mappings,
}

/// The verdict by all looks.
pub(super) fn of(looks: &Looks, since: Duration) -> Verdict {
    let finding = |measure, key: &str, trend: Trend, is_mapped_before| match trend {
        Trend::Grows { per_second } => {
            let per_minute = per_second * 60.0;
            Some(Finding { measure, key: key.to_owned(), per_minute, is_mapped_before })
        }
        _ => None,
    };
    let keys = looks.keys.iter().filter_map(|(key, series)| {
        let trend = series.rss.trend(LEAST_BYTES);
        finding(Measure::Resident, key, trend, series.has_same_size())
    });
    let mut growing: Vec<Finding> = keys.collect();
    growing.sort_by(|a, b| b.per_minute.total_cmp(&a.per_minute).then_with(|| a.key.cmp(&b.key)));
    let whole = looks.rss.trend(LEAST_BYTES);
    if whole == Trend::Flat {
        growing.extend(finding(Measure::Size, "", looks.size.trend(LEAST_BYTES), false));
    }
    growing.extend(finding(Measure::Mappings, "", looks.rows.trend(LEAST_ROWS), false));
    Verdict { since, growing, whole }
}
