//! An address of a target: what an access to it would meet.

use super::case::Case;
use super::place;
use crate::atlas::Atlas;
use vmatlas_explain::crash::{Crash, CrashSource};
use vmatlas_explain::explain::{Evidence, Fault};

impl Atlas {
    /// What an access to an address would meet.
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
