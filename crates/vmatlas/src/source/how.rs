//! How a target is read.

use std::path::PathBuf;
use vmatlas_linux::Limits;
use vmatlas_recording::{Moment, Selection};

/// Options for reading a target.
#[derive(Clone, Debug)]
pub(crate) struct How {
    pub(crate) proc: PathBuf,
    pub(crate) pid: Option<u32>,
    pub(crate) moment: Option<Moment>,
    pub(crate) sizes: bool,
    /// Whether the sections of the files of all rows will be asked for.
    pub(crate) sections: bool,
    pub(crate) freeze: bool,
    pub(crate) limits: Limits,
}

impl How {
    /// The process and moment of a file.
    pub(crate) fn end(&self, path: &str) -> Selection {
        Selection { path: path.to_owned(), pid: self.pid, moment: self.moment }
    }
}
