//! The moments that a recording or a log of strace has, read cheaply.

use crate::source::open::begins_as_recording;
use crate::source::recording::{comm, opened};
use std::fs::File;
use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;
use vmatlas_linux::RecordingFile;
use vmatlas_recording::EventNumber;
use vmatlas_recording::strace::{Reader, looks_like_log};

/// The range of the moments of a process in a recording or a log of strace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extent {
    /// The time of the first event of the process, from the start of the recording.
    pub begin: Duration,
    /// The time of its last event before it exits, of a log that of the last line; `None` if there
    /// are no times, or too many lines to read.
    pub end: Option<Duration>,
    /// The number of its first event.
    pub first: u64,
    /// The number of its last event before it exits, of a log that of the last line; `None` if there
    /// are too many lines to read.
    pub last: Option<u64>,
    /// All processes of the recording, each with its last name. A log has none here: they follow
    /// from its calls.
    pub processes: Vec<(u32, Vec<u8>)>,
}

/// The largest log to read.
const MAX_LOG: u64 = 16 << 20;
/// The most of a file that shows that it is a log.
const HEAD: u64 = 4096;

impl Extent {
    /// Reads the extent of a process, by default the first one, in a regular file; `None` if that is
    /// neither a recording nor a log. Of a finished recording, the index and one block are read; of a
    /// log at most 16 MiB.
    pub fn read(path: impl AsRef<Path>, pid: Option<u32>) -> Option<Extent> {
        let path = path.as_ref();
        // A FIFO is not opened.
        if !path.metadata().ok()?.is_file() {
            return None;
        }
        if begins_as_recording(path) { of_recording(path, pid) } else { of_log(path) }
    }
}

fn of_recording(path: &Path, pid: Option<u32>) -> Option<Extent> {
    let file = RecordingFile::new(File::open(path).ok()?).ok()?;
    let mut recording = opened(&path.to_string_lossy(), file).ok()?;
    let events = recording.course().events;
    let all = recording.processes().to_vec();
    let processes = all.iter().map(|process| (process.pid, comm(&recording, process))).collect();
    let Some(process) = all.iter().find(|process| pid.is_none_or(|pid| process.pid == pid)) else {
        return Some(Extent { first: 1, processes, ..Extent::default() });
    };
    let last = process.last.map_or(events, |exit| exit.get().saturating_sub(1));
    let mut end = None;
    let _ = recording.events(EventNumber::new(last), |event| {
        end = Some(Duration::from_nanos(event.time_ns));
        ControlFlow::Break(())
    });
    let begin = Duration::from_nanos(process.began_ns);
    Some(Extent { begin, end, first: process.first.get(), last: Some(last), processes })
}

fn of_log(path: &Path) -> Option<Extent> {
    let mut file = File::open(path).ok()?;
    let mut text = Vec::new();
    file.by_ref().take(HEAD).read_to_end(&mut text).ok()?;
    if !looks_like_log(&text) {
        return None;
    }
    if file.metadata().ok()?.len() > MAX_LOG {
        return Some(Extent { first: 1, ..Extent::default() });
    }
    file.take(MAX_LOG).read_to_end(&mut text).ok()?;
    let mut reader = Reader::default();
    let mut end = None;
    reader.push(&text, &mut |entry| end = entry.time.or(end));
    reader.finish(&mut |entry| end = entry.time.or(end));
    Some(Extent { end, first: 1, last: Some(reader.lines()), ..Extent::default() })
}
