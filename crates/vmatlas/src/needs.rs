//! What is wanted of an address space besides its rows.

use std::ops::BitOr;

/// What is wanted besides the rows. What is declared is had when the target is opened; what is not
/// is had when it is first asked for, except for sizes, which come with the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Needs(u8);

impl Needs {
    /// Nothing but rows.
    pub const ROWS: Needs = Needs(0);
    /// The fields of smaps. The kernel walks all page tables for it: some 30 ns for each resident
    /// page.
    pub const SIZES: Needs = Needs(1);
    /// What a second source says of the names of files.
    pub const NAMES: Needs = Needs(2);
    /// What memory without a telling name is for.
    pub const LABELS: Needs = Needs(4);
    /// The sections of programs and libraries.
    pub const SECTIONS: Needs = Needs(8);
    /// Who made each row, where the source tells.
    pub const ORIGINS: Needs = Needs(16);

    /// Whether all of `other` is wanted.
    pub fn contains(self, other: Needs) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Needs {
    type Output = Needs;

    fn bitor(self, other: Needs) -> Needs {
        Needs(self.0 | other.0)
    }
}
