//! Runs scenarios on the running kernel: forked processes perform their operations, and the
//! resulting rows of `/proc/PID/maps` are returned.
//!
//! A [`Runner`] keeps a small process that only forks the processes of scenarios. That process
//! executes the calling program again, whose `main` must begin with [`serve_if_asked`].

mod compile;
mod environment;
pub(crate) mod log;
pub(crate) mod program;
mod rows;
mod runner;
mod server;
mod verify;

pub use environment::Environment;
pub use runner::{RowsAfter, Run, Runner, StepRun};
pub use server::serve_if_asked;

use std::io;

/// The reason why a scenario did not complete.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunnerError {
    /// It requests an impossible operation, for example on a file that was never opened.
    #[error("line {line}: {what}")]
    Scenario {
        /// The line of the step.
        line: u32,
        /// The reason.
        what: String,
    },
    /// It exceeded the runner's time limit; all its processes were killed.
    #[error("line {line}: the step did not end within {seconds} seconds")]
    Hung {
        /// The line of the current step.
        line: u32,
        /// The time limit in seconds.
        seconds: u64,
    },
    /// A signal killed one of its processes, as happens if it destroys its own memory.
    #[error("line {line}: a process of the scenario was ended by signal {signal}")]
    Killed {
        /// The line of the current step.
        line: u32,
        /// The signal.
        signal: i32,
    },
    /// The kernel refused to fork.
    #[error("line {line}: the process cannot be forked")]
    Fork {
        /// The line of the step.
        line: u32,
    },
    /// The rows exceed 256 MiB in total.
    #[error("line {line}: there are too many rows")]
    TooLong {
        /// The line of the current step.
        line: u32,
    },
    /// The addresses of the region are in use, or the kernel does not report them.
    #[error("there is no place for the region")]
    NoRegion,
    /// The server process could not be started, or it ended: most likely the program does not call
    /// [`serve_if_asked`].
    #[error("the process that runs scenarios: {0}")]
    Server(io::Error),
    /// The directory for the scenario's files cannot be created or entered.
    #[error("a directory for the scenario's files: {0}")]
    Directory(io::Error),
    /// The rows of the processes cannot be read.
    #[error("line {line}: the rows cannot be read: {source}")]
    Rows {
        /// The line of the step.
        line: u32,
        /// The kernel's error.
        source: io::Error,
    },
}
