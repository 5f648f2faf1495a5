//! The fast path for fields that have the names of the row before: it compares a whole name, and
//! parses eight digits at a time.
//!
//! All other fields go to the general parser, with which this one agrees (tests change the byte at
//! every position).

use super::{Fields, Form, Key, NAME_WIDTH};

/// The lines of a row's fields, as far as they begin in the same column as all others.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    /// The number of the shape plus 1; 0 if there is none yet.
    shape: u32,
    /// The first bytes of each line, with the name, colon and blanks.
    lines: Vec<Option<(Head, Key)>>,
}

type Head = [u8; NAME_WIDTH];

/// The length of a line with a size: the name, eight digits, ` kB` and the line feed.
const SIZE_LINE: usize = NAME_WIDTH + 8 + 4;

impl Fields {
    /// Takes the lines at the front of a text that have the names of the row before and short
    /// numbers, as fields of row number `row`. Returns their number and their length in bytes.
    pub(crate) fn push_quick(&mut self, row: usize, text: &[u8]) -> (u64, usize) {
        self.begin(row);
        let Some(shape) = self.rows.last().map(|last| last.shape) else { return (0, 0) };
        if self.expected.shape != shape + 1 {
            self.expect(shape);
        }
        let (mut lines, mut length) = (0, 0);
        let left = self.expected.lines.get(self.open.len()..).unwrap_or_default();
        for line in left {
            let Some((head, key)) = line else { break };
            let Some((number, end)) = quick_field(head, key.form, &text[length..]) else { break };
            self.open.push(*key);
            self.values.push(number);
            length += end;
            lines += 1;
        }
        (lines, length)
    }

    /// Sets the lines to those of a shape.
    #[cold]
    fn expect(&mut self, shape: u32) {
        let keys = self.shapes.get(shape as usize).map_or(&[][..], |shape| &shape.keys);
        let line = |key: &Key| {
            let name = self.names.get(key.name);
            let mut head = [b' '; NAME_WIDTH];
            head.get_mut(..name.len())?.copy_from_slice(name);
            *head.get_mut(name.len())? = b':';
            matches!(key.form, Form::Kib | Form::Number).then_some((head, *key))
        };
        self.expected.lines.clear();
        self.expected.lines.extend(keys.iter().map(line));
        self.expected.shape = shape + 1;
    }
}

/// Parses the line at the front of a text if it begins so; returns the number and the length of the
/// line with its line feed.
#[inline]
fn quick_field(head: &Head, form: Form, text: &[u8]) -> Option<(u64, usize)> {
    let line: &[u8; SIZE_LINE] = text.first_chunk()?;
    if line[..NAME_WIDTH] != head[..] {
        return None;
    }
    if form == Form::Kib {
        let digits = line[NAME_WIDTH..].first_chunk()?;
        return (line[NAME_WIDTH + 8..] == *b" kB\n")
            .then(|| Some((padded(*digits)?, SIZE_LINE)))?;
    }
    // So few digits are not padded.
    let digits = line[NAME_WIDTH..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..8).contains(&digits) || line[NAME_WIDTH + digits] != b'\n' {
        return None;
    }
    Some((super::number(&line[NAME_WIDTH..NAME_WIDTH + digits])?, NAME_WIDTH + digits + 1))
}

const ONES: u64 = 0x0101_0101_0101_0101;

/// Parses a number of up to eight digits with blanks before it and without leading zeros.
#[inline]
fn padded(text: [u8; 8]) -> Option<u64> {
    // The most frequent number.
    if text == *b"       0" {
        return Some(0);
    }
    // Blanks become zero, digits 0x10 to 0x19; the first byte is the lowest one.
    let text = u64::from_le_bytes(text) ^ (ONES * 0x20);
    let blanks = text.trailing_zeros() / 8;
    let digits = text.checked_shr(8 * blanks)?;
    // A zero before other digits.
    if digits & 0xff == 0x10 && blanks < 7 {
        return None;
    }
    // All bytes behind the blanks must be digits.
    let digits = digits ^ ((ONES * 0x10) >> (8 * blanks));
    if (digits | digits.wrapping_add(ONES * 0x76)) & (ONES * 0x80) != 0
        || digits & (ONES * 0xf0) != 0
    {
        return None;
    }
    let text = digits << (8 * blanks);
    let pairs = text.wrapping_mul(10).wrapping_add(text >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::super::number;
    use super::*;
    use crate::MapsReader;

    #[test]
    fn eight_digits_at_once_are_digits_one_by_one() {
        let texts =
            ["       0", "       7", "      10", "   65532", "12345678", "99999999", "        "];
        for text in texts.map(str::as_bytes) {
            for place in 0..8 {
                for byte in 0..=255u8 {
                    let mut text: [u8; 8] = text.try_into().unwrap();
                    text[place] = byte;
                    let blanks = text.iter().take_while(|byte| **byte == b' ').count();
                    assert_eq!(padded(text), number(&text[blanks..]), "{}", text.escape_ascii());
                }
            }
        }
    }

    /// The fields of the last row are taken in one go, and byte by byte, which is never quick.
    #[test]
    fn quick_and_patient_readers_agree() {
        let row = "7f0000000000-7f0000001000 rw-p 00000000 00:00 0 \n";
        let fields = "Size:                  4 kB\nRss:              65532 kB\n\
                      Shared_Hugetlb:        0 kB\nTHPeligible:    0\nVmFlags: rd wr \n";
        let begin = row.to_owned()
            + fields
            + &row.replace("0000000-7", "0001000-7").replace("1000 rw", "2000 rw");
        let seen = |text: &[u8], step: usize| {
            let mut reader = MapsReader::default();
            text.chunks(step).for_each(|part| reader.push(part));
            let maps = reader.finish();
            let fields = (0..maps.len()).map(|index| maps.fields(index).collect::<Vec<_>>());
            format!("{:?} {:?}", fields.collect::<Vec<_>>(), maps.warnings())
        };
        for place in 0..fields.len() {
            for &byte in b" 059:kBsz_-/\t\r\n\0\xff" {
                let mut text = begin.clone().into_bytes();
                let mut changed = fields.as_bytes().to_vec();
                changed[place] = byte;
                text.extend_from_slice(&changed);
                text.extend_from_slice(row.replace('7', "8").as_bytes());
                assert_eq!(seen(&text, usize::MAX), seen(&text, 1), "{}", changed.escape_ascii());
            }
        }
    }
}
