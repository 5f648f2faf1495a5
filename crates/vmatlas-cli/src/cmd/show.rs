//! `vmatlas show TARGET`: the annotated map.

use crate::args::ShowArgs;
use crate::output::columns::Column;
use crate::output::{csv, json, pager, pieces, table};
use crate::recording;
use crate::row::Row;
use crate::target::{Target, Want};
use crate::totals::MapTotals;
use crate::trouble::Trouble;
use std::cmp::Ordering;
use vmatlas::{Filter, TextFormat};

pub(crate) fn run(args: &ShowArgs) -> Result<bool, Trouble> {
    let name = args.target.as_deref().unwrap_or("self");
    if args.processes {
        let mut recording = recording::open(name)?;
        pager::print(&recording::processes(&mut recording))?;
        return Ok(true);
    }
    let want = Want { sizes: args.sizes, truths: !args.raw };
    let mut target = Target::read(name, &args.common.proc, &args.moment, want)?;
    let sizes = target.maps.has_fields();
    let names = match (&args.columns[..], args.csv) {
        ([], true) => csv_columns(sizes),
        (names, _) => names.to_vec(),
    };
    let sort = args.sort.as_deref().map(|name| Column::of(name, sizes)).transpose()?;
    let columns = Column::list(&names, sizes)?;
    if args.sizes && !sizes && !target.maps.is_empty() {
        let what = if target.core.is_some() { "a core dump, which has none" } else { "maps" };
        return Err(Trouble::new(format!("{name}: --sizes needs smaps, and this is {what}")));
    }
    if !sizes && args.filter.as_ref().is_some_and(Filter::needs_sizes) && !target.maps.is_empty() {
        return Err(Trouble::new(format!(
            "{name}: --where asks for a size of smaps, which needs --sizes"
        )));
    }
    if !args.raw {
        target.find_origins();
    }
    let shown = || columns.iter().chain(&sort);
    let usual = !args.raw && !args.csv && !args.common.json && columns.is_empty();
    let with_sections = usual || shown().any(Column::needs_sections);
    let with_labels = needs_labels(args, shown());
    if with_labels || with_sections {
        target.look(args.deep, with_sections);
    }
    if with_labels {
        target.find_labels(args.deep);
    }
    target.warn(&args.common);
    let row = |index| Row::of(&target, index);
    let taken = |index| {
        let matches = |filter: &Filter| row(index).is_some_and(|row| filter.matches(&row));
        args.filter.as_ref().is_none_or(matches)
    };
    let mut rows: Vec<usize> = (0..target.maps.len()).filter(|&index| taken(index)).collect();
    if let Some(column) = sort {
        rows.sort_by(|&a, &b| match (row(a), row(b)) {
            (Some(a), Some(b)) => column.compare(&a, &b),
            _ => Ordering::Equal,
        });
    }
    if args.reverse {
        rows.reverse();
    }
    let totals = || MapTotals::of(&target, taken);
    if args.raw {
        return raw(args, &target, &rows).map(|()| true);
    }
    if args.csv {
        csv::print(&columns, !args.no_header, rows.into_iter().filter_map(row))?;
    } else if args.common.json {
        json::print_map(&target, &rows, &totals())?;
    } else {
        let plan = table::Plan {
            columns,
            header: !args.no_header,
            in_order: args.sort.is_none() && !args.reverse && args.filter.is_none(),
            color: args.common.color,
            hints: args.target.is_none(),
        };
        let rows: Vec<Row<'_>> = rows.into_iter().filter_map(row).collect();
        pager::print(&table::show(&target, &rows, &totals(), &plan))?;
    }
    Ok(true)
}

/// Whether something that is shown takes labels, as totals do.
fn needs_labels<'a>(args: &ShowArgs, mut columns: impl Iterator<Item = &'a Column>) -> bool {
    let table = !args.raw && !args.csv && !args.common.json;
    args.common.json
        || table && (args.columns.is_empty() || !args.no_header)
        || columns.any(Column::needs_labels)
        || args.filter.as_ref().is_some_and(Filter::needs_labels)
}

fn csv_columns(sizes: bool) -> Vec<String> {
    let always = [
        "start",
        "end",
        "size",
        "perms",
        "offset",
        "device",
        "inode",
        "kind",
        "name",
        "path",
        "deleted",
        "label",
        "confidence",
    ];
    let smaps: &[&str] = if sizes { &["rss", "pss", "swap"] } else { &[] };
    always.iter().chain(smaps).map(|&name| name.to_owned()).collect()
}

fn raw(args: &ShowArgs, target: &Target, rows: &[usize]) -> Result<(), Trouble> {
    let shown = target.maps.format();
    let word_size = args.word_size.map_or(shown.word_size, Into::into);
    let format = match args.kernel {
        Some(kernel) => TextFormat::of(kernel, word_size),
        None if word_size == shown.word_size => shown,
        None => TextFormat { word_size, ..shown },
    };
    let write_row =
        |_, index, text: &mut Vec<u8>| target.maps.render_row(index, format, args.kernel, text);
    Ok(pieces::write(&mut std::io::stdout().lock(), rows, write_row)?)
}
