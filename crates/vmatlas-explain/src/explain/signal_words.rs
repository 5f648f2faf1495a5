//! Names and meanings of signal numbers.

use vmatlas_maps::uapi::{siginfo, signal};

/// The name of a signal on most machines (not Alpha, MIPS, SPARC, PA-RISC), from signal(7); `None`
/// if unknown.
pub fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        signal::SIGHUP => "SIGHUP",
        signal::SIGINT => "SIGINT",
        signal::SIGQUIT => "SIGQUIT",
        signal::SIGILL => "SIGILL",
        signal::SIGTRAP => "SIGTRAP",
        signal::SIGABRT => "SIGABRT",
        signal::SIGBUS => "SIGBUS",
        signal::SIGFPE => "SIGFPE",
        signal::SIGKILL => "SIGKILL",
        signal::SIGUSR1 => "SIGUSR1",
        signal::SIGSEGV => "SIGSEGV",
        signal::SIGUSR2 => "SIGUSR2",
        signal::SIGPIPE => "SIGPIPE",
        signal::SIGALRM => "SIGALRM",
        signal::SIGTERM => "SIGTERM",
        signal::SIGSTKFLT => "SIGSTKFLT",
        signal::SIGXCPU => "SIGXCPU",
        signal::SIGXFSZ => "SIGXFSZ",
        signal::SIGSYS => "SIGSYS",
        _ => return None,
    })
}

/// The name and meaning of a signal's `si_code`, from sigaction(2) and Linux 6.18
/// `include/uapi/asm-generic/siginfo.h`; `None` if unknown.
pub fn code_name(number: i32, code: i32) -> Option<(&'static str, &'static str)> {
    Some(match (number, code) {
        (_, siginfo::SI_USER) => {
            ("SI_USER", "sent by kill(2), or by the kernel in a process's name")
        }
        (_, siginfo::SI_KERNEL) => ("SI_KERNEL", "sent by the kernel, which gives no details"),
        (_, siginfo::SI_QUEUE) => ("SI_QUEUE", "sent by sigqueue(3)"),
        (_, siginfo::SI_TIMER) => ("SI_TIMER", "sent by a timer"),
        (_, siginfo::SI_MESGQ) => ("SI_MESGQ", "sent by a message queue"),
        (_, siginfo::SI_ASYNCIO) => ("SI_ASYNCIO", "sent by asynchronous input or output"),
        (_, siginfo::SI_SIGIO) => ("SI_SIGIO", "sent for a file descriptor"),
        (_, siginfo::SI_TKILL) => ("SI_TKILL", "sent by tgkill(2), as by raise(3) and abort(3)"),
        (signal::SIGILL, siginfo::ILL_ILLOPC) => ("ILL_ILLOPC", "an invalid opcode"),
        (signal::SIGILL, siginfo::ILL_ILLOPN) => {
            // x86 sends it for every invalid opcode.
            ("ILL_ILLOPN", "an invalid opcode or operand")
        }
        (signal::SIGILL, siginfo::ILL_ILLADR) => {
            ("ILL_ILLADR", "an instruction with an addressing mode that it cannot have")
        }
        (signal::SIGILL, siginfo::ILL_ILLTRP) => ("ILL_ILLTRP", "an illegal trap"),
        (signal::SIGILL, siginfo::ILL_PRVOPC) => {
            ("ILL_PRVOPC", "an instruction that only the kernel may execute")
        }
        (signal::SIGILL, siginfo::ILL_PRVREG) => {
            ("ILL_PRVREG", "a register that only the kernel may use")
        }
        (signal::SIGILL, siginfo::ILL_COPROC) => ("ILL_COPROC", "an error of a coprocessor"),
        (signal::SIGILL, siginfo::ILL_BADSTK) => ("ILL_BADSTK", "an error of the internal stack"),
        (signal::SIGFPE, siginfo::FPE_INTDIV) => ("FPE_INTDIV", "a division of integers failed"),
        (signal::SIGFPE, siginfo::FPE_INTOVF) => ("FPE_INTOVF", "an integer too large"),
        (signal::SIGFPE, siginfo::FPE_FLTDIV) => {
            ("FPE_FLTDIV", "a floating-point number divided by zero")
        }
        (signal::SIGFPE, siginfo::FPE_FLTOVF) => {
            ("FPE_FLTOVF", "a floating-point number too large")
        }
        (signal::SIGFPE, siginfo::FPE_FLTUND) => {
            ("FPE_FLTUND", "a floating-point number too small")
        }
        (signal::SIGFPE, siginfo::FPE_FLTRES) => {
            ("FPE_FLTRES", "a floating-point result that is not exact")
        }
        (signal::SIGFPE, siginfo::FPE_FLTINV) => {
            ("FPE_FLTINV", "a floating-point operation that is not valid")
        }
        (signal::SIGFPE, siginfo::FPE_FLTSUB) => ("FPE_FLTSUB", "a subscript out of range"),
        (signal::SIGSEGV, siginfo::SEGV_MAPERR) => {
            ("SEGV_MAPERR", "nothing is mapped there, or a guard")
        }
        (signal::SIGSEGV, siginfo::SEGV_ACCERR) => {
            ("SEGV_ACCERR", "the mapping there does not permit it")
        }
        (signal::SIGSEGV, siginfo::SEGV_BNDERR) => {
            ("SEGV_BNDERR", "outside the bounds that were set (MPX)")
        }
        (signal::SIGSEGV, siginfo::SEGV_PKUERR) => ("SEGV_PKUERR", "a protection key forbids it"),
        (signal::SIGSEGV, siginfo::SEGV_ACCADI) => ("SEGV_ACCADI", "ADI is not enabled for it"),
        (signal::SIGSEGV, siginfo::SEGV_ADIDERR) => {
            ("SEGV_ADIDERR", "an ADI mismatch, reported late")
        }
        (signal::SIGSEGV, siginfo::SEGV_ADIPERR) => ("SEGV_ADIPERR", "an ADI mismatch"),
        (signal::SIGSEGV, siginfo::SEGV_MTEAERR) => {
            ("SEGV_MTEAERR", "a memory tag that does not match, reported late")
        }
        (signal::SIGSEGV, siginfo::SEGV_MTESERR) => {
            ("SEGV_MTESERR", "a memory tag that does not match")
        }
        (signal::SIGSEGV, siginfo::SEGV_CPERR) => {
            ("SEGV_CPERR", "a return or branch that the shadow stack or IBT forbids")
        }
        (signal::SIGBUS, siginfo::BUS_ADRALN) => ("BUS_ADRALN", "an address that is not aligned"),
        (signal::SIGBUS, siginfo::BUS_ADRERR) => {
            ("BUS_ADRERR", "mapped, but with no memory behind it")
        }
        (signal::SIGBUS, siginfo::BUS_OBJERR) => {
            ("BUS_OBJERR", "an error of the hardware behind it")
        }
        (signal::SIGBUS, siginfo::BUS_MCEERR_AR) => ("BUS_MCEERR_AR", "broken memory was used"),
        (signal::SIGBUS, siginfo::BUS_MCEERR_AO) => ("BUS_MCEERR_AO", "broken memory was found"),
        (signal::SIGTRAP, siginfo::TRAP_BRKPT) => ("TRAP_BRKPT", "a breakpoint"),
        (signal::SIGTRAP, siginfo::TRAP_TRACE) => ("TRAP_TRACE", "a single step"),
        (signal::SIGTRAP, siginfo::TRAP_BRANCH) => ("TRAP_BRANCH", "a branch"),
        (signal::SIGTRAP, siginfo::TRAP_HWBKPT) => {
            ("TRAP_HWBKPT", "a breakpoint or watchpoint of the hardware")
        }
        (signal::SIGTRAP, siginfo::TRAP_PERF) => ("TRAP_PERF", "an event of perf_event_open(2)"),
        (signal::SIGSYS, siginfo::SYS_SECCOMP) => {
            ("SYS_SECCOMP", "a system call that a seccomp filter forbids")
        }
        (signal::SIGSYS, siginfo::SYS_USER_DISPATCH) => {
            ("SYS_USER_DISPATCH", "a system call given to the program")
        }
        _ => return None,
    })
}
