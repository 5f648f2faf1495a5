//! The memory and the stack of a process that has ended, of which a core dump holds a part: what
//! is in files is read from them, if they are the same files still.

mod stack;

use crate::deadline::within;
use crate::elf::{self, open_regular};
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

pub use vmatlas_object::unwind::{Frame, Registers};

/// How long a file system may take to open a file.
const LIMIT: Duration = Duration::from_secs(3);

/// The build id of the file of a row, as the process had it.
pub type BuildIdOf<'a> = dyn Fn(&vmatlas_maps::Mapping<'_>) -> Option<Vec<u8>> + 'a;

/// The memory of a process that has ended: of the dump, and of the files that it had mapped, for
/// kernels leave code out of dumps (`coredump_filter`, core(5)).
///
/// A file counts if it has the build id that the dump has; where the dump has none, by its name
/// alone.
pub struct Postmortem<'a> {
    maps: &'a Maps,
    dump: &'a dyn Memory,
    build_id: &'a BuildIdOf<'a>,
    /// By name.
    files: RefCell<HashMap<Vec<u8>, Option<RegularFile>>>,
    io_error: OnceCell<FileError>,
}

/// A file that the process had mapped and that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} cannot be read, at byte {offset:#x}: {error}", printable(.name))]
#[non_exhaustive]
pub struct FileError {
    /// The name of the file, as rows have it.
    pub name: Vec<u8>,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// Why.
    pub error: ReadError,
}

impl<'a> Postmortem<'a> {
    /// For a process with these rows. Nothing is read yet.
    pub fn new(maps: &'a Maps, dump: &'a dyn Memory, build_id: &'a BuildIdOf<'a>) -> Self {
        Postmortem { maps, dump, build_id, files: RefCell::default(), io_error: OnceCell::new() }
    }

    /// The size in bytes that the file of a row has today.
    pub fn file_size(&self, row: usize) -> Option<u64> {
        // Of data files there is no build id: the name has to do.
        let path = path(&self.maps.get(row)?)?;
        within(LIMIT, move || open_regular(&path).ok()?.size())?
    }

    /// The file of a row, opened, if it is the same as then.
    pub fn file(&self, row: usize) -> Option<RegularFile> {
        let row = self.maps.get(row)?;
        if let Some(known) = self.files.borrow().get(row.name) {
            return known.clone();
        }
        let file = self.open(&row);
        self.files.borrow_mut().insert(row.name.to_vec(), file.clone());
        file
    }

    /// The first file so far that could not be read. [`Memory`] has no way to say so: what is
    /// missing there may be lost rather than left out.
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

    /// The calls that the thread with these registers was in, innermost first, at most `most`. Only
    /// of x86-64 programs. The files of their places are known within this walk only: where a call
    /// is, the rows say.
    pub fn frames(&self, registers: &Registers, most: usize) -> Vec<Frame> {
        stack::frames(self, registers, most)
    }
}

/// Where the file of a row was.
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
        // What may be written may differ from the file.
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
