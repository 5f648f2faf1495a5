//! Bounded reads from a file that may lie about itself.

use std::{borrow::Cow, fs::File, io, os::unix::fs::FileExt, sync::Arc};

use super::ElfError;

/// The longest string that is read where the file gives no length (`PATH_MAX`).
const STRING_LIMIT: u64 = 4096;

/// An open file and its size. Reads use `pread`, never a mapping of ours: a file that is cut while
/// we look would kill us with SIGBUS.
#[derive(Debug)]
pub(super) struct Input {
    source: Source,
    size: u64,
}

#[derive(Debug)]
enum Source {
    File(File),
    /// A file inside another one, or the kernel's own.
    Bytes(Vec<u8>),
}

impl Input {
    /// Anything but a regular file counts as empty: a pipe has no offsets and a device may have
    /// side effects.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let size = if metadata.is_file() { metadata.len() } else { 0 };
        Ok(Input { source: Source::File(file), size })
    }

    pub(super) fn from_bytes(bytes: Vec<u8>) -> Self {
        let size = bytes.len() as u64;
        Input { source: Source::Bytes(bytes), size }
    }

    /// The file, where there is one.
    pub(super) fn into_file(self) -> Option<File> {
        match self.source {
            Source::File(file) => Some(file),
            Source::Bytes(_) => None,
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Exactly `size` bytes at `offset`, which must be in the file and no more than `limit`.
    pub(super) fn read(
        &self,
        place: impl Into<Cow<'static, str>>,
        offset: u64,
        size: u64,
        limit: u64,
    ) -> Result<Vec<u8>, ElfError> {
        let place = place.into();
        if size > limit {
            return Err(ElfError::TooLarge { place, size, limit });
        }
        if offset.checked_add(size).is_none_or(|end| end > self.size) {
            return Err(ElfError::Truncated { place, offset, size, file_size: self.size });
        }
        let file = match &self.source {
            Source::File(file) => file,
            Source::Bytes(all) => return Ok(all[offset as usize..][..size as usize].to_vec()),
        };
        let mut bytes = vec![0; size as usize];
        match file.read_exact_at(&mut bytes, offset) {
            Ok(()) => Ok(bytes),
            Err(error) => Err(ElfError::Io { place, offset, source: Arc::new(error) }),
        }
    }

    /// The bytes at `offset` up to a NUL, or up to a limit.
    pub(super) fn string(&self, place: &'static str, offset: u64) -> Result<Vec<u8>, ElfError> {
        let size = self.size.saturating_sub(offset).clamp(1, STRING_LIMIT);
        let mut bytes = self.read(place, offset, size, STRING_LIMIT)?;
        bytes.truncate(until_nul(&bytes).len());
        Ok(bytes)
    }

    /// The CRC-32 (IEEE 802.3) of the whole file, which `.gnu_debuglink` holds of a debug file.
    pub(super) fn crc32(&self) -> io::Result<u32> {
        let mut hasher = crc32fast::Hasher::new();
        let file = match &self.source {
            Source::File(file) => file,
            Source::Bytes(bytes) => {
                hasher.update(bytes);
                return Ok(hasher.finalize());
            }
        };
        let mut block = vec![0; 1 << 16];
        let mut offset = 0;
        // Stops at the size seen at first, so that a file someone keeps writing to does end.
        while offset < self.size {
            let n = file.read_at(&mut block, offset)?;
            if n == 0 {
                break;
            }
            hasher.update(&block[..n]);
            offset += n as u64;
        }
        Ok(hasher.finalize())
    }
}

/// The bytes before the first NUL, or all of them.
pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&b| b == 0).next().unwrap_or_default()
}
