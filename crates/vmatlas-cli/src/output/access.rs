//! The permission to read a process, and the deciding rule.

use super::Answer;
use super::json::formatter::Addresses;
use super::json::{self, Schema};
use super::style::Paint;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{self, Write};
use vmatlas::access::{Decision, Step};
use vmatlas::words::printable;

/// The permission of a user to read a process's maps.
pub(crate) struct Access<'a> {
    pub(crate) pid: u32,
    /// The requested user; `None` for vmatlas itself.
    pub(crate) uid: Option<u32>,
    pub(crate) decision: &'a Decision,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AccessJson {
    schema: Schema,
    pid: u32,
    /// The requested user; absent for vmatlas itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    verdict: String,
    rule: String,
    why: String,
    steps: Vec<StepJson>,
    help: Vec<String>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct StepJson {
    rule: String,
    outcome: String,
    why: String,
}

impl Answer for Access<'_> {
    fn text(&self, _: Paint) -> String {
        text(self)
    }

    fn json(&self, out: &mut dyn Write, addresses: Addresses) -> io::Result<()> {
        let Access { pid, uid, decision } = *self;
        json::write(
            out,
            addresses,
            &AccessJson {
                schema: Schema,
                pid,
                uid,
                verdict: decision.verdict.to_string(),
                rule: decision.rule.to_string(),
                why: decision.why().to_owned(),
                steps: steps(decision),
                help: decision.help.clone(),
            },
        )
    }

    fn is_paged(&self) -> bool {
        false
    }
}

fn steps(decision: &Decision) -> Vec<StepJson> {
    let step = |step: &Step| StepJson {
        rule: step.rule.to_string(),
        outcome: step.outcome.to_string(),
        why: step.why.clone(),
    };
    decision.steps.iter().map(step).collect()
}

fn text(access: &Access<'_>) -> String {
    let Access { pid, uid, decision } = *access;
    let who = uid.map_or("this vmatlas".to_owned(), |uid| format!("user {uid}"));
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
