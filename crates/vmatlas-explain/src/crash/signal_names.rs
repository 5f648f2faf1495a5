//! The numbers of signals and codes that reports print by name.

use vmatlas_maps::uapi::siginfo::{
    BUS_ADRALN, BUS_ADRERR, BUS_MCEERR_AO, BUS_MCEERR_AR, BUS_OBJERR, FPE_INTDIV, FPE_INTOVF,
    ILL_ILLOPC, ILL_ILLOPN, SEGV_ACCERR, SEGV_MAPERR, SEGV_PKUERR, SI_KERNEL, SI_QUEUE, SI_TKILL,
    SI_USER, TRAP_BRKPT,
};
use vmatlas_maps::uapi::signal::{
    SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGQUIT, SIGSEGV, SIGSYS, SIGTERM, SIGTRAP,
};

/// The number of a signal such as `SIGSEGV` or `SEGV`.
pub(super) fn signal(name: &[u8]) -> Option<i32> {
    Some(match name.strip_prefix(b"SIG").unwrap_or(name) {
        b"QUIT" => SIGQUIT,
        b"ILL" => SIGILL,
        b"TRAP" => SIGTRAP,
        b"ABRT" => SIGABRT,
        b"BUS" => SIGBUS,
        b"FPE" => SIGFPE,
        b"KILL" => SIGKILL,
        b"SEGV" => SIGSEGV,
        b"TERM" => SIGTERM,
        b"SYS" => SIGSYS,
        _ => return None,
    })
}

/// The number of an `si_code` such as `SEGV_MAPERR`.
pub(super) fn code(name: &[u8]) -> Option<i32> {
    Some(match name {
        b"SEGV_MAPERR" => SEGV_MAPERR,
        b"SEGV_ACCERR" => SEGV_ACCERR,
        b"SEGV_PKUERR" => SEGV_PKUERR,
        b"BUS_ADRALN" => BUS_ADRALN,
        b"BUS_ADRERR" => BUS_ADRERR,
        b"BUS_OBJERR" => BUS_OBJERR,
        b"BUS_MCEERR_AR" => BUS_MCEERR_AR,
        b"BUS_MCEERR_AO" => BUS_MCEERR_AO,
        b"ILL_ILLOPC" => ILL_ILLOPC,
        b"ILL_ILLOPN" => ILL_ILLOPN,
        b"FPE_INTDIV" => FPE_INTDIV,
        b"FPE_INTOVF" => FPE_INTOVF,
        b"TRAP_BRKPT" => TRAP_BRKPT,
        b"SI_USER" => SI_USER,
        b"SI_TKILL" => SI_TKILL,
        b"SI_QUEUE" => SI_QUEUE,
        b"SI_KERNEL" => SI_KERNEL,
        _ => return None,
    })
}
