//! Reads small consecutive pieces of a core dump.

use vmatlas_object::{ReadAt, ReadError};

/// Number of bytes that one read fetches.
const WINDOW: usize = 64 << 10;

/// Reads small pieces at ascending offsets with few calls.
pub(super) struct Window<'s, S: ?Sized> {
    source: &'s S,
    start: u64,
    bytes: Vec<u8>,
    /// The read error that cut the last piece; `None` if the file ended in it.
    error: Option<ReadError>,
}

impl<'s, S: ReadAt + ?Sized> Window<'s, S> {
    pub(super) fn new(source: &'s S) -> Self {
        Window { source, start: 0, bytes: Vec::new(), error: None }
    }

    /// Reads up to `size` bytes at `offset`; `size` is at most [`WINDOW`].
    pub(super) fn get(&mut self, offset: u64, size: usize) -> &[u8] {
        let size = size.min(WINDOW);
        let within = |start: u64, length: usize| {
            let at = usize::try_from(offset.checked_sub(start)?).ok()?;
            (at.checked_add(size)? <= length).then_some(at)
        };
        let at = within(self.start, self.bytes.len()).unwrap_or_else(|| {
            self.bytes.resize(WINDOW, 0);
            let (count, result) = self.source.read_full_at(offset, &mut self.bytes);
            self.bytes.truncate(count);
            self.start = offset;
            // An error behind the piece does not matter until those bytes are requested.
            self.error = result.err().filter(|_| count < size).map(|error| (&error).into());
            0
        });
        let rest = self.bytes.get(at..).unwrap_or_default();
        rest.get(..size).unwrap_or(rest)
    }

    /// Reads `size` bytes at `offset`, or as many as can be read.
    pub(super) fn get_large(&mut self, offset: u64, size: usize) -> Vec<u8> {
        let near = self.get(offset, size);
        if near.len() == size {
            return near.to_vec();
        }
        // A file may claim a piece that is larger than the file.
        let there = self.source.size().map_or(u64::MAX, |length| length.saturating_sub(offset));
        let mut bytes = vec![0; usize::try_from(there).map_or(size, |there| there.min(size))];
        let (count, result) = self.source.read_full_at(offset, &mut bytes);
        bytes.truncate(count);
        self.error = result.err().map(|error| (&error).into());
        bytes
    }

    /// The read error that cut the last piece; `None` if the file ends in it.
    pub(super) fn error(&self) -> Option<ReadError> {
        self.error
    }
}
