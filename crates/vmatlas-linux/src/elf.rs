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

use crate::regular_file::RegularFile;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use vmatlas_object::Source;
use vmatlas_object::unwind::CodeFile;

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
    Ok(read_shared(file)?.map(|(elf, _)| elf))
}

/// Reads the headers and returns the file too.
pub(crate) fn read_shared(file: File) -> Result<Option<(ElfFile, Arc<RegularFile>)>, ElfError> {
    let metadata = file.metadata().map_err(|source| ElfError::Io {
        place: "file's size".into(),
        offset: 0,
        source: Arc::new(source),
    })?;
    let Some(file) = RegularFile::with_metadata(file, &metadata) else { return Ok(None) };
    let file = Arc::new(file);
    Ok(ElfFile::read(file.clone())?.map(|elf| (of_this_machine(elf), file)))
}

/// Reads an image in memory, such as the kernel's `[vdso]`.
pub(crate) fn from_bytes(bytes: Vec<u8>) -> Result<Option<ElfFile>, ElfError> {
    Ok(ElfFile::from_bytes(bytes)?.map(of_this_machine))
}

fn of_this_machine(elf: ElfFile) -> ElfFile {
    elf.with_page_size(crate::page_size() as u64).with_debug_files(debug_files(open_regular))
}

/// An executable file for an unwinder; `None` if it is not regular.
pub(crate) fn code_file(file: File) -> Option<CodeFile> {
    let metadata = file.metadata().ok()?;
    let modified = (metadata.mtime(), metadata.mtime_nsec());
    Some(CodeFile { source: Box::new(RegularFile::with_metadata(file, &metadata)?), modified })
}

/// Makes the function for [`ElfFile::with_debug_files`] from one that opens files; only regular
/// files pass.
pub fn debug_files(
    open: impl Fn(&Path) -> io::Result<File> + Send + 'static,
) -> impl Fn(&[u8]) -> io::Result<Source> + Send + 'static {
    move |path| Ok(Box::new(RegularFile::new(open(Path::new(OsStr::from_bytes(path)))?)?))
}

/// Opens a regular file of our own file system without blocking: another user may have put a pipe
/// beside the program.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    // Opening a device may have side effects, so the type is checked before and, as the file may be
    // replaced, after.
    let regular = |metadata: fs::Metadata| match metadata.is_file() {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    };
    regular(fs::metadata(path)?)?;
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)?;
    regular(file.metadata()?)?;
    Ok(file)
}
