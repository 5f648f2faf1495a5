//! Records a program that is launched for it, by ptrace(2) and a seccomp filter. Needs no
//! privileges, loses nothing and sees every system call, however it is made.
//!
//! The program gets a filter that stops it in calls that can change its address space, and in no
//! others. The filter stays for ever and is inherited, and where it asks a tracer and there is
//! none, the call fails with `ENOSYS`. So the program is never let go: all processes that come of
//! it are followed until the last has ended, even when nothing is recorded any more
//! ([`Sink::tick`] was false), and if the recorder dies the kernel kills them
//! (`PTRACE_O_EXITKILL`). A daemon that the program leaves behind therefore keeps the recorder
//! with it.
//!
//! The program notices little: it has the descriptors, signals, process group and terminal that it
//! would have had. What it cannot have is in [`Notice`]. Without CAP_SYS_ADMIN it also gains no
//! privileges by execve(2), since only then may a filter be set.
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
use crate::sys::ptrace::{Resume, resume, seize, tell_exit};
use crate::sys::terminal_signals::Survive;
use crate::sys::wait::{Peeked, Waited, Waiter, peek, take};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::thread;
use task::Stop;
use tracer::Tracer;

/// A program that is launched, and stopped in the calls that count.
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
        recorder.tell(&News::Begun("ptrace: the program is launched, and no event can be lost"));
        let Outcome { status, notices } = run(self.command, recorder, self.options)?;
        Ok(Ended { status: Some(status), notices, audit: None })
    }
}

/// How a recording of a program ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Of the first process.
    pub(crate) status: ExitStatus,
    /// What the user should know.
    pub(crate) notices: Vec<Notice>,
}

/// How a program is run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// This process stands for the program towards a shell: it survives the signals of the terminal
    /// (Ctrl-C, Ctrl-\\, Ctrl-Z), which the program gets as well, and when the program's first
    /// process is stopped it stops itself, so that the shell sees it.
    pub(crate) job: bool,
}

/// Why a program was not launched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// There is no such program.
    #[error("{}: not found", program.display())]
    NotFound {
        /// As it was asked for.
        program: PathBuf,
        /// What execve(2) said.
        source: io::Error,
    },
    /// There is one that cannot be executed.
    #[error("{}: cannot be executed", program.display())]
    NotExecutable {
        /// As it was asked for.
        program: PathBuf,
        /// What execve(2) said, or the preparation for it.
        source: io::Error,
    },
    /// There is no new process to be had.
    #[error("cannot make a process")]
    Fork(#[source] io::Error),
    /// It may not be traced: a sandbox or the administrator forbids ptrace(2), or this recorder is
    /// traced with its children.
    #[error(
        "cannot trace a new process: a container or the administrator forbids ptrace (give it \
         CAP_SYS_PTRACE or a seccomp profile that allows ptrace), or vmatlas is traced itself"
    )]
    Trace(#[source] io::Error),
    /// It may not have a filter: a sandbox forbids it, or the kernel has no seccomp.
    #[error(
        "cannot filter the system calls of a new process: a container forbids seccomp, or the kernel \
         lacks it; --backend perf does without"
    )]
    Filter(#[source] io::Error),
}

impl LaunchError {
    /// Of what std says of a program that it could not execute.
    pub(super) fn of(program: &OsStr, source: io::Error) -> LaunchError {
        let program = PathBuf::from(program);
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                LaunchError::NotFound { program, source }
            }
            io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => LaunchError::Fork(source),
            _ => LaunchError::NotExecutable { program, source },
        }
    }

    /// The exit status with which a shell, or env(1), would say so.
    pub fn exit_code(&self) -> u8 {
        match self {
            LaunchError::NotFound { .. } => 127,
            LaunchError::NotExecutable { .. } => 126,
            _ => 125,
        }
    }
}

/// Why the tracer has nothing to trace.
enum Failed {
    /// There is no child, or it ended before it executed the program.
    NoProgram,
    Trace(Errno),
    Filter(Errno),
}

/// Runs a program until it and all that come of it have ended, and tells the sink.
///
/// The command is spawned by the calling thread, with its signal mask and, as every command, with
/// SIGPIPE as it is by default. Other signals that the caller ignores the program ignores too. Pipes
/// of [`Stdio::piped`](std::process::Stdio::piped) have no reader: pass the ends of one's own.
///
/// The sink is called by another thread. No child of the caller is waited for but this one; who
/// waits for *any* child in another thread takes those of this recording, too.
///
/// # Errors
/// The program could not be executed or not be traced.
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
        // This thread stays until the program has ended: a program may ask for a signal when its
        // parent's thread ends.
        let traced = tracer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (traced, spawned) {
            (Ok(outcome), _) => Ok(outcome),
            (Err(Failed::Trace(errno)), _) => Err(LaunchError::Trace(errno.into())),
            (Err(Failed::Filter(errno)), _) => Err(LaunchError::Filter(errno.into())),
            // It was killed before it executed anything.
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

/// Takes the child over, and traces it to its end.
fn trace<S: Sink>(
    rendezvous: &Rendezvous,
    sink: &mut S,
    options: Options,
) -> Result<Outcome, Failed> {
    let waiter = Waiter::new().map_err(Failed::Trace)?;
    let pid = rendezvous.pid().ok_or(Failed::NoProgram)?;
    seize(pid).map_err(Failed::Trace)?;
    rendezvous.go();
    // Until it executes the program. If it cannot, the end of the child is left to who spawned it,
    // so its states are looked at before they are taken.
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
            Stop::Group => drop(resume(pid, Resume::Listen)),
            Stop::Signal(signal) => drop(resume(pid, Resume::Continue(signal))),
            _ => drop(resume(pid, Resume::Continue(0))),
        }
    }
    let _ = tell_exit(pid);
    let (status, notices) = Tracer::new(sink, waiter, pid, options).run();
    Ok(Outcome { status: ExitStatus::from_raw(status), notices })
}

#[cfg(test)]
mod tests;
