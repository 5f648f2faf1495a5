//! Snapshots of a machine: a directory with a file for each (docs/snapshots.md).

mod directory;
mod moment;
mod word;

#[cfg(feature = "record")]
pub(crate) use directory::SUFFIX;
pub use directory::{SavedMachine, SavedSnapshot};
pub use moment::When;
pub use word::SavedWord;
