//! The annotated map of a Linux process's memory, from any source.
//!
//! [`open`] reads a live process, a file with rows in it, a core dump, a strace log, a recording, or
//! what `vmatlas show --json` printed or `vmatlas save` kept, and returns an [`Atlas`]: the rows and
//! the facts about each. Costly facts are computed when first requested.
//!
//! ```
//! let atlas = vmatlas::open("self")?;
//! let stack = atlas.rows().find(|row| row.name == b"[stack]").ok_or("no stack")?;
//! assert!(stack.perms.write());
//! assert!(atlas.at(stack.range.start).is_mapped());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | to | use |
//! |---|---|
//! | open one target | [`open`], [`Open`] with [`Needs`] |
//! | read rows | [`Atlas::rows`], [`Row`], [`FIELDS`], [`Filter`] |
//! | look up addresses | [`Atlas::at`], [`Atlas::at_all`], [`Place`]; by symbol [`Location`], [`Atlas::locate`] |
//! | sum up | [`Atlas::totals`], [`MapTotals`]; over processes [`Census`], [`Survey`], [`machine()`] |
//! | compare | [`diff()`], [`Watch`] |
//! | find the origins of memory | [`Row::made`], [`Atlas::blame`], [`Atlas::lives`] |
//! | explain a crash | [`CrashInput`], [`Atlas::crash`], [`Atlas::explain_access`] |
//! | find what is wrong | [`audit`], [`Census::audit`], [`Atlas::audit`] |
//! | check who may read a process | [`access`] |
//! | follow the kernel's rules | [`space`], [`scenario`] |
//! | record a program | [`record`] |
//! | format values for people | [`words`] |
//!
//! The library prints nothing. Strings from a process may hold any bytes: [`words::printable`]
//! escapes them for terminals.
#![forbid(unsafe_code)]

mod atlas;
pub mod audit;
#[cfg(feature = "recordings")]
mod blame;
mod crash;
mod diff;
mod error;
#[cfg(feature = "recordings")]
mod extent;
mod fold;
#[cfg(feature = "recordings")]
mod folded_frames;
mod growth;
#[cfg(all(feature = "record", target_arch = "x86_64", target_pointer_width = "64"))]
mod guard;
mod identity;
mod image_rows;
mod images;
#[cfg(feature = "recordings")]
mod life;
#[cfg(feature = "recordings")]
mod listed;
mod locate;
mod machine;
mod may_read;
mod needs;
mod note;
#[cfg(feature = "recordings")]
mod overview;
mod place;
#[cfg_attr(not(feature = "recordings"), path = "no_recordings.rs")]
mod recorded;
mod request;
mod row;
mod row_fields;
mod sections;
mod shared;
mod source;
#[cfg(feature = "recordings")]
mod stacks;
mod survey;
mod totals;
#[cfg(all(feature = "scenarios", target_pointer_width = "64"))]
mod verify;
mod watch;
pub mod words;

pub use atlas::{Atlas, Open};
#[cfg(feature = "recordings")]
pub use blame::{Blame, BlameBy, BlameOptions, BlameTotal, Count, Piece, Rank};
pub use crash::{Case, CrashInput};
pub use diff::{Causes, Diff, Growth, diff};
pub use error::{Error, ErrorKind, Result};
#[cfg(feature = "recordings")]
pub use extent::Extent;
pub use fold::{Fold, Folded, FoldedGroup, Folds};
#[cfg(feature = "recordings")]
pub use folded_frames::{FoldedFrame, folded_frames};
pub use growth::{SizeChange, SumGrowth};
#[cfg(all(feature = "record", target_arch = "x86_64", target_pointer_width = "64"))]
pub use guard::{Guard, recorder_was_killed};
pub use image_rows::ImageRows;
pub use images::Image;
#[cfg(feature = "recordings")]
pub use life::{Life, Lives, syscall};
#[cfg(feature = "recordings")]
pub use listed::ListedProcess;
pub use locate::{FoundSymbol, Location, LocationError, SymbolName};
pub use machine::{Machine, ProcessEntry, Sum, candidate, machine, named_processes, processes};
pub use may_read::may_read;
pub use needs::Needs;
pub use note::{Note, Processes};
#[cfg(feature = "recordings")]
pub use overview::Overview;
pub use place::{FileSystem, ObjectPlace, Place, SymbolPlace};
#[cfg(feature = "recordings")]
pub use recorded::RowOrigins;
pub use recorded::{Ending, Made, Recorded};
pub use request::Request;
pub use row::{FilePath, Row};
pub use sections::Section;
pub use shared::{PagePayer, Shared, SharedRow, Sharer, SharingRows, shared};
pub use source::document::facts::SCHEMA_VERSION;
pub use source::kind::SourceKind;
pub use source::open::{CrashText, Target};
#[cfg(feature = "recordings")]
pub use source::saved::{SavedMachine, SavedSnapshot, SavedWord, When};
pub use source::several::{names_several, pids_named, set_words, sets};
pub use source::slot::Slot;
#[cfg(feature = "recordings")]
pub use stacks::requester_frames;
#[cfg(feature = "record")]
pub use survey::Saved;
pub use survey::{
    Census, Closing, Counts, Depth, GroupBy, GroupClosing, GroupGrowth, Partial, Refused, Survey,
    SurveyGroup, SurveyOptions,
};
pub use totals::{By, GroupTotals, MapTotals};
#[cfg(all(feature = "scenarios", target_pointer_width = "64"))]
pub use verify::{Outcome, Status, Verifier, VerifyReport};
pub use watch::{
    FEWEST, Finding, Look, LookTotal, Measure, RowChange, Trend, Verdict, Watch, WatchOptions,
    trend,
};

pub use vmatlas_explain::{beyond, coredump, crash as crashes, explain, frames, label, tagged};
#[cfg(feature = "record")]
pub use vmatlas_linux::Interrupt;
pub use vmatlas_linux::frames::FrameKind;
pub use vmatlas_linux::processes::{CgroupMemory, MachineMemory, Reach};
#[cfg(all(feature = "record", target_arch = "x86_64", target_pointer_width = "64"))]
pub use vmatlas_linux::record;
#[cfg(all(feature = "scenarios", target_pointer_width = "64"))]
pub use vmatlas_linux::scenario::serve_if_asked;
pub use vmatlas_linux::symbols::SymbolFrame;
pub use vmatlas_linux::{
    Candidate, CannotStop, CreateError, Empty, Frozen, Limits, NamedProcess, ProcessId, Replace,
    RunningThread, access, files, page_size, write_file,
};
pub use vmatlas_maps::{
    AddressRange, Change, Device, FIELDS, Field, FieldKind, FieldNeeds, FieldRow, FieldValue,
    Filter, FilterError, Identity, KernelVersion, Kind, Mapping, Maps, NextWord, Perms, Sizes,
    SmapsField, SmapsValue, TextFormat, Total, VmFlags, Warning, WordSize, parse_row,
};
pub use vmatlas_object::Memory;
#[cfg(feature = "recordings")]
pub use vmatlas_recording as recording;
#[cfg(feature = "recordings")]
pub use vmatlas_space::{self as space, Errno, scenario};

/// Opens a target: a PID, a word as on the command line (`1234/1240`, `nginx`, `core.77`,
/// `run.vmrec@1.5`, `-`), or a path.
///
/// # Errors
/// [`Error`] with its [kind](Error::kind): the process is gone or may not be read, the file does
/// not exist or has no row, the recording has no such moment.
pub fn open(target: impl Into<Target>) -> Result<Atlas> {
    Open::new(target).open()
}

/// What is private and fuzzed.
#[cfg(fuzzing)]
pub mod fuzzing {
    use crate::{Atlas, Open, Result};
    use vmatlas_linux::Limits;

    /// Reads a document.
    pub fn document(bytes: &[u8]) -> Result<Atlas> {
        let read = crate::source::open::document("input", bytes, Limits::default().memory, None)?;
        Ok(Open::new("input").with(read))
    }
}

// The examples of the READMEs are tests. The second file is no part of the package.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct RepositoryReadme;
