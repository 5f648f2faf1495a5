//! Decodes UTF-16 and UTF-32, as editors and shells of Windows write them.

/// A text of two or four bytes for each character, decoded in chunks.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    width: usize,
    big_endian: bool,
    /// The bytes of an incomplete unit.
    rest: Vec<u8>,
    /// The first half of a surrogate pair.
    high: Option<u32>,
}

impl Decoder {
    /// The number of bytes that show the encoding.
    pub(crate) const HEAD: usize = 4;

    /// The decoder for a text that begins with `head`; `None` if it has one byte for each ASCII
    /// character. The byte order mark may be missing: a row begins with ASCII.
    pub(crate) fn of(head: &[u8]) -> Option<Decoder> {
        let ascii = |b: u8| b.is_ascii_graphic() || b.is_ascii_whitespace();
        let (width, big_endian) = match *head {
            [0xff, 0xfe, 0, 0, ..] => (4, false),
            [0, 0, 0xfe, 0xff, ..] => (4, true),
            [0xff, 0xfe, ..] => (2, false),
            [0xfe, 0xff, ..] => (2, true),
            [a, 0, 0, 0, ..] if ascii(a) => (4, false),
            [0, 0, 0, a, ..] if ascii(a) => (4, true),
            [a, 0, b, 0, ..] if ascii(a) && ascii(b) => (2, false),
            [0, a, 0, b, ..] if ascii(a) && ascii(b) => (2, true),
            _ => return None,
        };
        Some(Decoder { width, big_endian, rest: Vec::new(), high: None })
    }

    /// Appends the text of `bytes` to `text`, as UTF-8.
    pub(crate) fn decode(&mut self, mut bytes: &[u8], text: &mut Vec<u8>) {
        if !self.rest.is_empty() {
            let missing = (self.width - self.rest.len()).min(bytes.len());
            self.rest.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            if self.rest.len() < self.width {
                return;
            }
            let unit = std::mem::take(&mut self.rest);
            self.take(&unit, text);
        }
        let units = bytes.chunks_exact(self.width);
        self.rest.extend_from_slice(units.remainder());
        units.for_each(|unit| self.take(unit, text));
    }

    fn take(&mut self, unit: &[u8], text: &mut Vec<u8>) {
        let join = |value: u32, byte: &u8| value << 8 | u32::from(*byte);
        let value = match self.big_endian {
            true => unit.iter().fold(0, join),
            false => unit.iter().rev().fold(0, join),
        };
        let value = match (self.high.take(), value) {
            (None, 0xd800..=0xdbff) => {
                self.high = Some(value);
                return;
            }
            (Some(high), 0xdc00..=0xdfff) => 0x10000 + ((high - 0xd800) << 10) + (value - 0xdc00),
            // A mark of the byte order is no part of the text.
            (_, 0xfeff) => return,
            (_, value) => value,
        };
        push_char(value, text);
    }
}

/// Appends a character; one that does not exist becomes U+FFFD.
pub(super) fn push_char(value: u32, text: &mut Vec<u8>) {
    let character = char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
    text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}
