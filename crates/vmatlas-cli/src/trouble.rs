//! What ends a command with status 2: one line for people.

use std::fmt;
use std::io;
use std::path::Path;
use vmatlas_linux::access::{Reader, Verdict, decide, gather};
use vmatlas_linux::{Error, ProcessId};

/// Why a command cannot do what was asked.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// A line for standard error.
    Message(String),
    /// A program that was to be recorded did not run: as a shell would say it.
    NotRun {
        /// A line for standard error.
        message: String,
        /// The exit status.
        status: u8,
    },
    /// Standard output is closed, which is no one's fault.
    ClosedPipe,
}

impl Trouble {
    pub(crate) fn new(message: impl Into<String>) -> Trouble {
        Trouble::Message(message.into())
    }

    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Trouble::NotRun { status, .. } => *status,
            _ => 2,
        }
    }

    /// A process that cannot be read: with the rule that refused, and what would help.
    pub(crate) fn refused(error: Error, proc: &Path, id: ProcessId) -> Trouble {
        if let (Error::NoSuchProcess { .. }, Some(tid)) = (&error, id.tid) {
            return Trouble::Message(format!(
                "process {} has no thread {tid}, or is not there",
                id.pid
            ));
        }
        let facts = match error {
            Error::Denied { .. } | Error::NoSuchProcess { .. } => {
                gather(proc, id.pid, Reader::Caller).ok()
            }
            _ => None,
        };
        let message = error.to_string();
        let Some(decision) =
            facts.map(|facts| decide(&facts)).filter(|d| d.verdict != Verdict::Allowed)
        else {
            return error.into();
        };
        let message = match decision.why() {
            why if why.starts_with(&message) => why.to_owned(),
            why => format!("{message}: {why}"),
        };
        let help: Vec<String> = decision.help.iter().map(|help| format!("; {help}")).collect();
        Trouble::Message(format!("{message}{}", help.concat()))
    }

    pub(crate) fn file(name: &str, error: io::Error) -> Trouble {
        Trouble::Message(format!("{name}: {error}"))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Message(message) | Trouble::NotRun { message, .. } => f.write_str(message),
            Trouble::ClosedPipe => Ok(()),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::Message(error.to_string())
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Trouble::ClosedPipe,
            _ => Trouble::Message(format!("cannot write: {error}")),
        }
    }
}
