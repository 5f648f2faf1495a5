//! Opens ELF files of this machine for [`vmatlas_object::elf`].
//!
//! ```
//! let file = std::fs::File::open("/proc/self/exe")?;
//! let elf = vmatlas_linux::elf::read(file)?.expect("a program is an ELF file");
//! let text = elf.section_at(elf.entry()).expect("a test program has section headers");
//! assert_eq!(text.name, ".text");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Files are read by offset, never mapped into memory.

#[cfg(feature = "recordings")]
mod exec_image;

use crate::own_files::open_regular;
use crate::regular_file::RegularFile;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use vmatlas_object::unwind::CodeFile;
use vmatlas_object::{Budget, Source};

#[cfg(feature = "recordings")]
pub use self::exec_image::exec_image;
pub use vmatlas_object::elf::{
    CodeFrame, ElfError, ElfFile, ElfType, FileMapping, FileOffset, Machine, Section, SectionType,
    Segment, SegmentFlags, SegmentType, SourceLocation, Symbol, SymbolSource, Vaddr, build_id_path,
    demangle,
};

/// Reads the headers of an ELF file; `None` if `file` is not ELF. Debug files are opened in our own
/// mount namespace, and only if they are regular.
///
/// Reads by offset: the position of `file` does not change.
///
/// # Errors
///
/// The same as [`ElfFile::read`].
pub fn read(file: File) -> Result<Option<ElfFile>, ElfError> {
    match RegularFile::new(file) {
        Ok(file) => read_regular(file),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
        Err(source) => {
            let place = "file's size".into();
            Err(ElfError::Io { place, offset: 0, source: Arc::new(source) })
        }
    }
}

/// Reads the headers of an ELF file, as [`read`] does.
///
/// # Errors
///
/// The same as [`ElfFile::read`].
pub fn read_regular(file: RegularFile) -> Result<Option<ElfFile>, ElfError> {
    read_within(file, Budget::default())
}

/// Reads the headers of an ELF file, which shares a budget with others.
///
/// # Errors
///
/// The same as [`ElfFile::read_within`].
pub fn read_within(file: RegularFile, budget: Budget) -> Result<Option<ElfFile>, ElfError> {
    Ok(ElfFile::read_within(file, budget)?.map(of_this_machine))
}

/// Reads an image in memory, such as the kernel's `[vdso]`.
pub(crate) fn from_bytes(bytes: Vec<u8>) -> Result<Option<ElfFile>, ElfError> {
    Ok(ElfFile::from_bytes(bytes)?.map(of_this_machine))
}

fn of_this_machine(elf: ElfFile) -> ElfFile {
    elf.with_page_size(crate::page_size() as u64).with_debug_files(debug_files(open_regular))
}

/// An executable file for an unwinder.
pub(crate) fn code_file(file: RegularFile) -> CodeFile {
    let (seconds, nanoseconds) = file.stat().modified;
    CodeFile { modified: (seconds, nanoseconds.into()), source: Box::new(file) }
}

/// Makes the function for [`ElfFile::with_debug_files`] from one that opens files.
pub fn debug_files(
    open: impl Fn(&Path) -> io::Result<RegularFile> + Send + 'static,
) -> impl Fn(&[u8]) -> io::Result<Source> + Send + 'static {
    move |path| Ok(Box::new(open(Path::new(OsStr::from_bytes(path)))?))
}
