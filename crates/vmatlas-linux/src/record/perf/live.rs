//! The known mappings, used to detect that a call has returned before another one that got its
//! addresses.

use std::collections::{BTreeMap, HashMap};
use vmatlas_maps::uapi::mman::{MAP_FIXED, MREMAP_DONTUNMAP, MREMAP_FIXED};
use vmatlas_recording::CallKind;

/// More ranges than any address space has (`vm.max_map_count` is 65,530 by default).
const MAX_RANGES: usize = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Live {
    spaces: HashMap<u32, Space>,
}

#[derive(Clone, Debug, Default)]
struct Space {
    /// End by start.
    ranges: BTreeMap<u64, u64>,
    /// Earlier events are already included.
    since: u64,
}

impl Live {
    pub(super) fn seed(&mut self, space: u32, since: u64, ranges: Vec<(u64, u64)>) {
        self.spaces.insert(space, Space { ranges: ranges.into_iter().collect(), since });
    }

    pub(super) fn copy(&mut self, from: u32, to: u32) {
        if from != to
            && let Some(space) = self.spaces.get(&from)
        {
            let space = space.clone();
            self.spaces.insert(to, space);
        }
    }

    pub(super) fn forget(&mut self, space: u32) {
        self.spaces.remove(&space);
    }

    /// Whether any part of a range is mapped at a time.
    pub(super) fn overlaps(&self, space: u32, time: u64, start: u64, end: u64) -> bool {
        let Some(space) = self.spaces.get(&space).filter(|space| time > space.since) else {
            return false;
        };
        space.ranges.range(..end).next_back().is_some_and(|(_, live_end)| *live_end > start)
    }

    /// Applies a call.
    pub(super) fn apply(
        &mut self,
        space: u32,
        time: u64,
        kind: CallKind,
        args: &[u64; 6],
        result: i64,
    ) {
        let space = self.spaces.entry(space).or_default();
        if time <= space.since {
            return;
        }
        if let Some((start, end)) = freed(kind, args, result) {
            space.remove(start, end);
        }
        if let Some((start, end)) = made(kind, args, result) {
            space.remove(start, end);
            if space.ranges.len() < MAX_RANGES {
                space.ranges.insert(start, end);
            }
        }
    }
}

impl Space {
    fn remove(&mut self, start: u64, end: u64) {
        while let Some((&first, &last)) = self.ranges.range(..end).next_back() {
            if last <= start {
                break;
            }
            self.ranges.remove(&first);
            if last > end {
                self.ranges.insert(end, last);
            }
            if first < start {
                self.ranges.insert(first, start);
                break;
            }
        }
    }
}

/// A range of whole pages.
fn pages(start: u64, len: u64) -> Option<(u64, u64)> {
    let end = start.checked_add(len)?.checked_add(4095)? & !4095;
    (start < end).then_some((start, end))
}

/// The range that a call mapped.
fn made(kind: CallKind, args: &[u64; 6], result: i64) -> Option<(u64, u64)> {
    let address = u64::try_from(result).ok()?;
    match kind {
        CallKind::Mmap => pages(address, args[1]),
        CallKind::Mremap => pages(address, args[2]),
        _ => None,
    }
}

/// The range that a call mapped at an address chosen by the kernel, where nothing was mapped.
pub(super) fn chosen(kind: CallKind, args: &[u64; 6], result: i64) -> Option<(u64, u64)> {
    let fixed = match kind {
        CallKind::Mmap => args[3] & MAP_FIXED != 0,
        CallKind::Mremap => args[3] & MREMAP_FIXED != 0 || u64::try_from(result) == Ok(args[0]),
        _ => true,
    };
    if fixed { None } else { made(kind, args, result) }
}

/// The range that a call freed.
pub(super) fn freed(kind: CallKind, args: &[u64; 6], result: i64) -> Option<(u64, u64)> {
    let [start, old_len, new_len, flags, ..] = *args;
    let result = u64::try_from(result).ok()?;
    match kind {
        CallKind::Munmap => pages(start, old_len),
        CallKind::Mremap if result == start => {
            let (_, kept) = pages(start, new_len)?;
            let (_, end) = pages(start, old_len)?;
            (kept < end).then_some((kept, end))
        }
        CallKind::Mremap if flags & MREMAP_DONTUNMAP == 0 => pages(start, old_len),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_and_taken() {
        let mut live = Live::default();
        let mmap = [0, 0x5000, 0, 0x22, 0, 0];
        live.apply(1, 5, CallKind::Mmap, &mmap, 0x10000);
        assert!(live.overlaps(1, 6, 0x14000, 0x20000));
        assert!(!live.overlaps(1, 6, 0x15000, 0x20000));
        live.apply(1, 7, CallKind::Munmap, &[0x11000, 0x1001, 0, 0, 0, 0], 0);
        assert!(!live.overlaps(1, 8, 0x11000, 0x13000));
        assert!(live.overlaps(1, 8, 0x10000, 0x11000) && live.overlaps(1, 8, 0x13000, 0x14000));
        live.apply(1, 9, CallKind::Mremap, &[0x13000, 0x2000, 0x3000, 1, 0, 0], 0x80000);
        assert!(!live.overlaps(1, 10, 0x13000, 0x15000) && live.overlaps(1, 10, 0x82000, 0x83000));
        live.copy(1, 2);
        live.forget(1);
        assert!(!live.overlaps(1, 10, 0, u64::MAX) && live.overlaps(2, 10, 0, u64::MAX));
    }

    #[test]
    fn failures_and_fixed_places_choose_nothing() {
        assert_eq!(chosen(CallKind::Mmap, &[0, 4096, 0, 0x32, 0, 0], 0x1000), None);
        assert_eq!(chosen(CallKind::Mmap, &[0, 4096, 0, 0x22, 0, 0], -12), None);
        assert_eq!(chosen(CallKind::Mmap, &[0, 1, 0, 0x22, 0, 0], 0x1000), Some((0x1000, 0x2000)));
        assert_eq!(freed(CallKind::Munmap, &[0x1000, u64::MAX, 0, 0, 0, 0], 0), None);
    }
}
