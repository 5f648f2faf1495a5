//! serde's form of rows.
//!
//! In formats for people (JSON, TOML) an address is a string `"0x7f00"`, as in vmatlas's own
//! JSON, because numbers in JavaScript have 53 bits; a name is a string where it is UTF-8 and
//! an array of bytes where it is not. In others (bincode, postcard) an address is a number and a
//! name is bytes. Each form is read, whichever way it was written.

use crate::escape;
use crate::kernel::{KernelVersion, WordSize};
use crate::mapping::{Device, Perms};
use crate::range::Bounds;
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use std::fmt;

/// Addresses and offsets, for `#[serde(with = …)]`.
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

/// The bounds of a range, which are not inverted.
pub(crate) fn bounds<'de, D: Deserializer<'de>>(from: D) -> Result<Bounds, D::Error> {
    let bounds = Bounds::deserialize(from)?;
    if bounds.end < bounds.start {
        return Err(de::Error::custom("the end of a range lies below its start"));
    }
    Ok(bounds)
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

/// Digits only: the standard library takes a sign, too.
fn hexadecimal(digits: &str) -> Option<u64> {
    let is_digit = |byte: u8| byte.is_ascii_hexdigit();
    digits.bytes().all(is_digit).then(|| u64::from_str_radix(digits, 16).ok())?
}

/// Names, for `#[serde(with = …)]`.
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
        // Not as large as the input says: that may be a lie.
        let mut name = Vec::new();
        while let Some(byte) = bytes.next_element()? {
            name.push(byte);
        }
        Ok(name)
    }
}

/// As a name: `"r-xp"`.
impl Serialize for Perms {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        name::serialize(&self.0, to)
    }
}

impl<'de> Deserialize<'de> for Perms {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = name::deserialize(from)?;
        let letters = <[u8; 4]>::try_from(bytes.as_slice());
        letters.map(Perms).map_err(|_| {
            de::Error::custom(format_args!(
                "permissions are four characters, not `{}`",
                escape::printable(&bytes)
            ))
        })
    }
}

/// `"fe:00"`, or the two numbers.
impl Serialize for Device {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            to.collect_str(self)
        } else {
            (self.major, self.minor).serialize(to)
        }
    }
}

impl<'de> Deserialize<'de> for Device {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if !from.is_human_readable() {
            let (major, minor) = Deserialize::deserialize(from)?;
            return Ok(Device { major, minor });
        }
        let text = String::deserialize(from)?;
        let number = |digits| hexadecimal(digits).and_then(|number| u32::try_from(number).ok());
        let numbers = text.split_once(':').and_then(|(a, b)| Some((number(a)?, number(b)?)));
        numbers.map(|(major, minor)| Device { major, minor }).ok_or_else(|| {
            let expected = "two hexadecimal numbers with a colon between";
            de::Error::invalid_value(de::Unexpected::Str(&text), &expected)
        })
    }
}

/// 32 or 64.
impl Serialize for WordSize {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u8(self.bits())
    }
}

impl<'de> Deserialize<'de> for WordSize {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u8::deserialize(from)? {
            32 => Ok(WordSize::Bits32),
            64 => Ok(WordSize::Bits64),
            bits => Err(de::Error::invalid_value(
                de::Unexpected::Unsigned(u64::from(bits)),
                &"32 or 64",
            )),
        }
    }
}

/// `"6.18.44"`.
impl Serialize for KernelVersion {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KernelVersion {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}
