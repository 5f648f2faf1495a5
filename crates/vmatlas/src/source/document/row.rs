//! One row of a document.

use super::bounded::Bounded;
use super::facts::RowFacts;
use crate::sections::Section;
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::fmt;
use vmatlas_explain::label::{Confidence, Label, Labelled};
use vmatlas_linux::files::{FileTruth, Now};
use vmatlas_maps::{
    AddressRange, Device, Field, FieldKind, FieldNeeds, Mapping, Maps, Perms, SmapsValue, VmFlags,
};

/// The most fields of smaps in a row, and flags: kernels print some 25.
const MAX_FIELDS: usize = 256;
/// The most parts of a row with labels: pages of 4 GiB.
const MAX_PARTS: usize = 1 << 20;

/// An address or offset, written as `"0x7f00"`.
#[derive(Clone, Copy)]
pub(super) struct Hex(pub(super) u64);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Hex, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        let digits = text.strip_prefix("0x").filter(|digits| !digits.starts_with('+'));
        let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        number.map(Hex).ok_or_else(|| {
            de::Error::invalid_value(de::Unexpected::Str(&text), &"an address like \"0x7f00\"")
        })
    }
}

#[derive(Deserialize)]
pub(super) struct LabelIn {
    text: String,
    #[serde(default)]
    group: String,
    confidence: String,
    #[serde(default)]
    because: String,
}

impl LabelIn {
    fn label(self) -> Option<Label> {
        let confidence = Confidence::named(&self.confidence)?;
        Some(Label::new(self.group, confidence, self.text, self.because))
    }
}

impl<'de> Deserialize<'de> for Section {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Section, D::Error> {
        #[derive(Deserialize)]
        struct SectionIn {
            name: String,
            size: u64,
        }
        SectionIn::deserialize(from).map(|SectionIn { name, size }| Section { name, size })
    }
}

#[derive(Deserialize)]
struct PartIn {
    start: Hex,
    end: Hex,
    label: LabelIn,
}

/// The value of a field of smaps.
#[derive(Deserialize)]
#[serde(untagged)]
enum SizeIn {
    Number(u64),
    Flags(Bounded<String, MAX_FIELDS>),
    Text(String),
    Other(IgnoredAny),
}

/// A mapping of a document; also a line of NDJSON, which names its process.
#[derive(Default)]
pub(super) struct RowIn {
    range: (Option<u64>, Option<u64>),
    perms: Option<[u8; 4]>,
    offset: Option<u64>,
    /// `Some(None)` if it is `null`: not known.
    device: Option<Option<Device>>,
    inode: Option<u64>,
    name: Vec<u8>,
    path: Option<Vec<u8>>,
    deleted: Option<bool>,
    path_certain: bool,
    state: String,
    pub(super) sections: Bounded<Section, MAX_FIELDS>,
    pub(super) origin: String,
    label: Option<LabelIn>,
    parts: Bounded<PartIn, MAX_PARTS>,
    sizes: Vec<(String, SizeIn)>,
    /// A document of `vmatlas blame` has such rows.
    has_origins: bool,
}

/// Bytes in hexadecimal, of text that is not UTF-8.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.map(byte).collect()
}

fn device(text: &str) -> Option<Device> {
    let (major, minor) = text.split_once(':')?;
    let number = |digits| u32::from_str_radix(digits, 16).ok();
    Some(Device::new(number(major)?, number(minor)?))
}

impl RowIn {
    /// Reads the value of a key. Unknown keys are fields of smaps.
    pub(super) fn read<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        match key {
            "start" => self.range.0 = Some(map.next_value::<Hex>()?.0),
            "end" => self.range.1 = Some(map.next_value::<Hex>()?.0),
            "offset" => self.offset = Some(map.next_value::<Hex>()?.0),
            "perms" => {
                let text: String = map.next_value()?;
                let perms = text.as_bytes().try_into();
                self.perms = Some(perms.map_err(|_| {
                    de::Error::invalid_value(de::Unexpected::Str(&text), &"perms like \"rw-p\"")
                })?);
            }
            "device" => {
                let text: Option<String> = map.next_value()?;
                let device = |text: String| {
                    device(&text).ok_or_else(|| {
                        let text = de::Unexpected::Str(&text);
                        de::Error::invalid_value(text, &"a device like \"fe:00\"")
                    })
                };
                self.device = Some(text.map(device).transpose()?);
            }
            "inode" => self.inode = map.next_value()?,
            "name" => self.name = map.next_value::<String>()?.into_bytes(),
            "path" => self.path = Some(map.next_value::<String>()?.into_bytes()),
            // They follow the text that is not UTF-8.
            "name_hex" => self.name = read_bytes(map)?,
            "path_hex" => self.path = Some(read_bytes(map)?),
            "deleted" => self.deleted = map.next_value()?,
            "path_certain" => self.path_certain = map.next_value()?,
            "state" => self.state = map.next_value()?,
            "sections" => self.sections = map.next_value()?,
            "origin" => self.origin = map.next_value()?,
            "label" => self.label = Some(map.next_value()?),
            "parts" => self.parts = map.next_value()?,
            "origins" => {
                map.next_value::<IgnoredAny>()?;
                self.has_origins = true;
            }
            key if is_derived(key) => drop(map.next_value::<IgnoredAny>()?),
            _ if self.sizes.len() >= MAX_FIELDS => {
                return Err(de::Error::invalid_length(MAX_FIELDS, &"fewer keys of a mapping"));
            }
            key => self.sizes.push((key.to_owned(), map.next_value()?)),
        }
        Ok(())
    }

    /// Whether anything of a row was read.
    pub(super) fn is_begun(&self) -> bool {
        self.range != (None, None)
    }

    /// Adds the row to `maps`. Returns its file and whether that is not known, and its labels.
    pub(super) fn finish(
        self,
        maps: &mut Maps,
        labels: &mut Vec<Labelled>,
    ) -> Result<RowFacts, &'static str> {
        if self.has_origins {
            return Err("a document of vmatlas blame");
        }
        let (Some(start), Some(end)) = self.range else { return Err("a mapping has no range") };
        let range = AddressRange::try_new(start, end).ok_or("a mapping ends below its start")?;
        let perms = Perms(self.perms.ok_or("a mapping has no perms")?);
        let (offset, inode) = (self.offset.unwrap_or(0), self.inode.unwrap_or(0));
        let device = self.device.flatten();
        let is_of_unknown_file = self.device == Some(None);
        let device = device.unwrap_or_default();
        let mapping = Mapping { range, perms, offset, device, inode, name: &self.name };
        maps.push(&mapping);
        if !self.sizes.is_empty() {
            maps.push_field(b"Size", &SmapsValue::Kib(range.size() / 1024));
        }
        for (key, value) in &self.sizes {
            push_size(maps, key, value);
        }
        let part = |range, label: LabelIn| Some(Labelled::new(range, label.label()?));
        if self.parts.0.is_empty() {
            labels.extend(self.label.and_then(|label| part(range, label)));
        }
        for PartIn { start, end, label } in self.parts.0 {
            labels.extend(AddressRange::try_new(start.0, end.0).and_then(|at| part(at, label)));
        }
        // What the row shows by itself, and nothing proves, is not kept.
        let shown = mapping.file_name().map(|file| (file.path.into_owned(), file.deleted));
        let known = self.path.map(|path| (path, self.deleted));
        let is_plain = !self.path_certain && self.state.is_empty() && shown == known;
        let truth = known.filter(|_| !is_plain).map(|(path, deleted)| FileTruth {
            other_path: (path != self.name).then_some(path),
            deleted,
            certain: self.path_certain,
            now: Now::noted(&self.state),
        });
        Ok(RowFacts { truth, is_of_unknown_file })
    }
}

fn read_bytes<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Vec<u8>, A::Error> {
    let hex: String = map.next_value()?;
    bytes(&hex)
        .ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(&hex), &"bytes in hexadecimal"))
}

/// Whether a key follows from other keys of the row.
fn is_derived(key: &str) -> bool {
    /// Those of single kinds of mappings.
    const OF_KIND: [&str; 5] = ["tid", "anon_name", "anon_name_hex", "shm_key", "shm_id"];
    let is_own = |field: &&Field| field.needs == FieldNeeds::Sizes && !field.is_sum();
    let field = |name| Field::named(name).filter(|field| !is_own(field));
    let is_twin = |name| field(name).is_some_and(|field| field.kind == FieldKind::Address);
    field(key).is_some() || OF_KIND.contains(&key) || key.strip_suffix("_num").is_some_and(is_twin)
}

fn push_size(maps: &mut Maps, key: &str, value: &SizeIn) {
    let key = key.strip_prefix("smaps_").unwrap_or(key);
    let field = Field::named(key).filter(|field| field.needs == FieldNeeds::Sizes);
    let name = field.and_then(Field::smaps_name).unwrap_or(key).as_bytes();
    let is_size = field.is_some_and(|field| field.kind == FieldKind::Bytes);
    match value {
        SizeIn::Number(bytes) if is_size && bytes % 1024 == 0 => {
            maps.push_field(name, &SmapsValue::Kib(bytes / 1024));
        }
        SizeIn::Number(number) => maps.push_field(name, &SmapsValue::Number(*number)),
        SizeIn::Flags(flags) => {
            let text = flags.0.iter().map(|flag| format!("{flag} ")).collect::<String>();
            maps.push_field(b"VmFlags", &SmapsValue::Flags(VmFlags::new(text.as_bytes())));
        }
        SizeIn::Text(text) => maps.push_field(name, &SmapsValue::Text(text.as_bytes())),
        SizeIn::Other(_) => {}
    }
}

impl<'de> Deserialize<'de> for RowIn {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<RowIn, D::Error> {
        struct OfRow;
        impl<'de> Visitor<'de> for OfRow {
            type Value = RowIn;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RowIn, A::Error> {
                let mut row = RowIn::default();
                while let Some(key) = map.next_key::<String>()? {
                    row.read(&key, &mut map)?;
                }
                Ok(row)
            }
        }
        from.deserialize_map(OfRow)
    }
}
