//! The machine that the results were measured on.

use std::fs;
use std::process::Command;

/// Describes the machine and the versions of all programs as a Markdown list.
pub fn describe() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let psutil = [
        "-c",
        "import psutil, sys; print(psutil.__version__, 'on Python', sys.version.split()[0])",
    ];
    let facts = [
        ("processor", format!("{}, {cores} cores", model.trim_start_matches([' ', '\t', ':']))),
        ("kernel", said("uname", &["-srm"])),
        ("compiler", said("rustc", &["--version"])),
        ("commit", said("git", &["describe", "--always", "--dirty"])),
        ("pmap", said("pmap", &["--version"])),
        ("psutil", said("python3", &psutil)),
        ("crates", "procfs 0.18, proc-maps 0.5, rsprocmaps 0.3".to_owned()),
        ("load average at the start", load),
    ];
    facts.map(|(name, fact)| format!("- {name}: {fact}\n")).concat()
}

/// Today's date, as in 2026-11-21.
pub fn today() -> String {
    said("date", &["+%F"])
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok();
    let output = output.filter(|output| output.status.success());
    output.map_or("missing".to_owned(), |o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
}
