//! How documents are written: without characters that command a terminal, and with addresses as
//! strings.

use serde::Serialize;
use serde_json::ser::Formatter;
use std::io::{self, Write};

/// How addresses and offsets are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addresses {
    /// As strings, because some readers lack 64-bit numbers.
    Text,
    /// As strings; in objects, a number follows whose key has `_num` at its end.
    WithNumbers,
}

/// Writes characters that would command a terminal as `\uXXXX`. serde_json does it for those below
/// U+0020 only.
pub(super) struct Harmless;

impl Formatter for Harmless {
    fn write_u128<W: ?Sized + Write>(&mut self, writer: &mut W, number: u128) -> io::Result<()> {
        write_address(writer, address(number))
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut from = 0;
        // Few names have any character from U+007F on.
        if !fragment.is_ascii() || fragment.contains('\x7f') {
            for (at, c) in fragment.char_indices().filter(|&(_, c)| is_command(c)) {
                writer.write_all(&fragment.as_bytes()[from..at])?;
                write!(writer, "\\u{:04x}", u32::from(c))?;
                from = at + c.len_utf8();
            }
        }
        writer.write_all(&fragment.as_bytes()[from..])
    }
}

/// Writes `"0x7f00"`.
pub(super) fn write_address<W: ?Sized + Write>(writer: &mut W, address: u64) -> io::Result<()> {
    let mut text = [b'0'; 20];
    let digits = (u64::BITS - address.leading_zeros()).div_ceil(4).max(1) as usize;
    (text[0], text[2]) = (b'"', b'x');
    for (place, digit) in text[3..3 + digits].iter_mut().rev().enumerate() {
        *digit = b"0123456789abcdef"[(address >> (4 * place)) as usize & 15];
    }
    text[3 + digits] = b'"';
    writer.write_all(&text[..4 + digits])
}

/// The address that a number of 128 bits stands for.
fn address(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Whether a character is a control character, or changes the direction of text.
fn is_command(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}')
}

/// Writes each address of an object also as a number.
#[derive(Default)]
pub(super) struct WithNumbers {
    key: Vec<u8>,
    in_key: bool,
    /// Whether the value has a key. An element of a list has none.
    in_object: bool,
}

impl Formatter for WithNumbers {
    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.in_key = true;
        self.key.clear();
        if first { Ok(()) } else { writer.write_all(b",") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        (self.in_key, self.in_object) = (false, true);
        writer.write_all(b":")
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.in_object = false;
        if first { Ok(()) } else { writer.write_all(b",") }
    }

    fn write_u128<W: ?Sized + Write>(&mut self, writer: &mut W, number: u128) -> io::Result<()> {
        let address = address(number);
        write_address(writer, address)?;
        if self.in_object {
            writer.write_all(b",\"")?;
            writer.write_all(&self.key)?;
            write!(writer, "_num\":{address}")?;
        }
        Ok(())
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if self.in_key {
            self.key.extend_from_slice(fragment.as_bytes());
        }
        Harmless.write_string_fragment(writer, fragment)
    }
}

/// Writes a document on one line.
pub(crate) fn write(
    out: &mut dyn Write,
    addresses: Addresses,
    document: &impl Serialize,
) -> io::Result<()> {
    writeln!(out, "{}", text(addresses, document)?)
}

pub(crate) fn text(addresses: Addresses, value: &(impl Serialize + ?Sized)) -> io::Result<String> {
    let mut text = Vec::new();
    append(&mut text, addresses, value)?;
    // Already checked by serde_json, which writes text only.
    String::from_utf8(text).map_err(io::Error::other)
}

/// Appends a document.
pub(crate) fn append(
    text: &mut Vec<u8>,
    addresses: Addresses,
    value: &(impl Serialize + ?Sized),
) -> io::Result<()> {
    match addresses {
        Addresses::Text => {
            value.serialize(&mut serde_json::Serializer::with_formatter(text, Harmless))?;
        }
        Addresses::WithNumbers => {
            let twins = WithNumbers::default();
            value.serialize(&mut serde_json::Serializer::with_formatter(text, twins))?;
        }
    }
    Ok(())
}
