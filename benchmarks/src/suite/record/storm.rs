//! A program that only maps and unmaps, 17 frames deep. Target: no slower than strace without
//! stacks; by perf events, three times the bare program.

use super::{Bench, Workload, found, recorder, strace, words};
use crate::measure::{Contender, race};
use crate::report::{Section, Target};
use crate::target::compile;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(super) fn run(bench: &Bench) -> Vec<Section> {
    let pairs = if bench.scale.quick { 500 } else { 100_000 };
    [1, 4].into_iter().map(|threads| measure(bench, pairs, threads)).collect()
}

/// The program, with this number of pairs of calls.
pub(super) fn storm(bench: &Bench, pairs: u64, threads: u64) -> Result<Workload, String> {
    let program = compile(&super::source("storm.c"), &bench.dir)?;
    let command =
        words(&[&program.display().to_string(), &pairs.to_string(), &threads.to_string()]);
    let workload = Workload::new("storm", command, &bench.dir)?;
    if workload.expected.trim() != pairs.to_string() {
        return Err(format!("wrong answer: {}", workload.expected));
    }
    Ok(workload)
}

/// Checks that a recording has all calls of the program, with their stacks.
pub(super) fn whole(file: &Path, pairs: u64) -> Result<super::Found, String> {
    let found = found(file)?;
    if found.deep < 2 * pairs {
        return Err(format!("wrong answer: {pairs} pairs, but {found:?}"));
    }
    Ok(found)
}

fn measure(bench: &Bench, pairs: u64, threads: u64) -> Section {
    let mut section = Section::new(format!(
        "{pairs} pairs of mmap and munmap, 17 frames deep, {threads} threads"
    ));
    let workload = match storm(bench, pairs, threads) {
        Ok(workload) => workload,
        Err(why) => {
            section.count("storm", &why, "", None);
            return section;
        }
    };
    let file = bench.dir.join("storm.vmrec");
    let mut contenders = vec![
        Contender::timed("bare", || workload.time(&[], &bench.dir)),
        Contender::timed("vmatlas record", || {
            let nanos = workload.time(&recorder(bench, &file), &bench.dir)?;
            whole(&file, pairs)?;
            Ok(nanos)
        }),
        Contender::timed("strace without stacks", || {
            workload.time(&strace(false, "/dev/null"), &bench.dir)
        }),
    ];
    // The perf backend is measured only if the command supports it.
    let attaches = super::output(
        &words(&[&bench.vmatlas.display().to_string(), "record", "--help"]),
        &bench.dir,
    )
    .is_ok_and(|(help, _)| help.contains("--backend"));
    if attaches {
        contenders.push(Contender::timed("vmatlas record --backend perf", || {
            let nanos = attached(bench, &workload, &file)?;
            let found = found_attached(&file)?;
            if found < 2 * pairs {
                return Err(format!("wrong answer: {found} calls of {pairs} pairs"));
            }
            Ok(nanos)
        }));
    }
    let series = race(bench.scale.rounds(5), contenders);
    let [bare, ours, strace, perf @ ..] = &series[..] else { unreachable!("three ran") };
    section.times(bare, bare, &[]);
    section.times(ours, bare, &[Target::AtMost(1.0, strace)]);
    section.times(strace, bare, &[]);
    match perf {
        [perf] => section.times(perf, bare, &[Target::AtMost(3.0, bare)]),
        _ => section.count("vmatlas record --backend perf", "the command has none", "", None),
    }
    section.note("The time of the whole program, its start and its end included.");
    section
}

/// The time of an attached program, from the line that starts its work to its end.
fn attached(bench: &Bench, workload: &Workload, file: &Path) -> Result<f64, String> {
    let io = |error: std::io::Error| error.to_string();
    let mut storm = Ended(
        Command::new(&workload.command[0])
            .args(&workload.command[1..])
            .arg("wait")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(io)?,
    );
    // Remove an older file, so that a file found later belongs to this recording.
    let _ = std::fs::remove_file(file);
    let mut recorder = Ended(
        Command::new(&bench.vmatlas)
            .args(["record", "--quiet", "--backend", "perf", "-o"])
            .arg(file)
            .args(["-p", &storm.0.id().to_string()])
            .stdin(Stdio::null())
            .spawn()
            .map_err(io)?,
    );
    let begun = Instant::now();
    while std::fs::metadata(file).map_or(0, |file| file.len()) == 0 {
        if begun.elapsed() > Duration::from_secs(10) {
            return Err("failed: nothing is recorded after ten seconds".to_owned());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(100));
    let from = Instant::now();
    storm.0.stdin.take().ok_or("no input")?.write_all(b"\n").map_err(io)?;
    let mut said = String::new();
    let output = storm.0.stdout.take().ok_or("no output")?;
    BufReader::new(output).read_line(&mut said).map_err(io)?;
    let nanos = from.elapsed().as_nanos() as f64;
    // The recorder ends with the program.
    recorder.0.wait().map_err(io)?;
    if said == workload.expected { Ok(nanos) } else { Err(format!("wrong answer: {said}")) }
}

/// Counts the calls of a recording in which stacks may be missing, but no event.
fn found_attached(file: &Path) -> Result<u64, String> {
    use std::ops::ControlFlow;
    use vmatlas_recording::{EventNumber, Recording, What};
    let opened = std::fs::File::open(file).and_then(vmatlas_linux::RecordingFile::new);
    let recording = Recording::open(opened.map_err(|error| error.to_string())?);
    let recording = recording.map_err(|error| format!("wrong answer: {error}"))?;
    let mut calls = 0;
    let read = recording.events(EventNumber::FIRST, |event| {
        calls += u64::from(matches!(event.what, What::Call { .. }));
        ControlFlow::Continue(())
    });
    read.map_err(|error| format!("wrong answer: {error}"))?;
    Ok(calls)
}

/// A child that is killed and reaped when this is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // The child may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
