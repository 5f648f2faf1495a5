//! Facts of one architecture: its registers, callee-saved registers, call instructions and signal
//! frames. Another architecture is another file with the same names.

mod x86_64;

pub(super) use self::x86_64::{
    CALL, CALLEE_SAVED, COMPAT_VSYSCALL, Callee, FP, IP, MACHINE, REGISTERS, SIGNAL_CONTEXT, SP,
    TRAMPOLINE, call_before, index, is_trampoline,
};
