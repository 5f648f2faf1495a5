//! `vmatlas diff A B`: compares two maps.

use super::nothing_matches::nothing_matches;
use super::{filter_of, open, refuse_proc};
use crate::args::{DiffArgs, GrowthBy, MomentArgs};
use crate::output::diff::DiffAnswer;
use crate::output::diff::growth::Growth;
use crate::output::{self, Format, notes};
use crate::trouble::Trouble;
use vmatlas::{Atlas, FieldNeeds, Filter, Needs, Request, diff};

pub(crate) fn run(args: &DiffArgs) -> Result<bool, Trouble> {
    if args.first == "-" && args.second == "-" {
        return Err(Trouble::new(
            "standard input can be read once only; give a file for the other",
        ));
    }
    let filter = args.filter.as_ref();
    if !args.sizes {
        refuse(filter)?;
    }
    let names = if args.common.json { Needs::NAMES } else { Needs::ROWS };
    let sizes = if args.sizes { Needs::SIZES } else { Needs::ROWS };
    let needs =
        |needs, of| if filter.is_some_and(|all| all.needs(needs)) { of } else { Needs::ROWS };
    let labels = match args.by {
        GrowthBy::Label => Needs::LABELS,
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
    let growth = args.sizes.then(|| match args.by.sums() {
        Some(by) => Growth::of_sums(&diff, by),
        None => Growth::of_mappings(&diff),
    });
    let is_empty = growth.as_ref().map_or(diff.is_empty(), Growth::is_empty);
    let answer = DiffAnswer { first: &first, second: &second, diff: &diff, growth };
    output::print(&answer, Format::with_csv(&args.common, args.csv), &args.common)?;
    Ok(is_empty && !nothing_matches(&[&first, &second], filter.as_ref(), &args.common))
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
