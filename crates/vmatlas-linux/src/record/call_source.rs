//! What a backend is to the recorder.

use super::recorder::Recorder;
use super::{Audit, Notice, RecordError};
use std::process::ExitStatus;

/// What sees the calls of a program.
pub(crate) trait CallSource {
    /// Its name in recordings.
    const NAME: &'static str;

    /// The program and its arguments, or what else is recorded.
    fn subject(&self) -> Vec<Vec<u8>>;

    /// Tells the recorder what happens, until there is nothing more to record or the recorder wants
    /// no more.
    ///
    /// # Errors
    /// Nothing was recorded.
    fn run(self, recorder: &mut Recorder) -> Result<Ended, RecordError>;
}

/// How a recording ended.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// How the program ended, if it was launched.
    pub(crate) status: Option<ExitStatus>,
    /// What the user should know.
    pub(crate) notices: Vec<Notice>,
    /// What the audit found, if one was asked for.
    pub(crate) audit: Option<Audit>,
}
