//! Errors of gathering facts.
use std::io;
use std::path::{Path, PathBuf};

/// Facts could not be gathered. A missing or hidden process is a fact, not an error.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {source}; {}", path.display(), kind.help())]
pub struct Error {
    kind: ErrorKind,
    path: PathBuf,
    source: io::Error,
}

/// The source that could not be read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The root of the proc file system does not exist.
    ProcRoot,
    /// The reader's own credentials.
    Reader,
    /// The user database.
    Users,
}

impl ErrorKind {
    fn help(self) -> &'static str {
        match self {
            ErrorKind::ProcRoot => "name a directory where a proc file system is mounted",
            ErrorKind::Reader => "the reader must be a live process that this /proc shows",
            ErrorKind::Users => "the groups of a user are read from /etc/passwd and /etc/group",
        }
    }
}

impl Error {
    pub(super) fn new(kind: ErrorKind, path: &Path, source: io::Error) -> Error {
        Error { kind, path: path.to_owned(), source }
    }

    /// The source that could not be read.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The file that could not be read.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
