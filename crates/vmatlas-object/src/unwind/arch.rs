//! What only holds for one architecture: its registers and who keeps them, its call instructions,
//! its signal frames. Another one is a file here with the same names.

mod x86_64;

pub(super) use self::x86_64::{
    CALL, CALLEE_SAVED, COMPAT_VSYSCALL, Callee, FP, IP, MACHINE, REGISTERS, SIGNAL_CONTEXT, SP,
    TRAMPOLINE, call_before, index, is_trampoline,
};
