//! The results of scenarios.

use super::Answer;
use super::json::formatter::Addresses;
use super::json::{self, Schema};
use super::style::Paint;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{self, Write};
use vmatlas::words::printable;
use vmatlas::{Outcome, Status, VerifyReport};

/// The results of scenarios.
pub(crate) struct Verified<'a> {
    pub(crate) report: &'a VerifyReport,
    /// The files that could not be read, with the reasons.
    pub(crate) unread: &'a [String],
}

/// The document of `verify --json`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ReportJson<'a> {
    schema: Schema,
    passed: u64,
    failed: u64,
    skipped: u64,
    scenarios: Vec<OutcomeJson<'a>>,
    /// The files that could not be read, with the reasons.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    unread: &'a [String],
}

/// The result of one scenario.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct OutcomeJson<'a> {
    name: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<&'a str>,
    /// For a random scenario, the smallest one that shows the difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    scenario: Option<&'a str>,
}

impl<'a> OutcomeJson<'a> {
    fn of(outcome: &'a Outcome) -> OutcomeJson<'a> {
        OutcomeJson {
            name: &outcome.name,
            status: outcome.status.word(),
            why: outcome.why.as_deref(),
            expected: outcome.expected.as_deref(),
            model: outcome.model.as_deref(),
            kernel: outcome.kernel.as_deref(),
            scenario: outcome.scenario.as_deref(),
        }
    }
}

impl Answer for Verified<'_> {
    fn text(&self, _: Paint) -> String {
        text(self.report)
    }

    fn json(&self, out: &mut dyn Write, addresses: Addresses) -> io::Result<()> {
        let VerifyReport { passed, failed, skipped, outcomes, .. } = self.report;
        json::write(
            out,
            addresses,
            &ReportJson {
                schema: Schema,
                passed: *passed,
                failed: *failed,
                skipped: *skipped,
                scenarios: outcomes.iter().map(OutcomeJson::of).collect(),
                unread: self.unread,
            },
        )
    }
}

fn text(report: &VerifyReport) -> String {
    let mut text = String::new();
    let mut say = |line: &str| {
        let _ = writeln!(text, "{}", printable(line.as_bytes()));
    };
    for outcome in &report.outcomes {
        let status = match outcome.status {
            Status::ModelDiffers => "the model differs",
            Status::KernelDiffers => "the kernel differs",
            _ => continue,
        };
        let why = outcome.why.as_deref().unwrap_or_default();
        say(&format!("{}: {status}, {why}", outcome.name));
        let parts = [
            ("expected", &outcome.expected),
            ("kernel", &outcome.kernel),
            ("model", &outcome.model),
        ];
        for (who, part) in parts {
            for (number, line) in part.iter().flat_map(|part| part.lines()).enumerate() {
                let who = if number == 0 { who } else { "" };
                say(&format!("  {who:8}  {line}"));
            }
        }
        for line in outcome.scenario.iter().flat_map(|scenario| scenario.lines()) {
            say(&format!("    {line}"));
        }
    }
    let VerifyReport { passed, failed, skipped, .. } = report;
    say(&format!("{passed} passed, {failed} failed, {skipped} skipped"));
    text
}
