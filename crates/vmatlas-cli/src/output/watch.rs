//! Looks at watched processes, and their summary.

use super::Answer;
use super::fit::Fit;
use super::json::formatter::Addresses;
use super::json::{self, Hex, Schema};
use super::style::{self, Paint};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{self, Write};
use vmatlas::words::{self, change, count, name, printable, size};
use vmatlas::{Finding, Look, LookTotal, Measure, RowChange};

/// The most new and gone mappings of a look that are printed.
const ROWS: usize = 3;

/// A look.
pub(crate) struct LookAnswer<'a> {
    pub(crate) look: &'a Look,
    /// The words of the command line.
    pub(crate) target: &'a str,
    /// The most sums that are printed.
    pub(crate) top: usize,
    pub(crate) fit: Fit,
    /// The word for the key of the sums, above the first of them.
    pub(crate) heading: Option<&'static str>,
}

/// What all looks have shown.
pub(crate) struct SummaryAnswer<'a> {
    /// The resident memory at the first look.
    pub(crate) first: u64,
    pub(crate) last: Option<&'a Look>,
    /// The last look with sizes before the last one.
    pub(crate) sizes: Option<&'a Look>,
    pub(crate) looks: u64,
    /// Whether all processes have ended.
    pub(crate) is_gone: bool,
    pub(crate) top: usize,
    pub(crate) fit: Fit,
}

impl Answer for LookAnswer<'_> {
    fn text(&self, paint: Paint) -> String {
        let Look { since, rss, rows, added, removed, ended, .. } = self.look;
        let mut line = format!("{:>7.1} s {:>7} resident, ", since.as_secs_f64(), size(*rss));
        line.push_str(&count(*rows, "mapping"));
        if *added > 0 || *removed > 0 {
            let _ = write!(line, " ({added} new, {removed} gone)");
        }
        if *ended > 0 {
            let _ = write!(line, "; {} ended", processes(*ended));
        }
        let mut text = String::new();
        if let Some(key) = self.heading {
            let line =
                format!("{:>17} {:>7} {:>11} {:>7} {key}", "since start", "last", "rate", "rss");
            let _ = writeln!(text, "{}", paint.dim(&line));
        }
        let _ = writeln!(text, "{}", paint.bold(&line));
        sums(&mut text, self.look, self.top, self.fit, paint);
        for row in self.look.changes.iter().take(ROWS) {
            let _ =
                writeln!(text, "{}", changed_row(row, self.look.processes > 1, self.fit, paint));
        }
        // Looks at rows alone add little to it.
        let verdict = words::verdict(&self.look.verdict).filter(|_| self.look.has_sizes);
        if let Some(verdict) = verdict {
            let lines = self.fit.behind(10).lines(&verdict);
            lines.iter().for_each(|line| {
                let _ = writeln!(text, "          {line}");
            });
        }
        text
    }

    fn json(&self, out: &mut dyn Write, addresses: Addresses) -> io::Result<()> {
        json::write(out, addresses, &WatchJson::of(self.look, self.target))
    }

    fn ndjson(&self, out: &mut dyn Write, addresses: Addresses) -> io::Result<()> {
        self.json(out, addresses)
    }

    fn is_paged(&self) -> bool {
        false
    }
}

impl Answer for SummaryAnswer<'_> {
    fn text(&self, paint: Paint) -> String {
        let Some(last) = self.last else { return String::new() };
        let rss = i64::try_from(i128::from(last.rss) - i128::from(self.first)).unwrap_or(0);
        let end = if self.is_gone { "; all processes have ended" } else { "" };
        let head = format!(
            "\n{} in {:.0} s: {} resident{end}",
            count(self.looks, "look"),
            last.since.as_secs_f64(),
            change(rss)
        );
        let mut text = format!("{}\n", paint.bold(&head));
        if let Some(look) = Some(last).filter(|last| last.has_sizes).or(self.sizes) {
            sums(&mut text, look, self.top, self.fit, paint);
        }
        let verdict = words::verdict(&last.verdict);
        let verdict = verdict.unwrap_or_else(|| {
            format!("too few looks with sizes for a verdict: it takes {}", vmatlas::FEWEST)
        });
        self.fit.lines(&verdict).iter().for_each(|line| {
            let _ = writeln!(text, "{}", paint.bold(line));
        });
        text
    }

    fn json(&self, _out: &mut dyn Write, _addresses: Addresses) -> io::Result<()> {
        Ok(())
    }

    fn is_paged(&self) -> bool {
        false
    }
}

fn processes(number: usize) -> String {
    if number == 1 { "1 process".to_owned() } else { format!("{number} processes") }
}

/// The sums that changed: since the start, since the last look, a minute.
fn sums(text: &mut String, look: &Look, top: usize, fit: Fit, paint: Paint) {
    let room = fit.room(46);
    let changed = |total: &&LookTotal| total.since_start != 0 || total.since_last != 0;
    let all = look.totals.iter().filter(changed);
    for total in all.clone().take(top) {
        let rate = total.per_minute(look.since).map_or_else(String::new, |rate| {
            // Large enough for any process.
            format!("{}/min", change(rate.round() as i64))
        });
        let (start, last) = (change(total.since_start), change(total.since_last));
        let key = fit.path(&printable(total.key.as_bytes()), room);
        let line = format!("{start:>17} {last:>7} {rate:>11} {:>7} {key}", size(total.rss));
        let sign = if total.since_start < 0 { '-' } else { '+' };
        let _ = writeln!(text, "{}", paint.paint(style::change(sign), &line));
    }
    let more = all.count().saturating_sub(top);
    if more > 0 {
        let _ = writeln!(text, "{:>17} more changed; --top shows them", more);
    }
}

fn changed_row(row: &RowChange, with_pid: bool, fit: Fit, paint: Paint) -> String {
    let sign = if row.is_new { '+' } else { '-' };
    let pid = if with_pid { format!("{} ", row.pid) } else { String::new() };
    let head = format!(
        "          {sign} {pid}{:x} {:>6} {} ",
        row.range.start,
        size(row.range.size()),
        row.perms
    );
    let text = fit.path(&name(&row.name), fit.room(head.len()));
    paint.paint(style::change(sign), format!("{head}{text}").trim_end())
}

/// A look: a line of `watch --ndjson`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct WatchJson<'a> {
    schema: Schema,
    /// Seconds since the watch began.
    time_s: f64,
    target: &'a str,
    processes: usize,
    /// The processes that have ended since the last look.
    ended: usize,
    rows: u64,
    size: u64,
    rss: u64,
    /// The file that was read of each process: `maps` or `smaps`.
    depth: &'static str,
    /// The sums by key; empty if only rows were read.
    totals: Vec<TotalJson<'a>>,
    /// The number of rows that are new since the last look.
    added: u64,
    /// The number of rows that are gone since the last look.
    removed: u64,
    /// The largest of the new and gone rows.
    changes: Vec<RowJson>,
    /// What grows steadily.
    growing: Vec<FindingJson<'a>>,
    /// The same in words; `null` before there are enough looks.
    verdict: Option<String>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct TotalJson<'a> {
    key: &'a str,
    rows: u64,
    size: u64,
    rss: u64,
    /// The change of `rss` since the watch began.
    delta: i64,
    /// The change of `rss` since the last look with sizes.
    since_last: i64,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct RowJson {
    /// `added` or `removed`.
    change: &'static str,
    pid: u32,
    start: Hex,
    end: Hex,
    perms: String,
    name: String,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct FindingJson<'a> {
    /// `rss`, `size` or `rows`.
    measure: &'static str,
    /// The key of the sums; absent if all memory is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    /// Bytes or rows.
    per_minute: f64,
    /// Whether the memory was mapped before and is only touched now.
    is_mapped_before: bool,
}

impl<'a> WatchJson<'a> {
    fn of(look: &'a Look, target: &'a str) -> WatchJson<'a> {
        let total = |total: &'a LookTotal| TotalJson {
            key: &total.key,
            rows: total.rows,
            size: total.size,
            rss: total.rss,
            delta: total.since_start,
            since_last: total.since_last,
        };
        let row = |row: &RowChange| RowJson {
            change: if row.is_new { "added" } else { "removed" },
            pid: row.pid,
            start: Hex(row.range.start),
            end: Hex(row.range.end),
            perms: row.perms.to_string(),
            name: String::from_utf8_lossy(&row.name).into_owned(),
        };
        let finding = |finding: &'a Finding| FindingJson {
            measure: match finding.measure {
                Measure::Size => "size",
                Measure::Mappings => "rows",
                _ => "rss",
            },
            key: Some(&*finding.key).filter(|key| !key.is_empty()),
            per_minute: finding.per_minute,
            is_mapped_before: finding.is_mapped_before,
        };
        WatchJson {
            schema: Schema,
            time_s: look.since.as_secs_f64(),
            target,
            processes: look.processes,
            ended: look.ended,
            rows: look.rows,
            size: look.size,
            rss: look.rss,
            depth: if look.has_sizes { "smaps" } else { "maps" },
            totals: look.totals.iter().map(total).collect(),
            added: look.added,
            removed: look.removed,
            changes: look.changes.iter().map(row).collect(),
            growing: look.verdict.growing.iter().map(finding).collect(),
            verdict: words::verdict(&look.verdict),
        }
    }
}
