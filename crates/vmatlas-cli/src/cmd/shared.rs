//! `vmatlas shared TARGET…`: who maps the same memory.

use crate::args::{CommonArgs, SharedArgs};
use crate::output::fit::Fit;
use crate::output::shared::SharedAnswer;
use crate::output::{self, Format, notes};
use crate::trouble::Trouble;
use vmatlas::shared;

pub(crate) fn run(args: &SharedArgs) -> Result<bool, Trouble> {
    let shared = shared(&args.targets, &args.proc)?;
    let (top, mappings, fit) = (args.top, args.mappings, Fit::of_stdout());
    let answer = SharedAnswer { shared: &shared, names: &args.targets, top, mappings, fit };
    if !args.quiet {
        answer.notes().iter().for_each(|text| notes::note(text));
    }
    let common = CommonArgs::of_processes(args.json, args.color, &args.proc, args.quiet);
    output::print(&answer, Format::of(&common), &common)?;
    Ok(!shared.sharers.is_empty())
}
