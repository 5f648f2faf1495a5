//! The origins of mapped memory.

pub(crate) mod answer;
mod json;
pub(crate) mod pprof;
pub(crate) mod profile;
pub(crate) mod text;

use super::Answer;
use super::style::Paint;
use answer::BlameAnswer;
use std::io::{self, Write};

impl Answer for BlameAnswer<'_> {
    fn text(&self, paint: Paint) -> String {
        text::text(self, paint)
    }

    fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        json::write(out, self.atlas, self.blame)
    }
}

/// The origins of mapped memory as folded stacks.
pub(crate) struct Folded<'a>(pub(crate) BlameAnswer<'a>);

impl Answer for Folded<'_> {
    fn text(&self, _: Paint) -> String {
        profile::folded(self.0.blame)
    }

    fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        self.0.json(out)
    }
}
