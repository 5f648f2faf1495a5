//! Errors about live processes.

use std::io;
use std::path::PathBuf;

/// The reason why a process cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The process does not exist, or `hidepid` hides it (proc(5)).
    #[error("there is no process {process}")]
    NoSuchProcess {
        /// The requested process: `1234` or `1234/1240`.
        process: String,
    },
    /// The kernel refused (`EACCES`, `EPERM`); [`access`](crate::access) determines the rule that
    /// did.
    #[error("process {process}: not permitted to read {file}")]
    Denied {
        /// The requested process.
        process: String,
        /// The file in its /proc directory.
        file: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// The process ended or executed another program during the request.
    #[error("process {process} has ended or executed another program meanwhile")]
    Vanished {
        /// The requested process.
        process: String,
    },
    /// Any other error when reading a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
}
