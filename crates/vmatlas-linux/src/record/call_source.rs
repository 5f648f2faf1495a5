//! The interface between a backend and the recorder.

use super::recorder::Recorder;
use super::{Audit, Notice, RecordError};
use std::process::ExitStatus;

/// A backend that observes a program's calls.
pub(crate) trait CallSource {
    /// Its name in recordings.
    const NAME: &'static str;

    /// The program and its arguments, or another description of the target.
    fn subject(&self) -> Vec<Vec<u8>>;

    /// Reports events to the recorder, until there are no more or the recorder ends.
    ///
    /// # Errors
    /// If nothing was recorded.
    fn run(self, recorder: &mut Recorder) -> Result<Ended, RecordError>;
}

/// The end of a recording.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// The exit status of a launched program.
    pub(crate) status: Option<ExitStatus>,
    /// The notices for the user.
    pub(crate) notices: Vec<Notice>,
    /// The result of the audit, if requested.
    pub(crate) audit: Option<Audit>,
}
