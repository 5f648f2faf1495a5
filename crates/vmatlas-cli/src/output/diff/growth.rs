//! What grew and what shrank between two maps with sizes.

use super::super::csv::{self, Cell};
use super::super::fit::Fit;
use super::super::json::MappingJson;
use super::super::json::formatter::Addresses;
use super::super::style::{self, Paint};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{self, Write};
use vmatlas::words::{self, change, name, printable};
use vmatlas::{By, Diff, Row, SizeChange, SumGrowth};

/// The changes of sizes: of each mapping, or of sums by a key.
pub(crate) struct Growth<'a> {
    by: Option<By>,
    all: SizeChange,
    items: Vec<Item<'a>>,
}

/// The change of a mapping or of a group.
struct Item<'a> {
    /// The key of the group.
    key: Option<String>,
    from: Option<Row<'a>>,
    to: Option<Row<'a>>,
    change: SizeChange,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct GrowthJson<'a> {
    /// `mapping`, or the key of the sums.
    by: &'static str,
    /// The change of all mappings.
    all: ChangeJson,
    /// The largest change of resident memory first.
    items: Vec<ItemJson<'a>>,
}

/// Changes in bytes, below 0 if less; `null` where a side lacks the field.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ChangeJson {
    rss: Option<i64>,
    pss: Option<i64>,
    uss: Option<i64>,
    swap: Option<i64>,
    size: i64,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ItemJson<'a> {
    /// The key of the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    /// The mapping before; absent if it was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<MappingJson<'a>>,
    /// The mapping after; absent if it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<MappingJson<'a>>,
    change: ChangeJson,
}

impl ChangeJson {
    fn of(change: &SizeChange) -> ChangeJson {
        let SizeChange { size, rss, pss, uss, swap, .. } = *change;
        ChangeJson { rss, pss, uss, swap, size }
    }
}

impl Item<'_> {
    /// The mapping as it is now, or as it was.
    fn row(&self) -> Option<Row<'_>> {
        self.to.or(self.from)
    }

    /// How the mapping changed, in a word; that of a group depends on nothing else.
    fn word(&self) -> &'static str {
        match (&self.from, &self.to) {
            (None, Some(_)) => "added",
            (Some(_), None) => "removed",
            _ => "changed",
        }
    }
}

/// A column of changes.
type Column = (&'static str, fn(&SizeChange) -> Option<i64>);

const COLUMNS: [Column; 5] = [
    ("rss", |change| change.rss),
    ("pss", |change| change.pss),
    ("uss", |change| change.uss),
    ("swap", |change| change.swap),
    ("size", |change| Some(change.size)),
];

/// The width of a column, with the blank behind it.
const WIDTH: usize = 8;

impl<'a> Growth<'a> {
    /// The changes of each mapping.
    pub(crate) fn of_mappings(diff: &Diff<'a>) -> Growth<'a> {
        let rows = diff.by_growth().into_iter();
        let item = |row: vmatlas::Growth<'a>| Item {
            key: None,
            from: row.from,
            to: row.to,
            change: row.change,
        };
        Growth { by: None, all: diff.whole_change(), items: rows.map(item).collect() }
    }

    /// The changes of sums by a key.
    pub(crate) fn of_sums(diff: &Diff<'a>, by: By) -> Growth<'a> {
        let sums = diff.growth(by).into_iter();
        let item =
            |SumGrowth { key, change, .. }| Item { key: Some(key), from: None, to: None, change };
        Growth { by: Some(by), all: diff.whole_change(), items: sums.map(item).collect() }
    }

    /// Whether nothing changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn word(&self) -> &'static str {
        self.by.map_or("mapping", By::word)
    }

    pub(super) fn text(&self, fit: Fit, paint: Paint) -> String {
        // Swap space is seldom used, and some texts lack fields.
        let has = |(name, of): &&Column| {
            *name == "rss"
                || *name == "size"
                || self.items.iter().any(|item| of(&item.change).unwrap_or(0) != 0)
        };
        let columns: Vec<&Column> = COLUMNS.iter().filter(has).collect();
        let mut text = String::new();
        if !self.is_empty() {
            let mut header = String::new();
            columns.iter().for_each(|(name, _)| {
                let _ = write!(header, "{name:>7} ");
            });
            let _ = writeln!(text, "{}", paint.dim(&format!("{header}{}", self.word())));
        }
        let room = fit.room(WIDTH * columns.len());
        for item in &self.items {
            let mut line = String::new();
            for (_, of) in &columns {
                let cell = of(&item.change).map_or_else(|| "?".to_owned(), change);
                let _ = write!(line, "{cell:>7} ");
            }
            match (&item.key, item.row()) {
                (Some(key), _) => line.push_str(&fit.path(&printable(key.as_bytes()), room)),
                (None, Some(row)) => line.push_str(&mapping(item, &row, fit, room)),
                (None, None) => {}
            }
            let bytes = item.change.rss.filter(|rss| *rss != 0).unwrap_or(item.change.size);
            let style = style::change(match bytes {
                ..0 => '-',
                0 => '~',
                _ => '+',
            });
            let _ = writeln!(text, "{}", paint.paint(style, line.trim_end()));
        }
        let count = |is: fn(i64) -> bool| {
            let rss = |item: &&Item<'_>| {
                is(item.change.rss.filter(|rss| *rss != 0).unwrap_or(item.change.size))
            };
            self.items.iter().filter(rss).count()
        };
        let resident = self.all.rss.map_or_else(|| "?".to_owned(), change);
        let _ = writeln!(
            text,
            "{} grew, {} shrank: {resident} resident, {} in size",
            words::count(count(|bytes| bytes > 0) as u64, self.word()),
            count(|bytes| bytes < 0),
            change(self.all.size)
        );
        text
    }

    pub(super) fn json(&self, addresses: Addresses) -> GrowthJson<'_> {
        let shown = |row| MappingJson { row, labels: false, addresses };
        let mut items = Vec::with_capacity(self.items.len());
        for item in &self.items {
            items.push(ItemJson {
                key: item.key.as_deref(),
                from: item.from.map(shown),
                to: item.to.map(shown),
                change: ChangeJson::of(&item.change),
            });
        }
        GrowthJson { by: self.word(), all: ChangeJson::of(&self.all), items }
    }

    pub(super) fn csv(&self, out: &mut dyn Write) -> io::Result<()> {
        csv::write(out, &csv_columns(), &self.items)
    }
}

/// A mapping on the rest of a line: where it starts, its permissions, its name or its label.
fn mapping(item: &Item<'_>, row: &Row<'_>, fit: Fit, room: usize) -> String {
    let sign = match item.word() {
        "added" => " (new)",
        "removed" => " (gone)",
        _ => "",
    };
    let start = format!("{:x} {} ", row.range.start, row.perms);
    let taken = start.len() + sign.len();
    format!("{start}{}{sign}", fit.path(&name(row.name), room.saturating_sub(taken)))
}

fn csv_columns<'a>() -> [csv::Column<Item<'a>>; 11] {
    [
        ("change", |item| Cell::text(if item.key.is_some() { "" } else { item.word() })),
        ("rss", |item| Cell::known(item.change.rss, Cell::change)),
        ("pss", |item| Cell::known(item.change.pss, Cell::change)),
        ("uss", |item| Cell::known(item.change.uss, Cell::change)),
        ("swap", |item| Cell::known(item.change.swap, Cell::change)),
        ("size", |item| Cell::change(item.change.size)),
        ("from_start", |item| Cell::known(item.from, |row| Cell::address(row.range.start))),
        ("from_end", |item| Cell::known(item.from, |row| Cell::address(row.range.end))),
        ("to_start", |item| Cell::known(item.to, |row| Cell::address(row.range.start))),
        ("to_end", |item| Cell::known(item.to, |row| Cell::address(row.range.end))),
        ("key", |item| match (&item.key, item.row()) {
            (Some(key), _) => Cell::text(key),
            (None, row) => Cell::known(row, |row| Cell::bytes(row.name)),
        }),
    ]
}
