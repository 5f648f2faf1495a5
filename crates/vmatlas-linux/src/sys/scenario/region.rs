//! The addresses of a region in this process.

use super::maps::each_row;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::ops::ControlFlow;
use std::ptr::without_provenance_mut;
use vmatlas_maps::{Mapping, RowError};
use vmatlas_space::scenario::Region;

/// Pages of a region, of the free area around a plain one, and of the stack's region.
const PAGES: u64 = 1 << 20;
const MARGIN: u64 = 1 << 14;
/// Free pages below the break, so that no scenario reaches this process's own heap.
const HOLE: u64 = 256;
const STACK_PAGE: u64 = 1024;
const STACK_END: u64 = 1040;
/// Candidate addresses of a plain region: aligned to huge pages, also in short address spaces.
const CANDIDATES: [u64; 5] =
    [0x1000_0000_0000, 0x2000_0000_0000, 0x20_0000_0000, 0x30_0000_0000, 0x8_0000_0000];

/// The addresses of the shown rows; pages are counted from the first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) base: u64,
    pub(crate) end: u64,
    pub(crate) page_size: u64,
}

/// A free range for a plain region in this process, with free pages around it.
pub(crate) fn plain(page_size: u64) -> Option<Place> {
    let (size, margin) = (PAGES * page_size, MARGIN * page_size);
    let free = |base: &u64| {
        let at = without_provenance_mut((base - margin) as usize);
        let size = (size + 2 * margin) as usize;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: without MAP_FIXED the kernel replaces no mapping; the new one is unmapped at
        // once, before anything uses it.
        unsafe {
            let got = mmap_anonymous(at, size, ProtFlags::empty(), flags);
            got.is_ok_and(|got| munmap(got, size).is_ok() && got == at)
        }
    };
    let base = CANDIDATES.into_iter().find(free)?;
    Some(Place { base, end: base + size, page_size })
}

/// Prepares the region and returns its place. Allocates nothing; for a heap region, nothing may
/// allocate from the break afterwards.
pub(crate) fn prepare(region: Region, plain: Place, buffer: &mut [u8]) -> Option<Place> {
    match region {
        Region::Plain => Some(plain),
        Region::Heap => heap(plain.page_size, buffer),
        Region::Stack => stack(plain.page_size, buffer),
    }
}

fn heap(page_size: u64, buffer: &mut [u8]) -> Option<Place> {
    let first = brk(0).next_multiple_of(page_size);
    let base = first + HOLE * page_size;
    if brk(base) != base {
        return None;
    }
    // SAFETY: pages that the line above has just made, which nobody knows of.
    unsafe { munmap(without_provenance_mut(first as usize), (base - first) as usize) }.ok()?;
    let mut end = base + PAGES * page_size;
    let next = |row: Result<Mapping<'_>, RowError>, _: &[u8]| match row {
        Ok(row) if row.range.end > base => {
            end = end.min(row.range.start.max(base));
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    };
    each_row(buffer, next).ok()?;
    Some(Place { base, end, page_size })
}

fn stack(page_size: u64, buffer: &mut [u8]) -> Option<Place> {
    let mut lowest = None;
    let find = |row: Result<Mapping<'_>, RowError>, _: &[u8]| match row {
        Ok(row) if row.name == b"[stack]" => {
            lowest = Some(row.range.start);
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    };
    each_row(buffer, find).ok()?;
    let base = lowest?.checked_sub(STACK_PAGE * page_size)?;
    Some(Place { base, end: base + STACK_END * page_size, page_size })
}

/// Requests a break; returns the current break.
pub(crate) fn brk(address: u64) -> u64 {
    // SAFETY: called by processes of a scenario, which do not allocate: the pages above the
    // first break are the scenario's.
    unsafe { libc::syscall(libc::SYS_brk, address) as u64 }
}
