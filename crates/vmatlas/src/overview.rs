//! A recording as a whole: its processes and its course.

use crate::atlas::{Atlas, Open};
use crate::error::{Error, ErrorKind, Result};
use crate::source::open::of_recorded;
use crate::source::recording::{at, comm, opened};
use std::fs::File;
use std::path::Path;
use vmatlas_linux::{RecordingFile, recording_of};
use vmatlas_recording::{Course, Moment, Process, Selection};

/// A recording as a whole.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Overview {
    /// The processes in the order in which they began, with their last names.
    pub processes: Vec<(Process, Vec<u8>)>,
    /// The course of the recording.
    pub course: Course,
    /// The backend that recorded it: `ptrace` or `perf`.
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
        let mut recording = opened(&path.to_string_lossy(), file)?;
        let processes = recording.processes().to_vec();
        let course = recording.course();
        let named = processes.into_iter().map(|process| {
            let name = comm(&recording, &process);
            (process, name)
        });
        let processes = named.collect();
        Ok(Overview { processes, course, backend: recording.meta().backend.clone() })
    }
}

impl Open {
    /// Opens the unfinished recording of a process that is being recorded now.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if no recorder of the process is visible.
    pub fn open_recording_of(self, pid: u32, moment: Option<Moment>) -> Result<Atlas> {
        let recording = recording_of(pid).ok_or_else(|| {
            let message = format!("no visible vmatlas records process {pid}");
            Error::new(ErrorKind::NotFound, message)
        })?;
        let selection = Selection { path: pid.to_string(), pid: Some(pid), moment };
        Ok(self.with(of_recorded(at(recording, &selection)?)))
    }
}
