//! `vmatlas show TARGET`: shows the annotated map.

use super::{filter_of, open};
use crate::args::ShowArgs;
use crate::output::columns::Column;
use crate::output::overview::Processes;
use crate::output::show::Show;
use crate::output::show::plan::Plan;
use crate::output::{self, Format, notes};
use crate::trouble::Trouble;
use std::cmp::Ordering;
use std::io::IsTerminal as _;
use vmatlas::{Atlas, FieldNeeds, Filter, Needs, Overview, SourceKind, TextFormat};

pub(crate) fn run(args: &ShowArgs) -> Result<bool, Trouble> {
    let name = args.target.as_deref().unwrap_or("self");
    if args.processes {
        let overview = Overview::read(name)?;
        output::print(&Processes(&overview), Format::Text, &args.common)?;
        return Ok(true);
    }
    let sizes = if args.sizes { Needs::SIZES } else { Needs::ROWS };
    let open = open(name, &args.common, &args.moment)
        .needs(sizes | needs(args))
        .deep(args.deep)
        .freeze(args.freeze);
    if let Some(cost) = open.cost().filter(|cost| cost.as_secs() > 0) {
        notes::note(&format!("{name}: reading the sizes will take some {} s", cost.as_secs()));
    }
    let atlas = open.open()?;
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
    let plan = Plan {
        columns,
        header: !args.no_header,
        in_order: args.sort.is_none() && !args.reverse && args.filter.is_none(),
        hints: args.target.is_none(),
        format: text_format(args, &atlas),
        kernel: args.kernel,
        terminal: std::io::stdout().is_terminal(),
    };
    let show = Show { atlas: &atlas, rows: &rows, filter: filter.as_ref(), plan };
    output::print(&show, format(args), &args.common)?;
    Ok(true)
}

fn format(args: &ShowArgs) -> Format {
    match (args.raw, args.csv) {
        (true, _) => Format::Raw,
        (false, true) => Format::Csv,
        (false, false) => Format::of(&args.common),
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
    let is_usual = format == Format::Text && args.columns.is_empty();
    let with_totals = format == Format::Json || format == Format::Text && !args.no_header;
    let wanted = [
        (Needs::ORIGINS, is_usual || asks(FieldNeeds::Origins)),
        (Needs::SECTIONS, is_usual || asks(FieldNeeds::Sections)),
        (Needs::LABELS, is_usual || with_totals || asks(FieldNeeds::Labels)),
    ];
    let csv = if args.csv && args.columns.is_empty() { Needs::LABELS } else { Needs::ROWS };
    wanted.into_iter().filter(|(_, is_wanted)| *is_wanted).fold(csv, |all, (needs, _)| all | needs)
}

fn refuse_without_sizes(args: &ShowArgs, name: &str, atlas: &Atlas) -> Result<(), Trouble> {
    if atlas.has_sizes() || atlas.maps().is_empty() {
        return Ok(());
    }
    if args.sizes {
        let what = match atlas.source() {
            SourceKind::Core => "a core dump, which has none",
            SourceKind::Recording => "a recording, which has none",
            SourceKind::Log => "a log of strace, which has none",
            _ => "maps",
        };
        return Err(Trouble::new(format!("{name}: --sizes needs smaps, and this is {what}")));
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
