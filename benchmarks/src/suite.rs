//! The measures, one module each. A measure knows the right answer before any program runs.

pub mod addresses;
pub mod build;
pub mod commands;
pub mod core;
pub mod deep;
pub mod lookup;
pub mod many;
pub mod memory;
pub mod parse;
pub mod profiles;
pub mod record;
pub mod snapshot;
pub mod space;

/// The extent of the measures.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Run a few short rounds, only to show that everything works.
    pub quick: bool,
}

impl Scale {
    /// Returns `rounds`, or two in a quick run.
    pub fn rounds(self, rounds: usize) -> usize {
        if self.quick { 2 } else { rounds }
    }

    /// Returns `rows`, or two thousand in a quick run.
    pub fn rows(self, rows: u64) -> u64 {
        if self.quick { 2_000 } else { rows }
    }
}
