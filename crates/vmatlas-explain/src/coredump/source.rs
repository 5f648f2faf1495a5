//! Where the bytes of a core dump are.

/// Bytes at offsets: a file, or bytes in memory. A core dump may be many GiB large, so only what is
/// asked for is read of it.
pub trait ReadAt {
    /// How many bytes there are; none where that is not known.
    fn len(&self) -> Option<u64>;

    /// Whether there are no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Reads from `offset` on. Gives how many bytes were read: fewer than asked for only where the
    /// bytes end or cannot be read.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> usize;
}

impl ReadAt for [u8] {
    fn len(&self) -> Option<u64> {
        Some(self.len() as u64)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> usize {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        let rest = rest.unwrap_or_default();
        let count = rest.len().min(bytes.len());
        for (to, from) in bytes.iter_mut().zip(rest) {
            *to = *from;
        }
        count
    }
}

impl ReadAt for Vec<u8> {
    fn len(&self) -> Option<u64> {
        Some(self.as_slice().len() as u64)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> usize {
        self.as_slice().read_at(offset, bytes)
    }
}

impl<S: ReadAt + ?Sized> ReadAt for &S {
    fn len(&self) -> Option<u64> {
        (**self).len()
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> usize {
        (**self).read_at(offset, bytes)
    }
}

/// How much is read at once of what is looked at in order.
const WINDOW: usize = 64 << 10;

/// Reads small pieces in rising order with few calls.
pub(super) struct Window<'s, S: ?Sized> {
    source: &'s S,
    start: u64,
    bytes: Vec<u8>,
}

impl<'s, S: ReadAt + ?Sized> Window<'s, S> {
    pub(super) fn new(source: &'s S) -> Self {
        Window { source, start: 0, bytes: Vec::new() }
    }

    /// As many of `size` bytes at `offset` as there are; `size` is at most [`WINDOW`].
    pub(super) fn get(&mut self, offset: u64, size: usize) -> &[u8] {
        let size = size.min(WINDOW);
        let within = |start: u64, length: usize| {
            let at = usize::try_from(offset.checked_sub(start)?).ok()?;
            (at.checked_add(size)? <= length).then_some(at)
        };
        let at = within(self.start, self.bytes.len()).unwrap_or_else(|| {
            self.bytes.resize(WINDOW, 0);
            let count = self.source.read_at(offset, &mut self.bytes).min(WINDOW);
            self.bytes.truncate(count);
            self.start = offset;
            0
        });
        let rest = self.bytes.get(at..).unwrap_or_default();
        rest.get(..size).unwrap_or(rest)
    }
}
