//! Invalid pointers: fill patterns, text, numbers and impossible addresses.

use super::instruction::{MemoryOperand, RegisterValue};
use super::null::NULL_PAGES;
use super::values::{self, Fill, Misread};
use super::{Cause, Conclusion, Evidence, words};
use crate::beyond::{is_canonical, is_kernel, may_be_canonical};
use crate::crash::{Access, CrashSource, Machine};
use crate::label::Confidence;
use crate::tagged::{Tagged, UpperBits};

/// A pointer that holds other data. `address` is unmapped or not a user address.
pub(super) fn misread(evidence: &Evidence<'_>, address: u64) -> Option<Conclusion> {
    let machine = evidence.crash.machine;
    // The register has the pointer value; the address may include an offset.
    let operand = evidence.fault.operand.as_ref();
    if let Some(reference) = compressed_reference(evidence) {
        return Some(reference);
    }
    if let Some(sent) = maybe_sent(evidence, address) {
        return Some(sent);
    }
    // A value that the instruction multiplies counts elements and is no pointer.
    let index = |operand: &MemoryOperand| operand.scale <= 1 && !has_base(operand);
    let registers = operand.into_iter().flat_map(|operand| {
        [operand.base.as_ref(), operand.index.as_ref().filter(|_| index(operand))]
    });
    let target = evidence.fault.instruction.as_ref().and_then(|found| found.target.as_ref());
    let registers = registers.flatten().chain(target);
    let held =
        registers.filter(|register| !matches!(&*register.name, "rsp" | "esp" | "sp" | "rip"));
    let held = held.filter_map(|RegisterValue { name, value }| Some((Some(name), (*value)?)));
    // A register to which a large number is added is rather the index.
    let is_most = |value: u64| is_beside(machine, value, address);
    let held = held.filter(|(_, value)| is_most(*value));
    // A register that points into a mapping is a valid pointer.
    let plain = |value: u64| Tagged::plain(value, machine, evidence.maps);
    let wild = |value: u64| evidence.maps.find(plain(value)).mapping.is_none();
    let mut values = held.chain([(None, address)]).filter(|(_, value)| wild(*value));
    values.find_map(|(register, value)| {
        let found = values::misread(value, machine, evidence.maps)?;
        if matches!(found, Misread::Truncated { .. }) && in_java(evidence) {
            return None;
        }
        let whose = register
            .map_or_else(|| "the address".to_owned(), |name| format!("the register {name}"));
        Some(describe(&found, value, &whose, register.is_some()))
    })
}

/// Whether two values differ by no more than an index or a field, apart from the top byte, which the
/// kernel may leave out.
fn is_beside(machine: Option<Machine>, value: u64, address: u64) -> bool {
    const INDEX: u64 = 1 << 20;
    let more = address.wrapping_sub(value);
    let more = match machine {
        Some(Machine::X86 | Machine::Arm) => i64::from(more as i32),
        _ => (more << 8) as i64 >> 8,
    };
    more.unsigned_abs() < INDEX
}

/// `PID_MAX_LIMIT` of 64-bit kernels.
const MAX_PID: u32 = 1 << 22;

/// Whether the address may be `si_pid` and `si_uid`: they stand in the place of `si_addr`, and the
/// source has neither `si_code` nor the access. The kernel logs the addresses of page faults only.
fn may_be_sender(evidence: &Evidence<'_>) -> bool {
    let (crash, fault) = (evidence.crash, &evidence.fault);
    crash.signal.is_some()
        && crash.code.is_none()
        && crash.source != CrashSource::KernelLog
        && fault.access.is_none()
        && fault.pointer().is_none()
}

/// The process and the user that an address may be, if it is hardly an address.
pub(super) fn sender(evidence: &Evidence<'_>, address: u64) -> Option<(u32, u32)> {
    let (pid, uid) = (address as u32, (address >> 32) as u32);
    // Addresses have fewer bits than such users, and those of programs more than the others.
    let is_user = (1..0x1000).contains(&uid) || (0x8000..=0x7fff_ffff).contains(&uid);
    let is_process = (1..MAX_PID).contains(&pid);
    let is_unused = evidence.maps.find(address).mapping.is_none();
    (may_be_sender(evidence) && is_unused && is_user && is_process).then_some((pid, uid))
}

/// Whether a nearly null address may be the pid of a process of root. Few objects have a field so far
/// from their begin.
pub(super) fn may_be_root(evidence: &Evidence<'_>, address: u64) -> bool {
    const LARGE_OBJECT: u64 = 1 << 12;
    (LARGE_OBJECT..NULL_PAGES).contains(&address) && may_be_sender(evidence)
}

/// An address that is rather the sender of the signal.
pub(super) fn maybe_sent(evidence: &Evidence<'_>, address: u64) -> Option<Conclusion> {
    let (pid, uid) = sender(evidence, address)?;
    Some(Conclusion::new(
        Cause::SentSignal,
        Confidence::Guess,
        format!(
            "It seems that process {pid} (of uid {uid}) sent the signal: siginfo holds these \
             numbers where it otherwise holds the address."
        ),
        format!("{address:#x} is {uid} and {pid} in 32 bits each, and si_code is not known"),
    ))
}

/// Whether an operand has a base register that is not 0.
fn has_base(operand: &MemoryOperand) -> bool {
    operand.base.as_ref().is_some_and(|base| base.value != Some(0))
}

/// Whether the crash is in code of a Java virtual machine, which keeps references to objects in 32
/// bits.
fn in_java(evidence: &Evidence<'_>) -> bool {
    let library = evidence.crash.frames.first().map(|frame| &*frame.module);
    let native = library.is_some_and(|name| !name.is_empty() && !name.starts_with("libjvm."));
    evidence.crash.source == CrashSource::HsErr && !native
}

/// A compressed reference of a Java virtual machine: compiled code multiplies 32 bits by the
/// alignment of objects and adds the start of the heap, which has a register of its own
/// (`r12_heapbase`, `rheapbase` in src/hotspot/cpu of JDK 8 to 25). Other registers hold arrays and
/// their indices.
fn compressed_reference(evidence: &Evidence<'_>) -> Option<Conclusion> {
    let operand = evidence.fault.operand.as_ref()?;
    let index = operand.index.as_ref()?;
    // Small numbers are indices: a heap does not begin below 8 MiB.
    let value = index.value.filter(|value| value >> 32 == 0 && *value >= 1 << 20)?;
    let is_heap = |base: &RegisterValue| matches!(&*base.name, "r12" | "x27");
    let of_heap = operand.base.as_ref().is_none_or(is_heap);
    let compiled = evidence.crash.frames.first().is_some_and(|frame| frame.module.is_empty());
    let scaled = operand.scale >= 8 && in_java(evidence) && compiled && of_heap;
    scaled.then(|| {
        let base = operand.base.as_ref().and_then(|base| base.value).unwrap_or(0);
        let points = value.wrapping_mul(operand.scale).wrapping_add(base);
        Conclusion::new(
            Cause::Unmapped,
            Confidence::Likely,
            format!(
                "{value:#x} in {} is a compressed reference of Java, and points to {points:#x}, \
                 where there is no object: the memory that held the reference was overwritten, or \
                 the reference was not updated when the object was moved.",
                index.name
            ),
            format!("the instruction multiplies {} by {}", index.name, operand.scale),
        )
    })
}

fn describe(found: &Misread, value: u64, whose: &str, is_register: bool) -> Conclusion {
    let data = Cause::DataAsPointer;
    match found {
        Misread::Poison(pattern, fill, who) => Conclusion::new(
            Cause::PoisonValue,
            Confidence::Likely,
            format!(
                "The pointer is a fill pattern: {}{} ({pattern:#x} is {who}).",
                match fill {
                    Fill::Block => {
                        "it was read from memory that was freed, or that was not written yet"
                    }
                    Fill::Edge => "it was read from beside a block of memory, beyond its bounds",
                    Fill::List => "it was read from an entry that was taken out of its list",
                    Fill::Byte => {
                        "it was read from memory that the program filled with one byte, that was \
                         freed, or that was not written yet"
                    }
                },
                match pattern.to_le_bytes() {
                    [byte, rest @ ..]
                        if value == *pattern && byte.is_ascii_graphic() && rest == [byte; 7] =>
                    {
                        format!("; or it is text, \"{}\"", char::from(byte).to_string().repeat(8))
                    }
                    _ => String::new(),
                },
            ),
            match value.wrapping_sub(*pattern) {
                0 => format!("{whose} is the pattern {pattern:#x}"),
                more if more < 1 << 32 => {
                    format!("{whose} is {value:#x}, the pattern {pattern:#x} plus {more}")
                }
                less => format!(
                    "{whose} is {value:#x}, the pattern {pattern:#x} less {}",
                    less.wrapping_neg()
                ),
            },
        ),
        Misread::Text(text) => Conclusion::new(
            data,
            if text.len() >= 7 { Confidence::Likely } else { Confidence::Guess },
            format!(
                "The pointer is text, \"{text}\"{}: a string was written over it, or text was \
                 taken for a structure{}.",
                if text.len() >= 7 { "" } else { ", it seems" },
                if text.bytes().min() == text.bytes().max() {
                    "; or its memory was filled with that byte"
                } else {
                    ""
                }
            ),
            format!("all bytes of {value:#x}, which is {whose}, are characters"),
        ),
        Misread::Truncated { whole, by_chance } => Conclusion::new(
            data,
            if *by_chance { Confidence::Guess } else { Confidence::Likely },
            format!(
                "The pointer lost its upper half{}: {whole:#x} is mapped. It was kept in 32 bits, \
                 such as the int that a function without a prototype returns.",
                if *by_chance { ", it seems" } else { "" }
            ),
            format!(
                "{whose} is {value:#x}, the lower 32 bits of {whole:#x}, and no other mapping \
                 below 256 MiB has such an address"
            ),
        ),
        Misread::Double(number) => Conclusion::new(
            data,
            Confidence::Guess,
            format!("The pointer is a floating-point number, {number:?}, it seems."),
            format!("{whose} is {value:#x}, which as a double is {number:?}"),
        ),
        Misread::Halves(low, high) => Conclusion::new(
            data,
            Confidence::Guess,
            format!(
                "The pointer is two numbers of 32 bits, it seems: {} and {}.",
                *low as i32, *high as i32
            ),
            format!("both halves of {value:#x}, which is {whose}, are small numbers"),
        ),
        // An index of -1 into nothing gives the same address.
        Misread::Negative(-1) if is_register => Conclusion::new(
            data,
            Confidence::Likely,
            "The pointer is -1, which mmap(2) and shmat(2) return if they fail (MAP_FAILED).",
            format!("{whose} is {value:#x}"),
        ),
        Misread::Negative(number) => Conclusion::new(
            data,
            Confidence::Guess,
            format!(
                "The pointer is a negative number, {number}, such as an error code, or null less an \
                 offset."
            ),
            format!("{whose} is {value:#x}"),
        ),
    }
}

/// The page of the kernel through which programs with an old C library make some calls
/// (Documentation/admin-guide/kernel-parameters.txt, `vsyscall=`).
fn vsyscall(evidence: &Evidence<'_>, address: u64) -> Option<Conclusion> {
    const PAGE: u64 = 0xffff_ffff_ff60_0000;
    /// gettimeofday, time and getcpu (arch/x86/entry/vsyscall/vsyscall_emu_64.S).
    const CALLS: [u64; 3] = [0, 0x400, 0x800];
    let x86 = matches!(evidence.crash.machine, Some(Machine::X86_64) | None);
    let offset = address.wrapping_sub(PAGE);
    let execute = evidence.fault.access == Some(Access::Execute);
    let called = CALLS.contains(&offset) && (execute || evidence.fault.access.is_none());
    (x86 && called).then(|| {
        Conclusion::new(
            Cause::KernelAddress,
            Confidence::Likely,
            "The address is an entry of the [vsyscall] page, which programs with an old C library \
             call for the time: this kernel does not permit it (vsyscall=none).",
            format!("{address:#x} is the address of such an entry in every process"),
        )
    })
}

/// How a program gets an address that it cannot have. Without the instruction, an index may be in it.
fn origin(evidence: &Evidence<'_>) -> &'static str {
    let fault = &evidence.fault;
    let alone = fault.operand.as_ref().is_some_and(|operand| operand.index.is_none());
    if alone || fault.access == Some(Access::Execute) {
        "the pointer was overwritten or never set"
    } else {
        "the pointer was overwritten or never set, or an index was wrong"
    }
}

/// An address that no program can have.
pub(super) fn impossible(evidence: &Evidence<'_>, address: u64) -> Option<Conclusion> {
    let machine = evidence.crash.machine;
    if let Some(signed) = evidence.fault.tagged
        && signed.bits == UpperBits::Signature
    {
        let row = evidence.maps.find(signed.address).mapping.and_then(|at| evidence.maps.get(at));
        let row = row.map(|row| words::lower_thing(evidence, &row, signed.address));
        let row = row.unwrap_or_default();
        return Some(Conclusion::new(
            Cause::NonCanonical,
            if machine.is_some() { Confidence::Likely } else { Confidence::Guess },
            format!(
                "Without its upper bits it is {:#x}, which lies in {row}: the bits are a signature \
                 of AArch64's pointer authentication that was not taken off or whose check failed, \
                 or the pointer was overwritten.",
                signed.address
            ),
            "its upper bits are neither all 0 nor all 1",
        ));
    }
    let mapped = evidence.maps.find(address).mapping.is_some();
    // The kernel reports no others.
    let canonical = if evidence.fault.derived { is_canonical } else { may_be_canonical };
    if !mapped && !canonical(machine, address) {
        let because = if evidence.fault.derived && evidence.crash.code.is_none() {
            "the address follows from the registers and the instruction's operand"
        } else if evidence.fault.derived {
            "the processor reported no address (SI_KERNEL), and this one follows from the \
             registers and the instruction's operand"
        } else {
            "its upper bits are neither all 0 nor all 1"
        };
        return Some(Conclusion::new(
            Cause::NonCanonical,
            if evidence.fault.derived { Confidence::Certain } else { Confidence::Likely },
            format!("{address:#x} is no address at all (not canonical): {}.", origin(evidence)),
            because,
        ));
    }
    // The [vsyscall] page may be accessible to programs.
    if mapped || !is_kernel(machine, address) {
        return None;
    }
    if let Some(found) = vsyscall(evidence, address) {
        return Some(found);
    }
    Some(Conclusion::new(
        Cause::KernelAddress,
        if machine.is_some() { Confidence::Certain } else { Confidence::Likely },
        format!(
            "The address belongs to the kernel, and no program may use it: {}.",
            origin(evidence)
        ),
        format!("{address:#x} is in the upper half of the address space"),
    ))
}
