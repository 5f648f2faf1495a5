//! Reads and records live Linux processes for vmatlas. This is the only crate that talks to the
//! kernel. It prints nothing.
//!
//! ```
//! use std::path::Path;
//! use vmatlas_linux::{Process, Source};
//!
//! let process = Process::this(Path::new("/proc"))?;
//! let snapshot = process.rows(Source::Maps)?;
//! assert!(snapshot.maps.iter().any(|row| row.name == b"[stack]"));
//! # Ok::<(), vmatlas_linux::Error>(())
//! ```
//!
//! - [`Process`] is a handle to a process. [`Process::rows`] reads its rows, [`PointQuery`] queries
//!   one address.
//! - [`files::Files`] verifies the names of mapped files, [`Images`] opens their ELF contents.
//! - [`gather_facts`] and [`gather_core_facts`] gather the facts for
//!   [labels](vmatlas_explain::label); [`ProcessMemory`] reads a process's memory for them.
//! - [`record`] follows a program and records the calls that change its memory; [`symbols`]
//!   resolves recorded addresses to functions and lines.
//! - [`RegularFile`] is an open file as a source of bytes, for example for
//!   [`vmatlas_explain::coredump`].
//! - [`fn@spool`] copies a pipe into a file, [`write_file`] creates one.
//! - [`postmortem`] reads the stack of a process that has ended.
//! - [`processes`] reads many processes, and what groups them; the memory of the machine.
//! - [`frames`] reads which page frames processes map, and who pays for them.
//! - [`access`] determines whether a user may read a process's maps.
//!
//! Only [`record`] stops or writes to the target. Only [`record`] and [`ProcessMemory`] read its
//! memory.

mod absent;
pub mod access;
pub mod audit;
mod by_name;
#[cfg(all(test, feature = "record", target_arch = "x86_64", target_pointer_width = "64"))]
#[path = "../../../testdata/copy_program.rs"]
mod copy_program;
mod core_file;
mod deadline;
pub mod elf;
mod error;
mod facts;
mod file_server;
mod file_systems;
pub mod files;
pub mod frames;
mod freeze;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod images;
#[cfg(feature = "record")]
mod interrupt;
mod limits;
#[cfg(feature = "recordings")]
mod lookup;
mod memory;
pub mod mounts;
mod new_file;
mod own_files;
pub mod postmortem;
mod process;
pub mod processes;
mod query;
#[cfg(all(feature = "record", target_arch = "x86_64", target_pointer_width = "64"))]
pub mod record;
#[cfg(feature = "recordings")]
mod recordings;
mod regular_file;
#[cfg(all(feature = "scenarios", target_pointer_width = "64"))]
pub mod scenario;
mod snapshot;
mod spool;
mod supplied;
pub mod symbols;
mod sys;

pub use by_name::{Candidate, NamedProcess};
pub use core_file::{CoreFile, file_with_build_id};
pub use deadline::{Results, all_within, within};
pub use error::Error;
pub use facts::guards::{has_guards, is_guarded};
pub use facts::{FactSources, gather_core_facts, gather_facts, gather_image_facts};
pub use freeze::{CannotStop, Freeze, Frozen, RunningThread};
pub use images::{Image, Images, RowOfFile, SharedElf};
#[cfg(feature = "record")]
pub use interrupt::Interrupt;
pub use limits::{Limits, cpu_time};
#[cfg(feature = "recordings")]
pub use lookup::FilesNow;
pub use memory::ProcessMemory;
pub use new_file::{CreateError, Replace, write_file};
pub use process::{Process, ProcessId};
pub use query::{PointQuery, Which};
#[cfg(feature = "recordings")]
pub use recordings::{RecordingFile, UnfinishedRecording, recording_of};
pub use regular_file::RegularFile;
pub use snapshot::{Empty, Snapshot, Source, Space};
pub use spool::{SpoolCut, SpoolError, Spooled, spool};

/// The page size of this machine, in bytes.
pub fn page_size() -> usize {
    rustix::param::page_size()
}

// Runs the example of the README as a doctest.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
