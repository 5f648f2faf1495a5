//! The recorder: follows a program and writes down what changes its memory.

pub(crate) mod arch;
mod attach;
mod audit;
mod call_source;
mod calls;
mod code;
mod control;
mod filter;
mod follow;
mod output;
mod perf;
mod ptrace;
mod recorder;
mod shown;
pub(crate) mod sink;
mod space;
mod truth;
pub(crate) mod unwind;

pub use audit::{Audit, Unexplained};
pub use control::Control;
pub use ptrace::{LaunchError, Notice};
pub use recorder::Limits;
pub use truth::Truth;

use crate::FilesNow;
use call_source::{CallSource, Ended};
use output::Output;
use recorder::Recorder;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vmatlas_recording::Meta;

/// How a recording is to be made.
#[non_exhaustive]
pub struct Options {
    /// The file that it is written to; one that is there is replaced.
    pub output: PathBuf,
    /// When it ends by itself.
    pub limits: Limits,
    /// Takes what the user asks by signals.
    pub control: Option<Control>,
    /// Told what happens.
    pub news: Option<Listener>,
    /// What shall record; chosen by what is asked and permitted if none is given.
    pub backend: Option<Backend>,
    /// How many bytes of stack perf events copy with each call, at most 65,528: deeper frames
    /// are missing.
    pub stack_bytes: u32,
    /// Also records who touches pages first (perf events only), and which pages are in memory.
    pub pages: bool,
    /// Holds the kernel's own record of changes against the events (needs perf and CAP_PERFMON).
    pub audit: bool,
}

impl Options {
    /// As they are if nothing else is asked for.
    pub fn new(output: PathBuf) -> Options {
        Options {
            output,
            limits: Limits::default(),
            control: None,
            news: None,
            backend: None,
            stack_bytes: 8192,
            audit: false,
            pages: false,
        }
    }
}

/// Listens to a recorder.
pub type Listener = Box<dyn FnMut(&News<'_>) + Send>;

/// What a recorder tells while it works.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum News<'a> {
    /// It has begun, with this backend, for this reason.
    Begun(&'a str),
    /// Some times a second.
    Progress(Progress),
    /// Nothing is recorded any more, and the program runs on.
    Ended,
}

/// How far a recording is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Since it began.
    pub elapsed: Duration,
    /// Events so far.
    pub events: u64,
    /// Events that were lost.
    pub lost: u64,
    /// Bytes of the file so far.
    pub size: u64,
}

/// What sees the calls of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backend {
    /// ptrace(2) with a seccomp filter: for programs that are launched. Loses nothing.
    Ptrace,
    /// perf_event_open(2): also for programs that run. Cheap; stacks may be lost or cut.
    Perf,
}

/// A recording that was made.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// How the program ended, if it was launched.
    pub status: Option<ExitStatus>,
    /// How true it is.
    pub truth: Truth,
    /// What the audit found, if one was asked for.
    pub audit: Option<Audit>,
    /// What the user should know.
    pub notices: Vec<Notice>,
    /// Bytes of the file.
    pub size: u64,
    /// Why the file ends before the program did.
    pub failed: Option<io::Error>,
}

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The program could not be run under the recorder.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// Perf events cannot be used.
    #[error("{0}")]
    Perf(String),
    /// The process cannot be read.
    #[error(transparent)]
    Process(#[from] crate::Error),
    /// The recording's file could not be made.
    #[error("{}: {source}", path.display())]
    Output {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Runs a program and records it and all its children, until the last of them has ended: by
/// ptrace(2) and a seccomp filter that stops them in calls which can change their memory, unless
/// another backend is asked for. Needs no privileges.
///
/// If this process dies, the kernel kills the program with it: with a filter, it could not go on
/// without (`PTRACE_O_EXITKILL`). Recorded by perf events it goes on.
///
/// # Errors
/// [`RecordError`]: then the program has not run.
pub fn launch(command: Command, options: Options) -> Result<Report, RecordError> {
    // Only perf events tell of page faults and of the kernel's trees.
    let needs_perf = options.audit || options.pages;
    if options.backend == Some(Backend::Perf) || (needs_perf && options.backend.is_none()) {
        return record(attach::Launched::prepare(command, &options)?, options);
    }
    // Who takes signals stands for the program towards its shell.
    let job = options.control.is_some();
    record(ptrace::Launched { command, options: ptrace::Options { job } }, options)
}

/// Makes a recording of what a source sees. Without one there is no file.
fn record<S: CallSource>(source: S, options: Options) -> Result<Report, RecordError> {
    let Options { output: path, limits, control, news, pages, .. } = options;
    let output = open(&path)?;
    let meta = meta(S::NAME, source.subject());
    let mut recorder = Recorder::new(&meta, output, limits, news);
    recorder.obey(control.as_ref());
    recorder.pages = pages;
    match source.run(&mut recorder) {
        Ok(Ended { status, notices, audit }) => {
            Ok(Report { status, notices, audit, ..recorder.finish() })
        }
        Err(error) => {
            // It holds nothing.
            let _ = std::fs::remove_file(&path);
            Err(error)
        }
    }
}

/// Records a process that runs, all its threads and those that come, and its children to be,
/// until the last of them has ended, a limit is reached, or the user interrupts. The program is
/// never stopped, and nothing of the recorder is left in it.
///
/// What is older than the attach is told as such ([`Maker::Before`](vmatlas_recording::Maker)).
///
/// # Errors
/// [`RecordError`].
pub fn attach(pid: u32, options: Options) -> Result<Report, RecordError> {
    record(attach::Running::attach(pid, &options)?, options)
}

/// A command's program and arguments.
fn words(command: &Command) -> Vec<Vec<u8>> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.as_encoded_bytes().to_vec()).collect()
}

fn open(path: &Path) -> Result<Output, RecordError> {
    Output::create(path).map_err(|source| RecordError::Output { path: path.to_owned(), source })
}

/// What a recording that is made here and now says of itself.
fn meta(backend: &str, command: Vec<Vec<u8>>) -> Meta {
    let uname = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let profile = FilesNow::profile();
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Meta {
        kernel: text(uname.release()),
        machine: text(uname.machine()),
        page_size: profile.page_size(),
        vsyscall: profile.vsyscall,
        pkeys: profile.pkeys,
        backend: backend.to_owned(),
        began_ns: u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX),
        command,
    }
}

/// Lets a command run in a process group of its own, so that it does not get what is typed for the
/// program that is recorded.
pub fn in_own_group(command: &mut Command) -> &mut Command {
    use std::os::unix::process::CommandExt as _;
    command.process_group(0)
}

/// The exit status that says how a program ended. If a signal killed it, this process ends by the
/// same one, so that who waits for it cannot tell the two apart; no core is dumped.
pub fn end_as(status: ExitStatus) -> std::process::ExitCode {
    use rustix::process::{Resource, Rlimit, setrlimit};
    use std::os::unix::process::ExitStatusExt as _;
    if let Some(signal) = status.signal() {
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }
    // What a shell says of a signal that is not deadly for us.
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    std::process::ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1))
}
