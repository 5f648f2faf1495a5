//! The document of `blame --json`.

use super::{Blame, Piece};
use crate::output::json::{self, Hex, SCHEMA};
use crate::trouble::Trouble;
use serde::Serialize;
use vmatlas::recording::Maker;
use vmatlas_linux::symbols::SymbolFrame;

#[derive(Serialize)]
struct BlameJson<'a> {
    schema: &'static str,
    target: TargetJson<'a>,
    mappings: Vec<MappingJson<'a>>,
    warnings: Vec<&'a str>,
}

#[derive(Serialize)]
struct TargetJson<'a> {
    source: &'static str,
    pid: u32,
    comm: String,
    kernel: &'a str,
    event: u64,
    time_s: f64,
}

#[derive(Serialize)]
struct MappingJson<'a> {
    start: Hex,
    end: Hex,
    perms: String,
    name: String,
    kind: &'static str,
    origins: Vec<OriginJson<'a>>,
}

/// Bytes of one origin: every byte of a mapping is in one of these.
#[derive(Serialize)]
struct OriginJson<'a> {
    start: Hex,
    end: Hex,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    syscall: Option<&'static str>,
    stack: Vec<FrameJson<'a>>,
    how: &'static str,
}

#[derive(Serialize)]
pub(super) struct FrameJson<'a> {
    function: &'a str,
    module: &'a str,
    offset: Hex,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    inlined: bool,
}

impl<'a> FrameJson<'a> {
    pub(super) fn of(frame: &'a SymbolFrame) -> FrameJson<'a> {
        FrameJson {
            function: &frame.function,
            module: &frame.module,
            offset: Hex(frame.offset),
            source: frame.source.as_deref(),
            inlined: frame.inlined,
        }
    }
}

pub(super) fn print(blame: &Blame) -> Result<(), Trouble> {
    let recorded = &blame.recorded;
    let mappings = blame.pieces.chunk_by(|a, b| a.row == b.row).map(|pieces| {
        let mapping = blame.mapping(&pieces[0]);
        MappingJson {
            start: Hex(mapping.range.start),
            end: Hex(mapping.range.end),
            perms: mapping.perms.to_string(),
            name: String::from_utf8_lossy(mapping.name).into_owned(),
            kind: mapping.kind().word(),
            origins: pieces.iter().map(|piece| origin(blame, piece)).collect(),
        }
    });
    json::print(&BlameJson {
        schema: SCHEMA,
        target: TargetJson {
            source: "recording",
            pid: recorded.process.pid,
            comm: recorded.comm(),
            kernel: &recorded.recording.meta().kernel,
            event: recorded.replay.number(),
            time_s: recorded.replay.time_ns() as f64 / 1e9,
        },
        mappings: mappings.collect(),
        warnings: recorded.warnings.iter().chain(&blame.stacks.notes).map(String::as_str).collect(),
    })
}

fn origin<'a>(blame: &'a Blame, piece: &Piece) -> OriginJson<'a> {
    let origin = &piece.origin;
    let definitions = blame.recorded.recording.definitions();
    let task = definitions.tasks.get(origin.task as usize).filter(|_| origin.task != 0);
    let told = (origin.event != 0).then_some(origin);
    OriginJson {
        start: Hex(piece.range.start),
        end: Hex(piece.range.end),
        bytes: piece.range.size(),
        event: told.map(|origin| origin.event),
        time_s: told.map(|origin| origin.time_ns as f64 / 1e9),
        pid: task.map(|task| task.pid),
        tid: task.map(|task| task.tid),
        comm: task.map(|task| String::from_utf8_lossy(&task.comm).into_owned()),
        syscall: match origin.maker {
            Maker::Call(_) | Maker::Exec => Some(origin.maker.name()),
            _ => None,
        },
        stack: blame.frames(origin).iter().map(FrameJson::of).collect(),
        how: origin.how(),
    }
}
