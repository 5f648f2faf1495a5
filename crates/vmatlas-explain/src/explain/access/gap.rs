//! Accesses to unmapped addresses.

use super::shows_gap;
use crate::crash::CrashSource;
use crate::explain::{Cause, Conclusion, Evidence, words};
use crate::label::Confidence;
use crate::tagged::Tagged;
use vmatlas_maps::Mapping;

/// Largest distance in bytes at which an access likely relates to a mapping.
const NEAR: u64 = 64 << 10;

/// An access to an unmapped address. If the rows do not show what is near it, only one beside a row
/// is explained.
pub(super) fn gap(evidence: &Evidence<'_>, address: u64) -> Option<Conclusion> {
    let place = evidence.maps.find(address);
    let row = |at: Option<usize>| at.and_then(|at| evidence.maps.get(at));
    let (before, after) = (row(place.before), row(place.after));
    let registers =
        evidence.fault.operand.iter().flat_map(|operand| [&operand.base, &operand.index]);
    let machine = evidence.crash.machine;
    let values: Vec<(&str, u64)> = registers
        .flatten()
        .filter_map(|held| Some((&*held.name, Tagged::plain(held.value?, machine, evidence.maps))))
        .collect();
    let from = |row: &Mapping<'_>| values.iter().find(|(_, value)| row.range.contains(*value));
    let recorded = evidence.crash.source == CrashSource::Recording;
    let past = |row: &Mapping<'_>, how: &str, distance: u64, beyond: &str| {
        let counted = from(row);
        let beside = if address < row.range.start {
            row.range.start
        } else {
            row.range.end.saturating_sub(1)
        };
        // The recording would have the event.
        let or = match counted {
            None if !recorded => ", or memory that was mapped there has been unmapped",
            _ => "",
        };
        let confidence = match counted {
            Some(_) => Confidence::Likely,
            None if distance < 4096 => Confidence::Likely,
            None => Confidence::Guess,
        };
        let because = match counted {
            Some((register, value)) => {
                format!("the register {register} is {value:#x}, which lies in {}", row.range)
            }
            None if distance == 0 => format!("the address is the end of {}", row.range),
            None => format!("the address is {} {beyond} {}", words::bytes(distance), row.range),
        };
        Conclusion::new(
            Cause::PastMapping,
            confidence,
            format!("The access went {how} {}{or}.", words::lower_thing(evidence, row, beside)),
            because,
        )
    };
    if let Some(row) = before {
        let distance = address.saturating_sub(row.range.end);
        if from(&row).is_some() || distance < NEAR {
            return Some(past(&row, "beyond the end of", distance, "above the end of"));
        }
    }
    if let Some(row) = after {
        let distance = row.range.start.saturating_sub(address);
        if from(&row).is_some() || distance <= 4096 {
            return Some(past(&row, "before the start of", distance, "below the start of"));
        }
    }
    if !shows_gap(evidence, address) {
        return None;
    }
    let near = [(before, true), (after, false)].into_iter().filter_map(|(row, below)| {
        let row = row?;
        let distance = if below { address - row.range.end } else { row.range.start - address };
        Some(distance)
    });
    let nearest = near.min().map(words::bytes).unwrap_or_default();
    let sentence = if recorded {
        "The pointer was overwritten or never set, or an index or a size was wrong: no event that \
         unmapped memory there was found in the recording."
    } else {
        "The pointer was overwritten or never set, an index or a size was wrong, or the memory that \
         it pointed to was unmapped. A recording (vmatlas record) would show whether it was \
         unmapped."
    };
    Some(Conclusion::new(
        Cause::Unmapped,
        Confidence::Likely,
        sentence,
        format!("the nearest mapping is {nearest} away, and the address looks like no other data"),
    ))
}
