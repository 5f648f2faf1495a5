//! Recordings: every change of the mappings of processes, with the thread and call stack behind it.

#![forbid(unsafe_code)]
// Encoding and decoding share their modules; only `Writer` encodes.
#![cfg_attr(not(feature = "write"), allow(dead_code))]

mod block;
pub mod call;
pub(crate) mod definitions;
mod event;
mod id;
mod life;
mod meta;
mod origins;
mod processes;
mod read;
mod replay;
mod select;
pub(crate) mod space;
pub mod strace;
#[cfg(feature = "write")]
mod write;

pub use call::{Call, CallKind};
pub use definitions::{
    CallEntry, Definitions, FileEntry, FrameEntry, PlaceEntry, SymbolEntry, TaskEntry,
};
pub use event::{Event, RecordedRow, What};
pub use id::{StackId, TaskId};
pub use life::{LifeKind, LifeStep};
pub use meta::Meta;
pub use origins::{Maker, Origin, Origins};
pub use processes::{Course, Process};
pub use read::{Moment, Recording, RecordingError, looks_like_recording};
pub use replay::Replay;
pub use select::{MomentError, SelectError, Selected, Selection, parse_seconds};
pub use space::{Applied, RecordedSpace};
#[cfg(feature = "write")]
pub use write::{SNAPSHOT_EVENTS, Writer};

// The example of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
