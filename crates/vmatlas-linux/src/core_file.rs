//! A core dump in a file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use vmatlas::coredump::ReadAt;

/// An open file as a source of [`CoreDump`](vmatlas::coredump::CoreDump): it is read by offset, and
/// not mapped into memory, for a file that is cut meanwhile would kill us with SIGBUS.
#[derive(Debug)]
pub struct CoreFile {
    file: File,
    size: u64,
}

impl CoreFile {
    /// Takes a file.
    ///
    /// # Errors
    ///
    /// Where its size cannot be told, or it is no regular file: a pipe has no offsets.
    pub fn new(file: File) -> io::Result<CoreFile> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(CoreFile { file, size: metadata.len() })
    }
}

impl ReadAt for CoreFile {
    fn len(&self) -> Option<u64> {
        Some(self.size)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            match self.file.read_at(&mut bytes[done..], offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        done
    }
}
