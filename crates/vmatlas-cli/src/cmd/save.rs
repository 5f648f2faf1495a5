//! `vmatlas save TARGET -o FILE`: keeps a snapshot, which every command reads.

use super::{open, replace};
use crate::args::{Color, CommonArgs, SaveArgs};
use crate::output::json::formatter::Addresses;
use crate::output::show::Show;
use crate::output::show::plan::{Plan, Shown};
use crate::output::{Answer as _, notes};
use crate::trouble::Trouble;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;
use vmatlas::words::{printable, size};
use vmatlas::{Census, Needs, Request, write_file};

pub(crate) fn run(args: &SaveArgs) -> Result<bool, Trouble> {
    match &args.target {
        Some(target) => save(target, args),
        None => save_all(args),
    }
}

/// Keeps all processes.
fn save_all(args: &SaveArgs) -> Result<bool, Trouble> {
    let census = Census::of_machine(&args.proc)?;
    let saved = census.save(&args.output, args.sizes, args.budget)?;
    if !args.quiet {
        let path = printable(saved.path.as_os_str().as_encoded_bytes());
        notes::note(&format!(
            "{path}: {}, {}",
            processes(saved.processes),
            size(saved.bytes as u64)
        ));
        let missing = [
            (saved.refused, "that may not be read"),
            (saved.silent, "that did not answer in time"),
            (saved.left_out, "with more mappings than a snapshot holds"),
        ];
        for (number, why) in missing.into_iter().filter(|(number, _)| *number > 0) {
            notes::note(&format!("nothing is kept of {} {why}", processes(number)));
        }
    }
    Ok(true)
}

fn processes(number: usize) -> String {
    if number == 1 { "1 process".to_owned() } else { format!("{number} processes") }
}

fn save(target: &str, args: &SaveArgs) -> Result<bool, Trouble> {
    let common = CommonArgs::of_processes(true, Color::Never, &args.proc, args.quiet);
    let common = CommonArgs { budget: args.budget, ..common };
    let sizes = if args.sizes { Needs::SIZES } else { Needs::ROWS };
    let needs = sizes | Needs::NAMES | Needs::LABELS | Needs::SECTIONS | Needs::ORIGINS;
    let open = open(target, &common, &args.moment).needs(needs);
    let atlas = open.deep(args.memory.deep).freeze(args.memory.freeze).open()?;
    if args.memory.deep {
        atlas.require(Request::Memory)?;
    }
    if args.sizes && !atlas.has_sizes() && !atlas.maps().is_empty() {
        let why = "--sizes needs smaps, which this target does not have";
        return Err(Trouble::new(format!("{target}: {why}")));
    }
    let rows: Vec<usize> = (0..atlas.maps().len()).collect();
    let plan = Plan::of_all(&atlas);
    let show = Show::new(Shown { atlas: &atlas, rows: &rows, filter: None, plan: &plan });
    let mut snapshot = GzEncoder::new(Vec::new(), Compression::fast());
    show.json(&mut snapshot, Addresses::Text)?;
    snapshot.flush()?;
    write_file(&args.output, "a snapshot", &snapshot.finish()?, replace(args.force))?;
    notes::of_atlas(&atlas, &common);
    Ok(true)
}
