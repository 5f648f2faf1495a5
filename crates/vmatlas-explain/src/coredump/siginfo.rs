//! The `siginfo_t` in a core dump.

use super::layout::Layout;
use super::signal_numbers::{is_mips, usual};
use crate::crash::{Machine, Sender};
use vmatlas_maps::uapi::siginfo::{SEGV_PKUERR, SI_KERNEL, SI_QUEUE, SI_TKILL, SI_USER};
use vmatlas_maps::uapi::signal::{SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP};

/// The fields of `siginfo_t` (sigaction(2)) that describe a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SigInfo {
    /// The signal number on x86 and Arm (signal(7)): those of other machines are converted.
    pub signal: i32,
    /// `si_code`: the reason for the signal.
    pub code: i32,
    /// `si_addr`: the address that could not be accessed or executed. Present only for signals of
    /// hardware faults whose address the kernel knows: x86 reports none for a general protection
    /// fault.
    pub address: Option<u64>,
    /// `si_pkey`: the protection key that denied the access.
    pub protection_key: Option<u32>,
    /// `si_pid` and `si_uid`: who sent the signal with kill(2) or a similar call.
    pub sender: Option<Sender>,
}

/// The codes of kill(2), tgkill(2) and sigqueue(3).
const SENT: [i32; 3] = [SI_USER, SI_TKILL, SI_QUEUE];

impl SigInfo {
    /// Parses a `siginfo_t` of x86 with words of `word` bytes.
    pub(super) fn of_x86(bytes: &[u8], word: usize) -> Option<SigInfo> {
        SigInfo::parse(bytes, Machine::X86_64, Layout { big_endian: false, word })
    }

    /// Parses `NT_SIGINFO`, laid out as in include/uapi/asm-generic/siginfo.h: the signal number,
    /// `si_errno`, `si_code`, and from the next word on a union. MIPS has `si_code` before `si_errno`.
    pub(super) fn parse(note: &[u8], machine: Machine, layout: Layout) -> Option<SigInfo> {
        let signal = usual(machine, layout.i32(note, 0)?);
        let code = layout.i32(note, if is_mips(machine) { 4 } else { 8 })?;
        let fields = if layout.word == 8 { 16 } else { 12 };
        let hardware = matches!(signal, SIGILL | SIGTRAP | SIGBUS | SIGFPE | SIGSEGV);
        let has_address = hardware && code > 0 && code != SI_KERNEL;
        let sender =
            || Some(Sender { pid: layout.u32(note, fields)?, uid: layout.u32(note, fields + 4)? });
        let key = signal == SIGSEGV && code == SEGV_PKUERR;
        Some(SigInfo {
            signal,
            code,
            address: layout.word(note, fields).filter(|_| has_address),
            // It follows si_addr and a pad of the size of a pointer.
            protection_key: layout.u32(note, fields + 2 * layout.word).filter(|_| key),
            sender: sender().filter(|_| SENT.contains(&code)),
        })
    }
}
