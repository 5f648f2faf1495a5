//! The table of `blame --csv`: a row for each origin of a mapping.

use crate::output::csv::{self, Cell};
use crate::output::origin::OriginJson;
use vmatlas::{Blame, Mapping};

/// The origin of some bytes of a mapping.
pub(super) struct OriginRow<'a> {
    mapping: Mapping<'a>,
    origin: OriginJson<'a>,
}

/// The columns.
pub(super) fn columns<'a>() -> [csv::Column<OriginRow<'a>>; 16] {
    [
        ("start", |row| Cell::address(row.origin.start.0)),
        ("end", |row| Cell::address(row.origin.end.0)),
        ("bytes", |row| Cell::number(row.origin.bytes)),
        ("mapping_start", |row| Cell::address(row.mapping.range.start)),
        ("mapping_end", |row| Cell::address(row.mapping.range.end)),
        ("perms", |row| Cell::text(row.mapping.perms.as_str())),
        ("name", |row| Cell::bytes(row.mapping.name)),
        ("kind", |row| Cell::text(row.mapping.kind().word())),
        ("event", |row| Cell::known(row.origin.event, Cell::number)),
        ("time_s", |row| Cell::known(row.origin.time_s, |time| Cell::text(&time.to_string()))),
        ("pid", |row| Cell::known(row.origin.pid, |pid| Cell::number(pid.into()))),
        ("tid", |row| Cell::known(row.origin.tid, |tid| Cell::number(tid.into()))),
        ("comm", |row| Cell::text(row.origin.comm.as_deref().unwrap_or_default())),
        ("syscall", |row| Cell::text(row.origin.syscall.unwrap_or_default())),
        ("how", |row| Cell::text(row.origin.how)),
        ("stack", |row| Cell::text(&row.origin.folded())),
    ]
}

/// The rows, in the order of their addresses.
pub(super) fn origins<'a>(blame: &'a Blame<'a>) -> Vec<OriginRow<'a>> {
    let row = |piece| OriginRow {
        mapping: blame.mapping(piece),
        origin: OriginJson::of(&blame.made(piece)),
    };
    blame.pieces().iter().map(row).collect()
}
