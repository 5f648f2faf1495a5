//! What came with a signal.

use super::layout::Layout;
use vmatlas_maps::uapi::siginfo::{SEGV_PKUERR, SI_KERNEL, SI_QUEUE, SI_TKILL, SI_USER};
use vmatlas_maps::uapi::signal::{SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP};

/// `siginfo_t` (sigaction(2)) as far as it tells of crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SigInfo {
    /// The signal's number.
    pub signal: i32,
    /// `si_code`: why it was sent.
    pub code: i32,
    /// `si_addr`: the address that could not be accessed or executed. Only for signals of the
    /// hardware, and not where the kernel does not know it (x86 tells no address of a general
    /// protection fault).
    pub address: Option<u64>,
    /// `si_pkey`: the protection key that forbade it.
    pub protection_key: Option<u32>,
    /// Who sent it with kill(2) and the like: the process id.
    pub sender: Option<u32>,
}

/// By kill(2), tgkill(2), sigqueue(3).
const SENT: [i32; 3] = [SI_USER, SI_TKILL, SI_QUEUE];

impl SigInfo {
    /// Reads `NT_SIGINFO`, whose layout is that of include/uapi/asm-generic/siginfo.h: the number,
    /// `si_errno`, `si_code`, and from the next word on a union.
    pub(super) fn parse(note: &[u8], layout: Layout) -> Option<SigInfo> {
        let (signal, code) = (layout.i32(note, 0)?, layout.i32(note, 8)?);
        let fields = if layout.word == 8 { 16 } else { 12 };
        let hardware = matches!(signal, SIGILL | SIGTRAP | SIGBUS | SIGFPE | SIGSEGV);
        let told = hardware && code > 0 && code != SI_KERNEL;
        let key = signal == SIGSEGV && code == SEGV_PKUERR;
        Some(SigInfo {
            signal,
            code,
            address: layout.word(note, fields).filter(|_| told),
            // Behind si_addr and a pad of the size of a pointer.
            protection_key: layout.u32(note, fields + 2 * layout.word).filter(|_| key),
            sender: layout.u32(note, fields).filter(|_| SENT.contains(&code)),
        })
    }
}
