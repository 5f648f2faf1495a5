//! Recordings as targets.

use super::core::spooled;
use super::kind::SourceKind;
use crate::error::{Error, ErrorKind, Result};
use crate::note::{Note, Processes};
use crate::recorded::{Recorded, RecordedIn, comm_at};
use crate::stacks::Opened;
use crate::words::values::printable;
use std::fs::File;
use std::io::Read;
use std::sync::OnceLock;
use vmatlas_linux::RecordingFile;
use vmatlas_maps::Maps;
use vmatlas_object::Budget;
use vmatlas_recording::{Process, Recording, SelectError, Selected, Selection};

/// Reads a recording in a regular file.
pub(crate) fn read(
    name: &str,
    selection: &Selection,
    file: File,
) -> Result<(Recorded, Maps, Vec<Note>)> {
    let file = RecordingFile::new(file).map_err(|error| Error::file(name, error))?;
    at(opened(name, file)?, selection)
}

/// Reads a recording from a stream, at most `limit` bytes.
pub(crate) fn read_stream(
    name: &str,
    selection: &Selection,
    input: impl Read,
    limit: u64,
) -> Result<(Recorded, Maps, Vec<Note>)> {
    let (file, cut) = spooled(name, input, limit)?;
    let (recorded, maps, mut notes) = read(name, selection, file)?;
    notes.extend(cut);
    Ok((recorded, maps, notes))
}

/// Opens a recording.
pub(crate) fn opened(name: &str, file: RecordingFile) -> Result<Opened> {
    Recording::open(file).map_err(|error| {
        let name = printable(name.as_bytes());
        Error::new(ErrorKind::Unreadable, format!("{name}: {error}"))
    })
}

/// The selected process at its moment.
pub(crate) fn at(
    mut recording: Opened,
    selection: &Selection,
) -> Result<(Recorded, Maps, Vec<Note>)> {
    let path = &selection.path;
    let Selected { process, replay, task, error, .. } =
        recording.select(selection).map_err(|error| {
            let name = printable(path.as_bytes());
            let message = Error::new(ErrorKind::NoMoment, format!("{name}: {error}"));
            match error {
                SelectError::NoProcess(_) => {
                    message.with_processes(processes(path, &mut recording, selection))
                }
                _ => message,
            }
        })?;
    let mut notes: Vec<Note> = recording.warnings().iter().cloned().map(Note::Recording).collect();
    notes.extend(error.map(Note::DamagedRecording));
    if selection.pid.is_none() {
        let all = processes(path, &mut recording, selection);
        if all.all.len() > 1 {
            notes.push(Note::OtherProcesses(Processes { pid: process.pid, ..all }));
        }
    }
    let begun = |other: &&Process| other.pid == process.pid && other.first <= replay.number();
    let firsts = recording.processes().iter().filter(begun).map(|other| other.first);
    notes.extend(Note::of_reused(process.pid, process.first, firsts));
    recording.read_stacks();
    let recorded = Recorded {
        pid: process.pid,
        comm: comm_at(&recording, &replay, process.pid)
            .unwrap_or_else(|| comm(&recording, &process)),
        number: replay.number(),
        time_ns: Some(replay.time_ns()),
        asked: None,
        files: OnceLock::new(),
        budget: Budget::default(),
        recorded_in: RecordedIn::Recording {
            recording: Box::new(recording),
            replay,
            task,
            began: process.first,
        },
    };
    notes.extend(Note::of_doubts(recorded.doubts()));
    let maps = recorded.space().memory.maps();
    Ok((recorded, maps, notes))
}

/// The process's last name.
pub(crate) fn comm(recording: &Opened, process: &Process) -> Vec<u8> {
    let entry = recording.definitions().tasks.get(process.task.index());
    entry.map_or_else(Vec::new, |entry| entry.comm.clone())
}

/// The processes that can be selected at the moment.
fn processes(path: &str, recording: &mut Opened, selection: &Selection) -> Processes {
    let all = recording.selectable(selection.moment);
    let named = all.iter().map(|process| (process.pid, comm(recording, process)));
    Processes::new(path, SourceKind::Recording, named)
}
