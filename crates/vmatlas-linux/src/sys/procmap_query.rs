//! `PROCMAP_QUERY`, the ioctl on /proc/PID/maps since Linux 6.11 (include/uapi/linux/fs.h).

use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl, opcode};
use std::ffi::c_void;
use std::os::fd::AsFd;

/// `struct procmap_query`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ProcmapQuery {
    pub(crate) size: u64,
    pub(crate) query_flags: u64,
    pub(crate) query_addr: u64,
    pub(crate) vma_start: u64,
    pub(crate) vma_end: u64,
    pub(crate) vma_flags: u64,
    pub(crate) vma_page_size: u64,
    pub(crate) vma_offset: u64,
    pub(crate) inode: u64,
    pub(crate) dev_major: u32,
    pub(crate) dev_minor: u32,
    pub(crate) vma_name_size: u32,
    build_id_size: u32,
    vma_name_addr: u64,
    build_id_addr: u64,
}

const _: () = assert!(size_of::<ProcmapQuery>() == 104);

/// The covering mapping, or the next above the address.
pub(crate) const COVERING_OR_NEXT_VMA: u64 = 0x10;
pub(crate) const VMA_READABLE: u64 = 1;
pub(crate) const VMA_WRITABLE: u64 = 2;
pub(crate) const VMA_EXECUTABLE: u64 = 4;
pub(crate) const VMA_SHARED: u64 = 8;

/// A call, which borrows the buffer that the kernel writes the name to.
struct Call<'a> {
    query: ProcmapQuery,
    name: &'a mut [u8],
}

// SAFETY: the opcode is that of PROCMAP_QUERY, whose argument is a `struct procmap_query` that
// the kernel reads and writes; `query` is one, of the size that its first field says. The
// only other memory written is that of `name`, to which `as_ptr` points `query` and which is borrowed
// until the call is over; no build id is asked for.
unsafe impl Ioctl for Call<'_> {
    type Output = ProcmapQuery;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        opcode::read_write::<ProcmapQuery>(b'f', 17)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.query.vma_name_size = u32::try_from(self.name.len()).unwrap_or(u32::MAX);
        self.query.vma_name_addr = if self.name.is_empty() {
            0
        } else {
            self.name.as_mut_ptr().expose_provenance() as u64
        };
        (&raw mut self.query).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, query: *mut c_void) -> Result<ProcmapQuery, Errno> {
        // SAFETY: it is the pointer that `as_ptr` gave.
        Ok(unsafe { *query.cast::<ProcmapQuery>() })
    }
}

/// Queries an open maps file for the mapping at `address`. The kernel writes the name to `name`,
/// with a NUL that `vma_name_size` counts; no name is requested if `name` is empty.
///
/// # Errors
/// `ENOENT` no such mapping, `ESRCH` the address space is gone, `ENAMETOOLONG` the name does not
/// fit, `ENOTTY` the kernel is older than 6.11 or the file is not the kernel's maps.
pub(crate) fn procmap_query(
    maps: impl AsFd,
    address: u64,
    query_flags: u64,
    name: &mut [u8],
) -> Result<ProcmapQuery, Errno> {
    let query = ProcmapQuery {
        size: size_of::<ProcmapQuery>() as u64,
        query_flags,
        query_addr: address,
        ..ProcmapQuery::default()
    };
    // SAFETY: see the implementation of `Ioctl`; no safe wrapper of this call exists. On a file
    // that is not the kernel's maps the call fails or, as any ioctl, has that driver's meaning:
    // callers open `maps` in a process's directory.
    unsafe { ioctl(maps, Call { query, name }) }
}
