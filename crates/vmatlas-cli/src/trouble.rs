//! Errors that end a command with status 2, one line for people.

use crate::output::json::error::write_error;
use crate::output::{candidates, notes};
use std::fmt;
use std::io;
use vmatlas::ErrorKind;

/// The reason why a command failed.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// A line for standard error, the kind of the error in a word, and what would help.
    Message { message: String, kind: &'static str, help: Vec<String> },
    /// A line for standard error, after the answer was printed.
    AfterAnswer(String),
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
        let (message, kind) = (message.into(), ErrorKind::Usage.word());
        Trouble::Message { message, kind, help: Vec::new() }
    }

    /// The document of the error; `None` if standard output already has an answer, or is closed.
    pub(crate) fn document(&self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        let (message, kind, help) = match self {
            Trouble::Message { message, kind, help } => (message, *kind, help.as_slice()),
            Trouble::List { message, lines } => {
                (message, ErrorKind::Ambiguous.word(), lines.as_slice())
            }
            Trouble::NotRun { message, .. } => (message, "not-run", [].as_slice()),
            Trouble::AfterAnswer(_) | Trouble::ClosedPipe => return None,
        };
        write_error(&mut text, kind, message, help).ok()?;
        Some(text)
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
            Trouble::Message { message, .. }
            | Trouble::List { message, .. }
            | Trouble::NotRun { message, .. }
            | Trouble::AfterAnswer(message) => f.write_str(message),
            Trouble::ClosedPipe => Ok(()),
        }
    }
}

impl From<vmatlas::Error> for Trouble {
    fn from(error: vmatlas::Error) -> Self {
        let (kind, help) = (error.kind().word(), error.help().to_vec());
        let message = notes::error(&error);
        match error.candidates() {
            [] => Trouble::Message { message, kind, help },
            candidates => Trouble::List { message, lines: candidates::lines(candidates) },
        }
    }
}

impl From<vmatlas::CreateError> for Trouble {
    fn from(error: vmatlas::CreateError) -> Self {
        let kind = ErrorKind::Io.word();
        let help = "name another one, or replace it with --force";
        match error.can_be_forced() {
            true => {
                let message = format!("{error}; {help}");
                Trouble::Message { message, kind, help: vec![help.to_owned()] }
            }
            false => Trouble::Message { message: error.to_string(), kind, help: Vec::new() },
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Trouble::ClosedPipe,
            // A document of the error could not be written either.
            _ => Trouble::AfterAnswer(format!("cannot write: {error}")),
        }
    }
}
