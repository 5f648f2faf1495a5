//! Memory accesses that failed.

mod file;
mod gap;
mod permissions;

use super::instruction::InstructionKind;
use super::{Cause, ChangeKind, Conclusion, Evidence, null, pointer, signals, stack};
use crate::crash::{Access, CrashSource};
use crate::label::Confidence;
use vmatlas_maps::Mapping;
use vmatlas_maps::uapi::siginfo::{
    BUS_ADRALN, BUS_ADRERR, BUS_MCEERR_AO, BUS_MCEERR_AR, BUS_OBJERR, SEGV_ACCERR, SEGV_CPERR,
    SEGV_MAPERR, SEGV_MTEAERR, SEGV_MTESERR, SEGV_PKUERR, SI_KERNEL,
};
use vmatlas_maps::uapi::signal::{SIGBUS, SIGSEGV};

/// Largest alignment in bytes that an instruction asks for.
const LARGEST_ALIGNMENT: u64 = 64;

/// The cause of a failed access.
pub(super) fn conclude(evidence: &Evidence<'_>) -> Option<Conclusion> {
    let Some(address) = evidence.fault.address else { return no_address(evidence) };
    let mapped = evidence.maps.find(address).mapping.and_then(|at| evidence.maps.get(at));
    let not_mapped = || (mapped.is_none() && !is_mapped(evidence, address)).then_some(address);
    by_code(evidence, address, mapped)
        .or_else(|| misaligned(evidence, address))
        .or_else(|| bus_error(evidence, address, mapped))
        .or_else(|| null::null(evidence, address))
        .or_else(|| stack::overflow(evidence, address))
        .or_else(|| permissions::relro(evidence, address))
        .or_else(|| changed(evidence))
        .or_else(|| pointer::misread(evidence, not_mapped()?))
        .or_else(|| pointer::impossible(evidence, address))
        .or_else(|| match mapped {
            Some(row) => permissions::permissions(evidence, address, &row),
            None if evidence.maps.is_empty() || is_mapped(evidence, address) => {
                without_map(evidence, Some(address))
            }
            None => gap::gap(evidence, address).or_else(|| without_map(evidence, Some(address))),
        })
}

/// The conclusion from `si_code` alone.
fn by_code(
    evidence: &Evidence<'_>,
    address: u64,
    mapped: Option<Mapping<'_>>,
) -> Option<Conclusion> {
    let crash = evidence.crash;
    let certain = |cause, sentence: String, because: &str| {
        Some(Conclusion::new(cause, Confidence::Certain, sentence, because))
    };
    // The kernel gives a key to mappings with PROT_EXEC alone.
    let execute_only = match evidence.fault.access {
        Some(Access::Write) => "",
        _ => ", or the memory may only be executed",
    };
    if crash.protection_key == Some(true) {
        return certain(
            Cause::ProtectionKey,
            format!(
                "A protection key forbids it: the thread's PKRU register denies an access that the \
                 mapping itself would permit (pkeys(7)){execute_only}."
            ),
            "the kernel says that a protection key forbids it (SEGV_PKUERR)",
        );
    }
    match (crash.signal?, crash.code?) {
        (SIGSEGV, SEGV_PKUERR) => certain(
            Cause::ProtectionKey,
            format!(
                "A protection key forbids it: the thread's rights for the key deny an access that \
                 the mapping itself would permit (pkeys(7)){execute_only}."
            ),
            "si_code is SEGV_PKUERR",
        ),
        (SIGSEGV, SEGV_MTEAERR | SEGV_MTESERR) => certain(
            Cause::MemoryTag,
            "The tag in the pointer is not that of the memory: it was freed, or the pointer has \
             left its object (MTE)."
                .to_owned(),
            "si_code is SEGV_MTESERR or SEGV_MTEAERR",
        ),
        // No instruction asks for more; other systems give other reasons this number.
        (SIGBUS, BUS_ADRALN) if address.is_multiple_of(LARGEST_ALIGNMENT) => Some(Conclusion::new(
            Cause::Unknown,
            Confidence::Guess,
            format!(
                "The source reports an address that is not aligned, but {address:#x} is a \
                     multiple of {LARGEST_ALIGNMENT}: the memory there permits no such access, \
                     as that of a device may, or the program ran on a system whose numbers mean \
                     something else."
            ),
            "si_code is that of BUS_ADRALN, and the address is aligned",
        )),
        (SIGBUS, BUS_ADRALN) => certain(
            Cause::Misaligned,
            format!("{address:#x} is not aligned as the instruction or the processor's flags ask."),
            "si_code is BUS_ADRALN",
        ),
        (SIGBUS, BUS_MCEERR_AR | BUS_MCEERR_AO) => certain(
            Cause::MemoryFailure,
            "The hardware reports that the memory itself is broken.".to_owned(),
            "si_code is BUS_MCEERR",
        ),
        (SIGBUS, BUS_OBJERR) => certain(
            Cause::MemoryFailure,
            "The device or file system behind the address could not give its memory.".to_owned(),
            "si_code is BUS_OBJERR",
        ),
        (SIGBUS, BUS_ADRERR) => Some(file::no_memory(evidence, address, mapped)),
        _ => None,
    }
}

/// Whether the kernel found a mapping at the address.
pub(super) fn is_mapped(evidence: &Evidence<'_>, address: u64) -> bool {
    let crash = evidence.crash;
    let found = match crash.signal {
        // Processors may check the alignment first; nothing is mapped near 0.
        Some(SIGBUS) => {
            let of_memory = |code| code > 0 && code != SI_KERNEL && code != BUS_ADRALN;
            crash.code.is_none_or(of_memory) && address >= null::NULL_PAGES
        }
        Some(SIGSEGV) => crash.present == Some(true) || crash.code == Some(SEGV_ACCERR),
        _ => false,
    };
    // The error code for addresses of the kernel says nothing about them.
    found && address >> 63 == 0
}

/// Whether the rows show what is at an address that none of them contains: not if the kernel found a
/// mapping there, nor if the map is incomplete.
pub(super) fn shows_gap(evidence: &Evidence<'_>, address: u64) -> bool {
    !is_mapped(evidence, address) && missing_row(evidence).is_none()
}

/// A register of the thread that points into none of the rows of a log, which are incomplete then.
pub(super) fn missing_row(evidence: &Evidence<'_>) -> Option<(&'static str, u64)> {
    /// A stack that overflowed lies as near above its stack pointer.
    const NEAR: u64 = 64 << 20;
    let crash = evidence.crash;
    let complete =
        matches!(crash.source, CrashSource::Core | CrashSource::Recording | CrashSource::Address);
    if complete || evidence.maps.is_empty() || crash.signal.is_none() {
        return None;
    }
    let outside = |address: u64| evidence.maps.find(address).mapping.is_none();
    let jumped =
        crash.ip == evidence.fault.address || evidence.fault.access == Some(Access::Execute);
    let ip = crash.ip.filter(|ip| !jumped && *ip != 0 && outside(*ip));
    let sp = crash.sp.filter(|sp| {
        let after = evidence.maps.find(*sp).after.and_then(|at| evidence.maps.get(at));
        let overflowed = after.is_some_and(|row| row.range.start - sp < NEAR);
        *sp >= 1 << 16 && *sp >> 63 == 0 && outside(*sp) && !overflowed
    });
    ip.map(|ip| ("instruction pointer", ip)).or(sp.map(|sp| ("stack pointer", sp)))
}

/// A bus error whose `si_code` is not known: memory that is not mapped gives SIGSEGV.
fn bus_error(
    evidence: &Evidence<'_>,
    address: u64,
    mapped: Option<Mapping<'_>>,
) -> Option<Conclusion> {
    let crash = evidence.crash;
    if crash.signal != Some(SIGBUS) || crash.code.is_some() {
        return None;
    }
    if let Some(sent) = pointer::maybe_sent(evidence, address) {
        return Some(sent);
    }
    if let Some(row) = mapped {
        let mut found = file::no_memory(evidence, address, Some(row));
        found.because = "SIGBUS: something is mapped there, and has no memory".to_owned();
        found.confidence = Confidence::Guess;
        return Some(found);
    }
    if address < null::NULL_PAGES {
        let sent = if pointer::may_be_root(evidence, address) {
            format!(", or process {address} (of uid 0) sent the signal")
        } else {
            String::new()
        };
        return Some(Conclusion::new(
            Cause::Unknown,
            Confidence::Guess,
            format!(
                "Programs of Linux map nothing at {address:#x}, and SIGBUS is not about memory \
                 there: the access was not aligned and its address is not known, or the program \
                 ran on a system that sends SIGBUS for a null pointer{sent}."
            ),
            "the signal is SIGBUS, and the address is below 64 KiB (vm.mmap_min_addr)",
        ));
    }
    Some(Conclusion::new(
        Cause::PastFile,
        Confidence::Likely,
        format!(
            "Something is mapped at {address:#x}, but the kernel could not give its memory: most \
             likely a file that ends before, because it was cut after it was mapped. A file \
             system that is full or failed, broken memory and an address that is not aligned are \
             other reasons."
        ),
        "the signal is SIGBUS; the kernel sends SIGSEGV if nothing is mapped",
    ))
}

/// An unaligned SSE operand, for which the processor raises a general protection fault.
fn misaligned(evidence: &Evidence<'_>, address: u64) -> Option<Conclusion> {
    let fault = &evidence.fault;
    let alignment = fault.instruction.as_ref()?.alignment?;
    let odd = !address.is_multiple_of(alignment)
        && fault.derived
        && evidence.crash.code == Some(SI_KERNEL);
    let canonical = crate::beyond::is_canonical(evidence.crash.machine, address);
    (odd && canonical).then(|| {
        Conclusion::new(
            Cause::Misaligned,
            Confidence::Certain,
            format!(
                "The address is not aligned: the instruction asks for a multiple of {alignment}, \
                 and {address:#x} is {} more than one.",
                address % alignment
            ),
            "the processor reported no address (SI_KERNEL), as it does if this instruction \
             accesses an address that is not aligned",
        )
    })
}

/// A return that the shadow stack forbids, or a branch that branch tracking forbids.
fn shadow_stack(because: &str) -> Conclusion {
    Conclusion::new(
        Cause::ShadowStack,
        Confidence::Certain,
        "A return or an indirect branch went where the shadow stack or branch tracking forbids: a \
         return address or function pointer was overwritten, or the program changed its stack, as \
         coroutines and longjmp(3) do, in a way that the shadow stack does not know.",
        because,
    )
}

/// A fault whose address neither the kernel nor the registers give.
fn no_address(evidence: &Evidence<'_>) -> Option<Conclusion> {
    let crash = evidence.crash;
    let instruction = evidence.fault.instruction.as_ref();
    let kind = instruction.map(|found| found.kind);
    if crash.signal == Some(SIGSEGV) && crash.code == Some(SEGV_CPERR) {
        return Some(shadow_stack("si_code is SEGV_CPERR"));
    }
    if kind == Some(InstructionKind::Privileged) {
        return Some(Conclusion::new(
            Cause::IllegalInstruction,
            Confidence::Certain,
            "Only the kernel may execute that instruction.",
            "the processor refuses it to programs with a general protection fault",
        ));
    }
    if let Some(lost) = stack::lost(evidence) {
        return Some(lost);
    }
    let said = |text: &str| crash.message.as_deref().is_some_and(|said| said.starts_with(text));
    if said("alignment check") {
        return Some(Conclusion::new(
            Cause::Misaligned,
            Confidence::Certain,
            "The address is not aligned, and the program has asked for alignment to be checked \
             (the flag AC).",
            "the kernel reports an alignment check",
        ));
    }
    if crash.signal == Some(SIGBUS) && crash.code == Some(BUS_ADRALN) {
        return Some(Conclusion::new(
            Cause::Misaligned,
            Confidence::Certain,
            "The address is not aligned as the instruction or the processor's flags ask.",
            "si_code is BUS_ADRALN",
        ));
    }
    if said("control protection") {
        return Some(shadow_stack("the kernel reports a control protection fault"));
    }
    // AArch64 logs the kind of fault and no address.
    let says = |word: &str| crash.message.as_deref().is_some_and(|said| said.contains(word));
    let page_fault = says("translation fault") || crash.present == Some(true);
    if crash.source == CrashSource::KernelLog && page_fault {
        return without_map(evidence, None);
    }
    if let Some(corrupt) = signals::in_allocator(evidence) {
        return Some(corrupt);
    }
    // AddressSanitizer infers the same from the missing address.
    let high = || crash.message.as_deref().is_some_and(|said| said.contains("high value address"));
    let silent = high()
        || said("general protection")
        || said("stack segment")
        || crash.code == Some(SI_KERNEL);
    if silent && !high() && is_valid(evidence) {
        return Some(Conclusion::new(
            Cause::IllegalInstruction,
            Confidence::Guess,
            "The instruction uses no address that is not canonical: the processor refused the \
             instruction itself or a value that it uses, or the kernel could not use memory of the \
             thread, such as the stack of a signal handler.",
            "a general protection fault has no address, and the instruction and its registers are \
             known",
        ));
    }
    // Another instruction asks for no alignment.
    let is_other = instruction.is_some_and(|found| found.alignment.is_none());
    silent.then(|| {
        Conclusion::new(
            Cause::NonCanonical,
            Confidence::Guess,
            if is_other {
                "Most likely the address was not canonical, so it was no address at all: the \
                 pointer was overwritten or never set. The registers would show it."
            } else {
                "The address was not canonical, so no address at all, because the pointer was \
                 overwritten or never set; or it was not aligned as the instruction asks; or only \
                 the kernel may execute that instruction. The registers and the instruction would \
                 show it."
            },
            if high() {
                "AddressSanitizer says so of every fault without an address"
            } else {
                "a general protection fault has no address"
            },
        )
    })
}

/// Whether all addresses are known that the instruction uses, and so the processor refused none of
/// them.
fn is_valid(evidence: &Evidence<'_>) -> bool {
    let Some(instruction) = &evidence.fault.instruction else { return false };
    let goes_on = matches!(instruction.kind, InstructionKind::Other | InstructionKind::SystemCall);
    goes_on && instruction.operands.iter().all(|operand| operand.address.is_some())
}

/// The conclusion from a recording of the address.
fn changed(evidence: &Evidence<'_>) -> Option<Conclusion> {
    let change = evidence.change.as_ref()?;
    let was = if change.was.is_empty() { "memory" } else { &change.was };
    let because = "the recording has the event";
    let (used, how) = match change.kind {
        ChangeKind::Unmapped => ("was unmapped", "was unmapped".to_owned()),
        ChangeKind::Moved(to) => ("had moved", format!("was moved to {to:#x}")),
        ChangeKind::Replaced => ("was replaced", "was replaced".to_owned()),
        ChangeKind::Protected(perms) => {
            return Some(Conclusion::new(
                Cause::ProtectionChanged,
                Confidence::Certain,
                format!(
                    "Its permissions had been taken: it was {perms} until they were changed by {}.",
                    change.by
                ),
                because,
            ));
        }
    };
    let by = &change.by;
    Some(if meant_what_was_there(evidence) {
        Conclusion::new(
            Cause::UseAfterUnmap,
            Confidence::Certain,
            format!("It was used after it {used}: {was} was there, until it {how} by {by}."),
            because,
        )
    } else {
        Conclusion::new(
            Cause::UseAfterUnmap,
            Confidence::Likely,
            format!(
                "Most likely it was used after it {used}: {was} was there, until it {how} by {by}. \
                 Otherwise an access went beyond other memory, to where this was."
            ),
            "the recording has the event, and no register points to what was there",
        )
    })
}

/// Whether the pointer was one to the memory that a change took away, and not one that may have
/// passed the end of the mapping below.
fn meant_what_was_there(evidence: &Evidence<'_>) -> bool {
    /// Bytes behind a mapping that an overrun reaches first.
    const NEAR: u64 = 4096;
    let range = evidence.change.as_ref().and_then(|change| change.range);
    let (Some(range), Some(address)) = (range, evidence.fault.address) else { return false };
    let held = evidence.fault.pointer().and_then(|pointer| pointer.value);
    let below = range.start.checked_sub(1).is_some_and(|end| {
        let row = evidence.maps.find(end).mapping.and_then(|row| evidence.maps.get(row));
        row.is_some_and(|row| !row.perms.none())
    });
    let at_start = held == Some(range.start) && address > range.start;
    let passed = below && !at_start && address.saturating_sub(range.start) < NEAR;
    held.is_some_and(|held| range.contains(held)) && !passed
}

/// A fault whose source has no maps.
fn without_map(evidence: &Evidence<'_>, address: Option<u64>) -> Option<Conclusion> {
    let crash = evidence.crash;
    crash.signal?;
    let likely = Confidence::Likely;
    let forbidden = crash.present == Some(true) || crash.code == Some(SEGV_ACCERR);
    let there = match crash.code {
        Some(SEGV_ACCERR) if crash.signal == Some(SIGSEGV) => "si_code is SEGV_ACCERR",
        _ => "the kernel reports that a mapping there forbids it",
    };
    if crash.signal == Some(SIGSEGV) && crash.code == Some(SEGV_MAPERR) {
        return Some(Conclusion::new(
            Cause::Unmapped,
            likely,
            "Nothing is mapped there: the pointer was overwritten or never set, an index or a size \
             was wrong, or the memory that it pointed to was unmapped.",
            "si_code is SEGV_MAPERR, and the address looks like no other data",
        ));
    }
    match (forbidden, evidence.fault.access) {
        (true, Some(Access::Execute)) => Some(Conclusion::new(
            Cause::ExecuteNonExecutable,
            Confidence::Certain,
            "The mapping there may not be executed: a function pointer or return address was \
             overwritten, or code was put there without PROT_EXEC, or the system refused it \
             (SELinux, noexec).",
            there,
        )),
        (true, Some(Access::Write)) => Some(Conclusion::new(
            Cause::WriteToReadOnly,
            Confidence::Certain,
            "The mapping there may not be written.",
            there,
        )),
        (true, None) => Some(Conclusion::new(
            Cause::WriteToReadOnly,
            Confidence::Guess,
            "The permissions of the mapping there forbid the access: it was a write to read-only \
             memory, an execution of data, or any access to reserved memory (PROT_NONE).",
            there,
        )),
        (true, Some(Access::Read)) => Some(Conclusion::new(
            Cause::ReadForbidden,
            likely,
            "The mapping there may not be read.",
            there,
        )),
        (false, _) => Some(Conclusion::new(
            Cause::Unmapped,
            Confidence::Guess,
            format!(
                "There is no page {}: nothing is mapped there, or the mapping may not be \
                 accessed and never was.",
                address.map_or("where it was".to_owned(), |address| format!("at {address:#x}"))
            ),
            "the source does not say that a page is there; without a map no more is known",
        )),
    }
}
