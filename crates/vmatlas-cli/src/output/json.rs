//! The JSON documents, as types made for their readers.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use std::io::{self, Write};
use vmatlas::label::{Label, Labelled};
use vmatlas::{
    Atlas, FIELDS, FieldNeeds, FieldValue, Kind, Note, Row, SmapsValue, SourceKind, VmFlags,
};

/// An address or offset: a string, because not every reader has 64-bit numbers.
pub(crate) struct Hex(pub(crate) u64);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = [b'0'; 18];
        let digits = (u64::BITS - self.0.leading_zeros()).div_ceil(4).max(1) as usize;
        text[1] = b'x';
        for (place, digit) in text[2..2 + digits].iter_mut().rev().enumerate() {
            *digit = b"0123456789abcdef"[(self.0 >> (4 * place)) as usize & 15];
        }
        serializer.serialize_str(ascii(&text[..2 + digits]))
    }
}

/// Text that is ASCII.
fn ascii(text: &[u8]) -> &str {
    std::str::from_utf8(text).unwrap_or_default()
}

/// The version of all documents.
pub(crate) const SCHEMA: &str = "vmatlas/1";

#[derive(Serialize)]
pub(crate) struct TargetJson {
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    word_size: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<String>,
    /// Why there is no mapping.
    #[serde(skip_serializing_if = "Option::is_none")]
    empty: Option<String>,
}

impl TargetJson {
    pub(crate) fn of(atlas: &Atlas) -> TargetJson {
        let text = |bytes: &[u8]| match atlas.source() {
            // Theirs was always fit to be printed.
            SourceKind::Recording | SourceKind::Log => vmatlas::words::printable(bytes),
            _ => String::from_utf8_lossy(bytes).into_owned(),
        };
        TargetJson {
            source: atlas.source().word(),
            pid: atlas.pid(),
            tid: atlas.tid(),
            comm: Some(text(atlas.comm())).filter(|comm| !comm.is_empty()),
            page_size: atlas.page_size(),
            word_size: atlas.word_size().map(vmatlas::WordSize::bits),
            kernel: atlas.kernel(),
            empty: atlas.empty().map(|empty| empty.to_string()),
        }
    }
}

/// A mapping, with labels where they are wanted.
pub(crate) struct MappingJson<'a> {
    pub(crate) row: Row<'a>,
    pub(crate) labels: bool,
}

impl Serialize for MappingJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = &self.row;
        let mut map = serializer.serialize_map(None)?;
        let path = row.path();
        for field in FIELDS {
            match (field.needs, field.name) {
                (_, "path" | "deleted" | "state") if path.is_none() => {}
                (FieldNeeds::Row | FieldNeeds::Names, name) => {
                    field_entries(&mut map, name, &field.value(row))?;
                }
                _ => {}
            }
            match (field.name, &path) {
                ("kind", _) => kind_entries(&mut map, row)?,
                ("deleted", Some(path)) => {
                    map.serialize_entry("path_certain", &path.is_certain())?;
                }
                _ => {}
            }
        }
        if self.labels {
            labels(&mut map, row)?;
        }
        for field in row.atlas().maps().fields(row.index()) {
            let mut lower = [0; MAX_FIELD_NAME];
            let Some(lower) = lower.get_mut(..field.name.len()) else { continue };
            lower.copy_from_slice(field.name);
            lower.make_ascii_lowercase();
            let name = ascii(lower);
            let prefixed;
            let name = match name {
                // The row says it already.
                "size" => continue,
                name if is_own_key(name) => {
                    prefixed = format!("smaps_{name}");
                    &prefixed
                }
                name => name,
            };
            match field.value {
                SmapsValue::Kib(kib) => map.serialize_entry(name, &kib.saturating_mul(1024))?,
                SmapsValue::Number(number) => map.serialize_entry(name, &number)?,
                SmapsValue::Flags(flags) => map.serialize_entry("vm_flags", &Flags(flags))?,
                SmapsValue::Text(text) => {
                    map.serialize_entry(name, String::from_utf8_lossy(text).trim())?;
                }
                _ => {}
            }
        }
        map.end()
    }
}

/// What a row is for.
fn labels<M: SerializeMap>(map: &mut M, row: &Row<'_>) -> Result<(), M::Error> {
    if let Some(label) = row.label() {
        map.serialize_entry("label", &LabelJson::of(label))?;
    }
    let labels = row.labels();
    // One label that covers all of the row is the row's.
    if labels.len() > 1 || labels.iter().any(|part| part.range.size() < row.range.size()) {
        let parts: Vec<PartJson<'_>> = labels.iter().map(PartJson::of).collect();
        map.serialize_entry("parts", &parts)?;
    }
    Ok(())
}

/// What memory is for.
#[derive(Serialize)]
pub(crate) struct LabelJson<'a> {
    pub(crate) text: &'a str,
    /// The sort, by which totals are made.
    group: &'a str,
    pub(crate) confidence: &'static str,
    pub(crate) because: &'a str,
}

impl<'a> LabelJson<'a> {
    pub(crate) fn of(label: &'a Label) -> LabelJson<'a> {
        LabelJson {
            text: &label.text,
            group: &label.group,
            confidence: label.confidence.word(),
            because: &label.because,
        }
    }
}

/// A part of a mapping that is for something else than the rest.
#[derive(Serialize)]
struct PartJson<'a> {
    start: Hex,
    end: Hex,
    label: LabelJson<'a>,
}

impl<'a> PartJson<'a> {
    fn of(part: &'a Labelled) -> PartJson<'a> {
        PartJson {
            start: Hex(part.range.start),
            end: Hex(part.range.end),
            label: LabelJson::of(&part.label),
        }
    }
}

/// The entries of a field of the table. A note is left out where there is none.
fn field_entries<M: SerializeMap>(
    map: &mut M,
    name: &'static str,
    value: &FieldValue<'_>,
) -> Result<(), M::Error> {
    match value {
        FieldValue::Address(address) => map.serialize_entry(name, &Hex(*address)),
        FieldValue::Bytes(number) | FieldValue::Number(number) => map.serialize_entry(name, number),
        FieldValue::Flag(flag) => map.serialize_entry(name, flag),
        FieldValue::Perms(perms) => map.serialize_entry(name, perms.as_str()),
        FieldValue::Text(text) if text.is_empty() && name == "state" => Ok(()),
        FieldValue::Text(text) => text_entries(map, name, text),
        _ => map.serialize_entry(name, &None::<()>),
    }
}

/// What a kind of mapping has besides its word.
fn kind_entries<M: SerializeMap>(map: &mut M, row: &Row<'_>) -> Result<(), M::Error> {
    match row.kind() {
        Kind::ThreadStack { tid } => map.serialize_entry("tid", &tid),
        Kind::NamedAnonymous { name } | Kind::NamedSharedAnonymous { name } => {
            map.serialize_entry("anon_name", &String::from_utf8_lossy(name))
        }
        Kind::SysvShm { key, id } => {
            map.serialize_entry("shm_key", &key)?;
            map.serialize_entry("shm_id", &row.inode().map(|_| id))
        }
        _ => Ok(()),
    }
}

/// Whether a mapping has a key that a field of smaps could have, too, as `Name` of Android's kernels.
fn is_own_key(name: &str) -> bool {
    name == "parts"
        || vmatlas::Field::named(name).is_some_and(|field| field.needs != FieldNeeds::Sizes)
}

/// The longest name of a field of smaps that is taken as one.
const MAX_FIELD_NAME: usize = 64;

struct Flags<'a>(VmFlags<'a>);

impl Serialize for Flags<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(String::from_utf8_lossy))
    }
}

/// Bytes as text, and exactly if they are not UTF-8.
fn text_entries<M: SerializeMap>(map: &mut M, name: &str, bytes: &[u8]) -> Result<(), M::Error> {
    let text = String::from_utf8_lossy(bytes);
    map.serialize_entry(name, &text)?;
    if matches!(text, std::borrow::Cow::Owned(_)) {
        map.serialize_entry(&format!("{name}_hex"), &vmatlas::words::hex(bytes))?;
    }
    Ok(())
}

#[derive(Serialize)]
pub(crate) struct WarningJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    message: String,
}

pub(crate) fn warnings(atlas: &Atlas) -> impl Iterator<Item = WarningJson> {
    let warning =
        |note: Note| WarningJson { line: note.line(), message: super::notes::text(&note) };
    atlas.notes().map(warning)
}

/// A document in a line.
pub(crate) fn write(out: &mut dyn Write, document: &impl Serialize) -> io::Result<()> {
    writeln!(out, "{}", text(document)?)
}

pub(crate) fn text(value: &(impl Serialize + ?Sized)) -> io::Result<String> {
    Ok(serde_json::to_string(value)?)
}
