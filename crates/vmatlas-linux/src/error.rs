//! What can go wrong with a live process.

use std::io;
use std::path::PathBuf;

/// A process that cannot be read, and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such process, or `hidepid` hides it (proc(5)).
    #[error("there is no process {process}")]
    NoSuchProcess {
        /// The process as it was asked for: `1234` or `1234/1240`.
        process: String,
    },
    /// The kernel refused (`EACCES`, `EPERM`); [`access`](crate::access) tells which rule did.
    #[error("process {process}: not permitted to read {file}")]
    Denied {
        /// The process as it was asked for.
        process: String,
        /// The file below its directory.
        file: String,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The process ended or executed another program, before what was asked for was known.
    #[error("process {process} has ended or executed another program meanwhile")]
    Vanished {
        /// The process as it was asked for.
        process: String,
    },
    /// Any other failure to read a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
}
