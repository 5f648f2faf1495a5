//! `vmatlas show` of several processes: a list of them, or the rows of each.

use super::show_one::{format, show};
use crate::args::wrong_use::line_for_targets;
use crate::args::{MomentArgs, ShowArgs};
use crate::output::fit::Fit;
use crate::output::several::{Listed, SeveralAnswer};
use crate::output::{self, Format, notes};
use crate::trouble::Trouble;
use std::collections::HashMap;
use vmatlas::words::shell_target;
use vmatlas::{Census, GroupBy, SurveyOptions, candidate, pids_named};

pub(super) fn run(args: &ShowArgs) -> Result<bool, Trouble> {
    let names: Vec<String> = args.targets.iter().map(|name| shell_target(name)).collect();
    let names = names.join(" ");
    let pids = pids_named(&args.targets, &args.common.proc);
    let pids = pids.map_err(|error| match line_for_targets() {
        Some(line) => Trouble::new(line),
        None => Trouble::from(error),
    })?;
    refuse(args, &names)?;
    if is_list(args) {
        return list(args, names);
    }
    let mut is_any = false;
    let mut header = !args.no_header;
    for pid in pids {
        match show(args, &pid.to_string(), &MomentArgs::default(), header) {
            Ok(is_shown) => is_any |= is_shown,
            Err(Trouble::ClosedPipe) => return Err(Trouble::ClosedPipe),
            // The others are still shown.
            Err(trouble) => {
                notes::note(&trouble.to_string());
                continue;
            }
        }
        // Comma-separated values have one heading.
        header &= !args.csv;
    }
    Ok(is_any)
}

/// Refuses what several processes cannot be shown as.
fn refuse(args: &ShowArgs, names: &str) -> Result<(), Trouble> {
    let why = match () {
        () if args.common.json => "one document has one map; --ndjson prints the rows of all",
        () if args.raw => "their texts could not be told apart; give one",
        () if args.moment.at.is_some() => "live processes have no moments, so they take no --at",
        () if args.processes => "--processes lists those of a recording or log",
        () => return Ok(()),
    };
    Err(Trouble::new(format!("{names}: several processes: {why}")))
}

/// Whether no option asks for rows.
fn is_list(args: &ShowArgs) -> bool {
    let asks_rows = args.wide || args.summary || args.filter.is_some() || args.sort.is_some();
    let asks_memory = args.memory.deep || args.memory.freeze;
    let is_text = format(args) == Format::Text && args.columns.is_empty();
    is_text && !asks_rows && !asks_memory && !args.reverse && !args.no_header
}

fn list(args: &ShowArgs, names: String) -> Result<bool, Trouble> {
    let proc = &args.common.proc;
    let census = Census::of_targets(&args.targets, proc)?;
    let options =
        SurveyOptions { by: GroupBy::Process, cheap: !args.sizes, ..SurveyOptions::default() };
    let survey = census.survey(options)?;
    // The key begins with the process ID.
    let pid = |key: &[u8]| -> Option<u32> {
        let digits = key.split(|byte| *byte == b' ').next()?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    };
    let sums: HashMap<u32, _> =
        survey.groups.iter().filter_map(|group| Some((pid(&group.key)?, group))).collect();
    let mut listed: Vec<Listed<'_>> = sums
        .into_iter()
        .filter_map(|(pid, sum)| Some(Listed { candidate: candidate(proc, pid)?, sum }))
        .collect();
    listed.sort_by_key(|listed| (listed.candidate.started, listed.candidate.pid));
    if listed.is_empty() {
        return Err(Trouble::new(format!(
            "{names}: none of these processes has memory that may be read"
        )));
    }
    let refused: Vec<String> =
        survey.counts.refused.iter().map(|refused| refused.pid.to_string()).collect();
    if !refused.is_empty() && !args.common.quiet {
        notes::note(&format!("may not be read: {}", refused.join(", ")));
    }
    let fit = Fit::of_stdout();
    let answer = SeveralAnswer { names, listed, all: &survey.all, sizes: args.sizes, fit };
    output::print(&answer, Format::Text, &args.common)?;
    Ok(true)
}
