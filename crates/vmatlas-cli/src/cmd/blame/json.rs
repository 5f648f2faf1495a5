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
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    comm: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<&'a str>,
    event: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_s: Option<f64>,
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
            source: recorded.source(),
            pid: Some(recorded.pid).filter(|pid| *pid != 0),
            comm: &recorded.comm,
            kernel: recorded.kernel(),
            event: recorded.number,
            time_s: recorded.time_ns.map(|time_ns| time_ns as f64 / 1e9),
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
