//! Lines of the kernel log on architectures other than x86 about programs that died by a fault.
//!
//! # References
//!
//! `arm64_show_signal` in arch/arm64/kernel/traps.c (seen: 4.19 to 6.12), `__do_user_fault` in
//! arch/arm64/mm/fault.c before, and in arch/arm/mm/fault.c (CONFIG_DEBUG_USER); `show_signal_msg`
//! in arch/powerpc/kernel/traps.c (seen: 6.12), `_exception` before; `report_user_fault` in
//! arch/s390/mm/fault.c (seen: 4.8 to 6.12); `do_trap` in arch/riscv/kernel/traps.c (seen: 6.12);
//! `__do_page_fault` in arch/mips/mm/fault.c and arch/loongarch/mm/fault.c.

use super::Task;
use super::code::take_mapping;
use crate::crash::words::{
    after, between, hex, hex_after, leading_hex, leading_id, leading_signed, split, split_last,
    string,
};
use crate::crash::{Access, Crash, CrashSource, Machine, registers};
use vmatlas_maps::uapi::siginfo::SEGV_ACCERR;
use vmatlas_maps::uapi::signal::{SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP};

/// Parses the text after `NAME[TID]: `.
pub(super) fn signal(task: Task<'_>, text: &[u8]) -> Option<Crash> {
    if let Some(rest) = text.strip_prefix(b"unhandled exception: ") {
        return Some(aarch64(task, rest));
    }
    if let Some(rest) = text.strip_prefix(b"unhandled signal ") {
        return unhandled_signal(task, rest);
    }
    if let Some(rest) = text.strip_prefix(b"unhandled ").filter(|_| after(text, ", esr ").is_some())
    {
        return old_aarch64(task, rest);
    }
    after(text, " nip ").and_then(|_| powerpc(task, text))
}

/// Parses lines that do not begin with `NAME[TID]: `.
pub(super) fn first_line(text: &[u8]) -> Option<Crash> {
    s390x(text).or_else(|| mips(text)).or_else(|| arm(text))
}

/// Parses `DABT (lower EL), ESR 0x0000000092000006, level 2 translation fault in a.out[…]`
fn aarch64(task: Task<'_>, rest: &[u8]) -> Crash {
    let mut crash = task.crash(None);
    crash.machine = Some(Machine::AArch64);
    let (what, esr) = match after(rest, ", ESR ") {
        Some(behind) => (split(behind, ", ").map_or(behind, |(_, what)| what), leading_hex(behind)),
        None => (rest, None),
    };
    take_mapping(&mut crash, what);
    let what =
        split_last(what, " in ").filter(|_| crash.ip_mapping.is_some()).map_or(what, |w| w.0);
    fault(&mut crash, what, esr);
    crash
}

/// Parses `level 2 translation fault (11) at 0x00000000, esr 0x92000006, in a.out[400000+1000]`
fn old_aarch64(task: Task<'_>, rest: &[u8]) -> Option<Crash> {
    let (what, behind) = split(rest, " (")?;
    let mut crash = task.crash(leading_signed(behind));
    crash.machine = Some(Machine::AArch64);
    crash.address = hex_after(behind, ") at ");
    take_mapping(&mut crash, behind);
    fault(&mut crash, what, hex_after(behind, ", esr "));
    Some(crash)
}

/// Derives the signal and the access from the words of arch/arm64/mm/fault.c and from the exception
/// syndrome register (Arm Architecture Reference Manual, ESR_EL1).
fn fault(crash: &mut Crash, what: &[u8], esr: Option<u64>) {
    let says = |word: &str| after(what, word).is_some();
    let signal = if says("alignment") || says("external abort") || says("parity error") {
        Some(SIGBUS)
    } else if says("translation fault")
        || says("permission fault")
        || says("access flag fault")
        || says("address size fault")
        || says("tag check fault")
    {
        Some(SIGSEGV)
    } else if says("undefined instruction") || says("BTI") || says("FPAC") {
        Some(SIGILL)
    } else if says("BRK") || says("debug trap") {
        Some(SIGTRAP)
    } else {
        None
    };
    crash.signal = crash.signal.or(signal);
    // The kernel calls these classes of exceptions an undefined instruction.
    crash.message = Some(match esr.map(|esr| esr >> 26) {
        Some(0x0d) => "BTI".to_owned(),
        Some(0x1c) => "FPAC".to_owned(),
        _ => string(what),
    });
    let Some(esr) = esr else { return };
    const MAINTENANCE: u64 = 1 << 8;
    const WRITE: u64 = 1 << 6;
    crash.access = match esr >> 26 {
        0x20 => Some(Access::Execute),
        0x24 if esr & MAINTENANCE != 0 => None,
        0x24 if esr & WRITE != 0 => Some(Access::Write),
        0x24 => Some(Access::Read),
        _ => None,
    };
    let data_or_instruction = matches!(esr >> 26, 0x20 | 0x24);
    crash.present = (data_or_instruction && esr & 0x3c == 0x0c).then_some(true);
}

/// Parses lines of riscv and csky, `11 code 0x1 at 0x0000000000000000 in a.out[10000+1000]`, and of
/// older powerpc, `11 at 0000000000000000 nip … lr … code 30001`.
fn unhandled_signal(task: Task<'_>, rest: &[u8]) -> Option<Crash> {
    let mut crash = task.crash(Some(leading_signed(rest)?));
    if after(rest, " nip ").is_some() {
        link_and_code(&mut crash, rest);
        crash.address = crash.address.or_else(|| hex_after(rest, " at "));
        return Some(crash);
    }
    crash.code = hex_after(rest, " code ").and_then(|code| i32::try_from(code).ok());
    crash.address = hex_after(rest, " at ");
    crash.present =
        (crash.signal == Some(SIGSEGV) && crash.code == Some(SEGV_ACCERR)).then_some(true);
    take_mapping(&mut crash, rest);
    Some(crash)
}

/// Parses `segfault (11) at 0 nip 10000868 lr 3fffa5a3f8c4 code 1 in a.out[10000000+10000]`
fn powerpc(task: Task<'_>, text: &[u8]) -> Option<Crash> {
    let (what, rest) = split(text, " (")?;
    let signals: [&[u8]; 6] = [
        b"bus error",
        b"floating point exception",
        b"illegal instruction",
        b"segfault",
        b"unhandled trap",
        b"unknown signal",
    ];
    signals.contains(&what).then_some(())?;
    let mut crash = task.crash(Some(leading_signed(rest)?));
    crash.address = hex_after(rest, ") at ");
    link_and_code(&mut crash, rest);
    take_mapping(&mut crash, rest);
    Some(crash)
}

fn link_and_code(crash: &mut Crash, text: &[u8]) {
    crash.machine = Some(Machine::PowerPc64);
    crash.ip = hex_after(text, " nip ");
    let registers = [("nip", crash.ip), ("lr", hex_after(text, " lr "))];
    crash.registers =
        registers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    // Older kernels print internal bits above those of `si_code`.
    crash.code = hex_after(text, " code ").and_then(|code| u16::try_from(code).ok()).map(i32::from);
    crash.present =
        (crash.signal == Some(SIGSEGV) && crash.code == Some(SEGV_ACCERR)).then_some(true);
}

/// Parses `User process fault: interruption code 0010 ilc:2 in libautofs.so[3ffa0300000+29000]`.
/// The codes are those of z/Architecture Principles of Operation, their signals those of
/// arch/s390/kernel/traps.c.
fn s390x(text: &[u8]) -> Option<Crash> {
    let rest = text.strip_prefix(b"User process fault: interruption code ")?;
    let code = leading_hex(rest)?;
    let (signal, what) = match code & 0xff {
        0x01 => (SIGILL, "operation exception"),
        0x02 => (SIGILL, "privileged operation"),
        0x03 => (SIGILL, "execute exception"),
        0x04 => (SIGSEGV, "protection exception"),
        0x05 => (SIGSEGV, "addressing exception"),
        0x06 => (SIGILL, "specification exception"),
        0x07 => (SIGFPE, "data exception"),
        0x08 => (SIGFPE, "fixed-point overflow exception"),
        0x09 => (SIGFPE, "fixed-point divide exception"),
        0x10 => (SIGSEGV, "segment-translation exception"),
        0x11 => (SIGSEGV, "page-translation exception"),
        0x38 => (SIGSEGV, "ASCE-type exception"),
        0x39 => (SIGSEGV, "region-first-translation exception"),
        0x3a => (SIGSEGV, "region-second-translation exception"),
        0x3b => (SIGSEGV, "region-third-translation exception"),
        _ => (0, "program exception"),
    };
    let mut crash = Crash {
        source: CrashSource::KernelLog,
        signal: Some(signal).filter(|&signal| signal != 0),
        machine: Some(Machine::S390x),
        message: Some(format!("{what} (interruption code {code:#x})")),
        ..Crash::default()
    };
    take_mapping(&mut crash, rest);
    Some(crash)
}

/// Parses `do_page_fault(): sending SIGSEGV to a.out for invalid read access from 00000000`, which
/// several architectures print, so the machine is unknown.
fn mips(text: &[u8]) -> Option<Crash> {
    let rest = text.strip_prefix(b"do_page_fault(): sending SIGSEGV to ")?;
    let (comm, rest) = split(rest, " for invalid ")?;
    let (access, address) = match rest.strip_prefix(b"write access to ") {
        Some(address) => (Access::Write, address),
        None => (Access::Read, rest.strip_prefix(b"read access from ")?),
    };
    Some(Crash {
        source: CrashSource::KernelLog,
        comm: Some(comm.to_owned()),
        signal: Some(SIGSEGV),
        address: Some(leading_hex(address)?),
        access: Some(access),
        ..Crash::default()
    })
}

/// Parses `a.out: unhandled page fault (11) at 0x00000000, code 0x005`. The code is the fault
/// status register, in which the kernel sets bit 31 for fetches and the hardware bit 11 for writes.
fn arm(text: &[u8]) -> Option<Crash> {
    let (comm, rest) = split(text, ": unhandled page fault (")?;
    let status = hex_after(rest, ", code ")?;
    let access = match (status & (1 << 31) != 0, status & (1 << 11) != 0) {
        (true, _) => Access::Execute,
        (false, true) => Access::Write,
        (false, false) => Access::Read,
    };
    // With the long format of page tables (LPAE), bit 9 is set.
    let is_permission = match status & (1 << 9) != 0 {
        true => status & 0x3c == 0x0c,
        false => status & 0x40d == 0x00d,
    };
    Some(Crash {
        source: CrashSource::KernelLog,
        comm: Some(comm.to_owned()),
        signal: leading_signed(rest),
        address: hex_after(rest, ") at "),
        present: is_permission.then_some(true),
        access: Some(access),
        machine: Some(Machine::Arm),
        ..Crash::default()
    })
}

/// Reads a later line of one architecture; returns false for any other line.
pub(super) fn follow(crash: &mut Crash, text: &[u8]) -> bool {
    if let Some(rest) = text.strip_prefix(b"Failing address: ") {
        // The processor reports only the page of the address.
        crash.address = leading_hex(rest);
        // Two bits of the translation-exception identification encode the access.
        crash.access = match hex_after(rest, "TEID: ").map(|teid| teid >> 10 & 3) {
            Some(1) => Some(Access::Write),
            Some(2) => Some(Access::Read),
            _ => None,
        };
    } else if let Some(rest) = text.strip_prefix(b"User PSW : ") {
        crash.ip = between(rest, " ", " ").or_else(|| after(rest, " ")).and_then(hex);
    } else if let Some(rest) = text.strip_prefix(b"User GPRS: ") {
        general_registers(crash, rest);
    } else if crash.machine == Some(Machine::S390x) && text.starts_with(b"     ") {
        general_registers(crash, text);
    } else if let Some(rest) = text.strip_prefix(b"epc = ").or_else(|| text.strip_prefix(b"era = "))
    {
        crash.ip = leading_hex(rest);
        if let Some(name) = after(rest, " in ") {
            take_mapping(crash, &[b" in ", name].concat());
        }
    } else if text.starts_with(b"status: ") && after(text, " badaddr: ").is_some() {
        registers::take(crash, text);
        // scause of the privileged specification: 12, 13 and 15 are page faults.
        crash.access = match hex_after(text, " cause: ") {
            Some(1 | 12) => Some(Access::Execute),
            Some(5 | 13) => Some(Access::Read),
            Some(7 | 15) => Some(Access::Write),
            _ => None,
        };
        crash.machine = Some(Machine::RiscV64);
    } else if let Some(pid) = text.strip_prefix(b"Pid: ").and_then(leading_id) {
        crash.tid.get_or_insert(pid);
    } else {
        return false;
    }
    true
}

/// Parses general registers of s390x; each line has four of the sixteen.
fn general_registers(crash: &mut Crash, text: &[u8]) {
    let values = text.split(|&b| b == b' ').filter(|word| !word.is_empty());
    for value in values.map_while(|word| hex(word).filter(|_| word.len() == 16)) {
        let number = crash.registers.len();
        if number < 16 {
            crash.registers.push((format!("r{number}"), value));
        }
        if number == 15 {
            crash.sp = Some(value);
        }
    }
}
