//! The JSON documents, with types made for their readers.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::ser::Formatter;
use std::io::{self, Write};
use std::sync::LazyLock;
use vmatlas::label::{Label, Labelled};
use vmatlas::{
    AddressRange, Atlas, FIELDS, Field, FieldNeeds, FieldValue, Frozen, Kind, Note, Row,
    RunningThread, SmapsValue, SourceKind, VmFlags,
};

/// An address or offset. It is written as a string, because some readers lack 64-bit numbers.
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

/// Converts ASCII text.
fn ascii(text: &[u8]) -> &str {
    std::str::from_utf8(text).unwrap_or_default()
}

/// The schema version of all documents.
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
    /// The reason why there are no mappings.
    #[serde(skip_serializing_if = "Option::is_none")]
    empty: Option<String>,
    /// The address ranges whose rows are of other moments than the rest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    moment: Vec<RangeJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frozen: Option<FrozenJson>,
    /// The addresses at which it is not known whether two rows are one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    doubts: Vec<Hex>,
}

/// How long the threads of the process were stopped.
#[derive(Serialize)]
struct FrozenJson {
    threads: usize,
    stood_ns: u64,
    /// The threads that could not be stopped.
    running: Vec<RunningJson>,
}

#[derive(Serialize)]
struct RunningJson {
    tid: u32,
    why: String,
}

impl FrozenJson {
    fn of(frozen: &Frozen) -> FrozenJson {
        let running =
            |thread: &RunningThread| RunningJson { tid: thread.tid, why: thread.why.to_string() };
        FrozenJson {
            threads: frozen.threads,
            stood_ns: u64::try_from(frozen.stood.as_nanos()).unwrap_or(u64::MAX),
            running: frozen.running.iter().map(running).collect(),
        }
    }
}

/// An address range.
#[derive(Serialize)]
pub(crate) struct RangeJson {
    start: Hex,
    end: Hex,
}

impl RangeJson {
    fn of(range: &AddressRange) -> RangeJson {
        RangeJson { start: Hex(range.start), end: Hex(range.end) }
    }
}

impl TargetJson {
    pub(crate) fn of(atlas: &Atlas) -> TargetJson {
        let text = |bytes: &[u8]| match atlas.source() {
            // Names from recordings and logs were always escaped in JSON.
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
            moment: atlas.changed().iter().map(RangeJson::of).collect(),
            frozen: atlas.frozen().map(FrozenJson::of),
            doubts: atlas.doubts().into_iter().map(Hex).collect(),
        }
    }
}

/// The fields of the table that every mapping has, with their roles. Names are compared once, not
/// for each row.
static ROW_FIELDS: LazyLock<Vec<(&Field, Role)>> = LazyLock::new(|| {
    let fields = FIELDS.iter();
    let of_row = fields.filter(|field| matches!(field.needs, FieldNeeds::Row | FieldNeeds::Names));
    let role = |field: &Field| match field.name {
        "kind" => Role::Kind,
        "deleted" => Role::Deleted,
        "path" => Role::Path,
        "state" => Role::State,
        _ => Role::Plain,
    };
    of_row.map(|field| (field, role(field))).collect()
});

/// The entries that go with a field.
#[derive(Clone, Copy)]
enum Role {
    /// Only its own.
    Plain,
    /// Those of the kind of mapping.
    Kind,
    /// The path, which is looked up once for all entries; only if the mapping has a file.
    Path,
    /// Its own and `path_certain`, if the mapping has a file.
    Deleted,
    /// Its own, if the mapping has a file.
    State,
}

/// A mapping, with labels if requested.
pub(crate) struct MappingJson<'a> {
    pub(crate) row: Row<'a>,
    pub(crate) labels: bool,
}

impl Serialize for MappingJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = &self.row;
        let mut map = serializer.serialize_map(None)?;
        let path = row.path();
        for (field, role) in &*ROW_FIELDS {
            match (role, &path) {
                (Role::Path | Role::Deleted | Role::State, None) => {}
                (Role::Path, Some(path)) => text_entries(&mut map, field.name, path)?,
                (Role::Deleted, Some(path)) => {
                    field_entries(&mut map, field.name, &field.value(row))?;
                    map.serialize_entry("path_certain", &path.is_certain())?;
                }
                (Role::Kind, _) => {
                    field_entries(&mut map, field.name, &field.value(row))?;
                    kind_entries(&mut map, row)?;
                }
                _ => field_entries(&mut map, field.name, &field.value(row))?,
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
                // The row's own `size` has the same value.
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

/// Writes the purposes of a row.
fn labels<M: SerializeMap>(map: &mut M, row: &Row<'_>) -> Result<(), M::Error> {
    if let Some(label) = row.label() {
        map.serialize_entry("label", &LabelJson::of(label))?;
    }
    let labels = row.labels();
    // A single label for the whole row is written above; others need ranges.
    if labels.len() > 1 || labels.iter().any(|part| part.range.size() < row.range.size()) {
        let parts: Vec<PartJson<'_>> = labels.iter().map(PartJson::of).collect();
        map.serialize_entry("parts", &parts)?;
    }
    Ok(())
}

/// The purpose of memory.
#[derive(Serialize)]
pub(crate) struct LabelJson<'a> {
    pub(crate) text: &'a str,
    /// The group by which totals are summed up.
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

/// A part of a mapping with a purpose of its own.
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

/// Writes the entries of a field of the table. An absent note is left out.
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

/// Writes the entries that depend on the kind of mapping.
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

/// Whether a mapping has its own key of this name. A smaps field may share it, as `Name` of
/// Android's kernels does.
fn is_own_key(name: &str) -> bool {
    /// By length, because smaps has some 25 fields for each mapping, few of them as long as a key.
    static OWN: LazyLock<[Vec<&str>; MAX_FIELD_NAME + 1]> = LazyLock::new(|| {
        let mut own = [const { Vec::new() }; MAX_FIELD_NAME + 1];
        let fields = FIELDS.iter().filter(|field| field.needs != FieldNeeds::Sizes);
        for key in fields.map(|field| field.name).chain(["parts"]) {
            own[key.len()].push(key);
        }
        own
    });
    OWN.get(name.len()).is_some_and(|keys| keys.contains(&name))
}

/// The longest accepted name of a smaps field.
const MAX_FIELD_NAME: usize = 64;

struct Flags<'a>(VmFlags<'a>);

impl Serialize for Flags<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(String::from_utf8_lossy))
    }
}

/// Writes bytes as text, and also in hexadecimal if they are not UTF-8.
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

/// Writes a document on one line.
pub(crate) fn write(out: &mut dyn Write, document: &impl Serialize) -> io::Result<()> {
    writeln!(out, "{}", text(document)?)
}

pub(crate) fn text(value: &(impl Serialize + ?Sized)) -> io::Result<String> {
    let mut text = Vec::new();
    append(&mut text, value)?;
    // Already checked by serde_json, which writes text only.
    String::from_utf8(text).map_err(io::Error::other)
}

/// Appends a document.
pub(crate) fn append(text: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) -> io::Result<()> {
    Ok(value.serialize(&mut serde_json::Serializer::with_formatter(text, Harmless))?)
}

/// Writes characters that would command a terminal as `\uXXXX`. serde_json does it for those below
/// U+0020 only.
struct Harmless;

impl Formatter for Harmless {
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

/// Whether a character is a control character, or changes the direction of text.
fn is_command(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}')
}
