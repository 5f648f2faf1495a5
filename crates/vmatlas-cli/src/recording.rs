//! A recording as a target: a process of it at a moment.

use crate::moment::{Moment, When};
use crate::output::words::{self, printable};
use crate::target::Target;
use crate::trouble::Trouble;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use vmatlas::recording::{self, Process, Recording, Replay, Space};
use vmatlas_linux::record::RecordingFile;

/// A recording, opened.
pub(crate) type Opened = Recording<RecordingFile>;

/// How many other processes are named.
const OTHERS: usize = 10;

/// A process of a recording, as it was at a moment.
pub(crate) struct Recorded {
    pub(crate) recording: Opened,
    /// All address spaces at that moment.
    pub(crate) replay: Replay,
    /// The process.
    pub(crate) process: Process,
    /// The entry of one of its tasks, which has its address space.
    pub(crate) task: u32,
    /// What is odd.
    pub(crate) warnings: Vec<String>,
}

impl Recorded {
    /// Its address space.
    pub(crate) fn space(&self) -> &Space {
        // `at` has looked for it.
        self.replay.space(self.task).expect("the process has an address space")
    }

    /// The name of the process at the end of its life.
    pub(crate) fn comm(&self) -> String {
        comm(&self.recording, &self.process)
    }

    /// The process that a moment is of, at that moment.
    pub(crate) fn at(mut recording: Opened, moment: &Moment) -> Result<Recorded, Trouble> {
        let path = printable(moment.path.as_bytes());
        let processes = recording.processes().to_vec();
        let when = match moment.when {
            Some(When::Time(time)) => {
                Some(recording::Moment::Time(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
            }
            Some(When::Event(number)) => Some(recording::Moment::Event(number)),
            Some(When::End) | None => None,
        };
        let of_pid = |process: &&Process| moment.pid.is_none_or(|pid| process.pid == pid);
        // Of several that had the number, the last that had begun by then.
        let began = |process: &&Process| match when {
            Some(recording::Moment::Time(time)) => process.began_ns <= time,
            Some(recording::Moment::Event(number)) => process.first <= number,
            _ => true,
        };
        let mut candidates = processes.iter().filter(of_pid).filter(began);
        let found = if moment.pid.is_some() { candidates.next_back() } else { candidates.next() };
        let Some(process) = found.cloned() else {
            return Err(Trouble::new(match moment.pid {
                Some(pid) => {
                    format!("{path}: no process {pid} by then; {}", list(&recording, &processes))
                }
                None => format!("{path}: nothing is recorded by then"),
            }));
        };
        let last = process.last.map(|last| recording::Moment::Event(last - 1));
        let when = when.or(last).unwrap_or(recording::Moment::End);
        let (replay, error) = recording.at(when, |_, _| {});
        let tasks = &recording.definitions().tasks;
        let of_process =
            |task: &u32| tasks.get(*task as usize).is_some_and(|entry| entry.pid == process.pid);
        let Some(task) = replay.tasks().into_iter().find(of_process) else {
            return Err(Trouble::new(format!(
                "{path}: process {} was not alive then; it ended after event {}",
                process.pid,
                process.last.unwrap_or(0)
            )));
        };
        let mut warnings = recording.warnings().to_vec();
        warnings.extend(error.map(|error| format!("{error}; what follows is left out")));
        if moment.pid.is_none() && processes.len() > 1 {
            warnings.push(format!(
                "this is process {}; {}",
                process.pid,
                list(&recording, &processes)
            ));
        }
        Ok(Recorded { recording, replay, process, task, warnings })
    }
}

fn comm(recording: &Opened, process: &Process) -> String {
    let entry = recording.definitions().tasks.get(process.task as usize);
    entry.map_or_else(String::new, |entry| printable(&entry.comm))
}

/// The other processes and how to ask for them.
fn list(recording: &Opened, processes: &[Process]) -> String {
    let shown = processes
        .iter()
        .take(OTHERS)
        .map(|process| format!("--pid {} {}", process.pid, comm(recording, process)));
    let more = processes.len().saturating_sub(OTHERS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("there are {}{more}", shown.collect::<Vec<_>>().join(", "))
}

/// Opens the recording at a path.
pub(crate) fn open(path: &str) -> Result<Opened, Trouble> {
    let file = File::open(path).and_then(RecordingFile::new);
    let file = file.map_err(|error| Trouble::file(path, error))?;
    opened(path, file)
}

fn opened(name: &str, file: RecordingFile) -> Result<Opened, Trouble> {
    Recording::open(file)
        .map_err(|error| Trouble::new(format!("{}: {error}", printable(name.as_bytes()))))
}

/// Reads the recording of which the beginning was read.
pub(crate) fn read(
    name: &str,
    moment: &Moment,
    head: &[u8],
    rest: impl Read,
) -> Result<Target, Trouble> {
    let recording = if Path::new(&moment.path).is_file() {
        open(&moment.path)?
    } else {
        let spooled = RecordingFile::spool(head.chain(rest));
        opened(name, spooled.map_err(|error| Trouble::file(name, error))?)?
    };
    let recorded = Recorded::at(recording, moment)?;
    let mut maps = recorded.space().memory.maps();
    recorded.warnings.iter().for_each(|warning| maps.warn(warning.clone()));
    Ok(Target { recorded: Some(Box::new(recorded)), ..Target::of_rows(name, maps) })
}

/// `show RECORDING --processes`.
pub(crate) fn processes(recording: &mut Opened) -> String {
    let processes = recording.processes().to_vec();
    let mut text =
        format!("{:>8} {:<15} {:>10} {:>10} status\n", "pid", "name", "began", "last event");
    for process in &processes {
        let began = format!("{:.3} s", process.began_ns as f64 / 1e9);
        let last = process.last.map_or("lives".to_owned(), |last| format!("#{last}"));
        let status = process.status.map_or(String::new(), words::status);
        text.push_str(&format!(
            "{:>8} {:<15} {began:>10} {last:>10} {status}\n",
            process.pid,
            comm(recording, process)
        ));
    }
    text
}
