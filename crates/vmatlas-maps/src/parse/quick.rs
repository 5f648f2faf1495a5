//! The fast path for the rows of nearly all processes: it parses eight digits at a time.
//!
//! All other rows go to the general parser, with which this one agrees (tests change every byte
//! at every position).

use super::{NAME_COLUMN, inode_and_name};
use crate::mapping::{Device, Mapping, Perms};
use crate::range::AddressRange;

/// Parses the row at the front of a text if its fields are at the columns of nearly every 64-bit
/// process, so that eight digits can be read at once. Returns the row and the length of its line.
///
/// Returns `None` for any other row, including invalid ones: [`parse_row`] handles those.
#[inline]
pub(crate) fn quick_row(text: &[u8]) -> Option<(Mapping<'_>, usize)> {
    // Addresses of 12 digits and an offset of 8, all whole pages.
    let fields: &[u8; 48] = text.first_chunk()?;
    if fields[9..13] != *b"000-"
        || fields[22..26] != *b"000 "
        || fields[30] != b' '
        || fields[36..40] != *b"000 "
    {
        return None;
    }
    let mut bad = 0;
    let start = hexadecimal_8(word(fields, 0), &mut bad);
    let end = hexadecimal_8(word(fields, 13), &mut bad);
    // The last digits of the start and the end, a zero, and five of the offset.
    let last = u64::from_be_bytes([fields[8], fields[21], b'0', 0, 0, 0, 0, 0]);
    let last = hexadecimal_8(last | word(fields, 28) & 0xff_ffff_ffff, &mut bad);
    let start = (start << 4 | last >> 28) << 12;
    let end = (end << 4 | last >> 24 & 0xf) << 12;
    let offset = (last & 0xff_ffff) << 12;
    let perms = [fields[26], fields[27], fields[28], fields[29]];
    if bad != 0 || end < start || !perms.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let range = AddressRange::new(start, end);
    let perms = Perms(perms);
    const ANONYMOUS: &[u8] = b" 00:00 0 \n";
    if text[39..].starts_with(ANONYMOUS) {
        let device = Device::default();
        return Some((Mapping { range, perms, offset, device, inode: 0, name: b"" }, 48));
    }
    // The major number has two or three digits, the minor number two.
    let wide = usize::from(fields[42] != b':');
    let between = (fields[39] ^ b' ') | (fields[42 + wide] ^ b':') | (fields[45 + wide] ^ b' ');
    let mut bad = u64::from(between);
    let major = if wide == 0 { b'0' } else { fields[40] };
    let [major_16, major_1] = [fields[40 + wide], fields[41 + wide]];
    let device = [b'0', b'0', b'0', major, major_16, major_1, fields[43 + wide], fields[44 + wide]];
    let device = hexadecimal_8(u64::from_be_bytes(device), &mut bad) as u32;
    if bad != 0 {
        return None;
    }
    let device = Device { major: device >> 8, minor: device & 0xff };
    let at = 46 + wide;
    if let Some(inode) = short_inode(text, at) {
        let name = &text[NAME_COLUMN..];
        let name = memchr::memchr(b'\n', name).map_or(name, |end| &name[..end]);
        // The general parser handles a name that begins with blanks.
        if name.first() != Some(&b' ') {
            let row = Mapping { range, perms, offset, device, inode, name };
            return Some((row, NAME_COLUMN + name.len()));
        }
    }
    let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |end| at + end);
    let (inode, name) = inode_and_name(&text[..end], at).ok()?;
    Some((Mapping { range, perms, offset, device, inode, name }, end))
}

const ONES: u64 = 0x0101_0101_0101_0101;

/// Loads eight bytes, big-endian.
#[inline]
fn word(fields: &[u8; 48], at: usize) -> u64 {
    u64::from_be_bytes(*fields[at..].first_chunk().expect("inside of the fields"))
}

/// Parses eight lower-case hexadecimal digits; sets bits in `bad` if one is not a digit.
#[inline]
fn hexadecimal_8(text: u64, bad: &mut u64) -> u64 {
    // The low half of a byte is the digit; letters (bit 6) add nine.
    let digits = (text & (ONES * 0x0f)) + ((text >> 6) & ONES) * 9;
    let letters = ((digits + ONES * 6) >> 4) & ONES;
    // Encoding the digits again must yield the input; otherwise a byte was not a digit.
    *bad |= digits & (ONES * 0xf0) | (digits + ONES * 0x30 + letters * 39) ^ text;
    let pairs = (digits | digits >> 4) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    (fours | fours >> 16) & 0xffff_ffff
}

/// Parses the inode at `at` if it has up to 16 digits and only blanks lie between it and the
/// column of the name.
#[inline]
fn short_inode(text: &[u8], at: usize) -> Option<u64> {
    let fields: &[u8; NAME_COLUMN] = text.first_chunk()?;
    // Little-endian. Blanks become zero, digits 0x10 to 0x19.
    let word = |at: usize| Some(u64::from_le_bytes(*fields[at..].first_chunk()?) ^ (ONES * 0x20));
    let (first, second) = (word(at)?, word(at + 8)?);
    let (mut inode, digits) = decimal_8(first)?;
    let mut blanks = word(at + 16)? | word(NAME_COLUMN - 8)?;
    if digits == 8 && second != 0 {
        let (low, digits) = decimal_8(second)?;
        inode = inode * 10u64.pow(digits) + low;
    } else {
        blanks |= second;
    }
    (blanks == 0).then_some(inode)
}

/// Parses a word of one to eight digits followed by zeros; returns the number and its digits.
#[inline]
fn decimal_8(text: u64) -> Option<(u64, u32)> {
    let digits = ((text.wrapping_sub(ONES) & !text & (ONES * 0x80)).trailing_zeros() / 8).min(8);
    if digits == 0 || text.checked_shr(digits * 8).unwrap_or(0) != 0 {
        return None;
    }
    // Shift the digits to the end, with zeros before them.
    let text = (text ^ (ONES * 0x10)) << (64 - digits * 8);
    if (text | text.wrapping_add(ONES * 0x76)) & (ONES * 0x80) != 0 {
        return None;
    }
    let pairs = text.wrapping_mul(10).wrapping_add(text >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    Some((fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff, digits))
}

#[cfg(test)]
mod tests {
    use super::super::{digit, patient_row};
    use super::*;

    #[test]
    fn digits_at_once_are_digits_one_by_one() {
        for byte in 0..=255u8 {
            for place in 0..8 {
                let mut text = *b"09afb7e1";
                text[place] = byte;
                let slow = text.iter().try_fold(0, |n, &b| {
                    Some(n << 4 | u64::from(digit(b).filter(|_| !b.is_ascii_uppercase())?))
                });
                let mut bad = 0;
                let value = hexadecimal_8(u64::from_be_bytes(text), &mut bad);
                assert_eq!(Some(value).filter(|_| bad == 0), slow, "{text:?}");
            }
        }
    }

    #[test]
    fn inodes_of_every_length_are_read() {
        for digits in 1..=20 {
            let inode = &"12345678901234567890"[..digits];
            let row = format!("7f0000000000-7f0000001000 r--p 00000000 fe:00 {inode:26} /a");
            let read = quick_row(row.as_bytes()).map(|(row, len)| (row.inode, row.name, len));
            assert_eq!(read, Some((inode.parse().unwrap(), &b"/a"[..], row.len())));
        }
    }

    #[test]
    fn quick_and_patient_readers_agree() {
        let rows = [
            &b"7f0000000000-7f0000001000 r--p 00000000 fe:00 12345678                   /a"[..],
            b"7f0000000000-7f0000001000 r--p 00000000 fe:00 123456789                  /a",
            b"7f0000000000-7f0000001000 r--p 00000000 fe:00 1234567890123456           /a",
            b"7f0000000000-7f0000001000 r--p 00000000 fe:00 12345678901234567          /a",
            b"7f0000000000-7f0000001000 r--p 00000000 103:02 0 ",
            b"7f0000000000-7f0000001000 r--p 00000000 103:02 7                        /ab",
        ];
        for row in rows {
            assert!(quick_row(row).is_some());
            // Every byte at every position outside the name.
            for place in 0..row.len().min(74) {
                for byte in 0..=255u8 {
                    let mut text = row.to_vec();
                    text[place] = byte;
                    let quick = quick_row(&text).filter(|&(_, len)| len == text.len());
                    let patient = patient_row(&text);
                    if let Some((quick, _)) = quick {
                        assert_eq!(Ok(quick), patient, "{}", text.escape_ascii());
                    }
                }
            }
        }
    }
}
