//! The memory and the stack of an ended process, from its core dump. Parts that the dump lacks are
//! read from the mapped files, if those are unchanged.

mod stack;

use crate::deadline::within;
use crate::elf::{self};
use crate::own_files::open_regular;
use crate::regular_file::RegularFile;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;
use vmatlas_maps::Maps;
use vmatlas_maps::escape::printable;
use vmatlas_object::{Memory, ReadAt as _, ReadError};

pub use vmatlas_object::unwind::{Frame, How, Registers};

/// Time limit for opening a file.
const LIMIT: Duration = Duration::from_secs(3);

/// A function that returns the build id that the file of a row had in the process.
pub type BuildIdOf<'a> = dyn Fn(&vmatlas_maps::Mapping<'_>) -> Option<Vec<u8>> + 'a;

/// The memory of an ended process: the dump, and the files that were mapped, because kernels leave
/// code out of dumps (`coredump_filter`, core(5)).
///
/// A file is used if its build id equals the one in the dump. If the dump has none for the file, the
/// name alone identifies it.
pub struct Postmortem<'a> {
    maps: &'a Maps,
    dump: &'a dyn Memory,
    build_id: &'a BuildIdOf<'a>,
    /// The opened files, by name; `None` for unusable ones.
    files: RefCell<HashMap<Vec<u8>, Option<RegularFile>>>,
    io_error: OnceCell<FileError>,
}

/// A mapped file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} cannot be read, at byte {offset:#x}: {error}", printable(.name))]
#[non_exhaustive]
pub struct FileError {
    /// The name of the file, as rows show it.
    pub name: Vec<u8>,
    /// The offset in the file, in bytes.
    pub offset: u64,
    /// The error.
    pub error: ReadError,
}

impl<'a> Postmortem<'a> {
    /// The memory of a process with these rows. Reads nothing yet.
    pub fn new(maps: &'a Maps, dump: &'a dyn Memory, build_id: &'a BuildIdOf<'a>) -> Self {
        Postmortem { maps, dump, build_id, files: RefCell::default(), io_error: OnceCell::new() }
    }

    /// Today's size of a row's file, in bytes.
    pub fn file_size(&self, row: usize) -> Option<u64> {
        // Data files have no build id, so the name alone identifies them.
        let path = path(&self.maps.get(row)?)?;
        within(LIMIT, move || open_regular(&path).ok()?.size())?
    }

    /// Opens the file of a row; `None` if it differs from the one that was mapped.
    pub fn file(&self, row: usize) -> Option<RegularFile> {
        let row = self.maps.get(row)?;
        if let Some(known) = self.files.borrow().get(row.name) {
            return known.clone();
        }
        let file = self.open(&row);
        self.files.borrow_mut().insert(row.name.to_vec(), file.clone());
        file
    }

    /// The first file so far that could not be read. [`Memory`] does not report such errors, so
    /// memory that is missing there may be unreadable rather than absent from the dump.
    pub fn io_error(&self) -> Option<FileError> {
        self.io_error.get().cloned()
    }

    fn open(&self, row: &vmatlas_maps::Mapping<'_>) -> Option<RegularFile> {
        let path = path(row)?;
        let wanted = (self.build_id)(row);
        within(LIMIT, move || {
            let file = open_regular(&path).ok()?;
            let Some(wanted) = wanted else { return Some(file) };
            let elf = elf::read_regular(file.clone()).ok()??;
            (elf.build_id_bytes() == Some(&wanted)).then_some(file)
        })?
    }

    /// Unwinds the stack of the thread with these registers, for x86-64 programs only: at most `most`
    /// frames, innermost first. Their file numbers are valid within this walk only; the rows contain
    /// the files.
    pub fn frames(&self, registers: &Registers, most: usize) -> Vec<Frame> {
        stack::frames(self, registers, most)
    }
}

/// The path of a row's file.
fn path(row: &vmatlas_maps::Mapping<'_>) -> Option<PathBuf> {
    let path = row.file_name()?.path;
    path.starts_with(b"/").then(|| PathBuf::from(OsStr::from_bytes(&path)))
}

impl Memory for Postmortem<'_> {
    fn read(&self, address: u64, bytes: &mut [u8]) -> usize {
        let read = self.dump.read(address, bytes);
        if read > 0 {
            return read;
        }
        let Some(at) = self.maps.find(address).mapping else { return 0 };
        let Some(row) = self.maps.get(at) else { return 0 };
        // Writable memory may differ from the file.
        if row.perms.write() {
            return 0;
        }
        let Some(file) = self.file(at) else { return 0 };
        let left = usize::try_from(row.range.end.saturating_sub(address)).unwrap_or(usize::MAX);
        let size = left.min(bytes.len());
        let offset = row.offset.saturating_add(address.wrapping_sub(row.range.start));
        let Some(part) = bytes.get_mut(..size) else { return 0 };
        file.read_at(offset, part).unwrap_or_else(|error| {
            let (name, error) = (row.name.to_vec(), (&error).into());
            self.io_error.get_or_init(|| FileError { name, offset, error });
            0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    struct Nothing;

    impl Memory for Nothing {
        fn read(&self, _: u64, _: &mut [u8]) -> usize {
            0
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_reported() {
        // Nothing is mapped at address 0, so reading there fails.
        let row = b"10000-11000 r--p 00000000 fe:00 42                         /proc/self/mem\n";
        let maps = Maps::parse(row).unwrap();
        let dead = Postmortem::new(&maps, &Nothing, &|_| None);
        assert_eq!(dead.io_error(), None);
        assert_eq!(dead.read(0x10008, &mut [0; 8]), 0);
        let error = dead.io_error().unwrap();
        assert_eq!((&*error.name, error.offset), (&b"/proc/self/mem"[..], 8));
        assert_eq!(error.error.os_error(), Some(Errno::IO.raw_os_error()));
        let text = "/proc/self/mem cannot be read, at byte 0x8: Input/output error (os error 5)";
        assert_eq!(error.to_string(), text);
    }
}
