//! A process that opens and reads files for us: a file system that never answers blocks it and not
//! us, and it may have the rights of another user.

use super::fork::run_apart;
use rustix::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::io::Result;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::mem::size_of;

/// The longest path of a request, with its NUL (`PATH_MAX`).
pub(crate) const MAX_PATH: usize = 4096;
/// The most bytes that a request reads.
pub(crate) const MAX_READ: usize = 64 << 10;

/// A system call to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Op {
    /// openat(2).
    Open,
    /// openat2(2).
    Open2,
    /// statx(2) of `fd`.
    Stat,
    /// statfs(2) of `fd`: its type.
    FileSystem,
    /// pread(2).
    Read,
    /// process_vm_readv(2) of the task `flags`; pread(2) of its `/proc/TID/mem`, `fd`, if that is
    /// not permitted. Unlike pread(2), the call does not hold the lock of the address space while
    /// it waits for a file system, so that the task can still change its mappings.
    ReadMemory,
    /// Sends the descriptor itself (`SCM_RIGHTS`, unix(7)), for files that cannot block.
    Take,
    /// close(2), which has no reply: it may block too.
    Close,
}

/// The arguments of a system call.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Request {
    pub(crate) op: Op,
    /// A descriptor of the server.
    pub(crate) fd: i32,
    /// `O_*` of an open; the task of [`Op::ReadMemory`].
    pub(crate) flags: u64,
    /// `RESOLVE_*` of openat2(2).
    pub(crate) resolve: u64,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl Request {
    /// The bytes of the request, without its path.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        // SAFETY: the fields fill the structure, so all of its bytes are initialised.
        unsafe { std::slice::from_raw_parts((&raw const self).cast(), size_of::<Request>()) }
            .to_vec()
    }
}

/// The numbers of a reply to [`Op::Stat`].
pub(crate) const STAT_WORDS: usize = 14;

/// The rights of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rights {
    /// Other ids than ours.
    pub(crate) ids: Option<Ids>,
    /// The capabilities that it keeps, as bits; all others are given up.
    pub(crate) capabilities: u64,
}

/// The ids of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

/// The bytes of a request or a reply before the path or the data.
#[repr(C)]
union Message {
    request: Request,
    /// The result of the system call, or the negative error number.
    result: i64,
    bytes: [u8; size_of::<Request>() + MAX_READ],
}

const _: () = assert!(MAX_READ >= MAX_PATH && size_of::<Request>() == 40);

/// Where the path of a request starts.
const PATH: usize = size_of::<Request>();
/// Where the data of a reply starts.
const DATA: usize = size_of::<i64>();

/// Starts a server that has these descriptors open, by the same numbers. It ends when the returned
/// socket is closed; no process waits for it.
///
/// # Errors
/// Those of socketpair(2) and clone(2).
pub(crate) fn start(files: &[BorrowedFd<'_>], rights: Option<&Rights>) -> Result<OwnedFd> {
    let (ours, its) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let mut kept: Vec<i32> = files.iter().map(|fd| fd.as_raw_fd()).collect();
    kept.push(its.as_raw_fd());
    let mut message = Box::new(Message { bytes: [0; size_of::<Message>()] });
    let work = || {
        // SAFETY: system calls on `rights` and `message`, which were allocated before.
        unsafe {
            if rights.is_none_or(|rights| take(rights)) {
                serve(its.as_raw_fd(), &mut message);
            }
        }
    };
    // SAFETY: `work` makes only system calls, see there.
    unsafe { run_apart(&mut kept, work)? };
    Ok(ours)
}

/// `_LINUX_CAPABILITY_VERSION_3` of include/uapi/linux/capability.h.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// Takes these rights; `false` if the kernel refuses. The bare calls, unlike the C library's,
/// concern this process only.
unsafe fn take(rights: &Rights) -> bool {
    if let Some(Ids { uid, gid, groups }) = &rights.ids {
        // SAFETY: `groups` has that many ids.
        let taken = unsafe {
            libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) == 0
                && libc::syscall(libc::SYS_setresgid, *gid, *gid, *gid) == 0
                && libc::syscall(libc::SYS_setresuid, *uid, *uid, *uid) == 0
        };
        if !taken {
            return false;
        }
    }
    let header: [u32; 2] = [CAPABILITY_VERSION, 0];
    let mut sets = [0_u32; 6];
    // SAFETY: the kernel reads and writes two structures of three words.
    unsafe {
        if libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()) != 0 {
            return false;
        }
        let capabilities = [rights.capabilities as u32, (rights.capabilities >> 32) as u32];
        // Effective, permitted, inheritable.
        for (at, set) in sets.iter_mut().enumerate() {
            *set &= if at % 3 == 2 { 0 } else { capabilities[at / 3] };
        }
        libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) == 0
            // That user may not look into this process, which has a copy of our memory.
            && libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) == 0
    }
}

/// Answers requests until the other end is closed.
unsafe fn serve(socket: i32, message: &mut Message) {
    loop {
        let at = (&raw mut *message).cast::<libc::c_void>();
        // SAFETY: `message` has the size given.
        let length = unsafe { libc::recv(socket, at, size_of::<Message>(), 0) };
        if length < PATH as isize {
            return;
        }
        // SAFETY: the parent sends a Request and, if the call takes one, a path with its NUL.
        let (length, fd) = unsafe { answer(message) };
        // SAFETY: as above; `length` is within `message`.
        if length > 0 && unsafe { reply(socket, at, length, fd) } < 0 {
            return;
        }
    }
}

/// Sends bytes, and a descriptor if there is one.
unsafe fn reply(socket: i32, at: *mut libc::c_void, length: usize, fd: Option<i32>) -> isize {
    let mut part = libc::iovec { iov_base: at, iov_len: length };
    // Aligned as the header of a control message is.
    let mut control = [0_u64; 8];
    // SAFETY: a message header is plain data. The kernel reads `part` and `control`, in which
    // CMSG_SPACE(4) bytes, 24 on 64-bit machines, fit.
    unsafe {
        let mut header = std::mem::zeroed::<libc::msghdr>();
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        if let Some(fd) = fd {
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_controllen = libc::CMSG_SPACE(size_of::<i32>() as u32) as _;
            let first = libc::CMSG_FIRSTHDR(&raw const header);
            (*first).cmsg_level = libc::SOL_SOCKET;
            (*first).cmsg_type = libc::SCM_RIGHTS;
            (*first).cmsg_len = libc::CMSG_LEN(size_of::<i32>() as u32) as _;
            libc::CMSG_DATA(first).cast::<i32>().write_unaligned(fd);
        }
        libc::sendmsg(socket, &raw const header, libc::MSG_NOSIGNAL)
    }
}

/// Makes the requested call; returns the size of the reply, and the descriptor to send with it.
unsafe fn answer(message: &mut Message) -> (usize, Option<i32>) {
    // SAFETY: the bytes are those of a request of the parent, the same program.
    let Request { op, fd, flags, resolve, offset, length } = unsafe { message.request };
    // SAFETY: `path` and `data` are within `message`.
    let (path, data) = unsafe {
        let start = (&raw mut message.bytes).cast::<u8>();
        (start.add(PATH).cast::<libc::c_char>(), start.add(DATA).cast::<libc::c_void>())
    };
    let length = (length as usize).min(MAX_READ);
    let mut size = 0;
    // SAFETY: every call gets memory of its size: the path ends in a NUL, `data` has room for
    // MAX_READ bytes, `statfs` and `how` are on the stack.
    let result = unsafe {
        match op {
            Op::Open => libc::syscall(libc::SYS_openat, fd, path, flags, 0),
            Op::Open2 => {
                let how: [u64; 3] = [flags, 0, resolve];
                libc::syscall(libc::SYS_openat2, fd, path, how.as_ptr(), size_of_val(&how))
            }
            Op::Stat => {
                let mut stat = std::mem::zeroed::<libc::statx>();
                let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
                let at = &raw mut stat;
                let result = libc::syscall(libc::SYS_statx, fd, c"".as_ptr(), flags, length, at);
                size = size_of::<[u64; STAT_WORDS]>();
                data.cast::<[u64; STAT_WORDS]>().write_unaligned([
                    stat.stx_dev_major.into(),
                    stat.stx_dev_minor.into(),
                    stat.stx_ino,
                    stat.stx_nlink.into(),
                    stat.stx_mnt_id,
                    stat.stx_mode.into(),
                    stat.stx_size,
                    stat.stx_uid.into(),
                    stat.stx_mtime.tv_sec.cast_unsigned(),
                    stat.stx_mtime.tv_nsec.into(),
                    stat.stx_blocks,
                    stat.stx_ctime.tv_sec.cast_unsigned(),
                    stat.stx_ctime.tv_nsec.into(),
                    stat.stx_gid.into(),
                ]);
                result
            }
            Op::FileSystem => {
                let mut statfs = std::mem::zeroed::<libc::statfs>();
                match libc::fstatfs(fd, &raw mut statfs) {
                    0 => statfs.f_type as libc::c_long & 0xffff_ffff,
                    _ => -1,
                }
            }
            Op::Read => libc::pread(fd, data, length, offset as libc::off_t) as libc::c_long,
            Op::ReadMemory => {
                let local = libc::iovec { iov_base: data, iov_len: length };
                let at = std::ptr::without_provenance_mut(offset as usize);
                let remote = libc::iovec { iov_base: at, iov_len: length };
                match libc::process_vm_readv(flags as i32, &local, 1, &remote, 1, 0) {
                    -1 if matches!(*libc::__errno_location(), libc::EPERM | libc::ENOSYS) => {
                        libc::pread(fd, data, length, offset as libc::off_t) as libc::c_long
                    }
                    read => read as libc::c_long,
                }
            }
            Op::Take => 0,
            Op::Close => {
                libc::close(fd);
                return (0, None);
            }
        }
    };
    if matches!(op, Op::Read | Op::ReadMemory) {
        size = result.max(0) as usize;
    }
    // SAFETY: errno is of this thread.
    let error = || i64::from(unsafe { *libc::__errno_location() });
    message.result = if result < 0 { -error() } else { result as i64 };
    let taken = (op == Op::Take).then_some(fd);
    (DATA + if result < 0 { 0 } else { size }, taken)
}
