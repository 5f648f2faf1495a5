//! A core dump of 1 GiB, nearly all of it heap. To reach: all its rows in 100 ms and 64 MiB of
//! memory, and sooner than gdb shows those of files.

use super::Scale;
use crate::measure::{Contender, race};
use crate::report::{Section, Target};
use crate::target::{compile, repository};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The table.
pub fn run(scale: Scale, programs: &Path) -> Section {
    let mebibytes = if scale.quick { 16 } else { 1024 };
    let mut section = Section::new(format!("a core dump of {mebibytes} MiB"));
    let dumped = tempfile::tempdir().map_err(|error| error.to_string()).and_then(|dir| {
        let core = dump(dir.path(), "heap_core.c", mebibytes)?;
        Ok((dir, core))
    });
    let (_dir, core) = match dumped {
        Ok(dumped) => dumped,
        Err(why) => {
            section.count("a core", &why, "", None);
            return section;
        }
    };
    let core = core.display().to_string();
    let vmatlas = programs.join("vmatlas").display().to_string();
    let ours = [&*vmatlas, "show", &*core];
    let json = [&*vmatlas, "show", "--json", &*core];
    let gdb = ["gdb", "-batch", "-nx", "-ex", "info proc mappings", "-c", &*core];
    let contenders = vec![
        contender("vmatlas show CORE", &ours, "[heap]"),
        contender("vmatlas show --json CORE", &json, "[heap]"),
        // It shows rows of files only.
        contender("gdb info proc mappings", &gdb, "libc.so"),
    ];
    let series = race(scale.rounds(15), contenders);
    let [show, json, gdb] = &series[..] else { unreachable!("three ran") };
    section.times(gdb, gdb, &[]);
    section.times(show, gdb, &[Target::Within(100e6), Target::AtMost(1.0, gdb)]);
    section.times(json, gdb, &[]);
    match peak(&ours) {
        Ok(kib) => {
            let value = format!("{} MiB", kib >> 10);
            section.count("memory of vmatlas", &value, "≤ 64 MiB", Some(kib >> 10 <= 64));
        }
        Err(why) => section.count("memory of vmatlas", &why, "", None),
    }
    if let Ok(kib) = peak(&["gdb", "-batch", "-nx", "-ex", "info proc mappings", "-c", &core]) {
        section.count("memory of gdb", &format!("{} MiB", kib >> 10), "", None);
    }
    section.note("Memory is `ru_maxrss`, which counts some MiB of the Python that asks.");
    section
}

/// Crashes a program of programs/ in a directory, and finds its core there.
pub(super) fn dump(dir: &Path, source: &str, mebibytes: u64) -> Result<PathBuf, String> {
    let program = compile(&repository().join("benchmarks/programs").join(source), dir)?;
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -c unlimited && exec $0 $1"]).arg(program).arg(mebibytes.to_string());
    shell.current_dir(dir).stdin(Stdio::null()).stderr(Stdio::null());
    shell.status().map_err(|error| error.to_string())?;
    let files = fs::read_dir(dir).map_err(|error| error.to_string())?;
    let mut paths = files.filter_map(|entry| Some(entry.ok()?.path()));
    let core = paths
        .find(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("core")));
    core.ok_or_else(|| "missing: the kernel leaves no core here (core_pattern)".to_owned())
}

/// A program that must print a word.
pub(super) fn contender<'a>(name: &str, words: &'a [&'a str], expected: &'a str) -> Contender<'a> {
    Contender::timed(name, move || {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stderr(Stdio::null());
        let from = Instant::now();
        let output = command.output().map_err(|error| format!("missing: {error}"))?;
        let nanos = from.elapsed().as_nanos() as f64;
        let text = String::from_utf8_lossy(&output.stdout);
        match output.status {
            status if !status.success() => Err(format!("failed: {status}")),
            _ if !text.contains(expected) => Err(format!("wrong answer: no {expected}")),
            _ => Ok(nanos),
        }
    })
}

/// The most memory that a command had resident, in KiB.
pub(super) fn peak(words: &[&str]) -> Result<u64, String> {
    const PROGRAM: &str = "import resource, subprocess, sys\n\
        subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n\
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";
    let output = Command::new("python3").args(["-c", PROGRAM]).args(words).output();
    let output = output.map_err(|error| format!("missing: python3: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| "failed: no number".to_owned())
}
