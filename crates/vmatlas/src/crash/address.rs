//! The outcome of an access to an address of a target.

use super::case::Case;
use super::place;
use crate::atlas::Atlas;
use vmatlas_explain::crash::{Crash, CrashSource};
use vmatlas_explain::explain::{Evidence, Fault};

impl Atlas {
    /// Explains the outcome of an access to an address.
    pub fn explain_access(&self, address: u64) -> Case {
        let mut crash = Crash::default();
        crash.source = CrashSource::Address;
        crash.address = Some(address);
        crash.maps = self.maps().clone();
        let mut evidence = Evidence::new(&crash, self.facts(), self.labels());
        evidence.fault = Fault::of(&crash, None);
        evidence.place = place::of(self, address);
        Case::of(&evidence, Vec::new())
    }
}
