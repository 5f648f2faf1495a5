//! Names as text that is safe to print.
//!
//! A process chooses the bytes of a name. Printed raw, they could move the cursor, recolour the
//! screen or hide themselves.
//!
//! ```
//! use vmatlas_maps::escape;
//! assert_eq!(escape::printable(b"/tmp/\x1b[31m\xff").to_string(), r"/tmp/\x1b[31m\xff");
//! assert_eq!(escape::name(b"/tmp/file ").to_string(), r"/tmp/file\x20");
//! ```

use std::fmt;

/// Escapes bytes for a terminal: control characters, characters that change the direction of text
/// or have no width, and invalid UTF-8 are written as `\x1b` or `\u{202e}`.
pub fn printable(bytes: &[u8]) -> Escaped<'_> {
    Escaped { bytes, blanks: 0 }
}

/// Escapes a name for display like [`printable`], and also escapes trailing blanks.
pub fn name(bytes: &[u8]) -> Escaped<'_> {
    let blanks = bytes.iter().rev().take_while(|&&byte| byte == b' ').count();
    Escaped { bytes: &bytes[..bytes.len() - blanks], blanks }
}

/// Bytes that are escaped when they are displayed.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a> {
    bytes: &'a [u8],
    /// The number of trailing blanks, which are escaped too.
    blanks: usize,
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.width().is_none() && f.precision().is_none() {
            return self.write(f);
        }
        let mut text = String::new();
        self.write(&mut text)?;
        f.pad(&text)
    }
}

impl Escaped<'_> {
    fn write(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        for chunk in self.bytes.utf8_chunks() {
            let text = chunk.valid();
            let mut from = 0;
            for (at, c) in text.char_indices().filter(|&(_, c)| !is_printable(c)) {
                f.write_str(&text[from..at])?;
                from = at + c.len_utf8();
                match c {
                    '\0'..='\x7f' => hex_byte(c as u8, f)?,
                    _ => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                }
            }
            f.write_str(&text[from..])?;
            chunk.invalid().iter().try_for_each(|&byte| hex_byte(byte, f))?;
        }
        (0..self.blanks).try_for_each(|_| hex_byte(b' ', f))
    }
}

fn hex_byte(byte: u8, f: &mut dyn fmt::Write) -> fmt::Result {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    f.write_str("\\x")?;
    f.write_char(digit(byte >> 4))?;
    f.write_char(digit(byte & 15))
}

fn is_printable(c: char) -> bool {
    !(c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_at_the_end_of_a_name_are_seen() {
        assert_eq!(
            [b"/a b".as_slice(), b"/a  ", b"", b" "].map(|bytes| name(bytes).to_string()),
            ["/a b", r"/a\x20\x20", "", r"\x20"]
        );
    }

    #[test]
    fn nothing_reaches_the_terminal_that_commands_it() {
        assert_eq!(
            printable(b"/a\x1b[31m\n\x7f\xff\\012 \xc2\x9b\xe2\x80\xaex\xe6\x97\xa5").to_string(),
            "/a\\x1b[31m\\x0a\\x7f\\xff\\012 \\u{9b}\\u{202e}x日"
        );
    }

    #[test]
    fn a_width_counts_what_is_shown() {
        assert_eq!(
            format!("{:6}|{:>6}|{:.2}", name(b"/a"), name(b"\n"), name(b"/abc")),
            "/a    |  \\x0a|/a"
        );
    }
}
