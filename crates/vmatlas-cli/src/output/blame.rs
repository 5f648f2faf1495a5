//! The origins of mapped memory.

pub(crate) mod answer;
mod dropped;
pub(crate) mod json;
mod mappings;
pub(crate) mod pprof;
pub(crate) mod profile;
pub(crate) mod stack;
mod table;
mod text;

use super::json::formatter::Addresses;
use super::style::Paint;
use super::{Answer, csv};
use answer::BlameAnswer;
use std::io::{self, Write};

impl Answer for BlameAnswer<'_> {
    fn text(&self, paint: Paint) -> String {
        text::text(self, paint)
    }

    fn json(&self, out: &mut dyn Write, addresses: Addresses) -> io::Result<()> {
        json::write(out, self, addresses)
    }

    fn csv(&self, out: &mut dyn Write) -> io::Result<()> {
        csv::write(out, &table::columns(), &table::origins(self.blame))
    }
}

/// The origins of mapped memory as folded stacks.
pub(crate) struct Folded<'a>(pub(crate) BlameAnswer<'a>);

impl Answer for Folded<'_> {
    fn text(&self, _: Paint) -> String {
        profile::folded(self.0.blame)
    }

    fn json(&self, out: &mut dyn Write, addresses: Addresses) -> io::Result<()> {
        self.0.json(out, addresses)
    }
}
