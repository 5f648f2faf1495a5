//! Finds rows in other texts: crash logs, bug reports, manual pages.

use crate::mapping::{Device, Mapping, Perms};
use crate::parse::parse_row;
use crate::range::AddressRange;

/// Finds a row in a line with any text before it; returns the row and its position in the line.
///
/// Accepts rows as kernels print them and those of an Android tombstone. Stricter than
/// [`parse_row`]: the permissions must be valid letters.
pub fn find_row(line: &[u8]) -> Option<(Mapping<'_>, usize)> {
    find_row_from(line, 0)
}

/// [`find_row`], from a position of the line on.
pub(crate) fn find_row_from(line: &[u8], from: usize) -> Option<(Mapping<'_>, usize)> {
    memchr::memchr_iter(b'-', line.get(from..)?)
        .find_map(|dash| row_around(line, from, from + dash))
}

/// The row that a line begins with.
pub(crate) fn row_at_start(line: &[u8]) -> Option<Mapping<'_>> {
    let dash = line.iter().take(32).position(|&b| b == b'-')?;
    row_around(line, 0, dash).filter(|&(_, start)| start == 0).map(|(row, _)| row)
}

/// The row whose addresses have that dash between them, if it begins at or behind `from`.
fn row_around(line: &[u8], from: usize, dash: usize) -> Option<(Mapping<'_>, usize)> {
    // No address is longer than that.
    let digits = line[from..dash].iter().rev().take(40).take_while(|&&b| address_byte(b)).count();
    let start = dash - digits;
    if digits == 0 || !is_clear(&line[..start]) {
        return None;
    }
    let row = &line[start..];
    // Most text around a dash is not a row; reject it early.
    let end = line[dash + 1..].iter().take(40).take_while(|&&b| address_byte(b)).count();
    let mut behind = line[dash + 1 + end..].trim_ascii_start();
    while let Some(rest) = behind.strip_prefix(b"\xc2\xa0") {
        behind = rest.trim_ascii_start();
    }
    // A tombstone has three permission letters.
    let letter = |p| if p == b' ' { b'?' } else { p };
    let perms = behind.first_chunk().map(|&[r, w, x, p]| Perms([r, w, x, letter(p)]));
    if end == 0 || !perms.is_some_and(plausible) {
        return None;
    }
    let mapping = match parse_row(row) {
        Ok(mapping) => Some(mapping).filter(|m| plausible(m.perms)),
        Err(_) => tombstone_row(row).or_else(|| other_blanks_row(row)),
    };
    mapping.map(|mapping| (mapping, start))
}

/// Whether a number may begin behind this text. `grep` writes file names and line numbers, with
/// `:` or `-` behind them.
fn is_clear(before: &[u8]) -> bool {
    match before.last() {
        None => true,
        // `cat -A` writes this for a tab.
        Some(b'I') if before.ends_with(b"^I") => true,
        Some(b) if b.is_ascii_alphanumeric() || b"_./".contains(b) => false,
        Some(b':') => true,
        Some(b'-') => {
            let name = &before[..before.len() - 1];
            let digits = name.iter().rev().take_while(|b| b.is_ascii_digit()).count();
            let before = &name[..name.len() - digits];
            name.is_empty() || digits > 0 && before.last().is_none_or(|b| b"-:".contains(b))
        }
        Some(_) => true,
    }
}

/// Parses a row with tabs or unbreakable blanks instead of blanks between its fields.
fn other_blanks_row(row: &[u8]) -> Option<Mapping<'_>> {
    let blank = |rest: &[u8]| match rest {
        [b' ' | b'\t', ..] => 1,
        [0xc2, 0xa0, ..] => 2,
        _ => 0,
    };
    let mut header = [b' '; 160];
    let mut length = 0;
    let mut at = 0;
    for field in 0..5 {
        if field > 0 {
            length += 1;
        }
        while let Some(&byte) = row.get(at).filter(|_| blank(&row[at..]) == 0) {
            *header.get_mut(length)? = byte;
            length += 1;
            at += 1;
        }
        while blank(&row[at..]) > 0 {
            at += blank(&row[at..]);
        }
    }
    let mapping = parse_row(header.get(..length)?).ok().filter(|m| plausible(m.perms))?;
    let Mapping { range, perms, offset, device, inode, .. } = mapping;
    Some(Mapping { range, perms, offset, device, inode, name: &row[at..] })
}

/// Whether a line begins like a row but is not valid, as a damaged one.
pub(crate) fn begins_like_a_row(line: &[u8]) -> bool {
    let number = |text: &[u8]| text.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let start = number(line);
    let end = line.get(start + 1..).map_or(0, number);
    // Shorter numbers are a date or page numbers.
    start >= 6 && end >= 6 && line[start] == b'-'
}

/// Where a row begins in a line that is not valid, with any text before it: two addresses of six
/// digits or more, and permissions.
pub(crate) fn broken_row(line: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'-', line).find_map(|dash| {
        let digits = |text: &mut dyn Iterator<Item = &u8>| {
            text.take(40).take_while(|b| b.is_ascii_hexdigit()).count()
        };
        let start = dash - digits(&mut line[..dash].iter().rev());
        let end = dash + 1 + digits(&mut line[dash + 1..].iter());
        let perms = line.get(end..end + 5)?.strip_prefix(b" ")?.first_chunk::<4>()?;
        let is_row = dash - start >= 6
            && end - dash > 6
            && plausible(Perms(*perms))
            && perms[3] != b'?'
            && is_clear(&line[..start]);
        is_row.then_some(start)
    })
}

/// The text that stands before a row, as in a log, a mail or an indented text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prefix(Vec<u8>);

impl Prefix {
    /// The longest one: a path and a time.
    const MAX: usize = 4096 + 256;

    pub(crate) fn set(&mut self, before: &[u8]) {
        self.0.clear();
        self.0.extend_from_slice(before.get(..Self::MAX).map_or(before, |_| b""));
    }

    /// Where the text behind such a prefix begins. Numbers may differ: times, lines.
    pub(crate) fn end_in(&self, line: &[u8]) -> Option<usize> {
        if self.0.iter().all(|b| b" \t>".contains(b)) {
            // Levels of quotes; blanks may differ.
            let quotes = |text: &[u8]| text.iter().filter(|b| **b == b'>').count();
            let end = line.iter().take_while(|b| b" \t>".contains(b)).count();
            return (end > 0 && quotes(&line[..end]) == quotes(&self.0)).then_some(end);
        }
        self.walk(line).ok()
    }

    /// Whether a line is the beginning of the prefix.
    pub(crate) fn begins_with(&self, line: &[u8]) -> bool {
        !line.is_empty() && self.walk(line).is_err_and(|is_at_end| is_at_end)
    }

    /// The position in the line behind the prefix, or whether the line ends before it.
    fn walk(&self, line: &[u8]) -> Result<usize, bool> {
        let number = |text: &[u8], at: usize| {
            let blanks = text[at..].iter().take_while(|&&b| b == b' ').count();
            let digits = text[at + blanks..].iter().take_while(|b| b.is_ascii_digit()).count();
            (digits > 0).then_some(at + blanks + digits)
        };
        let (mut at, mut in_line) = (0, 0);
        while let Some(&byte) = self.0.get(at) {
            let Some(&found) = line.get(in_line) else { return Err(true) };
            match (number(&self.0, at), number(line, in_line)) {
                (Some(end), Some(end_in_line)) => (at, in_line) = (end, end_in_line),
                (None, _) if byte == found => (at, in_line) = (at + 1, in_line + 1),
                // grep writes this in lines around those that it found.
                (None, _)
                    if byte == b':'
                        && found == b'-'
                        && line[..in_line].last().is_some_and(u8::is_ascii_digit) =>
                {
                    (at, in_line) = (at + 1, in_line + 1);
                }
                _ => return Err(false),
            }
        }
        Ok(in_line)
    }
}

/// Whether a line has a row of a tombstone that is not valid: its size and end differ, or it was cut
/// behind rows of a tombstone (`is_behind_rows`).
pub(crate) fn is_broken_tombstone_row(line: &[u8], is_behind_rows: bool) -> bool {
    memchr::memchr_iter(b'-', line).any(|dash| {
        let digits = line[..dash].iter().rev().take(40).take_while(|&&b| address_byte(b)).count();
        let start = dash - digits;
        let behind = &line[dash + 1..];
        let end = behind.iter().take(40).take_while(|&&b| address_byte(b)).count();
        // Shorter numbers are a date or page numbers.
        if digits < 6 || !is_clear(&line[..start]) {
            return false;
        }
        let mut at = end;
        let is_blank = skip_blanks(behind, &mut at).is_some();
        let rest = &behind[at..];
        let are_perms = |perms: &[u8]| {
            perms.iter().zip(b"rwx").all(|(perm, letter)| *perm == b'-' || perm == letter)
        };
        if is_blank && end >= 6 && rest.len() > 3 {
            return are_perms(&rest[..3]) && rest[3] == b' ';
        }
        is_behind_rows && (rest.is_empty() || is_blank && rest.len() <= 3 && are_perms(rest))
    })
}

fn address_byte(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || byte == b'\''
}

fn plausible(Perms([r, w, x, p]): Perms) -> bool {
    b"r-".contains(&r) && b"w-".contains(&w) && b"x-".contains(&x) && b"psS-?".contains(&p)
}

/// Parses a row from the memory map of a tombstone, of Android (system/core/debuggerd,
/// libdebuggerd) or xCrash:
/// `7f'12c00000-7f'32bfffff rw-  OFFSET  SIZE  NAME (BuildId: …) (load bias 0x…)`. The end is
/// the last byte; device, inode and the fourth permission are missing.
fn tombstone_row(row: &[u8]) -> Option<Mapping<'_>> {
    let mut at = 0;
    let start = number(row, &mut at)?;
    (row.get(at) == Some(&b'-')).then(|| at += 1)?;
    let end = number(row, &mut at)?;
    skip_blanks(row, &mut at)?;
    let &[r, w, x] = row.get(at..at + 3)? else { return None };
    at += 3;
    let perms = Perms([r, w, x, b'?']);
    skip_blanks(row, &mut at)?;
    let offset = number(row, &mut at)?;
    skip_blanks(row, &mut at)?;
    let size = number(row, &mut at)?;
    // That of xCrash is the first byte behind; the size shows which it is.
    let end = if end.checked_sub(start) == Some(size) { end } else { end.checked_add(1)? };
    if !plausible(perms) || end.checked_sub(start) != Some(size) {
        return None;
    }
    let mut name = match skip_blanks(row, &mut at) {
        Some(()) => &row[at..],
        None if at == row.len() => b"",
        None => return None,
    };
    for note in [b" (load b".as_slice(), b" (BuildId: "] {
        if let Some(at) = memchr::memmem::rfind(name, note).filter(|_| name.ends_with(b")")) {
            name = &name[..at];
        }
    }
    Some(Mapping {
        range: AddressRange::new(start, end),
        perms,
        offset,
        device: Device::default(),
        inode: 0,
        name,
    })
}

/// Parses a hexadecimal number that may have `'` between its halves.
fn number(row: &[u8], at: &mut usize) -> Option<u64> {
    let digits = row[*at..].iter().take_while(|&&b| address_byte(b)).count();
    let text = &row[*at..*at + digits];
    *at += digits;
    let mut value = 0u64;
    for &digit in text.iter().filter(|&&b| b != b'\'') {
        value = value.checked_mul(16)? | u64::from((digit as char).to_digit(16)?);
    }
    (digits > 0).then_some(value)
}

fn skip_blanks(row: &[u8], at: &mut usize) -> Option<()> {
    let blanks = row.get(*at..)?.iter().take_while(|&&b| b == b' ').count();
    *at += blanks;
    (blanks > 0).then_some(())
}

/// Recognises another format that shows a process's memory, for the error message of a reader of
/// maps.
pub fn other_listing(text: &[u8]) -> Option<&'static str> {
    let has = |word: &str| memchr::memmem::find(text, word.as_bytes()).is_some();
    if has("Start Addr") && has("End Addr") {
        Some("gdb's `info proc mappings`")
    } else if has("Address Perm")
        || has("total kB")
        || has(" total ") && has("K r")
        || has("Kbytes")
    {
        Some("the output of pmap")
    } else if has("default anon=") || has("default file=") || has(" kernelpagesize_kB=") {
        Some("/proc/PID/numa_maps")
    } else if has("PERF_RECORD_MMAP") {
        Some("events of perf (`perf script --show-mmap-events`)")
    } else if has("LEGEND: ") && has("Perm") && has("Start") {
        Some("pwndbg's `vmmap`")
    } else if has("Start") && has("End") && has("Offset") && has("Perm") && has("Path") {
        Some("gef's `vmmap`")
    } else if has(" prot 0x") && has(" flags 0x") && has("-0x") {
        Some("the list of VMAs in a log of CRIU")
    } else if has("REGION TYPE") {
        Some("the output of vmmap of macOS")
    } else if has("-0x") && has(") r") && has("[0x") {
        Some("lldb's `memory region`")
    } else if ["%20r--p%20", "%20r-xp%20", "%20rw-p%20", "+r--p+", "+r-xp+", "+rw-p+"]
        .into_iter()
        .any(has)
    {
        Some("rows in a URL or a form (percent-encoded)")
    } else if ["114,45,45,112", "114,45,120,112", "114,119,45,112"].into_iter().any(has)
        || ["114, 45, 45, 112", "114, 45, 120, 112", "114, 119, 45, 112"].into_iter().any(has)
    {
        Some("an array of the bytes of rows")
    } else if text.split(|&b| b == b'\n').take(40).any(is_hex_dump) {
        Some("a hex dump")
    } else if text.split(|&b| b == b'\n').take(40).any(is_base64) {
        Some("rows in base64")
    } else {
        None
    }
}

/// Whether a line is of a dump by xxd, hexdump or od: a number and groups of hexadecimal digits.
fn is_hex_dump(line: &[u8]) -> bool {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let hexadecimal = |word: &[u8]| word.iter().all(u8::is_ascii_hexdigit);
    let offset = words.next().map(|word| word.strip_suffix(b":").unwrap_or(word));
    offset.is_some_and(|word| word.len() >= 6 && hexadecimal(word))
        && words.take(6).filter(|word| hexadecimal(word) && word.len() <= 8).count() == 6
}

/// Whether a line is base64 with a row at its start.
fn is_base64(line: &[u8]) -> bool {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    };
    // A secret of Kubernetes or a variable may stand before it.
    line.split(|b| b" \"':=,".contains(b)).take(20).any(|word| {
        let mut text = Vec::new();
        for group in word.chunks_exact(4).take(20) {
            let mut bits = 0u32;
            for &byte in group {
                let Some(six) = value(byte) else { return false };
                bits = bits << 6 | u32::from(six);
            }
            text.extend_from_slice(&bits.to_be_bytes()[1..]);
        }
        text.len() >= 24 && begins_like_a_row(&text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expect: &str) {
        let mut shown = Vec::new();
        if let Some((row, at)) = find_row(line.as_bytes()) {
            shown.extend_from_slice(format!("{at}: ").as_bytes());
            crate::TextFormat::default().write_row(&Mapping { name: b"", ..row }, &mut shown);
            shown.pop();
            shown.extend_from_slice(row.name);
        }
        assert_eq!(String::from_utf8_lossy(&shown), expect);
    }

    #[test]
    fn rows_are_found_behind_other_text() {
        check(
            "[  12.5] app: 1000-2000 r-xp 00001000 fe:00 7  /x",
            "14: 00001000-00002000 r-xp 00001000 fe:00 7 /x",
        );
        check("> 1000-2000 rw-p 00000000 00:00 0", "2: 00001000-00002000 rw-p 00000000 00:00 0 ");
        check("id f47ac10b-58cc-4372 of a 12-34 r thing", "");
        check("see 2026-11-21 10:00 rwxp 0 0:0 0", "");
        check("-7 and 1000-2000", "");
    }

    #[test]
    fn rows_of_a_tombstone() {
        check(
            "    00000000'12c00000-00000000'12c3ffff rw-         0     40000  [anon:dalvik-main space]",
            "4: 12c00000-12c40000 rw-? 00000000 00:00 0 [anon:dalvik-main space]",
        );
        check(
            "    0000007f'a5d3a000-0000007f'a5d3bfff r-x      1000      2000  /system/bin/app (deleted) (BuildId: 9f2c) (load bias 0x1000)",
            "4: 7fa5d3a000-7fa5d3c000 r-x? 00001000 00:00 0 /system/bin/app (deleted)",
        );
        check("    7fa5d3a000-7fa5d3bfff r-x      1000      2001  /size/differs", "");
    }
}
