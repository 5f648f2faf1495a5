//! The arguments and results of calls in the syntax of strace(1).

use std::borrow::Cow;

/// An argument or a result, as written in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a>(pub &'a [u8]);

/// A file descriptor, and with `-y` its file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Descriptor<'a> {
    /// The number; `AT_FDCWD` is -100.
    pub number: i32,
    /// The path or other text of `-y`; `None` without it.
    pub path: Option<Cow<'a, [u8]>>,
    /// Whether the file was unlinked.
    pub deleted: bool,
}

pub(crate) use vmatlas_maps::uapi::fcntl::AT_FDCWD;

impl<'a> Value<'a> {
    /// Parses a number: decimal, hexadecimal or octal, `NULL` as 0, negative ones as two's
    /// complement. Text after it, such as the path of a descriptor, is ignored.
    pub fn number(self) -> Option<u64> {
        let text = self.0;
        if text.starts_with(b"NULL") {
            return Some(0);
        }
        let (negative, text) = match text.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (radix, digits) = match text {
            [b'0', b'x' | b'X', rest @ ..] => (16, rest),
            [b'0', rest @ ..] if rest.first().is_some_and(u8::is_ascii_digit) => (8, rest),
            _ => (10, text),
        };
        let mut value = 0_u64;
        let mut length = 0;
        for digit in digits.iter().map_while(|&b| (b as char).to_digit(radix)) {
            value = value.checked_mul(u64::from(radix))?.checked_add(u64::from(digit))?;
            length += 1;
        }
        let ends = digits.get(length).is_none_or(|&b| !b.is_ascii_alphanumeric() && b != b'_');
        (length > 0 && ends).then(|| if negative { value.wrapping_neg() } else { value })
    }

    /// Parses a string; the flag is whether it is complete: `"abc"...` is cut.
    pub fn string(self) -> Option<(Vec<u8>, bool)> {
        let text = self.0.strip_prefix(b"\"")?;
        let end = closing_quote(text)?;
        Some((unescape(&text[..end]).into_owned(), !text[end + 1..].starts_with(b"...")))
    }

    /// Whether one of the words between `|` is `flag`.
    pub fn has(self, flag: &str) -> bool {
        self.flags().any(|word| word == flag.as_bytes())
    }

    /// The words between `|`.
    pub fn flags(self) -> impl Iterator<Item = &'a [u8]> {
        self.0.split(|&b| b == b'|').map(<[u8]>::trim_ascii)
    }

    /// Parses a file descriptor.
    pub fn descriptor(self) -> Option<Descriptor<'a>> {
        let (number, rest) = match self.0.strip_prefix(b"AT_FDCWD") {
            Some(rest) => (AT_FDCWD, rest),
            None => {
                let digits = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
                let number = std::str::from_utf8(&self.0[..digits]).ok()?.parse().ok()?;
                (number, &self.0[digits..])
            }
        };
        let plain = Descriptor { number, path: None, deleted: false };
        let Some(path) = rest.strip_prefix(b"<") else { return Some(plain) };
        let Some(end) = closing_angle(path) else { return Some(plain) };
        let deleted = path[end + 1..].starts_with(b"(deleted)");
        let path = &path[..end];
        // `-yy` appends the device number.
        let device = path.ends_with(b">").then(|| memchr::memchr(b'<', path)).flatten();
        let path = unescape(&path[..device.unwrap_or(path.len())]);
        Some(Descriptor { number, path: Some(path), deleted })
    }

    /// The value after `name=` in a structure, up to the next comma or bracket.
    pub fn field(self, name: &str) -> Option<Value<'a>> {
        let text = self.0;
        let at = memchr::memmem::find_iter(text, name.as_bytes()).find(|&at| {
            text.get(at + name.len()) == Some(&b'=')
                && (at == 0 || matches!(text[at - 1], b' ' | b'{' | b','))
        })?;
        let rest = &text[at + name.len() + 1..];
        let end = items(rest, |_| false).unwrap_or(rest.len());
        Some(Value(&rest[..end]))
    }
}

/// The position of the quote that ends an open string.
fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', &text[at..])?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
        if at > text.len() {
            return None;
        }
    }
}

/// The position of the bracket that ends an open path. Sockets have arrows in them.
fn closing_angle(text: &[u8]) -> Option<usize> {
    let arrows = !text.starts_with(b"/");
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' => at += 1,
            b'<' => depth += 1,
            b'>' if arrows && at > 0 && text[at - 1] == b'-' => {}
            b'>' if depth == 0 => return Some(at),
            b'>' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Decodes the C escapes of a string.
fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            plain.push(byte);
            continue;
        }
        let Some((&escaped, after)) = rest.split_first() else { break };
        rest = after;
        let (radix, most) = match escaped {
            b'x' => (16, 2),
            b'0'..=b'7' => {
                rest = &text[text.len() - rest.len() - 1..];
                (8, 3)
            }
            other => {
                plain.push(match other {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'v' => 0x0b,
                    b'f' => 0x0c,
                    b'a' => 0x07,
                    b'b' => 0x08,
                    other => other,
                });
                continue;
            }
        };
        let digits = rest.iter().map_while(|&b| (b as char).to_digit(radix)).take(most);
        let (length, value) = digits.fold((0, 0), |(n, value), d| (n + 1, value * radix + d));
        plain.push(value as u8);
        rest = &rest[length..];
    }
    Cow::Owned(plain)
}

/// Calls `take` with each item of a list, up to the closing bracket or until `take` returns false.
/// Returns the position of the bracket, or after the rejected item; `None` if the list has no
/// end.
pub(crate) fn items<'a>(text: &'a [u8], mut take: impl FnMut(&'a [u8]) -> bool) -> Option<usize> {
    let mut depth = 0_usize;
    let mut begin = 0;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => at += 1 + closing_quote(&text[at + 1..])?,
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' if depth == 0 => {
                let item = text[begin..at].trim_ascii();
                if !item.is_empty() {
                    take(item);
                }
                return Some(at);
            }
            b')' | b']' | b'}' => depth -= 1,
            b',' if depth == 0 => {
                if !take(text[begin..at].trim_ascii()) {
                    return Some(at);
                }
                begin = at + 1;
            }
            b'/' if text.get(at + 1) == Some(&b'*') => {
                at += 3 + memchr::memmem::find(&text[at + 2..], b"*/")?;
            }
            b'<' if opens_a_path(text, at) => at += 1 + closing_angle(&text[at + 1..])?,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Whether the `<` follows a descriptor, and is not a shift such as `21<<MAP_HUGE_SHIFT`.
fn opens_a_path(text: &[u8], at: usize) -> bool {
    let behind = at > 0 && (text[at - 1].is_ascii_digit() || text[..at].ends_with(b"AT_FDCWD"));
    behind && text.get(at + 1) != Some(&b'<')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let number = |text: &str| Value(text.as_bytes()).number();
        assert_eq!(number("0x7f149ba82000"), Some(0x7f14_9ba8_2000));
        assert_eq!(number("8192"), Some(8192));
        assert_eq!(number("0644"), Some(0o644));
        assert_eq!(number("NULL"), Some(0));
        assert_eq!(number("-1"), Some(u64::MAX));
        assert_eq!(number("6650<bash>"), Some(6650));
        assert_eq!(number("PROT_READ"), None);
        assert_eq!(number("18446744073709551616"), None);
        assert_eq!(number("12ab"), None);
    }

    #[test]
    fn strings_and_descriptors() {
        let string = |text: &str| Value(text.as_bytes()).string();
        assert_eq!(string(r#""/tmp/z>q\n\1\377""#), Some((b"/tmp/z>q\n\x01\xff".to_vec(), true)));
        assert_eq!(string(r#""echo a"..."#), Some((b"echo a".to_vec(), false)));
        assert_eq!(string(r#""no end\""#), None);
        let path = |text: &str| {
            let fd = Value(text.as_bytes()).descriptor().unwrap();
            (fd.number, fd.path.map(|path| String::from_utf8_lossy(&path).into_owned()), fd.deleted)
        };
        let some = |path: &str| Some(path.to_owned());
        assert_eq!(path("3"), (3, None, false));
        assert_eq!(path("AT_FDCWD</tmp>"), (AT_FDCWD, some("/tmp"), false));
        assert_eq!(path(r"4</tmp/z\76q\n>(deleted)"), (4, some("/tmp/z>q\n"), true));
        assert_eq!(path("0</dev/null<char 1:3>>"), (0, some("/dev/null"), false));
        assert_eq!(path("5<TCP:[[::1]:80->[::1]:9]>"), (5, some("TCP:[[::1]:80->[::1]:9]"), false));
        assert_eq!(path("6</tmp/dash->"), (6, some("/tmp/dash-"), false));
    }

    #[test]
    fn fields_of_structures() {
        let stat = Value(br"{st_dev=makedev(0xfe, 0), st_ino=604, st_mode=S_IFREG|0644}");
        assert_eq!(stat.field("st_dev").unwrap().0, b"makedev(0xfe, 0)");
        assert_eq!(stat.field("st_ino").unwrap().number(), Some(604));
        assert_eq!(stat.field("ino"), None);
    }
}
