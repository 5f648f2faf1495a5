//! The document of `blame --json`.

use super::Blame;
use crate::output::json::{self, Hex, SCHEMA};
use crate::output::origin::OriginJson;
use crate::trouble::Trouble;
use serde::Serialize;

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
            origins: pieces
                .iter()
                .map(|piece| OriginJson::of(recorded, piece.range, &piece.origin))
                .collect(),
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
        warnings: recorded
            .warnings
            .iter()
            .chain(&recorded.stacks.notes)
            .map(String::as_str)
            .collect(),
    })
}
