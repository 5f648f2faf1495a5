//! A strace log as a target: `LOG`, `LOG@SECONDS`, `LOG:PID`, `LOG:PID@SECONDS`.

use super::kind::SourceKind;
use super::log_parts::log_parts;
use crate::error::{Error, ErrorKind, Result};
use crate::listed::ListedProcess;
use crate::note::{Note, Processes};
use crate::recorded::{Recorded, RecordedIn};
use std::collections::HashSet;
use std::io::{self, Read};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;
use vmatlas_linux::FilesNow;
use vmatlas_maps::Maps;
use vmatlas_object::Budget;
use vmatlas_recording::strace::looks_like_log;
use vmatlas_recording::{
    EventNumber, Tid,
    strace::{Process, Replay, Replayed},
};
use vmatlas_recording::{Moment, Selection};

/// Reads the files of `strace -ff` whose common prefix is the selected path.
pub(crate) fn open_parts(name: &str, selection: &Selection) -> Result<(Recorded, Maps, Vec<Note>)> {
    let path = selection.path.as_str();
    let mut files = Vec::new();
    for (tid, path) in log_parts(path) {
        let text = std::fs::read(path).map_err(|error| Error::file(name, error))?;
        files.push((Tid::new(tid), text));
    }
    let texts: Vec<(Tid, &[u8])> =
        files.iter().map(|(tid, text)| (*tid, text.as_slice())).collect();
    if !texts.iter().any(|(_, text)| looks_like_log(text)) {
        return Err(Error::new(ErrorKind::NotFound, format!("{path}: there is no such file")));
    }
    replayed(name, selection, None, |replay| {
        replay.push_files(&texts);
        Ok(())
    })
}

/// Reads a log whose first bytes were already read into `head`.
pub(crate) fn read(
    name: &str,
    selection: &Selection,
    head: &[u8],
    mut rest: impl Read,
) -> Result<(Recorded, Maps, Vec<Note>)> {
    // One file of `strace -ff`.
    let extension =
        Path::new(&selection.path).extension().and_then(|tid| tid.to_str()?.parse().ok());
    replayed(name, selection, extension.map(Tid::new), |replay| {
        replay.push(head);
        let mut buffer = vec![0; 64 << 10];
        while !replay.is_done() {
            match rest.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => replay.push(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::file(name, error)),
            }
        }
        Ok(())
    })
}

fn replayed(
    name: &str,
    selection: &Selection,
    tid: Option<Tid>,
    push: impl FnOnce(&mut Replay<'_>) -> Result<()>,
) -> Result<(Recorded, Maps, Vec<Note>)> {
    let profile = FilesNow::profile();
    let kernel = profile.version;
    let mut files = FilesNow::new();
    let mut replay = Replay::new(profile, &mut files);
    if let Some(tid) = tid {
        replay = replay.of_thread(tid);
    }
    let time = match selection.moment {
        Some(Moment::Time(time_ns)) => Some(Duration::from_nanos(time_ns)),
        Some(Moment::Event(line)) => {
            replay = replay.until_line(line.get());
            None
        }
        Some(Moment::End) | None => None,
    };
    if let Some(time) = time {
        replay = replay.until(time);
    }
    push(&mut replay)?;
    let log = replay.finish();
    if time.is_some() && !log.timed {
        let help = "the log has no times: only moments after a line (#N) are known; strace -ttt writes times";
        return Err(Error::new(ErrorKind::NoMoment, format!("{}: {help}", selection.path)));
    }
    let process = chosen(name, selection, &log)?;
    let is_moment = selection.moment.is_some_and(|moment| moment != Moment::End);
    if let Some(ended) = process.ended.filter(|_| is_moment) {
        let which = match process.pid {
            0 => "the process".to_owned(),
            pid => format!("process {pid}"),
        };
        let line = ended.line;
        let why = format!(
            "{which} was not alive then; line {line} shows its end (without a moment, its \
             last state is shown)"
        );
        return Err(Error::new(ErrorKind::NoMoment, format!("{}: {why}", selection.path)));
    }
    // The rows of a process that has ended are those before its end.
    let (line, length) = match process.ended {
        Some(ended) => (ended.line.saturating_sub(1), ended.before),
        None => (log.lines, log.length),
    };
    let maps = process.space.memory.maps();
    let mut notes: Vec<Note> = log.warnings.iter().cloned().map(Note::Log).collect();
    if selection.pid.is_none() {
        let all = processes(selection, &log);
        if all.all.len() > 1 {
            notes.push(Note::OtherProcesses(Processes { pid: process.pid, ..all }));
        }
    }
    let alike = log.processes.iter().filter(|other| other.pid == process.pid);
    notes.extend(Note::of_reused(
        process.pid,
        std::ptr::from_ref(process),
        alike.map(std::ptr::from_ref),
    ));
    let past = time.filter(|time| *time > log.length && !log.goes_on);
    notes.extend(past.map(|_| Note::LogEnds(log.length)));
    notes.extend(process.missing.iter().cloned().map(Note::MissingFact));
    notes.push(Note::RulesOf(kernel));
    notes.extend(
        Some(files.found()).filter(|&files| files > 0).map(|files| Note::FilesNow { files }),
    );
    notes.extend(Note::of_doubts(process.space.memory.doubts()));
    let time_ns = || u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
    let recorded = Recorded {
        pid: process.pid,
        comm: process.comm.clone(),
        number: EventNumber::new(line),
        time_ns: log.timed.then(time_ns),
        asked: None,
        files: OnceLock::new(),
        budget: Budget::default(),
        recorded_in: RecordedIn::Log {
            processes: log.processes.iter().map(|process| listed(process, log.timed)).collect(),
            space: Box::new(process.space.clone()),
            makers: log.makers.clone(),
        },
    };
    Ok((recorded, maps, notes))
}

fn listed(process: &Process, is_timed: bool) -> ListedProcess {
    let began_ns = || u64::try_from(process.began.as_nanos()).unwrap_or(u64::MAX);
    ListedProcess {
        pid: Some(process.pid).filter(|pid| *pid != 0),
        comm: process.comm.clone(),
        began_ns: is_timed.then(began_ns),
        last: process.ended.map(|ended| EventNumber::new(ended.line)),
        status: None,
    }
}

fn chosen<'a>(name: &str, selection: &Selection, log: &'a Replayed) -> Result<&'a Process> {
    let found = match selection.pid {
        Some(pid) => log.process(pid),
        None => log.processes.first(),
    };
    let missing = |message| Error::new(ErrorKind::NoMoment, message);
    found.ok_or_else(|| match selection.pid {
        Some(pid) if !log.processes.is_empty() => {
            missing(format!("{name}: no process {pid} is in the log by then"))
                .with_processes(processes(selection, log))
        }
        _ => missing(format!("{name}: no process is in the log by then")),
    })
}

/// The processes of a log that can be selected at the moment, each with the name of its program.
fn processes(selection: &Selection, log: &Replayed) -> Processes {
    let is_end = selection.moment.is_none_or(|moment| moment == Moment::End);
    let mut seen = HashSet::new();
    let all = log.processes.iter().rev().filter(|process| is_end || process.ended.is_none());
    let mut last: Vec<&Process> = all.filter(|process| seen.insert(process.pid)).collect();
    last.reverse();
    let named = last.into_iter().map(|process| {
        let program = process.program.rsplit(|&b| b == b'/').next().unwrap_or_default();
        (process.pid, program.to_vec())
    });
    Processes::new(&selection.path, SourceKind::Log, named)
}
