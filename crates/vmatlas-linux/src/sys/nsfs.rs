//! The ioctls of a namespace file, `/proc/PID/ns/*`.
//!
//! # References
//! ioctl_nsfs(2); Linux 6.18 `include/uapi/linux/nsfs.h`, `fs/nsfs.c`.
use rustix::fd::{AsFd, FromRawFd, OwnedFd};
use rustix::ffi::c_void;
use rustix::io::Result;
use rustix::ioctl::{Getter, Ioctl, IoctlOutput, Opcode, ioctl, opcode};

const NS_GET_PARENT: Opcode = opcode::none(0xb7, 2);
/// Declared with `_IO`, although it writes a `uid_t` to its argument.
const NS_GET_OWNER_UID: Opcode = opcode::none(0xb7, 4);

struct Parent;

// SAFETY: the opcode is the kernel's; it takes no argument, writes no memory, and on success returns
// a new file descriptor that nobody else owns.
unsafe impl Ioctl for Parent {
    type Output = OwnedFd;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        NS_GET_PARENT
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(fd: IoctlOutput, _: *mut c_void) -> Result<OwnedFd> {
        // SAFETY: called only after the ioctl succeeded, so `fd` is the new descriptor.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// The parent of a user or pid namespace. EPERM if the parent is neither the caller's namespace nor
/// below it.
pub(crate) fn parent(namespace: impl AsFd) -> Result<OwnedFd> {
    // SAFETY: `Parent` describes the ioctl truly; on a file that is no namespace it fails with ENOTTY.
    unsafe { ioctl(namespace, Parent) }
}

/// The effective user id of a user namespace's creator, as seen in the caller's user namespace.
pub(crate) fn owner_uid(namespace: impl AsFd) -> Result<u32> {
    // SAFETY: the opcode is the kernel's and writes one uid_t, which is a u32 on every architecture.
    unsafe { ioctl(namespace, Getter::<NS_GET_OWNER_UID, u32>::new()) }
}
