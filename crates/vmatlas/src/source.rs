//! Sources of an address space: a closed set, each with its capabilities.

pub(crate) mod compression;
pub(crate) mod core;
pub(crate) mod document;
pub(crate) mod file_now;
pub(crate) mod how;
pub(crate) mod kind;
pub(crate) mod live;
#[cfg(feature = "recordings")]
pub(crate) mod log;
pub(crate) mod log_parts;
pub(crate) mod open;
#[cfg(feature = "recordings")]
pub(crate) mod recording;
pub(crate) mod refuse;
#[cfg(feature = "recordings")]
pub(crate) mod saved;
pub(crate) mod several;
pub(crate) mod slot;
#[cfg(any(test, not(feature = "record")))]
mod zstd_frames;

use self::core::Core;
use self::document::facts::Document;
use self::kind::SourceKind;
use self::live::Live;
use crate::note::LeftOut;
use crate::recorded::Recorded;
#[cfg(not(feature = "recordings"))]
pub(crate) use crate::recorded::{log, recording};
use vmatlas_maps::Maps;
use vmatlas_object::Budget;

/// The source behind an [`Atlas`](crate::Atlas).
pub(crate) enum Source {
    Live(Box<Live>),
    Text,
    Core(Box<Core>),
    /// A recording or a log of strace.
    Recorded(Box<Recorded>),
    /// A document or a snapshot that vmatlas wrote.
    Document(Box<Document>),
}

impl Source {
    /// The kind of the source.
    pub(crate) fn kind(&self) -> SourceKind {
        match self {
            Source::Live(live) if live.process.is_live() => SourceKind::Live,
            Source::Live(_) => SourceKind::Copy,
            Source::Text => SourceKind::Text,
            Source::Core(_) => SourceKind::Core,
            Source::Recorded(recorded) => recorded.kind(),
            Source::Document(_) => SourceKind::Document,
        }
    }

    /// The process ID, if known.
    pub(crate) fn pid(&self) -> Option<u32> {
        match self {
            Source::Live(live) => Some(live.process.id().pid),
            Source::Core(core) => core.dump.pid(),
            Source::Recorded(recorded) => recorded.pid(),
            Source::Document(document) => document.pid,
            Source::Text => None,
        }
    }

    /// Sets what reading the files of a core dump or a recording may cost. That of a live process
    /// is set when it is opened, and kept when it is read again.
    pub(crate) fn set_budget(&mut self, budget: Budget) {
        match self {
            Source::Live(_) | Source::Text | Source::Document(_) => {}
            Source::Core(core) => core.budget = budget,
            Source::Recorded(recorded) => recorded.set_budget(budget),
        }
    }

    /// The budget of all files; `None` if there are none.
    pub(crate) fn budget(&self) -> Option<Budget> {
        match self {
            Source::Live(live) => Some(live.budget()),
            Source::Text | Source::Document(_) => None,
            Source::Core(core) => Some(core.budget.clone()),
            Source::Recorded(recorded) => Some(recorded.budget()),
        }
    }

    /// The files of which facts are missing, because they would cost too much.
    pub(crate) fn left_out(&self, maps: &Maps) -> LeftOut {
        match self {
            Source::Live(live) => live.left_out(maps),
            Source::Text | Source::Document(_) => LeftOut::default(),
            Source::Core(core) => LeftOut::of_rows(maps, &core.left_out()),
            Source::Recorded(recorded) => LeftOut::of_rows(maps, &recorded.left_out()),
        }
    }
}
