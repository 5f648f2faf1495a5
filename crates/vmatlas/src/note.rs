//! Notes about a target that was read in spite of oddities.

use crate::source::kind::SourceKind;
use crate::words::shell::shell_target;
use crate::words::values::{count, printable, size};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use vmatlas_explain::coredump::PageError;
use vmatlas_linux::files::UnansweredMount;
use vmatlas_linux::postmortem::FileError;
use vmatlas_linux::{Frozen, Limits, RunningThread};
use vmatlas_maps::{KernelVersion, Maps, Warning};

/// A note about an oddity or omission; all readable data is used.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Note {
    /// A warning about the text, or about reading a live process.
    Listing(Warning),
    /// The first thread of the process has ended, so the rows were read from another thread.
    ReadThrough {
        /// The thread that the rows were read from.
        tid: u32,
    },
    /// The process ended or executed another program after its rows were read. What depends on its
    /// files, threads and memory is missing.
    Gone,
    /// The threads of the process were stopped while it was read.
    Frozen {
        /// How many.
        threads: usize,
        /// How long.
        stood: Duration,
    },
    /// A thread that could not be stopped.
    Running(RunningThread),
    /// The memory was not read, so labels are less certain.
    LabelsWithoutMemory {
        /// The reason.
        why: String,
    },
    /// The input is longer than the limit; the rest was not read.
    CutInput {
        /// The limit in bytes.
        limit: u64,
    },
    /// A compressed input is damaged and ends early.
    DamagedInput {
        /// The number of bytes that could be decompressed.
        bytes: u64,
        /// The error.
        why: String,
    },
    /// A compressed input expands more than any real one. Its end was not read.
    ExpandingInput,
    /// The disk for temporary files is nearly full. The end of the input was not read.
    FullDisk {
        /// The number of bytes that were read.
        bytes: u64,
    },
    /// A page of the core dump that cannot be read. Facts from it are missing.
    UnreadPage(PageError),
    /// A mapped file that cannot be read. Its memory counts as absent.
    UnreadFile(FileError),
    /// A file system that did not answer. Its files were left out.
    NoAnswer(UnansweredMount),
    /// Files that would cost more memory, time or descriptors than the [`Limits`]. Facts of them are
    /// missing.
    LeftOut {
        /// The name of the first one, as its row has it.
        first: Vec<u8>,
        /// The number of files.
        files: u64,
        /// The limits of memory and time.
        limits: Limits,
    },
    /// The memory of the target was not read to its end, because that would take more time than the
    /// [`Limits`]. Labels may be missing.
    CutMemory {
        /// The limits of memory and time.
        limits: Limits,
    },
    /// A note that the recording holds about itself.
    Recording(String),
    /// The recording is not finished.
    RecordedBy {
        /// Its file, in the recorder's file systems.
        path: PathBuf,
        /// The pid of the recorder.
        recorder: u32,
    },
    /// At its last moment, the recording has other rows than the process now.
    DifferentRows {
        /// How many.
        rows: usize,
    },
    /// Events of the recording cannot be read past some position.
    #[cfg(feature = "recordings")]
    DamagedRecording(vmatlas_recording::RecordingError),
    /// The recording or log also has other processes.
    OtherProcesses(Processes),
    /// By the moment of the target, several processes had the number of this one.
    ReusedNumber {
        /// The number.
        pid: u32,
        /// The place of this process among them, counted from 1.
        index: usize,
        /// How many.
        processes: usize,
    },
    /// A warning about a line of the log.
    Log(Warning),
    /// The moment lies after the end of the log.
    LogEnds(Duration),
    /// A fact that the log does not record.
    #[cfg(feature = "recordings")]
    MissingFact(vmatlas_recording::strace::MissingFact),
    /// The log does not name the kernel, so the model uses the rules of this version.
    RulesOf(KernelVersion),
    /// Files of the log were looked up in today's file system.
    FilesNow {
        /// The number of files.
        files: usize,
    },
    /// Addresses where adjacent rows may or may not be merged.
    Doubts {
        /// The number of addresses: [`Atlas::doubts`](crate::Atlas::doubts).
        addresses: usize,
        /// The first one.
        first: u64,
    },
    /// Function names are missing or doubtful.
    Names(String),
    /// A warning that a document keeps.
    Kept {
        /// Its kind, in a word.
        kind: String,
        /// The line of the text that it concerns.
        line: Option<u64>,
        /// Its sentence.
        message: String,
    },
}

impl Note {
    /// The note about the addresses at which it is not known whether rows are joined.
    #[cfg(feature = "recordings")]
    pub(crate) fn of_doubts(doubts: impl IntoIterator<Item = u64>) -> Option<Note> {
        let mut doubts = doubts.into_iter();
        let first = doubts.next()?;
        Some(Note::Doubts { addresses: 1 + doubts.count(), first })
    }

    /// A note if several processes have the number `pid`: `own` and `all` are their first events.
    #[cfg(feature = "recordings")]
    pub(crate) fn of_reused<T: PartialEq>(
        pid: u32,
        own: T,
        all: impl Iterator<Item = T>,
    ) -> Option<Note> {
        let all: Vec<T> = all.collect();
        let index = all.iter().position(|first| *first == own)? + 1;
        let processes = all.len();
        (processes > 1).then_some(Note::ReusedNumber { pid, index, processes })
    }

    /// The notes about a freeze; of many threads that ran on, the first.
    pub(crate) fn of_frozen(frozen: &Frozen) -> Vec<Note> {
        const MANY: usize = 8;
        let stood = Note::Frozen { threads: frozen.threads, stood: frozen.stood };
        let running = frozen.running.iter().take(MANY).cloned().map(Note::Running);
        [stood].into_iter().chain(running).collect()
    }
}

/// Files of which facts are missing, because they would cost too much.
#[derive(Default)]
pub(crate) struct LeftOut {
    first: Option<Vec<u8>>,
    files: u64,
}

impl LeftOut {
    /// The files of these rows.
    pub(crate) fn of_rows(maps: &Maps, rows: &[usize]) -> LeftOut {
        let first = rows.first().and_then(|&row| maps.get(row));
        LeftOut { first: first.map(|row| row.name.to_vec()), files: rows.len() as u64 }
    }

    pub(crate) fn add(&mut self, name: &[u8]) {
        self.first.get_or_insert_with(|| name.to_vec());
        self.files += 1;
    }

    pub(crate) fn note(self, limits: Limits) -> Option<Note> {
        let files = self.files;
        self.first.map(|first| Note::LeftOut { first, files, limits })
    }
}

impl Note {
    /// The line of the text that the note concerns, counted from 1.
    pub fn line(&self) -> Option<u64> {
        match self {
            Note::Listing(warning) => Some(warning.line).filter(|&line| line > 0),
            Note::Kept { line, .. } => *line,
            _ => None,
        }
    }

    /// The kind of the note in a word, for programs.
    pub fn word(&self) -> &str {
        match self {
            Note::Listing(warning) | Note::Log(warning) => warning.kind.word(),
            Note::ReadThrough { .. } => "read-through-thread",
            Note::Gone => "gone",
            Note::Frozen { .. } => "frozen",
            Note::Running(_) => "thread-not-stopped",
            Note::LabelsWithoutMemory { .. } => "labels-without-memory",
            Note::CutInput { .. } => "cut-input",
            Note::DamagedInput { .. } => "damaged-input",
            Note::ExpandingInput => "expanding-input",
            Note::FullDisk { .. } => "full-disk",
            Note::UnreadPage(_) => "unread-page",
            Note::UnreadFile(_) => "unread-file",
            Note::NoAnswer(_) => "no-answer",
            Note::LeftOut { .. } => "left-out",
            Note::CutMemory { .. } => "cut-memory",
            Note::Recording(_) => "recording",
            Note::RecordedBy { .. } => "recorded-by",
            Note::DifferentRows { .. } => "different-rows",
            #[cfg(feature = "recordings")]
            Note::DamagedRecording(_) => "damaged-recording",
            Note::OtherProcesses(_) => "other-processes",
            Note::ReusedNumber { .. } => "reused-number",
            Note::LogEnds(_) => "log-ends",
            #[cfg(feature = "recordings")]
            Note::MissingFact(_) => "missing-fact",
            Note::RulesOf(_) => "rules-of-kernel",
            Note::FilesNow { .. } => "files-now",
            Note::Doubts { .. } => "doubts",
            Note::Names(_) => "names",
            Note::Kept { kind, .. } => kind,
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
            Note::CutMemory { limits } => {
                let cpu = limits.cpu.unwrap_or_default().as_secs_f64();
                write!(f, "its memory was read for {cpu} s of CPU only: labels may be missing")
            }
            Note::CutInput { limit } => {
                write!(f, "only the first {} were read", vmatlas_maps::size::long(*limit))
            }
            Note::DamagedInput { bytes, why } => {
                write!(f, "the input is damaged after {bytes} bytes: {why}")
            }
            Note::ExpandingInput => f.write_str(
                "the compressed input expands more than a hundredfold, or has more than a million \
                 rows: its end was not read; decompress it to a file first",
            ),
            Note::FullDisk { bytes } => write!(
                f,
                "the disk for temporary files is nearly full: only {} were read; TMPDIR selects \
                 another directory",
                count(*bytes, "byte")
            ),
            Note::UnreadPage(error) => write!(f, "{error}; memory may be missing"),
            Note::UnreadFile(error) => write!(f, "{error}; memory may be missing"),
            Note::NoAnswer(UnansweredMount { point, fs_type, files, .. }) => {
                let fs_type = match fs_type.is_empty() {
                    true => String::new(),
                    false => format!(" ({})", printable(fs_type)),
                };
                let files = count(*files as u64, "file");
                write!(
                    f,
                    "{}{fs_type} did not answer: facts of {files} there are left out",
                    printable(point)
                )
            }
            Note::LeftOut { first, files, limits } => {
                let others = match files.saturating_sub(1) {
                    0 => String::new(),
                    others => format!(" and {}", count(others, "other file")),
                };
                let memory = size(limits.memory);
                let cpu = limits.cpu.map(|cpu| format!(" or {} s of CPU", cpu.as_secs_f64()));
                write!(
                    f,
                    "facts of {}{others} are left out: they would take more than {memory}{}, or \
                     too many open files",
                    printable(first),
                    cpu.unwrap_or_default()
                )
            }
            Note::Gone => f.write_str(
                "the process ended or executed another program after its rows were read: what its \
                 files, threads and memory would tell is left out",
            ),
            Note::Frozen { threads, stood } => {
                let threads = count(*threads as u64, "thread");
                let stood = stood.as_secs_f64() * 1000.0;
                write!(f, "{threads} stood still for {stood:.1} ms")
            }
            Note::Running(RunningThread { tid, why, .. }) => {
                write!(f, "thread {tid} was not stopped: {why}")
            }
            Note::Recording(text) | Note::Names(text) | Note::Kept { message: text, .. } => {
                f.write_str(text)
            }
            Note::RecordedBy { path, recorder } => {
                let path = printable(path.as_os_str().as_encoded_bytes());
                write!(f, "read from {path}, which process {recorder} is writing")
            }
            Note::DifferentRows { rows } => {
                let rows = count(*rows as u64, "row");
                write!(
                    f,
                    "{rows} of the recording's last moment or of the process now are not in both"
                )
            }
            #[cfg(feature = "recordings")]
            Note::DamagedRecording(error) => write!(f, "{error}; later events are left out"),
            Note::OtherProcesses(processes) => {
                write!(f, "this is process {}; {processes}", processes.pid)
            }
            Note::ReusedNumber { pid, index, processes } => write!(
                f,
                "by then {processes} processes had the number {pid}, one after the other; this is \
                 number {index} of them"
            ),
            Note::LogEnds(length) => write!(f, "the log ends after {} s", length.as_secs_f64()),
            #[cfg(feature = "recordings")]
            Note::MissingFact(fact) => fact.fmt(f),
            Note::RulesOf(kernel) => write!(
                f,
                "the log does not name the kernel: the model uses the rules of Linux {kernel}, this machine's kernel"
            ),
            Note::FilesNow { files } => write!(
                f,
                "device, inode and symbolic links of {files} files were looked up now, not when the log was written"
            ),
            Note::Doubts { addresses, first } => {
                let places = count(*addresses as u64, "place");
                write!(
                    f,
                    "at {places}, the first {first:x}, one row may be two, or two rows one: that \
                     depends on which memory was written first, which was not recorded"
                )
            }
        }
    }
}

/// The processes of a recording or a log. It displays as a list of targets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Processes {
    /// The file, or the common prefix of the log's file names.
    pub path: String,
    /// The kind of source: a log or a recording.
    pub source: SourceKind,
    /// The selected process; 0 if a log does not name it or none was selected.
    pub pid: u32,
    /// The first processes with their names, at most ten.
    pub all: Vec<(u32, Vec<u8>)>,
    /// The number of processes left out.
    pub more: usize,
}

impl Processes {
    #[cfg(feature = "recordings")]
    pub(crate) fn new(
        path: &str,
        source: SourceKind,
        all: impl ExactSizeIterator<Item = (u32, Vec<u8>)>,
    ) -> Processes {
        /// The most processes to list.
        const MAX: usize = 10;
        let more = all.len().saturating_sub(MAX);
        let all = all.take(MAX).collect();
        Processes { path: path.to_owned(), source, pid: 0, all, more }
    }

    /// A clause that lists the processes, with `before` in front of each process ID.
    pub fn list(&self, before: &str) -> String {
        self.listed(|pid| format!("{before}{pid}"))
    }

    fn listed(&self, typed: impl Fn(u32) -> String) -> String {
        let shown = |(pid, name): &(u32, Vec<u8>)| {
            format!("{} {}", typed(*pid), printable(name)).trim_end().to_owned()
        };
        let all: Vec<String> = self.all.iter().map(shown).collect();
        let more = if self.more > 0 { format!(" and {} more", self.more) } else { String::new() };
        format!("there are {}{more}", all.join(", "))
    }
}

impl fmt::Display for Processes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.listed(|pid| shell_target(&format!("{}:{pid}", self.path))))
    }
}
