//! `vmatlas diff A B`: compares two maps.

use super::nothing_matches::nothing_matches;
use super::{filter_of, open, refuse_proc};
use crate::args::{DiffArgs, MomentArgs};
use crate::output::diff::DiffAnswer;
use crate::output::{self, Format, notes};
use crate::trouble::Trouble;
use vmatlas::{FieldNeeds, Filter, Needs, diff};

pub(crate) fn run(args: &DiffArgs) -> Result<bool, Trouble> {
    if args.first == "-" && args.second == "-" {
        return Err(Trouble::new(
            "standard input can be read once only; give a file for the other",
        ));
    }
    refuse(args.filter.as_ref())?;
    let names = if args.common.json { Needs::NAMES } else { Needs::ROWS };
    let open = |name| open(name, &args.common, &MomentArgs::default()).needs(names);
    let (first, second) = (open(&args.first), open(&args.second));
    refuse_proc(&[&first, &second], &args.common)?;
    let (first, second) = (first.open()?, second.open()?);
    notes::of_both(&first, &second, &args.common);
    let mut diff = diff(&first, &second);
    let filter = filter_of(&[&first, &second], args.filter.as_ref(), &args.common);
    if let Some(filter) = &filter {
        diff.retain(filter);
    }
    let is_empty = diff.is_empty();
    let answer = DiffAnswer { first: &first, second: &second, diff: &diff };
    output::print(&answer, Format::with_csv(&args.common, args.csv), &args.common)?;
    Ok(is_empty && !nothing_matches(&[&first, &second], filter.as_ref(), &args.common))
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
    Err(Trouble::new(format!("diff compares rows, not {what}: --where cannot ask for {one}")))
}
