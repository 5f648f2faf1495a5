//! Manual serde implementations.

use crate::encoding::{hexadecimal, name};
use crate::escape;
use crate::kernel::{KernelVersion, WordSize};
use crate::mapping::{Device, Perms};
use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// A string: `"r-xp"`.
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

/// `"fe:00"`, or two numbers in binary formats.
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
