//! The registers of a sample of perf events (arch/x86/include/uapi/asm/perf_regs.h).
//!
//! When a system call returns, all registers still have the program's values, except `rax` with the
//! result, and `rcx` and `r11`, which the call itself uses.

use vmatlas_object::unwind::Registers;

/// The sampled registers: `ax dx si di bp sp ip r8 r9 r10`, in the order of their bits.
pub(crate) const SAMPLED: u64 =
    1 | 0x08 | 0x10 | 0x20 | 0x40 | 0x80 | 0x100 | 1 << 16 | 1 << 17 | 1 << 18;
/// Their number.
pub(crate) const SAMPLED_COUNT: usize = SAMPLED.count_ones() as usize;

/// `PERF_SAMPLE_REGS_ABI_32`.
const ABI_32: u64 = 1;

/// The registers of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sampled {
    pub(crate) abi: u64,
    pub(crate) values: [u64; SAMPLED_COUNT],
}

impl Sampled {
    /// The result of the call, or `-ENOSYS` if it has only begun.
    pub(crate) fn result(&self) -> i64 {
        self.values[0].cast_signed()
    }

    pub(crate) fn arguments(&self) -> [u64; 6] {
        let [_, dx, si, di, _, _, _, r8, r9, r10] = self.values;
        [di, si, dx, r10, r8, r9]
    }

    pub(crate) fn for_unwinding(&self) -> Registers {
        let [_, _, _, _, fp, sp, ip, ..] = self.values;
        Registers { ip, sp, fp, compat: self.abi == ABI_32 }
    }
}
