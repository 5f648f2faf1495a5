//! Gathers the facts from a live /proc with the caller's own rights.
use rustix::fs::{Mode, OFlags, fstat, major, minor, open, readlink, stat};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::credentials::{
    Capabilities, Credentials, Id, IdView, NamespaceId, UserNamespace, is_identity,
};
use super::error::{Error, ErrorKind};
use super::facts::{AddressSpace, Facts, HidePid, Observed, ProcMount, Target};
use super::security;
use crate::process::Process;
use crate::sys::nsfs;

/// The reader in question.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reader {
    /// The calling thread.
    Caller,
    /// A reader with these credentials, see [`Credentials::login`] and [`Credentials::of_process`].
    Other(Credentials),
}

/// Gathers the facts that decide whether `reader` may open `PROC_ROOT/PID/maps`.
///
/// A missing or hidden process is a fact, not an error. The files are read one after the other, so
/// the facts may mix two moments if a process changes its credentials meanwhile.
///
/// # Errors
/// If there is no /proc at `proc_root`, or the caller's own status cannot be read.
pub fn gather(proc_root: &Path, pid: u32, reader: Reader) -> Result<Facts, Error> {
    let root_error = |e: io::Error| Error::new(ErrorKind::ProcRoot, proc_root, e);
    let device = stat(proc_root).map_err(|e| root_error(e.into()))?.st_dev;
    let own = caller(proc_root)?;
    let dir = proc_root.join(pid.to_string());
    let status = read(&dir.join("status"));
    let observed = matches!(reader, Reader::Caller).then(|| Observed {
        status: status.as_ref().map(drop).map_err(|e| *e),
        cwd: readlink(dir.join("cwd"), Vec::new()).map(drop),
        maps: open(dir.join("maps"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map(drop),
    });
    let reader = match reader {
        Reader::Caller => own.credentials.clone(),
        Reader::Other(credentials) => credentials,
    };

    let mount = proc_mount(proc_root, device, own.credentials.user_ns);
    let status = status.map(|text| Status::new(&text));
    let target = match &status {
        Ok(status) => target(&dir, status, &own),
        Err(error) => Target {
            exists: match *error {
                Errno::SRCH => Some(false),
                Errno::NOENT if mount.hidepid == Some(HidePid::Off) => Some(false),
                Errno::NOENT => own.in_pid_namespace.then(|| signal_reaches(pid)),
                Errno::PERM | Errno::ACCESS => Some(true),
                _ => None,
            },
            ..Target::unknown()
        },
    };
    let process = status.ok().and_then(|status| status.number("Tgid"));
    let same_process = process.is_some() && process == reader.process;
    let landlock = security::landlock(&reader);
    let security_module = security::others(&dir, observed.is_some());
    Ok(Facts {
        pid,
        same_process,
        same_address_space: same_process,
        mount,
        target,
        landlock,
        security_module,
        file_open: (landlock == Some(true) && security_module == Some(true)).then_some(true),
        perfmon_reads: kernel_version() >= (6, 15),
        observed,
        reader,
    })
}

/// The calling thread: its credentials and the rest of its status.
pub(super) struct Caller {
    pub(super) credentials: Credentials,
    pub(super) bounding: Capabilities,
    view: IdView,
    /// Whether that /proc uses the same pids as kill(2).
    in_pid_namespace: bool,
}

pub(super) fn caller(proc_root: &Path) -> Result<Caller, Error> {
    // Credentials belong to a thread. The /proc of another pid namespace may not show us.
    let shown = proc_root.join("thread-self");
    let visible = shown.exists();
    let dir = if visible { shown } else { "/proc/thread-self".into() };
    let error = |e: io::Error| Error::new(ErrorKind::Reader, &dir, e);
    let status = Status::new(&fs::read(dir.join("status")).map_err(error)?);
    let view = IdView::of_caller(dir.parent().unwrap_or(proc_root)).map_err(error)?;
    let mut credentials = status.credentials(view);
    credentials.user_ns = user_ns(&dir);
    credentials.process = credentials.process.filter(|_| visible);
    Ok(Caller {
        credentials,
        bounding: status.capabilities("CapBnd").unwrap_or_default(),
        view,
        in_pid_namespace: visible && status.words("NSpid").count() == 1,
    })
}

impl Credentials {
    /// The credentials of a live process, as a reader.
    ///
    /// # Errors
    /// If its status cannot be read.
    pub fn of_process(proc_root: &Path, pid: u32) -> Result<Credentials, Error> {
        let dir = proc_root.join(pid.to_string());
        let path = dir.join("status");
        let text = fs::read(&path).map_err(|e| Error::new(ErrorKind::Reader, &path, e))?;
        let mut credentials = Status::new(&text).credentials(caller(proc_root)?.view);
        credentials.user_ns = user_ns(&dir);
        Ok(credentials)
    }
}

/// What /proc states of the credentials with which a process of this machine opens files.
#[derive(Debug)]
pub(crate) struct FileStatus {
    status: Status,
    user_ns: Option<NamespaceId>,
}

impl FileStatus {
    /// Reads it; `None` if the process has ended.
    pub(crate) fn read(process: &Process) -> Option<FileStatus> {
        let status = Status::read(process)?;
        Some(FileStatus { status, user_ns: user_ns(process.path()) })
    }

    /// The credentials, as the calling thread sees ids; `None` if /proc does not show the caller.
    pub(crate) fn credentials(&self) -> Option<Credentials> {
        let view = IdView::of_caller(Path::new("/proc")).ok()?;
        Some(Credentials { user_ns: self.user_ns, ..self.status.credentials(view) })
    }
}

/// The text of `/proc/PID/status`. proc_pid_status(5)
#[derive(Debug)]
pub(crate) struct Status(String);

impl Status {
    /// Reads it; `None` if the process has ended.
    pub(crate) fn read(process: &Process) -> Option<Status> {
        Some(Status::new(&process.read("status").ok()?))
    }

    /// The name of the process may be no UTF-8.
    pub(crate) fn new(text: &[u8]) -> Status {
        Status(String::from_utf8_lossy(text).into_owned())
    }

    /// The words of a line, such as `Uid`; none if there is no such line.
    pub(crate) fn words<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let line = self.0.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':'));
        line.unwrap_or_default().split_ascii_whitespace()
    }

    /// The first word of a line as a number.
    pub(crate) fn number(&self, key: &str) -> Option<u32> {
        self.words(key).next()?.parse().ok()
    }

    /// The effective capabilities.
    pub(crate) fn effective(&self) -> Capabilities {
        self.capabilities("CapEff").unwrap_or_default()
    }

    fn capabilities(&self, key: &str) -> Option<Capabilities> {
        u64::from_str_radix(self.words(key).next()?, 16).ok().map(Capabilities)
    }

    /// The ids in a line `Uid:` or `Gid:`: real, effective, saved, file system.
    fn ids(&self, key: &str, view: IdView) -> [Id; 4] {
        let mut words = self.words(key);
        std::array::from_fn(|_| {
            words.next().and_then(|w| w.parse().ok()).map_or(Id::Unknown, |id| view.id(id))
        })
    }

    fn credentials(&self, view: IdView) -> Credentials {
        let [_, euid, _, fsuid] = self.ids("Uid", view);
        let [.., fsgid] = self.ids("Gid", view);
        let groups = self.words("Groups").filter_map(|w| w.parse().ok());
        Credentials {
            process: self.number("Tgid"),
            euid,
            fsuid,
            fsgid,
            groups: groups.map(|gid| view.id(gid)).collect(),
            effective: self.effective(),
            user_ns: None,
            landlocked: None,
        }
    }

    /// Only a task with an address space has a size. The line `Kthread:` exists since Linux 6.8.
    fn address_space(&self) -> AddressSpace {
        if self.number("Kthread") == Some(1) {
            AddressSpace::KernelThread
        } else if self.words("VmSize").next().is_some() {
            AddressSpace::Present
        } else if matches!(self.words("State").next(), Some("Z" | "X")) {
            AddressSpace::Exited
        } else {
            AddressSpace::KernelThread
        }
    }
}

fn target(dir: &Path, status: &Status, own: &Caller) -> Target {
    let [ruid, euid, suid, _] = status.ids("Uid", own.view);
    let [rgid, egid, sgid, _] = status.ids("Gid", own.view);
    let user_ns = lineage(dir, own);
    let present = status.address_space() == AddressSpace::Present;
    let mut dumpable = None;
    let mut mm_user_ns = None;
    if let (true, Ok(owner)) = (present, stat(dir.join("maps"))) {
        let owner = (own.view.id(owner.st_uid), own.view.id(owner.st_gid));
        let root = namespace_root(dir);
        dumpable = match both_same(owner, (euid, egid)) {
            Some(true) => {
                let roots = possible_roots(root, user_ns.as_deref(), own.view);
                // Otherwise root may own the files because the process is not dumpable.
                let clear = roots.is_some_and(|roots| !roots.contains(&owner));
                clear.then_some(true)
            }
            other => other,
        };
        mm_user_ns = mm_namespaces(user_ns.as_deref(), owner, root);
    }
    Target {
        exists: Some(true),
        uid: [ruid, euid, suid],
        gid: [rgid, egid, sgid],
        address_space: Some(status.address_space()),
        dumpable,
        permitted: status.capabilities("CapPrm"),
        user_ns,
        mm_user_ns,
    }
}

type Owner = (Id, Id);
const ROOT: Owner = (Id::Known(0), Id::Known(0));

fn both_same(a: Owner, b: Owner) -> Option<bool> {
    match (a.0.same(b.0), a.1.same(b.1)) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// The root ids of the target's user namespace as we see them, and whether it maps ids as ours
/// does.
fn namespace_root(dir: &Path) -> Option<(Owner, bool)> {
    let uid_map = fs::read_to_string(dir.join("uid_map")).ok()?;
    let gid_map = fs::read_to_string(dir.join("gid_map")).ok()?;
    let root = |map: &str| Id::Known(root_of(map));
    Some(((root(&uid_map), root(&gid_map)), is_identity(&uid_map) && is_identity(&gid_map)))
}

/// The id outside of a user namespace of its root, by its `uid_map` or `gid_map`.
fn root_of(map: &str) -> u32 {
    let outside = map.lines().find_map(|row| {
        let mut words = row.split_ascii_whitespace();
        (words.next()? == "0").then(|| words.next()?.parse().ok())?
    });
    outside.unwrap_or(0) // without a root of its own, the first one
}

/// The possible owners of the files of a non-dumpable process: root of the user namespace of its
/// address space, which is the target's or an ancestor.
///
/// # References
/// Linux 6.18 `task_dump_owner` in `fs/proc/base.c`.
fn possible_roots(
    root: Option<(Owner, bool)>,
    lineage: Option<&[UserNamespace]>,
    view: IdView,
) -> Option<Vec<Owner>> {
    let (root, identity) = root?;
    match lineage {
        _ if !view.identity => None,
        _ if identity => Some(vec![ROOT]),
        Some(lineage) if lineage.len() <= 2 => Some(vec![ROOT, root]),
        _ => None,
    }
}

/// The user namespaces to which a non-dumpable address space may belong, given the `owner` of its
/// files: root of that namespace, or the initial root.
fn mm_namespaces(
    lineage: Option<&[UserNamespace]>,
    owner: Owner,
    root: Option<(Owner, bool)>,
) -> Option<Vec<NamespaceId>> {
    let lineage = lineage?;
    let fits = |depth: usize, ns: &UserNamespace| {
        // The maps of the namespaces between are not visible.
        let root =
            if ns.id.is_initial() { Some(ROOT) } else { root.map(|r| r.0).filter(|_| depth == 0) };
        root.is_none_or(|root| root == owner)
    };
    let initial = lineage.last()?.id.is_initial();
    let ids =
        || lineage.iter().enumerate().filter(|(depth, ns)| fits(*depth, ns)).map(|(_, ns)| ns.id);
    initial.then(|| ids().collect())
}

fn open_user_ns(dir: &Path) -> rustix::io::Result<OwnedFd> {
    open(dir.join("ns/user"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

fn namespace_id(namespace: &OwnedFd) -> Option<NamespaceId> {
    let stat = fstat(namespace).ok()?;
    Some(NamespaceId { device: stat.st_dev, inode: stat.st_ino })
}

fn user_ns(dir: &Path) -> Option<NamespaceId> {
    match stat(dir.join("ns/user")) {
        Ok(stat) => Some(NamespaceId { device: stat.st_dev, inode: stat.st_ino }),
        // A kernel without CONFIG_USER_NS has only the initial one.
        Err(Errno::NOENT) if dir.join("ns").exists() => Some(NamespaceId::INITIAL),
        Err(_) => None,
    }
}

/// The target's user namespace and its ancestors; needs permission to read the target.
fn lineage(dir: &Path, own: &Caller) -> Option<Vec<UserNamespace>> {
    let mut lineage = Vec::new();
    if own.credentials.user_ns == Some(NamespaceId::INITIAL) {
        lineage.push(UserNamespace { id: NamespaceId::INITIAL, owner: Id::Known(0) });
        return Some(lineage);
    }
    let mut next = open_user_ns(dir).ok();
    while let Some(namespace) = next {
        let owner = nsfs::owner_uid(&namespace).map_or(Id::Unknown, |uid| own.view.id(uid));
        lineage.push(UserNamespace { id: namespace_id(&namespace)?, owner });
        next = nsfs::parent(&namespace).ok();
    }
    (!lineage.is_empty()).then_some(lineage)
}

/// Whether the process exists, hidden or not: kill(2) succeeds or lacks only permission.
fn signal_reaches(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

/// The options of the proc file system that is mounted at `proc_root`.
fn proc_mount(proc_root: &Path, device: u64, own_ns: Option<NamespaceId>) -> ProcMount {
    let mountinfo = ["self/mountinfo", "/proc/self/mountinfo"]
        .iter()
        .find_map(|path| fs::read_to_string(proc_root.join(path)).ok())
        .unwrap_or_default();
    proc_options(&mountinfo, &format!("{}:{}", major(device), minor(device)), own_ns)
}

fn proc_options(mountinfo: &str, device: &str, own_ns: Option<NamespaceId>) -> ProcMount {
    let options = super_options(mountinfo, device);
    let value = |key: &str| options?.split(',').find_map(|o| o.strip_prefix(key));
    // The option shows a number of the initial user namespace, but ids of processes are in ours.
    let in_first = own_ns.is_some_and(NamespaceId::is_initial);
    ProcMount {
        hidepid: options.and(match value("hidepid=") {
            None | Some("0" | "off") => Some(HidePid::Off),
            Some("1" | "noaccess") => Some(HidePid::NoAccess),
            Some("2" | "invisible") => Some(HidePid::Invisible),
            Some("4" | "ptraceable") => Some(HidePid::Ptraceable),
            Some(_) => None,
        }),
        gid: match value("gid=").map(str::parse) {
            Some(Ok(gid)) if in_first => Id::Known(gid),
            None if in_first && options.is_some() => Id::Known(0),
            _ => Id::Unknown,
        },
    }
}

/// The last field of the line of mountinfo whose third is `device`. proc_pid_mountinfo(5)
fn super_options<'a>(mountinfo: &'a str, device: &str) -> Option<&'a str> {
    let line = mountinfo.lines().find(|l| l.split(' ').nth(2) == Some(device))?;
    line.split_once(" - ")?.1.split(' ').nth(2)
}

/// Reads the texts that this file parses.
#[cfg(fuzzing)]
pub(crate) fn read_texts(text: &str) {
    let view = super::credentials::IdView::of_map(text, Some("65534\n"));
    let status = Status::new(text.as_bytes());
    let credentials = status.credentials(view);
    assert!(credentials.groups.len() <= text.len());
    let _ = (status.address_space(), status.number("Tgid"), status.capabilities("CapBnd"));
    for namespace in [None, Some(NamespaceId::INITIAL)] {
        let mount = proc_options(text, "0:21", namespace);
        assert!(namespace.is_some() || mount.gid == Id::Unknown);
    }
    root_of(text);
    is_identity(text);
}

fn kernel_version() -> (u32, u32) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn read(path: &Path) -> Result<Vec<u8>, Errno> {
    fs::read(path).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_options_by_device() {
        let text = "22 27 0:21 / /proc rw,relatime - proc proc rw\n\
                    63 43 0:39 / /tmp/hp rw,relatime shared:5 - proc proc rw,gid=7,hidepid=noaccess\n";
        assert_eq!(super_options(text, "0:21"), Some("rw"));
        assert_eq!(super_options(text, "0:39"), Some("rw,gid=7,hidepid=noaccess"));
        assert_eq!(super_options(text, "0:3"), None);
    }
}
