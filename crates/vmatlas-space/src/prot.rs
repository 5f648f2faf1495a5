//! The protection that a caller requests.

use std::fmt;
use std::ops::BitOr;
use vmatlas_maps::uapi::mman::{PROT_EXEC, PROT_READ, PROT_WRITE};

/// The protection requested from mmap(2), mprotect(2) and others: `PROT_READ`, `PROT_WRITE` and
/// `PROT_EXEC`, with the kernel's bits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Prot(u8);

impl Prot {
    /// `PROT_NONE`.
    pub const NONE: Prot = Prot(0);
    /// `PROT_READ`.
    pub const READ: Prot = Prot(PROT_READ as u8);
    /// `PROT_WRITE`.
    pub const WRITE: Prot = Prot(PROT_WRITE as u8);
    /// `PROT_EXEC`.
    pub const EXEC: Prot = Prot(PROT_EXEC as u8);

    /// The protection from the kernel's bits; other bits are dropped.
    pub const fn from_bits(bits: u64) -> Prot {
        Prot((bits & (PROT_READ | PROT_WRITE | PROT_EXEC)) as u8)
    }

    /// The kernel's bits.
    pub const fn bits(self) -> u64 {
        self.0 as u64
    }

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Prot) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Prot {
    type Output = Prot;

    fn bitor(self, other: Prot) -> Prot {
        Prot(self.0 | other.0)
    }
}

/// Formats as in scenarios: `none`, or the set letters of `r`, `w` and `x`.
impl fmt::Display for Prot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Prot::NONE {
            return f.write_str("none");
        }
        let letters = [(Prot::READ, "r"), (Prot::WRITE, "w"), (Prot::EXEC, "x")];
        letters.iter().filter(|(bit, _)| self.contains(*bit)).try_for_each(|(_, l)| f.write_str(l))
    }
}

impl fmt::Debug for Prot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
