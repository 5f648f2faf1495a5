//! The document of `blame --json`.

use super::answer::BlameAnswer;
use crate::output::json::formatter::Addresses;
use crate::output::json::{self, Hex, Schema, TargetJson, WarningJson};
use crate::output::origin::{FrameJson, OriginJson};
use serde::Serialize;
use std::io::{self, Write};
use vmatlas::{BlameBy, Note, Rank};

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct BlameJson<'a> {
    schema: Schema,
    target: TargetJson,
    mappings: Vec<OriginsJson<'a>>,
    /// The key by which bytes are summed up.
    by: String,
    /// The bytes that are counted.
    count: String,
    /// The sums, the largest first.
    ranking: Vec<RankJson<'a>>,
    warnings: Vec<WarningJson>,
}

/// The bytes with one key.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct RankJson<'a> {
    /// The function, module or thread; of a stack its functions, folded.
    key: String,
    bytes: u64,
    /// How many events mapped or touched them.
    events: usize,
    threads: usize,
    /// The stack of the first, if they are summed up by stack.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stack: Vec<FrameJson<'a>>,
}

impl<'a> RankJson<'a> {
    fn of(rank: &Rank<'a>, by: BlameBy) -> RankJson<'a> {
        let first = rank.first().filter(|_| by == BlameBy::Stack);
        let frames = first.map_or(&[][..], |first| first.frames());
        RankJson {
            key: rank.key.clone(),
            bytes: rank.bytes,
            events: rank.events(),
            threads: rank.threads(),
            stack: frames.iter().map(FrameJson::of).collect(),
        }
    }
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct OriginsJson<'a> {
    start: Hex,
    end: Hex,
    perms: String,
    name: String,
    kind: &'static str,
    origins: Vec<OriginJson<'a>>,
}

pub(super) fn write(
    out: &mut dyn Write,
    answer: &BlameAnswer<'_>,
    addresses: Addresses,
) -> io::Result<()> {
    let BlameAnswer { atlas, blame, by, count, .. } = *answer;
    let mappings = blame.pieces().chunk_by(|a, b| a.row == b.row).map(|pieces| {
        let mapping = blame.mapping(&pieces[0]);
        OriginsJson {
            start: Hex(mapping.range.start),
            end: Hex(mapping.range.end),
            perms: mapping.perms.to_string(),
            name: String::from_utf8_lossy(mapping.name).into_owned(),
            kind: mapping.kind().word(),
            origins: pieces.iter().map(|piece| OriginJson::of(&blame.made(piece))).collect(),
        }
    });
    let notes = blame.notes().iter().map(|text| WarningJson::of(&Note::Names(text.clone())));
    let ranking = blame.ranking(by);
    json::write(
        out,
        addresses,
        &BlameJson {
            schema: Schema,
            target: TargetJson::of(answer.atlas),
            mappings: mappings.collect(),
            by: format!("{by:?}").to_lowercase(),
            count: format!("{count:?}").to_lowercase(),
            ranking: ranking.iter().map(|rank| RankJson::of(rank, by)).collect(),
            warnings: json::warnings(atlas).chain(notes).collect(),
        },
    )
}
