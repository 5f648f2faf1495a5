//! The recorder: follows a program and writes down what changes its memory.

mod code;
mod output;
mod recorder;
pub(crate) mod sink;
mod space;
mod truth;
mod unwind;

pub use output::RecordingFile;
pub use recorder::Limits;
pub use truth::Truth;
