//! `PAGEMAP_SCAN`, the ioctl on /proc/PID/pagemap since Linux 6.7 (include/uapi/linux/fs.h).

use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl, opcode};
use std::ffi::c_void;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use vmatlas_maps::AddressRange;

/// `struct pm_scan_arg`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Arg {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct page_region`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

const _: () = assert!(size_of::<Arg>() == 96 && size_of::<Region>() == 24);

/// `PAGE_IS_PRESENT`.
const PRESENT: u64 = 1 << 3;
/// `PAGE_IS_FILE`: a page of a file or of shared memory.
const FILE: u64 = 1 << 2;
/// `PAGE_IS_PRESENT` and `PAGE_IS_SWAPPED`.
const EXISTS: u64 = 1 << 3 | 1 << 4;
/// `PAGE_IS_GUARD` (Linux 6.15).
const GUARD: u64 = 1 << 8;
/// Regions requested at a time.
const REGIONS: usize = 1024;
/// Bytes of addresses walked between looks at the clock: some 40 ms, if all of them have page tables.
const STEP: u64 = 4 << 30;
/// Where there are none, as in most of the shadow memory of a sanitizer, a step is so long.
const LONGEST_STEP: u64 = 64 << 30;
/// A step that took less time is followed by one that is twice as long.
const SHORT: Duration = Duration::from_micros(100);
/// Maximum number of ranges of resident pages: 64 MiB of them. A process can have one for every 16
/// bytes of its page tables.
const MAX_PRESENT: usize = 4 << 20;

/// A call, which borrows the regions that the kernel writes.
struct Call<'a> {
    arg: Arg,
    regions: &'a mut [Region],
}

// SAFETY: the opcode is that of PAGEMAP_SCAN, whose argument is a `struct pm_scan_arg` that the
// kernel reads and writes; `arg` is one, of the size that its first field says. The only other
// memory written is that of `regions`, to which `as_ptr` points `arg` and which is borrowed until the
// call is over.
unsafe impl Ioctl for Call<'_> {
    /// The number of regions written, and the end of the walk.
    type Output = (usize, u64);
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        opcode::read_write::<Arg>(b'f', 16)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.arg.vec_len = self.regions.len() as u64;
        self.arg.vec = self.regions.as_mut_ptr().expose_provenance() as u64;
        (&raw mut self.arg).cast()
    }

    unsafe fn output_from_ptr(count: IoctlOutput, arg: *mut c_void) -> Result<(usize, u64), Errno> {
        // SAFETY: it is the pointer that `as_ptr` gave.
        let arg = unsafe { *arg.cast::<Arg>() };
        Ok((usize::try_from(count).unwrap_or(0), arg.walk_end))
    }
}

/// The ranges below `end` with resident pages; file pages count only if the page tables map them.
///
/// # Errors
/// `ENOTTY` the kernel is older than 6.7 or the file is not a pagemap; `EFAULT`, `EINVAL` an
/// invalid range; `ESRCH` the address space is gone; `E2BIG` there are too many.
#[cfg(all(feature = "record", target_arch = "x86_64"))]
pub(crate) fn present(pagemap: impl AsFd, end: u64) -> Result<Vec<AddressRange>, Errno> {
    present_in(pagemap, AddressRange::new(0, end))
}

/// The ranges with resident pages in a page-aligned range.
///
/// # Errors
/// The same as [`present`].
pub(crate) fn present_in(
    pagemap: impl AsFd,
    range: AddressRange,
) -> Result<Vec<AddressRange>, Errno> {
    let found = scan(pagemap, range, PRESENT, MAX_PRESENT, None)?;
    if found.len() < MAX_PRESENT { Ok(found) } else { Err(Errno::TOOBIG) }
}

/// The lightweight guard pages in a page-aligned range (`MADV_GUARD_INSTALL`, see madvise(2)), the
/// lowest `limit` ranges of them, as far as they are found before a time.
///
/// # Errors
/// `ENOTTY`, or `EINVAL` if the kernel is older than 6.15; `EFAULT` an invalid range; `ESRCH` the
/// address space is gone.
pub(crate) fn guards(
    pagemap: impl AsFd,
    range: AddressRange,
    limit: usize,
    until: Instant,
) -> Result<Vec<AddressRange>, Errno> {
    scan(pagemap, range, GUARD, limit, Some(until))
}

/// The pages of a private mapping of a file that are no longer the file's, the lowest `limit` ranges
/// of them.
///
/// # Errors
/// `ENOTTY` the kernel is older than 6.7; `EFAULT` an invalid range; `ESRCH` the address space is
/// gone.
pub(crate) fn own_pages(
    pagemap: impl AsFd,
    range: AddressRange,
    limit: usize,
) -> Result<Vec<AddressRange>, Errno> {
    let wanted = Arg {
        category_inverted: FILE,
        category_mask: FILE,
        category_anyof_mask: EXISTS,
        return_mask: EXISTS,
        ..Arg::default()
    };
    scan_for(pagemap, range, wanted, limit, None)
}

/// The pages of a range in a category: the lowest `limit` ranges.
fn scan(
    pagemap: impl AsFd,
    range: AddressRange,
    category: u64,
    limit: usize,
    until: Option<Instant>,
) -> Result<Vec<AddressRange>, Errno> {
    let wanted = Arg { category_mask: category, return_mask: category, ..Arg::default() };
    scan_for(pagemap, range, wanted, limit, until)
}

/// The pages of a range in the categories of `wanted`: the lowest `limit` ranges.
fn scan_for(
    pagemap: impl AsFd,
    range: AddressRange,
    wanted: Arg,
    limit: usize,
    until: Option<Instant>,
) -> Result<Vec<AddressRange>, Errno> {
    let mut all: Vec<AddressRange> = Vec::new();
    let mut regions = vec![Region::default(); REGIONS];
    let (mut start, end) = (range.start, range.end);
    let mut length = STEP;
    let mut now = Instant::now();
    while start < end && all.len() < limit {
        let step = if until.is_some() { end.min(start.saturating_add(length)) } else { end };
        let arg = Arg { size: size_of::<Arg>() as u64, start, end: step, ..wanted };
        let call = Call { arg, regions: &mut regions };
        // SAFETY: see the implementation of `Ioctl`; no safe wrapper of this call exists. On a file
        // that is no pagemap the call fails or, as any ioctl, has that driver's meaning: callers open
        // `pagemap` in a process's directory.
        let (count, walked) = unsafe { ioctl(&pagemap, call) }?;
        for region in &regions[..count.min(REGIONS)] {
            match all.last_mut() {
                Some(last) if last.end == region.start => *last = last.with_end(region.end),
                _ => all.push(AddressRange::new(region.start, region.end)),
            }
        }
        // The kernel walks in turns of some hundred regions. If the last turn reaches the end, it
        // reports where the turn before has ended (6.18, `do_pagemap_scan`).
        let last = regions[..count.min(REGIONS)].last().map_or(0, |region| region.end);
        let next = if count < REGIONS { step } else { walked.max(last) };
        let began = std::mem::replace(&mut now, Instant::now());
        if next <= start || until.is_some_and(|until| now > until) {
            break;
        }
        length = match now - began < SHORT {
            true => LONGEST_STEP.min(2 * length),
            false => STEP,
        };
        start = next;
    }
    all.truncate(limit);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
    use std::fs::File;

    /// `MADV_GUARD_INSTALL`.
    const GUARD_INSTALL: i32 = 102;

    #[test]
    fn guards_are_bounded_in_number() {
        let (page, count) = (rustix::param::page_size(), 3000);
        let size = 2 * count * page;
        let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: a new mapping, of which nothing is used; guards are installed in it only.
        let start = unsafe {
            let start = mmap_anonymous(std::ptr::null_mut(), size, prot, flags).unwrap();
            for index in 0..count {
                let at = start.byte_add(2 * index * page);
                if libc::madvise(at, page, GUARD_INSTALL) != 0 {
                    return; // before Linux 6.13
                }
            }
            start.expose_provenance() as u64
        };
        let pagemap = File::open("/proc/self/pagemap").unwrap();
        let range = AddressRange::new(start, start + size as u64);
        let until = Instant::now() + Duration::from_secs(60);
        let all = match guards(&pagemap, range, usize::MAX, until) {
            Err(Errno::INVAL | Errno::NOTTY) => return, // before Linux 6.15
            all => all.unwrap(),
        };
        let expected = |index: usize| {
            let at = start + (2 * index * page) as u64;
            AddressRange::new(at, at + page as u64)
        };
        assert!(all.iter().copied().eq((0..count).map(expected)));
        for limit in [0, 1, REGIONS - 1, REGIONS, REGIONS + 1] {
            assert_eq!(guards(&pagemap, range, limit, until).unwrap(), all[..limit]);
        }
        let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        assert_eq!(guards(&pagemap, range, usize::MAX, past).unwrap(), all[..REGIONS]);
    }
}
