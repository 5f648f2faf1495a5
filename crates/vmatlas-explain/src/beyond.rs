//! Addresses that no mapping of a program can have.

use crate::crash::Machine;

/// The largest size in bits of an address of a program on AArch64.
pub(crate) const AARCH64_BITS: u32 = 52;

/// The reason why no program can map an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Beyond {
    /// It belongs to the kernel.
    Kernel {
        /// Whether the machine is known; otherwise this is so on most.
        is_certain: bool,
    },
    /// Its upper bits are neither all 0 nor all 1, so that no page table can translate it.
    NotCanonical,
    /// It is longer than the 32 bits of an address of the program.
    TooLong,
}

impl Beyond {
    /// Whether no program of this machine can map an address.
    ///
    /// ```
    /// use vmatlas_explain::{beyond::Beyond, crash::Machine};
    /// let of = |address| Beyond::of(Some(Machine::X86_64), address);
    /// assert_eq!(of(0xffff_ffff_8100_0000), Some(Beyond::Kernel { is_certain: true }));
    /// assert_eq!(of(0x4141_4141_4141_4141), Some(Beyond::NotCanonical));
    /// assert_eq!(of(0x7fff_0000_0000), None);
    /// ```
    pub fn of(machine: Option<Machine>, address: u64) -> Option<Beyond> {
        // The kernel's own pointers may have a tag in bits 56 to 59 (MTE, KASAN); bit 55 selects its
        // half.
        let tag = 0xf << 56;
        let address = match machine {
            Some(Machine::AArch64) if (address | tag) >> 55 == 0x1ff => address | tag,
            _ => address,
        };
        if matches!(machine, Some(Machine::X86 | Machine::Arm)) && address >> 32 != 0 {
            return Some(Beyond::TooLong);
        }
        if is_kernel(machine, address) {
            return Some(Beyond::Kernel { is_certain: machine.is_some() });
        }
        (!may_be_canonical(machine, address)).then_some(Beyond::NotCanonical)
    }
}

/// Whether page tables can translate an address: 48 bits, sign-extended, on x86-64 with four levels
/// (Intel SDM, volume 1, 3.3.7.1), 52 bits on AArch64.
pub(crate) fn is_canonical(machine: Option<Machine>, address: u64) -> bool {
    let bits = match machine {
        Some(Machine::X86_64) => 47,
        Some(Machine::AArch64) => AARCH64_BITS,
        _ => return true,
    };
    let top = address >> bits;
    top == 0 || top == u64::MAX >> bits
}

/// Whether page tables of any processor can translate an address: 57 bits, sign-extended, on x86-64
/// with five levels.
pub(crate) fn may_be_canonical(machine: Option<Machine>, address: u64) -> bool {
    let top = address >> 56;
    let five_levels = machine == Some(Machine::X86_64) && (top == 0 || top == u64::MAX >> 56);
    five_levels || is_canonical(machine, address)
}

/// Whether an address belongs to the kernel.
pub(crate) fn is_kernel(machine: Option<Machine>, address: u64) -> bool {
    match machine {
        // Current 32-bit kernels give programs 3 GiB; under a 64-bit kernel they have all 4 GiB.
        Some(Machine::X86 | Machine::Arm) => address >= 0xffff_e000,
        Some(Machine::X86_64 | Machine::AArch64 | Machine::RiscV64) => {
            address >> 63 != 0 && may_be_canonical(machine, address)
        }
        // So it is on all of them.
        None => address >> 52 == 0xfff,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_machine() {
        use Machine::{AArch64, Arm, PowerPc64, RiscV64, X86, X86_64};
        let kernel = Some(Beyond::Kernel { is_certain: true });
        for (machine, address, expect) in [
            (X86_64, 0xffff_8880_0000_0000, kernel),
            (X86_64, 0xff11_0000_0000_0000, kernel),
            (X86_64, 0x8000_0000_0000_0000, Some(Beyond::NotCanonical)),
            (X86_64, 0x0100_0000_0000_0000, Some(Beyond::NotCanonical)),
            // With five levels of page tables it is one.
            (X86_64, 0x0000_8000_0000_0000, None),
            (AArch64, 0xffff_8000_1000_0000, kernel),
            (AArch64, 0xf0ff_8000_1000_0000, kernel),
            (AArch64, 0x000f_ffff_0000_0000, None),
            (AArch64, 0x0010_0000_0000_0000, Some(Beyond::NotCanonical)),
            (RiscV64, 0xffff_ffff_8000_0000, kernel),
            (PowerPc64, 0x7fff_0000_0000, None),
            (X86, 0x1_0000_0000, Some(Beyond::TooLong)),
            (X86, 0xffff_ffff, kernel),
            (Arm, 0xffff_ffff_8100_0000, Some(Beyond::TooLong)),
        ] {
            assert_eq!(Beyond::of(Some(machine), address), expect, "{machine:?} {address:x}");
        }
        let likely = Some(Beyond::Kernel { is_certain: false });
        assert_eq!(Beyond::of(None, 0xffff_8880_0000_0000), likely);
        assert_eq!(Beyond::of(None, 0x4141_4141_4141_4141), None);
    }
}
