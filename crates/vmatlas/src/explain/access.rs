//! Accesses that the memory does not permit.

use super::fault::{SI_KERNEL, SIGBUS, SIGSEGV};
use super::instruction::InstructionKind;
use super::{Cause, ChangeKind, Conclusion, Evidence, name, pointer, stack, words};
use crate::crash::Access;
use crate::kind::Kind;
use crate::label::Confidence;
use crate::mapping::{AddressRange, Mapping};

/// The largest guard: larger ones are rather addresses in reserve.
const GUARD: u64 = 1 << 20;
/// How far from a mapping an access still is likely about it.
const NEAR: u64 = 64 << 10;

/// The reason for an access to have failed.
pub(super) fn conclude(evidence: &Evidence<'_>) -> Option<Conclusion> {
    let Some(address) = evidence.fault.address else { return no_address(evidence) };
    let mapped = evidence.maps.find(address).mapping.and_then(|at| evidence.maps.get(at));
    let not_mapped = || mapped.is_none().then_some(address);
    by_code(evidence, address, mapped)
        .or_else(|| misaligned(evidence, address))
        .or_else(|| pointer::null(evidence, address))
        .or_else(|| stack::overflow(evidence, address))
        .or_else(|| relro(evidence, address))
        .or_else(|| changed(evidence))
        .or_else(|| pointer::misread(evidence, not_mapped()?))
        .or_else(|| pointer::impossible(evidence, address))
        .or_else(|| match mapped {
            Some(row) => permissions(evidence, address, &row),
            None if evidence.maps.is_empty() => without_map(evidence, address),
            None => gap(evidence, address),
        })
}

/// What `si_code` says by itself.
fn by_code(
    evidence: &Evidence<'_>,
    address: u64,
    mapped: Option<Mapping<'_>>,
) -> Option<Conclusion> {
    let crash = evidence.crash;
    let certain = |cause, sentence: String, because: &str| {
        Some(Conclusion::new(cause, Confidence::Certain, sentence, because))
    };
    if crash.protection_key == Some(true) {
        return certain(
            Cause::ProtectionKey,
            "A protection key forbids it: the thread's PKRU register denies what the mapping itself \
             would permit (pkeys(7))."
                .to_owned(),
            "the kernel says that a protection key forbids it (SEGV_PKUERR)",
        );
    }
    match (crash.signal?, crash.code?) {
        (SIGSEGV, 4) => certain(
            Cause::ProtectionKey,
            "A protection key forbids it: the thread's rights for the key deny what the mapping \
             itself would permit (pkeys(7))."
                .to_owned(),
            "si_code is SEGV_PKUERR",
        ),
        (SIGSEGV, 8 | 9) => certain(
            Cause::MemoryTag,
            "The tag in the pointer is not that of the memory: it was freed, or the pointer has left \
             its object (MTE)."
                .to_owned(),
            "si_code is SEGV_MTESERR or SEGV_MTEAERR",
        ),
        (SIGSEGV, 10) => certain(
            Cause::ShadowStack,
            "The return address is not the one on the shadow stack: it was overwritten.".to_owned(),
            "si_code is SEGV_CPERR",
        ),
        (SIGBUS, 1) => certain(
            Cause::Misaligned,
            format!("{address:#x} is not aligned as the instruction or the processor's flags ask."),
            "si_code is BUS_ADRALN",
        ),
        (SIGBUS, 4 | 5) => certain(
            Cause::MemoryFailure,
            "The memory itself is broken, says the hardware.".to_owned(),
            "si_code is BUS_MCEERR",
        ),
        (SIGBUS, 2) => Some(no_memory(evidence, address, mapped)),
        _ => None,
    }
}

/// `BUS_ADRERR`: a mapping without memory behind it, mostly beyond the end of its file.
fn no_memory(evidence: &Evidence<'_>, address: u64, mapped: Option<Mapping<'_>>) -> Conclusion {
    let code = "si_code is BUS_ADRERR";
    let Some(row) = mapped else {
        return Conclusion::new(
            Cause::PastFile,
            Confidence::Likely,
            "There is no memory behind the address: a file is mapped there that ends before, most \
             likely, for it was cut after it was mapped.",
            code,
        );
    };
    let offset = address.wrapping_sub(row.range.start).wrapping_add(row.offset);
    let file = match row.kind() {
        Kind::File | Kind::Memfd { .. } | Kind::SharedAnonymous | Kind::SysvShm { .. } => true,
        _ => row.inode != 0 || !row.name.is_empty(),
    };
    if !file || row.kind() == Kind::HugeAnonymous {
        return Conclusion::new(
            Cause::MemoryFailure,
            Confidence::Likely,
            "There is no memory behind the address: no huge page was left, or a userfaultfd says so.",
            format!("{code}, and no file is mapped there"),
        );
    }
    match evidence.place.file_size {
        Some(size) if offset >= size => Conclusion::new(
            Cause::PastFile,
            Confidence::Certain,
            format!(
                "The mapping goes on beyond the end of its file: the access is at offset {offset:#x}, \
                 and {} has {} now. It was cut after it was mapped, or never was as long.",
                name(row.name),
                words::bytes(size)
            ),
            format!("{code}, and the file ends before"),
        ),
        Some(size) => Conclusion::new(
            Cause::MemoryFailure,
            Confidence::Guess,
            format!(
                "The file could not give that page: its file system is full or has failed, or the \
                 file was shorter at that time (now it has {}).",
                words::bytes(size)
            ),
            format!("{code}, though offset {offset:#x} is within the file today"),
        ),
        None => Conclusion::new(
            Cause::PastFile,
            Confidence::Likely,
            format!(
                "The mapping goes on beyond the end of its file, {}: the access is at offset \
                 {offset:#x}. The file was cut after it was mapped, or never was as long.",
                name(row.name)
            ),
            format!("{code} in a mapping of a file, of which the size is not known"),
        ),
    }
}

/// An operand of SSE that is not aligned, for which the processor has a general protection fault.
fn misaligned(evidence: &Evidence<'_>, address: u64) -> Option<Conclusion> {
    let fault = &evidence.fault;
    let alignment = fault.instruction.as_ref()?.alignment?;
    let odd = !address.is_multiple_of(alignment) && fault.derived;
    let canonical = super::fault::is_canonical(evidence.crash.machine, address);
    (odd && canonical).then(|| {
        Conclusion::new(
            Cause::Misaligned,
            Confidence::Certain,
            format!(
                "The address is not aligned: the instruction asks for a multiple of {alignment}, and \
                 {address:#x} is {} more than one.",
                address % alignment
            ),
            "the processor told of no address (SI_KERNEL), and this instruction faults so on \
             addresses that are not aligned",
        )
    })
}

/// A fault of which the kernel does not tell the address, and the registers neither.
fn no_address(evidence: &Evidence<'_>) -> Option<Conclusion> {
    let crash = evidence.crash;
    let instruction = evidence.fault.instruction.as_ref();
    let kind = instruction.map(|found| found.kind);
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
            "The address is not aligned, and the program has asked for alignment to be checked (the \
             flag AC).",
            "the kernel tells of an alignment check",
        ));
    }
    if said("control protection") {
        return Some(Conclusion::new(
            Cause::ShadowStack,
            Confidence::Certain,
            "A return or an indirect branch went where the shadow stack or branch tracking forbids: \
             a return address or function pointer was overwritten.",
            "the kernel tells of control protection",
        ));
    }
    // AddressSanitizer knows the same by the missing address.
    let high = || crash.message.as_deref().is_some_and(|said| said.contains("high value address"));
    let silent = high()
        || said("general protection")
        || said("stack segment")
        || crash.code == Some(SI_KERNEL);
    silent.then(|| {
        Conclusion::new(
            Cause::NonCanonical,
            if instruction.is_some() { Confidence::Guess } else { Confidence::Likely },
            "The address was none at all (not canonical), most likely: the pointer was overwritten \
             or never set. The registers would show it.",
            "a general protection fault has no address, and mostly comes from such pointers",
        )
    })
}

/// A write to what the loader has made read-only.
fn relro(evidence: &Evidence<'_>, address: u64) -> Option<Conclusion> {
    if evidence.fault.access != Some(Access::Write) {
        return None;
    }
    let row = evidence.maps.get(evidence.maps.find(address).mapping?)?;
    if row.perms.write() || !row.perms.read() {
        return None;
    }
    let images = || evidence.facts.images.iter();
    let known = images().find(|image| image.relro.is_some_and(|relro| relro.contains(address)));
    let label = evidence.labels.at(address).filter(|part| part.label.group.contains("RELRO"));
    let section = evidence.place.section.as_deref();
    let relocated = [".data.rel.ro", ".got", ".dynamic", ".init_array", ".fini_array"];
    let section = section.filter(|name| relocated.contains(name));
    let because = match (known, label, section) {
        (Some(image), ..) => {
            format!("the address is in PT_GNU_RELRO of {}", name(&image.name))
        }
        (_, Some(part), _) => part.label.because.clone(),
        (.., Some(section)) => format!("the address is in the section {section}, mapped read-only"),
        _ => return None,
    };
    Some(Conclusion::new(
        Cause::WriteToRelro,
        Confidence::Certain,
        format!(
            "The loader made these data of {} read-only after it had relocated them (RELRO): they \
             are constants that hold addresses, such as tables of functions{}.",
            name(row.name),
            evidence
                .place
                .section
                .as_ref()
                .map(|name| format!("; section {name}"))
                .unwrap_or_default()
        ),
        because,
    ))
}

/// What a recording tells of the address.
fn changed(evidence: &Evidence<'_>) -> Option<Conclusion> {
    let change = evidence.change.as_ref()?;
    let was = if change.was.is_empty() { "memory" } else { &change.was };
    let because = "the recording has the event";
    Some(match change.kind {
        ChangeKind::Unmapped => Conclusion::new(
            Cause::UseAfterUnmap,
            Confidence::Certain,
            format!(
                "It was used after it was unmapped: {was} was there, until it was unmapped by {}.",
                change.by
            ),
            because,
        ),
        ChangeKind::Moved(to) => Conclusion::new(
            Cause::UseAfterUnmap,
            Confidence::Certain,
            format!(
                "It was used after it had moved: {was} was there, until it was moved to {to:#x} by {}.",
                change.by
            ),
            because,
        ),
        ChangeKind::Protected(perms) => Conclusion::new(
            Cause::ProtectionChanged,
            Confidence::Certain,
            format!(
                "Its permissions had been taken: it was {perms} until they were changed by {}.",
                change.by
            ),
            because,
        ),
    })
}

/// An access to a mapping that does not permit it.
fn permissions(evidence: &Evidence<'_>, address: u64, row: &Mapping<'_>) -> Option<Conclusion> {
    let perms = row.perms;
    let access = evidence.fault.access;
    let says = format!("the mapping {} is {perms}", row.range);
    if perms.none() {
        return Some(forbidden(evidence, address, row));
    }
    let certain = Confidence::Certain;
    match access {
        Some(Access::Execute) if !perms.execute() => Some(Conclusion::new(
            Cause::ExecuteNonExecutable,
            certain,
            format!(
                "{} is no code: a function pointer or return address was overwritten, or code was \
                 put there without PROT_EXEC.",
                words::thing(evidence, row, address)
            ),
            says,
        )),
        Some(Access::Write) if !perms.write() => Some(read_only(evidence, address, row, certain)),
        Some(Access::Read) if !perms.read() => Some(Conclusion::new(
            Cause::ReadForbidden,
            certain,
            format!("{} may not be read.", words::thing(evidence, row, address)),
            says,
        )),
        _ if stack::guarded(evidence, row, address) => Some(Conclusion::new(
            Cause::GuardPage,
            Confidence::Likely,
            "It is a lightweight guard page (MADV_GUARD_INSTALL), which no row shows: an access went \
             beyond what is next to it.",
            "the mapping permits the access, and the kernel says that nothing is there",
        )),
        None if evidence.crash.signal.is_none() && !perms.write() => {
            Some(read_only(evidence, address, row, Confidence::Guess))
        }
        _ => None,
    }
}

fn read_only(
    evidence: &Evidence<'_>,
    address: u64,
    row: &Mapping<'_>,
    confidence: Confidence,
) -> Conclusion {
    let section = evidence.place.section.as_deref();
    let what = match section {
        Some(".rodata" | ".rodata1") => " These are constants, such as string literals.",
        Some(".text" | ".plt" | ".init" | ".fini") => " This is code.",
        _ if row.perms.execute() => " This is code.",
        _ => "",
    };
    let place = section.map(|section| format!(", section {section},")).unwrap_or_default();
    Conclusion::new(
        Cause::WriteToReadOnly,
        confidence,
        format!("{}{place} may not be written.{what}", words::thing(evidence, row, address)),
        format!("the mapping {} is {}", row.range, row.perms),
    )
}

/// An access to `PROT_NONE`.
fn forbidden(evidence: &Evidence<'_>, address: u64, row: &Mapping<'_>) -> Conclusion {
    let says = format!("the mapping {} is {}", row.range, row.perms);
    let label = evidence.labels.at(address);
    let group = label.map(|part| part.label.group.to_lowercase()).unwrap_or_default();
    let touches = |other: Option<usize>, end: fn(AddressRange) -> u64, own: u64| {
        let other = other.and_then(|at| evidence.maps.get(at));
        other.is_some_and(|other| other.perms.write() && end(other.range) == own)
    };
    let place = evidence.maps.find(address);
    let below = touches(place.before, |range| range.end, row.range.start);
    let above = touches(place.after, |range| range.start, row.range.end);
    let guard = group.contains("guard");
    if guard || (group.is_empty() && row.range.size() <= GUARD && (below || above)) {
        let text = label.map(|part| format!("It is a {}. ", part.label.text)).unwrap_or_default();
        return Conclusion::new(
            Cause::GuardPage,
            if guard { Confidence::Certain } else { Confidence::Likely },
            format!(
                "{text}An access went beyond the memory beside it: the guard is there to stop that."
            ),
            match label {
                Some(part) => part.label.because.clone(),
                None => format!("{says}, small, and lies beside memory that may be written"),
            },
        );
    }
    Conclusion::new(
        Cause::NoAccess,
        Confidence::Certain,
        format!(
            "{} is reserved, and nothing may be done there (PROT_NONE).",
            words::thing(evidence, row, address)
        ),
        says,
    )
}

/// A fault of which the source has no map.
fn without_map(evidence: &Evidence<'_>, address: u64) -> Option<Conclusion> {
    let crash = evidence.crash;
    crash.signal?;
    let likely = Confidence::Likely;
    let forbidden = crash.present == Some(true) || crash.code == Some(2);
    let there = "the kernel says that something is there which forbids it";
    if crash.signal == Some(SIGSEGV) && crash.code == Some(1) {
        return Some(Conclusion::new(
            Cause::Unmapped,
            likely,
            "Nothing is mapped there: the pointer was overwritten, never set, or what it pointed to \
             was unmapped.",
            "si_code is SEGV_MAPERR, and the address looks like no other data",
        ));
    }
    match (forbidden, evidence.fault.access) {
        (true, Some(Access::Execute)) => Some(Conclusion::new(
            Cause::ExecuteNonExecutable,
            Confidence::Certain,
            "What is mapped there is no code: a function pointer or return address was overwritten, \
             or code was put there without PROT_EXEC.",
            there,
        )),
        (true, Some(Access::Write)) => Some(Conclusion::new(
            Cause::WriteToReadOnly,
            Confidence::Certain,
            "What is mapped there may not be written.",
            there,
        )),
        (true, _) => Some(Conclusion::new(
            Cause::ReadForbidden,
            likely,
            "What is mapped there may not be read.",
            there,
        )),
        (false, _) => Some(Conclusion::new(
            Cause::Unmapped,
            Confidence::Guess,
            format!(
                "There is no page at {address:#x}: nothing is mapped there, or what is mapped may not \
                 be accessed and never was."
            ),
            "the source does not say that a page is there; without a map no more can be told",
        )),
    }
}

/// An access where nothing is mapped.
fn gap(evidence: &Evidence<'_>, address: u64) -> Option<Conclusion> {
    let place = evidence.maps.find(address);
    let row = |at: Option<usize>| at.and_then(|at| evidence.maps.get(at));
    let (before, after) = (row(place.before), row(place.after));
    let registers =
        evidence.fault.operand.iter().flat_map(|operand| [&operand.base, &operand.index]);
    let values: Vec<(&str, u64)> =
        registers.flatten().filter_map(|held| Some((&*held.name, held.value?))).collect();
    let from = |row: &Mapping<'_>| values.iter().find(|(_, value)| row.range.contains(*value));
    let past = |row: &Mapping<'_>, how: &str, distance: u64, beyond: &str| {
        let counted = from(row);
        let confidence = match counted {
            Some(_) => Confidence::Likely,
            None if distance < 4096 => Confidence::Likely,
            None => Confidence::Guess,
        };
        let because = match counted {
            Some((register, value)) => {
                format!("the register {register} is {value:#x}, which lies in {}", row.range)
            }
            None if distance == 0 => format!("the address is the end of {}", row.range),
            None => format!("the address is {} {beyond} {}", words::bytes(distance), row.range),
        };
        Conclusion::new(
            Cause::PastMapping,
            confidence,
            format!("The access went {how} {}.", words::lower_thing(evidence, row)),
            because,
        )
    };
    if let Some(row) = before {
        let distance = address.saturating_sub(row.range.end);
        if from(&row).is_some() || distance < NEAR {
            return Some(past(&row, "beyond the end of", distance, "above the end of"));
        }
    }
    if let Some(row) = after {
        let distance = row.range.start.saturating_sub(address);
        if from(&row).is_some() || distance <= 4096 {
            return Some(past(&row, "before the start of", distance, "below the start of"));
        }
    }
    let near = [(before, true), (after, false)].into_iter().filter_map(|(row, below)| {
        let row = row?;
        let distance = if below { address - row.range.end } else { row.range.start - address };
        Some(distance)
    });
    let nearest = near.min().map(words::bytes).unwrap_or_default();
    Some(Conclusion::new(
        Cause::Unmapped,
        Confidence::Likely,
        "The pointer was overwritten, never set, or what it pointed to was unmapped. A recording \
         (vmatlas record) would tell which.",
        format!("the nearest mapping is {nearest} away, and the address looks like no other data"),
    ))
}
