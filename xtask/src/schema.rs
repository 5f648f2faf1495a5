//! Writes docs/schema from the types of the documents, which only a test of the command knows.
//! Without the variable, the test compares them.

use crate::{cargo, run};

/// The test that knows the schemas.
const TEST: &str = "docs_schema_holds_the_schemas_of_the_types";

/// Compares the schemas with the types.
pub(crate) fn check() -> Result<(), String> {
    run(&mut test())
}

/// Writes the schemas.
pub(crate) fn write() -> Result<(), String> {
    run(test().env("VMATLAS_WRITE_SCHEMAS", "1"))
}

fn test() -> std::process::Command {
    let mut command = cargo();
    command.args(["test", "--quiet", "--package=vmatlas-cli", "--bin=vmatlas", TEST]);
    command
}
