//! The recorder: follows a program and writes down what changes its memory.

mod calls;
mod code;
mod control;
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
mod filter;
mod output;
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
mod ptrace;
mod recorder;
pub(crate) mod sink;
mod space;
mod truth;
mod unwind;

pub use control::Control;
pub use output::RecordingFile;
pub use recorder::Limits;
pub use truth::Truth;

use crate::FilesNow;
use output::Output;
use recorder::Recorder;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vmatlas::recording::Meta;

pub use ptrace::{LaunchError, Notice};

/// How a recording is to be made.
pub struct Options {
    /// The file that it is written to; one that is there is replaced.
    pub output: PathBuf,
    /// When it ends by itself.
    pub limits: Limits,
    /// Takes what the user asks by signals.
    pub control: Option<Control>,
    /// Told some times a second how far it is.
    pub progress: Option<Box<dyn FnMut(&Progress) + Send>>,
}

/// How far a recording is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Since it began.
    pub elapsed: Duration,
    /// Events so far.
    pub events: u64,
    /// Events that were lost.
    pub lost: u64,
    /// Bytes of the file so far.
    pub size: u64,
    /// Whether the program runs on and nothing is recorded any more.
    pub ended: bool,
}

/// A recording that was made.
#[derive(Debug)]
pub struct Report {
    /// How the program ended.
    pub status: ExitStatus,
    /// How true it is.
    pub truth: Truth,
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
/// ptrace(2) and a seccomp filter that stops them in calls which can change their memory. Needs no
/// privileges.
///
/// If this process dies, the kernel kills the program with it: with a filter, it could not go on
/// without (`PTRACE_O_EXITKILL`).
///
/// # Errors
/// [`RecordError`]: then the program has not run.
pub fn launch(command: Command, options: Options) -> Result<Report, RecordError> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| word.as_encoded_bytes().to_vec()).collect();
    let meta = meta("ptrace", words);
    let output = open(&options.output)?;
    let mut recorder = Recorder::new(&meta, output, options.limits, options.progress);
    recorder.obey(options.control.as_ref());
    let outcome = match ptrace::run(command, &mut recorder) {
        Ok(outcome) => outcome,
        Err(error) => {
            // It holds nothing.
            let _ = std::fs::remove_file(&options.output);
            return Err(error.into());
        }
    };
    let (truth, output) = recorder.finish();
    let (size, failed) = output.into_parts();
    Ok(Report { status: outcome.status, truth, notices: outcome.notices, size, failed })
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
