//! Rules about stacks: `exec-stack`, `guard-missing`, `stack-huge`.

use super::anonymous::size;
use super::{AuditInput, Finding, Severity, honest, rules, text};
use crate::label::{Confidence, ThreadFacts};
use vmatlas_maps::{AddressRange, KernelVersion, Kind, Mapping};

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
    let mut stacks: Vec<(AddressRange, Confidence, String)> = input
        .labels
        .iter()
        .filter(|part| part.label.group == "thread stack")
        .map(|part| (part.range, part.label.confidence, part.label.text.clone()))
        .collect();
    stacks.extend(unlabelled(input));
    for (range, confidence, stack) in stacks {
        let start = range.start;
        let Some(below) = start.checked_sub(1) else { continue };
        let row_below = row_at(input, below);
        let is_main = row_at(input, start).is_some_and(|row| is_main_stack(input, &row));
        if is_main || confidence == Confidence::Guess {
            continue;
        }
        let is_accessible = row_below.is_some_and(|row| !row.perms.none());
        let has_label = input.labels.at(below).is_some_and(|part| part.label.group == "guard");
        if !is_accessible || has_label || has_guard(input, below, start + 1) {
            continue;
        }
        let what = input.labels.at(below).map_or("memory", |part| &*part.label.group);
        let evidence = format!("{what} that may be accessed lies directly below the {stack}");
        let rule = &rules::GUARD_MISSING;
        found.push(Finding::new(rule, confidence, "thread stack", evidence).at(range));
    }
    found.extend(neighbours(input));
}

fn row_at<'a>(input: &AuditInput<'a>, address: u64) -> Option<Mapping<'a>> {
    input.maps.find(address).mapping.and_then(|at| input.maps.get(at))
}

/// Whether a guard page lies between two addresses.
fn has_guard(input: &AuditInput<'_>, low: u64, high: u64) -> bool {
    let at = input.facts.guards.partition_point(|guard| guard.end <= low);
    input.facts.guards.get(at).is_some_and(|guard| guard.start < high)
}

/// The threads that run on memory of which no recogniser knows more, by their stack pointers.
fn on_unknown_memory<'a>(
    input: &'a AuditInput<'_>,
) -> impl Iterator<Item = (&'a ThreadFacts, u64)> + use<'a> {
    input.facts.threads.iter().filter_map(|thread| {
        let pointer = thread.stack_pointer?;
        let label = input.labels.at(pointer).map(|part| &part.label);
        // A block of malloc by its size only.
        let is_unknown = label.is_none_or(|label| label.group == "large blocks");
        let row = row_at(input, pointer).filter(|row| row.kind() == Kind::Anonymous)?;
        (is_unknown && !is_main_stack(input, &row)).then_some((thread, pointer))
    })
}

fn unlabelled(input: &AuditInput<'_>) -> Vec<(AddressRange, Confidence, String)> {
    let stack = |(thread, pointer): (&ThreadFacts, u64)| {
        let text = format!("memory in which thread {} has its stack", thread.tid);
        Some((row_at(input, pointer)?.range, Confidence::Likely, text))
    };
    on_unknown_memory(input).filter_map(stack).collect()
}

/// Two threads whose stacks lie in the same memory without a guard between them.
fn neighbours(input: &AuditInput<'_>) -> Vec<Finding> {
    let mut threads: Vec<(u64, u32)> =
        on_unknown_memory(input).map(|(thread, pointer)| (pointer, thread.tid)).collect();
    threads.sort_unstable();
    let finding = |pair: &[(u64, u32)]| {
        let [(low, first), (high, second)] = *pair else { return None };
        let row = row_at(input, low).filter(|row| row.range.contains(high))?;
        if has_guard(input, low, high) {
            return None;
        }
        let evidence = format!(
            "threads {first} and {second} have their stacks in the same memory, with no guard between"
        );
        let rule = &rules::GUARD_MISSING;
        Some(Finding::new(rule, Confidence::Likely, "thread stack", evidence).at(row.range))
    };
    threads.windows(2).filter_map(finding).collect()
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
