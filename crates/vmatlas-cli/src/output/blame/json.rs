//! The document of `blame --json`.

use crate::output::json::{self, Hex, SCHEMA};
use crate::output::origin::OriginJson;
use serde::Serialize;
use std::io::{self, Write};
use vmatlas::words::printable;
use vmatlas::{Atlas, Blame};

#[derive(Serialize)]
struct BlameJson<'a> {
    schema: &'static str,
    target: TargetJson<'a>,
    mappings: Vec<MappingJson<'a>>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct TargetJson<'a> {
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    comm: String,
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

pub(super) fn write(out: &mut dyn Write, atlas: &Atlas, blame: &Blame<'_>) -> io::Result<()> {
    let recorded = blame.recorded();
    let mappings = blame.pieces().chunk_by(|a, b| a.row == b.row).map(|pieces| {
        let mapping = blame.mapping(&pieces[0]);
        MappingJson {
            start: Hex(mapping.range.start),
            end: Hex(mapping.range.end),
            perms: mapping.perms.to_string(),
            name: String::from_utf8_lossy(mapping.name).into_owned(),
            kind: mapping.kind().word(),
            origins: pieces.iter().map(|piece| OriginJson::of(&blame.made(piece))).collect(),
        }
    });
    let notes = atlas.notes().map(|note| crate::output::notes::text(&note));
    json::write(
        out,
        &BlameJson {
            schema: SCHEMA,
            target: TargetJson {
                source: atlas.source().word(),
                pid: recorded.pid(),
                comm: printable(recorded.comm()),
                kernel: recorded.kernel(),
                event: recorded.event().get(),
                time_s: recorded.time_ns().map(|time_ns| time_ns as f64 / 1e9),
            },
            mappings: mappings.collect(),
            warnings: notes.chain(blame.notes().iter().cloned()).collect(),
        },
    )
}
