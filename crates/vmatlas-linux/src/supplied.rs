//! Opens files that a process names, with its rights and no more than ours.
//!
//! A process may name any file: in a debug link, as a perf map behind a bind mount. A reader with
//! more rights, such as root, must not read for it what it may not read itself.

use crate::access::{Capabilities, Credentials, FileStatus, Id};
use crate::file_server::{FileServer, Handle, Ids, Rights};
use crate::file_systems::{Contents, of_number};
use crate::process::Process;
use crate::regular_file::RegularFile;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Time limit for each system call on the process's file systems.
const LIMIT: Duration = Duration::from_secs(2);
/// How many servers are started in turn, if file systems do not answer them.
const MAX_SERVERS: u32 = 3;

/// The files that a process names.
#[derive(Debug)]
pub(crate) struct SuppliedFiles {
    /// Its root directory, and ours: the way out of a chroot(2).
    roots: Vec<Arc<OwnedFd>>,
    /// Its credentials at the beginning; `None` if it had ended by then.
    its: Option<FileStatus>,
    /// `None` if the credentials are not known: then nothing is opened.
    access: OnceLock<Option<Access>>,
    servers: Mutex<(u32, Option<Arc<FileServer>>)>,
}

/// With which rights its files are opened.
#[derive(Debug)]
struct Access {
    /// `None` if it has no fewer rights than we have.
    rights: Option<Rights>,
    /// The user who owns its files; `None` if that id has no number here.
    uid: Option<u32>,
}

impl SuppliedFiles {
    pub(crate) fn of(process: &Process) -> SuppliedFiles {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(process.dir(), "root", flags, Mode::empty()).ok().map(Arc::new);
        SuppliedFiles::below(process, root.into_iter().collect())
    }

    /// The files below these directories, the first of which is tried first.
    pub(crate) fn below(process: &Process, roots: Vec<Arc<OwnedFd>>) -> SuppliedFiles {
        let (access, servers) = (OnceLock::new(), Mutex::default());
        SuppliedFiles { roots, its: FileStatus::read(process), access, servers }
    }

    /// With which rights its files are opened. Most processes name no file, so it is found out
    /// when the first one is opened.
    fn access(&self) -> Option<&Access> {
        let find = || {
            let its = self.its.as_ref()?.credentials()?;
            let own = Process::this(Path::new("/proc")).ok()?;
            let ours = FileStatus::read(&own)?.credentials()?;
            Some(Access { rights: rights(&its, &ours), uid: known(its.fsuid) })
        };
        self.access.get_or_init(find).as_ref()
    }

    /// Opens a file by its path, following symbolic links below the root.
    ///
    /// # Errors
    /// `ENOENT` if none of the roots has a regular file there that the process may read,
    /// `ETIMEDOUT` if a file system does not answer.
    pub(crate) fn open(&self, path: &Path) -> io::Result<RegularFile> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        self.find(path, resolve, RegularFile::behind)
    }

    /// Opens a file that the process itself wrote: without following links, owned by its user, and
    /// with no other name, because anybody may make a name in /tmp.
    ///
    /// # Errors
    /// As [`open`](SuppliedFiles::open); `EPERM` if it is another user's file or has several names.
    pub(crate) fn open_own(&self, path: &Path) -> io::Result<RegularFile> {
        let resolve =
            ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        self.find(path, resolve, |handle| {
            let file = RegularFile::behind(handle)?;
            let stat = file.stat();
            let uid = self.access().and_then(|access| access.uid);
            match uid == Some(stat.uid) && stat.links == 1 {
                true => Ok(file),
                false => Err(Errno::PERM.into()),
            }
        })
    }

    fn find(
        &self,
        path: &Path,
        resolve: ResolveFlags,
        open: impl Fn(&Handle) -> io::Result<RegularFile>,
    ) -> io::Result<RegularFile> {
        let path = path.strip_prefix("/").unwrap_or(path).as_os_str().as_bytes();
        let mut first_error = None;
        for root in &self.roots {
            let found = self.server().and_then(|server| {
                let handle = server.directory(root).open(path, OFlags::PATH, Some(resolve))?;
                match of_number(handle.file_system()?) {
                    Some(Contents::Texts) => Err(Errno::PERM.into()),
                    _ => open(&handle),
                }
            });
            match found {
                Ok(file) => return Ok(file),
                Err(error) => drop(first_error.get_or_insert(error)),
            }
        }
        Err(first_error.unwrap_or_else(|| Errno::NOENT.into()))
    }

    /// The server with the rights of the process.
    fn server(&self) -> io::Result<Arc<FileServer>> {
        let access = self.access().ok_or(Errno::PERM)?;
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let (started, server) = &mut *servers;
        if let Some(server) = server.as_ref().filter(|server| server.answers()) {
            return Ok(server.clone());
        }
        if *started == MAX_SERVERS {
            return Err(Errno::TIMEDOUT.into());
        }
        *started += 1;
        let roots: Vec<_> = self.roots.iter().map(|root| root.as_fd()).collect();
        let new = FileServer::start(&roots, access.rights.as_ref(), LIMIT)?;
        Ok(server.insert(new).clone())
    }
}

fn known(id: Id) -> Option<u32> {
    match id {
        Id::Known(id) => Some(id),
        Id::Unmapped | Id::Unknown => None,
    }
}

/// `CAP_SETGID` and `CAP_SETUID`: to take the ids of another user.
const SET_IDS: Capabilities = Capabilities(1 << 6 | 1 << 7);

/// The rights to take before opening files of a process: its own as far as we have them. Ids that
/// have no number here become that of nobody, and capabilities count only in our user namespace.
fn rights(its: &Credentials, ours: &Credentials) -> Option<Rights> {
    const NOBODY: u32 = 65534;
    let capabilities = match its.user_ns.is_some() && its.user_ns == ours.user_ns {
        true => its.effective.0 & ours.effective.0,
        false => 0,
    };
    let same_ids = its.fsuid == ours.fsuid && known(its.fsuid).is_some();
    if same_ids && ours.effective.0 == capabilities {
        return None;
    }
    let ids = || Ids {
        uid: known(its.fsuid).unwrap_or(NOBODY),
        gid: known(its.fsgid).unwrap_or(NOBODY),
        groups: its.groups.iter().copied().filter_map(known).collect(),
    };
    // Without the right to take its ids we keep ours, and nothing above them.
    let ids = ours.effective.contains(SET_IDS).then(ids);
    Some(Rights { ids, capabilities })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::ProcessId;

    #[test]
    fn nothing_is_opened_without_known_credentials() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let id = ProcessId { pid: child.id(), tid: None };
        let process = Process::open(Path::new("/proc"), id).unwrap();
        let root = || {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            vec![Arc::new(rustix::fs::open("/", flags, Mode::empty()).unwrap())]
        };
        let path = Path::new("/proc/../etc/passwd");
        assert!(SuppliedFiles::below(&process, root()).open(path).is_ok());
        child.kill().unwrap();
        child.wait().unwrap();
        let error = SuppliedFiles::below(&process, root()).open(path).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::PERM.raw_os_error()));
    }
}
