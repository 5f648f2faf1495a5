//! An address of a target: what an access to it would meet.

use super::Case;
use super::place;
use crate::target::Target;
use vmatlas::crash::{Crash, CrashSource};
use vmatlas::explain::{Evidence, Fault};
use vmatlas::label::Labels;

pub(super) fn case(target: &mut Target, address: u64) -> Case {
    target.look(false, false);
    let target = &*target;
    let crash = Crash {
        source: CrashSource::Address,
        address: Some(address),
        maps: target.maps.clone(),
        ..Crash::default()
    };
    let labels = Labels::of(&target.maps, &target.facts, None);
    let evidence = Evidence {
        fault: Fault::of(&crash, None),
        place: place::of(target, address),
        ..Evidence::new(&crash, &target.facts, &labels)
    };
    Case::of(&evidence, Vec::new())
}
