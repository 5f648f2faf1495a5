//! Recordings: their cost for the program, their size, the speed of reading them, and the memory of
//! the recorder.

mod disk;
mod programs;
mod replay;
mod storm;

use super::Scale;
use crate::report::Section;
use crate::target::repository;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use vmatlas_linux::RecordingFile;
use vmatlas_recording::{EventNumber, Recording, What};

/// Measures and returns the tables.
pub fn run(scale: Scale, programs: &Path) -> Vec<Section> {
    let dir = match tempfile::tempdir() {
        Ok(dir) => dir,
        Err(error) => {
            let mut section = Section::new("recordings");
            section.count("a directory", &error.to_string(), "", Some(false));
            return vec![section];
        }
    };
    let bench = Bench { scale, vmatlas: programs.join("vmatlas"), dir: dir.path().to_owned() };
    let mut sections = vec![programs::run(&bench)];
    sections.extend(storm::run(&bench));
    sections.push(disk::run(&bench));
    sections.push(replay::run(&bench, programs));
    sections
}

/// The shared state of the measures.
struct Bench {
    scale: Scale,
    vmatlas: PathBuf,
    /// The directory of programs and recordings during the measure.
    dir: PathBuf,
}

/// A program to be run, and its output.
struct Workload {
    name: String,
    command: Vec<String>,
    expected: String,
}

impl Workload {
    /// Runs a program once to learn its output.
    fn new(name: &str, command: Vec<String>, dir: &Path) -> Result<Workload, String> {
        let (expected, _) = output(&command, dir)?;
        Ok(Workload { name: name.to_owned(), command, expected })
    }

    /// Runs it below the command `prefix` and returns its time in nanoseconds.
    fn time(&self, prefix: &[String], dir: &Path) -> Result<f64, String> {
        let (said, nanos) = output(&[prefix, &self.command].concat(), dir)?;
        if said == self.expected {
            return Ok(nanos);
        }
        Err(format!("wrong answer: {:?}, not {:?}", said.trim(), self.expected.trim()))
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// The output of a command, and its time in nanoseconds.
fn output(command: &[String], dir: &Path) -> Result<(String, f64), String> {
    let mut prepared = Command::new(&command[0]);
    prepared.args(&command[1..]).current_dir(dir).stdin(Stdio::null());
    let from = Instant::now();
    let output = prepared.output().map_err(|error| format!("missing: {}: {error}", command[0]))?;
    let nanos = from.elapsed().as_nanos() as f64;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = said.lines().last().unwrap_or_default();
        return Err(format!("failed: {}: {}: {last}", command[0], output.status));
    }
    Ok((String::from_utf8_lossy(&output.stdout).into_owned(), nanos))
}

/// The arguments of `vmatlas record`.
fn recorder(bench: &Bench, file: &Path) -> Vec<String> {
    let [program, file] = [&bench.vmatlas, file].map(|path| path.display().to_string());
    words(&[&program, "record", "--quiet", "-o", &file, "--"])
}

/// The arguments of strace, with or without stacks, and with the output file.
fn strace(stacks: bool, file: &str) -> Vec<String> {
    let mut command = words(&["strace", "-f"]);
    command.extend(stacks.then(|| "-k".to_owned()));
    command.extend(words(&["-e", "trace=%memory", "-o", file]));
    command
}

/// The contents of a recording.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    bytes: u64,
    events: u64,
    calls: u64,
    /// The calls with a known stack.
    stacks: u64,
    /// The calls whose stack has 17 frames or more.
    deep: u64,
    lost: u64,
}

/// Reads a recording from its start to its end.
///
/// # Errors
/// Fails if it is damaged, was not finished, or lost events.
fn found(file: &Path) -> Result<Found, String> {
    let wrong = |why: String| format!("wrong answer: the recording: {why}");
    let opened = std::fs::File::open(file).and_then(RecordingFile::new);
    let opened = opened.map_err(|error| wrong(error.to_string()))?;
    let mut recording = Recording::open(opened).map_err(|error| wrong(error.to_string()))?;
    recording.read_stacks();
    if let Some(warning) = recording.warnings().first() {
        return Err(wrong(warning.clone()));
    }
    let bytes = std::fs::metadata(file).map_err(|error| wrong(error.to_string()))?.len();
    let mut found = Found { bytes, ..Found::default() };
    let read = recording.events(EventNumber::FIRST, |event| {
        found.events += 1;
        match event.what {
            What::Call { .. } => {
                let depth = recording.definitions().frames_of(event.stack).take(17).count();
                found.calls += 1;
                found.stacks += u64::from(depth > 0);
                found.deep += u64::from(depth == 17);
            }
            What::Lost { events } => found.lost += events,
            _ => {}
        }
        ControlFlow::Continue(())
    });
    read.map_err(|error| wrong(error.to_string()))?;
    if found.lost > 0 || found.stacks < found.calls {
        return Err(wrong(format!("{found:?}")));
    }
    Ok(found)
}

/// A program of `benchmarks/programs`.
fn source(name: &str) -> PathBuf {
    repository().join("benchmarks/programs").join(name)
}
