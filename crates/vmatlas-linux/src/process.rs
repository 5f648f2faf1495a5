//! An open handle to a process.

use crate::error::Error;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, PROC_SUPER_MAGIC, fstatfs, openat, statat};
use rustix::io::{Errno, retry_on_intr};
use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use vmatlas_maps::KernelVersion;

/// Maximum number of bytes read from a small file of /proc; mountinfo is the largest.
const SMALL_FILE: u64 = 16 << 20;
/// Most of these files are shorter, so that one read returns all of them.
const USUAL_FILE: usize = 4096;
/// `PF_EXITING` and `PF_KTHREAD` of include/linux/sched.h, unchanged since 2.6.27.
const PF_EXITING: u64 = 0x4;
const PF_KTHREAD: u64 = 0x0020_0000;

/// A process or thread, held by its open directory in /proc. The handle keeps referring to this
/// process even if its pid is reused.
#[derive(Debug)]
pub struct Process {
    dir: OwnedFd,
    path: PathBuf,
    id: ProcessId,
    /// Whether the directory is the kernel's.
    live: OnceLock<bool>,
}

/// The id of a process, and of one of its threads if only that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessId {
    /// The process id, which is the id of its main thread.
    pub pid: u32,
    /// The thread id.
    pub tid: Option<u32>,
}

/// Formats `1234` or `1234/1240`.
impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.pid)?;
        self.tid.map_or(Ok(()), |tid| write!(f, "/{tid}"))
    }
}

/// The state of a task in `stat`, see proc_pid_stat(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskState {
    /// The task is a zombie or is exiting.
    pub(crate) ended: bool,
    /// The task is a kernel thread, which has no address space.
    pub(crate) kernel_thread: bool,
    /// The task runs or waits for a processor.
    pub(crate) runs: bool,
    /// The task sleeps until something happens, interruptibly or not.
    pub(crate) sleeps: bool,
    /// The task sleeps, and only what it waits for, or its end, wakes it.
    pub(crate) uninterruptible: bool,
}

impl TaskState {
    /// Parses `stat`, see proc_pid_stat(5).
    pub(crate) fn parse(stat: &[u8]) -> Option<TaskState> {
        // The command name is in parentheses and may contain any byte.
        let name_end = stat.iter().rposition(|&b| b == b')')?;
        let mut fields = stat[name_end + 1..]
            .split(|b| b.is_ascii_whitespace())
            .filter(|field| !field.is_empty());
        let state = fields.next().unwrap_or_default();
        let flags =
            fields.nth(5).and_then(|flags| std::str::from_utf8(flags).ok()?.parse::<u64>().ok());
        let has = |flag| flags.is_some_and(|flags| flags & flag != 0);
        Some(TaskState {
            ended: matches!(state, b"Z" | b"X") || has(PF_EXITING),
            kernel_thread: has(PF_KTHREAD),
            runs: state == b"R",
            sleeps: matches!(state, b"S" | b"D"),
            uninterruptible: state == b"D",
        })
    }
}

impl Process {
    /// Opens a process or one of its threads in `proc`, a directory laid out like /proc.
    ///
    /// # Errors
    /// [`Error::NoSuchProcess`] if it does not exist or is hidden; [`Error::Denied`] if `hidepid=1`
    /// closes the directory.
    pub fn open(proc: &Path, id: ProcessId) -> Result<Process, Error> {
        let mut path = proc.join(id.pid.to_string());
        if let Some(tid) = id.tid {
            path.push(format!("task/{tid}"));
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(dir) => Ok(Process::of(dir, path, id)),
            Err(Errno::NOENT | Errno::SRCH) => {
                Err(Error::NoSuchProcess { process: id.to_string() })
            }
            Err(source @ (Errno::ACCESS | Errno::PERM)) => Err(Error::Denied {
                process: id.to_string(),
                file: ".".to_owned(),
                source: source.into(),
            }),
            Err(errno) => Err(Error::Io { path, source: errno.into() }),
        }
    }

    /// Opens the whole process again, if this is one of its threads or not.
    pub(crate) fn whole(&self) -> Result<Process, Error> {
        let (above, path) = match self.id.tid {
            Some(_) => ("../..", self.path.ancestors().nth(2).unwrap_or(&self.path)),
            None => (".", &*self.path),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(&self.dir, above, flags, Mode::empty())
            .map_err(|errno| self.error(".", errno))?;
        let id = ProcessId { pid: self.id.pid, tid: None };
        Ok(Process::of(dir, path.to_owned(), id))
    }

    fn of(dir: OwnedFd, path: PathBuf, id: ProcessId) -> Process {
        Process { dir, path, id, live: OnceLock::new() }
    }

    /// Opens a thread of this process.
    pub(crate) fn thread(&self, tid: u32) -> Result<Process, Error> {
        let name = format!("task/{tid}");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(&self.dir, &name, flags, Mode::empty())
            .map_err(|errno| self.error(&name, errno))?;
        let id = ProcessId { pid: self.id.pid, tid: Some(tid) };
        Ok(Process::of(dir, self.path.join(name), id))
    }

    /// The pid of the calling process in `proc`, which may belong to another pid namespace; `None`
    /// if it does not show the calling process.
    pub fn own_pid(proc: &Path) -> Option<u32> {
        std::fs::read_link(proc.join("self")).ok()?.to_str()?.parse().ok()
    }

    /// Opens the calling process.
    ///
    /// # Errors
    /// The same as [`open`](Process::open).
    pub fn this(proc: &Path) -> Result<Process, Error> {
        let pid = Process::own_pid(proc);
        let pid = pid.ok_or_else(|| Error::NoSuchProcess { process: "self".to_owned() })?;
        Process::open(proc, ProcessId { pid, tid: None })
    }

    /// The pids of the processes with this command name (`comm`, proc_pid_comm(5)), sorted. The
    /// kernel truncates a command name to 15 bytes.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be listed.
    pub fn named(proc: &Path, name: &str) -> Result<Vec<u32>, Error> {
        let io = |source| Error::Io { path: proc.to_owned(), source };
        let own = Process::own_pid(proc);
        let kept = &name.as_bytes()[..name.len().min(15)];
        let mut pids = Vec::new();
        for entry in std::fs::read_dir(proc).map_err(io)? {
            let Ok(entry) = entry else { continue };
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
            else {
                continue;
            };
            let comm = std::fs::read(entry.path().join("comm")).unwrap_or_default();
            if comm.strip_suffix(b"\n") == Some(kept) && Some(pid) != own {
                pids.push(pid);
            }
        }
        pids.sort_unstable();
        Ok(pids)
    }

    /// The process or thread id.
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// Reads the command name, at most 15 bytes.
    ///
    /// # Errors
    /// The same as [`read`](Process::read).
    pub fn comm(&self) -> Result<Vec<u8>, Error> {
        let mut comm = self.read("comm")?;
        comm.pop_if(|last| *last == b'\n');
        Ok(comm)
    }

    /// Lists the thread ids.
    ///
    /// # Errors
    /// The same as [`read`](Process::read).
    pub fn threads(&self) -> Result<Vec<u32>, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(&self.dir, "task", flags, Mode::empty())
            .map_err(|errno| self.error("task", errno))?;
        let entries = Dir::new(dir).map_err(|errno| self.error("task", errno))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str().ok()?.parse().ok());
        Ok(names.collect())
    }

    /// Reads a small file (at most 16 MiB) of its /proc directory.
    ///
    /// # Errors
    /// [`Error::Vanished`] if the process ended, [`Error::Denied`] if the kernel refuses, otherwise
    /// [`Error::Io`].
    pub fn read(&self, file: &str) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(USUAL_FILE);
        let opened = File::from(self.open_file(file)?);
        match opened.take(SMALL_FILE).read_to_end(&mut bytes) {
            Ok(_) => {
                // Callers keep some of them, and a process may have many threads.
                bytes.shrink_to_fit();
                Ok(bytes)
            }
            Err(error) => Err(self.error(file, Errno::from_io_error(&error).unwrap_or(Errno::IO))),
        }
    }

    pub(crate) fn open_file(&self, file: &str) -> Result<OwnedFd, Error> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
        openat(&self.dir, file, flags, Mode::empty()).map_err(|errno| self.error(file, errno))
    }

    /// The path of its directory, which may belong to another process by now.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    pub(crate) fn error(&self, file: &str, errno: Errno) -> Error {
        let process = self.id.to_string();
        match errno {
            Errno::SRCH => Error::Vanished { process },
            Errno::NOENT if self.is_hidden() => {
                Error::Denied { process, file: file.to_owned(), source: errno.into() }
            }
            // An older kernel or a copied /proc tree may lack a file.
            Errno::NOENT if self.is_gone() => Error::Vanished { process },
            Errno::ACCESS | Errno::PERM => {
                Error::Denied { process, file: file.to_owned(), source: errno.into() }
            }
            errno => Error::Io { path: self.path.join(file), source: errno.into() },
        }
    }

    /// Whether the directory is the kernel's and not a copy of a /proc tree.
    pub fn is_live(&self) -> bool {
        let is_proc = || fstatfs(&self.dir).is_ok_and(|fs| fs.f_type == PROC_SUPER_MAGIC);
        *self.live.get_or_init(is_proc)
    }

    /// Whether its pid is one of our pid namespace: it is that process of /proc, which is ours.
    pub(crate) fn is_in_our_pid_namespace(&self) -> bool {
        let ours = std::fs::read_link("/proc/self").is_ok_and(|own| {
            own.to_str().and_then(|own| own.parse().ok()) == Some(std::process::id())
        });
        let stat = |stat: Result<rustix::fs::Stat, Errno>| {
            stat.ok().map(|stat| (stat.st_dev, stat.st_ino))
        };
        let there = stat(rustix::fs::fstat(&self.dir));
        ours && there.is_some() && there == stat(rustix::fs::stat(format!("/proc/{}", self.id.pid)))
    }

    /// The version of its kernel; `None` in a copy of a /proc tree.
    pub fn kernel_version(&self) -> Option<KernelVersion> {
        let release = rustix::system::uname();
        release.release().to_str().ok()?.parse().ok().filter(|_| self.is_live())
    }

    /// Whether `hidepid` hides it from this reader. Then even its own directory reports ENOENT
    /// (`pid_getattr` of Linux 6.18 fs/proc/base.c), unlike that of an ended process.
    fn is_hidden(&self) -> bool {
        matches!(statat(&self.dir, "", AtFlags::EMPTY_PATH), Err(Errno::NOENT))
    }

    fn is_gone(&self) -> bool {
        self.is_live() && statat(&self.dir, "stat", AtFlags::empty()).is_err()
    }

    /// A living thread, if the main thread has ended: the main thread then has no address space,
    /// root directory or mounts.
    pub(crate) fn living_thread(&self) -> Option<Process> {
        if self.id.tid.is_some() {
            return None;
        }
        self.living_thread_by(&self.read("stat").ok()?)
    }

    /// The same with the text of its `stat`.
    pub(crate) fn living_thread_by(&self, stat: &[u8]) -> Option<Process> {
        if self.id.tid.is_some() || !TaskState::parse(stat)?.ended {
            return None;
        }
        let threads = self.threads().ok()?.into_iter().filter_map(|tid| self.thread(tid).ok());
        let lives = |thread: &Process| matches!(thread.state(), Ok(Some(state)) if !state.ended);
        threads.into_iter().find(lives)
    }

    /// Reads `stat`; `None` in a copy of a /proc tree that lacks it.
    pub(crate) fn state(&self) -> Result<Option<TaskState>, Error> {
        let stat = match self.read("stat") {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return Ok(None);
            }
            stat => stat?,
        };
        Ok(TaskState::parse(&stat))
    }

    /// When the first thread of the process started, since 1970, if the clock was not set since.
    pub(crate) fn started(&self) -> Option<Duration> {
        let file = if self.id.tid.is_some() { "../../stat" } else { "stat" };
        let ticks = stat_field(&self.read(file).ok().filter(|_| self.is_live())?, 22)?;
        let per_second = clock_ticks_per_second();
        let nanoseconds = u128::from(ticks) * 1_000_000_000 / u128::from(per_second);
        let start = Duration::from_nanos(u64::try_from(nanoseconds).ok()?);
        let now = |clock| Duration::try_from(clock_gettime(clock)).ok();
        let age = now(ClockId::Boottime)?.saturating_sub(start);
        now(ClockId::Realtime)?.checked_sub(age)
    }

    /// The size of its address space in pages (`total_vm`).
    pub(crate) fn total_pages(&self) -> Option<u64> {
        self.page_count(0)
    }

    /// The number of its resident pages (`statm`), which the kernel counts per processor: it may be
    /// off by some hundred pages.
    pub fn resident_pages(&self) -> Option<u64> {
        self.page_count(1)
    }

    fn page_count(&self, field: usize) -> Option<u64> {
        // Without an allocation: the process may be this one.
        let mut bytes = [0; 256];
        let file = self.open_file("statm").ok()?;
        let length = retry_on_intr(|| rustix::io::read(&file, &mut bytes)).ok()?;
        page_count(bytes.get(..length)?, field)
    }
}

/// A number of `stat` by its place from 3 on, see proc_pid_stat(5).
pub(crate) fn stat_field(stat: &[u8], number: usize) -> Option<u64> {
    // The command name is in parentheses and may contain any byte.
    let after_name = stat.rsplit(|&b| b == b')').next()?;
    let mut fields = std::str::from_utf8(after_name).ok()?.split_ascii_whitespace();
    fields.nth(number.checked_sub(3)?)?.parse().ok()
}

/// A field of `statm`, see proc_pid_statm(5).
pub(crate) fn page_count(statm: &[u8], field: usize) -> Option<u64> {
    std::str::from_utf8(statm).ok()?.split(' ').nth(field)?.parse().ok()
}
