//! What the kernel's numbers mean, in words.

use crate::crash::Machine;

/// The name of a signal, as signal(7) has it for most machines (not Alpha, MIPS, SPARC, PA-RISC).
pub fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        16 => "SIGSTKFLT",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    })
}

/// The name of an `si_code` of a signal and what it means: sigaction(2), Linux 6.18
/// `include/uapi/asm-generic/siginfo.h`.
pub fn code_name(signal: i32, code: i32) -> Option<(&'static str, &'static str)> {
    Some(match (signal, code) {
        (_, 0) => ("SI_USER", "sent by kill(2)"),
        (_, 0x80) => ("SI_KERNEL", "sent by the kernel, which does not say more"),
        (_, -1) => ("SI_QUEUE", "sent by sigqueue(3)"),
        (_, -2) => ("SI_TIMER", "sent by a timer"),
        (_, -3) => ("SI_MESGQ", "sent by a message queue"),
        (_, -4) => ("SI_ASYNCIO", "sent by asynchronous input or output"),
        (_, -5) => ("SI_SIGIO", "sent for a file descriptor"),
        (_, -6) => ("SI_TKILL", "sent by tgkill(2), as by raise(3) and abort(3)"),
        (4, 1) => ("ILL_ILLOPC", "no such instruction"),
        (4, 2) => ("ILL_ILLOPN", "an instruction with an operand that it cannot have"),
        (4, 3) => ("ILL_ILLADR", "an instruction with an addressing mode that it cannot have"),
        (4, 4) => ("ILL_ILLTRP", "an illegal trap"),
        (4, 5) => ("ILL_PRVOPC", "an instruction that only the kernel may execute"),
        (4, 6) => ("ILL_PRVREG", "a register that only the kernel may use"),
        (4, 7) => ("ILL_COPROC", "an error of a coprocessor"),
        (4, 8) => ("ILL_BADSTK", "an error of the internal stack"),
        (8, 1) => ("FPE_INTDIV", "an integer divided by zero"),
        (8, 2) => ("FPE_INTOVF", "an integer too large"),
        (8, 3) => ("FPE_FLTDIV", "a floating-point number divided by zero"),
        (8, 4) => ("FPE_FLTOVF", "a floating-point number too large"),
        (8, 5) => ("FPE_FLTUND", "a floating-point number too small"),
        (8, 6) => ("FPE_FLTRES", "a floating-point result that is not exact"),
        (8, 7) => ("FPE_FLTINV", "a floating-point operation that is not valid"),
        (8, 8) => ("FPE_FLTSUB", "a subscript out of range"),
        (11, 1) => ("SEGV_MAPERR", "nothing is mapped there"),
        (11, 2) => ("SEGV_ACCERR", "what is mapped there does not permit it"),
        (11, 3) => ("SEGV_BNDERR", "outside the bounds that were set (MPX)"),
        (11, 4) => ("SEGV_PKUERR", "a protection key forbids it"),
        (11, 5) => ("SEGV_ACCADI", "ADI is not enabled for it"),
        (11, 6) => ("SEGV_ADIDERR", "an ADI mismatch, told late"),
        (11, 7) => ("SEGV_ADIPERR", "an ADI mismatch"),
        (11, 8) => ("SEGV_MTEAERR", "a memory tag that does not match, told late"),
        (11, 9) => ("SEGV_MTESERR", "a memory tag that does not match"),
        (11, 10) => ("SEGV_CPERR", "a return or branch that the shadow stack or IBT forbids"),
        (7, 1) => ("BUS_ADRALN", "an address that is not aligned"),
        (7, 2) => ("BUS_ADRERR", "mapped, but with no memory behind it"),
        (7, 3) => ("BUS_OBJERR", "an error of the hardware behind it"),
        (7, 4) => ("BUS_MCEERR_AR", "broken memory was used"),
        (7, 5) => ("BUS_MCEERR_AO", "broken memory was found"),
        (5, 1) => ("TRAP_BRKPT", "a breakpoint"),
        (5, 2) => ("TRAP_TRACE", "a step of a debugger"),
        (5, 3) => ("TRAP_BRANCH", "a branch"),
        (5, 4) => ("TRAP_HWBKPT", "a breakpoint or watchpoint of the hardware"),
        (31, 1) => ("SYS_SECCOMP", "a system call that a seccomp filter forbids"),
        (31, 2) => ("SYS_USER_DISPATCH", "a system call given to the program"),
        _ => return None,
    })
}

/// The bits of the error code in a line `segfault at … error N`, or of `ESR_EL1` on AArch64, in
/// words.
pub fn error_code(machine: Machine, error: u64) -> Vec<&'static str> {
    match machine {
        Machine::AArch64 => exception_syndrome(error),
        _ => page_fault(error),
    }
}

/// Linux 6.18 `arch/x86/include/asm/trap_pf.h`.
fn page_fault(error: u64) -> Vec<&'static str> {
    let bits = [
        (5, "a protection key forbids it"),
        (6, "of a shadow stack"),
        (15, "of an SGX enclave"),
        (31, "pages of a guest"),
    ];
    let mut words = vec![
        if error & 1 == 0 { "no page there" } else { "a page is there" },
        if error & 0x10 != 0 {
            "execution"
        } else if error & 2 != 0 {
            "write"
        } else {
            "read"
        },
        if error & 4 == 0 { "by the kernel" } else { "by the program" },
    ];
    if error & 8 != 0 {
        words.push("reserved bits in a page table");
    }
    words.extend(bits.iter().filter(|(bit, _)| error >> bit & 1 != 0).map(|(_, word)| *word));
    words
}

/// Arm Architecture Reference Manual (DDI 0487), `ESR_ELx`: ISS of data and instruction aborts.
fn exception_syndrome(error: u64) -> Vec<&'static str> {
    let class = error >> 26 & 0x3f;
    let (execute, data) = (matches!(class, 0x20 | 0x21), matches!(class, 0x24 | 0x25));
    let mut words = vec![match class {
        0x20 => "an instruction that could not be fetched, by the program",
        0x24 => "data that could not be accessed, by the program",
        0x21 => "an instruction that could not be fetched, by the kernel",
        0x25 => "data that could not be accessed, by the kernel",
        0x22 => "the instruction's address is not aligned",
        0x26 => "the stack pointer is not aligned",
        0x3c => "a breakpoint instruction",
        0x00 => "an unknown reason",
        _ => "another class of exception",
    }];
    if data {
        words.push(if error & 0x40 != 0 { "write" } else { "read" });
    }
    if execute || data {
        words.push(match error & 0x3f {
            0..=3 => "address size",
            4..=7 => "no page there",
            8..=11 => "a page that was not accessed before",
            12..=15 => "a page is there that forbids it",
            16 => "an external abort",
            17 => "a memory tag that does not match",
            33 => "not aligned",
            _ => "another fault",
        });
    }
    words
}
