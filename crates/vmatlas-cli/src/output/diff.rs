//! The differences between two maps.

use super::Answer;
use super::json::{self, MappingJson, WarningJson};
use super::style::{self, Paint};
use serde::Serialize;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use vmatlas::words::{self, name, size};
use vmatlas::{Atlas, Change, Diff, Mapping};

/// The most functions in the origin of the bytes that a row gained.
const FRAMES: usize = 2;

/// The differences between two targets.
pub(crate) struct DiffAnswer<'a> {
    pub(crate) first: &'a Atlas,
    pub(crate) second: &'a Atlas,
    pub(crate) diff: &'a Diff<'a>,
}

#[derive(Serialize)]
struct DiffJson<'a> {
    schema: &'static str,
    added: Vec<MappingJson<'a>>,
    removed: Vec<MappingJson<'a>>,
    changed: Vec<ChangeJson<'a>>,
    warnings: Vec<WarningJson>,
}

#[derive(Serialize)]
struct ChangeJson<'a> {
    from: MappingJson<'a>,
    to: MappingJson<'a>,
    what: &'a [&'static str],
}

impl Answer for DiffAnswer<'_> {
    fn text(&self, paint: Paint) -> String {
        text(self.diff, &Causes::of(self.diff), paint)
    }

    fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        let diff = self.diff;
        let shown = |row| MappingJson { row, labels: false };
        let from = |row: &Mapping<'_>| diff.from_row(row).map(shown);
        let to = |row: &Mapping<'_>| diff.to_row(row).map(shown);
        json::write(
            out,
            &DiffJson {
                schema: json::SCHEMA,
                warnings: json::warnings(self.first).chain(json::warnings(self.second)).collect(),
                added: diff.rows.added.iter().filter_map(to).collect(),
                removed: diff.rows.removed.iter().filter_map(from).collect(),
                changed: diff
                    .rows
                    .changed
                    .iter()
                    .filter_map(|Change { from: a, to: b, what, .. }| {
                        Some(ChangeJson { from: from(a)?, to: to(b)?, what })
                    })
                    .collect(),
            },
        )
    }
}

/// The origins of added rows and the ends of removed ones, if both targets belong to one recording.
/// The keys are the starts of rows and of unmapped ranges.
#[derive(Default)]
struct Causes {
    added: HashMap<u64, String>,
    removed: HashMap<u64, String>,
    changed: HashMap<u64, Vec<String>>,
}

impl Causes {
    fn of(diff: &Diff<'_>) -> Causes {
        let mut who = Causes::default();
        for row in &diff.rows.added {
            let line = diff.to_row(row).map(|row| words::origins(&row));
            let line = line.filter(|line| !line.is_empty());
            who.added.extend(line.map(|line| (row.range.start, line)));
        }
        let endings = diff.endings();
        who.removed = endings.iter().map(|(at, ending)| (*at, words::ending(ending))).collect();
        for change in &diff.rows.changed {
            let Some(by) = diff.who_changed(change, &endings) else { continue };
            let lines = who.changed.entry(change.to.range.start).or_default();
            lines.extend(by.ended.as_ref().map(words::ending));
            lines.extend(by.made.as_ref().map(|made| words::origin(made, FRAMES)));
        }
        who
    }
}

fn text(diff: &Diff<'_>, who: &Causes, paint: Paint) -> String {
    let diff = &diff.rows;
    let mut text = String::new();
    let mut line = |sign: char, row: &Mapping<'_>, note: &str| {
        let shown = format!(
            "{sign} {} {:>6} {} {}",
            row.range,
            size(row.range.size()),
            row.perms,
            name(row.name)
        );
        let _ = writeln!(text, "{}{note}", paint.paint(style::change(sign), shown.trim_end()));
    };
    // Sort the lines by address.
    let mut rows: Vec<(u64, char, &Mapping<'_>, Option<&Change<'_>>)> = Vec::new();
    rows.extend(diff.removed.iter().map(|row| (row.range.start, '-', row, None)));
    rows.extend(diff.added.iter().map(|row| (row.range.start, '+', row, None)));
    rows.extend(
        diff.changed.iter().map(|change| (change.to.range.start, '~', &change.to, Some(change))),
    );
    rows.sort_by_key(|(start, ..)| *start);
    for (_, sign, row, change) in rows {
        let mut notes: Vec<String> = change.iter().flat_map(|change| notes(change)).collect();
        notes.extend(match sign {
            '+' => who.added.get(&row.range.start).cloned(),
            '-' => who.removed.get(&row.range.start).cloned(),
            _ => None,
        });
        if change.is_some() {
            notes.extend(who.changed.get(&row.range.start).into_iter().flatten().cloned());
        }
        let note =
            if notes.is_empty() { String::new() } else { format!("  ({})", notes.join(", ")) };
        line(sign, row, &note);
    }
    let (added, removed, changed) = (diff.added.len(), diff.removed.len(), diff.changed.len());
    let moved = diff.moved.iter().filter(|(from, to)| from.range != to.range).count();
    let _ = writeln!(
        text,
        "{added} added, {removed} removed, {changed} changed, {moved} at another address only"
    );
    text
}

/// Describes the changes of a row.
fn notes(change: &Change<'_>) -> Vec<String> {
    let Change { from, to, what, .. } = change;
    let note = |what: &&'static str| match *what {
        "size" => {
            let (old, new) = (from.range.size(), to.range.size());
            let (word, by) =
                if new > old { ("grew by", new - old) } else { ("shrank by", old - new) };
            format!("{word} {}", size(by))
        }
        "perms" => format!("was {}", from.perms),
        "offset" => format!("offset was {:x}", from.offset),
        "device" => format!("device was {}", from.device),
        "inode" => format!("inode was {}", from.inode),
        _ => format!("name was {}", name(from.name)),
    };
    what.iter().map(note).collect()
}
