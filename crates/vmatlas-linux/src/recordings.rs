//! Finished recordings in files, and recordings in progress.

use crate::access::Status;
use crate::file_server::Handle;
use crate::process::{Process, ProcessId};
use crate::regular_file::RegularFile;
use rustix::fs::{Dir, Mode, OFlags, fstat, openat, readlinkat};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use vmatlas_object::ReadAt as _;
use vmatlas_recording::{Recording, looks_like_recording};

/// A recording in a file, which may still grow; only the part present at opening is read.
pub type RecordingFile = RegularFile;

/// The most descriptors of a recorder that are looked at.
const MAX_FILES: usize = 1 << 16;

/// A recording that another process is making.
#[derive(Debug)]
#[non_exhaustive]
pub struct UnfinishedRecording {
    /// The part that was written when it was opened.
    pub recording: Recording<RecordingFile>,
    /// The path of its file in the recorder's file systems.
    pub path: PathBuf,
    /// The pid of the recorder.
    pub recorder: u32,
}

/// Opens the recording that a running vmatlas is making of a process, up to the part already
/// written; the last tenth of a second may be missing.
///
/// It is found among the open files of the process's tracer (`TracerPid`, proc_pid_status(5)), or
/// of all processes named `vmatlas` whose files we may see. Anybody can make such a process with
/// such a file, so both must belong to root or to the effective user, and nobody else may be able to
/// write to the file.
pub fn recording_of(pid: u32) -> Option<UnfinishedRecording> {
    let proc = Path::new("/proc");
    let status = Status::read(&Process::open(proc, ProcessId { pid, tid: None }).ok()?)?;
    let recorders = match status.number("TracerPid") {
        Some(0) | None => Process::named(proc, "vmatlas").unwrap_or_default(),
        Some(tracer) => vec![tracer],
    };
    recorders.into_iter().find_map(|recorder| {
        let process = Process::open(proc, ProcessId { pid: recorder, tid: None }).ok()?;
        // Real and effective.
        let status = Status::read(&process)?;
        let user: Vec<u32> = status.words("Uid").take(2).filter_map(|id| id.parse().ok()).collect();
        let is_trusted = user.len() == 2 && user.iter().all(|uid| is_trusted(*uid));
        is_trusted.then(|| files_of(&process))?.into_iter().find_map(|(path, file)| {
            let mut recording = Recording::open(file).ok()?;
            let alive =
                |process: &vmatlas_recording::Process| process.pid == pid && process.last.is_none();
            let records = recording.processes().iter().any(alive);
            records.then_some(UnfinishedRecording { recording, path, recorder })
        })
    })
}

/// Whether a user may supply what we believe.
fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// The files that a process has open and that look like recordings, with their paths.
fn files_of(process: &Process) -> Vec<(PathBuf, RecordingFile)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(fds) = openat(process.dir(), "fd", flags, Mode::empty()) else { return Vec::new() };
    let Ok(entries) = Dir::read_from(&fds) else { return Vec::new() };
    let entries = entries.take(MAX_FILES).filter_map(|entry| {
        let entry = entry.ok()?;
        let name = entry.file_name();
        let path = readlinkat(&fds, name, Vec::new()).ok()?;
        // The descriptor may become another one at any time: from here on the file counts.
        let file = openat(&fds, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        Some((PathBuf::from(OsString::from_vec(path.into_bytes())), open(file)?))
    });
    entries.collect()
}

/// Opens a file that is held by an `O_PATH` descriptor, if it may be believed and looks like a
/// recording.
fn open(file: OwnedFd) -> Option<RecordingFile> {
    let stat = fstat(&file).ok()?;
    let others_may_write = stat.st_mode & (Mode::WGRP | Mode::WOTH).bits() != 0;
    if others_may_write || !is_trusted(stat.st_uid) {
        return None;
    }
    let file = RegularFile::behind(&Handle::from(file)).ok()?;
    let mut head = [0; 16];
    let read = file.read_at(0, &mut head).ok()?;
    (read == head.len() && looks_like_recording(&head)).then_some(file)
}
