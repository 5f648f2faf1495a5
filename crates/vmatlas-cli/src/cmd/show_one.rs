//! `vmatlas show` of one target: the annotated map.

use super::nothing_matches::nothing_matches;
use super::{filter_of, open, refuse_proc, typed};
use crate::args::wrong_use::with_similar_command;
use crate::args::{MomentArgs, ShowArgs};
use crate::output::columns::Column;
use crate::output::fit::Fit;
use crate::output::overview::Processes;
use crate::output::show::Show;
use crate::output::show::plan::{Plan, Shown};
use crate::output::{self, Format, notes};
use crate::trouble::Trouble;
use std::cmp::Ordering;
use std::io::IsTerminal as _;
use std::time::Duration;
use vmatlas::{Atlas, ErrorKind, FieldNeeds, Filter, Needs, Overview, Request, TextFormat};

/// The longest reading of sizes that is not announced.
const MOST_UNSAID: Duration = Duration::from_millis(50);

/// Shows one target, with or without headings.
pub(super) fn show(
    args: &ShowArgs,
    name: &str,
    moment: &MomentArgs,
    header: bool,
) -> Result<bool, Trouble> {
    let terminal = std::io::stdout().is_terminal();
    if args.processes {
        let open = open(name, &args.common, moment);
        refuse_proc(&[&open], &args.common)?;
        let overview = Overview::of(open)?;
        output::print(&Processes(&overview), Format::of(&args.common), &args.common)?;
        return Ok(true);
    }
    let sizes = if args.sizes { Needs::SIZES } else { Needs::ROWS };
    let open = open(name, &args.common, moment)
        .needs(sizes | needs(args))
        .deep(args.memory.deep)
        .freeze(args.memory.freeze);
    refuse_proc(&[&open], &args.common)?;
    if let Some(cost) = open.cost().filter(|cost| *cost > MOST_UNSAID && !args.common.quiet) {
        notes::note(&format!(
            "{name}: reading the sizes may take {} ms, in which calls of the process that change its mappings wait",
            cost.as_millis()
        ));
    }
    let atlas = open.open().map_err(|error| meant(error, name))?;
    for (_, request) in [(args.memory.deep, Request::Memory), (args.sizes, Request::Sizes)]
        .into_iter()
        .filter(|(is_given, _)| *is_given)
    {
        atlas.require(request)?;
    }
    let sizes = atlas.has_sizes();
    let names = match (&args.columns[..], args.csv) {
        ([], true) => csv_columns(sizes),
        (names, _) => names.to_vec(),
    };
    let sort = args.sort.as_deref().map(|name| Column::of(name, sizes)).transpose()?;
    let columns = Column::list(&names, sizes)?;
    refuse_without_sizes(args, name, &atlas)?;
    let filter = filter_of(&[&atlas], args.filter.as_ref(), &args.common);
    let row = |index| atlas.row(index);
    let matches = |index: &usize| {
        let matches = |filter: &Filter| row(*index).is_some_and(|row| filter.matches(&row));
        filter.as_ref().is_none_or(matches)
    };
    let mut rows: Vec<usize> = (0..atlas.maps().len()).filter(matches).collect();
    if let Some(column) = sort {
        rows.sort_by(|&a, &b| match (row(a), row(b)) {
            (Some(a), Some(b)) => column.compare(&a, &b),
            _ => Ordering::Equal,
        });
    }
    if args.reverse {
        rows.reverse();
    }
    notes::of_atlas(&atlas, &args.common);
    let fit = Fit::of_stdout();
    let plan = Plan {
        columns,
        wide: args.wide,
        by: args.by.into(),
        summary: args.summary,
        deep: args.memory.deep,
        typed: typed(name, &args.common, moment),
        is_default_target: args.targets.is_empty() && args.moment.pid.is_none(),
        fit: if args.wide { fit.unlimited() } else { fit },
        header,
        in_order: args.sort.is_none() && !args.reverse && args.filter.is_none(),
        hints: terminal && !args.common.quiet,
        format: text_format(args, &atlas),
        kernel: args.kernel,
        terminal,
    };
    let shown = Shown { atlas: &atlas, rows: &rows, filter: filter.as_ref(), plan: &plan };
    output::print(&Show::new(shown), format(args), &args.common)?;
    Ok(!rows.is_empty() || !nothing_matches(&[&atlas], filter.as_ref(), &args.common))
}

/// Suggests a command that is similar to the name of nothing.
fn meant(error: vmatlas::Error, name: &str) -> Trouble {
    let line = match error.kind() {
        ErrorKind::NotFound => with_similar_command(name),
        _ => None,
    };
    match line {
        Some(line) => Trouble::new(format!("{error}; did you mean {line}?")),
        None => error.into(),
    }
}

pub(super) fn format(args: &ShowArgs) -> Format {
    match (args.raw, args.csv, args.ndjson) {
        (true, ..) => Format::Raw,
        (_, true, _) => Format::Csv,
        (.., true) => Format::Ndjson(args.common.addresses()),
        _ => Format::of(&args.common),
    }
}

/// The facts that the shown columns and filters need.
fn needs(args: &ShowArgs) -> Needs {
    let format = format(args);
    let columns = args.columns.iter().chain(&args.sort);
    let columns: Vec<Column> = columns.filter_map(|name| Column::of(name, true).ok()).collect();
    let asks = |needs| {
        columns.iter().any(|column| column.needs(needs))
            || args.filter.as_ref().is_some_and(|filter| filter.needs(needs))
    };
    let is_usual = format == Format::Text && args.columns.is_empty() && !args.summary;
    let is_json = matches!(format, Format::Json(_) | Format::Ndjson(_));
    let with_totals = is_json || format == Format::Text && !args.no_header;
    let has_rows = is_usual || is_json && !args.summary;
    let wanted = [
        (Needs::ORIGINS, has_rows || asks(FieldNeeds::Origins)),
        (Needs::SECTIONS, has_rows && (args.wide || is_json) || asks(FieldNeeds::Sections)),
        (Needs::LABELS, is_usual || with_totals || asks(FieldNeeds::Labels)),
    ];
    let csv = if args.csv && args.columns.is_empty() { Needs::LABELS } else { Needs::ROWS };
    wanted.into_iter().filter(|(_, is_wanted)| *is_wanted).fold(csv, |all, (needs, _)| all | needs)
}

fn refuse_without_sizes(args: &ShowArgs, name: &str, atlas: &Atlas) -> Result<(), Trouble> {
    if atlas.has_sizes() || atlas.maps().is_empty() {
        return Ok(());
    }
    if args.filter.as_ref().is_some_and(|filter| filter.needs(FieldNeeds::Sizes)) {
        let why = "--where asks for a size of smaps, which needs --sizes";
        return Err(Trouble::new(format!("{name}: {why}")));
    }
    Ok(())
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

/// The format of the kernel's text.
fn text_format(args: &ShowArgs, atlas: &Atlas) -> TextFormat {
    let mut format = atlas.maps().format();
    format.word_size = args.word_size.map_or(format.word_size, Into::into);
    match args.kernel {
        Some(kernel) => TextFormat::of(kernel, format.word_size),
        None => format,
    }
}
