//! Sources of an address space: a closed set, each with its capabilities.

pub(crate) mod compression;
pub(crate) mod core;
pub(crate) mod file_now;
pub(crate) mod kind;
pub(crate) mod live;
#[cfg(feature = "recordings")]
pub(crate) mod log;
pub(crate) mod log_parts;
pub(crate) mod open;
#[cfg(feature = "recordings")]
pub(crate) mod recording;
pub(crate) mod slot;
#[cfg(any(test, not(feature = "record")))]
mod zstd_frames;

use self::core::Core;
use self::live::Live;
use crate::recorded::Recorded;
#[cfg(not(feature = "recordings"))]
pub(crate) use crate::recorded::{log, recording};

/// The source behind an [`Atlas`](crate::Atlas).
pub(crate) enum Source {
    Live(Box<Live>),
    Text,
    Core(Box<Core>),
    /// A recording or a log of strace.
    Recorded(Box<Recorded>),
}
