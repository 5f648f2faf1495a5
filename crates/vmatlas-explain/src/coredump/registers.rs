//! The registers of a thread as the kernel writes them into a core dump.

use crate::crash::Machine;

/// The layout of `pr_reg` in `struct elf_prstatus` (include/linux/elfcore.h) on a machine: the
/// architecture's `struct user_regs_struct` or `elf_gregset_t`.
#[derive(Debug)]
pub(super) struct RegisterFile {
    /// The size of a register in bytes.
    pub(super) size: usize,
    /// The register names in the order of the file.
    pub(super) names: &'static [&'static str],
    pub(super) instruction_pointer: &'static str,
    pub(super) stack_pointer: &'static str,
    /// Index of the word with the thread pointer; `None` if no register of the file contains it.
    pub(super) thread_pointer: Option<usize>,
    /// Distance in bytes of the thread pointer above the thread's own data.
    pub(super) thread_offset: u64,
}

/// arch/x86/include/asm/user_64.h.
const X86_64: RegisterFile = RegisterFile {
    size: 8,
    names: &[
        "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx",
        "rsi", "rdi", "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds",
        "es", "fs", "gs",
    ],
    instruction_pointer: "rip",
    stack_pointer: "rsp",
    thread_pointer: Some(21),
    thread_offset: 0,
};

/// arch/x86/include/asm/user_32.h. The base of GS is in a separate note.
const X86: RegisterFile = RegisterFile {
    size: 4,
    names: &[
        "ebx", "ecx", "edx", "esi", "edi", "ebp", "eax", "ds", "es", "fs", "gs", "orig_eax", "eip",
        "cs", "eflags", "esp", "ss",
    ],
    instruction_pointer: "eip",
    stack_pointer: "esp",
    thread_pointer: None,
    thread_offset: 0,
};

/// `struct user_pt_regs` in arch/arm64/include/uapi/asm/ptrace.h. TPIDR_EL0 is in a separate note.
const AARCH64: RegisterFile = RegisterFile {
    size: 8,
    names: &[
        "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
        "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26",
        "x27", "x28", "x29", "x30", "sp", "pc", "pstate",
    ],
    instruction_pointer: "pc",
    stack_pointer: "sp",
    thread_pointer: None,
    thread_offset: 0,
};

/// `struct pt_regs` in arch/arm/include/uapi/asm/ptrace.h.
const ARM: RegisterFile = RegisterFile {
    size: 4,
    names: &[
        "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "sp",
        "lr", "pc", "cpsr", "orig_r0",
    ],
    instruction_pointer: "pc",
    stack_pointer: "sp",
    thread_pointer: None,
    thread_offset: 0,
};

/// `struct pt_regs` in arch/powerpc/include/uapi/asm/ptrace.h. `dar` is the address of a failed
/// data access; bit 25 of `dsisr` is set for a write. r13 points 0x7000 bytes above the end of the
/// thread control block (64-bit ELF V2 ABI, 3.7.2).
const POWERPC64: RegisterFile = RegisterFile {
    size: 8,
    names: &[
        "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "r13",
        "r14", "r15", "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r23", "r24", "r25", "r26",
        "r27", "r28", "r29", "r30", "r31", "nip", "msr", "orig_r3", "ctr", "lr", "xer", "cr",
        "softe", "trap", "dar", "dsisr", "result",
    ],
    instruction_pointer: "nip",
    stack_pointer: "r1",
    thread_pointer: Some(13),
    thread_offset: 0x7000,
};

/// `s390_regs` in arch/s390/include/uapi/asm/ptrace.h: the program status word, the general
/// registers, and the access registers of 4 bytes. The first two access registers hold the thread
/// pointer.
const S390X: RegisterFile = RegisterFile {
    size: 8,
    names: &[
        "pswm", "pswa", "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11",
        "r12", "r13", "r14", "r15",
    ],
    instruction_pointer: "pswa",
    stack_pointer: "r15",
    thread_pointer: Some(18),
    thread_offset: 0,
};

/// `struct user_regs_struct` in arch/riscv/include/uapi/asm/ptrace.h.
const RISCV64: RegisterFile = RegisterFile {
    size: 8,
    names: &[
        "pc", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4",
        "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4",
        "t5", "t6",
    ],
    instruction_pointer: "pc",
    stack_pointer: "sp",
    thread_pointer: Some(4),
    thread_offset: 0,
};

/// The register layout of a machine; `None` if it is unknown.
pub(super) fn of(machine: Machine) -> Option<&'static RegisterFile> {
    match machine {
        Machine::X86_64 => Some(&X86_64),
        Machine::X86 => Some(&X86),
        Machine::AArch64 => Some(&AARCH64),
        Machine::Arm => Some(&ARM),
        Machine::PowerPc64 => Some(&POWERPC64),
        Machine::S390x => Some(&S390X),
        Machine::RiscV64 => Some(&RISCV64),
        Machine::Other(_) => None,
    }
}
