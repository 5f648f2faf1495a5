//! What the decision is made from. Nothing here calls the kernel.
use rustix::io::Errno;

use super::credentials::{Capabilities, Credentials, Id, NamespaceId, UserNamespace};

/// All that decides whether a reader may open `/proc/PID/maps`. What is not known says so, and the
/// decision says so where it matters.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Facts {
    /// The process to be read, as a number of that /proc.
    pub pid: u32,
    /// Who reads.
    pub reader: Credentials,
    /// Whether reader and target are one process; then ptrace rules do not apply.
    pub same_process: bool,
    /// Whether the target shares the reader's address space (`CLONE_VM`); always so for one process.
    /// Of two processes nobody can tell without the very right in question, so [`gather`](super::gather)
    /// sets it for one process only.
    pub same_address_space: bool,
    /// The /proc that is used.
    pub mount: ProcMount,
    /// Who is read.
    pub target: Target,
    /// Whether Landlock lets the reader pass: it is in no domain, or the target is in the same domain or
    /// in one below. landlock(7), "Ptrace restrictions"
    pub landlock: Option<bool>,
    /// What SELinux, Smack or AppArmor answer; `Some(true)` if none of them is there. Yama does not
    /// restrict reading.
    pub security_module: Option<bool>,
    /// Whether security modules let the reader open the file at all: a Landlock domain may have no right
    /// to read files of /proc.
    pub file_open: Option<bool>,
    /// Whether `CAP_PERFMON` is enough to read: Linux 6.15 and later (`may_access_mm`).
    pub perfmon_reads: bool,
    /// What the kernel answered this very reader; `None` if the facts were gathered for somebody else.
    pub observed: Option<Observed>,
}

/// The /proc through which the file is opened. proc(5), "Mount options"
#[derive(Copy, Clone, Debug)]
#[non_exhaustive]
pub struct ProcMount {
    /// The mount option `hidepid=`.
    pub hidepid: Option<HidePid>,
    /// The group whose members see everything: `gid=`, and group 0 without this option.
    pub gid: Id,
}

/// Values of the mount option `hidepid=`. Linux 6.18 `include/linux/proc_fs.h`
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HidePid {
    /// 0: everybody may enter every `/proc/PID`.
    Off,
    /// 1, `noaccess`: EPERM on entering.
    NoAccess,
    /// 2, `invisible`: ENOENT.
    Invisible,
    /// 4, `ptraceable`: ENOENT at lookup, whatever the `gid=`. EPERM on entering where somebody else has
    /// looked the process up a moment ago, since then the lookup is cached.
    Ptraceable,
}

/// The process to be read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Target {
    /// Whether this /proc has such a process.
    pub exists: Option<bool>,
    /// Real, effective and saved user id.
    pub uid: [Id; 3],
    /// Real, effective and saved group id.
    pub gid: [Id; 3],
    /// Whether there is anything to be read.
    pub address_space: Option<AddressSpace>,
    /// Whether the address space is `SUID_DUMP_USER` (1); the states 0 and 2 are the same to this check.
    /// prctl(2), `PR_SET_DUMPABLE`
    pub dumpable: Option<bool>,
    /// Permitted capabilities, valid in its user namespace.
    pub permitted: Option<Capabilities>,
    /// Its user namespace and the ancestors of that, up to the oldest that can be seen.
    pub user_ns: Option<Vec<UserNamespace>>,
    /// Which of `user_ns` the address space may belong to, if it is not dumpable: the one at the last
    /// execve, or an ancestor of that if the program file was not readable (`would_dump` in Linux 6.18
    /// `fs/exec.c`). `None` if it may be one that is not in `user_ns`.
    pub mm_user_ns: Option<Vec<NamespaceId>>,
}

impl Target {
    /// A process of which nothing is known.
    pub fn unknown() -> Target {
        Target {
            exists: None,
            uid: [Id::Unknown; 3],
            gid: [Id::Unknown; 3],
            address_space: None,
            dumpable: None,
            permitted: None,
            user_ns: None,
            mm_user_ns: None,
        }
    }
}

/// Whether a process has an address space.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressSpace {
    /// It has one.
    Present,
    /// A kernel thread has none.
    KernelThread,
    /// It has exited: a zombie, or a leader that exited before its threads.
    Exited,
}

/// What the kernel answered the reader about the same process.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observed {
    /// Reading `/proc/PID/status`: the way into the directory and opening a file, without a ptrace check.
    pub status: Result<(), Errno>,
    /// Reading the link `/proc/PID/cwd`: the way in, and then the same ptrace check as for `maps`, which
    /// answers EACCES (Linux 6.18 `proc_pid_readlink`); a process that passes may still have no cwd.
    pub cwd: Result<(), Errno>,
    /// Opening `/proc/PID/maps`: the answer itself.
    pub maps: Result<(), Errno>,
}

impl Observed {
    /// What the ptrace check alone answered, if it was reached.
    pub(super) fn ptrace(self) -> Option<bool> {
        match (self.status, self.cwd) {
            (Ok(()), Ok(()) | Err(Errno::NOENT)) => Some(true),
            (Ok(()), Err(Errno::ACCESS)) => Some(false),
            // Only a refused ptrace check keeps one out of a directory that exists.
            (Err(Errno::PERM), _) => Some(false),
            _ => None,
        }
    }
}
