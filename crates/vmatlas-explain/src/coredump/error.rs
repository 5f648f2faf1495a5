//! Why a file cannot be read as a core dump, or not all of it.

use vmatlas_object::ReadError;

/// Why a file cannot be read as a core dump, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}, at byte {offset:#x}: {kind}")]
#[non_exhaustive]
pub struct CoreError {
    /// The part of the file.
    pub place: &'static str,
    /// Where that is, in bytes from the start of the file.
    pub offset: u64,
    /// What is wrong.
    pub kind: CoreErrorKind,
}

/// What is wrong with a file that should be a core dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CoreErrorKind {
    /// It does not begin as an ELF file does.
    #[error("this is no ELF file")]
    NotElf,
    /// The class (`EI_CLASS`) is neither 32-bit nor 64-bit.
    #[error("{0} is no class of ELF file (1 is 32-bit, 2 is 64-bit)")]
    Class(u8),
    /// The byte order (`EI_DATA`) is none.
    #[error("{0} is no byte order (1 is little-endian, 2 is big-endian)")]
    ByteOrder(u8),
    /// The file system does not give its bytes.
    #[error("it cannot be read: {0}")]
    Read(ReadError),
    /// It is a program, a library or an object file (`e_type`).
    #[error(
        "this ELF file is {} and no core dump",
        match .0 { 1 => "an object file", 2 => "a program", 3 => "a program or library", _ => "of another type" }
    )]
    NotCore(u16),
    /// The file ends in its header.
    #[error("the file ends here, in its first header")]
    Truncated,
    /// The entries of the program header table have another size than program headers do.
    #[error("program headers of {0} bytes, which no machine has")]
    EntrySize(u16),
    /// There is no program header, so no memory and no notes.
    #[error("it has no program headers: nothing of a process is in it")]
    NoSegments,
}

/// Memory that a core dump holds and that cannot be read, as from a damaged disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the page at address {address:#x} cannot be read, at byte {offset:#x} of the file: {error}"
)]
#[non_exhaustive]
pub struct PageError {
    /// The address of the first byte that cannot be read.
    pub address: u64,
    /// Where that is in the file, in bytes.
    pub offset: u64,
    /// Why.
    pub error: ReadError,
}
