//! `vmatlas diff A B`: what differs between two maps.

use crate::args::{DiffArgs, MomentArgs};
use crate::output::json::{self, MappingJson};
use crate::output::pager;
use crate::output::style::{self, Paint};
use crate::output::words::{name, size};
use crate::row::Row;
use crate::target::{Target, Want};
use crate::trouble::Trouble;
use serde::Serialize;
use std::collections::HashMap;
use std::fmt::Write as _;
use vmatlas::{AddressRange, Change, Diff, Filter, Mapping, Maps};

#[derive(Serialize)]
struct DiffJson<'a> {
    schema: &'static str,
    added: Vec<MappingJson<'a>>,
    removed: Vec<MappingJson<'a>>,
    changed: Vec<ChangeJson<'a>>,
    warnings: Vec<json::WarningJson<'a>>,
}

#[derive(Serialize)]
struct ChangeJson<'a> {
    from: MappingJson<'a>,
    to: MappingJson<'a>,
    what: &'a [&'static str],
}

pub(crate) fn run(args: &DiffArgs) -> Result<bool, Trouble> {
    if args.first == "-" && args.second == "-" {
        return Err(Trouble::new(
            "standard input can be read once only; give a file for the other",
        ));
    }
    let want = Want { sizes: false, truths: args.common.json };
    if args.filter.as_ref().is_some_and(Filter::needs_sizes) {
        return Err(Trouble::new(
            "diff compares rows, not sizes of smaps: --where cannot ask for one",
        ));
    }
    if args.filter.as_ref().is_some_and(Filter::needs_labels) {
        return Err(Trouble::new("diff compares rows, not labels: --where cannot ask for one"));
    }
    let read = |name| Target::read(name, &args.common.proc, &MomentArgs::default(), want);
    let (first, mut second) = (read(&args.first)?, read(&args.second)?);
    first.warn(&args.common);
    second.warn(&args.common);
    second.find_origins();
    let mut diff = Diff::of(&first.maps, &second.maps);
    if let Some(filter) = &args.filter {
        keep(&mut diff, filter);
    }
    if args.common.json {
        let (from, to) = (Rows::of(&first), Rows::of(&second));
        json::print(&DiffJson {
            schema: json::SCHEMA,
            warnings: json::warnings(&first).into_iter().chain(json::warnings(&second)).collect(),
            added: diff.added.iter().filter_map(|row| to.get(row)).collect(),
            removed: diff.removed.iter().filter_map(|row| from.get(row)).collect(),
            changed: diff
                .changed
                .iter()
                .filter_map(|Change { from: a, to: b, what }| {
                    Some(ChangeJson { from: from.get(a)?, to: to.get(b)?, what })
                })
                .collect(),
        })?;
    } else {
        let who = who(&first, &second, &diff);
        pager::print(&text(&diff, &who, Paint(style::wanted(args.common.color))))?;
    }
    Ok(diff.is_empty())
}

fn keep(diff: &mut Diff<'_>, filter: &Filter) {
    diff.added.retain(|row| filter.matches(row));
    diff.removed.retain(|row| filter.matches(row));
    diff.moved.retain(|(from, to)| filter.matches(from) || filter.matches(to));
    diff.changed.retain(|change| filter.matches(&change.from) || filter.matches(&change.to));
}

/// The rows of a target by what they are.
struct Rows<'a> {
    target: &'a Target,
    index: HashMap<Mapping<'a>, usize>,
}

impl<'a> Rows<'a> {
    fn of(target: &'a Target) -> Rows<'a> {
        let index = target.maps.iter().enumerate().map(|(index, row)| (row, index)).collect();
        Rows { target, index }
    }

    fn get(&self, row: &Mapping<'_>) -> Option<MappingJson<'a>> {
        Row::of(self.target, *self.index.get(row)?).map(MappingJson)
    }
}

/// Who made what came and who ended what went, where both are of one recording; by where the rows
/// begin.
#[derive(Default)]
struct Who {
    added: HashMap<u64, String>,
    removed: HashMap<u64, String>,
    changed: HashMap<u64, Vec<String>>,
}

fn who(first: &Target, second: &Target, diff: &Diff<'_>) -> Who {
    let mut who = Who::default();
    let rows = Rows::of(second);
    for row in &diff.added {
        let index = rows.index.get(row).copied();
        let origin = index.and_then(|index| Row::of(second, index)).map(|row| row.origin());
        who.added.extend(origin.filter(|origin| !origin.is_empty()).map(|o| (row.range.start, o)));
    }
    if let (Some(from), Some(to)) = (&first.recorded, &second.recorded) {
        let kept =
            diff.changed.iter().filter(|change| change.from.range.overlaps(&change.to.range));
        let lost: Vec<(u64, u64)> = kept
            .clone()
            .filter_map(|change| Some((change.to.range.start, lost(change, &second.maps)?)))
            .collect();
        let starts = diff.removed.iter().map(|row| row.range.start);
        let starts: Vec<u64> = starts.chain(lost.iter().map(|(_, address)| *address)).collect();
        who.removed = from.endings(&starts, to);
        for (start, address) in lost {
            who.changed.entry(start).or_default().extend(who.removed.get(&address).cloned());
        }
        for change in kept {
            let (old, new) = (change.from.range, change.to.range);
            let below = AddressRange::new(new.start, old.start.max(new.start));
            let above = AddressRange::new(old.end.min(new.end), new.end);
            let gained = [above, below].into_iter().find(|range| range.size() > 0);
            let origins = gained.map(|range| to.space().origins_of(range));
            let first = origins.and_then(|origins| Some(origins.first()?.1));
            let line = first.map(|origin| to.origin_line(&origin, 2));
            who.changed.entry(new.start).or_default().extend(line);
        }
    }
    who
}

/// The first address that a mapping has lost and that is not mapped any more.
fn lost(change: &Change<'_>, now: &Maps) -> Option<u64> {
    let (old, new) = (change.from.range, change.to.range);
    let below = AddressRange::new(old.start, new.start.max(old.start));
    let above = AddressRange::new(new.end.min(old.end), old.end);
    [below, above].into_iter().find_map(|range| {
        let mut address = range.start;
        while address < range.end {
            let row = now.find(address).mapping.and_then(|index| now.get(index));
            match row {
                Some(row) => address = row.range.end,
                None => return Some(address),
            }
        }
        None
    })
}

fn text(diff: &Diff<'_>, who: &Who, paint: Paint) -> String {
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
    // In the order of the addresses of what they are about.
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

/// What changed, in words.
fn notes(change: &Change<'_>) -> Vec<String> {
    let Change { from, to, what } = change;
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
