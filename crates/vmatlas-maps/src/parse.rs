//! Parses rows from bytes, without allocating.

mod quick;

pub(crate) use quick::quick_row;

use crate::mapping::{Device, Mapping, Perms};
use crate::range::AddressRange;
use std::fmt;

/// The kinds of errors in a row.
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
    /// The byte after the inode is not a blank.
    AfterInode,
    /// The size of a row of a tombstone is not that of its range, or the row was cut.
    Size,
    /// The line is longer than [`MAX_LINE`](crate::MAX_LINE) bytes.
    TooLong,
}

impl fmt::Display for RowErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RowErrorKind::Start => "a row begins with a hexadecimal address and `-`",
            RowErrorKind::End => "the end must be a hexadecimal address with a blank after it",
            RowErrorKind::EndBelowStart => "the end lies below the start",
            RowErrorKind::Perms => "four permissions and a blank are expected, like r-xp",
            RowErrorKind::Offset => {
                "a hexadecimal offset of at most 64 bits and a blank are expected"
            }
            RowErrorKind::Device => {
                "a device of two hexadecimal numbers and a blank are expected, like fe:00"
            }
            RowErrorKind::Inode => "a decimal inode of at most 64 bits is expected",
            RowErrorKind::AfterInode => "a blank must follow the inode",
            RowErrorKind::Size => {
                "a row of a tombstone has an offset, and the size of its range: one is damaged or cut"
            }
            RowErrorKind::TooLong => "the line is too long to be a row",
        })
    }
}

/// A row that cannot be parsed: the error and its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RowError {
    /// The kind of error.
    pub kind: RowErrorKind,
    /// The column in bytes, counted from 1.
    pub column: u32,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.kind)
    }
}

impl std::error::Error for RowError {}

/// Parses one row; `line` is without its line feed. Allocates nothing.
///
/// Accepts every format that kernels have printed, and variants of other producers (unpadded
/// addresses, no blank after the inode, other columns). The name extends from its column to the
/// end of the line. That is column 73 if the fields before leave room for it and only blanks
/// stand before it, else the first non-blank byte (no kernel prints a name that begins with a
/// blank).
///
/// # Errors
/// [`RowError`] with the first invalid field and its column.
pub fn parse_row(line: &[u8]) -> Result<Mapping<'_>, RowError> {
    match quick_row(line) {
        Some((row, len)) if len == line.len() => Ok(row),
        _ => patient_row(line),
    }
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
    Ok(Mapping { range: AddressRange::new(start, end), perms, offset, device, inode, name })
}

/// Parses the inode at `at`, and the name after it.
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
        // The line ends here: a Windows copy of a row without a trailing blank.
        Some(b'\r') if at + 1 == line.len() => {}
        Some(_) => return Err(error(RowErrorKind::AfterInode, at)),
    }
    Ok((inode, &line[name_start(line, at)..]))
}

const NAME_COLUMN: usize = crate::WordSize::Bits64.name_column();

/// The start of the name in a line whose inode ends at `inode_end`.
fn name_start(line: &[u8], inode_end: usize) -> usize {
    let mut at = inode_end;
    while line.get(at..at + 8) == Some(b"        ") {
        at += 8;
    }
    skip_blanks(line, &mut at);
    // The first non-blank lies right of the column, so the name itself begins with blanks. If the
    // inode reaches column 72, the kernel writes two blanks and ignores the column.
    if at > NAME_COLUMN && inode_end < NAME_COLUMN - 1 && at < line.len() {
        NAME_COLUMN
    } else {
        at
    }
}

/// Parses a hexadecimal number of up to 64 bits and skips the byte `end` that must follow it.
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

/// Parses the rows of a whole text: one item for each line that is not blank, in order.
///
/// ```
/// let text = b"1000-2000 r--p 00000000 00:00 0 \nnonsense\n2000-3000 rw-p 00000000 00:00 0 \n";
/// let (good, bad): (Vec<_>, Vec<_>) = vmatlas_maps::rows(text).partition(|row| row.is_ok());
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

/// Parses the next line that is not blank.
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
        // The inode ends in column 72: two blanks follow, and the name begins in column 74.
        let long = "7f0000000000-7f0000001000 r--p 1234567890abcdef fe:00 123456789012345678";
        assert_eq!(long.len(), 72);
        assert_eq!(name(&format!("{long}  /a")), "/a");
    }
}
