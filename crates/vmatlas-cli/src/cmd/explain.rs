//! `vmatlas explain INPUT`: explains a crash.

use super::address::{address, parse};
use super::target_words::TargetWords;
use super::{open, refuse_proc};
use crate::args::ExplainArgs;
use crate::output::explain::Explain;
use crate::output::{self, Format, notes};
use crate::trouble::Trouble;
use vmatlas::crashes::Unread;
use vmatlas::explain::Cause;
use vmatlas::words::{count, printable, shell_target};
use vmatlas::{Case, CrashInput, ErrorKind, Needs};

/// Returns `false` if nothing crashed or no cause was found.
pub(crate) fn run(args: &ExplainArgs) -> Result<bool, Trouble> {
    let rest: Vec<String> = args.address.iter().cloned().collect();
    let words = TargetWords::new(args.input.as_deref(), &rest, &args.moment, &args.common)?;
    let input = &words.target;
    let mut pid = None;
    let open = open(input, &args.common, &words.moment).needs(Needs::NAMES);
    refuse_proc(&[&open], &args.common)?;
    let mut cut = String::new();
    let mut sign = None;
    let mut others = Vec::new();
    let mut found = Vec::new();
    let location = parse(&words.rest)?;
    let cases: Vec<Case> = match location.first() {
        Some(location) => {
            let atlas = open.open()?;
            let case = atlas.explain_access(address(&atlas, location)?);
            notes::of_atlas(&atlas, &args.common);
            found.extend(atlas.notes());
            vec![case]
        }
        None => {
            let input = CrashInput::read(open).map_err(|error| help(error, input))?;
            if let CrashInput::Atlas(atlas) = &input {
                notes::of_atlas(atlas, &args.common);
                found.extend(atlas.notes());
            }
            cut = input.cut().map(|cut| format!(" ({cut})")).unwrap_or_default();
            sign = input.unread();
            pid = input.pid();
            if pid.is_some() {
                others = input.ids();
            }
            input.cases()?
        }
    };
    let none = cases.is_empty().then(|| format!("{}{cut}", no_crash(sign, pid, &others)));
    if let Some(none) = &none {
        notes::note(&format!("{input}: {none}"));
    } else if cases.len() > 1 && !args.common.quiet && !args.common.json {
        let crashes = count(cases.len() as u64, "crash").replace("crashs", "crashes");
        notes::note(&format!("{input}: {crashes}"));
    }
    if !args.common.quiet {
        let all = cases.iter().flat_map(|case| &case.notes);
        all.for_each(|found| notes::note(&format!("{input}: {}", notes::text(found))));
    }
    let explain = Explain { cases: &cases, none, notes: &found, top: args.top };
    output::print(&explain, Format::of(&args.common), &args.common)?;
    Ok(cases.iter().any(|case| case.explanation.cause != Cause::Unknown))
}

/// Why no crash is explained. `others` are the processes of the crashes that were read.
fn no_crash(sign: Option<Unread>, pid: Option<u32>, others: &[u32]) -> String {
    /// Most processes to name.
    const MAX_NAMED: usize = 8;
    if let (Some(pid), [_, ..]) = (pid, others) {
        let named: Vec<String> = others.iter().take(MAX_NAMED).map(u32::to_string).collect();
        let more = if others.len() > MAX_NAMED { " and others" } else { "" };
        return format!("no crash of process or thread {pid}, only of {}{more}", named.join(", "));
    }
    match sign {
        Some(Unread::Minidump) => "a minidump, which vmatlas does not read".to_owned(),
        Some(Unread::Line { number, text }) => {
            let of_pid = pid.map(|pid| format!(" of process {pid}")).unwrap_or_default();
            let text = printable(text.as_bytes());
            format!(
                "no crash{of_pid} was read, though line {number} may tell of one, in a form that \
                 vmatlas does not read: {text}"
            )
        }
        _ => {
            "no crash: neither a signal that ended a program nor a line that reports one".to_owned()
        }
    }
}

/// Suggests the command to type instead.
fn help(error: vmatlas::Error, input: &str) -> Trouble {
    match error.kind() {
        ErrorKind::Usage if error.pid().is_some() => Trouble::new(format!(
            "{error}; give an address that is to be explained: vmatlas explain {} ADDR",
            shell_target(input)
        )),
        _ => error.into(),
    }
}
