//! `vmatlas explain INPUT`: explains a crash.

use super::open;
use crate::args::ExplainArgs;
use crate::output::explain::Explain;
use crate::output::{self, Format, notes};
use crate::trouble::Trouble;
use vmatlas::explain::Cause;
use vmatlas::words::count;
use vmatlas::{Case, CrashInput, ErrorKind, Needs};

/// Returns `false` if nothing crashed or no cause was found.
pub(crate) fn run(args: &ExplainArgs) -> Result<bool, Trouble> {
    let open = open(&args.input, &args.common, &args.moment).needs(Needs::NAMES);
    let mut cut = String::new();
    let cases: Vec<Case> = match args.address {
        Some(address) => {
            let atlas = open.open()?;
            let case = atlas.explain_access(address);
            notes::of_atlas(&atlas, &args.common);
            vec![case]
        }
        None => {
            let input = CrashInput::read(open).map_err(|error| help(error, &args.input))?;
            if let CrashInput::Atlas(atlas) = &input {
                notes::of_atlas(atlas, &args.common);
            }
            cut = input.cut().map(|cut| format!(" ({cut})")).unwrap_or_default();
            input.cases(args.moment.pid)?
        }
    };
    if cases.is_empty() {
        notes::note(&format!(
            "{}: no crash: neither a signal that ended a program nor a line that reports one{cut}",
            args.input
        ));
    } else if cases.len() > 1 && !args.common.quiet && !args.common.json {
        let crashes = count(cases.len() as u64, "crash").replace("crashs", "crashes");
        notes::note(&format!("{}: {crashes}", args.input));
    }
    if !args.common.quiet {
        let all = cases.iter().flat_map(|case| &case.notes);
        all.for_each(|found| notes::note(&format!("{}: {}", args.input, notes::text(found))));
    }
    let explain = Explain { cases: &cases, top: args.top };
    output::print(&explain, Format::of(&args.common), &args.common)?;
    Ok(cases.iter().any(|case| case.explanation.cause != Cause::Unknown))
}

/// Suggests the command to type instead.
fn help(error: vmatlas::Error, input: &str) -> Trouble {
    match error.kind() {
        ErrorKind::Usage if error.pid().is_some() => Trouble::new(format!(
            "{error}; give an address that is to be explained: vmatlas explain {input} ADDR"
        )),
        _ => error.into(),
    }
}
