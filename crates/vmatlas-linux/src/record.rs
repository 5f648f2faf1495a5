//! The recorder: follows a program and records the calls that change its memory.

pub(crate) mod arch;
mod attach;
mod audit;
mod call_source;
mod calls;
mod code;
mod control;
mod filter;
mod follow;
mod locked_file;
mod output;
pub(crate) mod perf;
pub(crate) mod ptrace;
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
use crate::new_file::{CreateError, Replace};
use call_source::{CallSource, Ended};
use output::Output;
use recorder::Recorder;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vmatlas_recording::Meta;

/// The options of a recording.
#[non_exhaustive]
pub struct Options {
    /// The output file.
    pub output: PathBuf,
    /// The existing files that it may replace.
    pub replace: Replace,
    /// The limits at which the recording ends.
    pub limits: Limits,
    /// Receives the user's requests by signals.
    pub control: Option<Control>,
    /// Receives reports during the recording.
    pub news: Option<Listener>,
    /// The backend; if `None`, it is chosen by the other options and the permissions.
    pub backend: Option<Backend>,
    /// Bytes of stack that perf events copy with each call, at most 65,528; deeper frames are
    /// missing.
    pub stack_bytes: u32,
    /// Also records the thread that first touches each page (perf events only), and the resident
    /// pages.
    pub pages: bool,
    /// Compares the kernel's own log of changes with the events (needs perf and CAP_PERFMON).
    pub audit: bool,
}

impl Options {
    /// The default options for this output file.
    pub fn new(output: PathBuf) -> Options {
        Options {
            output,
            replace: Replace::default(),
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

/// A callback for a recorder's reports.
pub type Listener = Box<dyn FnMut(&News<'_>) + Send>;

/// A report of a running recorder.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum News<'a> {
    /// The recording has begun; the text names the backend and the reason for it.
    Begun(&'a str),
    /// Progress, several times a second.
    Progress(Progress),
    /// The file cannot be written; the recording ends.
    Failed(&'a io::Error),
    /// The recording has ended, and the program runs on.
    Ended,
}

/// The progress of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Time since the recording began.
    pub elapsed: Duration,
    /// Events so far.
    pub events: u64,
    /// Events that were lost.
    pub lost: u64,
    /// Bytes of the file so far.
    pub size: u64,
}

/// The interface that observes a program's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backend {
    /// ptrace(2) with a seccomp filter: for launched programs. Loses no events.
    Ptrace,
    /// perf_event_open(2): also for running programs. Cheap; stacks may be lost or truncated.
    Perf,
}

/// The result of a recording.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// The exit status of a launched program.
    pub status: Option<ExitStatus>,
    /// The measured accuracy of the recording.
    pub truth: Truth,
    /// The result of the audit, if requested.
    pub audit: Option<Audit>,
    /// Notices for the user.
    pub notices: Vec<Notice>,
    /// The size of the file in bytes.
    pub size: u64,
    /// The write error that ended the file before the program ended.
    pub failed: Option<io::Error>,
}

/// The reason why nothing was recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The program could not be launched under the recorder.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// Perf events cannot be used.
    #[error("{0}")]
    Perf(String),
    /// The process cannot be read.
    #[error(transparent)]
    Process(#[from] crate::Error),
    /// The output file could not be created.
    #[error(transparent)]
    Output(#[from] CreateError),
}

/// Runs a program and records it and all its descendants, until the last of them has ended. The
/// default backend is ptrace(2) with a seccomp filter that stops them in calls that can change
/// their memory. It needs no privileges.
///
/// If this process dies, the kernel kills a traced program too, because it cannot continue with its
/// filter (`PTRACE_O_EXITKILL`). A program recorded by perf events continues.
///
/// # Errors
/// [`RecordError`]; the program did not run.
pub fn launch(command: Command, options: Options) -> Result<Report, RecordError> {
    // Only perf events report page faults and writes to the kernel's trees.
    let needs_perf = options.audit || options.pages;
    if options.backend == Some(Backend::Perf) || (needs_perf && options.backend.is_none()) {
        return record(attach::Launched::prepare(command, &options)?, options);
    }
    // A recorder that takes signals represents the program to its shell.
    let job = options.control.is_some();
    record(ptrace::Launched { command, options: ptrace::Options { job } }, options)
}

/// Records the calls of a source. Without a recording, no file remains, and an existing file stays
/// as it was.
fn record<S: CallSource>(source: S, options: Options) -> Result<Report, RecordError> {
    let Options { output: path, replace, limits, control, news, pages, .. } = options;
    let output = Output::create(&path, replace)?;
    let meta = meta(S::NAME, source.subject());
    let mut recorder = Recorder::new(&meta, output, limits, news);
    recorder.obey(control.as_ref());
    recorder.pages = pages;
    match source.run(&mut recorder) {
        Ok(Ended { status, notices, audit }) => {
            Ok(Report { status, notices, audit, ..recorder.finish() })
        }
        Err(error) => {
            recorder.discard();
            Err(error)
        }
    }
}

/// Records a running process, its present and future threads, and its future children, until the
/// last of them has ended, a limit is reached, or the user interrupts. The program is never
/// stopped, and no part of the recorder remains in it.
///
/// Mappings older than the attach have the maker [`Maker::Before`](vmatlas_recording::Maker).
///
/// # Errors
/// [`RecordError`] if the process cannot be read, perf events are not available, or the output file
/// cannot be created.
pub fn attach(pid: u32, options: Options) -> Result<Report, RecordError> {
    record(attach::Running::read(pid, &options)?, options)
}

/// A command's program and arguments.
fn words(command: &Command) -> Vec<Vec<u8>> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.as_encoded_bytes().to_vec()).collect()
}

/// The metadata of a recording made now on this machine.
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

/// Puts a command into its own process group, so that it does not receive the terminal's signals
/// for the recorded program.
pub fn in_own_group(command: &mut Command) -> &mut Command {
    use std::os::unix::process::CommandExt as _;
    command.process_group(0)
}

/// The exit code that repeats a program's end. If a signal killed it, this process kills itself
/// with the same signal, without a core dump, so that its parent sees the same status.
pub fn end_as(status: ExitStatus) -> std::process::ExitCode {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    use std::os::unix::process::ExitStatusExt as _;
    if let Some(signal) = status.signal() {
        // A core_pattern that is a pipe ignores the limit (core(5)): systemd-coredump and apport
        // would report a crash of vmatlas. The program's own core is another process's.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }
    // The shell's exit code for a signal that does not kill us.
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    std::process::ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1))
}
