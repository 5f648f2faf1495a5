//! Rules about memory that may be executed and comes from no file, and about memory that may be both
//! written and executed: `wx`, `wx-file`, `wx-shared`, `anon-x`, `anon-x-island`, `exec-heap`.

use super::honest::{self, Cause};
use super::{AuditInput, Finding, Severity, files, rules, stacks, text};
use crate::label::Confidence;
use vmatlas_maps::{AddressRange, Kind, Mapping};

/// The largest island.
const ISLAND: u64 = 64 << 10;
/// The distance of an island from other code of a runtime.
const FAR: u64 = 64 << 20;

/// Whether a row is memory of the program that comes from no file. The kernel's own objects are
/// none: the vdso, vsyscalls, uprobes, and others that it names in brackets. A program cannot choose
/// those names.
pub(super) fn is_without_file(row: &Mapping<'_>) -> bool {
    let is_memory = matches!(
        row.kind(),
        Kind::Anonymous
            | Kind::NamedAnonymous { .. }
            | Kind::NamedSharedAnonymous { .. }
            | Kind::SharedAnonymous
            | Kind::HugeAnonymous
            | Kind::SysvShm { .. }
            | Kind::Heap
    );
    (is_memory || row.name == b"/dev/zero") && !row.is_gate()
}

pub(super) fn find(input: &AuditInput<'_>, found: &mut Vec<Finding>) {
    for (index, row) in input.rows().filter(|(_, row)| row.perms.execute()) {
        let finding = if row.kind() == Kind::Heap {
            Some(heap(input, &row))
        } else if row.perms.write() && row.perms.shared() {
            Some(shared(&row))
        } else if is_without_file(&row) && !is_stack(input, &row) {
            Some(island(input, &row).unwrap_or_else(|| memory(input, &row)))
        } else if row.perms.write() && row.has_file() {
            Some(file(input, index, &row))
        } else {
            None
        };
        found.extend(finding.map(|finding| finding.at(row.range)));
    }
}

/// Whether another rule is about the row.
fn is_stack(input: &AuditInput<'_>, row: &Mapping<'_>) -> bool {
    let is_of_thread =
        input.labels.most_of(row.range).is_some_and(|label| label.group == "thread stack");
    is_of_thread || stacks::is_main_stack(input, row)
}

fn explained(finding: Finding, cause: Option<Cause>) -> Finding {
    match cause {
        Some(cause) => finding.explained(cause.severity, cause.text),
        None => finding,
    }
}

/// What a row is, for evidence: its size and name.
fn described(row: &Mapping<'_>) -> String {
    let size = size(row.range.size());
    match row.name {
        b"" => format!("{size} of anonymous memory"),
        name => format!("{size} of {}", text(name)),
    }
}

/// A number of bytes for evidence.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..0x400 => format!("{bytes} bytes"),
        0x400..0x10_0000 => format!("{} KiB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

/// A subject without sizes and addresses, which change between runs.
fn subject(input: &AuditInput<'_>, row: &Mapping<'_>) -> Vec<u8> {
    match (row.name, input.labels.most_of(row.range)) {
        (_, Some(label)) => label.group.as_bytes().to_vec(),
        (_, None) => row.kind().word().as_bytes().to_vec(),
    }
}

fn heap(input: &AuditInput<'_>, row: &Mapping<'_>) -> Finding {
    let evidence = format!("the heap is {}", row.perms);
    let finding = Finding::new(&rules::EXEC_HEAP, Confidence::Certain, "heap", evidence);
    explained(finding, honest::by_persona(input))
}

fn shared(row: &Mapping<'_>) -> Finding {
    let subject = match files::is_memfd(row) || !row.has_file() {
        true => row.kind().word().as_bytes(),
        false => row.name,
    };
    let evidence = format!("{}, shared, is {}", described(row), row.perms);
    Finding::new(&rules::WX_SHARED, Confidence::Certain, subject, evidence)
}

fn file(input: &AuditInput<'_>, index: usize, row: &Mapping<'_>) -> Finding {
    let evidence = format!("{} is {}", described(row), row.perms);
    let subject = if files::is_memfd(row) { b"memfd" } else { row.name };
    let finding = Finding::new(&rules::WX_FILE, Confidence::Certain, subject, evidence);
    let elf = input.file(index).and_then(|file| file.code.elf.as_ref());
    if elf.is_some_and(|elf| elf.relocates_text) {
        let why = "the file has text relocations (DT_TEXTREL), for which its code is made writable";
        return finding.explained(Severity::Medium, why);
    }
    explained(finding, honest::by_persona(input))
}

fn memory(input: &AuditInput<'_>, row: &Mapping<'_>) -> Finding {
    let rule = if row.perms.write() { &rules::WX } else { &rules::ANON_X };
    let evidence = format!("{} is {}", described(row), row.perms);
    let finding = Finding::new(rule, Confidence::Certain, subject(input, row), evidence);
    explained(finding, honest::of_code(input, row))
}

/// A small island in which code runs, far from that of runtimes.
fn island(input: &AuditInput<'_>, row: &Mapping<'_>) -> Option<Finding> {
    if row.range.size() > ISLAND || honest::is_known_code(input, row) {
        return None;
    }
    let near =
        AddressRange::new(row.range.start.saturating_sub(FAR), row.range.end.saturating_add(FAR));
    let is_runtime = |other: &Mapping<'_>| {
        other.perms.execute() && other.range.overlaps(&near) && honest::is_known_code(input, other)
    };
    let threads = || input.facts.threads.iter();
    let runs = threads().find(|thread| {
        thread.instruction_pointer.is_some_and(|address| row.range.contains(address))
    });
    let returns = input.audit.return_addresses.iter().find(|at| row.range.contains(**at));
    let evidence = match (runs, returns) {
        (Some(thread), _) => format!("thread {} executes in {}", thread.tid, described(row)),
        (None, Some(_)) => format!("a stack has a return address in {}", described(row)),
        (None, None) => return None,
    };
    if input.rows().any(|(_, other)| is_runtime(&other)) {
        return None;
    }
    let confidence = if runs.is_some() { Confidence::Certain } else { Confidence::Likely };
    let kind = row.kind().word();
    let finding = Finding::new(&rules::ANON_X_ISLAND, confidence, kind, evidence);
    Some(explained(
        finding,
        honest::of_code(input, row).map(|cause| Cause {
            // A runtime elsewhere in the process does not make this its code.
            severity: if cause.severity == Severity::Info {
                Severity::Info
            } else {
                Severity::Medium
            },
            ..cause
        }),
    ))
}
