//! Recordings of address spaces and logs of strace(1): the calls that mapped, changed and unmapped
//! each byte of a process. Events are replayed to any moment, and each byte keeps its origin: the
//! call that made it, with thread and call stack.
//!
//! ```
//! # #[cfg(feature = "write")] {
//! use vmatlas_recording::{Call, CallKind, Meta, Moment, Recording, StackId, TaskEntry, Tid, What, Writer};
//!
//! let mut writer = Writer::new(&Meta {
//!     kernel: "6.18".to_owned(),
//!     machine: "x86_64".to_owned(),
//!     page_size: 4096,
//!     vsyscall: Default::default(),
//!     pkeys: false,
//!     backend: "ptrace".to_owned(),
//!     began_ns: 0,
//!     command: vec![b"true".to_vec()],
//! });
//! let task = writer.task(TaskEntry { tid: Tid::new(7), pid: 7, comm: b"true".to_vec() });
//! writer.event(0, task, StackId::NONE, What::Attached { rows: vec![] });
//! let args = [0, 4096, 3, 0x22, u64::MAX, 0];
//! let call = Call { kind: CallKind::Mmap, args, result: 0x7000_0000 };
//! writer.event(10, task, StackId::NONE, What::Call { call, file: 0, in_order: true });
//! writer.finish();
//!
//! let bytes = writer.take();
//! let recording = Recording::open(bytes.as_slice())?;
//! let (replay, error) = recording.at(Moment::End, |_, _| {});
//! assert_eq!(error, None);
//! let origin = replay.space(task).unwrap().origins.get(0x7000_0000).unwrap();
//! assert_eq!((origin.event.get(), origin.maker.name()), (2, "mmap"));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`Recording`] reads the bytes of a recording, [`Writer`] makes them; [`Definitions`] holds the
//!   files, threads and stacks that its events name by number.
//! - [`Event`] is one change of an address space; [`Replay`] applies events to the address space
//!   of each process, a [`RecordedSpace`].
//! - [`Origin`] is the event that mapped some bytes; [`Recording::life`] lists the events that
//!   changed one address.
//! - [`Selection`] parses `FILE:PID@TIME` into a process and a moment.
//! - [`machine`] reads and writes snapshots of all processes of a machine.
//! - [`strace`] replays a log of strace(1) in the same way; [`call`] is the table of system calls.
//!
//! This crate opens no file, calls no kernel, has no unsafe code and panics on no input: a
//! [`ReadAt`](vmatlas_maps::ReadAt) gives it the bytes. Without the feature `write` it needs no C
//! compiler. Without the feature `replay` it only recognises recordings and logs of strace and parses
//! their lines, and needs no model of the kernel. It does not record; `vmatlas-linux` does.

#![forbid(unsafe_code)]
// Encoding and decoding share their modules; only `Writer` encodes.
#![cfg_attr(not(feature = "write"), allow(dead_code))]

mod id;
mod magic;
mod moment;
mod selection;
pub mod strace;

#[cfg(feature = "replay")]
mod block;
#[cfg(feature = "replay")]
pub mod call;
#[cfg(feature = "replay")]
pub(crate) mod definitions;
#[cfg(feature = "replay")]
mod event;
#[cfg(feature = "replay")]
mod life;
#[cfg(feature = "replay")]
pub mod machine;
#[cfg(feature = "replay")]
mod meta;
#[cfg(feature = "replay")]
mod origins;
#[cfg(feature = "replay")]
mod processes;
#[cfg(feature = "replay")]
mod read;
#[cfg(feature = "replay")]
mod replay;
#[cfg(feature = "replay")]
mod select;
#[cfg(feature = "replay")]
pub(crate) mod space;
#[cfg(feature = "write")]
mod write;

pub use id::{EventNumber, StackId, TaskId, Tid};
pub use magic::looks_like_recording;
pub use moment::{Moment, MomentError, parse_seconds};
pub use selection::{Selection, SelectionError};

#[cfg(feature = "replay")]
pub use call::{Call, CallKind};
#[cfg(feature = "replay")]
pub use definitions::{
    CallEntry, Definitions, FileEntry, FrameEntry, PlaceEntry, SymbolEntry, TaskEntry,
};
#[cfg(feature = "replay")]
pub use event::{Event, RecordedRow, What};
#[cfg(feature = "replay")]
pub use life::{LifeKind, LifeStep};
#[cfg(feature = "replay")]
pub use meta::Meta;
#[cfg(feature = "replay")]
pub use origins::{Maker, Origin, Origins};
#[cfg(feature = "replay")]
pub use processes::{Course, Process};
#[cfg(feature = "replay")]
pub use read::{Recording, RecordingError};
#[cfg(feature = "replay")]
pub use replay::Replay;
#[cfg(feature = "replay")]
pub use select::{SelectError, Selected};
#[cfg(feature = "replay")]
pub use space::{Applied, RecordedSpace};
#[cfg(feature = "write")]
pub use write::{SNAPSHOT_EVENTS, Writer};

// The example of the README is a test.
#[cfg(all(doctest, feature = "replay"))]
#[doc = include_str!("../README.md")]
struct Readme;
