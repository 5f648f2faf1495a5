//! The beginning of the map: what the target is, in words.

use super::plan::Shown;
use super::totals::Leaf;
use crate::output::style::Paint;
use std::fmt::Write as _;
use vmatlas::words::{self, printable, share, size};
use vmatlas::{Atlas, MapTotals, Recorded, SourceKind};

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
        SourceKind::Core | SourceKind::Document => {
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

/// Writes the first lines.
pub(super) fn write(text: &mut String, shown: &Shown<'_>, totals: &MapTotals, paint: Paint) {
    let (atlas, plan) = (shown.atlas, shown.plan);
    let title = title(atlas);
    let sentence = sentence(atlas, totals, shown.filter.is_some());
    let mut lines = plan.fit.lines(&format!("{title}: {sentence}"));
    // Only the title is bold, which a narrow terminal may break.
    if let Some(rest) = lines[0].strip_prefix(&title) {
        lines[0] = format!("{}{rest}", paint.bold(&title));
    }
    let is_marked = !plan.summary && plan.columns.is_empty();
    let remarks = remarks(atlas, totals, is_marked);
    lines.extend(remarks.iter().flat_map(|line| plan.fit.lines(line)));
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
}

fn sentence(atlas: &Atlas, totals: &MapTotals, is_filtered: bool) -> String {
    if let Some(empty) = atlas.empty() {
        return format!("no mappings: {empty}");
    }
    let processes = atlas.maps().processes();
    if processes > 1 {
        let rows = words::count(atlas.maps().len() as u64, "row");
        return format!("{rows} of {processes} maps, which have no sum");
    }
    let all = &totals.all;
    let of = if is_filtered { format!("{} of ", all.mappings) } else { String::new() };
    let count = if is_filtered { atlas.maps().len() as u64 } else { all.mappings };
    // Only a rollup has no mapping and sizes.
    let is_rollup = all.mappings == 0 && !is_filtered;
    let mut text = match is_rollup {
        true => "the sums of all its mappings (a rollup)".to_owned(),
        false => format!("{of}{}, {}", words::count(count, "mapping"), size(all.size)),
    };
    let private = all.sizes.uss.map_or(String::new(), |uss| format!(" ({} private)", size(uss)));
    let resident = match all.sizes.rss {
        Some(rss) => {
            // Of a text that was cut or filtered, the other rows have more.
            let lacks = |row: vmatlas::Row<'_>| !row.is_rollup() && row.sizes().rss.is_none();
            match !is_rollup && atlas.rows().any(lacks) {
                true => format!("; at least {} resident", size(rss)),
                false => format!("; {} resident{private}", size(rss)),
            }
        }
        None if is_filtered => String::new(),
        None => atlas
            .resident()
            .map_or(String::new(), |about| format!("; about {} resident", size(about))),
    };
    let most =
        most(totals).filter(|_| !is_rollup).map_or(String::new(), |most| format!(", {most}"));
    // The largest part is of what stands before it.
    match all.sizes.rss.is_some_and(|rss| rss > 0) {
        true => text.extend([resident, most]),
        false => text.extend([most, resident]),
    }
    for (bytes, what) in [(all.sizes.swap, "in swap"), (all.sizes.hugetlb, "in huge pages")] {
        if let Some(bytes) = bytes.filter(|bytes| *bytes > 0) {
            let _ = write!(text, "; {} {what}", size(bytes));
        }
    }
    text
}

/// The largest part, of what is resident if that is known: `mostly V8 heap (71.8%, likely)`.
fn most(totals: &MapTotals) -> Option<String> {
    let leaf = |leaf: &Leaf| (leaf.sizes.rss, leaf.size);
    let largest = Leaf::all(totals).into_iter().max_by_key(leaf)?;
    let (part, whole) = match (largest.sizes.rss, totals.all.sizes.rss) {
        (Some(rss), Some(whole)) if whole > 0 => (rss, whole),
        _ if totals.all.size > 0 => (largest.size, totals.all.size),
        _ => return None,
    };
    let mostly = if part > whole / 2 { "mostly" } else { "the largest part is" };
    let sure = if largest.sure.is_empty() { String::new() } else { format!(", {}", largest.sure) };
    Some(format!("{mostly} {} ({}{sure})", largest.name, share(part, whole)))
}

/// The least share of vm.max_map_count that is reported.
const FEW: u64 = 2;

/// What deserves a line of its own. `is_marked`: the rows are shown, with marks.
fn remarks(atlas: &Atlas, totals: &MapTotals, is_marked: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let code = &totals.writable_code;
    if code.mappings > 0 {
        let (them, are) = if code.mappings == 1 { ("it", "is") } else { ("them", "are") };
        let marks = if is_marked { format!(": ! marks {them}") } else { String::new() };
        lines.push(format!(
            "! {} ({}) {are} writable and executable (W+X){marks}",
            words::count(code.mappings, "mapping"),
            size(code.size)
        ));
    }
    // The kernel does not count the gate page.
    let gate = |row: &vmatlas::Row<'_>| row.kind() == vmatlas::Kind::Vsyscall;
    let gates = atlas.rows().next_back().filter(gate).is_some();
    let count = atlas.maps().len() as u64 - u64::from(gates);
    // vm.max_map_count is at least some thousands wherever programs run.
    if let Some(most) = (count > 1000).then(|| atlas.max_mappings()).flatten()
        && count > most / FEW
    {
        lines.push(format!(
            "! {} of the {most} mappings that vm.max_map_count allows; after {} more, mmap fails",
            share(count, most),
            most.saturating_sub(count)
        ));
    }
    lines
}
