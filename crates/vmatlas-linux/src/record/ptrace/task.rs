//! Tasks, and why they stop.

use super::order::SpaceId;
use crate::record::calls::Decoded;
use crate::record::sink::{Begun, Registers};
use crate::sys::ptrace::Regs;
use vmatlas_recording::call::Abi;

/// A task that is traced.
#[derive(Debug)]
pub(super) struct Task<M> {
    pub(super) space: SpaceId,
    pub(super) call: Option<InCall<M>>,
    /// It is in a call that copies its address space, or about to enter one.
    pub(super) copies: bool,
    /// The sink knows that it ends.
    pub(super) exiting: bool,
}

/// A call that a task is in, or about to enter.
#[derive(Clone, Copy, Debug)]
pub(super) struct InCall<M> {
    pub(super) begun: Begun,
    pub(super) decoded: Decoded,
    pub(super) abi: Abi,
    /// None while it is held.
    pub(super) mark: Option<M>,
}

impl<M> Task<M> {
    pub(super) fn new(space: SpaceId) -> Task<M> {
        Task { space, call: None, copies: false, exiting: false }
    }
}

/// Why a task stopped, or that it ended, by its wait status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It has ended.
    Ended,
    /// It leaves a system call.
    Call,
    /// It enters one that the filter names.
    Filter,
    /// It has made a task.
    Made,
    /// It has executed a program.
    Executed,
    /// It is about to end.
    Exiting,
    /// Its process is stopped by a signal.
    Group,
    /// It is new, or its process goes on.
    Other,
    /// It is about to receive a signal.
    Signal(i32),
}

impl Stop {
    pub(super) fn of(status: i32) -> Stop {
        if !libc::WIFSTOPPED(status) {
            // WCONTINUED is never asked for.
            return Stop::Ended;
        }
        let signal = libc::WSTOPSIG(status);
        match status >> 16 {
            0 if signal == libc::SIGTRAP | 0x80 => Stop::Call,
            0 => Stop::Signal(signal),
            libc::PTRACE_EVENT_SECCOMP => Stop::Filter,
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                Stop::Made
            }
            libc::PTRACE_EVENT_EXEC => Stop::Executed,
            libc::PTRACE_EVENT_EXIT => Stop::Exiting,
            libc::PTRACE_EVENT_STOP if signal != libc::SIGTRAP => Stop::Group,
            _ => Stop::Other,
        }
    }
}

/// Those from which a stack is unwound.
pub(super) fn seen(registers: &Regs) -> Registers {
    // __USER32_CS.
    let compat = registers.cs == 0x23;
    Registers { ip: registers.rip, sp: registers.rsp, fp: registers.rbp, compat }
}

/// All of them by their names.
pub(super) fn named(registers: &Regs) -> Vec<(&'static str, u64)> {
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

/// The number and arguments of the call that a task is in.
pub(super) fn call_of(registers: &Regs, abi: Abi) -> (u64, [u64; 6]) {
    let Regs { rdi, rsi, rdx, r10, r8, r9, rbx, rcx, rbp, .. } = *registers;
    let args = match abi {
        Abi::I386 => [rbx, rcx, rdx, rsi, rdi, rbp].map(|arg| arg & 0xffff_ffff),
        _ => [rdi, rsi, rdx, r10, r8, r9],
    };
    (registers.orig_rax & 0xffff_ffff, args)
}

/// What a call returned to its caller, where the kernel has not made up its mind yet: a call that
/// a signal interrupted is either entered again, which is another call for us, or fails like this.
pub(super) fn settled(result: i64, abi: Abi) -> i64 {
    let word = result as u32;
    let result = match abi {
        // An error number, or else an address without a sign.
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
