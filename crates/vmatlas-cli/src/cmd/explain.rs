//! `vmatlas explain INPUT`: why a program crashed.

mod address;
mod dump;
mod frames;
mod input;
mod log;
mod place;
mod recorded;
mod show;

use crate::args::ExplainArgs;
use crate::output::words::count;
use crate::output::{note, pager};
use crate::trouble::Trouble;
use input::Input;
use vmatlas::Maps;
use vmatlas::crash::Crash;
use vmatlas::explain::{Cause, Evidence, Explanation, Fault, explain};
use vmatlas_linux::symbols::SymbolFrame;

/// A crash and why it came to it.
pub(crate) struct Case {
    crash: Crash,
    fault: Fault,
    maps: Maps,
    explanation: Explanation,
    /// The stack of the thread, innermost first.
    stack: Vec<SymbolFrame>,
}

impl Case {
    /// Explains what the evidence is of.
    fn of(evidence: &Evidence<'_>, stack: Vec<SymbolFrame>) -> Case {
        Case {
            explanation: explain(evidence),
            crash: evidence.crash.clone(),
            fault: evidence.fault.clone(),
            maps: evidence.maps.clone(),
            stack,
        }
    }
}

/// The answer is no if there was no crash, or nothing tells why.
pub(crate) fn run(args: &ExplainArgs) -> Result<bool, Trouble> {
    let cases = match (args.address, Input::read(args)?) {
        (Some(address), Input::Target(mut target)) => {
            target.warn(&args.common);
            vec![address::case(&mut target, address)]
        }
        (Some(_), Input::Text(..)) => unreachable!("with an address every input is a target"),
        (None, Input::Text(text)) => log::cases(&text, args.moment.pid),
        (None, Input::Target(mut target)) => {
            target.warn(&args.common);
            if let Some(core) = &target.core {
                dump::case(&target, core).into_iter().collect()
            } else {
                recorded::case(&mut target)?.into_iter().collect()
            }
        }
    };
    if cases.is_empty() {
        note(&format!(
            "{}: no crash: neither a signal that ended a program nor a line that tells of one",
            args.input
        ));
    } else if cases.len() > 1 && !args.common.quiet && !args.common.json {
        note(&format!(
            "{}: {}",
            args.input,
            count(cases.len() as u64, "crash").replace("crashs", "crashes")
        ));
    }
    if args.common.json {
        show::json(&cases)?;
    } else {
        let texts: Vec<String> = cases.iter().map(|case| show::text(case, args)).collect();
        pager::print(&texts.join("\n"))?;
    }
    Ok(cases.iter().any(|case| case.explanation.cause != Cause::Unknown))
}
