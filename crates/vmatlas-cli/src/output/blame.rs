//! Who made what is mapped.

mod json;
pub(crate) mod pprof;
pub(crate) mod profile;
pub(crate) mod text;

use super::Answer;
use super::style::Paint;
use std::io::{self, Write};
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

impl Answer for BlameAnswer<'_> {
    fn text(&self, paint: Paint) -> String {
        text::text(self, paint)
    }

    fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        json::write(out, self.atlas, self.blame)
    }
}

/// The same as folded stacks.
pub(crate) struct Folded<'a>(pub(crate) BlameAnswer<'a>);

impl Answer for Folded<'_> {
    fn text(&self, _: Paint) -> String {
        profile::folded(self.0.blame)
    }

    fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        self.0.json(out)
    }
}
