//! Parses lines of registers: `RAX: 0000000000000008 RBX: …`, `x0  0000… x1  …`,
//! `RSP=0x…, RBP=0x…`.

use crate::crash::words::{hex, take_while};
use crate::crash::{Crash, Machine};

/// Maximum number of registers. No architecture has as many for general use.
const MAX: usize = 128;

/// Adds the registers of a line to the crash; returns whether the line contains any.
pub(super) fn take(crash: &mut Crash, line: &[u8]) -> bool {
    let mut rest = line.trim_ascii();
    let mut any = false;
    while let Some((name, value, behind)) = register(rest) {
        let Some(name) = name else {
            // This register is not needed.
            rest = behind;
            continue;
        };
        if crash.registers.len() < MAX && !crash.registers.iter().any(|(known, _)| *known == name) {
            crash.registers.push((name, value));
        }
        any = true;
        rest = behind;
    }
    any
}

/// Parses a register at the start of the text; returns its name if it is needed, its value, and the
/// rest of the text.
fn register(text: &[u8]) -> Option<(Option<String>, u64, &[u8])> {
    let (name, rest) = take_while(text, |b| b.is_ascii_alphanumeric());
    let name = match name {
        b"" => return None,
        // The kernel prints the bases under these names. Other sources print the selectors, which
        // are not needed.
        b"FS" => Some("fs_base".to_owned()),
        b"GS" => Some("gs_base".to_owned()),
        name => known(name),
    };
    let rest = rest.trim_ascii_start();
    let rest = rest.strip_prefix(b":").or_else(|| rest.strip_prefix(b"=")).unwrap_or(rest);
    let (value, mut rest) = take_while(rest.trim_ascii_start(), |b| b != b' ' && b != b',');
    // Old kernels write addresses as `[<00010504>]`. `0033:` is the code segment, and
    // `FS:  7f4b469c1740(0000)` ends with the selector.
    let value = value.strip_prefix(b"[<").and_then(|v| v.strip_suffix(b">]")).unwrap_or(value);
    let value = value.rsplit(|&b| b == b':').next()?;
    let (value, _) = take_while(value, |b| b != b'(');
    let selector = value.len() < 8 && matches!(name.as_deref(), Some("fs_base" | "gs_base"));
    let value = hex(value).filter(|_| value.len() >= 3)?;
    let name = name.filter(|_| !selector);
    while let Some(behind) = rest.strip_prefix(b",").or_else(|| rest.strip_prefix(b" ")) {
        rest = behind;
    }
    Some((name, value, rest))
}

/// The name in the architecture's manual, in lower case; `None` if the word is not a register.
fn known(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok().filter(|name| name.len() <= 8)?.to_ascii_lowercase();
    let numbered = |letters: &[&str], most: u8| {
        letters.iter().any(|letter| {
            name.strip_prefix(letter)
                .filter(|digits| digits.len() < 3 && digits.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|digits| digits.parse::<u8>().ok())
                .is_some_and(|number| number <= most)
        })
    };
    const NAMES: [&str; 49] = [
        "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "rip", "eax", "ebx", "ecx", "edx",
        "esi", "edi", "ebp", "esp", "eip", "eflags", "rflags", "efl", "pc", "lr", "sp", "fp", "ip",
        "sl", "ra", "gp", "tp", "epc", "nip", "xer", "ctr", "msr", "ccr", "pst", "pstate", "cpsr",
        "psr", "err", "trapno", "esr", "far", "status", "badaddr", "cause", "scause", "orig",
    ];
    let name_of = |name: &str| match name {
        "pst" => "pstate".to_owned(),
        "efl" => "eflags".to_owned(),
        "psr" => "cpsr".to_owned(),
        name => name.to_owned(),
    };
    // The kernel writes `R08`.
    let short = || match name.as_bytes() {
        [letter, b'0', digit] => format!("{}{}", char::from(*letter), char::from(*digit)),
        _ => name.clone(),
    };
    numbered(&["r", "x", "w", "a", "t", "s"], 31)
        .then(short)
        .or_else(|| NAMES.contains(&name.as_str()).then(|| name_of(&name)))
}

/// The value of the first of these registers that the crash has.
pub(super) fn value(crash: &Crash, names: &[&str]) -> Option<u64> {
    let mut registers = crash.registers.iter();
    registers.find(|(name, _)| names.contains(&name.as_str())).map(|(_, value)| *value)
}

/// Derives the instruction pointer, the stack pointer and the machine from the registers.
pub(super) fn settle(crash: &mut Crash) {
    let has = |name: &str| crash.registers.iter().any(|(known, _)| known == name);
    let machine = if has("rip") || has("rax") {
        Some(Machine::X86_64)
    } else if has("eip") || has("eax") {
        Some(Machine::X86)
    } else if has("x28") || has("pstate") {
        Some(Machine::AArch64)
    } else if has("cpsr") || has("r0") && has("lr") && has("sp") {
        Some(Machine::Arm)
    } else if has("epc") && has("gp") {
        Some(Machine::RiscV64)
    } else {
        None
    };
    crash.machine = crash.machine.or(machine);
    crash.ip = crash.ip.or_else(|| value(crash, &["rip", "eip", "pc", "epc", "nip"]));
    crash.sp = crash.sp.or_else(|| value(crash, &["rsp", "esp", "sp"]));
}
