//! Null pointers.

use super::fault::register;
use super::instruction::{self, InstructionKind, MemoryOperand, RegisterValue};
use super::{Cause, Conclusion, Evidence, Fault, access, pointer, words};
use crate::beyond::is_canonical;
use crate::crash::{Access, Crash, CrashSource, Machine};
use crate::label::Confidence;
use vmatlas_maps::uapi::signal::SIGSEGV;

/// Programs map nothing below this: the default of `vm.mmap_min_addr` (proc_sys_vm(5)).
pub(super) const NULL_PAGES: u64 = 64 << 10;

/// A null pointer, or a field of one.
pub(super) fn null(evidence: &Evidence<'_>, address: u64) -> Option<Conclusion> {
    if evidence.maps.find(address).mapping.is_some() {
        return None;
    }
    if let Some(before) = before_null(evidence, address) {
        return Some(before);
    }
    if address >= NULL_PAGES || access::is_mapped(evidence, address) {
        return None;
    }
    let fault = &evidence.fault;
    if fault.access == Some(Access::Execute) {
        return Some(executed(evidence, address));
    }
    if may_lack_address(evidence.crash, fault) {
        return Some(perhaps(evidence.crash));
    }
    let pointer = fault.pointer().and_then(|register| Some((&register.name, register.value?)));
    // A value just below 0, such as MAP_FAILED, plus a field offset.
    if pointer.is_some_and(|(_, value)| is_below_zero(evidence.crash.machine, value)) {
        return None;
    }
    // Either of two registers that are added may hold the pointer.
    let sum = fault.operand.as_ref().filter(|operand| operand.scale <= 1).is_some_and(|operand| {
        let small = |held: &Option<RegisterValue>| {
            held.as_ref().and_then(|held| held.value).filter(|value| *value < NULL_PAGES)
        };
        let (base, index) = (small(&operand.base), small(&operand.index));
        base.zip(index).is_some_and(|both| both != (0, 0))
    });
    let (sentence, because, confidence) = match pointer {
        Some((register, 0)) if address == 0 => (
            "The pointer is null.".to_owned(),
            format!("the register {register} that held it is 0"),
            Confidence::Certain,
        ),
        Some(_) if sum => (
            format!(
                "The pointer is null or a small number: the access is {} into the object that it \
                 should have pointed to, such as an element of an array.",
                words::bytes(address)
            ),
            "both registers of the address are small numbers".to_owned(),
            Confidence::Likely,
        ),
        Some((register, 0)) => (
            format!(
                "The pointer is null: the access is {} into the object that it should have pointed \
                 to, such as a field of a structure or an element of an array.",
                words::bytes(address)
            ),
            format!("the register {register} that held it is 0, and {address} was added"),
            Confidence::Certain,
        ),
        Some((register, value)) if value < NULL_PAGES => (
            format!(
                "The pointer is null plus an offset, or a small number: {register} was {value:#x}."
            ),
            "nothing is mapped below 64 KiB (vm.mmap_min_addr)".to_owned(),
            Confidence::Likely,
        ),
        Some((register, value)) => (
            format!(
                "The address is nearly null, but {register} was {value:#x}: the rest was taken \
                 off by an index or offset."
            ),
            "nothing is mapped below 64 KiB (vm.mmap_min_addr)".to_owned(),
            Confidence::Guess,
        ),
        None if address == 0 => {
            ("The pointer is null.".to_owned(), "the address is 0".to_owned(), Confidence::Certain)
        }
        None if pointer::may_be_root(evidence, address) => (
            format!(
                "The pointer is null, it seems: the access is {} into the object that it should \
                 have pointed to, such as a field of a structure or an element of an array. Or \
                 process {address} (of uid 0) sent the signal: siginfo then holds its pid there.",
                words::bytes(address)
            ),
            format!("{address:#x} is below 64 KiB, and si_code is not known"),
            Confidence::Guess,
        ),
        None => (
            format!(
                "The pointer is null, most likely: the access is {} into the object that it should \
                 have pointed to, such as a field of a structure or an element of an array.",
                words::bytes(address)
            ),
            format!("{address:#x} is below 64 KiB, where nothing is mapped (vm.mmap_min_addr)"),
            Confidence::Likely,
        ),
    };
    Some(Conclusion::new(Cause::NullPointer, confidence, sentence, because))
}

/// Whether the address 0 may stand for none: x86 gives none with a general protection fault, and only
/// `si_code` (SI_KERNEL) distinguishes that from an access to 0. Such a fault is never one of a write
/// that its error code shows.
pub(super) fn may_lack_address(crash: &Crash, fault: &Fault) -> bool {
    let x86 = matches!(crash.machine, Some(Machine::X86_64 | Machine::X86) | None);
    let is_reported = fault.address == Some(0) && !fault.derived;
    // The lines of the kernel about page faults are no others.
    let is_page_fault = crash.present.is_some() || crash.source == CrashSource::KernelLog;
    let is_other = matches!(fault.access, Some(Access::Write | Access::Execute));
    let held = fault.pointer().filter(|held| held.value == Some(0));
    let is_held = held.is_some_and(|held| register(crash, &held.name).is_some());
    x86 && is_reported
        && crash.signal == Some(SIGSEGV)
        && crash.code.is_none()
        && !is_page_fault
        && !is_other
        && !is_held
}

/// A null pointer, or a fault of which the processor gave no address.
fn perhaps(crash: &Crash) -> Conclusion {
    // The registers of a source without the machine show it.
    let x86_64 = crash.registers.iter().any(|(name, _)| name == "rax");
    let machine = Some(Machine::X86_64).filter(|_| x86_64);
    let general = |name: &str| name.starts_with('r') && name != "rip";
    let wild = crash
        .registers
        .iter()
        .filter(|(name, value)| general(name) && !is_canonical(machine, *value))
        .map(|(name, value)| format!("{name} ({value:#x})"));
    let wild: Vec<String> = wild.collect();
    let because = "the address is 0, and si_code is not known";
    if wild.is_empty() {
        return Conclusion::new(
            Cause::NullPointer,
            Confidence::Likely,
            "The pointer is null, most likely. The kernel also gives the address 0 if a pointer is \
             no address at all (not canonical); only si_code, which the source lacks, would show \
             that.",
            because,
        );
    }
    Conclusion::new(
        Cause::NullPointer,
        Confidence::Guess,
        format!(
            "The pointer is null, or it is no address at all (not canonical), like the value of \
             {}: the kernel gives the address 0 for both, and only si_code, which the source \
             lacks, would show which.",
            wild.join(" and of ")
        ),
        because,
    )
}

/// A fetch from an address that is nearly null.
fn executed(evidence: &Evidence<'_>, address: u64) -> Conclusion {
    let is_call = is_call(evidence);
    let sentence = match (address, is_call) {
        (0, true) => "A function pointer that is null was called.",
        (0, false) => {
            "A function pointer that is null was called, or a function returned to 0 because its \
             return address was overwritten."
        }
        (_, true) => {
            "A function pointer was called that is nearly null: it was overwritten, or is a small \
             number."
        }
        (_, false) => {
            "The program went to an address that is nearly null: a function pointer or return \
             address was overwritten, or is a small number."
        }
    };
    Conclusion::new(
        Cause::NullPointer,
        if address == 0 && is_call { Confidence::Certain } else { Confidence::Likely },
        sentence,
        format!("the instruction pointer is {address:#x} itself, where nothing is mapped"),
    )
}

/// Whether a value is a little less than 0.
fn is_below_zero(machine: Option<Machine>, value: u64) -> bool {
    let bits32 = matches!(machine, Some(Machine::X86 | Machine::Arm));
    value > if bits32 { u64::from(u32::MAX) } else { u64::MAX } - NULL_PAGES
}

/// An access a little before a null pointer.
fn before_null(evidence: &Evidence<'_>, address: u64) -> Option<Conclusion> {
    let fault = &evidence.fault;
    let machine = evidence.crash.machine;
    // One of two registers that are added may be the index.
    let is_pointer = |operand: &MemoryOperand| operand.index.is_none() || operand.scale > 1;
    let operand = fault.operand.as_ref().filter(|operand| is_pointer(operand))?;
    let base = operand.base.as_ref().filter(|base| base.value == Some(0))?;
    is_below_zero(machine, address).then(|| {
        let before = match machine {
            Some(Machine::X86 | Machine::Arm) => u64::from((address as u32).wrapping_neg()),
            _ => address.wrapping_neg(),
        };
        Conclusion::new(
            Cause::NullPointer,
            Confidence::Certain,
            format!(
                "The pointer is null: the access is {} before the object that it should have \
                 pointed to.",
                words::bytes(before)
            ),
            format!("the register {} that held it is 0", base.name),
        )
    })
}

/// Whether the thread came to its address by a call, as its stack or its link register shows.
fn is_call(evidence: &Evidence<'_>) -> bool {
    /// The longest call of x86 without prefixes, in bytes.
    const LONGEST: u64 = 7;
    let crash = evidence.crash;
    let Some(machine) = crash.machine else { return false };
    let is_code = |address: u64| {
        let row = evidence.maps.find(address).mapping.and_then(|at| evidence.maps.get(at));
        row.is_some_and(|row| row.perms.execute() || row.is_gate())
    };
    let size = match machine {
        Machine::X86_64 => 8,
        Machine::X86 => 4,
        // A return goes to the address in the link register.
        Machine::AArch64 | Machine::RiscV64 => {
            let link = ["x30", "lr", "ra"].iter().find_map(|name| register(crash, name));
            return link.is_some_and(is_code);
        }
        _ => return false,
    };
    let returns_to = || {
        let (memory, mut word) = (evidence.memory?, [0; 8]);
        let part = word.get_mut(..size)?;
        let sp = crash.sp.or_else(|| ["rsp", "esp"].iter().find_map(|name| register(crash, name)));
        (memory.read(sp?, part) == size).then_some((memory, u64::from_le_bytes(word)))
    };
    let Some((memory, end)) = returns_to().filter(|(_, end)| is_code(*end)) else { return false };
    (2..=LONGEST).any(|length| {
        let (mut bytes, start) = ([0; LONGEST as usize], end.wrapping_sub(length));
        let Some(code) = bytes.get_mut(..length as usize) else { return false };
        let found = (memory.read(start, code) == code.len())
            .then(|| instruction::decode(machine, code, start, &|_| None));
        let call = found.flatten().filter(|found| found.kind == InstructionKind::Call);
        call.is_some_and(|call| call.length == length)
    })
}
