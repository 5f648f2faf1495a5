//! The facts that a caller needs besides the rows.

use std::ops::BitOr;

/// Facts besides the rows. Declared facts are computed when the target is opened, others when first
/// requested. Sizes come with the rows and must be declared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Needs(u8);

impl Needs {
    /// Only the rows.
    pub const ROWS: Needs = Needs(0);
    /// The fields of smaps. The kernel walks all page tables for them: 50 to 280 ns for each
    /// resident page.
    pub const SIZES: Needs = Needs(1);
    /// The verification of file names by a second source.
    pub const NAMES: Needs = Needs(2);
    /// The purpose of memory whose name does not explain it.
    pub const LABELS: Needs = Needs(4);
    /// The sections of programs and libraries.
    pub const SECTIONS: Needs = Needs(8);
    /// The origins of each row, if the source records them.
    pub const ORIGINS: Needs = Needs(16);

    /// Whether all facts of `other` are declared.
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
