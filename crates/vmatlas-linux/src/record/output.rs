//! The output file of a recording.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

/// The output file. Appended data remains even if the recorder dies.
#[derive(Debug)]
pub(crate) struct Output {
    file: File,
    /// The size in bytes of the complete blocks.
    size: u64,
    failed: Option<io::Error>,
}

impl Output {
    /// Creates the file; an existing file is replaced.
    pub(crate) fn create(path: &Path) -> io::Result<Output> {
        let file = File::create(path)?;
        Ok(Output { file, size: 0, failed: None })
    }

    /// Appends whole blocks. After a failure such as a full disk, later blocks are dropped, and a
    /// partial write is truncated so that the file stays readable.
    pub(crate) fn append(&mut self, blocks: &[u8]) {
        if self.failed.is_some() || blocks.is_empty() {
            return;
        }
        match self.file.write_all(blocks) {
            Ok(()) => self.size += blocks.len() as u64,
            Err(error) => {
                // A device or pipe cannot be truncated.
                let _ = self.file.set_len(self.size);
                self.failed = Some(error);
            }
        }
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
