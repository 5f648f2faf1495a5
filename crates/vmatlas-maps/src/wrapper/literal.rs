//! String literals: JSON, C, Rust, Python, Go, logfmt, YAML, CSV.

use super::encoding::push_char;
use crate::text::row_at_start;

/// The opening quote of a literal.
#[derive(Clone, Debug)]
pub(super) struct Quote {
    /// The position of the quote.
    pub(super) start: usize,
    /// The position of the first byte inside.
    pub(super) body: usize,
    pub(super) byte: u8,
    /// The bytes that end the literal.
    pub(super) close: Vec<u8>,
    /// A backslash is a byte like any other.
    pub(super) raw: bool,
}

/// The quotes of a line for which no end was found, so that none is searched for twice.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unclosed([bool; 3]);

impl Unclosed {
    fn index(byte: u8) -> usize {
        match byte {
            b'"' => 0,
            b'\'' => 1,
            _ => 2,
        }
    }

    pub(super) fn add(&mut self, byte: u8) {
        self.0[Self::index(byte)] = true;
    }
}

impl Quote {
    /// The first quote at or behind `at` that begins a literal. An apostrophe in prose does not.
    pub(super) fn next(line: &[u8], at: usize, unclosed: Unclosed) -> Option<Quote> {
        let mut at = at;
        loop {
            let start = at + memchr::memchr3(b'"', b'\'', b'`', &line[at..])?;
            let byte = line[start];
            let most = if byte == b'`' { usize::MAX } else { 3 };
            let run = line[start..].iter().take(most).take_while(|&&b| b == byte).count();
            if byte == b'`' && run >= 3 {
                // The fence of a block in Markdown.
                at = start + run;
                continue;
            }
            if !unclosed.0[Unclosed::index(byte)] {
                if let Some(quote) = Self::at(line, start, run) {
                    return Some(quote);
                }
            }
            at = start + 1;
        }
    }

    fn at(line: &[u8], start: usize, run: usize) -> Option<Quote> {
        let byte = line[start];
        let before = &line[..start];
        // Rust: r#"…"#.
        let hashes = match byte {
            b'"' => before.iter().rev().take(64).take_while(|&&b| b == b'#').count(),
            _ => 0,
        };
        let before = &before[..start - hashes];
        let letters = before.iter().rev().take(5).take_while(|b| b.is_ascii_alphanumeric()).count();
        let (before, prefix) = before.split_at(before.len() - letters);
        let prefix = prefix.to_ascii_lowercase();
        let prefixes: [&[u8]; 14] = [
            b"", b"b", b"r", b"br", b"rb", b"u", b"u8", b"l", b"f", b"fr", b"rf", b"c", b"cr",
            b"ur",
        ];
        let hashes = if prefix.contains(&b'r') { hashes } else { 0 };
        let opens = match before.last() {
            None => true,
            Some(b'\\') => false,
            Some(b'_') => prefix.is_empty() && byte == b'"',
            Some(b) if byte == b'"' => !b.is_ascii_alphanumeric(),
            Some(b) => b.is_ascii_whitespace() || b"([{=,:>+|$&;@".contains(b),
        };
        if !opens || !prefixes.contains(&prefix.as_slice()) {
            return None;
        }
        let mut raw = prefix.contains(&b'r') || byte == b'`';
        let mut body = start + 1;
        let mut close = vec![byte];
        if byte != b'`' && run >= 3 {
            body = start + 3;
            close = vec![byte; 3];
        } else if hashes > 0 {
            close.extend(vec![b'#'; hashes]);
        } else if line[..start].ends_with(b"R") && byte == b'"' {
            // C++: R"word(…)word"; Python's R"…" has no parenthesis there.
            let word = line[body..].iter().take(16).take_while(|b| b.is_ascii_alphanumeric());
            let word = word.count();
            if line.get(body + word) == Some(&b'(') {
                close = [b")", &line[body..body + word], b"\""].concat();
                body += word + 1;
                raw = true;
            }
        }
        Some(Quote { start, body, byte, close, raw })
    }

    /// The end of the text inside a literal that goes on at `from`, and the position behind it.
    pub(super) fn end(&self, line: &[u8], from: usize) -> Option<(usize, usize)> {
        let mut at = from;
        if self.raw {
            let end = from + memchr::memmem::find(line.get(from..)?, &self.close)?;
            return Some((end, end + self.close.len()));
        }
        loop {
            at += memchr::memchr2(self.byte, b'\\', line.get(at..)?)?;
            if line[at] == b'\\' {
                at += 2;
                continue;
            }
            let behind = at + self.close.len();
            if self.close.len() > 1 {
                if line[at..].starts_with(&self.close) {
                    return Some((at, behind));
                }
                at += 1;
                continue;
            }
            // YAML and CSV write a quote twice inside quotes; C joins literals.
            let again = line.get(behind) == Some(&self.byte) && at > from;
            if again && !line[..at].ends_with(b"\\n") && row_at_start(&line[behind + 1..]).is_none()
            {
                at = behind + 1;
                continue;
            }
            return Some((at, behind));
        }
    }

    /// The text inside the literal.
    pub(super) fn decode(&self, inside: &[u8]) -> Vec<u8> {
        match self.raw {
            true => inside.to_vec(),
            false => unescape(inside, Some(self.byte)),
        }
    }
}

/// Decodes the escapes that JSON, C, Rust, Python and Go share. Unknown ones stay as they are, and
/// so does `\012`, which a kernel itself prints, unless a row follows or nothing.
pub(super) fn unescape(inside: &[u8], quote: Option<u8>) -> Vec<u8> {
    let mut text = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(at) = memchr::memchr2(b'\\', quote.unwrap_or(b'\\'), rest) {
        text.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        if rest[0] != b'\\' {
            // A quote inside: it is written twice.
            text.push(rest[0]);
            rest = &rest[if rest.get(1) == quote.as_ref() { 2 } else { 1 }..];
            continue;
        }
        rest = &rest[escape(rest, &mut text)..];
    }
    text.extend_from_slice(rest);
    text
}

/// Decodes the escape at the start of `rest`; returns its length.
fn escape(rest: &[u8], text: &mut Vec<u8>) -> usize {
    let number = |from: usize, digits: usize| -> Option<u32> {
        let digits = std::str::from_utf8(rest.get(from..from + digits)?).ok()?;
        let hexadecimal = digits.bytes().all(|b| b.is_ascii_hexdigit());
        u32::from_str_radix(digits, 16).ok().filter(|_| hexadecimal)
    };
    let Some(&kind) = rest.get(1) else {
        // The literal goes on in the next line.
        return 1;
    };
    let plain = match kind {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'f' => 12,
        b'v' => 11,
        b'a' => 7,
        b'e' => 0x1b,
        b'"' | b'\'' | b'\\' | b'/' | b'`' | b' ' | b'$' => kind,
        _ => 0,
    };
    if plain != 0 {
        text.push(plain);
        return 2;
    }
    match kind {
        b'x' => {
            // No program escapes a letter or a hyphen, but systemd makes names with `\x2d`, and
            // YAML and CSV leave a backslash as it is.
            let is_needed =
                |&byte: &u32| !(0x20..0x7f).contains(&byte) || b"\"'<>&/".contains(&(byte as u8));
            if let Some(byte) = number(2, 2).filter(is_needed) {
                text.push(byte as u8);
                return 4;
            }
        }
        b'U' => {
            if let Some(value) = number(2, 8) {
                push_char(value, text);
                return 10;
            }
        }
        b'u' if rest.get(2) == Some(&b'{') => {
            let digits = rest[3..].iter().take(8).take_while(|b| b.is_ascii_hexdigit()).count();
            if let Some(value) = number(3, digits).filter(|_| rest.get(3 + digits) == Some(&b'}')) {
                push_char(value, text);
                return 4 + digits;
            }
        }
        b'u' => match number(2, 4) {
            Some(high @ 0xd800..=0xdbff) if rest[6..].starts_with(b"\\u") => {
                if let Some(low @ 0xdc00..=0xdfff) = number(8, 4) {
                    push_char(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00), text);
                    return 12;
                }
            }
            // Python writes a byte that is no UTF-8 this way.
            Some(byte @ 0xdc80..=0xdcff) => {
                text.push(byte as u8);
                return 6;
            }
            Some(value) => {
                push_char(value, text);
                return 6;
            }
            None => {}
        },
        b'0'..=b'7' => {
            let digits = rest[1..].iter().take(3).take_while(|b| (b'0'..=b'7').contains(b));
            let value = digits.clone().fold(0, |value, b| value << 3 | u32::from(b - b'0'));
            let behind = 1 + digits.count();
            let ends_row = behind == rest.len() || row_at_start(&rest[behind..]).is_some();
            if behind == 4 && (0x80..0x100).contains(&value) || value == 10 && ends_row {
                text.push(value as u8);
                return behind;
            }
        }
        _ => {}
    }
    text.push(b'\\');
    1
}
