//! Encodes the numbers and strings of a recording as bytes.
//!
//! Numbers are LEB128: seven bits per byte, the lowest first, the top bit set in all but the last.

/// Writes encoded values.
pub trait Put {
    /// Writes a number, 7 bits per byte, the lowest first.
    fn put(&mut self, value: u64);

    /// Writes a signed number; small magnitudes of both signs take few bytes.
    fn put_signed(&mut self, value: i64);

    /// Writes the length of `bytes` and then `bytes`.
    fn put_bytes(&mut self, bytes: &[u8]);

    /// Writes an address as the distance from `near`, which the reader knows. The offset within
    /// the page moves to the top bits, so distances of whole pages are small numbers.
    fn put_address(&mut self, address: u64, near: u64);
}

impl Put for Vec<u8> {
    #[inline]
    fn put(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }

    #[inline]
    fn put_signed(&mut self, value: i64) {
        self.put((value << 1 ^ value >> 63) as u64);
    }

    fn put_bytes(&mut self, bytes: &[u8]) {
        self.put(bytes.len() as u64);
        self.extend_from_slice(bytes);
    }

    #[inline]
    fn put_address(&mut self, address: u64, near: u64) {
        let distance = address.rotate_right(12).wrapping_sub(near.rotate_right(12));
        self.put_signed(distance as i64);
    }
}

/// Reads what [`Put`] wrote. Each method returns `None` if the bytes end or are invalid.
#[derive(Clone, Debug)]
pub struct Take<'a>(pub &'a [u8]);

impl<'a> Take<'a> {
    /// The next byte.
    #[inline]
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// The next number.
    #[inline]
    pub fn uint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// The next signed number.
    #[inline]
    pub fn signed(&mut self) -> Option<i64> {
        let value = self.uint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The next number, if it fits 32 bits.
    pub fn u32(&mut self) -> Option<u32> {
        u32::try_from(self.uint()?).ok()
    }

    /// The next byte, if it is 0 or 1.
    pub fn bool(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// The next byte string.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.uint()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// The next address, encoded as the distance from `near`.
    #[inline]
    pub fn address(&mut self, near: u64) -> Option<u64> {
        let distance = self.signed()? as u64;
        Some(near.rotate_right(12).wrapping_add(distance).rotate_left(12))
    }

    /// The next count of items. Each item takes at least one byte, so a count above the number of
    /// bytes left is invalid; this bounds what readers allocate.
    pub fn count(&mut self) -> Option<usize> {
        usize::try_from(self.uint()?).ok().filter(|count| *count <= self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let numbers = [0, 1, 0x7f, 0x80, 0x1000, 0x7fff_ffff_f000, u64::MAX];
        for &a in &numbers {
            for &b in &numbers {
                let mut bytes = Vec::new();
                bytes.put(a);
                bytes.put_signed(b as i64);
                bytes.put_address(a, b);
                bytes.put_bytes(b"name");
                let mut take = Take(&bytes);
                assert_eq!(take.uint(), Some(a));
                assert_eq!(take.signed(), Some(b as i64));
                assert_eq!(take.address(b), Some(a));
                assert_eq!(take.bytes(), Some(b"name".as_slice()));
                assert_eq!(take.byte(), None);
            }
        }
    }

    #[test]
    fn what_cannot_be_is_nothing() {
        assert_eq!(Take(&[0x80; 20]).uint(), None);
        assert_eq!(Take(&[0x80]).uint(), None);
        assert_eq!(Take(&[3, b'a']).bytes(), None);
        assert_eq!(Take(&[2]).bool(), None);
        assert_eq!(Take(&[9, 0]).count(), None);
    }
}
