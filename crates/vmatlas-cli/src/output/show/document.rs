//! The documents of `vmatlas show`: a map, or a mapping on each line.

use super::plan::Shown;
use super::totals::{self, TotalJson};
use crate::output::json::formatter::Addresses;
use crate::output::json::{self, Hex, MappingJson, Schema, TargetJson, WarningJson};
use crate::output::pieces;
use serde::Serialize;
use std::io::{self, Write};
use std::thread;
use vmatlas::label::ThreadFacts;
use vmatlas::{Atlas, MapTotals};

/// What precedes the mappings, which several threads write.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Head {
    schema: Schema,
    target: TargetJson,
}

/// What follows them.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Tail<'a> {
    totals: Vec<TotalJson>,
    /// The threads of the process, the main thread first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    threads: Vec<ThreadJson>,
    /// The names of the mapped programs and libraries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<std::borrow::Cow<'a, str>>,
    warnings: Vec<WarningJson>,
}

/// The document of `show --json`.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[allow(dead_code, reason = "its mappings are written by several threads")]
pub(crate) struct ShowJson<'a> {
    #[serde(flatten)]
    head: Head,
    /// Absent with `--summary`.
    mappings: Option<Vec<MappingJson<'a>>>,
    #[serde(flatten)]
    tail: Tail<'a>,
}

/// A line of `show --ndjson`.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[allow(dead_code, reason = "its parts are written one after the other")]
pub(crate) struct LineJson<'a> {
    #[serde(flatten)]
    head: LineHead,
    #[serde(flatten)]
    mapping: MappingJson<'a>,
}

/// A thread of the process.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ThreadJson {
    tid: u32,
    comm: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stack_pointer: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instruction_pointer: Option<Hex>,
    /// The base of the thread's own variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_pointer: Option<Hex>,
}

impl ThreadJson {
    fn of(thread: &ThreadFacts) -> ThreadJson {
        ThreadJson {
            tid: thread.tid,
            comm: String::from_utf8_lossy(&thread.comm).into_owned(),
            stack_pointer: thread.stack_pointer.map(Hex),
            instruction_pointer: thread.instruction_pointer.map(Hex),
            thread_pointer: thread.thread_pointer.map(Hex),
        }
    }
}

/// What precedes the keys of a mapping on a line of its own.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct LineHead {
    schema: Schema,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "String::is_empty")]
    comm: String,
    /// When the process was read, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<f64>,
    /// The moment of a recording or log, in seconds from its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_s: Option<f64>,
    /// What is wrong with the target, on the first line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<WarningJson>,
}

impl<'a> Tail<'a> {
    fn of(atlas: &'a Atlas, sums: &MapTotals) -> Tail<'a> {
        let facts = atlas.facts();
        let names = facts.images.iter().map(|image| String::from_utf8_lossy(&image.name));
        Tail {
            totals: totals::json(sums),
            threads: facts.threads.iter().map(ThreadJson::of).collect(),
            images: names.collect(),
            warnings: json::warnings(atlas).collect(),
        }
    }
}

/// The text of an object without its last brace.
fn open(addresses: Addresses, object: &impl Serialize) -> io::Result<String> {
    let mut text = json::text(addresses, object)?;
    text.pop();
    Ok(text)
}

/// Does `other` in a thread of its own meanwhile.
fn beside<A, B: Send>(work: impl FnOnce() -> A, other: impl FnOnce() -> B + Send) -> (A, B) {
    thread::scope(|scope| {
        let other = scope.spawn(other);
        (work(), other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Writes one document.
pub(super) fn json(out: &mut dyn Write, addresses: Addresses, shown: &Shown<'_>) -> io::Result<()> {
    let Shown { atlas, rows, plan, .. } = shown;
    let head = Head { schema: Schema, target: TargetJson::of(atlas) };
    out.write_all(open(addresses, &head)?.as_bytes())?;
    let mappings = || {
        if plan.summary {
            return Ok(());
        }
        out.write_all(b",\"mappings\":[")?;
        pieces::write(out, rows.len(), |place, piece| {
            let Some(row) = shown.row(place) else { return };
            if place > 0 {
                piece.push(b',');
            }
            // Only writing to memory could fail, and it cannot.
            drop(MappingJson { row, labels: true, addresses }.append(piece));
        })?;
        out.write_all(b"]")
    };
    // The sums are ready when the mappings are written.
    let (written, totals) = beside(mappings, || shown.totals());
    written?;
    let tail = json::text(addresses, &Tail::of(atlas, &totals))?;
    writeln!(out, ",{}", &tail[1..])
}

/// Writes a document for each mapping.
pub(super) fn ndjson(
    out: &mut dyn Write,
    addresses: Addresses,
    shown: &Shown<'_>,
) -> io::Result<()> {
    let atlas = shown.atlas;
    let head = |warnings| LineHead {
        warnings,
        schema: Schema,
        pid: atlas.pid(),
        comm: json::comm(atlas),
        time: atlas.time_ms().map(json::seconds_of_ms),
        time_s: atlas.event_time_ns().map(|time_ns| time_ns as f64 / 1e9),
    };
    let first = open(addresses, &head(json::warnings(atlas).collect()))?.into_bytes();
    let others = open(addresses, &head(Vec::new()))?.into_bytes();
    pieces::write(out, shown.rows.len(), |place, piece| {
        let Some(row) = shown.row(place) else { return };
        piece.extend_from_slice(if place == 0 { &first } else { &others });
        let brace = piece.len();
        // Only writing to memory could fail, and it cannot.
        drop(MappingJson { row, labels: true, addresses }.append(piece));
        if let Some(brace) = piece.get_mut(brace) {
            *brace = b',';
        }
        piece.push(b'\n');
    })
}
