//! `explain` and `show` on a core dump of 1 GiB, against gdb on the same dump. Target: 100 ms, and
//! 64 MiB of memory: vmatlas reads only the needed parts.

use super::Scale;
use crate::measure::{Contender, race};
use crate::report::{Section, Target};
use crate::target::repository;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

/// The target for peak memory, in KiB.
const MOST_KIB: u64 = 64 << 10;
/// Runs a program and reports its peak memory in KiB (getrusage(2)).
const PEAK: &str = "import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";

/// A program that crashed, and its core.
struct Crash {
    directory: tempfile::TempDir,
}

impl Crash {
    fn new(mebibytes: u64) -> Result<Crash, String> {
        let directory = tempfile::tempdir_in("/var/tmp").map_err(|error| error.to_string())?;
        let crash = Crash { directory };
        let source = repository().join("benchmarks/programs/big_core.c");
        let mut cc = Command::new("cc");
        cc.args(["-g", "-O1", "-fno-optimize-sibling-calls", "-o"])
            .arg(crash.program())
            .arg(source);
        let compiled = cc.status().map_err(|error| format!("missing: cc: {error}"))?;
        if !compiled.success() {
            return Err("failed: big_core.c".to_owned());
        }
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -c unlimited; exec ./big_core \"$0\""]);
        shell.arg(mebibytes.to_string()).current_dir(crash.directory.path());
        let _ = shell.output().map_err(|error| error.to_string())?;
        let size = std::fs::metadata(crash.core()).map(|core| core.len()).unwrap_or(0);
        if size < mebibytes << 20 {
            return Err(format!(
                "missing: a core of {mebibytes} MiB ({size} bytes; kernel.core_pattern must be \
                 core)"
            ));
        }
        Ok(crash)
    }

    fn program(&self) -> PathBuf {
        self.directory.path().join("big_core")
    }

    fn core(&self) -> PathBuf {
        let named = |entry: std::io::Result<std::fs::DirEntry>| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_string_lossy().into_owned();
            name.starts_with("core").then_some(path)
        };
        let files = std::fs::read_dir(self.directory.path());
        files.into_iter().flatten().find_map(named).unwrap_or_default()
    }
}

/// A command whose output must contain a word.
fn contender<'a>(name: &str, arguments: &'a [String], word: &'a str) -> Contender<'a> {
    Contender::timed(name, move || {
        let [program, rest @ ..] = arguments else { return Err("no program".to_owned()) };
        let mut command = Command::new(program);
        command.args(rest).stdin(Stdio::null());
        let from = Instant::now();
        let output = command.output().map_err(|error| format!("missing: {error}"))?;
        let nanos = from.elapsed().as_nanos() as f64;
        let Output { stdout, stderr, .. } = output;
        if !String::from_utf8_lossy(&stdout).contains(word) {
            let said = String::from_utf8_lossy(&stderr);
            return Err(format!("wrong answer: {}", said.lines().last().unwrap_or_default()));
        }
        Ok(nanos)
    })
}

fn peak_kib(arguments: &[String]) -> Result<u64, String> {
    let output = Command::new("python3").args(["-c", PEAK]).args(arguments).output();
    let output = output.map_err(|error| format!("missing: python3: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| format!("failed: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Measures and returns the table.
pub fn run(scale: Scale, programs: &Path) -> Section {
    let mebibytes = if scale.quick { 64 } else { 1024 };
    let mut section = Section::new(format!("explaining a core dump of {mebibytes} MiB"));
    let crash = match Crash::new(mebibytes) {
        Ok(crash) => crash,
        Err(why) => {
            section.count("core", &why, "", Some(false));
            return section;
        }
    };
    let text = |path: PathBuf| path.display().to_string();
    let (program, core) = (text(crash.program()), text(crash.core()));
    let ours = |command: &str| [text(programs.join("vmatlas")), command.to_owned(), core.clone()];
    let (explain, show) = (ours("explain"), ours("show"));
    let gdb = |commands: &[&str]| -> Vec<String> {
        let all = ["gdb", "-nx", "-batch"].into_iter().map(str::to_owned);
        let commands =
            commands.iter().flat_map(|command| ["-ex".to_owned(), (*command).to_owned()]);
        all.chain(commands).chain([program.clone(), core.clone()]).collect()
    };
    let (maps, stack) = (gdb(&["info proc mappings"]), gdb(&["bt"]));
    let both = gdb(&["info proc mappings", "bt"]);
    let all = vec![
        contender("gdb info proc mappings, bt", &both, "visit"),
        contender("gdb info proc mappings", &maps, "big_core"),
        contender("gdb bt", &stack, "visit"),
        contender("vmatlas explain", &explain, "The pointer is null"),
        contender("vmatlas show", &show, "[stack]"),
    ];
    let series = race(scale.rounds(15), all);
    for peer in &series[..3] {
        section.times(peer, &series[0], &[]);
    }
    section.times(&series[3], &series[0], &[Target::Within(100e6)]);
    section.times(&series[4], &series[1], &[Target::Within(100e6)]);
    let runs = [
        ("gdb", &both[..], false),
        ("vmatlas explain", &explain[..], true),
        ("vmatlas show", &show[..], true),
    ];
    for (name, arguments, held) in runs {
        match peak_kib(arguments) {
            Ok(kib) => {
                let target = if held { "≤ 64 MiB of memory" } else { "" };
                let reached = held.then_some(kib <= MOST_KIB);
                section.count(name, &format!("{:.1} MiB", kib as f64 / 1024.0), target, reached);
            }
            Err(why) => section.count(name, &why, "", held.then_some(false)),
        }
    }
    section.note(
        "explain reports the cause, the address, the instruction, the map around it and the stack \
         with names; the core is in the page cache. Memory is the most that was resident \
         (ru_maxrss).",
    );
    section
}
