//! The CPU time of `--deep`, which reads the structures of allocators and runtimes in memory, against
//! `pmap -X`, over programs of several languages.

use super::Scale;
use crate::invocation::{Invocation, anything};
use crate::measure::race;
use crate::report::Section;
use crate::target::Small;
use std::path::Path;

/// Programs that make some thousand objects, print a line and wait: name, program and arguments.
const PROGRAMS: [(&str, &[&str]); 5] = [
    ("sleep", &["sh", "-c", "echo ready; exec sleep 600"]),
    (
        "CPython",
        &[
            "python3",
            "-c",
            "import time; kept = [bytes(99) for _ in range(200000)]; print('ready', flush=True); time.sleep(600)",
        ],
    ),
    (
        "Ruby",
        &[
            "ruby",
            "-e",
            "kept = (0..200000).map { |n| 'x' * 99 }; $stdout.sync = true; puts 'ready'; sleep 600",
        ],
    ),
    (
        "Node.js",
        &[
            "node",
            "-e",
            "const kept = Array.from({ length: 200000 }, (_, n) => 'x' + n); console.log('ready'); setTimeout(() => kept, 600000)",
        ],
    ),
    (
        "Perl",
        &[
            "perl",
            "-e",
            "$| = 1; my @kept = map { 'x' x 99 . $_ } 1 .. 200000; print \"ready\\n\"; sleep 600",
        ],
    ),
];

/// Measures and returns the table.
pub fn run(scale: Scale, programs: &Path) -> Section {
    let vmatlas = programs.join("vmatlas");
    let mut section = Section::new("--deep: CPU time on programs of several languages");
    for (name, command) in PROGRAMS {
        let [program, arguments @ ..] = command else { continue };
        let target = match Small::ready(program, arguments) {
            Ok(target) => target,
            Err(why) => {
                section.count(name, &why, "", None);
                continue;
            }
        };
        let pid = target.pid().to_string();
        let mut all = [
            Invocation::new(Path::new("pmap"), &["-X", &pid], anything),
            Invocation::new(&vmatlas, &["show", &pid], anything),
            Invocation::new(&vmatlas, &["show", "--deep", &pid], anything),
        ];
        all.iter_mut().for_each(|one| one.name = format!("{name}: {}", one.name));
        let runs = if scale.quick { 1 } else { 20 };
        let contenders = all.iter().map(|one| one.cpu_contender(runs, None)).collect();
        let series = race(scale.rounds(7), contenders);
        series.iter().for_each(|one| section.times(one, &series[0], &[]));
    }
    section.note(
        "CPU time is user and system time of the program and all it starts, of 20 runs in a row, by \
         /proc/self/stat, which counts 10 ms.",
    );
    section
}
