//! Finds rows in other texts: crash logs, bug reports, manual pages.

use crate::mapping::{Device, Mapping, Perms};
use crate::parse::parse_row;
use crate::range::AddressRange;

/// Finds a row in a line with any text before it; returns the row and its position in the line.
///
/// Accepts rows as kernels print them and those of an Android tombstone. Stricter than
/// [`parse_row`]: the permissions must be valid letters.
pub fn find_row(line: &[u8]) -> Option<(Mapping<'_>, usize)> {
    memchr::memchr_iter(b'-', line).find_map(|dash| {
        let digits = line[..dash].iter().rev().take_while(|&&b| address_byte(b)).count();
        let start = dash - digits;
        let clear = start == 0
            || !(line[start - 1].is_ascii_alphanumeric() || b"_-./:".contains(&line[start - 1]));
        if digits == 0 || !clear {
            return None;
        }
        let row = &line[start..];
        // Most text around a dash is not a row; reject it early.
        let end = line[dash + 1..].iter().take_while(|&&b| address_byte(b)).count();
        let behind = line[dash + 1 + end..].trim_ascii_start();
        // A tombstone has three permission letters.
        let letter = |p| if p == b' ' { b'?' } else { p };
        let perms = behind.first_chunk().map(|&[r, w, x, p]| Perms([r, w, x, letter(p)]));
        if end == 0 || !perms.is_some_and(plausible) {
            return None;
        }
        let mapping = match parse_row(row) {
            Ok(mapping) => Some(mapping).filter(|m| plausible(m.perms)),
            Err(_) => tombstone_row(row),
        };
        mapping.map(|mapping| (mapping, start))
    })
}

/// Whether a line begins like a row but is not valid, as a damaged one.
pub(crate) fn begins_like_a_row(line: &[u8]) -> bool {
    let number = |text: &[u8]| text.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let start = number(line);
    let end = line.get(start + 1..).map_or(0, number);
    // Shorter numbers are a date or page numbers.
    start >= 6 && end >= 6 && line[start] == b'-'
}

fn address_byte(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || byte == b'\''
}

fn plausible(Perms([r, w, x, p]): Perms) -> bool {
    b"r-".contains(&r) && b"w-".contains(&w) && b"x-".contains(&x) && b"psS-?".contains(&p)
}

/// Parses a row from the memory map of an Android tombstone (system/core/debuggerd, libdebuggerd):
/// `7f'12c00000-7f'32bfffff rw-  OFFSET  SIZE  NAME (BuildId: …) (load bias 0x…)`. The end is
/// the last byte; device, inode and the fourth permission are missing.
fn tombstone_row(row: &[u8]) -> Option<Mapping<'_>> {
    let mut at = 0;
    let start = number(row, &mut at)?;
    (row.get(at) == Some(&b'-')).then(|| at += 1)?;
    let end = number(row, &mut at)?.checked_add(1)?;
    skip_blanks(row, &mut at)?;
    let &[r, w, x] = row.get(at..at + 3)? else { return None };
    at += 3;
    let perms = Perms([r, w, x, b'?']);
    skip_blanks(row, &mut at)?;
    let offset = number(row, &mut at)?;
    skip_blanks(row, &mut at)?;
    let size = number(row, &mut at)?;
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
    } else {
        None
    }
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
