//! `explain` on a core dump of 1 GiB, against gdb's mappings and stack of the same. To reach:
//! 100 ms and 64 MiB of memory: nothing is read that is not needed.

use super::Scale;
use super::core::{contender, dump, peak};
use crate::measure::race;
use crate::report::{Section, Target};
use std::path::Path;

/// The table.
pub fn run(scale: Scale, programs: &Path) -> Section {
    let mebibytes = if scale.quick { 16 } else { 1024 };
    let mut section = Section::new(format!("explaining a core dump of {mebibytes} MiB"));
    let dumped = tempfile::tempdir().map_err(|error| error.to_string()).and_then(|dir| {
        let core = dump(dir.path(), "null_core.c", mebibytes)?;
        Ok((dir, core))
    });
    let (dir, core) = match dumped {
        Ok(dumped) => dumped,
        Err(why) => {
            section.count("a core", &why, "", None);
            return section;
        }
    };
    let core = core.display().to_string();
    let program = dir.path().join("null_core").display().to_string();
    let vmatlas = programs.join("vmatlas").display().to_string();
    let ours = [&*vmatlas, "explain", &*core];
    let gdb = ["gdb", "-batch", "-nx", "-ex", "info proc mappings", "-ex", "bt", &program, &core];
    let stack = ["gdb", "-batch", "-nx", "-ex", "bt", &program, &core];
    let contenders = vec![
        contender("gdb info proc mappings, bt", &gdb, "visit"),
        contender("gdb bt", &stack, "visit"),
        contender("vmatlas explain", &ours, "The pointer is null"),
    ];
    let series = race(scale.rounds(15), contenders);
    let [both, stack, explain] = &series[..] else { unreachable!("three ran") };
    section.times(both, both, &[]);
    section.times(stack, both, &[]);
    section.times(explain, both, &[Target::Within(100e6), Target::AtMost(1.0, both)]);
    for (name, words, most) in [("gdb", &gdb[..], None), ("vmatlas", &ours[..], Some(64))] {
        let name = format!("memory of {name}");
        let target = most.map_or(String::new(), |most| format!("≤ {most} MiB"));
        match peak(words) {
            Ok(kib) => {
                let reached = most.map(|most| kib >> 10 <= most);
                section.count(&name, &format!("{} MiB", kib >> 10), &target, reached);
            }
            Err(why) => section.count(&name, &why, &target, None),
        }
    }
    section.note(
        "explain tells the cause, the address, the instruction, the map around it and the stack \
         with names. Memory is `ru_maxrss`, which counts some MiB of the Python that asks.",
    );
    section
}
