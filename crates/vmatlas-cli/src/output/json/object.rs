//! An object of JSON, written entry by entry.

use super::formatter::{Addresses, append, write_address};
use serde::Serialize;
use std::io;
use vmatlas::FieldValue;

/// An object that is being written.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
    addresses: Addresses,
}

/// The key of many entries.
pub(super) struct Key {
    /// With what stands around it behind another entry.
    text: Box<str>,
}

impl Key {
    const BEFORE: &str = ",\"";
    const BEHIND: &str = "\":";

    /// A key that has nothing to escape.
    pub(super) fn new(name: Box<str>) -> Key {
        Key { text: [Key::BEFORE, &name, Key::BEHIND].concat().into() }
    }

    pub(super) fn name(&self) -> &str {
        &self.text[Key::BEFORE.len()..self.text.len() - Key::BEHIND.len()]
    }
}

impl Object<'_> {
    pub(super) fn new(out: &mut Vec<u8>, addresses: Addresses) -> Object<'_> {
        out.push(b'{');
        Object { out, is_empty: true, addresses }
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }

    /// Writes the key of an entry, which has nothing to escape or is escaped.
    fn key(&mut self, key: &str) {
        let before: &[u8] = if self.is_empty { b"\"" } else { b",\"" };
        self.out.reserve(key.len() + 4);
        self.is_empty = false;
        self.out.extend_from_slice(before);
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// Writes a field of the table. An absent note is left out.
    pub(super) fn field(&mut self, key: &str, value: &FieldValue<'_>) -> io::Result<()> {
        match value {
            FieldValue::Address(address) => {
                self.key(key);
                write_address(self.out, *address)?;
                if self.addresses == Addresses::WithNumbers {
                    self.number(&format!("{key}_num"), *address);
                }
            }
            FieldValue::Bytes(number) | FieldValue::Number(number) => self.number(key, *number),
            FieldValue::Flag(flag) => self.flag(key, *flag),
            FieldValue::Perms(perms) => self.text(key, perms.as_str())?,
            FieldValue::Text(text) if text.is_empty() && key == "state" => {}
            FieldValue::Text(text) => self.bytes(key, text)?,
            _ => self.value(key, &None::<()>)?,
        }
        Ok(())
    }

    pub(super) fn number(&mut self, key: &str, number: impl itoa::Integer) {
        self.key(key);
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    /// Writes an entry behind others.
    #[inline]
    pub(super) fn next_number(&mut self, key: &Key, number: u64) {
        // The longest number has 20 digits.
        self.out.reserve(key.text.len() + 20);
        self.out.extend_from_slice(key.text.as_bytes());
        if number == 0 {
            self.out.push(b'0');
        } else {
            self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        }
    }

    pub(super) fn flag(&mut self, key: &str, flag: bool) {
        self.key(key);
        self.out.extend_from_slice(if flag { b"true" } else { b"false" });
    }

    /// Writes bytes as text, and also in hexadecimal if they are not UTF-8.
    pub(super) fn bytes(&mut self, key: &str, bytes: &[u8]) -> io::Result<()> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.text(key, text),
            Err(_) => {
                self.text(key, &String::from_utf8_lossy(bytes))?;
                self.text(&format!("{key}_hex"), &vmatlas::words::hex(bytes))
            }
        }
    }

    pub(super) fn text(&mut self, key: &str, text: &str) -> io::Result<()> {
        self.key(key);
        self.string(text)
    }

    /// Writes a list of words.
    pub(super) fn words<'w>(
        &mut self,
        key: &str,
        words: impl Iterator<Item = &'w [u8]>,
    ) -> io::Result<()> {
        self.key(key);
        self.out.push(b'[');
        for (place, word) in words.enumerate() {
            if place > 0 {
                self.out.push(b',');
            }
            self.string(&String::from_utf8_lossy(word))?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn string(&mut self, text: &str) -> io::Result<()> {
        if text.bytes().all(|byte| matches!(byte, b' '..b'\x7f') && byte != b'"' && byte != b'\\') {
            self.out.push(b'"');
            self.out.extend_from_slice(text.as_bytes());
            self.out.push(b'"');
            return Ok(());
        }
        append(self.out, self.addresses, text)
    }

    pub(super) fn value(&mut self, key: &str, value: &impl Serialize) -> io::Result<()> {
        self.key(key);
        append(self.out, self.addresses, value)
    }
}
