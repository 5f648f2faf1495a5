//! What grows, by all looks so far.

use super::trend::Trend;
use std::time::Duration;

/// A smaller change of memory is none: some pages come and go in any process.
pub(super) const LEAST_BYTES: u64 = 16 << 10;
/// A smaller change of the number of rows is none.
pub(super) const LEAST_ROWS: u64 = 4;

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

/// The trends of a watch.
pub(super) struct Trends<'a> {
    /// Of the resident memory of each key, and whether its address space is no larger than before.
    pub(super) keys: Vec<(&'a str, Trend, bool)>,
    /// Of all resident memory.
    pub(super) whole: Trend,
    /// Of address space.
    pub(super) size: Trend,
    /// Of the number of rows.
    pub(super) rows: Trend,
}

/// The verdict by all looks.
pub(super) fn of(trends: &Trends<'_>, since: Duration) -> Verdict {
    let finding = |measure, key: &str, trend: Trend, is_mapped_before| match trend {
        Trend::Grows { per_second } => {
            let per_minute = per_second * 60.0;
            Some(Finding { measure, key: key.to_owned(), per_minute, is_mapped_before })
        }
        _ => None,
    };
    let keys = trends.keys.iter();
    let mut growing: Vec<Finding> = keys
        .filter_map(|&(key, trend, same_size)| finding(Measure::Resident, key, trend, same_size))
        .collect();
    growing.sort_by(|a, b| b.per_minute.total_cmp(&a.per_minute).then_with(|| a.key.cmp(&b.key)));
    if trends.whole == Trend::Flat {
        growing.extend(finding(Measure::Size, "", trends.size, false));
    }
    growing.extend(finding(Measure::Mappings, "", trends.rows, false));
    Verdict { since, growing, whole: trends.whole }
}
