//! The size of a recording per event, stacks included, and the memory of a recorder. Target: 16
//! bytes, 256 MiB.

use super::storm::{storm, whole};
use super::{Bench, Workload, output, recorder, strace, words};
use crate::report::Section;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The tracepoints of the calls that the program makes.
const POINTS: &str = "syscalls:sys_exit_mmap,syscalls:sys_exit_munmap";

pub(super) fn run(bench: &Bench) -> Section {
    let mut section = Section::new("bytes for each event, and the recorder's memory");
    let few = if bench.scale.quick { 200 } else { 2_000 };
    let line = |section: &mut Section, name: &str, found: Result<(u64, u64), String>, most| {
        let target = if most > 0.0 { format!("≤ {most} bytes") } else { String::new() };
        match found {
            Ok((bytes, events)) => {
                let each = bytes as f64 / events as f64;
                let value = format!("{each:.1} bytes ({events} events)");
                // The events of the program's start are negligible only among many events.
                let counts = most > 0.0 && !bench.scale.quick;
                section.count(name, &value, &target, counts.then_some(each <= most));
            }
            Err(why) => {
                section.count(name, &why, &target, why.starts_with("wrong").then_some(false));
            }
        }
    };
    match storm(bench, few, 1) {
        Ok(storm) => {
            line(&mut section, "strace -k", logged(bench, &storm), 0.0);
            line(&mut section, "perf record --call-graph dwarf", perf(bench, &storm), 0.0);
        }
        Err(why) => line(&mut section, "storm", Err(why), 0.0),
    }
    let (pairs, file) =
        (if bench.scale.quick { 2_000 } else { 500_000 }, bench.dir.join("disk.vmrec"));
    let recorded = storm(bench, pairs, 1).and_then(|storm| {
        let peak = peak(&[recorder(bench, &file), storm.command].concat())?;
        Ok((peak, whole(&file, pairs)?))
    });
    match recorded {
        Ok((peak, found)) => {
            line(&mut section, "vmatlas record, storm", Ok((found.bytes, found.events)), 16.0);
            let name = format!("memory of vmatlas record, {} events", found.events);
            let value = format!("{} MiB", peak >> 10);
            section.count(&name, &value, "≤ 256 MiB", Some(peak >> 10 <= 256));
        }
        Err(why) => line(&mut section, "vmatlas record, storm", Err(why), 16.0),
    }
    let shell = words(&["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do /bin/true; done"]);
    let found = output(&[recorder(bench, &file), shell].concat(), &bench.dir)
        .and_then(|_| super::found(&file))
        .map(|found| (found.bytes, found.events));
    line(&mut section, "vmatlas record, 10 programs by a shell", found, 0.0);
    section.note(
        "Memory is VmHWM. The last line is of short programs: each has its own rows, files and \
         stacks, which nothing later shares.",
    );
    section
}

/// The bytes and calls that strace writes.
fn logged(bench: &Bench, storm: &Workload) -> Result<(u64, u64), String> {
    let file = bench.dir.join("strace.log");
    storm.time(&strace(true, &file.display().to_string()), &bench.dir)?;
    let log = std::fs::read(&file).map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&log);
    let calls = text.lines().filter(|line| !line.starts_with(" >") && line.contains(") = "));
    Ok((log.len() as u64, calls.count().max(1) as u64))
}

/// The bytes and samples that perf writes.
fn perf(bench: &Bench, storm: &Workload) -> Result<(u64, u64), String> {
    let file = bench.dir.join("perf.data");
    let name = file.display().to_string();
    let record = words(&["perf", "record", "-q", "-c", "1", "--call-graph", "dwarf", "-e", POINTS]);
    let record = [&record[..], &words(&["-m", "16M", "-o", &name])].concat();
    let tried = storm.time(&record, &bench.dir);
    tried.map_err(|why| format!("missing: no tracepoints here ({why})"))?;
    let (samples, _) = output(&words(&["perf", "report", "-i", &name, "--stats"]), &bench.dir)?;
    let count = samples.lines().filter_map(|line| line.trim().strip_prefix("SAMPLE events:"));
    let count = count.filter_map(|count| count.split_whitespace().next()?.parse::<u64>().ok());
    let bytes = std::fs::metadata(&file).map_err(|error| error.to_string())?.len();
    Ok((bytes, count.max().unwrap_or(0).max(1)))
}

/// The peak memory of a program, in KiB.
fn peak(command: &[String]) -> Result<u64, String> {
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("missing: {}: {error}", command[0]))?;
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        // `VmHWM` never shrinks; a zombie has none.
        most = most.max(high_water(Path::new(&status)).unwrap_or(0));
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return if status.success() { Ok(most) } else { Err(format!("failed: {status}")) };
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `VmHWM` in KiB.
fn high_water(status: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
