//! The JSON documents, as types made for their readers.

use crate::core::Core;
use crate::output::pieces;
use crate::recording::Recorded;
use crate::row::Row;
use crate::target::Target;
use crate::totals::MapTotals;
use crate::trouble::Trouble;
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use std::io::{self, Write as _};
use vmatlas::label::{Label, Labelled};
use vmatlas::{Total, Value, VmFlags, Warning};

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
    pub(crate) fn of(target: &Target) -> TargetJson {
        let live = target.live.as_ref();
        let recorded = target.recorded.as_deref();
        let id = live.map(|live| live.process.id());
        if let Some(core) = &target.core {
            return TargetJson::of_core(core);
        }
        TargetJson {
            source: match target.log {
                _ if let Some(recorded) = recorded => recorded.source(),
                Some(_) => "strace",
                None if live.is_some_and(|live| live.process.is_live()) => "live",
                None => "text",
            },
            pid: id
                .map(|id| id.pid)
                .or(target.log.filter(|pid| *pid != 0))
                .or(recorded.map(|recorded| recorded.pid).filter(|pid| *pid != 0)),
            tid: id.and_then(|id| id.tid),
            comm: live
                .filter(|live| !live.comm.is_empty())
                .map(|live| String::from_utf8_lossy(&live.comm).into_owned())
                .or(recorded.map(|recorded| recorded.comm.clone()).filter(|comm| !comm.is_empty())),
            page_size: live
                .filter(|live| live.process.is_live())
                .map(|_| vmatlas_linux::page_size() as u64),
            word_size: target.maps.word_size().map(vmatlas::WordSize::bits),
            kernel: live
                .and_then(|live| live.kernel)
                .map(|kernel| kernel.to_string())
                .or(recorded.and_then(Recorded::kernel).map(str::to_owned)),
            empty: live.and_then(|live| live.empty).map(|empty| empty.to_string()),
        }
    }

    fn of_core(core: &Core) -> TargetJson {
        let dump = &core.dump;
        TargetJson {
            source: "core",
            pid: dump.pid(),
            tid: None,
            comm: dump.comm().map(|comm| String::from_utf8_lossy(comm).into_owned()),
            page_size: Some(dump.page_size()),
            word_size: Some(dump.word_size().bits()),
            kernel: core.kernel.map(|kernel| kernel.to_string()),
            empty: None,
        }
    }
}

/// A mapping.
pub(crate) struct MappingJson<'a>(pub(crate) Row<'a>);

impl Serialize for MappingJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = &self.0;
        let mapping = row.mapping;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("start", &Hex(mapping.range.start))?;
        map.serialize_entry("end", &Hex(mapping.range.end))?;
        map.serialize_entry("size", &mapping.range.size())?;
        map.serialize_entry("perms", mapping.perms.as_str())?;
        map.serialize_entry("offset", &Hex(mapping.offset))?;
        map.serialize_entry("device", &row.device().map(Display))?;
        map.serialize_entry("inode", &row.inode())?;
        text_entries(&mut map, "name", "name_hex", mapping.name)?;
        let kind = mapping.kind();
        map.serialize_entry("kind", kind.word())?;
        match kind {
            vmatlas::Kind::ThreadStack { tid } => map.serialize_entry("tid", &tid)?,
            vmatlas::Kind::NamedAnonymous { name }
            | vmatlas::Kind::NamedSharedAnonymous { name } => {
                map.serialize_entry("anon_name", &String::from_utf8_lossy(name))?;
            }
            vmatlas::Kind::SysvShm { key, id } => {
                map.serialize_entry("shm_key", &key)?;
                map.serialize_entry("shm_id", &row.inode().map(|_| id))?;
            }
            _ => {}
        }
        if let Some(path) = row.path() {
            text_entries(&mut map, "path", "path_hex", &path)?;
            map.serialize_entry("deleted", &row.deleted())?;
            map.serialize_entry("path_certain", &row.truth.is_some_and(|truth| truth.certain))?;
            if let Some(note) =
                row.truth.map(|truth| truth.now.note()).filter(|note| !note.is_empty())
            {
                map.serialize_entry("state", note)?;
            }
        }
        if let Some(label) = row.label() {
            map.serialize_entry("label", &LabelJson::of(label))?;
        }
        let labels = row.labels();
        // One label that covers all of the row is the row's.
        if labels.len() > 1 || labels.iter().any(|part| part.range.size() < mapping.range.size()) {
            let parts: Vec<PartJson<'_>> = labels.iter().map(PartJson::of).collect();
            map.serialize_entry("parts", &parts)?;
        }
        for field in row.target.maps.fields(row.index) {
            let mut lower = [0; MAX_FIELD_NAME];
            let Some(lower) = lower.get_mut(..field.name.len()) else { continue };
            lower.copy_from_slice(field.name);
            lower.make_ascii_lowercase();
            let name = ascii(lower);
            let prefixed;
            let name = match name {
                // The row says it already.
                "size" => continue,
                name if OWN_KEYS.contains(&name) => {
                    prefixed = format!("smaps_{name}");
                    &prefixed
                }
                name => name,
            };
            match field.value {
                Value::Kib(kib) => map.serialize_entry(name, &kib.saturating_mul(1024))?,
                Value::Number(number) => map.serialize_entry(name, &number)?,
                Value::Flags(flags) => map.serialize_entry("vm_flags", &Flags(flags))?,
                Value::Text(text) => {
                    map.serialize_entry(name, String::from_utf8_lossy(text).trim())?;
                }
                _ => {}
            }
        }
        map.end()
    }
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

/// The keys of a mapping that a field of smaps could have, too, as `Name` of Android's kernels.
const OWN_KEYS: [&str; 13] = [
    "start", "end", "perms", "offset", "device", "inode", "name", "kind", "path", "deleted",
    "state", "label", "parts",
];

/// The longest name of a field of smaps that is taken as one.
const MAX_FIELD_NAME: usize = 64;

struct Flags<'a>(VmFlags<'a>);

impl Serialize for Flags<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(String::from_utf8_lossy))
    }
}

/// Anything by the text it displays.
struct Display<T>(T);

impl<T: std::fmt::Display> Serialize for Display<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Bytes as text, and exactly if they are not UTF-8.
fn text_entries<M: serde::ser::SerializeMap>(
    map: &mut M,
    name: &str,
    hex: &str,
    bytes: &[u8],
) -> Result<(), M::Error> {
    let text = String::from_utf8_lossy(bytes);
    map.serialize_entry(name, &text)?;
    if matches!(text, std::borrow::Cow::Owned(_)) {
        map.serialize_entry(
            hex,
            &bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        )?;
    }
    Ok(())
}

/// The sums of a kind.
#[derive(Serialize)]
pub(crate) struct TotalJson {
    kind: String,
    #[serde(flatten)]
    sum: SumJson,
    share: f64,
    /// How many programs and libraries it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<usize>,
    /// The bytes of it that nothing says the purpose of.
    unexplained: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    unexplained_rss: Option<u64>,
    /// What the rest is for, if its names do not say it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<LabelTotalJson>,
}

#[derive(Serialize)]
struct LabelTotalJson {
    group: String,
    #[serde(flatten)]
    sum: SumJson,
}

#[derive(Serialize)]
struct SumJson {
    mappings: u64,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rss: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pss: Option<u64>,
}

impl SumJson {
    fn of(total: &Total) -> SumJson {
        let Total { mappings, size, rss, pss, .. } = *total;
        SumJson { mappings, size, rss, pss }
    }
}

pub(crate) fn totals(totals: &MapTotals) -> Vec<TotalJson> {
    let key = |total: &Total| String::from_utf8_lossy(&total.key).into_owned();
    let whole = totals.all.size;
    let of_kind = |kind: &crate::totals::KindTotals| TotalJson {
        kind: key(&kind.total),
        share: if whole == 0 { 0.0 } else { kind.total.size as f64 / whole as f64 },
        sum: SumJson::of(&kind.total),
        images: Some(kind.images).filter(|&images| images > 0),
        unexplained: kind.unexplained.size,
        unexplained_rss: kind.total.rss.map(|_| kind.unexplained.rss.unwrap_or(0)),
        labels: kind
            .labels
            .iter()
            .map(|total| LabelTotalJson { group: key(total), sum: SumJson::of(total) })
            .collect(),
    };
    totals.kinds.iter().map(of_kind).collect()
}

#[derive(Serialize)]
pub(crate) struct WarningJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    message: Display<&'a Warning>,
}

pub(crate) fn warnings(target: &Target) -> Vec<WarningJson<'_>> {
    let line = |warning: &Warning| Some(warning.line).filter(|&line| line > 0);
    let warning = |warning| WarningJson { line: line(warning), message: Display(warning) };
    target.maps.warnings().iter().map(warning).collect()
}

/// Prints the document of `show`.
pub(crate) fn print_map(
    target: &Target,
    rows: &[usize],
    totals: &MapTotals,
) -> Result<(), Trouble> {
    let mut out = io::stdout().lock();
    write!(out, "{{\"schema\":{},\"target\":{}", text(SCHEMA)?, text(&TargetJson::of(target))?)?;
    out.write_all(b",\"mappings\":[")?;
    pieces::write(&mut out, rows, |place, index, piece| {
        let Some(row) = Row::of(target, index) else { return };
        if place > 0 {
            piece.push(b',');
        }
        // Only writing to memory could fail.
        drop(serde_json::to_writer(piece, &MappingJson(row)));
    })?;
    writeln!(
        out,
        "],\"totals\":{},\"warnings\":{}}}",
        text(&self::totals(totals))?,
        text(&warnings(target))?
    )?;
    Ok(())
}

fn text(value: &(impl Serialize + ?Sized)) -> io::Result<String> {
    Ok(serde_json::to_string(value)?)
}

/// Prints a document.
pub(crate) fn print(document: &impl Serialize) -> Result<(), Trouble> {
    let mut out = io::stdout().lock();
    Ok(writeln!(out, "{}", text(document)?)?)
}
