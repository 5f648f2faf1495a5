//! Errors of reading a core dump.

use vmatlas_object::ReadError;

/// An error that prevents reading a core dump, with its place in the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}, at byte {offset:#x}: {kind}")]
#[non_exhaustive]
pub struct CoreError {
    /// The part of the file, such as "ELF header".
    pub place: &'static str,
    /// The offset of that part in bytes from the start of the file.
    pub offset: u64,
    /// The kind of error.
    pub kind: CoreErrorKind,
}

/// The kinds of errors that prevent reading a core dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CoreErrorKind {
    /// The file does not begin with the ELF magic number.
    #[error("this is no ELF file")]
    NotElf,
    /// The class (`EI_CLASS`) is neither 32-bit nor 64-bit.
    #[error("{0} is no class of ELF file (1 is 32-bit, 2 is 64-bit)")]
    Class(u8),
    /// The byte order (`EI_DATA`) is neither little-endian nor big-endian.
    #[error("{0} is no byte order (1 is little-endian, 2 is big-endian)")]
    ByteOrder(u8),
    /// Reading the file failed.
    #[error("it cannot be read: {0}")]
    Read(ReadError),
    /// The file is a program, a library or an object file (`e_type`).
    #[error(
        "this ELF file is {} and no core dump",
        match .0 { 1 => "an object file", 2 => "a program", 3 => "a program or library", _ => "of another type" }
    )]
    NotCore(u16),
    /// The file ends inside its ELF header.
    #[error("the file ends here, in its first header")]
    Truncated,
    /// The entries of the program header table do not have the size of a program header.
    #[error("program headers of {0} bytes, which ELF files of this class do not have")]
    EntrySize(u16),
    /// The file has no program header, so it contains neither memory nor notes.
    #[error("it has no program headers, so it contains no memory and no threads")]
    NoSegments,
}

/// A page of memory that a core dump contains and that cannot be read, for example from a damaged
/// disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the page at address {address:#x} cannot be read, at byte {offset:#x} of the file: {error}"
)]
#[non_exhaustive]
pub struct PageError {
    /// The address of the first byte that cannot be read.
    pub address: u64,
    /// The offset of that byte in the file.
    pub offset: u64,
    /// The error of the read.
    pub error: ReadError,
}
