//! Copies sequential input into a file for random access.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};

/// Zero blocks of this size, in bytes, become holes in the file.
const BLOCK: usize = 4096;
static ZEROES: [u8; BLOCK] = [0; BLOCK];
/// Bytes after which the free space is checked.
const CHECK_EVERY: u64 = 64 << 20;
/// Bytes copied at once.
const PORTION: usize = 64 << 10;

/// Input copied into an unnamed file.
#[derive(Debug)]
#[non_exhaustive]
pub struct Spooled {
    /// The file; it is removed when closed.
    pub file: File,
    /// The reason why the copy is incomplete; `None` if it is complete.
    pub cut: Option<SpoolCut>,
}

/// The reason why a copy is incomplete.
#[derive(Debug)]
pub enum SpoolCut {
    /// Reading failed, for example because compressed data is damaged.
    Damaged {
        /// Bytes copied.
        bytes: u64,
        /// The error of the read.
        error: io::Error,
    },
    /// Other programs need the rest of the disk.
    FullDisk {
        /// Bytes copied.
        bytes: u64,
    },
    /// The input exceeds the limit.
    Limit {
        /// The limit, in bytes.
        bytes: u64,
    },
}

/// The reason why there is no copy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The temporary file cannot be created.
    #[error("cannot create a temporary file for the input: {0}")]
    Create(#[source] io::Error),
    /// The temporary file cannot be written.
    #[error("cannot copy the input to a temporary file: {0}; TMPDIR selects its directory")]
    Write(#[source] io::Error),
}

/// Copies about `limit` bytes of input at most into a temporary file.
///
/// # Errors
/// If the temporary file cannot be created or written. A read error is reported in [`Spooled::cut`]
/// instead.
pub fn spool(input: impl Read, limit: u64) -> Result<Spooled, SpoolError> {
    let mut file = unlinked().map_err(SpoolError::Create)?;
    let cut = copy(input, &mut file, limit).map_err(SpoolError::Write)?;
    Ok(Spooled { file, cut })
}

/// Creates an unnamed file, so that nothing is left behind. Large files belong in /var/tmp
/// (file-hierarchy(7)): /tmp may be in memory.
fn unlinked() -> io::Result<File> {
    match std::env::var_os("TMPDIR") {
        Some(_) => tempfile::tempfile(),
        None => tempfile::tempfile_in("/var/tmp").or_else(|_| tempfile::tempfile()),
    }
}

fn copy(mut input: impl Read, file: &mut File, limit: u64) -> io::Result<Option<SpoolCut>> {
    let mut portion = vec![0; PORTION];
    let mut length = 0;
    let cut = loop {
        let (count, error) = fill(&mut input, &mut portion);
        for block in portion[..count].chunks(BLOCK) {
            if *block == ZEROES[..block.len()] {
                file.seek(SeekFrom::Current(block.len() as i64))?;
            } else {
                file.write_all(block)?;
            }
        }
        length += count as u64;
        if let Some(error) = error {
            break Some(SpoolCut::Damaged { bytes: length, error });
        }
        if count < portion.len() {
            break None;
        }
        if length / CHECK_EVERY > (length - count as u64) / CHECK_EVERY && is_nearly_full(file)? {
            break Some(SpoolCut::FullDisk { bytes: length });
        }
        if length >= limit {
            break Some(SpoolCut::Limit { bytes: limit });
        }
    };
    file.set_len(length)?;
    file.rewind()?;
    Ok(cut)
}

/// Whether less than a twentieth of the disk is free, or less than 64 MiB.
fn is_nearly_full(file: &File) -> io::Result<bool> {
    let disk = rustix::fs::fstatvfs(file)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let size = disk.f_blocks.saturating_mul(disk.f_frsize);
    Ok(free < (size / 20).clamp(64 << 20, 16 << 30))
}

/// Fills a portion until the input ends; returns a read error beside the count.
fn fill(input: &mut impl Read, portion: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut done = 0;
    while done < portion.len() {
        match input.read(&mut portion[done..]) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (done, Some(error)),
        }
    }
    (done, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    /// Returns bytes, then an error.
    struct Damaged<'a>(&'a [u8]);

    impl Read for Damaged<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::ErrorKind::InvalidData.into()),
                count => Ok(count),
            }
        }
    }

    fn bytes(mut spooled: Spooled) -> Vec<u8> {
        let mut bytes = Vec::new();
        spooled.file.read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_copy_is_what_came() {
        let mut input = vec![0; 3 << 20];
        input[5] = 1;
        input[(2 << 20) + 4095] = 2;
        let spooled = spool(&input[..], u64::MAX).unwrap();
        assert!(spooled.cut.is_none());
        assert!(spooled.file.metadata().unwrap().blocks() * 512 < 1 << 20, "holes");
        assert!(bytes(spooled) == input);
    }

    #[test]
    fn a_copy_that_ends_early_says_so() {
        let spooled = spool(Damaged(b"abc"), u64::MAX).unwrap();
        assert!(matches!(spooled.cut, Some(SpoolCut::Damaged { bytes: 3, .. })));
        assert_eq!(bytes(spooled), b"abc");
        let spooled = spool(io::repeat(1), 1 << 20).unwrap();
        assert!(matches!(spooled.cut, Some(SpoolCut::Limit { bytes: 0x10_0000 })));
        assert_eq!(bytes(spooled).len(), 1 << 20);
    }
}
