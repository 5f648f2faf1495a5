//! The measures, one module each. A measure knows the answer that counts before any program runs.

pub mod addresses;
pub mod build;
pub mod commands;
pub mod core;
pub mod lookup;
pub mod memory;
pub mod parse;
pub mod record;
pub mod snapshot;
pub mod space;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// A few short rounds that only show that everything works.
    pub quick: bool,
}

impl Scale {
    /// That many rounds, or two.
    pub fn rounds(self, rounds: usize) -> usize {
        if self.quick { 2 } else { rounds }
    }

    /// That many rows, or two thousand.
    pub fn rows(self, rows: u64) -> u64 {
        if self.quick { 2_000 } else { rows }
    }
}
