//! The rows around an address, with the gaps between them.

use vmatlas_maps::AddressRange;
use vmatlas_maps::Maps;

/// A row or gap near an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Around {
    /// The index of the row; `None` for a gap.
    pub row: Option<usize>,
    /// The addresses. A gap without a neighbour extends to the end of the address space.
    pub range: AddressRange,
    /// Whether it contains the address.
    pub here: bool,
}

/// The row or gap that contains the address, and `rows` rows on each side with the gaps between
/// them.
pub fn around(maps: &Maps, address: u64, rows: usize) -> Vec<Around> {
    let place = maps.find(address);
    let Some(anchor) = place.mapping.or(place.before).or(place.after) else { return Vec::new() };
    if !maps.is_ordered() {
        let range = maps.get(anchor).map(|row| row.range).unwrap_or_default();
        return vec![Around { row: Some(anchor), range, here: range.contains(address) }];
    }
    // A gap below all mappings has no row before it.
    let below = if place.mapping.is_none() && place.before.is_some() { anchor + 1 } else { anchor };
    let first = below.saturating_sub(rows);
    let last = match place.mapping {
        Some(at) => at.saturating_add(rows),
        None => below.saturating_add(rows).saturating_sub(1),
    };
    let last = last.min(maps.len().saturating_sub(1));
    let mut lines = Vec::new();
    let mut end = first.checked_sub(1).and_then(|at| maps.get(at)).map(|row| row.range.end);
    if first == 0 {
        end = Some(0);
    }
    for index in first..=last {
        let Some(row) = maps.get(index) else { break };
        let gap = AddressRange::new(end.unwrap_or(row.range.start), row.range.start);
        let here = gap.contains(address);
        // The gap below the first line is not shown.
        if gap.size() > 0 && (here || index > first) {
            lines.push(Around { row: None, range: gap, here });
        }
        lines.push(Around {
            row: Some(index),
            range: row.range,
            here: row.range.contains(address),
        });
        end = Some(row.range.end);
    }
    let end = end.unwrap_or(0);
    if last + 1 == maps.len() && address >= end {
        let range = AddressRange::new(end, u64::MAX);
        lines.push(Around { row: None, range, here: true });
    }
    lines
}
