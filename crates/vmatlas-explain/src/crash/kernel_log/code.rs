//! The mapping of the instruction, and the bytes of code around it.

use crate::crash::words::{after, hex, split, split_last, string};
use crate::crash::{Crash, Machine, SymbolFrame, registers};
use vmatlas_maps::AddressRange;

/// Parses ` in FILE[OFFSET,START+SIZE]`: the mapping of the instruction, if a file is mapped there.
pub(super) fn take_mapping(crash: &mut Crash, text: &[u8]) {
    let Some((name, numbers)) = after(text, " in ")
        .and_then(|rest| split_last(rest, "]"))
        .and_then(|(rest, _)| split_last(rest, "["))
    else {
        return;
    };
    let (offset, numbers) = match split(numbers, ",") {
        Some((offset, numbers)) => (hex(offset), numbers),
        None => (None, numbers),
    };
    let Some((start, size)) = split(numbers, "+") else { return };
    let (Some(start), Some(size)) = (hex(start), hex(size)) else { return };
    let Some(end) = start.checked_add(size) else { return };
    // Older kernels print no offset; it then counts from the start of the mapping.
    let offset = offset.or_else(|| crash.ip?.checked_sub(start).filter(|offset| *offset < size));
    crash.ip_mapping = Some((name.to_owned(), AddressRange::new(start, end)));
    crash.frames =
        vec![SymbolFrame { pc: crash.ip, module: string(name), offset, ..SymbolFrame::default() }];
}

/// Parses the bytes of code around the instruction, which `<>` marks. RISC-V prints parcels of two
/// bytes, the lower byte last, and marks the instruction with `()` (`dump_instr` in
/// arch/riscv/kernel/traps.c of 6.12).
pub(super) fn take_code(crash: &mut Crash, code: &[u8]) {
    registers::settle(crash);
    let Some(ip) = crash.ip else { return };
    let mut bytes = Vec::new();
    let mut at = None;
    for word in code.split(|&b| b == b' ').filter(|word| !word.is_empty()) {
        let marked = |open: &[u8], close: &[u8]| word.strip_prefix(open)?.strip_suffix(close);
        let inner = marked(b"<", b">").or_else(|| marked(b"(", b")"));
        let digits = inner.unwrap_or(word);
        let Some(value) = hex(digits) else { break };
        if inner.is_some() {
            at = Some(bytes.len() as u64);
        }
        match digits.len() {
            2 => bytes.extend(u8::try_from(value)),
            4 if crash.machine == Some(Machine::RiscV64) => {
                bytes.extend(u16::try_from(value).unwrap_or_default().to_le_bytes());
            }
            _ => break,
        }
    }
    if let Some(start) = at.and_then(|at| ip.checked_sub(at)) {
        crash.code_bytes = Some((start, bytes));
    }
}
