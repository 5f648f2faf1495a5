//! Reads an open file by offset.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::FileExt as _;
use vmatlas_object::ReadAt;

/// An open regular file as a source of bytes. It is read with pread(2) and not mapped, because
/// truncation would then kill us with SIGBUS.
#[derive(Debug)]
pub struct RegularFile {
    file: File,
    size: u64,
}

impl RegularFile {
    /// Wraps a file; its position does not change. Its size is the current one.
    ///
    /// # Errors
    ///
    /// If fstat(2) fails, or the file is not regular: a pipe has no offsets, and reading a device
    /// may have side effects.
    pub fn new(file: File) -> io::Result<RegularFile> {
        let metadata = file.metadata()?;
        RegularFile::with_metadata(file, &metadata)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }

    /// Wraps a file with known metadata.
    pub(crate) fn with_metadata(file: File, metadata: &Metadata) -> Option<RegularFile> {
        metadata.is_file().then(|| RegularFile { file, size: metadata.len() })
    }

    /// The open file.
    pub fn into_file(self) -> File {
        self.file
    }
}

impl ReadAt for RegularFile {
    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(bytes, offset)
    }
}
