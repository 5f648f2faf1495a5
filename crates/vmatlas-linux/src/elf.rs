//! The ELF files of this machine: [`vmatlas_object::elf`], and what opens files for it.
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

pub use self::exec_image::exec_image;
pub use vmatlas_object::elf::{
    CodeFrame, ElfError, ElfFile, ElfType, FileMapping, Machine, Section, SectionType, Segment,
    SegmentFlags, SegmentType, SourceLocation, Symbol, SymbolSource, build_id_path, demangle,
};

/// Reads the headers of an ELF file; `None` where `file` is something else. Debug files are opened
/// in our own mount namespace, regular files only.
///
/// Reads by offset: `file`'s position stays as it is.
///
/// # Errors
///
/// As [`ElfFile::read`].
pub fn read(file: File) -> Result<Option<ElfFile>, ElfError> {
    Ok(read_shared(file)?.map(|(elf, _)| elf))
}

/// The same, with the file itself, for who wants it back.
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

/// An image that is in memory, as the kernel's `[vdso]` is.
pub(crate) fn from_bytes(bytes: Vec<u8>) -> Result<Option<ElfFile>, ElfError> {
    Ok(ElfFile::from_bytes(bytes)?.map(of_this_machine))
}

fn of_this_machine(elf: ElfFile) -> ElfFile {
    elf.with_page_size(crate::page_size() as u64).with_debug_files(debug_files(open_regular))
}

/// A file that is mapped executable, for an unwinder; `None` for what is no regular file.
pub(crate) fn code_file(file: File) -> Option<CodeFile> {
    let metadata = file.metadata().ok()?;
    let modified = (metadata.mtime(), metadata.mtime_nsec());
    Some(CodeFile { source: Box::new(RegularFile::with_metadata(file, &metadata)?), modified })
}

/// What opens debug files for [`ElfFile::with_debug_files`], made of what opens files: regular ones
/// only.
pub fn debug_files(
    open: impl Fn(&Path) -> io::Result<File> + Send + 'static,
) -> impl Fn(&[u8]) -> io::Result<Source> + Send + 'static {
    move |path| Ok(Box::new(RegularFile::new(open(Path::new(OsStr::from_bytes(path)))?)?))
}

/// Opens a regular file of our own file system, and waits for nothing: whoever may write beside the
/// program may have put a pipe there.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    // Opening a device may do things, so this asks before and, as it may have been replaced, after.
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
