//! The CPU time of sums over many processes, against that of the kernel for the same files, and of
//! smem.

use super::Scale;
use crate::invocation::{Invocation, anything};
use crate::measure::race;
use crate::report::{Section, Target};
use crate::target::Small;
use std::path::Path;

/// A parent whose 60 children share 200 MiB with it, 100 sleeping programs and 40 interpreters: the
/// processes of a server with workers, of scripts, of services.
const FLEET: &str = "
import ctypes, os, signal, subprocess, sys, time
megabytes, workers, sleepers, scripts = map(int, sys.argv[1:])
def end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
memory = bytearray(megabytes << 20)
memory[::4096] = b'1' * len(memory[::4096])
for worker in range(workers):
    if os.fork() == 0:
        end_with_parent()
        own = len(memory) // 40 // 4096 * 4096
        memory[worker % 8 * own:worker % 8 * own + own:4096] = b'2' * (own >> 12)
        while True: signal.pause()
run = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, preexec_fn=end_with_parent)
for _ in range(sleepers): subprocess.Popen(['sleep', 'infinity'], **run)
script = 'import json, re, time; time.sleep(1e6)'
for _ in range(scripts): subprocess.Popen([sys.executable, '-c', script], **run)
time.sleep(5)
print('ready', flush=True)
while True: signal.pause()
";

/// Measures and returns the table.
pub fn run(scale: Scale, programs: &Path) -> Section {
    let mut section = Section::new("Many processes: CPU time of sums over 201 of them");
    let sizes = if scale.quick { ["8", "2", "2", "2"] } else { ["200", "60", "100", "40"] };
    let arguments = [&["-c", FLEET], &sizes[..]].concat();
    let parent = match Small::ready("python3", &arguments) {
        Ok(parent) => parent,
        Err(why) => {
            section.count("processes", &why, "", None);
            return section;
        }
    };
    let pid = parent.pid().to_string();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let pids: Vec<&str> =
        std::iter::once(pid.as_str()).chain(children.split_whitespace()).collect();
    let vmatlas = programs.join("vmatlas");
    let kernel = |file: &str| {
        let files: Vec<String> = pids.iter().map(|pid| format!("/proc/{pid}/{file}")).collect();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        named(format!("cat of every {file}"), Invocation::new(Path::new("cat"), &files, anything))
    };
    let ours = |options: &&str| {
        let words: Vec<&str> = options.split(' ').collect();
        let arguments = [&["all", "-q", "--json"], &words[..], &pids[..]].concat();
        named(format!("all {options}"), Invocation::new(&vmatlas, &arguments, anything))
    };
    // At most so many times the CPU time of the kernel for the same files.
    for (file, most, options) in [
        ("smaps_rollup", 1.15, vec!["--by process", "--by program"]),
        ("smaps", 1.25, vec!["--by kind", "--by file", "--by label"]),
        ("maps", 1.3, vec!["--cheap --by process"]),
    ] {
        let mut all = vec![kernel(file)];
        all.extend(options.iter().map(ours));
        if file == "smaps_rollup" {
            all.push(Invocation::new(Path::new("smem"), &[], anything));
        }
        if file == "smaps" {
            let arguments = ["shared", "-q", "--json", &pid];
            let one = Invocation::new(&vmatlas, &arguments, anything);
            all.push(named("shared, the parent".to_owned(), one));
        }
        let runs = if scale.quick { 1 } else { 5 };
        let contenders = all.iter().map(|one| one.cpu_contender(runs, None)).collect();
        let series = race(scale.rounds(5), contenders);
        for (place, one) in series.iter().enumerate() {
            let is_ours = place > 0 && place <= options.len();
            let target = is_ours.then(|| Target::AtMost(most, &series[0]));
            section.times(one, &series[0], target.as_slice());
        }
    }
    section.note(
        "CPU time is user and system time of the program and all it starts. smem reads all processes of \
         the machine. The kernel's part is that of cat, which reads the same files.",
    );
    section
}

fn named(name: String, mut invocation: Invocation) -> Invocation {
    invocation.name = name;
    invocation
}
