//! Live Linux processes: their rows, files, memory and symbols, who may read them, and a recorder.
//! This is the only crate of vmatlas that talks to the kernel.
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
//! - [`Process`] is a handle to a process; [`Process::rows`] reads its rows, [`PointQuery`] asks
//!   for one address.
//! - [`files::Files`] makes the names of files certain, [`Images`] opens the files as ELF.
//! - [`gather_facts`] and [`gather_core_facts`] gather the facts from which
//!   [labels](vmatlas_explain::label) are made; [`ProcessMemory`] reads the memory of a process.
//! - `record` follows a program and records the changes of its memory; [`symbols`] resolves the
//!   addresses of a recording to functions and lines.
//! - [`RegularFile`] is an open file as a source of bytes, as for [`vmatlas_explain::coredump`].
//! - [`fn@spool`] puts what comes through a pipe into a file.
//! - [`postmortem`] reads the stack of a process that has ended.
//! - [`access`] decides who may read a process's maps.
//!
//! Features, both on by default: `record` for the recorder, which needs a C compiler for zstd, and
//! `scenarios` for the runner of scenarios.
//!
//! This crate prints nothing. Only the recorder stops a process or writes to it, and only the
//! recorder and [`ProcessMemory`] read its memory.

pub mod access;
mod core_file;
mod deadline;
pub mod elf;
mod error;
mod facts;
pub mod files;
mod images;
mod lookup;
mod memory;
pub mod mounts;
pub mod postmortem;
mod process;
mod query;
#[cfg(all(feature = "record", target_arch = "x86_64", target_pointer_width = "64"))]
pub mod record;
mod recordings;
mod regular_file;
#[cfg(all(feature = "scenarios", target_pointer_width = "64"))]
pub mod scenario;
mod snapshot;
mod spool;
pub mod symbols;
mod sys;

pub use core_file::{CoreFile, file_with_build_id};
pub use deadline::{Results, all_within, within};
pub use error::Error;
pub use facts::{FactSources, gather_core_facts, gather_facts, gather_image_facts};
pub use images::{Image, Images, RowOfFile, SharedElf};
pub use lookup::FilesNow;
pub use memory::ProcessMemory;
pub use process::{Process, ProcessId};
pub use query::{PointQuery, Which};
pub use recordings::{RecordingFile, recording_of};
pub use regular_file::RegularFile;
pub use snapshot::{Empty, Snapshot, Source};
pub use spool::{SpoolCut, SpoolError, Spooled, spool};

/// The size of a page of this machine, in bytes.
pub fn page_size() -> usize {
    rustix::param::page_size()
}

// The example of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
