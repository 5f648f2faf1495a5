//! Rules about stacks: `exec-stack`, `guard-missing`, `stack-huge`.

use super::anonymous::size;
use super::{AuditInput, Finding, Severity, honest, rules, text};
use crate::label::Confidence;
use vmatlas_maps::{KernelVersion, Kind, Mapping};

/// The largest useful stack.
const HUGE: u64 = 1 << 30;

pub(super) fn find(input: &AuditInput<'_>, found: &mut Vec<Finding>) {
    executable(input, found);
    guards(input, found);
    huge(input, found);
}

fn is_thread_stack(input: &AuditInput<'_>, row: &Mapping<'_>) -> bool {
    matches!(row.kind(), Kind::ThreadStack { .. })
        || input.labels.most_of(row.range).is_some_and(|label| label.group == "thread stack")
}

/// Whether a row is `[stack]` or a part of it: the kernel names only the row in which the stack began,
/// and leaves a gap below the whole of it.
pub(super) fn is_main_stack(input: &AuditInput<'_>, row: &Mapping<'_>) -> bool {
    /// A program may split its stack into as many rows as it has pages.
    const MAX_PARTS: usize = 64;
    let mut at = *row;
    for _ in 0..MAX_PARTS {
        if at.kind() == Kind::Stack {
            return true;
        }
        let above = input.maps.find(at.range.end).mapping.and_then(|above| input.maps.get(above));
        let is_part = |above: &Mapping<'_>| matches!(above.kind(), Kind::Anonymous | Kind::Stack);
        let Some(above) = above.filter(|_| is_part(&at)).filter(is_part) else { return false };
        at = above;
    }
    false
}

fn executable(input: &AuditInput<'_>, found: &mut Vec<Finding>) {
    let asks: Vec<String> = input
        .audit
        .files
        .iter()
        .filter(|file| file.code.elf.as_ref().is_some_and(|elf| elf.wants_executable_stack))
        .map(|file| text(&file.path))
        .collect();
    let is_executable = |row: &Mapping<'_>| {
        row.perms.execute() && (is_main_stack(input, row) || is_thread_stack(input, row))
    };
    let mut none = true;
    for (_, row) in input.rows().filter(|(_, row)| is_executable(row)) {
        none = false;
        let (what, subject) = match is_main_stack(input, &row) {
            true => ("the stack", "stack"),
            false => ("the stack of a thread", "thread stack"),
        };
        let evidence = format!("{what} is {}", row.perms);
        let finding =
            Finding::new(&rules::EXEC_STACK, Confidence::Certain, subject, evidence).at(row.range);
        let asks = (!asks.is_empty()).then(|| asks.join(", "));
        found.push(match (asks, honest::by_persona(input)) {
            (Some(asks), _) => {
                finding.explained(Severity::Medium, format!("{asks} asks for it (PT_GNU_STACK)"))
            }
            (None, Some(cause)) => finding.explained(cause.severity, cause.text),
            (None, None) => finding,
        });
    }
    if none {
        let finding = |path: String| {
            let evidence = format!("{path} asks for an executable stack (PT_GNU_STACK)");
            Finding::new(&rules::EXEC_STACK, Confidence::Certain, path, evidence).explained(
                Severity::Low,
                "no stack is executable: the loader or the kernel refused it",
            )
        };
        found.extend(asks.into_iter().map(finding));
    }
}

fn guards(input: &AuditInput<'_>, found: &mut Vec<Finding>) {
    // Guard pages without a row exist since the first version, and can be seen since the second.
    let is_blind = input.facts.kernel.is_some_and(|kernel| {
        (KernelVersion::new(6, 13, 0)..KernelVersion::new(6, 15, 0)).contains(&kernel)
    });
    if is_blind {
        return;
    }
    for part in input.labels.iter().filter(|part| part.label.group == "thread stack") {
        let start = part.range.start;
        let row_of = |address| input.maps.find(address).mapping.and_then(|at| input.maps.get(at));
        let is_main = row_of(start).is_some_and(|row| row.kind() == Kind::Stack);
        if is_main || part.label.confidence == Confidence::Guess {
            continue;
        }
        let Some(below) = start.checked_sub(1) else { continue };
        let is_guarded = |address: u64| {
            let at = input.facts.guards.partition_point(|guard| guard.end <= address);
            input.facts.guards.get(at).is_some_and(|guard| guard.contains(address))
        };
        let is_accessible = row_of(below).is_some_and(|row| !row.perms.none());
        let has_label = input.labels.at(below).is_some_and(|part| part.label.group == "guard");
        if !is_accessible || has_label || is_guarded(below) || is_guarded(start) {
            continue;
        }
        let what = input.labels.at(below).map_or("memory", |part| &*part.label.group);
        let evidence =
            format!("{what} that may be accessed lies directly below the {}", part.label.text);
        let confidence = part.label.confidence;
        let finding = Finding::new(&rules::GUARD_MISSING, confidence, "thread stack", evidence);
        found.push(finding.at(part.range));
    }
}

fn huge(input: &AuditInput<'_>, found: &mut Vec<Finding>) {
    let limit = input.audit.stack_limit.filter(|limit| *limit > HUGE);
    let row = input.rows().find(|(_, row)| row.kind() == Kind::Stack && row.range.size() > HUGE);
    let evidence = match (row, limit) {
        (Some((_, row)), _) => format!("the stack has {}", size(row.range.size())),
        (None, Some(u64::MAX)) => "RLIMIT_STACK is unlimited".to_owned(),
        (None, Some(limit)) => format!("RLIMIT_STACK is {}", size(limit)),
        (None, None) => return,
    };
    let finding = Finding::new(&rules::STACK_HUGE, Confidence::Certain, "stack", evidence);
    found.push(match row {
        Some((_, row)) => finding.at(row.range),
        None => finding,
    });
}
