//! Errors about ELF files.

use std::{borrow::Cow, sync::Arc};

/// An error in an ELF file; each variant names the place in the file.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ElfError {
    /// Reading the bytes failed.
    #[error("cannot read the {place} at file offset {offset:#x}")]
    Io {
        /// The structure that was read, such as "section header table".
        place: Cow<'static, str>,
        /// Its offset in bytes from the start of the file.
        offset: u64,
        /// The error of the source.
        source: Arc<std::io::Error>,
    },
    /// A structure extends beyond the end of the file.
    #[error(
        "the {place} at file offset {offset:#x} ({size} bytes) ends beyond the file's {file_size} bytes: \
         the file is cut or damaged"
    )]
    Truncated {
        /// The structure that was read.
        place: Cow<'static, str>,
        /// Its offset in bytes from the start of the file.
        offset: u64,
        /// Its size in bytes according to the headers.
        size: u64,
        /// The size of the file in bytes.
        file_size: u64,
    },
    /// A structure is larger than in any real program. It is not read, so that a hostile file costs
    /// neither memory nor time.
    #[error("the {place} would be {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The structure that was read.
        place: Cow<'static, str>,
        /// Its size in bytes according to the headers.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A structure takes more memory than its [`Budget`](crate::Budget) has left. It is not read.
    #[error("the {place} would take {size} bytes of memory, and {left} are left")]
    OverBudget {
        /// The structure that was to be read.
        place: Cow<'static, str>,
        /// The memory that it would take, in bytes.
        size: u64,
        /// The memory that is left, in bytes.
        left: u64,
    },
    /// The time limit of the [`Budget`](crate::Budget) has passed. The structure is not read.
    #[error("the {place} was not read: the time for reading files is over")]
    OutOfTime {
        /// The structure that was to be read.
        place: Cow<'static, str>,
    },
    /// The bytes were read and are invalid.
    #[error("the {place} is damaged: {why}")]
    Malformed {
        /// The structure that was read.
        place: Cow<'static, str>,
        /// The reason.
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
