//! Runs of adjacent private unnamed memory without a label.
//!
//! Runtimes reserve a range and change the permissions of parts, which splits it into several rows;
//! and the kernel merges reservations with other adjacent memory.

use super::{Label, Labeller};
use vmatlas_maps::Kind;
use vmatlas_maps::{AddressRange, Mapping, Perms};

/// A part of a row.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) range: AddressRange,
    pub(super) perms: Perms,
}

/// Adjacent parts; at least one.
pub(super) struct Run(Vec<Part>);

impl Run {
    pub(super) fn range(&self) -> AddressRange {
        let start = self.0.first().map_or(0, |part| part.range.start);
        AddressRange::new(start, self.0.last().map_or(start, |part| part.range.end))
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.0
    }

    /// The parts inside a range, cut to it.
    pub(super) fn within(&self, range: AddressRange) -> impl Iterator<Item = Part> {
        let cut = move |part: &Part| Part {
            range: AddressRange::new(
                part.range.start.max(range.start),
                part.range.end.min(range.end),
            ),
            ..*part
        };
        self.0.iter().map(cut).filter(|part| part.range.size() > 0)
    }

    /// The parts below an address, cut there; `None` if there are none.
    pub(super) fn below(&self, end: u64) -> Option<Run> {
        let parts: Vec<Part> = self.within(AddressRange::new(0, end)).collect();
        (!parts.is_empty()).then_some(Run(parts))
    }

    /// Whether a reservation may end at an address: a part begins or ends there, or the memory
    /// there is inaccessible, because two adjacent reservations are one row.
    pub(super) fn may_end_at(&self, address: u64) -> bool {
        self.0.iter().any(|part| {
            part.range.end == address || part.perms.none() && part.range.contains(address)
        })
    }
}

/// Whether a row is private memory without a name.
pub(super) fn is_anonymous(row: &Mapping<'_>) -> bool {
    !row.perms.shared() && row.kind() == Kind::Anonymous
}

/// All runs, sorted.
pub(super) fn runs(labeller: &Labeller<'_>) -> Vec<Run> {
    runs_within(labeller, AddressRange::new(0, u64::MAX))
}

/// The runs in a range, cut to it.
pub(super) fn runs_within(labeller: &Labeller<'_>, within: AddressRange) -> Vec<Run> {
    let place = labeller.maps.find(within.start);
    let first = place.mapping.or(place.after).unwrap_or(labeller.maps.len());
    let rows = labeller.maps.iter().skip(first);
    let rows = rows.take_while(|row| row.range.start < within.end).filter(is_anonymous);
    let mut runs: Vec<Run> = Vec::new();
    for row in rows {
        let start = row.range.start.max(within.start);
        for range in labeller.unlabelled(AddressRange::new(start, row.range.end.min(within.end))) {
            let part = Part { range, perms: row.perms };
            match runs.last_mut() {
                Some(Run(parts)) if parts.last().is_some_and(|p| p.range.end == range.start) => {
                    parts.push(part);
                }
                _ => runs.push(Run(vec![part])),
            }
        }
    }
    runs
}

impl Labeller<'_> {
    /// Labels unnamed memory in a range: accessible parts with one label, reserved parts with the
    /// other.
    pub(super) fn label_reservation(
        &mut self,
        range: AddressRange,
        accessible: &Label,
        reserved: &Label,
    ) {
        for part in runs_within(self, range).iter().flat_map(Run::parts) {
            self.label(part.range, if part.perms.none() { reserved } else { accessible });
        }
    }
}
