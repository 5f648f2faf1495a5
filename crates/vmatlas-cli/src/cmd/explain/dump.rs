//! A core dump.

use super::{Case, frames, place};
use crate::core::Core;
use crate::target::Target;
use vmatlas::crash::Machine;
use vmatlas::explain::{Evidence, Fault, PlaceFacts};
use vmatlas::label::Labels;
use vmatlas::{Mapping, Memory};
use vmatlas_linux::postmortem::{Postmortem, StackRegisters};

/// So many calls show a recursion.
const MOST_FRAMES: usize = 256;
/// Where the program begins (include/uapi/linux/auxvec.h).
const AT_ENTRY: u64 = 9;

/// The crash that a core dump was written for; none where it was taken of a running process.
pub(super) fn case(target: &Target, core: &Core) -> Option<Case> {
    let dump = &core.dump;
    let mut crash = dump.crash();
    crash.signal?;
    let build_id = |row: &Mapping<'_>| dump.image_of(row)?.build_id;
    let dead = Postmortem::new(&target.maps, dump, &build_id);
    let register = |name| crash.registers.iter().find(|(known, _)| known == name).map(|r| r.1);
    let mut stack = Vec::new();
    if let (Some(Machine::X86_64), Some(ip), Some(sp)) = (crash.machine, crash.ip, crash.sp) {
        let fp = register("rbp").unwrap_or(0);
        let found = dead.frames(StackRegisters { ip, sp, fp }, MOST_FRAMES);
        let entry = dump.auxv().get(AT_ENTRY).and_then(|entry| target.maps.find(entry).mapping);
        let program = entry.and_then(|row| target.maps.get(row)).map(|row| row.name);
        stack = frames::name(&target.maps, program, &build_id, &found);
    }
    crash.frames = stack.iter().map(|(pc, frame)| frames::of_crash(Some(*pc), frame)).collect();
    let facts = dump.facts();
    let labels = Labels::of(&target.maps, &facts, Some(dump));
    let memory: &dyn Memory = &dead;
    let fault = Fault::of(&crash, Some(memory));
    let place = || {
        let address = fault.address?;
        let row = target.maps.find(address).mapping?;
        let mapping = target.maps.get(row)?;
        let image = facts.images.iter().find(|image| {
            image.name == mapping.name
                && image.segments.iter().any(|(range, ..)| range.contains(address))
        });
        Some(place::of_dead(&dead, row, &mapping, address, image.map(|image| image.bias)))
    };
    let place = place().unwrap_or_else(PlaceFacts::default);
    let evidence = Evidence {
        maps: &target.maps,
        fault,
        place,
        memory: Some(memory),
        ..Evidence::new(&crash, &facts, &labels)
    };
    Some(Case::of(&evidence, stack.into_iter().map(|(_, frame)| frame).collect()))
}
