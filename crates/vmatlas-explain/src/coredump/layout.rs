//! Decodes the numbers in a core dump.

/// The byte order and word size of a core dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) big_endian: bool,
    /// The size of a word in bytes, 4 or 8 (`EI_CLASS`).
    pub(super) word: usize,
}

impl Layout {
    /// Decodes all of `bytes` as one number.
    fn number(self, bytes: &[u8]) -> u64 {
        let shift = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        match self.big_endian {
            true => bytes.iter().fold(0, shift),
            false => bytes.iter().rev().fold(0, shift),
        }
    }

    /// Decodes the number of `size` bytes at offset `at`.
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

    /// Decodes the number of `size` bytes, 4 or 8, at offset `at`.
    pub(super) fn sized(self, bytes: &[u8], at: usize, size: usize) -> Option<u64> {
        self.at(bytes, at, size.min(8))
    }

    /// Decodes the word at offset `at`.
    pub(super) fn word(self, bytes: &[u8], at: usize) -> Option<u64> {
        self.at(bytes, at, self.word)
    }

    /// Decodes all whole words in `bytes`.
    pub(super) fn words(self, bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
        bytes.chunks_exact(self.word).map(move |word| self.number(word))
    }
}
