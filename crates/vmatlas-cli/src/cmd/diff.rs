//! `vmatlas diff A B`: compares two maps.

use super::nothing_matches::nothing_matches;
use super::{filter_of, open, refuse_proc};
use crate::args::{DiffArgs, DiffBy, MomentArgs};
use crate::output::diff::DiffAnswer;
use crate::output::diff::growth::Growth;
use crate::output::fit::Fit;
use crate::output::machine_diff::MachineDiff;
use crate::output::{self, Format, notes};
use crate::trouble::Trouble;
use vmatlas::{
    Atlas, FieldNeeds, Filter, GroupBy, Needs, Request, SavedSnapshot, SavedWord, SurveyOptions,
    diff,
};

pub(crate) fn run(args: &DiffArgs) -> Result<bool, Trouble> {
    if args.first == "-" && args.second == "-" {
        return Err(Trouble::new(
            "standard input can be read once only; give a file for the other",
        ));
    }
    if let Some((first, second)) = machines(args)? {
        return diff_machines(&first, &second, args);
    }
    refuse_key(args)?;
    let filter = args.filter.as_ref();
    if !args.sizes {
        refuse(filter)?;
    }
    let names = if args.common.json { Needs::NAMES } else { Needs::ROWS };
    let sizes = if args.sizes { Needs::SIZES } else { Needs::ROWS };
    let needs =
        |needs, of| if filter.is_some_and(|all| all.needs(needs)) { of } else { Needs::ROWS };
    let labels = match args.by {
        Some(DiffBy::Label) => Needs::LABELS,
        _ => needs(FieldNeeds::Labels, Needs::LABELS),
    };
    let needs = names | sizes | labels | needs(FieldNeeds::Sections, Needs::SECTIONS);
    let open = |name| open(name, &args.common, &MomentArgs::default()).needs(needs);
    let (first, second) = (open(&args.first), open(&args.second));
    refuse_proc(&[&first, &second], &args.common)?;
    let (first, second) = (first.open()?, second.open()?);
    if args.sizes {
        require_sizes(&first)?;
        require_sizes(&second)?;
    }
    notes::of_both(&first, &second, &args.common);
    let mut diff = diff(&first, &second);
    let filter = filter_of(&[&first, &second], filter, &args.common);
    if let Some(filter) = &filter {
        diff.retain(filter);
    }
    let growth = args.sizes.then(|| match args.by.and_then(DiffBy::of_rows) {
        Some(by) => Growth::of_sums(&diff, by),
        None => Growth::of_mappings(&diff),
    });
    let is_empty = growth.as_ref().map_or(diff.is_empty(), Growth::is_empty);
    let answer = DiffAnswer { first: &first, second: &second, diff: &diff, growth };
    output::print(&answer, Format::with_csv(&args.common, args.csv), &args.common)?;
    Ok(is_empty && !nothing_matches(&[&first, &second], filter.as_ref(), &args.common))
}

/// Refuses a key that two maps do not have.
fn refuse_key(args: &DiffArgs) -> Result<(), Trouble> {
    let why = match args.by {
        Some(by) if by != DiffBy::Mapping && by.of_rows().is_none() => {
            "this key of --by is about two snapshots of a machine, DIR@T1 DIR@T2"
        }
        Some(_) if !args.sizes => {
            "--by is about sizes: add --sizes, or give two snapshots of a machine, DIR@T1 DIR@T2"
        }
        _ => return Ok(()),
    };
    Err(Trouble::new(why))
}

/// Checks that a target has sizes, of one process.
fn require_sizes(atlas: &Atlas) -> Result<(), Trouble> {
    atlas.require(Request::Sizes)?;
    match atlas.maps().processes() {
        0 | 1 => Ok(()),
        many => {
            let what = "rows of one process have sizes to compare";
            Err(Trouble::new(format!(
                "{}: has rows of {many} processes, and only {what}",
                atlas.name()
            )))
        }
    }
}

/// The two snapshots of a machine; `None` if the targets are others.
fn machines(args: &DiffArgs) -> Result<Option<(SavedSnapshot, SavedSnapshot)>, Trouble> {
    let parse = |word: &str| -> Result<Option<SavedWord>, Trouble> {
        Ok(SavedWord::parse(word)?.filter(|word| word.pid.is_none()))
    };
    match (parse(&args.first)?, parse(&args.second)?) {
        (Some(first), Some(second)) => Ok(Some((first.read()?, second.read()?))),
        _ => Ok(None),
    }
}

/// Compares two snapshots of a machine.
fn diff_machines(
    first: &SavedSnapshot,
    second: &SavedSnapshot,
    args: &DiffArgs,
) -> Result<bool, Trouble> {
    let opens =
        [&args.first, &args.second].map(|word| open(word, &args.common, &MomentArgs::default()));
    refuse_proc(&opens.each_ref(), &args.common)?;
    let by = args.by.map_or(Some(GroupBy::Program), DiffBy::of_processes);
    let Some(by) = by.filter(|_| !args.sizes) else {
        let why = "of two snapshots of a machine sums are compared, with their sizes";
        return Err(Trouble::new(format!("{why}: leave out --sizes and --by mapping")));
    };
    let options = SurveyOptions { by, filter: args.filter.clone(), ..SurveyOptions::default() };
    let (before, after) = (first.survey(&options)?, second.survey(&options)?);
    let groups = before.growth(&after);
    let times = [first, second].map(|saved| saved.snapshot.header.time_ms);
    let fit = Fit::of_stdout();
    let answer = MachineDiff { before: &before, after: &after, groups: &groups, times, fit };
    output::print(&answer, Format::with_csv(&args.common, args.csv), &args.common)?;
    Ok(groups.is_empty())
}

/// Refuses a filter on sizes, because only rows are compared.
fn refuse(filter: Option<&Filter>) -> Result<(), Trouble> {
    let Some(filter) = filter.filter(|filter| filter.needs_more_than_rows()) else { return Ok(()) };
    let what = match filter {
        filter if filter.needs(FieldNeeds::Sizes) => ("sizes of smaps", "one"),
        filter if filter.needs(FieldNeeds::Labels) => ("labels", "one"),
        _ => ("facts from other sources", "one"),
    };
    let (what, one) = what;
    Err(Trouble::new(format!(
        "diff compares rows, not {what}: --where cannot ask for {one} without --sizes"
    )))
}
