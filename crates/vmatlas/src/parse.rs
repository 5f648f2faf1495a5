//! Rows from bytes, without allocating.

use crate::mapping::{AddressRange, Device, Mapping, Perms};
use std::fmt;

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RowErrorKind {
    /// The line does not begin with a hexadecimal address and a `-`.
    Start,
    /// No hexadecimal address and blank follow the `-`.
    End,
    /// The end lies below the start.
    EndBelowStart,
    /// The permissions are not four printable characters.
    Perms,
    /// The offset is not a hexadecimal number.
    Offset,
    /// The device is not two hexadecimal numbers with a `:` between.
    Device,
    /// The inode is not a decimal number.
    Inode,
    /// The inode is followed by something else than a blank.
    AfterInode,
    /// The line is longer than [`MAX_LINE`](crate::MAX_LINE) bytes.
    TooLong,
}

impl fmt::Display for RowErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RowErrorKind::Start => "a row begins with a hexadecimal address and `-`",
            RowErrorKind::End => "the end must be a hexadecimal address with a blank after it",
            RowErrorKind::EndBelowStart => "the end lies below the start",
            RowErrorKind::Perms => "the permissions must be four characters, like r-xp",
            RowErrorKind::Offset => "the offset must be a hexadecimal number",
            RowErrorKind::Device => "the device must be two hexadecimal numbers, like fe:00",
            RowErrorKind::Inode => "the inode must be a decimal number",
            RowErrorKind::AfterInode => "a blank must follow the inode",
            RowErrorKind::TooLong => "the line is too long to be a row",
        })
    }
}

/// A row that cannot be taken: what is wrong, and where in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("column {column}: {kind}")]
pub struct RowError {
    /// What is wrong.
    pub kind: RowErrorKind,
    /// The column in bytes, counted from 1.
    pub column: u32,
}

/// Parses one row; `line` is without its line feed. Allocates nothing.
///
/// Takes what any kernel has printed and what other producers print for it (unpadded
/// addresses, no blank after the inode, other columns). The name is every byte from the
/// name's column to the end: column 73 where the fields before it leave room for that and
/// only blanks stand before it, else the first byte that is no blank (no kernel prints a name
/// that begins with one).
///
/// # Errors
/// The first field that is wrong, with its column.
pub fn parse_row(line: &[u8]) -> Result<Mapping<'_>, RowError> {
    if let Some((row, len)) = quick_row(line)
        && len == line.len()
    {
        return Ok(row);
    }
    patient_row(line)
}

/// [`parse_row`] for fields of any width.
fn patient_row(line: &[u8]) -> Result<Mapping<'_>, RowError> {
    let mut at = 0;
    let start = hexadecimal(line, &mut at, b'-', RowErrorKind::Start)?;
    let end = hexadecimal(line, &mut at, b' ', RowErrorKind::End)?;
    if end < start {
        return Err(error(RowErrorKind::EndBelowStart, 0));
    }
    skip_blanks(line, &mut at);
    let perms = match line.get(at..at + 5) {
        Some(&[r, w, x, p, b' ']) if [r, w, x, p].iter().all(u8::is_ascii_graphic) => {
            Perms([r, w, x, p])
        }
        _ => return Err(error(RowErrorKind::Perms, at)),
    };
    at += 5;
    skip_blanks(line, &mut at);
    let offset = hexadecimal(line, &mut at, b' ', RowErrorKind::Offset)?;
    skip_blanks(line, &mut at);
    let device_at = at;
    let major = hexadecimal(line, &mut at, b':', RowErrorKind::Device)?;
    let minor = hexadecimal(line, &mut at, b' ', RowErrorKind::Device)?;
    let device = match (u32::try_from(major), u32::try_from(minor)) {
        (Ok(major), Ok(minor)) => Device { major, minor },
        _ => return Err(error(RowErrorKind::Device, device_at)),
    };
    skip_blanks(line, &mut at);
    let (inode, name) = inode_and_name(line, at)?;
    Ok(Mapping { range: AddressRange { start, end }, perms, offset, device, inode, name })
}

/// The inode that begins at `at`, and the name behind it.
fn inode_and_name(line: &[u8], mut at: usize) -> Result<(u64, &[u8]), RowError> {
    let inode_at = at;
    let mut inode = 0u64;
    while let Some(digit) = line.get(at).map(|b| b.wrapping_sub(b'0')).filter(|&d| d < 10) {
        inode = inode
            .checked_mul(10)
            .and_then(|n| n.checked_add(u64::from(digit)))
            .ok_or(error(RowErrorKind::Inode, inode_at))?;
        at += 1;
    }
    if at == inode_at {
        return Err(error(RowErrorKind::Inode, at));
    }
    match line.get(at) {
        None => return Ok((inode, b"")),
        Some(b' ') => {}
        // The end of a line of a Windows copy, whose row has no blank at its end.
        Some(b'\r') if at + 1 == line.len() => {}
        Some(_) => return Err(error(RowErrorKind::AfterInode, at)),
    }
    Ok((inode, &line[name_start(line, at)..]))
}

const NAME_COLUMN: usize = crate::WordSize::Bits64.name_column();

/// Where the name begins in a line whose inode ends at `inode_end`.
fn name_start(line: &[u8], inode_end: usize) -> usize {
    let mut at = inode_end;
    while line.get(at..at + 8) == Some(b"        ") {
        at += 8;
    }
    skip_blanks(line, &mut at);
    // Further right than the column: the name itself begins with blanks. With an inode that
    // reaches column 72 the kernel puts two blanks and no column.
    if at > NAME_COLUMN && inode_end < NAME_COLUMN - 1 && at < line.len() {
        NAME_COLUMN
    } else {
        at
    }
}

/// The row at the front of a text and the length of its line, if its fields stand where nearly
/// every row of a 64-bit process has them, which lets eight digits be read at once.
///
/// None for any other row, bad ones included: those are for [`parse_row`], with which this agrees.
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
    let range = AddressRange {
        start: (start << 4 | last >> 28) << 12,
        end: (end << 4 | last >> 24 & 0xf) << 12,
    };
    let offset = (last & 0xff_ffff) << 12;
    let perms = [fields[26], fields[27], fields[28], fields[29]];
    if bad != 0 || range.end < range.start || !perms.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let perms = Perms(perms);
    const ANONYMOUS: &[u8] = b" 00:00 0 \n";
    if text[39..].starts_with(ANONYMOUS) {
        let device = Device::default();
        return Some((Mapping { range, perms, offset, device, inode: 0, name: b"" }, 48));
    }
    // A device of two or three and two digits.
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
        // A name that begins with blanks is for the patient reader.
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

/// Eight bytes; the first one is the highest.
#[inline]
fn word(fields: &[u8; 48], at: usize) -> u64 {
    u64::from_be_bytes(*fields[at..].first_chunk().expect("inside of the fields"))
}

/// The number that eight lower-case hexadecimal digits stand for; `bad` is set where one is none.
#[inline]
fn hexadecimal_8(text: u64, bad: &mut u64) -> u64 {
    // The low half of a byte is the digit, and letters (bit 6) add nine.
    let digits = (text & (ONES * 0x0f)) + ((text >> 6) & ONES) * 9;
    let letters = ((digits + ONES * 6) >> 4) & ONES;
    // Written back they must be what was read, else one was no digit.
    *bad |= digits & (ONES * 0xf0) | (digits + ONES * 0x30 + letters * 39) ^ text;
    let pairs = (digits | digits >> 4) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    (fours | fours >> 16) & 0xffff_ffff
}

/// The inode at `at` if it has up to 16 digits and only blanks stand between it and the column of
/// the name.
#[inline]
fn short_inode(text: &[u8], at: usize) -> Option<u64> {
    let fields: &[u8; NAME_COLUMN] = text.first_chunk()?;
    // Here the first byte is the lowest. Blanks become zero, digits 0x10 to 0x19.
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

/// The number in a word of one to eight digits and then zeros, and how many digits those are.
#[inline]
fn decimal_8(text: u64) -> Option<(u64, u32)> {
    let digits = ((text.wrapping_sub(ONES) & !text & (ONES * 0x80)).trailing_zeros() / 8).min(8);
    if digits == 0 || text.checked_shr(digits * 8).unwrap_or(0) != 0 {
        return None;
    }
    // Aligned to the end, with zeros before.
    let text = (text ^ (ONES * 0x10)) << (64 - digits * 8);
    if (text | text.wrapping_add(ONES * 0x76)) & (ONES * 0x80) != 0 {
        return None;
    }
    let pairs = text.wrapping_mul(10).wrapping_add(text >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    Some((fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff, digits))
}

/// A hexadecimal number of up to 64 bits and the byte that must follow it, which is skipped.
fn hexadecimal(line: &[u8], at: &mut usize, end: u8, kind: RowErrorKind) -> Result<u64, RowError> {
    let from = *at;
    let mut value = 0u64;
    while let Some(digit) = line.get(*at).and_then(|&b| digit(b)) {
        if value >> 60 != 0 {
            return Err(error(kind, from));
        }
        value = value << 4 | u64::from(digit);
        *at += 1;
    }
    if *at == from || line.get(*at) != Some(&end) {
        return Err(error(kind, *at));
    }
    *at += 1;
    Ok(value)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn skip_blanks(line: &[u8], at: &mut usize) {
    while line.get(*at) == Some(&b' ') {
        *at += 1;
    }
}

fn error(kind: RowErrorKind, at: usize) -> RowError {
    RowError { kind, column: u32::try_from(at).unwrap_or(u32::MAX).saturating_add(1) }
}

/// The rows of a whole text: an item for each line that is not blank, in order.
///
/// ```
/// let text = b"1000-2000 r--p 00000000 00:00 0 \nnonsense\n2000-3000 rw-p 00000000 00:00 0 \n";
/// let (good, bad): (Vec<_>, Vec<_>) = vmatlas::rows(text).partition(|row| row.is_ok());
/// assert_eq!((good.len(), bad.len()), (2, 1));
/// ```
pub fn rows(text: &[u8]) -> impl Iterator<Item = Result<Mapping<'_>, RowError>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if let Some((row, len)) = quick_row(rest) {
            rest = rest.get(len + 1..).unwrap_or_default();
            return Some(Ok(row));
        }
        patient_next(&mut rest)
    })
}

/// The row of the next line that is not blank.
#[cold]
fn patient_next<'a>(rest: &mut &'a [u8]) -> Option<Result<Mapping<'a>, RowError>> {
    loop {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let (line, after) = rest.split_at_checked(end)?;
        if !line.is_empty() {
            *rest = after.get(1..).unwrap_or_default();
            return Some(parse_row(line));
        }
        *rest = after.get(1..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(line: &str) -> (RowErrorKind, u32) {
        let error = parse_row(line.as_bytes()).unwrap_err();
        (error.kind, error.column)
    }

    #[test]
    fn errors_name_the_column() {
        assert_eq!(fails(""), (RowErrorKind::Start, 1));
        assert_eq!(fails("address           perms"), (RowErrorKind::Start, 4));
        assert_eq!(fails("1000"), (RowErrorKind::Start, 5));
        assert_eq!(fails("11112222333344445-2 "), (RowErrorKind::Start, 1));
        assert_eq!(fails("1000-200z rw-p"), (RowErrorKind::End, 9));
        assert_eq!(fails("2000-1000 rw-p 0 0:0 0"), (RowErrorKind::EndBelowStart, 1));
        assert_eq!(fails("1000-2000 rw-"), (RowErrorKind::Perms, 11));
        assert_eq!(fails("1000-2000 rw-pp 0"), (RowErrorKind::Perms, 11));
        assert_eq!(fails("1000-2000 rw-p 0x10 0:0 0"), (RowErrorKind::Offset, 17));
        assert_eq!(fails("1000-2000 rw-p 0 00 0"), (RowErrorKind::Device, 20));
        assert_eq!(fails("1000-2000 rw-p 0 123456789:0 0"), (RowErrorKind::Device, 18));
        assert_eq!(fails("1000-2000 rw-p 0 0:0 x"), (RowErrorKind::Inode, 22));
        assert_eq!(fails("1000-2000 rw-p 0 0:0 18446744073709551616"), (RowErrorKind::Inode, 22));
        assert_eq!(fails("1000-2000 rw-p 0 0:0 7/x"), (RowErrorKind::AfterInode, 23));
    }

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
            // Every byte at every place but inside of the name.
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

    #[test]
    fn a_name_begins_at_its_column_or_at_the_first_byte_that_is_no_blank() {
        let name = |line: &str| {
            String::from_utf8_lossy(parse_row(line.as_bytes()).unwrap().name).into_owned()
        };
        let header = "7f0000000000-7f0000001000 r--p 00000000 fe:00 1";
        assert_eq!(name(&format!("{header:73}/a ")), "/a ");
        assert_eq!(name(&format!("{header:73}  lead")), "  lead");
        assert_eq!(name(&format!("{header} /a  b")), "/a  b");
        assert_eq!(name(&format!("{header:60}/narrow")), "/narrow");
        assert_eq!(name(header), "");
        assert_eq!(name(&format!("{header}       ")), "");
        // An inode that ends in column 72: two blanks, and the name begins in column 74.
        let long = "7f0000000000-7f0000001000 r--p 1234567890abcdef fe:00 123456789012345678";
        assert_eq!(long.len(), 72);
        assert_eq!(name(&format!("{long}  /a")), "/a");
    }
}
