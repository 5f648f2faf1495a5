//! The memory maps of Linux processes as values: parsed from any text, rendered to the kernel's
//! bytes, searched, summed up, compared and filtered.
//!
//! ```
//! use vmatlas_maps::Maps;
//! let text = b"55d0c0000000-55d0c0001000 r-xp 00001000 fe:00 42                         /usr/bin/cat\n";
//! let maps = Maps::parse(text)?;
//! let cat = maps.get(0).unwrap();
//! assert_eq!(cat.kind().word(), "file");
//! assert_eq!(maps.render(maps.format(), None), text);
//! # Ok::<(), vmatlas_maps::NoRowsError>(())
//! ```
//!
//! - [`Mapping`] is a row; [`parse_row`] parses one from a line, [`Kind`] classifies it,
//!   [`OwnedMapping`] owns its name; [`escape`] makes its name safe to print.
//! - [`Maps`] holds the rows of a process; [`MapsReader`] builds one from chunks of text.
//! - [`TextFormat`] renders rows as a given kernel does.
//! - [`Filter`], [`Diff`] and [`Totals`] answer questions about maps.
//! - [`ReadAt`] is the source from which other crates read ELF files, core dumps and recordings.
//!
//! Optional features: `regex` for `~` in filters, `serde` for serialisable values.
//!
//! This crate opens no file, makes no system call and has no unsafe code: its caller reads the
//! bytes. `vmatlas` reads live processes and every other source.
#![forbid(unsafe_code)]

mod describe;
mod diff;
#[cfg(feature = "serde")]
mod encoding;
pub mod escape;
mod field;
mod filter;
mod find;
mod identity;
mod kernel;
mod kind;
mod line;
mod mapping;
mod maps;
mod names;
mod parse;
mod range;
mod read_at;
mod render;
#[cfg(feature = "serde")]
mod serialize;
pub mod size;
mod smaps;
mod text;
mod totals;
pub mod uapi;
mod warning;
mod wrapper;

pub use diff::{Change, Diff};
pub use field::{FIELDS, Field, FieldKind, FieldNeeds, FieldRow, FieldValue};
pub use filter::{Filter, FilterError, NextWord};
pub use find::Found;
pub use identity::Identity;
pub use kernel::{KernelVersion, KernelVersionError, WordSize};
pub use kind::{FileName, Kind, restore_line_feeds};
pub use line::PartialLine;
pub use mapping::{Device, Mapping, OwnedMapping, Perms};
pub use maps::{MAX_LINE, Maps, MapsReader, NoRowsError};
pub use parse::{RowError, RowErrorKind, parse_row, rows};
pub use range::{AddressRange, Bounds};
pub use read_at::{ReadAt, ReadError};
pub use render::{TextFormat, name_in};
pub use smaps::{SmapsField, SmapsValue, VmFlags, vm_flag_meaning};
pub use text::{find_row, other_listing};
pub use totals::{Group, Sizes, Total, Totals};
pub use warning::{Warning, WarningKind, Warnings};
pub use wrapper::Wrapper;

// The example of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
