//! `/tmp/perf-PID.map`: one line of text for each piece of code.

use super::{Code, Errors, JitError, JitErrorKind, JitMap, JitPlace};

impl JitMap {
    /// Reads a perf map: lines of `START SIZE NAME` with hexadecimal numbers, with or without `0x`;
    /// the name may contain spaces. An invalid line is skipped and reported as an error. The last
    /// line needs no newline.
    pub fn parse_perf_map(bytes: &[u8]) -> (JitMap, Vec<JitError>) {
        let mut map = JitMap::default();
        let mut errors = Errors::default();
        for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            let added = row(line)
                .ok_or(JitErrorKind::Row)
                .and_then(|(start, size, name)| map.add(size, Code::new(start, name, Vec::new())));
            if let Err(kind) = added {
                errors.add(kind, JitPlace::Line(index + 1));
                if kind == JitErrorKind::TooMany {
                    break;
                }
            }
        }
        (map, errors.0)
    }
}

fn row(line: &[u8]) -> Option<(u64, u64, &[u8])> {
    let mut words = line.splitn(3, |&byte| byte == b' ');
    let (start, size) = (hex(words.next()?)?, hex(words.next()?)?);
    let name = words.next()?.trim_ascii();
    (!name.is_empty()).then_some((start, size, name))
}

fn hex(word: &[u8]) -> Option<u64> {
    let digits = word.strip_prefix(b"0x").unwrap_or(word);
    // `from_str_radix` takes a sign as well.
    if !digits.first()?.is_ascii_hexdigit() {
        return None;
    }
    u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}
