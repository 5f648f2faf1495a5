//! The answer of `vmatlas blame`.

use vmatlas::{Atlas, Blame, BlameBy, Count};

/// The origins of mapped memory, with the options to show them.
#[derive(Clone, Copy)]
pub(crate) struct BlameAnswer<'a> {
    pub(crate) atlas: &'a Atlas,
    pub(crate) blame: &'a Blame<'a>,
    pub(crate) by: BlameBy,
    pub(crate) count: Count,
    /// The most lines of the ranking.
    pub(crate) top: usize,
    /// The most functions to show of a stack.
    pub(crate) frames: usize,
    /// Whether to list the mappings.
    pub(crate) mappings: bool,
}
