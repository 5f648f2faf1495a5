//! Records a launched program by ptrace(2) and a seccomp filter. Needs no privileges, loses no
//! events and sees every system call.
//!
//! The program gets a filter that stops it only in calls that can change its address space. The
//! filter is permanent and inherited, and if it returns to a tracer that does not exist, the call
//! fails with `ENOSYS`. Therefore the program is never detached: all its descendants are followed
//! until the last has ended, even after the recording has ended ([`Sink::tick`] returned false),
//! and if the recorder dies the kernel kills them (`PTRACE_O_EXITKILL`). The recorder therefore
//! lives as long as any daemon that the program leaves behind.
//!
//! The program notices little: its descriptors, signals, process group and terminal are unchanged.
//! [`Notice`] lists the differences. Without CAP_SYS_ADMIN it also gains no privileges by
//! execve(2), which is the condition for a filter.
//!
//! Known limits: a task made by clone3(2) with `CLONE_UNTRACED`, which only kernel developers use,
//! is not followed and its calls fail. Calls by io_uring are not seen.

mod job;
mod made;
mod notice;
mod order;
mod own_filter;
mod privileges;
mod task;
mod tracer;

pub use notice::Notice;

use super::call_source::{CallSource, Ended};
use super::filter::filter;
use super::recorder::Recorder;
use super::sink::Sink;
use super::{News, RecordError, words};
use crate::sys::launch::{Rendezvous, prepare};
use crate::sys::ptrace::{Resume, resume, seize, stop_at_exit};
use crate::sys::terminal_signals::Survive;
use crate::sys::wait::{Peeked, Waited, Waiter, peek, take};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::thread;
use task::Stop;
use tracer::Tracer;
use vmatlas_recording::Tid;

/// A launched program, which is stopped in the relevant calls.
pub(crate) struct Launched {
    pub(crate) command: Command,
    pub(crate) options: Options,
}

impl CallSource for Launched {
    const NAME: &'static str = "ptrace";

    fn subject(&self) -> Vec<Vec<u8>> {
        words(&self.command)
    }

    fn run(self, recorder: &mut Recorder) -> Result<Ended, RecordError> {
        recorder.notify(&News::Begun(
            "ptrace: the program stops at each call, so that no event is lost",
        ));
        let Outcome { status, notices } = run(self.command, recorder, self.options)?;
        Ok(Ended { status: Some(status), notices, audit: None })
    }
}

/// The end of a program's recording.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The exit status of the first process.
    pub(crate) status: ExitStatus,
    /// The notices for the user.
    pub(crate) notices: Vec<Notice>,
}

/// Options for running a program.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// This process represents the program to a shell: it survives the terminal's signals (Ctrl-C,
    /// Ctrl-\\, Ctrl-Z), which the program also receives, and when the program's first process is
    /// stopped it stops itself, so that the shell notices.
    pub(crate) job: bool,
}

/// The reason why a program was not launched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The program does not exist.
    #[error("{}: not found", program.display())]
    NotFound {
        /// The requested program.
        program: PathBuf,
        /// The error of execve(2).
        source: io::Error,
    },
    /// The program exists, and the interpreter that its first line or its ELF header names does
    /// not.
    #[error("{}: its interpreter is not found", program.display())]
    NoInterpreter {
        /// The requested program.
        program: PathBuf,
        /// The error of execve(2).
        source: io::Error,
    },
    /// The program exists and cannot be executed.
    #[error("{}: cannot be executed", program.display())]
    NotExecutable {
        /// The requested program.
        program: PathBuf,
        /// The error of execve(2), or of its preparation.
        source: io::Error,
    },
    /// No new process can be created.
    #[error("cannot make a process")]
    Fork(#[source] io::Error),
    /// It cannot be traced: a sandbox or the administrator forbids ptrace(2), or this recorder is
    /// traced with its children.
    #[error(
        "cannot trace a new process: a container or the administrator forbids ptrace (give it \
         CAP_SYS_PTRACE or a seccomp profile that allows ptrace), or vmatlas is traced itself"
    )]
    Trace(#[source] io::Error),
    /// It cannot be filtered: a sandbox forbids it, or the kernel has no seccomp.
    #[error(
        "cannot filter the system calls of a new process: a container forbids seccomp, or the kernel \
         lacks it; --backend perf does without"
    )]
    Filter(#[source] io::Error),
}

impl LaunchError {
    /// From std's error about a program that it could not execute.
    pub(super) fn of(program: &OsStr, source: io::Error) -> LaunchError {
        let program = PathBuf::from(program);
        // Other names are looked for in PATH.
        let is_path = program.as_os_str().as_bytes().contains(&b'/');
        match source.kind() {
            // The file exists; what execve(2) did not find is its interpreter.
            io::ErrorKind::NotFound if is_path && program.is_file() => {
                LaunchError::NoInterpreter { program, source }
            }
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                LaunchError::NotFound { program, source }
            }
            io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => LaunchError::Fork(source),
            _ => LaunchError::NotExecutable { program, source },
        }
    }

    /// The exit code of a shell or env(1) for this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            LaunchError::NotFound { .. } | LaunchError::NoInterpreter { .. } => 127,
            LaunchError::NotExecutable { .. } => 126,
            _ => 125,
        }
    }
}

/// The reason why the tracer has no target.
enum Failed {
    /// There is no child, or it ended before execve.
    NoProgram,
    Trace(Errno),
    Filter(Errno),
}

/// Runs a program until it and all its descendants have ended, and reports to the sink.
///
/// The calling thread spawns the command, with its signal mask and, as for every command, with the
/// default SIGPIPE. The program also ignores other signals that the caller ignores. Pipes of
/// [`Stdio::piped`](std::process::Stdio::piped) have no reader: pass your own ends.
///
/// Another thread calls the sink. Only this child of the caller is waited for; a concurrent wait
/// for *any* child in another thread also takes those of this recording.
///
/// # Errors
/// If the program could not be executed or traced.
pub(crate) fn run<S: Sink + Send>(
    mut command: Command,
    sink: &mut S,
    options: Options,
) -> Result<Outcome, LaunchError> {
    let _survive = options.job.then(Survive::new);
    let program = PathBuf::from(command.get_program());
    let rendezvous =
        prepare(&mut command, filter()).map_err(|errno| LaunchError::Fork(errno.into()))?;
    thread::scope(|scope| {
        let tracer = thread::Builder::new()
            .name("tracer".to_owned())
            .spawn_scoped(scope, || trace(&rendezvous, sink, options))
            .map_err(LaunchError::Fork)?;
        let spawned = command.spawn();
        // Closes our copies of the program's files, and the child's end of the rendezvous.
        drop(command);
        // This thread stays until the program has ended, because a program may request a signal for
        // the end of its parent's thread.
        let traced = tracer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (traced, spawned) {
            (Ok(outcome), _) => Ok(outcome),
            (Err(Failed::Trace(errno)), _) => Err(LaunchError::Trace(errno.into())),
            (Err(Failed::Filter(errno)), _) => Err(LaunchError::Filter(errno.into())),
            // It was killed before execve.
            (Err(Failed::NoProgram), Ok(mut child)) => match child.wait() {
                Ok(status) => Ok(Outcome { status, notices: Vec::new() }),
                Err(error) => Err(LaunchError::Fork(error)),
            },
            (Err(Failed::NoProgram), Err(source)) => {
                Err(LaunchError::of(program.as_os_str(), source))
            }
        }
    })
}

/// Takes over the child, and traces it to its end.
fn trace<S: Sink>(
    rendezvous: &Rendezvous,
    sink: &mut S,
    options: Options,
) -> Result<Outcome, Failed> {
    let waiter = Waiter::new().map_err(Failed::Trace)?;
    let pid = rendezvous.pid().ok_or(Failed::NoProgram)?;
    let first = Tid::first_of(pid);
    seize(first).map_err(Failed::Trace)?;
    rendezvous.go();
    // Until it executes the program. If it cannot, the spawning thread must receive the child's
    // end, so its states are peeked at before they are taken.
    loop {
        match peek(pid) {
            None => return Err(Failed::NoProgram),
            Some(Peeked::Ended) => {
                return Err(rendezvous.failure().map_or(Failed::NoProgram, Failed::Filter));
            }
            Some(Peeked::Stopped) => {}
        }
        let Waited::Status(_, status) = take(pid) else { continue };
        match Stop::of(status) {
            Stop::Executed => break,
            Stop::Group => drop(resume(first, Resume::Listen)),
            Stop::Signal(signal) => drop(resume(first, Resume::Continue(signal))),
            _ => drop(resume(first, Resume::Continue(0))),
        }
    }
    let _ = stop_at_exit(first);
    let (status, notices) = Tracer::new(sink, waiter, first, options).run();
    Ok(Outcome { status: ExitStatus::from_raw(status), notices })
}

/// Reads the texts that this module parses.
#[cfg(fuzzing)]
pub(crate) fn read_texts(bytes: &[u8]) {
    privileges::permitted(bytes);
    let maker = made::maker(Tid::new(7), bytes);
    assert!(maker.is_none_or(|(_, shared)| shared.memory == shared.thread));
}

#[cfg(test)]
mod tests;
