//! The outcome of an access to an address of a target.

use super::case::Case;
use super::place;
use crate::atlas::Atlas;
use vmatlas_explain::crash::{Crash, CrashSource};
use vmatlas_explain::explain::{Evidence, Fault};

impl Atlas {
    /// Explains the outcome of an access to an address.
    pub fn explain_access(&self, address: u64) -> Case {
        let crash = Crash {
            source: CrashSource::Address,
            address: Some(address),
            maps: self.maps().clone(),
            ..Crash::default()
        };
        let evidence = Evidence {
            fault: Fault::of(&crash, None),
            place: place::of(self, address),
            ..Evidence::new(&crash, self.facts(), self.labels())
        };
        Case::of(&evidence, Vec::new())
    }
}
