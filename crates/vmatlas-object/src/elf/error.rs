//! Why an ELF file could not be read.

use std::{borrow::Cow, sync::Arc};

/// Why something in an ELF file could not be read: each names the place in the file.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ElfError {
    /// The bytes are there and cannot be read.
    #[error("cannot read the {place} at file offset {offset:#x}")]
    Io {
        /// What was to be read, as in "section header table".
        place: Cow<'static, str>,
        /// Where, in bytes from the start of the file.
        offset: u64,
        /// Why.
        source: Arc<std::io::Error>,
    },
    /// The file ends before the place that its headers point to.
    #[error(
        "the {place} at file offset {offset:#x} ({size} bytes) ends beyond the file's {file_size} bytes: \
         the file is cut or damaged"
    )]
    Truncated {
        /// What was to be read.
        place: Cow<'static, str>,
        /// Where, in bytes from the start of the file.
        offset: u64,
        /// How many bytes the headers say it has.
        size: u64,
        /// How many bytes the file has.
        file_size: u64,
    },
    /// More than any real program has: not read, so that a hostile file costs neither memory nor
    /// time.
    #[error("the {place} would be {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// What was to be read.
        place: Cow<'static, str>,
        /// How many bytes the headers say it has.
        size: u64,
        /// How many bytes are read at most.
        limit: u64,
    },
    /// The bytes are there and make no sense.
    #[error("the {place} is damaged: {why}")]
    Malformed {
        /// What was read.
        place: Cow<'static, str>,
        /// What is wrong with it.
        why: Cow<'static, str>,
    },
}

impl ElfError {
    pub(super) fn malformed(
        place: impl Into<Cow<'static, str>>,
        why: impl Into<Cow<'static, str>>,
    ) -> Self {
        ElfError::Malformed { place: place.into(), why: why.into() }
    }
}
