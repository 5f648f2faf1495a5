//! Scenarios on the running kernel: their operations are done by processes made for them, and
//! the rows that `/proc/PID/maps` then shows are given back.
//!
//! A [`Runner`] keeps a small process that does nothing but fork the processes of scenarios; it
//! executes the calling program again, whose `main` begins with [`serve_if_asked`].

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

/// A scenario that was not run to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunnerError {
    /// It asks for something that cannot be done, such as an open file that nothing has made.
    #[error("line {line}: {what}")]
    Scenario {
        /// The line of the step.
        line: u32,
        /// What is wrong.
        what: String,
    },
    /// It took longer than the runner's limit; all its processes were ended.
    #[error("line {line}: the step did not end within {seconds} seconds")]
    Hung {
        /// The line of the step that was being done.
        line: u32,
        /// The limit.
        seconds: u64,
    },
    /// A process of it was ended by a signal, as happens if it destroys its own memory.
    #[error("line {line}: a process of the scenario was ended by signal {signal}")]
    Killed {
        /// The line of the step that was being done.
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
    /// The rows are longer than 256 MiB altogether.
    #[error("line {line}: there are too many rows")]
    TooLong {
        /// The line of the step that was being done.
        line: u32,
    },
    /// The addresses of the region are in use, or the kernel does not say which they are.
    #[error("there is no place for the region")]
    NoRegion,
    /// The process that runs scenarios could not be started or ended: most likely the program
    /// does not call [`serve_if_asked`].
    #[error("the process that runs scenarios: {0}")]
    Server(io::Error),
    /// A directory for the scenario's files cannot be made or entered.
    #[error("a directory for the scenario's files: {0}")]
    Directory(io::Error),
    /// The rows of the processes cannot be read.
    #[error("line {line}: the rows cannot be read: {source}")]
    Rows {
        /// The line of the step.
        line: u32,
        /// What the kernel answered.
        source: io::Error,
    },
}
