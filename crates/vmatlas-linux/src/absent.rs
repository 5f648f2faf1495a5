//! Finds out that a file does not exist, without a process that may wait for a file system.

use crate::file_server::Handle;
use crate::mounts::Mounts;
use crate::process::Process;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat};
use rustix::io::Errno;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Whether an absolute path certainly leads to nothing in a process's root directory. Looks only
/// into directories of mounts for which the kernel answers by itself: `mounts` are those of the
/// process, by their ids. If that is not enough, or the path has a symbolic link, the answer is no.
///
/// The process may mount something at any time. Therefore no lookup enters another mount, except
/// onto its root, of which nothing is asked before its id is known.
pub(crate) fn is_absent(process: &Process, mounts: &Mounts, path: &Path) -> bool {
    look(process, mounts, path.as_os_str().as_bytes()) == Some(Errno::NOENT)
}

/// The error of the first lookup that failed; `None` if the file exists, or if a directory is on a
/// file system that may not answer.
fn look(process: &Process, mounts: &Mounts, path: &[u8]) -> Option<Errno> {
    // Without O_DIRECTORY, no file system is mounted because of the lookup.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let stays = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let is_local = |at: &Handle| {
        let mount = at.stat().ok().and_then(|stat| mounts.by_id(stat.mount));
        mount.is_some_and(|mount| mount.is_local())
    };
    let root = openat(process.dir(), "root", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let mut at = Handle::from(root.ok()?);
    for name in path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
        if !is_local(&at) {
            return None;
        }
        at = match at.open(name, flags, Some(stays | ResolveFlags::NO_XDEV)) {
            Err(Errno::XDEV) => at.open(name, flags, Some(stays)).ok()?,
            Err(errno) => return Some(errno),
            Ok(next) => next,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> (Process, Mounts) {
        let process = Process::this(Path::new("/proc")).unwrap();
        let mounts = Mounts::read(&process).unwrap();
        (process, mounts)
    }

    #[test]
    fn only_what_is_missing_is_absent() {
        let (process, mounts) = own();
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = |name| directory.path().join(name);
        std::fs::write(path("file"), "").unwrap();
        std::os::unix::fs::symlink("missing", path("link")).unwrap();
        let is_absent = |path: &Path| is_absent(&process, &mounts, path);
        // `/dev/shm` is another mount than `/`, as a rule.
        if mounts.on_the_way(path("missing").as_os_str().as_bytes()).iter().all(|m| m.is_local()) {
            assert!(is_absent(&path("missing")));
        }
        assert!(!is_absent(&path("file")) && !is_absent(&path("link")));
        assert!(!is_absent(&path("file/below")) && !is_absent(directory.path()));
    }

    /// A file system that is not known to answer is not asked.
    #[test]
    fn nothing_is_absent_on_unknown_mounts() {
        let (process, mounts) = own();
        let path = Path::new("/proc/self/missing");
        assert!(!is_absent(&process, &Mounts::default(), path));
        let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let remote: String = text
            .lines()
            .map(|line| format!("{}\n", line.replace(" - proc ", " - fuse ")))
            .collect();
        let missing = Path::new("/proc/missing");
        if mounts.on_the_way(b"/proc").iter().all(|mount| mount.is_local()) {
            assert!(is_absent(&process, &mounts, missing));
        }
        assert!(!is_absent(&process, &Mounts::parse(remote.as_bytes()), missing));
    }
}
