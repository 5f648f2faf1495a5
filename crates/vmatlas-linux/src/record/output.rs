//! The file that a recording is appended to.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

/// A recording's file. What was appended stays, whatever becomes of the recorder.
#[derive(Debug)]
pub(crate) struct Output {
    file: File,
    /// How many bytes of whole blocks it has.
    size: u64,
    failed: Option<io::Error>,
}

impl Output {
    /// Makes the file; one that is there is replaced.
    pub(crate) fn create(path: &Path) -> io::Result<Output> {
        let file = File::create(path)?;
        Ok(Output { file, size: 0, failed: None })
    }

    /// Appends whole blocks. After a failure, as of a full disk, nothing more is written, and
    /// what was written in part is cut off, so that the file can be read to its end.
    pub(crate) fn append(&mut self, blocks: &[u8]) {
        if self.failed.is_some() || blocks.is_empty() {
            return;
        }
        match self.file.write_all(blocks) {
            Ok(()) => self.size += blocks.len() as u64,
            Err(error) => {
                // A device or pipe cannot be cut.
                let _ = self.file.set_len(self.size);
                self.failed = Some(error);
            }
        }
    }

    /// How many bytes were written.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Why no more is written.
    pub(crate) fn failed(&self) -> Option<&io::Error> {
        self.failed.as_ref()
    }

    /// Its size, and why no more was written.
    pub(crate) fn into_parts(self) -> (u64, Option<io::Error>) {
        (self.size, self.failed)
    }
}
