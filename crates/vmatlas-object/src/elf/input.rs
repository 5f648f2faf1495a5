//! Bounded reads from an untrusted file.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::io::Error;
use std::sync::Arc;

use super::ElfError;
use crate::{Budget, ReadAt, Source};

const HEAD: usize = 4096;
/// A multiple of the size of all entries of tables.
const PIECE: usize = 48 << 10;

/// Longest string that is read if the file gives no length (`PATH_MAX`).
const MAX_STRING: u64 = 4096;

/// The bytes of a file, and its size at the time it was opened.
pub(super) struct Input {
    source: Source,
    size: u64,
    /// The first bytes, up to [`HEAD`]: headers and notes, of small files also the symbols. Empty if
    /// they cannot be read.
    head: OnceCell<Vec<u8>>,
    /// For the tables of this file and of its debug files.
    pub(super) budget: Budget,
}

impl Input {
    /// Fails if the source does not know its size, because no bound would hold.
    pub(super) fn new(source: Source, budget: Budget) -> Result<Self, ElfError> {
        match source.size() {
            Some(size) => Ok(Input { source, size, head: OnceCell::new(), budget }),
            None => Err(ElfError::malformed("file", "its size is not known")),
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether a structure is inside the file, and its size at most `limit`. Check this before it
    /// takes memory from the budget.
    pub(super) fn check(
        &self,
        place: impl Into<Cow<'static, str>>,
        offset: u64,
        size: u64,
        limit: u64,
    ) -> Result<(), ElfError> {
        if size > limit {
            return Err(ElfError::TooLarge { place: place.into(), size, limit });
        }
        if offset.checked_add(size).is_none_or(|end| end > self.size) {
            let (place, file_size) = (place.into(), self.size);
            return Err(ElfError::Truncated { place, offset, size, file_size });
        }
        Ok(())
    }

    /// Reads exactly `size` bytes at `offset`. They must be inside the file, and `size` at most
    /// `limit`.
    pub(super) fn read(
        &self,
        place: impl Into<Cow<'static, str>>,
        offset: u64,
        size: u64,
        limit: u64,
    ) -> Result<Vec<u8>, ElfError> {
        let place = place.into();
        self.check(place.clone(), offset, size, limit)?;
        if offset + size <= HEAD as u64
            && let Some(bytes) = self.head().get(offset as usize..(offset + size) as usize)
        {
            return Ok(bytes.to_vec());
        }
        // What stays in memory has a lease of its own.
        drop(self.budget.take(place.clone(), size)?);
        let mut bytes = vec![0; size as usize];
        match self.source.read_exact_at(offset, &mut bytes) {
            Ok(()) => Ok(bytes),
            Err(error) => Err(ElfError::Io { place, offset, source: Arc::new(error) }),
        }
    }

    fn head(&self) -> &[u8] {
        self.head.get_or_init(|| {
            let mut bytes = vec![0; self.size.min(HEAD as u64) as usize];
            let read = self.budget.has_time() && self.source.read_exact_at(0, &mut bytes).is_ok();
            if read { bytes } else { Vec::new() }
        })
    }

    /// Reads a structure of an offset and a size in pieces, for which the allocator maps no memory
    /// and which stay in the processor's cache. Calls `each` with the offset of a piece in the
    /// structure and its bytes; a piece begins with the last `shared` bytes of the one before it.
    pub(super) fn pieces(
        &self,
        place: &'static str,
        (offset, size): (u64, u64),
        limit: u64,
        shared: usize,
        mut each: impl FnMut(u64, &[u8]),
    ) -> Result<(), ElfError> {
        self.check(place, offset, size, limit)?;
        let mut bytes = vec![0; shared.saturating_add(PIECE)];
        let mut done = 0;
        let mut kept = 0;
        while done < size {
            drop(self.budget.take(place, bytes.len() as u64)?);
            let length = (size - done).min(PIECE as u64) as usize;
            let end = kept + length;
            let error =
                |error| ElfError::Io { place: place.into(), offset, source: Arc::new(error) };
            self.source.read_exact_at(offset + done, &mut bytes[kept..end]).map_err(error)?;
            each(done - kept as u64, &bytes[..end]);
            done += length as u64;
            let keep = shared.min(end);
            bytes.copy_within(end - keep..end, 0);
            kept = keep;
        }
        Ok(())
    }

    /// Reads the bytes at `offset` up to a NUL or a limit.
    pub(super) fn string(&self, place: &'static str, offset: u64) -> Result<Vec<u8>, ElfError> {
        let size = self.size.saturating_sub(offset).clamp(1, MAX_STRING);
        let in_head = (HEAD as u64).saturating_sub(offset).min(size);
        let mut bytes = self.read(place, offset, in_head, MAX_STRING)?;
        if !bytes.contains(&0) {
            bytes = self.read(place, offset, size, MAX_STRING)?;
        }
        bytes.truncate(until_nul(&bytes).len());
        Ok(bytes)
    }

    /// The CRC-32 (IEEE 802.3) of the whole file. `.gnu_debuglink` stores that of a debug file.
    pub(super) fn crc32(&self) -> Result<u32, Error> {
        let mut hasher = crc32fast::Hasher::new();
        let mut block = vec![0; 1 << 16];
        let mut offset = 0;
        // Stops at the size seen when the file was opened, so a file that grows does end.
        while offset < self.size {
            let n = self.source.read_at(offset, &mut block)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// All bytes are in pieces, and what is no longer than the shared bytes is whole in one.
    #[test]
    fn pieces_are_the_bytes_in_order() {
        let bytes: Vec<u8> = (0..3 * PIECE + 5).map(|at| (at % 251) as u8).collect();
        let input = Input::new(Box::new(bytes.clone()), Budget::default()).unwrap();
        for (offset, size, shared) in
            [(0, bytes.len(), 7), (3, 0, 7), (3, 1, 7), (1, PIECE, 0), (1, PIECE + 1, 40)]
        {
            let mut next = 0;
            let mut each = |at: u64, piece: &[u8]| {
                let at = at as usize;
                assert_eq!(piece, &bytes[offset + at..offset + at + piece.len()]);
                assert_eq!(at, next - shared.min(next));
                next = at + piece.len();
            };
            let place = (offset as u64, size as u64);
            input.pieces("bytes", place, u64::MAX, shared, &mut each).unwrap();
            assert_eq!(next, size);
        }
        let beyond = (1, bytes.len() as u64);
        assert!(input.pieces("bytes", beyond, u64::MAX, 0, |_, _| unreachable!()).is_err());
        assert!(input.pieces("bytes", (0, 9), 8, 0, |_, _| unreachable!()).is_err());
    }
}
