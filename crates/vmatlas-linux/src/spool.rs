//! Input that comes in order, put into a file so that any part of it can be read.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};

/// Blocks of zeros of this size, in bytes, take no room in the file.
const BLOCK: usize = 4096;
/// Bytes that are copied at once.
const PORTION: usize = 64 << 10;

/// Input that was copied into a file without a name.
#[derive(Debug)]
#[non_exhaustive]
pub struct Spooled {
    /// The file, which goes when it is closed.
    pub file: File,
    /// Why the file does not hold all of the input.
    pub cut: Option<SpoolCut>,
}

/// Why a copy ended before its input.
#[derive(Debug)]
pub enum SpoolCut {
    /// The input could not be read any further, as happens if compressed bytes are damaged.
    Damaged {
        /// How many bytes were copied.
        bytes: u64,
        /// What reading answered.
        error: io::Error,
    },
    /// There is more than the limit.
    Limit {
        /// The limit, in bytes.
        bytes: u64,
    },
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// A temporary file cannot be made.
    #[error("cannot make a temporary file for it: {0}")]
    Create(#[source] io::Error),
    /// The temporary file cannot be written.
    #[error("cannot write it to a temporary file: {0}; TMPDIR says where that is")]
    Write(#[source] io::Error),
}

/// Copies at most about `limit` bytes of input into a temporary file.
///
/// # Errors
/// The temporary file cannot be made or written. Input that cannot be read is no error: see
/// [`Spooled::cut`].
pub fn spool(input: impl Read, limit: u64) -> Result<Spooled, SpoolError> {
    let mut file = unlinked().map_err(SpoolError::Create)?;
    let cut = copy(input, &mut file, limit).map_err(SpoolError::Write)?;
    Ok(Spooled { file, cut })
}

/// A file without a name, so that nothing stays behind. Large ones belong in /var/tmp
/// (file-hierarchy(7)): /tmp may be memory.
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
            if block.iter().all(|&byte| byte == 0) {
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
        if length >= limit {
            break Some(SpoolCut::Limit { bytes: limit });
        }
    };
    file.set_len(length)?;
    file.rewind()?;
    Ok(cut)
}

/// Fills a portion as far as there are bytes; gives the error that stopped it before.
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

    /// Gives bytes, then an error.
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
