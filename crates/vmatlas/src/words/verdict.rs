//! What grows, in sentences.

use super::values::{printable, size};
use crate::watch::{Finding, Measure, Trend, Verdict};

/// The most findings of a verdict that are named.
const MOST: usize = 3;

/// A verdict in a sentence or several; `None` before there are enough looks.
pub fn verdict(verdict: &Verdict) -> Option<String> {
    if verdict.growing.is_empty() {
        return whole(verdict.whole);
    }
    let mut sentences: Vec<String> = verdict.growing.iter().take(MOST).map(finding).collect();
    let more = verdict.growing.len() - sentences.len();
    if more > 0 {
        sentences.push(format!("{more} more grow"));
    }
    Some(sentences.join("; "))
}

fn finding(finding: &Finding) -> String {
    let Finding { measure, key, per_minute, is_mapped_before } = finding;
    let key = printable(key.as_bytes());
    match measure {
        Measure::Resident if *is_mapped_before => {
            format!("{key} grows by {}/min, within what was mapped before", bytes(*per_minute))
        }
        Measure::Resident => format!("{key} grows by {}/min", bytes(*per_minute)),
        Measure::Size => {
            format!("address space grows by {}/min, and is not touched", bytes(*per_minute))
        }
        Measure::Mappings => format!("the number of mappings grows by {per_minute:.0}/min"),
    }
}

/// How resident memory as a whole changes, if nothing grows steadily.
fn whole(trend: Trend) -> Option<String> {
    Some(match trend {
        Trend::Flat => "nothing grows".to_owned(),
        Trend::Grew { by, until } => {
            format!("grew by {}, and no more since {until:.0} s", bytes(by))
        }
        Trend::Fell { by, until } => {
            format!("shrank by {}, and no more since {until:.0} s", bytes(by))
        }
        Trend::Falls { per_second } => format!("shrinks by {}/min", bytes(per_second * 60.0)),
        Trend::Varies => "no steady growth: resident memory goes up and down".to_owned(),
        Trend::Grows { per_second } => {
            format!("resident memory grows by {}/min as a whole", bytes(per_second * 60.0))
        }
        Trend::Unknown => return None,
    })
}

/// A number of bytes that is not below 0.
fn bytes(bytes: f64) -> String {
    size(bytes.max(0.0).round() as u64)
}
