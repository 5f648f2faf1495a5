//! x86-64, whose programs may also make calls of i386 and x32.

mod sampled;
mod stopped;

pub(crate) use sampled::{SAMPLED, SAMPLED_COUNT, Sampled};
pub(crate) use stopped::{
    abi_by_segment, call_of, first_argument, named, pointer_size, seen, settled,
};

use vmatlas_maps::uapi::audit::{AUDIT_ARCH_I386, AUDIT_ARCH_X86_64, X32_SYSCALL_BIT};
use vmatlas_recording::call::Abi;

/// The lowest address of mappings.
pub(crate) const LOWEST: u64 = 0x1000;
/// The end of user addresses, without five-level paging.
pub(crate) const HIGHEST: u64 = 1 << 47;
/// The last page below `HIGHEST` is never mapped.
pub(crate) const TASK_SIZE: u64 = HIGHEST - 4096;

/// The ABIs of programs; the recorder's is the first.
pub(crate) const ABIS: [Abi; 3] = [Abi::X86_64, Abi::I386, Abi::X32];
/// The recorder's ABI, whose calls have tracepoints.
pub(crate) const NATIVE: Abi = Abi::X86_64;

/// `AUDIT_ARCH_*`, which is the same for x32 and x86-64: the call number distinguishes them.
pub(crate) fn audit_arch(abi: Abi) -> u32 {
    match abi {
        Abi::I386 => AUDIT_ARCH_I386,
        _ => AUDIT_ARCH_X86_64,
    }
}

/// The ABI of a call.
pub(crate) fn abi_of(arch: u32, number: u64) -> Abi {
    if arch == audit_arch(Abi::I386) {
        Abi::I386
    } else if number & u64::from(X32_SYSCALL_BIT) != 0 {
        Abi::X32
    } else {
        Abi::X86_64
    }
}

/// The number of a call in the table, without the x32 bit.
pub(crate) fn table_number(abi: Abi, number: u64) -> Option<u32> {
    let number = u32::try_from(number).ok()?;
    Some(if abi == Abi::X32 { number & !X32_SYSCALL_BIT } else { number })
}
