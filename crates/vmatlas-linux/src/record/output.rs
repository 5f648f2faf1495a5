//! The output file of a recording.

use super::locked_file::LockedFile;
use crate::new_file::{CreateError, Replace};
use std::io;
use std::path::Path;

/// The output file. Appended data remains even if the recorder dies.
#[derive(Debug)]
pub(crate) struct Output {
    file: LockedFile,
    /// The size in bytes of the complete blocks.
    size: u64,
    failed: Option<io::Error>,
}

impl Output {
    /// Creates the file and locks it. A replaced file can [come back](Output::discard).
    pub(crate) fn create(path: &Path, replace: Replace) -> Result<Output, CreateError> {
        let file = LockedFile::create(path, "a recording", replace)?;
        Ok(Output { file, size: 0, failed: None })
    }

    /// Appends whole blocks. After a failure such as a full disk, later blocks are dropped, and a
    /// partial write is truncated so that the file stays readable.
    pub(crate) fn append(&mut self, blocks: &[u8]) {
        if self.failed.is_some() || blocks.is_empty() {
            return;
        }
        match self.write(blocks) {
            Ok(()) => self.size += blocks.len() as u64,
            Err(error) => {
                let _ = self.file.file().set_len(self.size);
                self.failed = Some(error);
            }
        }
    }

    fn write(&mut self, blocks: &[u8]) -> io::Result<()> {
        self.file.write(blocks)?;
        match self.file.has_name() {
            true => Ok(()),
            false => {
                let gone = "the file was removed during the recording";
                Err(io::Error::new(io::ErrorKind::NotFound, gone))
            }
        }
    }

    /// Removes the file that was replaced: the recording is under way.
    pub(crate) fn keep(&mut self) {
        self.file.keep();
    }

    /// Removes the file, because nothing was recorded. A replaced file comes back.
    pub(crate) fn discard(self) {
        self.file.discard();
    }

    /// The number of bytes written.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The error that stopped the output.
    pub(crate) fn failed(&self) -> Option<&io::Error> {
        self.failed.as_ref()
    }

    /// The size in bytes, and the error that stopped the output.
    pub(crate) fn into_parts(self) -> (u64, Option<io::Error>) {
        (self.size, self.failed)
    }
}
