//! The difference of two snapshots of a machine.

use super::Answer;
use super::all::GroupJson;
use super::csv::{self, Cell};
use super::fit::Fit;
use super::json::formatter::Addresses;
use super::json::{self, Schema};
use super::style::Paint;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;
use vmatlas::words::{self, printable, size};
use vmatlas::{GroupGrowth, Survey, SurveyGroup};

/// The answer of `diff` of two snapshots of a machine.
pub(crate) struct MachineDiff<'a> {
    pub(crate) before: &'a Survey,
    pub(crate) after: &'a Survey,
    /// Those that differ.
    pub(crate) groups: &'a [GroupGrowth],
    /// When they were made, in milliseconds since 1970.
    pub(crate) times: [u64; 2],
    pub(crate) fit: Fit,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct MachineDiffJson {
    schema: Schema,
    by: &'static str,
    /// When the snapshots were made, in seconds since 1970.
    times: [f64; 2],
    /// Those that differ, the largest difference first.
    groups: Vec<GrowthJson>,
    before: GroupJson,
    after: GroupJson,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct GrowthJson {
    /// `new`, `gone`, `grew`, `shrank`, or `changed` if its share of resident memory is the same.
    change: &'static str,
    key: String,
    before: Option<GroupJson>,
    after: Option<GroupJson>,
}

/// A number of a group.
type Number = fn(&SurveyGroup) -> Option<u64>;

const COUNTS: [(&str, Number); 2] =
    [("procs", |group| Some(group.processes)), ("rows", |group| group.rows)];
const SIZES: [(&str, Number); 4] = [
    ("rss", |group| group.sizes.rss),
    ("pss", |group| group.sizes.pss),
    ("uss", |group| group.sizes.uss),
    ("swap", |group| group.sizes.swap),
];

/// The width of a column of numbers, with the blank behind it.
const WIDTH: usize = 9;

fn signed(growth: Option<i128>, text: impl Fn(u64) -> String) -> String {
    let Some(growth) = growth else { return "?".to_owned() };
    let sign = match growth {
        0 => return "0".to_owned(),
        growth if growth < 0 => "-",
        _ => "+",
    };
    format!("{sign}{}", text(u64::try_from(growth.unsigned_abs()).unwrap_or(u64::MAX)))
}

fn line(growth: &GroupGrowth) -> String {
    let mut line = String::new();
    for (_, number) in COUNTS {
        let _ = write!(line, "{:>8} ", signed(growth.by(number), |count| count.to_string()));
    }
    for (_, number) in SIZES {
        let _ = write!(line, "{:>8} ", signed(growth.by(number), size));
    }
    line
}

impl Answer for MachineDiff<'_> {
    fn text(&self, paint: Paint) -> String {
        let [first, second] = self.times.map(|time| words::utc(Duration::from_millis(time)));
        let mut text = format!("from {first} to {second} (UTC)\n\n");
        let mut header = String::new();
        let names = COUNTS.iter().chain(&SIZES).map(|(name, _)| name);
        names.for_each(|name| {
            let _ = write!(header, "{name:>8} ");
        });
        let by = self.before.by.word();
        let _ = writeln!(text, "{}", paint.dim(&format!("{header}{by}")));
        let room = self.fit.room(WIDTH * (COUNTS.len() + SIZES.len()));
        for growth in self.groups {
            let change = match growth.word() {
                word @ ("new" | "gone") => format!(" ({word})"),
                _ => String::new(),
            };
            let key = format!("{}{change}", printable(&growth.key));
            let _ = writeln!(text, "{}{}", line(growth), self.fit.path(&key, room));
        }
        let mut all = GroupGrowth::default();
        all.before = Some(self.before.all.clone());
        all.after = Some(self.after.all.clone());
        let _ = writeln!(text, "{}", paint.dim(&format!("{}all", line(&all))));
        text
    }

    fn json(&self, out: &mut dyn Write, addresses: Addresses) -> io::Result<()> {
        let growth = |growth: &GroupGrowth| GrowthJson {
            change: growth.word(),
            key: String::from_utf8_lossy(&growth.key).into_owned(),
            before: growth.before.as_ref().map(GroupJson::of),
            after: growth.after.as_ref().map(GroupJson::of),
        };
        let document = MachineDiffJson {
            schema: Schema,
            by: self.before.by.word(),
            times: self.times.map(|time| time as f64 / 1e3),
            groups: self.groups.iter().map(growth).collect(),
            before: GroupJson::of(&self.before.all),
            after: GroupJson::of(&self.after.all),
        };
        json::write(out, addresses, &document)
    }

    fn csv(&self, out: &mut dyn Write) -> io::Result<()> {
        csv::write(out, &CSV, self.groups)
    }
}

fn cell(group: Option<&SurveyGroup>, number: Number) -> Cell {
    Cell::known(group.and_then(number), Cell::number)
}

const CSV: [csv::Column<GroupGrowth>; 10] = [
    ("change", |growth| Cell::text(growth.word())),
    ("key", |growth| Cell::bytes(&growth.key)),
    ("rows_before", |growth| cell(growth.before.as_ref(), |group| group.rows)),
    ("rows_after", |growth| cell(growth.after.as_ref(), |group| group.rows)),
    ("rss_before", |growth| cell(growth.before.as_ref(), |group| group.sizes.rss)),
    ("rss_after", |growth| cell(growth.after.as_ref(), |group| group.sizes.rss)),
    ("pss_before", |growth| cell(growth.before.as_ref(), |group| group.sizes.pss)),
    ("pss_after", |growth| cell(growth.after.as_ref(), |group| group.sizes.pss)),
    ("uss_before", |growth| cell(growth.before.as_ref(), |group| group.sizes.uss)),
    ("uss_after", |growth| cell(growth.after.as_ref(), |group| group.sizes.uss)),
];
