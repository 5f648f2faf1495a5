//! Accesses that the mapping's permissions forbid.

use crate::crash::Access;
use crate::explain::{Cause, Conclusion, Evidence, name, stack, words};
use crate::label::Confidence;
use vmatlas_maps::{AddressRange, Mapping};

/// Largest guard in bytes; larger ranges are rather reservations.
const GUARD: u64 = 1 << 20;

/// A write to memory that the loader made read-only.
pub(super) fn relro(evidence: &Evidence<'_>, address: u64) -> Option<Conclusion> {
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
            "The loader made these data of {} read-only after it had relocated them (RELRO): \
             they are constants that hold addresses, such as tables of functions{}.",
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

/// An access that the mapping's permissions forbid.
pub(super) fn permissions(
    evidence: &Evidence<'_>,
    address: u64,
    row: &Mapping<'_>,
) -> Option<Conclusion> {
    let perms = row.perms;
    let access = evidence.fault.access;
    let says = format!("the mapping {} is {perms}", row.range);
    // Old kernels show no permissions of their code for system calls.
    if perms.none() && row.is_gate() {
        return None;
    }
    if perms.none() {
        return Some(forbidden(evidence, address, row));
    }
    let certain = Confidence::Certain;
    match access {
        Some(Access::Execute) if !perms.execute() => Some(Conclusion::new(
            Cause::ExecuteNonExecutable,
            certain,
            format!(
                "{} is no code: a function pointer or return address was overwritten, or code \
                 was put there without PROT_EXEC.",
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
        _ if stack::guarded(evidence, row, address) => Some(lightweight_guard(evidence, address)),
        None if evidence.crash.signal.is_none() && !perms.write() => {
            Some(read_only(evidence, address, row, Confidence::Guess))
        }
        _ => None,
    }
}

/// An access that the mapping permits and the kernel refuses.
fn lightweight_guard(evidence: &Evidence<'_>, address: u64) -> Conclusion {
    if evidence.facts.guards.iter().any(|guard| guard.contains(address)) {
        return Conclusion::new(
            Cause::GuardPage,
            Confidence::Certain,
            "It is a lightweight guard page (MADV_GUARD_INSTALL), which no row shows: an access \
             goes beyond the memory next to it.",
            "the kernel reports a guard there (PAGEMAP_SCAN)",
        );
    }
    Conclusion::new(
        Cause::GuardPage,
        Confidence::Likely,
        "Most likely it is a lightweight guard page (MADV_GUARD_INSTALL), which no row shows: an \
         access went beyond the memory next to it. Or another thread mapped the memory after the \
         access.",
        "the mapping permits the access, and the kernel says that nothing is there",
    )
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
        Some(".text" | ".plt" | ".plt.got" | ".plt.sec" | ".init" | ".fini") => " This is code.",
        // Constants may share the segment of the code.
        None if row.perms.execute() => " This is code, or constants that lie beside it.",
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
            "{} is reserved, and no access to it is permitted (PROT_NONE).",
            words::thing(evidence, row, address)
        ),
        says,
    )
}
