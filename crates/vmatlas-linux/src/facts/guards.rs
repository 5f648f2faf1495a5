//! Finds lightweight guard pages, which maps does not show.

use crate::process::Process;
#[cfg(target_pointer_width = "64")]
use std::time::{Duration, Instant};
use vmatlas_explain::label::Facts;
use vmatlas_maps::{AddressRange, KernelVersion, Kind, Mapping, Maps};

/// Maximum distance in bytes of a relevant guard from a stack pointer: a stack usually has 8 MiB.
const NEAR: u64 = 64 << 20;
/// This much memory is scanned in less than 40 ms, even if every page is resident.
const CHEAP: u64 = 4 << 30;

/// Maximum number of ranges of guard pages: 16 MiB of them. Programs have some for each thread, but
/// a process can make one for every 16 bytes of its page tables.
#[cfg(target_pointer_width = "64")]
const MAX_GUARDS: usize = 1 << 20;
/// The time after which no further guard pages are looked for.
#[cfg(target_pointer_width = "64")]
const TIME: Duration = Duration::from_secs(1);

/// The guard pages in rows whose VmFlags show some, if smaps was read; otherwise in all anonymous
/// memory (`deep`) or around the stack pointers.
pub(super) fn of(process: &Process, maps: &Maps, facts: &Facts, deep: bool) -> Vec<AddressRange> {
    // PAGEMAP_SCAN reports guard pages since this version.
    if facts.kernel.is_none_or(|kernel| kernel < KernelVersion::new(6, 15, 0)) {
        return Vec::new();
    }
    let flagged: Vec<AddressRange> = maps
        .iter()
        .enumerate()
        .filter(|(index, row)| has_guards(maps, *index) && is_memory(row))
        .map(|(_, row)| row.range)
        .collect();
    let wanted = if !flagged.is_empty() {
        flagged
    } else if deep {
        maps.iter().filter(is_memory).map(|row| row.range).collect()
    } else {
        // Kernels before 6.18 do not flag them.
        around_stacks(process, maps, facts)
    };
    scan(process, &wanted)
}

/// Whether an address lies in a guard page now.
pub fn is_guarded(process: &Process, address: u64) -> bool {
    let page = crate::page_size() as u64;
    let start = address - address % page;
    let end = start.saturating_add(page);
    !scan(process, &[AddressRange::new(start, end)]).is_empty()
}

fn is_memory(row: &Mapping<'_>) -> bool {
    matches!(row.kind(), Kind::Anonymous | Kind::NamedAnonymous { .. }) && !row.perms.none()
}

/// Whether VmFlags of a row has `gu` (seen on Linux 6.18): guard pages are installed there.
pub fn has_guards(maps: &Maps, index: usize) -> bool {
    maps.vm_flags(index).is_some_and(|flags| flags.has("gu"))
}

/// The ranges around the stack pointers in their rows, sorted, without overlaps.
fn around_stacks(process: &Process, maps: &Maps, facts: &Facts) -> Vec<AddressRange> {
    let page = facts.page_size.max(1);
    let pointers = facts.threads.iter().filter_map(|thread| thread.stack_pointer);
    let mut near: Vec<AddressRange> = pointers
        .filter_map(|pointer| {
            let row = maps.get(maps.find(pointer).mapping?)?;
            let at = pointer - pointer % page;
            let range = AddressRange::new(
                row.range.start.max(at.saturating_sub(NEAR)),
                row.range.end.min(at.saturating_add(NEAR)),
            );
            is_memory(&row).then_some(range)
        })
        .collect();
    near.sort_unstable();
    let mut joined: Vec<AddressRange> = Vec::new();
    for range in near {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => *last = last.with_end(last.end.max(range.end)),
            _ => joined.push(range),
        }
    }
    // Only resident pages cost time.
    let resident = process.resident_pages().map_or(u64::MAX, |pages| pages.saturating_mul(page));
    let mut left = if resident <= CHEAP { u64::MAX } else { CHEAP };
    joined.retain(|range| {
        let taken = range.size() <= left;
        left = left.saturating_sub(range.size());
        taken
    });
    joined
}

#[cfg(target_pointer_width = "64")]
fn scan(process: &Process, ranges: &[AddressRange]) -> Vec<AddressRange> {
    if ranges.is_empty() {
        return Vec::new();
    }
    let Ok(pagemap) = process.open_file("pagemap") else { return Vec::new() };
    let mut all = Vec::new();
    let until = Instant::now() + TIME;
    for range in ranges {
        let limit = MAX_GUARDS - all.len();
        if limit == 0 || Instant::now() > until {
            break;
        }
        match crate::sys::pagemap_scan::guards(&pagemap, *range, limit, until) {
            Ok(found) => all.extend(found),
            Err(_) => break,
        }
    }
    all
}

#[cfg(not(target_pointer_width = "64"))]
fn scan(_process: &Process, _ranges: &[AddressRange]) -> Vec<AddressRange> {
    Vec::new()
}
