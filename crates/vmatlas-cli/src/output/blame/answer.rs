//! The answer of `vmatlas blame`.

use vmatlas::{Atlas, Blame, BlameBy, Count};

/// The origins of mapped memory, with the options to show them.
#[derive(Clone, Copy)]
pub(crate) struct BlameAnswer<'a> {
    pub(crate) atlas: &'a Atlas,
    pub(crate) blame: &'a Blame<'a>,
    pub(crate) by: BlameBy,
    pub(crate) count: Count,
    /// The most lines of the ranking, and frames of a stack.
    pub(crate) top: usize,
}
