//! `vmatlas access PID`: may a user read this process's maps, and which rule decides.

use crate::args::AccessArgs;
use crate::output::json;
use crate::output::words::printable;
use crate::target::Slot;
use crate::trouble::Trouble;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write as _;
use vmatlas_linux::access::{Credentials, Decision, Reader, Rule, Verdict, decide, gather};

#[derive(Serialize)]
struct AccessJson {
    schema: &'static str,
    pid: u32,
    /// The user asked for; absent for vmatlas itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    verdict: String,
    rule: String,
    why: String,
    steps: Vec<StepJson>,
    help: Vec<String>,
}

#[derive(Serialize)]
struct StepJson {
    rule: String,
    outcome: String,
    why: String,
}

pub(crate) fn run(args: &AccessArgs) -> Result<bool, Trouble> {
    let trouble = |error: vmatlas_linux::access::Error| Trouble::new(format!("{error}"));
    let reader = match args.uid {
        Some(uid) => Reader::Other(Credentials::login(uid).map_err(trouble)?),
        None => Reader::Caller,
    };
    let Slot::Live(id) = Slot::of(&args.process, &args.common.proc)? else {
        return Err(Trouble::new(format!("{}: access asks about a live process", args.process)));
    };
    // A thread's id is that of a task with maps of its own in /proc.
    let pid = id.tid.unwrap_or(id.pid);
    let decision = decide(&gather(&args.common.proc, pid, reader).map_err(trouble)?);
    if decision.rule == Rule::Exists && decision.verdict != Verdict::Allowed {
        return Err(Trouble::new(format!("{}; {}", decision.why(), decision.help.join("; "))));
    }
    if args.common.json {
        json::print(&AccessJson {
            schema: json::SCHEMA,
            pid,
            uid: args.uid,
            verdict: decision.verdict.to_string(),
            rule: decision.rule.to_string(),
            why: decision.why().to_owned(),
            steps: steps(&decision),
            help: decision.help.clone(),
        })?;
    } else {
        std::io::stdout().write_all(text(args, pid, &decision).as_bytes())?;
    }
    match decision.verdict {
        Verdict::Allowed => Ok(true),
        Verdict::Denied(_) => Ok(false),
        Verdict::Unknown => Err(Trouble::new(format!("process {pid}: {}", decision.why()))),
    }
}

fn steps(decision: &Decision) -> Vec<StepJson> {
    let step = |step: &vmatlas_linux::access::Step| StepJson {
        rule: step.rule.to_string(),
        outcome: step.outcome.to_string(),
        why: step.why.clone(),
    };
    decision.steps.iter().map(step).collect()
}

fn text(args: &AccessArgs, pid: u32, decision: &Decision) -> String {
    let who = args.uid.map_or("this vmatlas".to_owned(), |uid| format!("user {uid}"));
    let mut text = format!("Reading the maps of process {pid} as {who}: {}.\n", decision.verdict);
    let _ = writeln!(text, "  because {}", printable(decision.why().as_bytes()));
    let _ = writeln!(text, "  rule: {}", decision.rule);
    text.push_str("The kernel's rules, in its order:\n");
    for step in &decision.steps {
        let _ = writeln!(text, "  {:<14} {}", step.outcome, printable(step.why.as_bytes()));
    }
    for help in &decision.help {
        let _ = writeln!(text, "What would help: {}", printable(help.as_bytes()));
    }
    text
}
