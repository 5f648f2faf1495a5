//! The outcome of an access to an address of a target.

use super::case::Case;
use super::place;
use crate::atlas::Atlas;
use vmatlas_explain::crash::{Crash, CrashSource};
use vmatlas_explain::explain::{Evidence, Fault};
use vmatlas_explain::tagged::Tagged;

impl Atlas {
    /// Explains the outcome of an access to an address.
    pub fn explain_access(&self, address: u64) -> Case {
        let mut crash = Crash::default();
        crash.source = CrashSource::Address;
        let tagged = self.tagged(address);
        let ignored = tagged.filter(Tagged::are_ignored);
        let address = ignored.map_or(address, |tagged| tagged.address);
        crash.address = Some(address);
        crash.machine = self.facts().machine;
        crash.maps = self.maps().clone();
        let mut evidence = Evidence::new(&crash, self.facts(), self.labels());
        evidence.fault = Fault::of(&crash, None);
        evidence.fault.tagged = tagged;
        evidence.place = place::of(self, address);
        Case::of(&evidence, Vec::new())
    }
}
