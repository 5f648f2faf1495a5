//! Stacks of threads and their guards.
//!
//! A stack is found by the stack pointer of its thread and begins above the nearest guard: a row
//! without permissions, or lightweight guard pages in the row itself. The C library's structures,
//! if readable, give exact stacks, also for running threads.

use super::found_stack::{LARGEST_GUARD, Stack};
use super::glibc_threads::{self, Pthread};
use super::words::size;
use super::{
    Confidence, Label, Labeller, STACK_OF_A_THREAD, STACK_OF_THE_BEGIN, ThreadFacts, equal_stacks,
    signal_stacks,
};
use std::collections::{HashMap, HashSet};
use vmatlas_maps::{AddressRange, Kind, Mapping};

/// No thread of the C library has a smaller stack (`PTHREAD_STACK_MIN`), in bytes.
pub(super) const SMALLEST_STACK: u64 = 16 << 10;
/// Upper limit of a stack without other bounds, in bytes.
const LARGEST_STACK: u64 = 1 << 30;

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    let facts = labeller.facts;
    let threads: HashMap<u32, &ThreadFacts> =
        facts.threads.iter().map(|thread| (thread.tid, thread)).collect();
    let mut stacks = Vec::new();
    // These threads have a known stack; another range at their stack pointer may be a coroutine's.
    let mut known = HashSet::new();
    for pthread in glibc_threads::all(labeller) {
        known.extend(pthread.stack.map(|_| pthread.tid));
        stacks.extend(of_pthread(labeller, &pthread, threads.get(&pthread.tid).copied()));
    }
    // A handler may run on one now.
    signal_stacks::recognise(labeller);
    let pointers = facts.threads.iter().filter_map(|thread| thread.stack_pointer);
    let mut pointers: Vec<u64> = pointers.collect();
    pointers.sort_unstable();
    let has_spare = has_spare_stack(labeller, &known, &pointers);
    for thread in facts.threads.iter().filter(|thread| !known.contains(&thread.tid)) {
        stacks.extend(of_thread(labeller, thread, &pointers, has_spare));
    }
    without_pointer(labeller);
    stacks.extend(equal_stacks::find(labeller, &stacks, &known));
    for stack in &stacks {
        guard_of(labeller, stack);
    }
    other_guards(labeller);
}

fn who(thread: &ThreadFacts) -> String {
    // A core contains only the name of the first thread.
    match thread.comm.as_slice() {
        b"" => format!("thread {}", thread.tid),
        comm => format!("thread {} ({})", thread.tid, String::from_utf8_lossy(comm)),
    }
}

/// Labels the stack that a `struct pthread` describes.
fn of_pthread(
    labeller: &mut Labeller<'_>,
    pthread: &Pthread,
    thread: Option<&ThreadFacts>,
) -> Option<Stack> {
    let block = pthread.stack?;
    let stack = AddressRange::new(block.start.saturating_add(pthread.guard), block.end);
    let (name, text) = match thread {
        Some(thread) => {
            let pointer = thread.stack_pointer.filter(|&pointer| stack.contains(pointer));
            (format!("stack of {}", who(thread)), text(thread, stack, pointer))
        }
        // Kept for a new thread, or until a call of pthread_join.
        None if pthread.tid == 0 => {
            // fork(2) leaves the stacks of threads behind that the child does not have.
            let text = format!("unused stack of a thread, {}", size(stack.size()));
            ("unused stack of a thread".to_owned(), text)
        }
        None if pthread.tid == u32::MAX => {
            let text = format!("unused stack of {}, kept for a thread to come", size(stack.size()));
            ("stack of a thread to come".to_owned(), text)
        }
        None => return None,
    };
    let because = format!("the C library's struct pthread at {:#x} says so", pthread.address);
    // A runtime may have made parts of it inaccessible, such as Java's guard zones.
    for row in labeller.rows_in(block) {
        let start = row.range.start.max(block.start);
        let part = AddressRange::new(start, row.range.end.min(block.end));
        if row.perms.none() {
            let text = format!("guard below the {name}");
            let label = Label::new("guard", Confidence::Certain, text, because.as_str());
            labeller.label(part, &label);
        }
    }
    let label = Label::new("thread stack", Confidence::Certain, text, because);
    labeller.label(stack, &label);
    Some(Stack { range: stack, name, confidence: Confidence::Certain })
}

/// Formats `stack of thread 12 (worker), 16 KiB of 8 MiB used`.
fn text(thread: &ThreadFacts, stack: AddressRange, pointer: Option<u64>) -> String {
    let reserved = size(stack.size());
    match pointer {
        Some(pointer) => {
            let used = size(stack.end.saturating_sub(pointer));
            format!("stack of {}, {used} of {reserved} used", who(thread))
        }
        None => format!("stack of {}, {reserved}", who(thread)),
    }
}

/// Whether there is more memory above guards that may be a thread's stack than threads that need
/// one, besides the `known` ones: then a thread may have its own stack there, and run on another,
/// such as a coroutine's.
fn has_spare_stack(labeller: &Labeller<'_>, known: &HashSet<u32>, pointers: &[u64]) -> bool {
    /// The heaps of glibc's arenas begin at multiples of this, with the rest of another below.
    const HEAP_SIZE: u64 = 64 << 20;
    let may_be_stack = |range: &AddressRange| {
        (SMALLEST_STACK..=LARGEST_STACK).contains(&range.size())
            && !range.start.is_multiple_of(HEAP_SIZE)
            && !labeller.is_labelled(*range)
    };
    let is_empty = |range: &AddressRange| {
        pointers.partition_point(|&at| at < range.start)
            == pointers.partition_point(|&at| at < range.end)
    };
    let mut spare: Vec<AddressRange> =
        equal_stacks::above_guards(labeller).into_iter().map(|(_, range)| range).collect();
    spare.retain(|range| may_be_stack(range) && is_empty(range));
    spare.sort_unstable_by_key(|range| range.start);
    spare.dedup();
    // Threads that run have an unknown stack pointer.
    let needs_one = |thread: &&ThreadFacts| {
        thread.stack_pointer.is_none()
            && !known.contains(&thread.tid)
            && !is_of_first(labeller, thread)
    };
    spare.len() > labeller.facts.threads.iter().filter(needs_one).count()
}

/// Labels the stack that contains a thread's stack pointer; `pointers` are those of all threads,
/// sorted, and `has_spare` says whether the thread may have another stack.
fn of_thread(
    labeller: &mut Labeller<'_>,
    thread: &ThreadFacts,
    pointers: &[u64],
    has_spare: bool,
) -> Option<Stack> {
    let pointer = thread.stack_pointer?;
    let row = labeller.row_at(pointer)?;
    if !row.perms.read() || !row.perms.write() || row.inode != 0 {
        return None;
    }
    match row.kind() {
        Kind::Stack => {
            of_first(labeller, thread, pointer, row.range);
            return None;
        }
        Kind::Anonymous | Kind::NamedAnonymous { .. } | Kind::ThreadStack { .. } => {}
        _ => return None,
    }
    if labeller.is_labelled(AddressRange::new(pointer, pointer.saturating_add(1))) {
        return None;
    }
    let Bounds { stack, guard, cut } = Bounds::of(labeller, pointer, row.range)?;
    let inside = pointers.partition_point(|&at| at < stack.end)
        - pointers.partition_point(|&at| at < stack.start);
    if stack.size() > LARGEST_STACK || inside > 1 {
        return None;
    }
    let guarded = match guard {
        Guard::Light => "lightweight guard pages lie below it",
        Guard::Row => "a row without permissions lies below it",
    };
    let cut_at = if cut { ", cut at the default size" } else { "" };
    let because = format!("its stack pointer {pointer:#x} is here, {guarded}{cut_at}");
    let is_own = may_be_own(labeller, thread, stack);
    let who = who(thread);
    // Libraries of coroutines map stacks of any size, with a row as the guard. Those of threads have
    // the usual size.
    let is_usual = || {
        guard == Guard::Light
            || !has_spare && (cut || labeller.facts.stack_limit == Some(stack.size()))
    };
    let (name, text) = match is_own {
        true if thread.thread_pointer.is_some() || is_usual() => {
            (format!("stack of {who}"), text(thread, stack, Some(pointer)))
        }
        true => {
            let (used, all) = (stack.end.saturating_sub(pointer), stack.size());
            let text = format!("stack on which {who} runs, {} of {} used", size(used), size(all));
            (format!("stack on which {who} runs"), text)
        }
        false => (
            format!("stack on which {who} runs"),
            format!("memory on which {who} runs, {}", size(stack.size())),
        ),
    };
    // The kernel merges stacks without guards.
    let is_large = labeller.facts.stack_limit.is_some_and(|limit| stack.size() > limit);
    let confidence = if is_large || !is_own { Confidence::Guess } else { Confidence::Likely };
    let label = Label::new("thread stack", confidence, text, because);
    labeller.label(stack, &label);
    Some(Stack { range: stack, name, confidence })
}

/// Whether the stack that a thread runs on may be the one that it began with. Threads also run on
/// stacks of coroutines, and on alternate stacks while they handle a signal.
fn may_be_own(labeller: &Labeller<'_>, thread: &ThreadFacts, stack: AddressRange) -> bool {
    // The C library puts the thread's control block at the end of the stack.
    let is_here = |block: u64| stack.start <= block && block <= stack.end;
    let is_elsewhere = thread.thread_pointer.is_some_and(|block| !is_here(block));
    !is_of_first(labeller, thread) && !is_elsewhere && stack.size() >= SMALLEST_STACK
}

/// Whether the kernel made the stack of a thread and calls it `[stack]`.
pub(super) fn is_of_first(labeller: &Labeller<'_>, thread: &ThreadFacts) -> bool {
    labeller.facts.pid == Some(thread.tid)
        && labeller.maps.iter().any(|row| row.kind() == Kind::Stack)
}

/// Labels the first stack, which the kernel mapped.
fn of_first(labeller: &mut Labeller<'_>, thread: &ThreadFacts, pointer: u64, row: AddressRange) {
    let used = size(row.end.saturating_sub(pointer));
    let limit = match labeller.facts.stack_limit {
        Some(limit) => format!(", may grow to {}", size(limit)),
        None => String::new(),
    };
    let text = format!("stack of {}, {used} used{limit}", who(thread));
    let because = "the kernel calls it [stack], and the thread's stack pointer is here";
    labeller.label(row, &Label::new("thread stack", Confidence::Certain, text, because));
}

/// Labels the first stack if the stack pointer is unknown or elsewhere.
fn without_pointer(labeller: &mut Labeller<'_>) {
    let facts = labeller.facts;
    let first = facts.threads.iter().find(|thread| Some(thread.tid) == facts.pid);
    let runs_elsewhere = first.is_some_and(|thread| thread.stack_pointer.is_some());
    let rows = labeller.maps.iter().filter(|row| row.kind() == Kind::Stack);
    for range in rows.map(|row| row.range).collect::<Vec<_>>() {
        let (text, because) = if is_of_any_thread(labeller, range) {
            let because = "the kernel calls it so, but it lies above a guard and below a file, as \
                           the stacks of other threads: Linux 3.4 to 4.4 calls that of the thread \
                           so in /proc/PID/task/TID/maps";
            (STACK_OF_A_THREAD, because)
        } else if runs_elsewhere {
            let because = "the kernel calls it so, and the stack pointer of the first thread is \
                           elsewhere: another thread may have forked this process";
            (STACK_OF_THE_BEGIN, because)
        } else {
            ("stack of the first thread", "the kernel calls it so")
        };
        labeller.label(range, &Label::new("thread stack", Confidence::Certain, text, because));
    }
}

/// Whether `[stack]` lies where a thread maps its stack: directly above a guard, and below a file.
/// The kernel puts the first one above all files, and leaves a gap below it.
fn is_of_any_thread(labeller: &Labeller<'_>, stack: AddressRange) -> bool {
    let is_guard = |row: Mapping<'_>| row.perms.none() && row.kind() == Kind::Anonymous;
    let is_above = |row: &Mapping<'_>| row.range.start >= stack.end && row.kind() == Kind::File;
    labeller.row_below(stack.start).is_some_and(is_guard)
        && labeller.maps.iter().any(|row| is_above(&row))
}

/// The kind of guard of a stack.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// A row without permissions.
    Row,
    /// Lightweight guard pages.
    Light,
}

/// The range of a stack in its row.
struct Bounds {
    stack: AddressRange,
    guard: Guard,
    /// Whether the row continues above the stack.
    cut: bool,
}

impl Bounds {
    /// The bounds of the stack; `None` without a guard, because a runtime may have coroutine stacks
    /// anywhere, such as in its heap.
    fn of(labeller: &Labeller<'_>, pointer: u64, row: AddressRange) -> Option<Bounds> {
        let guards = &labeller.facts.guards;
        let above = guards.partition_point(|guard| guard.end <= pointer);
        let next = guards.get(above);
        if next.is_some_and(|guard| guard.contains(pointer)) {
            return None;
        }
        let below = above.checked_sub(1).and_then(|below| guards.get(below));
        let light = below.filter(|guard| guard.end > row.start);
        let plain = || plain_guard(labeller, row.start).map(|guard| (Guard::Row, guard));
        let (guard, _) = light.map(|guard| (Guard::Light, *guard)).or_else(plain)?;
        let start = light.map_or(row.start, |guard| guard.end);
        let end = next.map_or(row.end, |guard| guard.start.min(row.end));
        // Other memory may have merged above: glibc gives every stack the size limit of the first
        // one, and since 2.27 the guard is extra.
        let default = labeller.facts.stack_limit.and_then(|limit| start.checked_add(limit));
        let cut = default.filter(|&default| pointer < default && default < end);
        let stack = AddressRange::new(start, cut.unwrap_or(end));
        Some(Bounds { stack, guard, cut: cut.is_some() })
    }
}

/// The row without permissions that ends at a stack's start, if it may be its guard.
fn plain_guard(labeller: &Labeller<'_>, start: u64) -> Option<AddressRange> {
    let row = labeller.row_below(start)?;
    let is_guard = row.perms.none()
        && matches!(row.kind(), Kind::Anonymous | Kind::NamedAnonymous { .. })
        && row.range.size() <= LARGEST_GUARD
        && !labeller.is_labelled(row.range);
    is_guard.then_some(row.range)
}

/// Labels the guard of a stack.
fn guard_of(labeller: &mut Labeller<'_>, stack: &Stack) {
    let guards = &labeller.facts.guards;
    let at = guards.partition_point(|guard| guard.end < stack.range.start);
    let light = guards.get(at).filter(|guard| guard.end == stack.range.start);
    let (range, confidence, sort) = match light {
        Some(guard) => (*guard, Confidence::Certain, "lightweight guard"),
        None => match plain_guard(labeller, stack.range.start) {
            Some(guard) => (guard, Confidence::Likely, "guard"),
            None => return,
        },
    };
    let confidence = confidence.min(stack.confidence);
    let text = format!("{sort} below the {}", stack.name);
    let because = match light {
        Some(_) => "the kernel says that these are guard pages, and the stack begins above them",
        None => "it may not be accessed, and the stack begins above it",
    };
    labeller.label(range, &Label::new("guard", confidence, text, because));
}

/// Labels the lightweight guard pages without a stack.
fn other_guards(labeller: &mut Labeller<'_>) {
    let label = Label::new(
        "guard",
        Confidence::Certain,
        "lightweight guard pages",
        "the kernel says so (MADV_GUARD_INSTALL)",
    );
    for guard in &labeller.facts.guards {
        labeller.label(*guard, &label);
    }
}
