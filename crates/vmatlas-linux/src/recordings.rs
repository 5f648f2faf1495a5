//! Finished recordings in files, and recordings in progress.

use crate::process::Process;
use crate::regular_file::RegularFile;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use vmatlas_recording::{Recording, looks_like_recording};

/// A recording in a file, which may still grow; only the part present at opening is read.
pub type RecordingFile = RegularFile;

/// Opens the recording that a running vmatlas is making of a process, up to the part already
/// written; the last tenth of a second may be missing.
///
/// It is found among the open files of the process's tracer (`TracerPid`, proc_pid_status(5)), or
/// of all processes named `vmatlas` whose files we may see.
pub fn recording_of(pid: u32) -> Option<Recording<RecordingFile>> {
    let proc = Path::new("/proc");
    let status = std::fs::read_to_string(proc.join(pid.to_string()).join("status")).ok()?;
    let tracer =
        status.lines().find_map(|line| line.strip_prefix("TracerPid:")?.trim().parse().ok());
    let recorders: Vec<u32> = match tracer {
        Some(0) | None => Process::named(proc, "vmatlas").unwrap_or_default(),
        Some(tracer) => vec![tracer],
    };
    recorders.into_iter().flat_map(files_of).find_map(|path| {
        let file = File::open(path).ok().filter(begins_like_one)?;
        let mut recording = Recording::open(RecordingFile::new(file).ok()?).ok()?;
        let alive =
            |process: &vmatlas_recording::Process| process.pid == pid && process.last.is_none();
        recording.processes().iter().any(alive).then_some(recording)
    })
}

/// The regular files that a process has open, as links that work for any file name.
fn files_of(pid: u32) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let links = entries.map(|entry| entry.path());
    links.filter(|link| std::fs::metadata(link).is_ok_and(|file| file.is_file()))
}

fn begins_like_one(file: &File) -> bool {
    let mut head = [0; 16];
    file.read_exact_at(&mut head, 0).is_ok() && looks_like_recording(&head)
}
