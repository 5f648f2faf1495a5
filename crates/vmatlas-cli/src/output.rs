//! The output layer: the only place that knows how things look.

pub(crate) mod columns;
pub(crate) mod csv;
pub(crate) mod flame;
pub(crate) mod json;
pub(crate) mod origin;
pub(crate) mod pager;
pub(crate) mod pieces;
pub(crate) mod style;
pub(crate) mod table;
pub(crate) mod words;

use std::io::Write as _;

/// Says something to people on standard error, which may be closed.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "vmatlas: {}", words::printable(text.as_bytes()));
}
