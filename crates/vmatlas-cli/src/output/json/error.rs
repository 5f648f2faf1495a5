//! The document of an error.

use super::formatter::Addresses;
use super::{Schema, write};
use serde::Serialize;
use std::io::{self, Write};

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ErrorDocument<'a> {
    schema: Schema,
    error: ErrorJson<'a>,
}

/// Why a command failed.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ErrorJson<'a> {
    /// The kind in a word, such as `not-found`.
    kind: &'a str,
    /// The line on standard error.
    message: &'a str,
    /// What would help, a sentence each.
    help: &'a [String],
}

pub(crate) fn write_error(
    out: &mut dyn Write,
    kind: &str,
    message: &str,
    help: &[String],
) -> io::Result<()> {
    let error = ErrorJson { kind, message, help };
    write(out, Addresses::Text, &ErrorDocument { schema: Schema, error })
}
