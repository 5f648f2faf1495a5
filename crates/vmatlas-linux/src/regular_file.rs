//! Reads an open file by offset.

use crate::file_server::{FileStat, Handle};
use rustix::fs::{SealFlags, fcntl_get_seals};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use vmatlas_object::ReadAt;

/// An open regular file as a source of bytes. It is read with pread(2) and not mapped, because
/// truncation would then kill us with SIGBUS.
#[derive(Clone, Debug)]
pub struct RegularFile {
    handle: Handle,
    stat: FileStat,
}

impl RegularFile {
    /// Wraps a file; its position does not change. Its size is the current one.
    ///
    /// # Errors
    ///
    /// If statx(2) fails, or the file is not regular: a pipe has no offsets, and reading a device
    /// may have side effects.
    pub fn new(file: File) -> io::Result<RegularFile> {
        RegularFile::of(Handle::from(OwnedFd::from(file)))
    }

    /// Wraps a descriptor of ours or of a server.
    ///
    /// # Errors
    /// The same as [`new`](RegularFile::new).
    pub(crate) fn of(handle: Handle) -> io::Result<RegularFile> {
        let stat = handle.stat()?;
        match stat.is_regular {
            true => Ok(RegularFile { handle, stat }),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
        }
    }

    /// Opens the file behind an `O_PATH` descriptor, which is not opened if it is not regular.
    ///
    /// # Errors
    /// The same as [`new`](RegularFile::new), and those of open(2).
    pub(crate) fn behind(path: &Handle) -> io::Result<RegularFile> {
        RegularFile::of(path.clone())?;
        let file = path.reopen()?;
        // A file that cannot block is read without the server.
        let file = if file.is_local() { file.take()? } else { file };
        RegularFile::of(file)
    }

    /// The time of its last modification when it was opened, in nanoseconds since 1970.
    pub fn modified_ns(&self) -> u64 {
        let (seconds, nanoseconds) = self.stat.modified;
        let seconds = u64::try_from(seconds).unwrap_or(0);
        seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds.into())
    }

    /// Whether nobody can change it any more: its seals forbid to write and to cut it, and to take
    /// seals away (`F_GET_SEALS`, fcntl(2)). Only files in memory have seals.
    pub(crate) fn is_sealed(&self) -> bool {
        let Handle::Own(fd) = &self.handle else { return false };
        let wanted = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::SEAL;
        fcntl_get_seals(fd).is_ok_and(|seals| seals.contains(wanted))
    }

    /// Its attributes when it was opened.
    pub(crate) fn stat(&self) -> &FileStat {
        &self.stat
    }
}

impl ReadAt for RegularFile {
    fn size(&self) -> Option<u64> {
        Some(self.stat.size)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        Ok(self.handle.read_at(offset, bytes)?)
    }
}
