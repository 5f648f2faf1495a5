//! How numbers are laid out in a core dump: its byte order and the size of its words.

/// The byte order and word size of a core dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) big_endian: bool,
    /// The size of a word in bytes, 4 or 8 (`EI_CLASS`).
    pub(super) word: usize,
}

impl Layout {
    /// The number in all of some bytes.
    fn number(self, bytes: &[u8]) -> u64 {
        let shift = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        match self.big_endian {
            true => bytes.iter().fold(0, shift),
            false => bytes.iter().rev().fold(0, shift),
        }
    }

    /// The number of `size` bytes at `at`.
    fn at(self, bytes: &[u8], at: usize, size: usize) -> Option<u64> {
        Some(self.number(bytes.get(at..at.checked_add(size)?)?))
    }

    pub(super) fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        self.at(bytes, at, 2).map(|value| value as u16)
    }

    pub(super) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        self.at(bytes, at, 4).map(|value| value as u32)
    }

    pub(super) fn i32(self, bytes: &[u8], at: usize) -> Option<i32> {
        self.u32(bytes, at).map(u32::cast_signed)
    }

    /// A number of `size` bytes, 4 or 8.
    pub(super) fn sized(self, bytes: &[u8], at: usize, size: usize) -> Option<u64> {
        self.at(bytes, at, size.min(8))
    }

    /// A word.
    pub(super) fn word(self, bytes: &[u8], at: usize) -> Option<u64> {
        self.at(bytes, at, self.word)
    }

    /// All whole words of some bytes.
    pub(super) fn words(self, bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
        bytes.chunks_exact(self.word).map(move |word| self.number(word))
    }
}
