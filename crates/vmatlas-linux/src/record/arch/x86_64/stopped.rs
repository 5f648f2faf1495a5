//! The registers of a stopped task, from ptrace(2).

use super::NATIVE;
use crate::sys::ptrace::Regs;
use vmatlas_object::unwind::Registers;
use vmatlas_recording::call::Abi;

/// `__USER32_CS`: the code segment of 32-bit code.
const USER32_CS: u64 = 0x23;

/// The registers for stack unwinding.
pub(crate) fn seen(registers: &Regs) -> Registers {
    let compat = registers.cs == USER32_CS;
    Registers { ip: registers.rip, sp: registers.rsp, fp: registers.rbp, compat }
}

/// All registers with their names.
pub(crate) fn named(registers: &Regs) -> Vec<(&'static str, u64)> {
    let Regs { rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, rip, eflags, .. } = *registers;
    let Regs { r8, r9, r10, r11, r12, r13, r14, r15, orig_rax, fs_base, gs_base, .. } = *registers;
    if seen(registers).compat {
        let low = [
            ("eax", rax),
            ("ebx", rbx),
            ("ecx", rcx),
            ("edx", rdx),
            ("esi", rsi),
            ("edi", rdi),
            ("ebp", rbp),
            ("esp", rsp),
            ("eip", rip),
            ("eflags", eflags),
            ("orig_eax", orig_rax),
        ];
        let low = low.map(|(name, value)| (name, value & 0xffff_ffff));
        return [&low[..], &[("fs_base", fs_base), ("gs_base", gs_base)]].concat();
    }
    vec![
        ("rax", rax),
        ("rbx", rbx),
        ("rcx", rcx),
        ("rdx", rdx),
        ("rsi", rsi),
        ("rdi", rdi),
        ("rbp", rbp),
        ("rsp", rsp),
        ("r8", r8),
        ("r9", r9),
        ("r10", r10),
        ("r11", r11),
        ("r12", r12),
        ("r13", r13),
        ("r14", r14),
        ("r15", r15),
        ("rip", rip),
        ("eflags", eflags),
        ("orig_rax", orig_rax),
        ("fs_base", fs_base),
        ("gs_base", gs_base),
    ]
}

/// The number and arguments of a task's current call.
pub(crate) fn call_of(registers: &Regs, abi: Abi) -> (u64, [u64; 6]) {
    let Regs { rdi, rsi, rdx, r10, r8, r9, rbx, rcx, rbp, .. } = *registers;
    let args = match abi {
        Abi::I386 => [rbx, rcx, rdx, rsi, rdi, rbp].map(|arg| arg & 0xffff_ffff),
        _ => [rdi, rsi, rdx, r10, r8, r9],
    };
    (registers.orig_rax & 0xffff_ffff, args)
}

/// The result that the caller of a call sees, while the kernel has not decided: a call interrupted
/// by a signal is either restarted, which is another call for us, or fails with EINTR.
pub(crate) fn settled(result: i64, abi: Abi) -> i64 {
    let word = result as u32;
    let result = match abi {
        // An errno, otherwise an unsigned address.
        Abi::I386 if word > u32::MAX - 4096 => i64::from(word as i32),
        Abi::I386 => i64::from(word),
        _ => result,
    };
    match result {
        // ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK.
        -512 | -513 | -514 | -516 => -i64::from(libc::EINTR),
        other => other,
    }
}

/// The ABI of a task's code segment, which may differ from that of its calls.
pub(crate) fn abi_by_segment(registers: &Regs) -> Abi {
    if registers.cs == USER32_CS { Abi::I386 } else { NATIVE }
}

/// The first argument of a call that a task has begun.
pub(crate) fn first_argument(registers: &mut Regs, abi: Abi) -> &mut u64 {
    match abi {
        Abi::I386 => &mut registers.rbx,
        _ => &mut registers.rdi,
    }
}

/// The size of a pointer in the memory of a program, in bytes.
pub(crate) fn pointer_size(abi: Abi) -> usize {
    match abi {
        Abi::I386 | Abi::X32 => 4,
        _ => 8,
    }
}
