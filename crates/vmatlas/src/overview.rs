//! A recording as a whole: its processes and its course.

use crate::atlas::{Atlas, Open};
use crate::error::{Error, ErrorKind, Result};
use crate::listed::ListedProcess;
use crate::note::Note;
use crate::recorded::{Recorded, RecordedIn};
use crate::request::Request;
use crate::source::open::of_recorded;
use crate::source::recording::{at, comm, opened};
use crate::stacks::Opened;
use std::fs::File;
use std::path::Path;
use std::time::Duration;
use vmatlas_linux::{
    Process as LiveProcess, ProcessId, RecordingFile, Source, UnfinishedRecording, recording_of,
};
use vmatlas_maps::{Kind, Maps};
use vmatlas_recording::{Course, Moment, Process, Selection};

/// A recording or a log of strace as a whole.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Overview {
    /// The processes in the order in which they began.
    pub processes: Vec<ListedProcess>,
    /// The course of a recording.
    pub course: Option<Course>,
    /// What recorded it: `ptrace`, `perf` or `strace`.
    pub backend: String,
}

impl Overview {
    /// Reads the recording in a file.
    ///
    /// # Errors
    /// Fails if the file cannot be read or is no recording.
    pub fn read(path: impl AsRef<Path>) -> Result<Overview> {
        let path = path.as_ref();
        let file = File::open(path).and_then(RecordingFile::new);
        let file = file.map_err(|error| Error::file(path.display(), error))?;
        Ok(Overview::from(opened(&path.to_string_lossy(), file)?))
    }

    /// Reads the recording or log that is a target.
    ///
    /// # Errors
    /// Same as [`Open::open`]; and [`ErrorKind::Lacks`] if the target is neither.
    pub fn of(open: Open) -> Result<Overview> {
        if open.selects()? {
            let why = "all processes are listed; leave out the moment and the process";
            return Err(Error::new(ErrorKind::Usage, format!("{}: {why}", open.target())));
        }
        if let Some((path, _)) = open.recording()? {
            return Overview::read(path);
        }
        let atlas = open.open()?;
        atlas.require(Request::Processes)?;
        match atlas.take_recorded()? {
            (_, Recorded { recorded_in: RecordedIn::Recording { recording, .. }, .. }) => {
                Ok(Overview::from(*recording))
            }
            (_, Recorded { recorded_in: RecordedIn::Log { processes, .. }, .. }) => {
                Ok(Overview { processes, course: None, backend: "strace".to_owned() })
            }
        }
    }
}

impl From<Opened> for Overview {
    fn from(mut recording: Opened) -> Overview {
        let processes = recording.processes().to_vec();
        let course = recording.course();
        let named = processes.into_iter().map(|process| {
            let comm = comm(&recording, &process);
            let Process { pid, began_ns, last, status, .. } = process;
            ListedProcess { pid: Some(pid), comm, began_ns: Some(began_ns), last, status }
        });
        let processes = named.collect();
        Overview { processes, course: Some(course), backend: recording.meta().backend.clone() }
    }
}

impl Open {
    /// Opens the unfinished recording of a process that is being recorded now. Notes name the file
    /// and the recorder, and report whether the rows at its last moment are those of the process.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if no recorder of the process is visible and trusted: it and its file
    /// must belong to root or to the effective user.
    pub fn open_recording_of(self, pid: u32, moment: Option<Moment>) -> Result<Atlas> {
        let unfinished = recording_of(pid).ok_or_else(|| {
            let message =
                format!("no visible vmatlas of this user or of root records process {pid}");
            Error::new(ErrorKind::NotFound, message)
        })?;
        let UnfinishedRecording { recording, path, recorder, .. } = unfinished;
        let selection = Selection { path: pid.to_string(), pid: Some(pid), moment };
        let (recorded, maps, mut notes) = at(recording, &selection)?;
        let last = moment.is_none().then(|| maps.clone());
        notes.insert(0, Note::RecordedBy { path, recorder });
        notes.extend(different_rows(pid, last).map(|rows| Note::DifferentRows { rows }));
        Ok(self.with(of_recorded((recorded, maps, notes))))
    }
}

/// How often rows are compared while they differ: those of the recording are older by up to a tenth
/// of a second.
const LOOKS: usize = 4;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Compares the rows at the last moment of an unfinished recording with those of the process.
/// Returns the number of rows that differ; `None` if there is none, or the process is gone.
fn different_rows(pid: u32, mut last: Option<Maps>) -> Option<usize> {
    let process = LiveProcess::open(Path::new("/proc"), ProcessId { pid, tid: None }).ok()?;
    let mut least = None;
    for look in 0..LOOKS {
        if look > 0 {
            std::thread::sleep(BETWEEN_LOOKS);
        }
        let live = process.rows(Source::Maps).ok()?.maps;
        let recorded = match last.take() {
            Some(rows) => rows,
            None => {
                let selection = Selection { path: String::new(), pid: Some(pid), moment: None };
                at(recording_of(pid)?.recording, &selection).ok()?.1
            }
        };
        let rows = count_differences(&recorded, &live);
        least = Some(least.map_or(rows, |least: usize| least.min(rows)));
        if rows == 0 || live.is_empty() {
            return None;
        }
    }
    least
}

/// The number of rows of either that the other does not have, the larger of the two.
fn count_differences(recorded: &Maps, live: &Maps) -> usize {
    let missing = |these: &Maps, those: &Maps| {
        // The gate page is no row of a recording.
        let own = these.iter().filter(|row| row.kind() != Kind::Vsyscall);
        own.filter(|row| {
            those.find(row.range.start).mapping.and_then(|at| those.get(at)) != Some(*row)
        })
        .count()
    };
    missing(recorded, live).max(missing(live, recorded))
}
