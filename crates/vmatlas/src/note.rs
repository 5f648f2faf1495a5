//! What is odd about a target that was read all the same.

use crate::source::kind::SourceKind;
use crate::words::values::printable;
use std::fmt;
use std::time::Duration;
use vmatlas_explain::coredump::PageError;
use vmatlas_linux::postmortem::FileError;
use vmatlas_maps::{KernelVersion, Warning};
use vmatlas_recording::RecordingError;
use vmatlas_recording::strace::Untold;

/// Something odd, or something that was left out; whatever could be read is used.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Note {
    /// About the text, or the reading of a live process.
    Listing(Warning),
    /// The first thread of the process has ended: the rows are those of another one.
    ReadThrough {
        /// The thread.
        tid: u32,
    },
    /// The memory was not read, so labels are less certain.
    LabelsWithoutMemory {
        /// Why.
        why: String,
    },
    /// Only a part of the input was read.
    CutInput {
        /// In bytes.
        limit: u64,
    },
    /// A compressed input is damaged and ends early.
    DamagedInput {
        /// How many bytes were had of it.
        bytes: u64,
        /// What is wrong.
        why: String,
    },
    /// A page that the core dump holds cannot be read, so what it would show is missing.
    UnreadPage(PageError),
    /// A file that the process had mapped cannot be read, so its memory counts as missing.
    UnreadFile(FileError),
    /// The recording has this to say of itself.
    Recording(String),
    /// Events of the recording cannot be read from some place on.
    DamagedRecording(RecordingError),
    /// The recording or log has other processes, too.
    OtherProcesses(Processes),
    /// A line of the log is odd.
    Log(Warning),
    /// The moment lies after the end of the log.
    LogEnds(Duration),
    /// The log does not tell something.
    Untold(Untold),
    /// The log does not tell the kernel, so the rules are those of this one.
    RulesOf(KernelVersion),
    /// Files of the log were looked up as they are now.
    FilesNow {
        /// How many.
        files: usize,
    },
    /// Addresses where two rows may or may not be one.
    Doubts {
        /// How many.
        addresses: usize,
    },
    /// Names of functions are missing or doubtful.
    Names(String),
}

impl Note {
    /// The line of the text that it is about, counted from 1.
    pub fn line(&self) -> Option<u64> {
        match self {
            Note::Listing(warning) => Some(warning.line).filter(|&line| line > 0),
            _ => None,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Listing(warning) | Note::Log(warning) => warning.fmt(f),
            Note::ReadThrough { tid } => {
                write!(f, "the first thread has ended: read through thread {tid}")
            }
            Note::LabelsWithoutMemory { why } => write!(f, "labels without its memory: {why}"),
            Note::CutInput { limit } => write!(f, "only the first {} GiB were read", limit >> 30),
            Note::DamagedInput { bytes, why } => {
                write!(f, "its bytes end after {bytes}, for they are damaged: {why}")
            }
            Note::UnreadPage(error) => write!(f, "{error}; memory may be missing"),
            Note::UnreadFile(error) => write!(f, "{error}; memory may be missing"),
            Note::Recording(text) | Note::Names(text) => f.write_str(text),
            Note::DamagedRecording(error) => write!(f, "{error}; what follows is left out"),
            Note::OtherProcesses(processes) => {
                write!(f, "this is process {}; {processes}", processes.pid)
            }
            Note::LogEnds(length) => write!(f, "the log ends after {} s", length.as_secs_f64()),
            Note::Untold(untold) => untold.fmt(f),
            Note::RulesOf(kernel) => write!(
                f,
                "by the rules of Linux {kernel}, this machine's; the log does not tell the kernel"
            ),
            Note::FilesNow { files } => write!(
                f,
                "of {files} files device, inode and where symbolic links lead were looked up now, not when the log was written"
            ),
            Note::Doubts { addresses } => write!(
                f,
                "at {addresses} addresses two rows may or may not be one: page faults, which decide it, are not told"
            ),
        }
    }
}

/// The processes of a recording or a log. It displays as the targets that mean them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Processes {
    /// The file, or what the names of its files begin with.
    pub path: String,
    /// What it is: a log or a recording.
    pub source: SourceKind,
    /// The one that was taken; 0 where a log does not tell it, and where none was.
    pub pid: u32,
    /// The others with their names, as many as are kept, and the one that was taken.
    pub all: Vec<(u32, Vec<u8>)>,
    /// How many more there are.
    pub more: usize,
}

impl Processes {
    /// How many are kept.
    const MOST: usize = 10;

    pub(crate) fn new(
        path: &str,
        source: SourceKind,
        all: impl ExactSizeIterator<Item = (u32, Vec<u8>)>,
    ) -> Processes {
        let more = all.len().saturating_sub(Processes::MOST);
        let all = all.take(Processes::MOST).collect();
        Processes { path: path.to_owned(), source, pid: 0, all, more }
    }

    /// How to ask for each, where `before` stands before the number of a process.
    pub fn list(&self, before: &str) -> String {
        let shown = |(pid, name): &(u32, Vec<u8>)| {
            format!("{before}{pid} {}", printable(name)).trim_end().to_owned()
        };
        let all: Vec<String> = self.all.iter().map(shown).collect();
        let more = if self.more > 0 { format!(" and {} more", self.more) } else { String::new() };
        format!("there are {}{more}", all.join(", "))
    }
}

impl fmt::Display for Processes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.list(&format!("{}:", self.path)))
    }
}
