//! x86-64. Register numbers are those of DWARF (psABI figure 3.36).

use gimli::Register;

/// `EM_X86_64`.
pub(in crate::unwind) const MACHINE: u16 = 62;
/// Number of DWARF registers; the return address is the last.
pub(in crate::unwind) const REGISTERS: usize = 17;
/// The frame pointer, rbp.
pub(in crate::unwind) const FP: usize = 6;
/// The stack pointer, rsp.
pub(in crate::unwind) const SP: usize = 7;
/// The return address column; as a register, rip.
pub(in crate::unwind) const IP: usize = 16;
/// The callee-saved registers, unless the tables say otherwise: rbx, rbp, r12 to r15.
pub(in crate::unwind) const CALLEE_SAVED: [usize; 6] = [3, FP, 12, 13, 14, 15];

/// The register's index in a table of [`REGISTERS`].
pub(in crate::unwind) fn index(register: Register) -> Option<usize> {
    Some(usize::from(register.0)).filter(|&index| index < REGISTERS)
}

/// Bytes of the code to which a signal handler returns.
pub(in crate::unwind) const TRAMPOLINE: usize = 9;

/// Whether this code is `mov $__NR_rt_sigreturn, %rax; syscall`, to which signal handlers return.
/// Not every C library has tables for it.
pub(in crate::unwind) fn is_trampoline(code: &[u8; TRAMPOLINE]) -> bool {
    *code == [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05]
        || code.starts_with(&[0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05])
}

/// Offsets in bytes of the interrupted registers from the stack pointer after a signal handler
/// returned: `uc_mcontext` of `struct ucontext`, arch/x86/include/uapi/asm/ucontext.h.
pub(in crate::unwind) const SIGNAL_CONTEXT: [(usize, u64); 9] =
    [(12, 72), (13, 80), (14, 88), (15, 96), (FP, 120), (3, 128), (0, 144), (SP, 160), (IP, 168)];

/// Maximum length of a call instruction, in bytes.
pub(in crate::unwind) const CALL: usize = 7;

/// The target of a call instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::unwind) enum Callee {
    /// A direct call to this address.
    Address(u64),
    /// An indirect call through a register or memory.
    Unknown,
}

/// The target of the call instruction that ends at `end`, if the code before `end` is one.
pub(in crate::unwind) fn call_before(end: u64, code: &[u8; CALL]) -> Option<Callee> {
    if let [.., 0xe8, a, b, c, d] = *code {
        let distance = i64::from(i32::from_le_bytes([a, b, c, d]));
        return Some(Callee::Address(end.wrapping_add_signed(distance)));
    }
    // FF /2: the second byte encodes the addressing mode, and so the length.
    let indirect = (2..=CALL).any(|length| match code[CALL - length..] {
        [0xff, modrm, ..] if modrm >> 3 & 7 == 2 => {
            let (mode, rm) = (modrm >> 6, modrm & 7);
            let sib = usize::from(mode != 3 && rm == 4);
            let displacement = match (mode, rm) {
                (1, _) => 1,
                (2, _) | (0, 5) => 4,
                // A scaled index without a base.
                (0, 4) if code[CALL - length + 2..].first().is_some_and(|sib| sib & 7 == 5) => 4,
                _ => 0,
            };
            length == 2 + sib + displacement
        }
        _ => false,
    });
    indirect.then_some(Callee::Unknown)
}

/// Offsets in bytes from the stack pointer of the caller's frame pointer and return address while
/// `__kernel_vsyscall` of the 32-bit vDSO is in the kernel: it pushes ecx, edx and ebp
/// (arch/x86/entry/vdso/vdso32/system_call.S).
pub(in crate::unwind) const COMPAT_VSYSCALL: (u64, u64) = (0, 12);
