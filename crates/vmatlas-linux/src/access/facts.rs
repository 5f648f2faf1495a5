//! The facts of a decision. This module makes no system call.
use rustix::io::Errno;

use super::credentials::{Capabilities, Credentials, Id, NamespaceId, UserNamespace};

/// All facts that decide whether a reader may open `/proc/PID/maps`. Unknown facts are marked, and
/// the decision reports them where they matter.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Facts {
    /// The target's pid in that /proc.
    pub pid: u32,
    /// The reader.
    pub reader: Credentials,
    /// Whether reader and target are the same process, to which ptrace rules do not apply.
    pub same_process: bool,
    /// Whether the target shares the reader's address space (`CLONE_VM`); always true for the same
    /// process. For two processes this can only be known with the right in question, so
    /// [`gather`](super::gather) sets it only for the same process.
    pub same_address_space: bool,
    /// The /proc in use.
    pub mount: ProcMount,
    /// The target.
    pub target: Target,
    /// Whether Landlock permits: the reader is in no domain, or the target is in the same domain or
    /// in a nested one. landlock(7), "Ptrace restrictions"
    pub landlock: Option<bool>,
    /// Whether SELinux, Smack and AppArmor permit; `Some(true)` if none of them is active. Yama
    /// does not restrict reading.
    pub security_module: Option<bool>,
    /// Whether security modules permit opening the file: a Landlock domain may have no right to
    /// read files of /proc.
    pub file_open: Option<bool>,
    /// Whether `CAP_PERFMON` suffices to read: Linux 6.15 and later (`may_access_mm`).
    pub perfmon_reads: bool,
    /// The kernel's answers to this reader; `None` if the facts are about another reader.
    pub observed: Option<Observed>,
}

/// The /proc through which the file is opened. proc(5), "Mount options"
#[derive(Copy, Clone, Debug)]
#[non_exhaustive]
pub struct ProcMount {
    /// The mount option `hidepid=`.
    pub hidepid: Option<HidePid>,
    /// The group whose members see everything: `gid=`, by default group 0.
    pub gid: Id,
}

/// Values of the mount option `hidepid=`. Linux 6.18 `include/linux/proc_fs.h`
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HidePid {
    /// 0: every user may enter every `/proc/PID`.
    Off,
    /// 1, `noaccess`: EPERM on entering.
    NoAccess,
    /// 2, `invisible`: ENOENT.
    Invisible,
    /// 4, `ptraceable`: ENOENT at lookup, for any `gid=`. EPERM on entering if another process
    /// looked it up a moment ago, because the lookup is then cached.
    Ptraceable,
}

/// The target process.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Target {
    /// Whether this /proc has such a process.
    pub exists: Option<bool>,
    /// Real, effective and saved user id.
    pub uid: [Id; 3],
    /// Real, effective and saved group id.
    pub gid: [Id; 3],
    /// Whether it has an address space.
    pub address_space: Option<AddressSpace>,
    /// Whether the address space is `SUID_DUMP_USER` (1); this check treats the states 0 and 2
    /// alike. prctl(2), `PR_SET_DUMPABLE`
    pub dumpable: Option<bool>,
    /// Permitted capabilities, valid in its user namespace.
    pub permitted: Option<Capabilities>,
    /// Its user namespace and the visible ancestors.
    pub user_ns: Option<Vec<UserNamespace>>,
    /// The namespaces of `user_ns` to which a non-dumpable address space may belong: the one at the
    /// last execve, or an ancestor if the program file was not readable (`would_dump` in Linux 6.18
    /// `fs/exec.c`). `None` if it may belong to a namespace outside of `user_ns`.
    pub mm_user_ns: Option<Vec<NamespaceId>>,
}

impl Target {
    /// A process without known facts.
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

/// The kernel's answers to the reader about the same process.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observed {
    /// Reading `/proc/PID/status`: entering the directory and opening a file, without a ptrace
    /// check.
    pub status: Result<(), Errno>,
    /// Reading the link `/proc/PID/cwd`: entering the directory, then the same ptrace check as for
    /// `maps`, which returns EACCES (Linux 6.18 `proc_pid_readlink`); a process that passes may
    /// still have no cwd.
    pub cwd: Result<(), Errno>,
    /// Opening `/proc/PID/maps`: the answer itself.
    pub maps: Result<(), Errno>,
}

impl Observed {
    /// The result of the ptrace check, if it was reached.
    pub(super) fn ptrace(self) -> Option<bool> {
        match (self.status, self.cwd) {
            (Ok(()), Ok(()) | Err(Errno::NOENT)) => Some(true),
            (Ok(()), Err(Errno::ACCESS)) => Some(false),
            // Only a refused ptrace check denies entry to an existing directory.
            (Err(Errno::PERM), _) => Some(false),
            _ => None,
        }
    }
}
