//! Errors that end a command with status 2, one line for people.

use crate::output::{candidates, notes};
use std::fmt;
use std::io;

/// The reason why a command failed.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// A line for standard error.
    Message(String),
    /// A line for standard error, and a table below it.
    List {
        /// The line.
        message: String,
        /// The lines of the table.
        lines: Vec<String>,
    },
    /// The program to record did not run; reported as by a shell.
    NotRun {
        /// A line for standard error.
        message: String,
        /// The exit status.
        status: u8,
    },
    /// Standard output is closed, which is no error.
    ClosedPipe,
}

impl Trouble {
    pub(crate) fn new(message: impl Into<String>) -> Trouble {
        Trouble::Message(message.into())
    }

    /// The table below the line.
    pub(crate) fn lines(&self) -> &[String] {
        match self {
            Trouble::List { lines, .. } => lines,
            _ => &[],
        }
    }

    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Trouble::NotRun { status, .. } => *status,
            _ => 2,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Message(message)
            | Trouble::List { message, .. }
            | Trouble::NotRun { message, .. } => f.write_str(message),
            Trouble::ClosedPipe => Ok(()),
        }
    }
}

impl From<vmatlas::Error> for Trouble {
    fn from(error: vmatlas::Error) -> Self {
        let message = notes::error(&error);
        match error.candidates() {
            [] => Trouble::Message(message),
            candidates => Trouble::List { message, lines: candidates::lines(candidates) },
        }
    }
}

impl From<vmatlas::CreateError> for Trouble {
    fn from(error: vmatlas::CreateError) -> Self {
        let help = match error.can_be_forced() {
            true => "; name another one, or replace it with --force",
            false => "",
        };
        Trouble::Message(format!("{error}{help}"))
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
