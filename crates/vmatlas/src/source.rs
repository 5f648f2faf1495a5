//! Where an address space comes from: a closed set, each with what it can be asked for.

pub(crate) mod compression;
pub(crate) mod core;
pub(crate) mod live;
pub(crate) mod log;
pub(crate) mod open;
pub(crate) mod recording;
pub(crate) mod slot;

use self::core::Core;
use self::live::Live;
use crate::recorded::Recorded;

/// What holds the address space of an [`Atlas`](crate::Atlas).
pub(crate) enum Source {
    Live(Box<Live>),
    Text,
    Core(Box<Core>),
    /// A recording or a log of strace.
    Recorded(Box<Recorded>),
}

/// What kind of source it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SourceKind {
    /// A process that runs.
    Live,
    /// A process in a copy of /proc.
    Copy,
    /// A text with rows in it.
    Text,
    /// A core dump.
    Core,
    /// A log of strace(1).
    Log,
    /// A recording.
    Recording,
}

impl SourceKind {
    /// The word for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            SourceKind::Live => "live",
            SourceKind::Copy | SourceKind::Text => "text",
            SourceKind::Core => "core",
            SourceKind::Log => "strace",
            SourceKind::Recording => "recording",
        }
    }

    /// Whether there are several moments of it.
    pub fn has_moments(self) -> bool {
        matches!(self, SourceKind::Log | SourceKind::Recording)
    }

    /// Whether it tells who made memory.
    pub fn has_origins(self) -> bool {
        matches!(self, SourceKind::Log | SourceKind::Recording)
    }

    /// Whether bytes of the memory can be read.
    pub fn has_memory(self) -> bool {
        matches!(self, SourceKind::Live | SourceKind::Core)
    }
}
