//! `PAGEMAP_SCAN`, the ioctl on /proc/PID/pagemap since Linux 6.7 (include/uapi/linux/fs.h).

use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl, opcode};
use std::ffi::c_void;
use std::marker::PhantomData;
use std::os::fd::AsFd;
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
#[cfg(target_arch = "x86_64")]
#[cfg(all(feature = "record", target_arch = "x86_64"))]
const PRESENT: u64 = 1 << 3;
/// `PAGE_IS_GUARD` (Linux 6.15).
const GUARD: u64 = 1 << 8;
/// Regions requested at a time.
const REGIONS: usize = 1024;

/// A call, which borrows the regions that the kernel writes.
struct Call<'a> {
    arg: Arg,
    regions: PhantomData<&'a mut [Region]>,
}

// SAFETY: the opcode is that of PAGEMAP_SCAN, whose argument is a `struct pm_scan_arg` that the
// kernel reads and writes; `arg` is one, of the size that its first field says. The only other
// memory written are `vec_len` regions at `vec`, which `regions` keeps borrowed.
unsafe impl Ioctl for Call<'_> {
    /// The number of regions written, and the end of the walk.
    type Output = (usize, u64);
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        opcode::read_write::<Arg>(b'f', 16)
    }

    fn as_ptr(&mut self) -> *mut c_void {
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
/// invalid range; `ESRCH` the address space is gone.
#[cfg(target_arch = "x86_64")]
#[cfg(all(feature = "record", target_arch = "x86_64"))]
pub(crate) fn present(pagemap: impl AsFd, end: u64) -> Result<Vec<AddressRange>, Errno> {
    scan(pagemap, AddressRange::new(0, end), PRESENT)
}

/// The lightweight guard pages in a page-aligned range (`MADV_GUARD_INSTALL`, see madvise(2)).
///
/// # Errors
/// `ENOTTY`, or `EINVAL` if the kernel is older than 6.15; `EFAULT` and `ESRCH` as for [`present`].
pub(crate) fn guards(pagemap: impl AsFd, range: AddressRange) -> Result<Vec<AddressRange>, Errno> {
    scan(pagemap, range, GUARD)
}

/// The pages of a range in a category.
fn scan(
    pagemap: impl AsFd,
    range: AddressRange,
    category: u64,
) -> Result<Vec<AddressRange>, Errno> {
    let mut all: Vec<AddressRange> = Vec::new();
    let mut regions = vec![Region::default(); REGIONS];
    let (mut start, end) = (range.start, range.end);
    while start < end {
        let arg = Arg {
            size: size_of::<Arg>() as u64,
            start,
            end,
            vec: regions.as_mut_ptr() as u64,
            vec_len: REGIONS as u64,
            category_mask: category,
            return_mask: category,
            ..Arg::default()
        };
        // SAFETY: see the implementation of `Ioctl`; no safe wrapper of this call exists. On a file
        // that is no pagemap the call fails or, as any ioctl, has that driver's meaning: callers open
        // `pagemap` in a process's directory.
        let (count, walked) = unsafe { ioctl(&pagemap, Call { arg, regions: PhantomData }) }?;
        for region in &regions[..count.min(REGIONS)] {
            match all.last_mut() {
                Some(last) if last.end == region.start => *last = last.with_end(region.end),
                _ => all.push(AddressRange::new(region.start, region.end)),
            }
        }
        if walked <= start {
            break;
        }
        start = walked;
    }
    Ok(all)
}
