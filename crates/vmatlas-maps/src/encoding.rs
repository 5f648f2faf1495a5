//! How serde writes addresses and names.
//!
//! In human-readable formats (JSON, TOML) an address is a string `"0x7f00"`, as in vmatlas's own
//! JSON, because numbers in JavaScript have 53 bits. A name is a string if it is UTF-8, else an
//! array of bytes. In binary formats (bincode, postcard) an address is a number and a name is
//! bytes. Readers accept both forms.

use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::ser::Serializer;
use std::fmt;

/// Serialises addresses and offsets, for `#[serde(with = …)]`.
pub(crate) mod address {
    use super::{Deserializer, Hex, Serializer};

    pub(crate) fn serialize<S: Serializer>(address: &u64, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            to.collect_str(&format_args!("{address:#x}"))
        } else {
            to.serialize_u64(*address)
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        if from.is_human_readable() { from.deserialize_any(Hex) } else { from.deserialize_u64(Hex) }
    }
}

struct Hex;

impl Visitor<'_> for Hex {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address, as a number or as \"0x…\"")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
        Ok(number)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        text.strip_prefix("0x")
            .and_then(hexadecimal)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

/// Accepts digits only: the standard library also accepts a sign.
pub(crate) fn hexadecimal(digits: &str) -> Option<u64> {
    let is_digit = |byte: u8| byte.is_ascii_hexdigit();
    digits.bytes().all(is_digit).then(|| u64::from_str_radix(digits, 16).ok())?
}

/// Serialises names, for `#[serde(with = …)]`.
pub(crate) mod name {
    use super::{Deserializer, Name, Serializer};

    pub(crate) fn serialize<S: Serializer>(name: &[u8], to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(name) {
            Ok(text) if to.is_human_readable() => to.serialize_str(text),
            _ => to.serialize_bytes(name),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        if from.is_human_readable() {
            from.deserialize_any(Name)
        } else {
            from.deserialize_byte_buf(Name)
        }
    }
}

struct Name;

impl<'de> Visitor<'de> for Name {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name, as a string or as bytes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
        Ok(text.as_bytes().to_vec())
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<Vec<u8>, A::Error> {
        // The size hint comes from the input and is not trusted, so nothing is reserved.
        let mut name = Vec::new();
        while let Some(byte) = bytes.next_element()? {
            name.push(byte);
        }
        Ok(name)
    }
}
