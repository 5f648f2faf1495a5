//! `vmatlas all [TARGET…]`: sums over processes.

use crate::args::{AllArgs, AllBy, AllColumn, CommonArgs, DEFAULT_PROC};
use crate::output::all::AllAnswer;
use crate::output::fit::Fit;
use crate::output::{self, Format, notes};
use crate::trouble::Trouble;
use std::cmp::Ordering;
use std::path::Path;
use std::time::Duration;
use vmatlas::{
    By, Census, GroupBy, Limits, SavedSnapshot, SavedWord, Survey, SurveyGroup, SurveyOptions,
    words,
};

/// The longest reading of page tables that is not announced.
const MOST_UNSAID: Duration = Duration::from_millis(200);

pub(crate) fn run(args: &AllArgs) -> Result<bool, Trouble> {
    let by = group_by(args.by);
    if args.cheap && (matches!(by, GroupBy::Rows(_)) || filters_rows(args)) {
        let what = "--cheap counts the rows of each process and keeps none";
        return Err(Trouble::new(format!("{what}: leave it out, or sum up by processes")));
    }
    if args.deep && by != GroupBy::Rows(By::Label) && !filters_rows(args) {
        return Err(Trouble::new(
            "--deep is about labels: give it with --by label, or a --where on labels",
        ));
    }
    let options = SurveyOptions {
        by,
        filter: args.filter.clone(),
        cheap: args.cheap,
        budget: args.budget,
        deep: args.deep,
        limits: Limits::default(),
    };
    if let Some(saved) = saved(args)? {
        return answer(args, saved.survey(&options)?);
    }
    let census = match args.targets.is_empty() {
        true => Census::of_machine(&args.proc),
        false => Census::of_targets(&args.targets, &args.proc),
    }?;
    let estimate = census.estimate(&options);
    if estimate > MOST_UNSAID && args.budget.is_none() && !args.quiet {
        notes::note(&format!(
            "reading the page tables of {} processes may take {:.1} s of CPU time; --budget TIME limits it, \
             --cheap reads none",
            census.len(),
            estimate.as_secs_f64()
        ));
    }
    answer(args, census.survey(options)?)
}

/// The snapshot that the target is; `None` if the targets are processes.
fn saved(args: &AllArgs) -> Result<Option<SavedSnapshot>, Trouble> {
    let [word] = &args.targets[..] else { return Ok(None) };
    let Some(saved) = SavedWord::parse(word)? else { return Ok(None) };
    let refuse = |why: &str| Err(Trouble::new(format!("{word}: {why}")));
    if saved.pid.is_some() {
        return refuse("all sums up all processes; vmatlas show shows one");
    }
    if args.deep || args.cheap || args.budget.is_some() {
        return refuse(
            "--deep, --cheap and --budget are about reading processes, and these were saved",
        );
    }
    if args.proc != Path::new(DEFAULT_PROC) {
        return refuse("--proc is about processes, and this is none");
    }
    let snapshot = saved.read()?;
    if !args.quiet {
        let time = Duration::from_millis(snapshot.snapshot.header.time_ms);
        notes::note(&format!("{word}: saved {} (UTC)", words::utc(time)));
        let asks_rows = matches!(group_by(args.by), GroupBy::Rows(_)) || filters_rows(args);
        if asks_rows && !snapshot.has_row_sizes() {
            notes::note(
                "the snapshot has no sizes of mappings, so only their number and extent are known; \
                 save --all --sizes keeps them",
            );
        }
    }
    Ok(Some(snapshot))
}

/// Prints the sums.
fn answer(args: &AllArgs, mut survey: Survey) -> Result<bool, Trouble> {
    if let Some(column) = args.sort {
        survey.groups.sort_by(|a, b| compare(column, a, b));
    }
    if args.reverse {
        survey.groups.reverse();
    }
    let answer = AllAnswer {
        survey: &survey,
        top: args.top,
        fit: Fit::of_stdout(),
        is_machine: args.targets.is_empty() || survey.closing.is_some(),
    };
    if !args.quiet {
        answer.notes().iter().for_each(|text| notes::note(text));
    }
    let common = CommonArgs::of_processes(args.json, args.color, &args.proc, args.quiet);
    output::print(&answer, Format::with_csv(&common, args.csv), &common)?;
    let is_empty = survey.groups.is_empty();
    if is_empty && args.filter.is_some() && !args.quiet {
        notes::note("--where lets no process and no mapping through");
    }
    Ok(!is_empty)
}

fn filters_rows(args: &AllArgs) -> bool {
    args.filter.as_ref().is_some_and(|filter| !filter.is_about_processes())
}

/// The key of a word.
pub(crate) fn group_by(by: AllBy) -> GroupBy {
    match by {
        AllBy::Program => GroupBy::Program,
        AllBy::Process => GroupBy::Process,
        AllBy::User => GroupBy::User,
        AllBy::Cgroup => GroupBy::Cgroup,
        AllBy::Container => GroupBy::Container,
        AllBy::Unit => GroupBy::Unit,
        AllBy::File => GroupBy::Rows(By::File),
        AllBy::Image => GroupBy::Rows(By::Image),
        AllBy::BuildId => GroupBy::Rows(By::BuildId),
        AllBy::Kind => GroupBy::Rows(By::Kind),
        AllBy::Label => GroupBy::Rows(By::Label),
    }
}

/// The order by a column: numbers from the largest, what is not known last; then by key.
fn compare(column: AllColumn, a: &SurveyGroup, b: &SurveyGroup) -> Ordering {
    let number = |group: &SurveyGroup| match column {
        AllColumn::Key => None,
        AllColumn::Processes => Some(group.processes),
        AllColumn::Rows => group.rows,
        AllColumn::Size => Some(group.size),
        AllColumn::Rss => group.sizes.rss,
        AllColumn::Pss => group.sizes.pss,
        AllColumn::Uss => group.sizes.uss,
        AllColumn::Swap => group.sizes.swap,
        AllColumn::Huge => group.huge(),
    };
    number(b).cmp(&number(a)).then_with(|| a.key.cmp(&b.key))
}
