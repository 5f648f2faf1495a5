//! What a scenario says, compared with what happens.

use super::{Failure, Model, Operation, Scenario, ScenarioRow, StepKind};
use std::fmt::Write as _;

/// Where what happens first differs from what a scenario says, in the words of scenarios.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// The line of the step.
    pub line: u32,
    /// What was expected: the operation with its error, or rows.
    pub expected: String,
    /// What happened.
    pub shown: String,
}

impl Mismatch {
    /// An operation that ended otherwise.
    pub fn outcome(
        line: u32,
        operation: &Operation,
        expected: Result<(), Failure>,
        shown: Result<(), Failure>,
    ) -> Mismatch {
        let text = |outcome| StepKind::Operation(operation.clone(), outcome).to_string();
        Mismatch { line, expected: text(expected), shown: text(shown) }
    }

    /// Rows that are others.
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
    /// Runs the scenario on a model made for its region, and tells the first step that ends
    /// otherwise than it says.
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
