//! The text of `vmatlas show`.

use super::plan::Plan;
use crate::output::style::{self, Paint};
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use vmatlas::label::Confidence;
use vmatlas::words::{self, printable, share, size};
use vmatlas::{Atlas, Kind, MapTotals, Recorded, Row, SourceKind, Total};

/// Writes the whole text.
pub(super) fn show(
    atlas: &Atlas,
    rows: &[Row<'_>],
    totals: impl FnOnce() -> MapTotals,
    plan: &Plan,
    paint: Paint,
) -> String {
    let mut text = String::new();
    if plan.header {
        heading(&mut text, atlas, &totals(), paint);
    }
    if plan.columns.is_empty() {
        usual(&mut text, rows, plan, paint);
    } else {
        columns(&mut text, rows, plan, paint);
    }
    if plan.hints {
        text.push_str(HINTS);
    }
    text
}

const HINTS: &str = "
This is the map of vmatlas itself. Next:
  vmatlas PID                  the map of a process (or its name, or a file with maps in it)
  vmatlas PID --sizes          with resident memory
  vmatlas PID --deep           reads its memory, too, to be certain what is what
  vmatlas at PID ADDRESS       all that is known about an address
  vmatlas diff A B             what differs between two maps
  vmatlas explain CORE         why a program crashed: a core dump, a log, lines of dmesg
  vmatlas help                 everything else
";

/// Describes the target on one line: `1234 nginx`, `core.77: 1240 worker by signal 11`.
pub(crate) fn title(atlas: &Atlas) -> String {
    let name = printable(atlas.name().as_bytes());
    match atlas.source() {
        SourceKind::Live | SourceKind::Copy => {
            let tid = atlas.tid().map_or(String::new(), |tid| format!("/{tid}"));
            let pid = atlas.pid().unwrap_or_default();
            format!("{pid}{tid} {}", printable(atlas.comm()))
        }
        SourceKind::Recording | SourceKind::Log => match atlas.recorded().map(recorded_title) {
            Some((process, moment)) => format!("{process} {moment}"),
            None => name,
        },
        SourceKind::Core => {
            let mut words = vec![format!("{name}:")];
            words.extend(atlas.pid().map(|pid| pid.to_string()));
            words.extend(Some(printable(atlas.comm())).filter(|comm| !comm.is_empty()));
            words.extend(atlas.signal().map(|signal| format!("by signal {signal}")));
            if words.len() == 1 { name } else { words.join(" ") }
        }
        _ => name,
    }
}

/// The process and the moment of a recording or log.
pub(crate) fn recorded_title(recorded: &Recorded) -> (String, String) {
    let event = if recorded.kernel().is_some() { "event" } else { "line" };
    let pid = recorded.pid().map_or(String::new(), |pid| pid.to_string());
    let when = recorded.time_ns().map(|time| format!(", {}", words::seconds(time)));
    let process = format!("{pid} {}", printable(recorded.comm())).trim().to_owned();
    (process, format!("after {event} {}{}", recorded.event(), when.unwrap_or_default()))
}

fn heading(text: &mut String, atlas: &Atlas, totals: &MapTotals, paint: Paint) {
    let mut title = title(atlas);
    if let Some(empty) = atlas.empty() {
        let _ = writeln!(text, "{}: no mappings: {empty}", paint.bold(&title));
        return;
    }
    title = paint.bold(&title);
    let processes = atlas.maps().processes();
    if processes > 1 {
        let rows = words::count(atlas.maps().len() as u64, "row");
        let _ = writeln!(text, "{title}: {rows} of {processes} maps, which have no sum\n");
        return;
    }
    let _ = write!(
        text,
        "{title}: {}, {}",
        words::count(totals.all.mappings, "mapping"),
        size(totals.all.size)
    );
    if let Some(rss) = totals.all.rss {
        let _ = write!(text, ", {} resident", size(rss));
    }
    if let Some(huge) = totals.all.hugetlb.filter(|huge| *huge > 0) {
        let _ = write!(text, ", {} in huge pages", size(huge));
    }
    text.push_str("\n\n");
    sums(text, totals, paint);
}

/// Writes the totals: a line for each kind, and a line for each label group below it.
fn sums(text: &mut String, totals: &MapTotals, paint: Paint) {
    let mut lines: Vec<(String, &Total)> = Vec::new();
    for kind in &totals.kinds {
        let mut name = String::from_utf8_lossy(&kind.total.key).into_owned();
        if kind.images > 0 {
            let _ = write!(name, " ({})", words::count(kind.images as u64, "image"));
        }
        lines.push((name, &kind.total));
        let labels = kind.labels.iter();
        lines.extend(labels.map(|label| (format!("  {}", printable(&label.key)), label)));
    }
    lines.push(("unexplained".to_owned(), &totals.unexplained));
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max(22);
    // Rows of a text may have other fields of smaps only.
    let (all_rss, has_pss) = (totals.all.rss, totals.all.pss.is_some());
    let mut sizes = all_rss.map_or(String::new(), |_| format!(" {:>6} {:>6}", "rss", ""));
    if has_pss {
        let _ = write!(sizes, " {:>6}", "pss");
    }
    // The kernel does not count these pages as resident.
    let has_huge = totals.all.hugetlb.is_some_and(|huge| huge > 0);
    if has_huge {
        let _ = write!(sizes, " {:>6}", "huge");
    }
    let header = format!("{:<width$} {:>6} {:>6} {:>6}{sizes}", "kind", "rows", "size", "share");
    let _ = writeln!(text, "{}", paint.dim(header.trim_end()));
    for (name, total) in lines {
        let (rows, share_of_all) = (total.mappings, share(total.size, totals.all.size));
        let _ = write!(text, "{name:<width$} {rows:>6} {:>6} {share_of_all:>6}", size(total.size));
        let known = |bytes: Option<u64>| bytes.map_or(String::new(), size);
        if let Some(all) = all_rss {
            let part = total.rss.map_or(String::new(), |rss| share(rss, all));
            let _ = write!(text, " {:>6} {part:>6}", known(total.rss));
        }
        if has_pss {
            let _ = write!(text, " {:>6}", known(total.pss));
        }
        if has_huge {
            let _ = write!(text, " {:>6}", size(total.hugetlb.unwrap_or(0)));
        }
        text.push('\n');
    }
    text.push('\n');
}

fn usual(text: &mut String, rows: &[Row<'_>], plan: &Plan, paint: Paint) {
    let digits = |value: u64| (u64::BITS - value.leading_zeros()).div_ceil(4) as usize;
    // The long address of the gate page must not widen every other row.
    let low = rows.iter().filter(|row| row.kind() != Kind::Vsyscall);
    let width = low.map(|row| digits(row.range.end)).max().unwrap_or(0).max(8);
    let offset = rows.iter().map(|row| digits(row.mapping().offset)).max().unwrap_or(0).max(6);
    let sizes = rows.first().is_some_and(|row| row.atlas().has_sizes());
    let has_huge = rows.iter().any(|row| row.hugetlb().is_some_and(|huge| huge > 0));
    if plan.header && !rows.is_empty() {
        let mut rss = if sizes { format!(" {:>6}", "rss") } else { String::new() };
        if has_huge {
            let _ = write!(rss, " {:>6}", "huge");
        }
        let address = format!("{:<1$}", "address", 2 * width + 1);
        let header = format!("{address} {:>6}{rss} perms {:>offset$} name", "size", "offset");
        let _ = writeln!(text, "{}", paint.dim(&header));
    }
    let grouped = std::io::stdout().is_terminal() && plan.in_order;
    let mut last: Option<&Row<'_>> = None;
    for row in rows {
        let mapping = row.mapping();
        // The gap below the gate page lies outside the process's address range.
        let below = last.filter(|_| plan.in_order && mapping.kind() != Kind::Vsyscall);
        let gap = below.map_or(0, |last| mapping.range.start.saturating_sub(last.range.end));
        if gap > 0 {
            let of_text = matches!(row.atlas().source(), SourceKind::Text | SourceKind::Log);
            let gap = format!("{} {}", size(gap), if of_text { "gap" } else { "free" });
            let gap = format!("{gap:>0$}", 2 * width + 8);
            let _ = writeln!(text, "{}", paint.dim(&gap));
        }
        let address = format!("{:0width$x}-{:0width$x}", mapping.range.start, mapping.range.end);
        text.push_str(&paint.paint(style::of(&mapping), &address));
        // The range of a rollup includes what is not mapped.
        let whole = if mapping.is_rollup() { String::new() } else { size(mapping.range.size()) };
        let _ = write!(text, " {whole:>6}");
        if sizes {
            let _ = write!(text, " {:>6}", row.rss().map_or(String::new(), size));
        }
        if has_huge {
            let _ = write!(text, " {:>6}", row.hugetlb().map_or(String::new(), size));
        }
        let _ = write!(text, " {}  {:>offset$}", mapping.perms, offset_text(row));
        let same = |last: &&Row<'_>| {
            let before = last.mapping();
            (mapping.inode != 0 || row.inode().is_none())
                && before.name == mapping.name
                && before.inode == mapping.inode
                && before.device == mapping.device
        };
        let name =
            if grouped && last.filter(same).is_some() { "  \"".to_owned() } else { name(row) };
        for part in [
            name,
            label(row),
            paint.dim(&words::sections(row.sections())),
            paint.dim(&words::origins(row)),
        ] {
            if !part.is_empty() {
                text.push(' ');
                text.push_str(&part);
            }
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
        last = Some(row);
    }
}

fn offset_text(row: &Row<'_>) -> String {
    if row.has_file() { format!("{:x}", row.mapping().offset) } else { String::new() }
}

/// The purpose of a row and its confidence; one word if the name explains most of it.
fn label(row: &Row<'_>) -> String {
    if row.has_file() && row.shows_its_purpose() {
        return row.label().map_or(String::new(), |label| printable(label.group.as_bytes()));
    }
    let text = printable(words::labels(row).as_bytes());
    match row.label().map(|label| label.confidence) {
        None if text.is_empty() => text,
        None | Some(Confidence::Certain) => format!("= {text}"),
        Some(Confidence::Likely) => format!("= {text} (likely)"),
        Some(Confidence::Guess) => format!("= {text} (a guess)"),
    }
}

/// The name, with facts that the name does not show.
fn name(row: &Row<'_>) -> String {
    let Some(truth) = row.truth() else { return words::name(row.name) };
    if !truth.certain {
        return format!("{} (name not proven)", words::name(row.name));
    }
    let note = match truth.now.note() {
        "" if truth.path(row.name).ends_with(b" (deleted)") => {
            r#"not deleted; its name ends in " (deleted)""#
        }
        note => note,
    };
    let shown = words::name(truth.path(row.name));
    if note.is_empty() { shown } else { format!("{shown} ({note})") }
}

fn columns(text: &mut String, rows: &[Row<'_>], plan: &Plan, paint: Paint) {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| plan.columns.iter().map(|column| column.short(row)).collect())
        .collect();
    let width = |at: usize| {
        let header = plan.columns[at].name().len();
        cells.iter().map(|row| row[at].chars().count()).max().unwrap_or(0).max(header)
    };
    let widths: Vec<usize> = (0..plan.columns.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded =
            cells.iter().zip(&widths).zip(&plan.columns).map(|((cell, &width), column)| {
                if column.is_number() {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            });
        padded.collect::<Vec<_>>().join(" ").trim_end().to_owned()
    };
    if plan.header {
        let names: Vec<String> =
            plan.columns.iter().map(|column| column.name().to_owned()).collect();
        text.push_str(&paint.dim(&line(&names)));
        text.push('\n');
    }
    for (row, cells) in rows.iter().zip(&cells) {
        text.push_str(&paint.paint(style::of(&row.mapping()), &line(cells)));
        text.push('\n');
    }
}
