//! Reading small pieces of a core dump that lie one after the other.

use vmatlas_object::{ReadAt, ReadError};

/// How much is read at once of what is looked at in order.
const WINDOW: usize = 64 << 10;

/// Reads small pieces in rising order with few calls.
pub(super) struct Window<'s, S: ?Sized> {
    source: &'s S,
    start: u64,
    bytes: Vec<u8>,
    /// Why a piece is shorter than it should be, if not for the end of the file.
    error: Option<ReadError>,
}

impl<'s, S: ReadAt + ?Sized> Window<'s, S> {
    pub(super) fn new(source: &'s S) -> Self {
        Window { source, start: 0, bytes: Vec::new(), error: None }
    }

    /// As many of `size` bytes at `offset` as can be read; `size` is at most [`WINDOW`].
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
            // What lies behind the piece does not matter until it is asked for.
            self.error = result.err().filter(|_| count < size).map(|error| (&error).into());
            0
        });
        let rest = self.bytes.get(at..).unwrap_or_default();
        rest.get(..size).unwrap_or(rest)
    }

    /// Exactly `size` bytes at `offset`, or as many as can be read.
    pub(super) fn get_large(&mut self, offset: u64, size: usize) -> Vec<u8> {
        let near = self.get(offset, size);
        if near.len() == size {
            return near.to_vec();
        }
        // A file may say that a piece is larger than the file is.
        let there = self.source.size().map_or(u64::MAX, |length| length.saturating_sub(offset));
        let mut bytes = vec![0; usize::try_from(there).map_or(size, |there| there.min(size))];
        let (count, result) = self.source.read_full_at(offset, &mut bytes);
        bytes.truncate(count);
        self.error = result.err().map(|error| (&error).into());
        bytes
    }

    /// Why the last piece is shorter than it should be; `None` if the file ends in it.
    pub(super) fn error(&self) -> Option<ReadError> {
        self.error
    }
}
