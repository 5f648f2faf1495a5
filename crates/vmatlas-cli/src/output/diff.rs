//! The differences between two maps.

pub(crate) mod growth;

use self::growth::{Growth, GrowthJson};
use super::Answer;
use super::csv::{self, Cell};
use super::fit::Fit;
use super::json::formatter::Addresses;
use super::json::{self, Hex, MappingJson, Schema, WarningJson};
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
    /// What grew and shrank, with --sizes.
    pub(crate) growth: Option<Growth<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct DiffJson<'a> {
    schema: Schema,
    added: Vec<MappingJson<'a>>,
    removed: Vec<MappingJson<'a>>,
    changed: Vec<ChangeJson<'a>>,
    /// Mappings that are the same but for their addresses.
    moved: Vec<MoveJson<'a>>,
    /// The events that made or ended them, if both targets are moments of one recording.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    causes: Vec<CauseJson<'a>>,
    /// The changes of sizes, with --sizes.
    #[serde(skip_serializing_if = "Option::is_none")]
    growth: Option<GrowthJson<'a>>,
    warnings: Vec<WarningJson>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ChangeJson<'a> {
    from: MappingJson<'a>,
    to: MappingJson<'a>,
    what: &'a [&'static str],
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct MoveJson<'a> {
    from: MappingJson<'a>,
    to: MappingJson<'a>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct CauseJson<'a> {
    /// `added`, `removed` or `changed`.
    change: &'static str,
    /// The start of the added, removed or changed mapping.
    start: Hex,
    text: &'a str,
}

/// A difference, as a row of `diff --csv`.
struct Difference<'a> {
    change: &'static str,
    what: String,
    from: Option<MappingJson<'a>>,
    to: Option<MappingJson<'a>>,
    causes: String,
}

/// The columns of `diff --csv`: the mapping of the first target, and that of the second.
fn columns<'a>() -> [csv::Column<Difference<'a>>; 19] {
    [
        ("change", |row| Cell::text(row.change)),
        ("what", |row| Cell::text(&row.what)),
        ("from_start", |row| Cell::field(row.from.as_ref(), "start")),
        ("from_end", |row| Cell::field(row.from.as_ref(), "end")),
        ("from_size", |row| Cell::field(row.from.as_ref(), "size")),
        ("from_perms", |row| Cell::field(row.from.as_ref(), "perms")),
        ("from_offset", |row| Cell::field(row.from.as_ref(), "offset")),
        ("from_device", |row| Cell::field(row.from.as_ref(), "device")),
        ("from_inode", |row| Cell::field(row.from.as_ref(), "inode")),
        ("from_name", |row| Cell::field(row.from.as_ref(), "name")),
        ("to_start", |row| Cell::field(row.to.as_ref(), "start")),
        ("to_end", |row| Cell::field(row.to.as_ref(), "end")),
        ("to_size", |row| Cell::field(row.to.as_ref(), "size")),
        ("to_perms", |row| Cell::field(row.to.as_ref(), "perms")),
        ("to_offset", |row| Cell::field(row.to.as_ref(), "offset")),
        ("to_device", |row| Cell::field(row.to.as_ref(), "device")),
        ("to_inode", |row| Cell::field(row.to.as_ref(), "inode")),
        ("to_name", |row| Cell::field(row.to.as_ref(), "name")),
        ("causes", |row| Cell::text(&row.causes)),
    ]
}

impl<'a> DiffAnswer<'a> {
    /// All differences; those of addresses alone last.
    fn differences(&self) -> Vec<Difference<'a>> {
        let addresses = Addresses::Text;
        let (diff, causes) = (self.diff, Causes::of(self.diff));
        let shown = |row| MappingJson { row, labels: false, addresses };
        let from = |row: &Mapping<'_>| diff.from_row(row).map(shown);
        let to = |row: &Mapping<'_>| diff.to_row(row).map(shown);
        let joined = |lines: &[String]| lines.join("; ");
        let of = |lines: Option<&String>| lines.cloned().unwrap_or_default();
        let rows = &diff.rows;
        let added = rows.added.iter().map(|row| Difference {
            change: "added",
            what: String::new(),
            from: None,
            to: to(row),
            causes: of(causes.added.get(&row.range.start)),
        });
        let removed = rows.removed.iter().map(|row| Difference {
            change: "removed",
            what: String::new(),
            from: from(row),
            to: None,
            causes: of(causes.removed.get(&row.range.start)),
        });
        let changed = rows.changed.iter().map(|change| Difference {
            change: "changed",
            what: change.what.join(" "),
            from: from(&change.from),
            to: to(&change.to),
            causes: causes
                .changed
                .get(&change.to.range.start)
                .map_or(String::new(), |all| joined(all)),
        });
        let moved = moved(diff).map(|(a, b)| Difference {
            change: "moved",
            what: String::new(),
            from: from(a),
            to: to(b),
            causes: String::new(),
        });
        added.chain(removed).chain(changed).chain(moved).collect()
    }
}

/// The rows that are at another address only.
fn moved<'d, 'a>(diff: &'d Diff<'a>) -> impl Iterator<Item = &'d (Mapping<'a>, Mapping<'a>)> {
    diff.rows.moved.iter().filter(|(from, to)| from.range != to.range)
}

impl Answer for DiffAnswer<'_> {
    fn text(&self, paint: Paint) -> String {
        match &self.growth {
            Some(growth) => growth.text(Fit::of_stdout(), paint),
            None => text(self.diff, &Causes::of(self.diff), paint),
        }
    }

    fn json(&self, out: &mut dyn Write, addresses: Addresses) -> io::Result<()> {
        let diff = self.diff;
        let shown = |row| MappingJson { row, labels: false, addresses };
        let from = |row: &Mapping<'_>| diff.from_row(row).map(shown);
        let to = |row: &Mapping<'_>| diff.to_row(row).map(shown);
        let who = Causes::of(diff);
        json::write(
            out,
            addresses,
            &DiffJson {
                schema: Schema,
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
                moved: moved(diff)
                    .filter_map(|(a, b)| Some(MoveJson { from: from(a)?, to: to(b)? }))
                    .collect(),
                causes: who.json(),
                growth: self.growth.as_ref().map(|growth| growth.json(addresses)),
            },
        )
    }

    fn csv(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.growth {
            Some(growth) => growth.csv(out),
            None => csv::write(out, &columns(), &self.differences()),
        }
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

impl Causes {
    /// The causes in the order of addresses.
    fn json(&self) -> Vec<CauseJson<'_>> {
        let cause = |change, start: &u64, text| CauseJson { change, start: Hex(*start), text };
        let added = self.added.iter().map(|(start, text)| cause("added", start, text.as_str()));
        let removed =
            self.removed.iter().map(|(start, text)| cause("removed", start, text.as_str()));
        let changed = self.changed.iter().flat_map(|(start, texts)| {
            texts.iter().map(move |text| cause("changed", start, text.as_str()))
        });
        let mut all: Vec<CauseJson<'_>> = added.chain(removed).chain(changed).collect();
        all.sort_by_key(|cause| (cause.start.0, cause.change));
        all
    }
}

fn text(all: &Diff<'_>, who: &Causes, paint: Paint) -> String {
    let diff = &all.rows;
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
    let moved = moved(all).count();
    let resident = all.whole_change().rss.filter(|rss| *rss != 0);
    let resident =
        resident.map(|rss| format!("; resident memory {} (--sizes)", words::change(rss)));
    let _ = writeln!(
        text,
        "{added} added, {removed} removed, {changed} changed, {moved} at another address only{}",
        resident.unwrap_or_default()
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
