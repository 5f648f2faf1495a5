//! Stacks of threads with an unknown stack pointer, because they run or have ended: memory above a
//! guard with the size of other stacks.

use super::found_stack::{LARGEST_GUARD, Stack};
use super::threads::is_of_first;
use super::words::size;
use super::{Confidence, Label, Labeller, ThreadFacts, is_private_memory};
use std::collections::HashSet;
use vmatlas_maps::Kind;
use vmatlas_maps::{AddressRange, Mapping};

/// Size in bytes of the stacks of ended threads that glibc keeps (`stack_cache_maxsize`).
const CACHE: u64 = 40 << 20;

/// Labels the stacks; `known` are those found by other signs, and `tids` the threads whose stack the
/// C library knows.
pub(super) fn find(
    labeller: &mut Labeller<'_>,
    known: &[Stack],
    tids: &HashSet<u32>,
) -> Vec<Stack> {
    let sizes: HashSet<u64> = known.iter().map(|stack| stack.range.size()).collect();
    // glibc gives every stack the size limit of the first one; before 2.27 that includes the guard.
    let limit = labeller.facts.stack_limit;
    let mut found = Vec::new();
    for (guard, range) in above_guards(labeller) {
        let with_guard = guard.size().saturating_add(range.size());
        let is_default = limit == Some(range.size()) || limit == Some(with_guard);
        if !(is_default || sizes.contains(&range.size()))
            || labeller.is_labelled(AddressRange::new(guard.start, range.end))
        {
            continue;
        }
        found.push((range, is_default));
    }
    // Coroutines have stacks like these, too, as many as the program wants, and a thread may run on
    // one. Threads without a known stack have one each, and glibc keeps some of ended threads.
    let has_stack = |thread: &&ThreadFacts| {
        let at = |pointer: u64| AddressRange::new(pointer, pointer.saturating_add(1));
        is_of_first(labeller, thread)
            || tids.contains(&thread.tid)
            || thread.stack_pointer.is_some_and(|pointer| labeller.is_labelled(at(pointer)))
    };
    let threads = labeller.facts.threads.iter();
    let without = threads.filter(|thread| !has_stack(thread)).count();
    let bytes: u64 = found.iter().map(|(range, _)| range.size()).sum();
    let are_all_default = found.iter().all(|(_, is_default)| *is_default);
    // Without a thread that needs one of them, all may be of coroutines.
    let may_be_kept = are_all_default && without > 0;
    let kept = if may_be_kept { bytes.saturating_sub(CACHE) } else { bytes };
    let largest = found.iter().map(|(range, _)| range.size()).max().unwrap_or(0);
    let are_of_threads = kept <= largest.saturating_mul(without as u64);
    let mut stacks = Vec::new();
    for (range, is_default) in found {
        let name = match are_of_threads {
            true => "stack of a thread that runs or has ended",
            false => "stack of a thread that runs or has ended, or of a coroutine",
        };
        let text = format!("{name}, {}", size(range.size()));
        let because = match is_default {
            true => "it has just the default size of a stack, and a guard below",
            false => "it has just the size of other stacks here, and a guard below",
        };
        let confidence = if are_of_threads { Confidence::Likely } else { Confidence::Guess };
        let label = Label::new("thread stack", confidence, text, because);
        labeller.label(range, &label);
        stacks.push(Stack { range, name: name.to_owned(), confidence });
    }
    stacks
}

/// Guards and the memory above each, up to the next guard or the end of the row.
pub(super) fn above_guards(labeller: &Labeller<'_>) -> Vec<(AddressRange, AddressRange)> {
    let light = &labeller.facts.guards;
    let end_of = |start: u64, row: &Mapping<'_>| {
        let next = light.get(light.partition_point(|guard| guard.start < start));
        next.map_or(row.range.end, |next| next.start.min(row.range.end))
    };
    let mut found = Vec::new();
    let mut below: Option<AddressRange> = None;
    for row in labeller.maps.iter() {
        if is_private_memory(&row)
            && let Some(guard) = below.filter(|guard| guard.end == row.range.start)
        {
            let start = row.range.start;
            found.push((guard, AddressRange::new(start, end_of(start, &row))));
        }
        let is_guard = row.perms.none() && row.kind() == Kind::Anonymous;
        below = Some(row.range).filter(|range| is_guard && range.size() <= LARGEST_GUARD);
    }
    for guard in light {
        if let Some(row) = labeller.row_at(guard.end).filter(is_private_memory) {
            found.push((*guard, AddressRange::new(guard.end, end_of(guard.end, &row))));
        }
    }
    found.retain(|(_, range)| range.size() > 0);
    found
}
