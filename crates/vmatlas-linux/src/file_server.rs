//! Descriptors of our own and of a server process, which opens and reads files that may block for
//! ever or that only another user may read.

use crate::file_systems::{Contents, of_number};
use crate::sys::file_server::{self as sys, MAX_PATH, MAX_READ, Op, Request, STAT_WORDS};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, StatxFlags, fstat, fstatfs, major, minor,
    openat, openat2, statx,
};
use rustix::io::IoSliceMut;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use vmatlas_maps::Device;

pub(crate) use sys::{Ids, Rights};

/// A server process. A request that gets no reply in time ends it: all later ones fail.
#[derive(Debug)]
pub(crate) struct FileServer {
    /// `None` after a request without a reply.
    socket: Mutex<Option<OwnedFd>>,
    limit: Duration,
}

/// A descriptor of this process or of a server.
#[derive(Clone, Debug)]
pub(crate) enum Handle {
    Own(Arc<OwnedFd>),
    Served(Arc<Served>),
}

/// A descriptor of a server.
#[derive(Debug)]
pub(crate) struct Served {
    server: Arc<FileServer>,
    fd: i32,
    /// The task whose memory it is.
    memory_of: Option<u32>,
    /// Whether it is closed when dropped: directories stay open.
    owned: bool,
}

/// Attributes of a file, as statx(2) reports them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileStat {
    pub(crate) device: Device,
    pub(crate) inode: u64,
    pub(crate) links: u32,
    /// The mount's id; 0 before Linux 5.8.
    pub(crate) mount: u64,
    pub(crate) is_regular: bool,
    /// In bytes.
    pub(crate) size: u64,
    /// The bytes that it takes on the file system.
    pub(crate) allocated: u64,
    /// The owner.
    pub(crate) uid: u32,
    /// The group.
    pub(crate) gid: u32,
    /// The type and the permissions, see inode(7).
    pub(crate) mode: u32,
    /// The time of the last modification, in seconds and nanoseconds since 1970.
    pub(crate) modified: (i64, u32),
    /// The time of the last change of the data or of an attribute.
    pub(crate) changed: (i64, u32),
}

impl From<rustix::fs::Statx> for FileStat {
    fn from(stat: rustix::fs::Statx) -> FileStat {
        FileStat {
            device: Device::new(stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            links: stat.stx_nlink,
            mount: stat.stx_mnt_id,
            is_regular: is_regular(stat.stx_mode.into()),
            size: stat.stx_size,
            allocated: stat.stx_blocks.saturating_mul(512),
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            mode: stat.stx_mode.into(),
            modified: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            changed: (stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
        }
    }
}

impl From<Stat> for FileStat {
    fn from(stat: Stat) -> FileStat {
        FileStat {
            device: Device::new(major(stat.st_dev), minor(stat.st_dev)),
            inode: stat.st_ino,
            links: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
            mount: 0,
            is_regular: is_regular(stat.st_mode),
            size: stat.st_size.cast_unsigned(),
            allocated: (stat.st_blocks as u64).saturating_mul(512),
            uid: stat.st_uid,
            gid: stat.st_gid,
            mode: stat.st_mode,
            modified: (stat.st_mtime, stat.st_mtime_nsec as u32),
            changed: (stat.st_ctime, stat.st_ctime_nsec as u32),
        }
    }
}

/// The attributes to ask for.
const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::MNT_ID);

impl FileStat {
    /// Reads the attributes of a descriptor of ours; cached ones are enough.
    pub(crate) fn of(fd: impl AsFd) -> Result<FileStat, Errno> {
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        match statx(&fd, "", flags, WANTED) {
            // Before Linux 4.11, and in sandboxes.
            Err(Errno::NOSYS | Errno::PERM) => fstat(fd).map(FileStat::from),
            stat => stat.map(FileStat::from),
        }
    }

    /// From the reply of a server.
    fn from_words(bytes: &[u8; size_of::<[u64; STAT_WORDS]>()]) -> FileStat {
        let (words, _) = bytes.as_chunks::<8>();
        let [major, minor, inode, links, mount, mode, size, uid, rest @ ..]: [u64; STAT_WORDS] =
            std::array::from_fn(|at| u64::from_ne_bytes(words[at]));
        let [seconds, nanoseconds, blocks, changed_seconds, changed_nanoseconds, gid] = rest;
        FileStat {
            device: Device::new(major as u32, minor as u32),
            inode,
            links: links as u32,
            mount,
            is_regular: is_regular(mode as u32),
            size,
            allocated: blocks.saturating_mul(512),
            uid: uid as u32,
            gid: gid as u32,
            mode: mode as u32,
            modified: (seconds.cast_signed(), nanoseconds as u32),
            changed: (changed_seconds.cast_signed(), changed_nanoseconds as u32),
        }
    }
}

fn is_regular(mode: u32) -> bool {
    FileType::from_raw_mode(mode) == FileType::RegularFile
}

impl FileServer {
    /// Starts a server that may open files in `directories`, with the rights of a user if given. It
    /// waits at most `limit` for each reply.
    ///
    /// # Errors
    /// If no process can be started.
    pub(crate) fn start(
        directories: &[BorrowedFd<'_>],
        rights: Option<&Rights>,
        limit: Duration,
    ) -> Result<Arc<FileServer>, Errno> {
        let socket = sys::start(directories, rights)?;
        Ok(Arc::new(FileServer { socket: Mutex::new(Some(socket)), limit }))
    }

    /// A directory with which it was started.
    pub(crate) fn directory(self: &Arc<Self>, directory: impl AsFd) -> Handle {
        self.descriptor(directory.as_fd().as_raw_fd(), None, false)
    }

    /// `/proc/TID/mem` of a task, a descriptor with which it was started.
    pub(crate) fn memory(self: &Arc<Self>, tid: u32, file: impl AsFd) -> Handle {
        self.descriptor(file.as_fd().as_raw_fd(), Some(tid), false)
    }

    fn descriptor(self: &Arc<Self>, fd: i32, memory_of: Option<u32>, owned: bool) -> Handle {
        Handle::Served(Arc::new(Served { server: self.clone(), fd, memory_of, owned }))
    }

    /// Whether it answered all requests so far.
    pub(crate) fn answers(&self) -> bool {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Sends a request, and reads the result and `data`.
    fn call(&self, request: Request, path: &[u8], data: &mut [u8]) -> Result<Reply, Errno> {
        if path.len() >= MAX_PATH {
            return Err(Errno::NAMETOOLONG);
        }
        if path.contains(&0) {
            return Err(Errno::INVAL);
        }
        let mut bytes = request.to_bytes();
        bytes.extend_from_slice(path);
        bytes.push(0);
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let reply = socket.as_ref().ok_or(Errno::TIMEDOUT).and_then(|socket| {
            send(socket, &bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
            if request.op == Op::Close {
                return Ok(None);
            }
            self.wait(socket)?;
            let mut reply = vec![0; size_of::<i64>() + data.len()];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let parts = &mut [IoSliceMut::new(&mut reply)];
            let received = recvmsg(socket, parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
            reply.truncate(received.bytes);
            let fd = control.drain().find_map(|message| match message {
                RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
                _ => None,
            });
            Ok(Some((reply, fd)))
        });
        let (reply, fd) = match reply {
            Ok(Some(reply)) => reply,
            Ok(None) => return Ok(Reply { result: 0, size: 0, fd: None }),
            Err(error) => {
                *socket = None;
                return Err(error);
            }
        };
        let Some((result, rest)) = reply.split_first_chunk() else {
            // It has ended: it could not take the rights, or was killed.
            *socket = None;
            return Err(Errno::PIPE);
        };
        let result = i64::from_ne_bytes(*result);
        if result < 0 {
            return Err(Errno::from_raw_os_error(-result as i32));
        }
        data[..rest.len()].copy_from_slice(rest);
        Ok(Reply { result, size: rest.len(), fd })
    }

    fn wait(&self, socket: &OwnedFd) -> Result<(), Errno> {
        let end = Instant::now() + self.limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
            match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&timeout)) {
                Ok(0) => return Err(Errno::TIMEDOUT),
                Err(Errno::INTR) => {}
                other => return other.map(drop),
            }
        }
    }
}

/// The reply to a request.
struct Reply {
    /// The result of the system call.
    result: i64,
    /// The number of bytes of data.
    size: usize,
    fd: Option<OwnedFd>,
}

impl Request {
    fn new(op: Op, fd: i32) -> Request {
        Request { op, fd, flags: 0, resolve: 0, offset: 0, length: 0 }
    }
}

impl From<OwnedFd> for Handle {
    fn from(fd: OwnedFd) -> Handle {
        Handle::Own(Arc::new(fd))
    }
}

impl Handle {
    /// Opens a path below this directory; without `resolve` as openat(2) does.
    pub(crate) fn open(
        &self,
        path: &[u8],
        flags: OFlags,
        resolve: Option<ResolveFlags>,
    ) -> Result<Handle, Errno> {
        let flags = flags | OFlags::CLOEXEC;
        match self {
            Handle::Own(fd) => match resolve {
                Some(resolve) => openat2(fd, path, flags, Mode::empty(), resolve),
                None => openat(fd, path, flags, Mode::empty()),
            }
            .map(Handle::from),
            Handle::Served(served) => {
                let op = if resolve.is_some() { Op::Open2 } else { Op::Open };
                let request = Request {
                    flags: flags.bits().into(),
                    resolve: resolve.unwrap_or(ResolveFlags::empty()).bits(),
                    ..Request::new(op, served.fd)
                };
                let reply = served.server.call(request, path, &mut [])?;
                Ok(served.sibling(reply.result as i32))
            }
        }
    }

    /// Opens the same file again, to read it.
    pub(crate) fn reopen(&self) -> Result<Handle, Errno> {
        // Not a terminal that would become ours, and no pipe that would have to have a writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let number = match self {
            Handle::Own(fd) => fd.as_raw_fd(),
            Handle::Served(served) => served.fd,
        };
        // The path is absolute: of this descriptor only the owner counts.
        self.open(format!("/proc/self/fd/{number}").as_bytes(), flags, None)
    }

    /// The same file as a descriptor of ours.
    pub(crate) fn take(&self) -> Result<Handle, Errno> {
        match self {
            Handle::Own(_) => Ok(self.clone()),
            Handle::Served(served) => {
                let request = Request::new(Op::Take, served.fd);
                let fd = served.server.call(request, b"", &mut [])?.fd;
                fd.map(Handle::from).ok_or(Errno::BADF)
            }
        }
    }

    /// Reads attributes; cached ones are enough.
    pub(crate) fn stat(&self) -> Result<FileStat, Errno> {
        match self {
            Handle::Own(fd) => FileStat::of(fd),
            Handle::Served(served) => {
                let length = WANTED.bits().into();
                let request = Request { length, ..Request::new(Op::Stat, served.fd) };
                let mut data = [0; size_of::<[u64; STAT_WORDS]>()];
                served.server.call(request, b"", &mut data)?;
                Ok(FileStat::from_words(&data))
            }
        }
    }

    /// Whether it is a file of a disk or of memory, for which the kernel answers by itself.
    pub(crate) fn is_local(&self) -> bool {
        let contents = self.file_system().ok().and_then(of_number);
        matches!(contents, Some(Contents::OnDevice | Contents::Files))
    }

    /// The type of its file system, a magic number of statfs(2).
    pub(crate) fn file_system(&self) -> Result<u32, Errno> {
        match self {
            Handle::Own(fd) => Ok(fstatfs(fd)?.f_type as u32),
            Handle::Served(served) => {
                let request = Request::new(Op::FileSystem, served.fd);
                Ok(served.server.call(request, b"", &mut [])?.result as u32)
            }
        }
    }

    /// Reads at an offset; may read less than asked for.
    pub(crate) fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Handle::Own(fd) => retry_on_intr(|| rustix::io::pread(fd, &mut *bytes, offset)),
            Handle::Served(served) => {
                let length = bytes.len().min(MAX_READ);
                let (op, task) = match served.memory_of {
                    Some(tid) => (Op::ReadMemory, tid),
                    None => (Op::Read, 0),
                };
                let request = Request {
                    offset,
                    length: length as u64,
                    flags: task.into(),
                    ..Request::new(op, served.fd)
                };
                Ok(served.server.call(request, b"", &mut bytes[..length])?.size)
            }
        }
    }
}

impl Served {
    fn sibling(&self, fd: i32) -> Handle {
        self.server.descriptor(fd, None, true)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if self.owned {
            // Without an answer there is nothing left to close.
            let _ = self.server.call(Request::new(Op::Close, self.fd), b"", &mut []);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::CWD;
    use std::os::unix::fs::{PermissionsExt as _, chown};

    const LONG: Duration = Duration::from_secs(60);

    fn opened(server: &Arc<FileServer>, path: &std::path::Path) -> Result<Handle, Errno> {
        let path = path.as_os_str().as_encoded_bytes();
        server.directory(CWD).open(path, OFlags::RDONLY, None)
    }

    #[test]
    fn a_served_file_is_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes: Vec<u8> = (0..200_000_u32).map(|at| at as u8).collect();
        std::fs::write(file.path(), &bytes).unwrap();
        let server = FileServer::start(&[], None, LONG).unwrap();
        let served = opened(&server, file.path()).unwrap();
        let own = Handle::from(OwnedFd::from(std::fs::File::open(file.path()).unwrap()));
        let taken = served.take().unwrap();
        assert!(matches!(taken, Handle::Own(_)));
        for handle in [&served, &served.reopen().unwrap(), &taken] {
            assert_eq!(handle.stat(), own.stat());
            assert_eq!(handle.file_system(), own.file_system());
            let mut read = Vec::new();
            let mut part = vec![0; 100_000];
            loop {
                match handle.read_at(read.len() as u64, &mut part).unwrap() {
                    0 => break,
                    length => read.extend_from_slice(&part[..length]),
                }
            }
            assert!(read == bytes);
        }
        let missing = opened(&server, std::path::Path::new("/nonexistent"));
        assert_eq!(missing.unwrap_err(), Errno::NOENT);
        assert_eq!(opened(&server, std::path::Path::new("/a\0b")).unwrap_err(), Errno::INVAL);
        let long = "/".repeat(MAX_PATH);
        assert_eq!(opened(&server, long.as_ref()).unwrap_err(), Errno::NAMETOOLONG);
        assert!(server.answers());
    }

    #[test]
    fn a_request_without_a_reply_ends_the_server() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        let server = FileServer::start(&[], None, Duration::from_millis(50)).unwrap();
        // It waits for a writer.
        assert_eq!(opened(&server, &fifo).unwrap_err(), Errno::TIMEDOUT);
        assert!(!server.answers());
        assert_eq!(opened(&server, dir.path()).unwrap_err(), Errno::TIMEDOUT);
        // Frees it.
        drop(std::fs::OpenOptions::new().write(true).open(&fifo));
    }

    #[test]
    fn a_server_has_no_more_rights_than_given() {
        if !rustix::process::geteuid().is_root() {
            // Only root may take other ids.
            assert!(std::env::var_os("CI").is_none(), "needs root");
            return;
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        let check = |owner: u32, mode: u32, rights: Option<&Rights>, may_read: bool| {
            chown(file.path(), Some(owner), Some(owner)).unwrap();
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            let server = FileServer::start(&[], rights, LONG).unwrap();
            let found = opened(&server, file.path());
            let expected = if may_read { Ok(()) } else { Err(Errno::ACCESS) };
            assert_eq!(found.map(drop), expected, "{owner} {mode:o} {rights:?}");
        };
        let user = |groups: &[u32]| Rights {
            ids: Some(Ids { uid: 1500, gid: 1500, groups: groups.to_vec() }),
            capabilities: u64::MAX,
        };
        check(0, 0o600, None, true);
        check(0, 0o600, Some(&user(&[])), false);
        check(1500, 0o600, Some(&user(&[])), true);
        check(1501, 0o640, Some(&user(&[])), false);
        check(1501, 0o640, Some(&user(&[1501])), true);
        check(1501, 0o644, Some(&user(&[])), true);
        // Root without capabilities, as in a container.
        let bare = Rights { ids: None, capabilities: 0 };
        check(1500, 0o600, Some(&bare), false);
        check(0, 0o600, Some(&bare), true);
    }
}
