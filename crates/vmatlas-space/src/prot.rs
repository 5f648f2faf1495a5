//! What a caller asks to do with memory.

use std::fmt;
use std::ops::BitOr;
use vmatlas_maps::uapi::mman::{PROT_EXEC, PROT_READ, PROT_WRITE};

/// The protection asked of mmap(2), mprotect(2) and others: `PROT_READ`, `PROT_WRITE` and
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

    /// The protection with the kernel's bits; others are dropped.
    pub const fn from_bits(bits: u64) -> Prot {
        Prot((bits & (PROT_READ | PROT_WRITE | PROT_EXEC)) as u8)
    }

    /// The kernel's bits.
    pub const fn bits(self) -> u64 {
        self.0 as u64
    }

    /// Whether all of `other` is asked for.
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

/// Written as scenarios write it: `none`, or of `r`, `w` and `x` those that are asked for.
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
