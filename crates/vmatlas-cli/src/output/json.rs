//! The JSON documents, with types made for their readers.

pub(crate) mod error;
pub(crate) mod formatter;
mod object;
#[cfg(test)]
mod schema;

use self::formatter::Addresses;
pub(crate) use self::formatter::{text, write};
use object::{Key, Object};
use serde::Serialize;
use serde::ser::{Error as _, Serializer};
use serde_json::value::RawValue;
use std::cell::RefCell;
use std::io;
use std::sync::LazyLock;
use vmatlas::label::{Label, Labelled};
use vmatlas::{
    AddressRange, Atlas, FIELDS, Field, FieldNeeds, Frozen, Kind, Note, Row, RunningThread,
    Section, SmapsValue, SourceKind,
};

/// An address or offset. It is written as a string, because some readers lack 64-bit numbers.
pub(crate) struct Hex(pub(crate) u64);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The only numbers of 128 bits: the formatter writes them as strings.
        serializer.serialize_u128(self.0.into())
    }
}

/// The schema of all documents.
#[derive(Clone, Copy)]
pub(crate) struct Schema;

impl Schema {
    pub(crate) fn word() -> String {
        format!("vmatlas/{}", vmatlas::SCHEMA_VERSION)
    }
}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Schema::word())
    }
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// When the process was read, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<f64>,
    /// The event of a recording, or the line of a log, after which the mappings were so.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<u64>,
    /// The time of that event in seconds from the start of the recording or log.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_s: Option<f64>,
    /// The signal that caused the core dump.
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    /// The number of processes whose maps the text holds, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    maps: Option<u64>,
    /// The reason why there are no mappings, in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    empty: Option<&'static str>,
    /// The same in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    empty_because: Option<String>,
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct FrozenJson {
    threads: usize,
    stood_ns: u64,
    /// The threads that could not be stopped.
    running: Vec<RunningJson>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
        TargetJson {
            source: atlas.source().word(),
            pid: atlas.pid(),
            tid: atlas.tid(),
            comm: Some(comm(atlas)).filter(|comm| !comm.is_empty()),
            page_size: atlas.page_size(),
            word_size: atlas.word_size().map(vmatlas::WordSize::bits),
            kernel: atlas.kernel(),
            time: atlas.time_ms().map(seconds_of_ms),
            event: atlas.event(),
            time_s: atlas.event_time_ns().map(|time_ns| time_ns as f64 / 1e9),
            signal: atlas.signal(),
            maps: Some(atlas.maps().processes()).filter(|&maps| maps > 1),
            empty: atlas.empty().map(vmatlas::Empty::word),
            empty_because: atlas.empty().map(|empty| empty.to_string()),
            moment: atlas.changed().iter().map(RangeJson::of).collect(),
            frozen: atlas.frozen().map(FrozenJson::of),
            doubts: atlas.doubts().into_iter().map(Hex).collect(),
        }
    }
}

/// The name of the process.
pub(crate) fn comm(atlas: &Atlas) -> String {
    match atlas.source() {
        // Names from recordings and logs were always escaped in JSON.
        SourceKind::Recording | SourceKind::Log => vmatlas::words::printable(atlas.comm()),
        _ => String::from_utf8_lossy(atlas.comm()).into_owned(),
    }
}

/// Seconds, with milliseconds as their fraction.
pub(crate) fn seconds_of_ms(time_ms: u64) -> f64 {
    time_ms as f64 / 1e3
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

/// The sums of fields of smaps.
static SUMS: LazyLock<Vec<&Field>> =
    LazyLock::new(|| FIELDS.iter().filter(|field| field.is_sum()).collect());

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
    pub(crate) addresses: Addresses,
}

impl MappingJson<'_> {
    /// Appends the object. Many thousands are written, so this is not left to serde.
    pub(crate) fn append(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let row = &self.row;
        let mut object = Object::new(out, self.addresses);
        let path = row.path();
        for (field, role) in &*ROW_FIELDS {
            let name = field.name;
            match (role, &path) {
                (Role::Path | Role::Deleted | Role::State, None) => {}
                (Role::Path, Some(path)) => object.bytes(name, path)?,
                (Role::Deleted, Some(path)) => {
                    object.field(name, &field.value(row))?;
                    object.flag("path_certain", path.is_certain());
                }
                (Role::Kind, _) => {
                    object.field(name, &field.value(row))?;
                    kind_entries(&mut object, row)?;
                }
                _ => object.field(name, &field.value(row))?,
            }
        }
        if self.labels {
            labels(&mut object, row)?;
        }
        smaps_entries(&mut object, row)?;
        if row.atlas().has_sizes() {
            let sizes = row.sizes();
            for field in &*SUMS {
                if let Some(bytes) = field.sum_of(&sizes) {
                    object.number(field.name, bytes);
                }
            }
        }
        object.end();
        Ok(())
    }
}

impl Serialize for MappingJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = Vec::new();
        self.append(&mut text).map_err(S::Error::custom)?;
        let text = String::from_utf8(text).map_err(S::Error::custom)?;
        RawValue::from_string(text).map_err(S::Error::custom)?.serialize(serializer)
    }
}

/// Writes the fields of smaps of a row.
fn smaps_entries(object: &mut Object<'_>, row: &Row<'_>) -> io::Result<()> {
    SMAPS_KEYS.with_borrow_mut(|keys| {
        for (position, field) in row.atlas().maps().fields(row.index()).enumerate() {
            if keys.get(position).is_none_or(|(of, _)| **of != *field.name) {
                let key = (field.name.into(), smaps_key(field.name).map(Key::new));
                match keys.get_mut(position) {
                    Some(known) => *known = key,
                    None => keys.push(key),
                }
            }
            // The fields before it were written, too.
            let Some((_, Some(key))) = keys.get(position) else { continue };
            match field.value {
                SmapsValue::Kib(kib) => object.next_number(key, kib.saturating_mul(1024)),
                SmapsValue::Number(number) => object.next_number(key, number),
                SmapsValue::Flags(flags) => object.words("vm_flags", flags.iter())?,
                SmapsValue::Text(text) => {
                    object.text(key.name(), String::from_utf8_lossy(text).trim())?;
                }
                _ => {}
            }
        }
        Ok(())
    })
}

/// The name of a field of smaps, and its key.
type SmapsKey = (Box<[u8]>, Option<Key>);

thread_local! {
    /// The keys of the last row, which mostly has the same fields as the next.
    static SMAPS_KEYS: RefCell<Vec<SmapsKey>> = const { RefCell::new(Vec::new()) };
}

/// The key of a field of smaps; `None` if it is not written.
fn smaps_key(name: &[u8]) -> Option<Box<str>> {
    let lower = String::from_utf8_lossy(name).to_ascii_lowercase();
    match &*lower {
        // The row's own `size` has the same value.
        "size" => None,
        name if is_own_key(name) => Some(format!("smaps_{name}").into()),
        _ => Some(lower.into()),
    }
}

/// Writes the sections, the origin and the purposes of a row.
fn labels(object: &mut Object<'_>, row: &Row<'_>) -> io::Result<()> {
    let sections = row.sections();
    if !sections.is_empty() {
        let sections = sections.iter().map(SectionJson::of);
        object.value("sections", &sections.collect::<Vec<_>>())?;
    }
    let origin = vmatlas::words::origins(row);
    if !origin.is_empty() {
        object.text("origin", &origin)?;
    }
    if let Some(label) = row.label() {
        object.value("label", &LabelJson::of(label))?;
    }
    let labels = row.labels();
    // A single label for the whole row is written above; others need ranges.
    if labels.len() > 1 || labels.iter().any(|part| part.range.size() < row.range.size()) {
        let parts: Vec<PartJson<'_>> = labels.iter().map(PartJson::of).collect();
        object.value("parts", &parts)?;
    }
    Ok(())
}

/// A section of the file that lies in a mapping.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct SectionJson<'a> {
    name: &'a str,
    size: u64,
}

impl<'a> SectionJson<'a> {
    fn of(section: &'a Section) -> SectionJson<'a> {
        SectionJson { name: &section.name, size: section.size }
    }
}

/// The purpose of memory.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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

/// Writes the entries that depend on the kind of mapping.
fn kind_entries(object: &mut Object<'_>, row: &Row<'_>) -> io::Result<()> {
    match row.kind() {
        Kind::ThreadStack { tid } => object.number("tid", tid),
        Kind::NamedAnonymous { name } | Kind::NamedSharedAnonymous { name } => {
            object.text("anon_name", &String::from_utf8_lossy(name))?;
        }
        Kind::SysvShm { key, id } => {
            object.number("shm_key", key);
            object.value("shm_id", &row.inode().map(|_| id))?;
        }
        _ => {}
    }
    Ok(())
}

/// Whether a mapping has its own key of this name. A smaps field may share it, as `Name` of
/// Android's kernels does.
fn is_own_key(name: &str) -> bool {
    let is_own = |field: &&Field| field.needs != FieldNeeds::Sizes || field.is_sum();
    name == "parts" || FIELDS.iter().filter(is_own).any(|field| field.name == name)
}

/// A warning about the target.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct WarningJson {
    /// The kind in a word.
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    message: String,
}

impl WarningJson {
    pub(crate) fn of(note: &Note) -> WarningJson {
        let (kind, line) = (note.word().to_owned(), note.line());
        WarningJson { kind, line, message: super::notes::text(note) }
    }
}

pub(crate) fn warnings(atlas: &Atlas) -> impl Iterator<Item = WarningJson> {
    atlas.notes().map(|note| WarningJson::of(&note))
}
