//! What was asked about who made what.

use vmatlas::{Atlas, Blame, BlameBy, Count};

/// Who made what is mapped.
#[derive(Clone, Copy)]
pub(crate) struct BlameAnswer<'a> {
    pub(crate) atlas: &'a Atlas,
    pub(crate) blame: &'a Blame<'a>,
    pub(crate) by: BlameBy,
    pub(crate) count: Count,
    /// How many lines of the ranking, and frames of a stack.
    pub(crate) top: usize,
}
