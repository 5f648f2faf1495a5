//! Compares a scenario with its actual result.

use super::{Failure, Model, Operation, Scenario, ScenarioRow, StepKind};
use std::fmt::Write as _;

/// The first difference between a scenario and its actual result, in scenario syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// The line of the step.
    pub line: u32,
    /// The expected operation with its error, or the expected rows.
    pub expected: String,
    /// The actual result.
    pub shown: String,
}

impl Mismatch {
    /// A mismatch in the outcome of an operation.
    pub fn outcome(
        line: u32,
        operation: &Operation,
        expected: Result<(), Failure>,
        shown: Result<(), Failure>,
    ) -> Mismatch {
        let text = |outcome| StepKind::Operation(operation.clone(), outcome).to_string();
        Mismatch { line, expected: text(expected), shown: text(shown) }
    }

    /// A mismatch in rows.
    pub fn rows(line: u32, expected: &[ScenarioRow], shown: &[ScenarioRow]) -> Mismatch {
        let text = |rows: &[ScenarioRow]| {
            let mut text = String::from("expect");
            for row in rows {
                // Writing to a string cannot fail.
                let _ = write!(text, "\n  {row}");
            }
            text
        };
        Mismatch { line, expected: text(expected), shown: text(shown) }
    }
}

impl Scenario {
    /// Runs the scenario on a model made for its region, and returns the first step whose result
    /// differs.
    pub fn differs_on(&self, model: &mut Model) -> Option<Mismatch> {
        self.steps.iter().find_map(|step| match &step.kind {
            StepKind::Operation(operation, expected) => {
                let shown = model.apply(operation);
                (shown != *expected)
                    .then(|| Mismatch::outcome(step.line, operation, *expected, shown))
            }
            StepKind::Expect(rows) => {
                let shown = model.rows();
                (shown != *rows).then(|| Mismatch::rows(step.line, rows, &shown))
            }
        })
    }
}
