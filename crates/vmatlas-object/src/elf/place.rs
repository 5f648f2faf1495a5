//! The two numbers that name a byte of an ELF file, as types, so that neither is taken for the
//! other or for an address of a process.

use std::fmt;

/// An address in an ELF file, as its symbols and `p_vaddr` have it. The address in a process is
/// this plus the load bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vaddr(u64);

/// An offset in bytes in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileOffset(u64);

macro_rules! number {
    ($name:ident) => {
        impl $name {
            /// From the number.
            pub const fn new(number: u64) -> $name {
                $name(number)
            }

            /// The number.
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::LowerHex for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::LowerHex::fmt(&self.0, f)
            }
        }
    };
}

number!(Vaddr);
number!(FileOffset);

impl Vaddr {
    /// The address of the file that is at `address` in a process.
    ///
    /// ```
    /// use vmatlas_object::elf::Vaddr;
    /// assert_eq!(Vaddr::in_file(0x55d0_0000_1040, 0x55d0_0000_0000).get(), 0x1040);
    /// ```
    pub const fn in_file(address: u64, bias: u64) -> Vaddr {
        Vaddr(address.wrapping_sub(bias))
    }
}
