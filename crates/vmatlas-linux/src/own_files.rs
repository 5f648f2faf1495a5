//! Opens files by paths of our own mount namespace, which a recording or a core dump names.

use crate::file_server::{FileServer, Handle};
use crate::mounts::Mounts;
use crate::regular_file::RegularFile;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time limit for each system call on a file system that may never answer.
const LIMIT: Duration = Duration::from_millis(1500);
/// How long a file system that did not answer is not tried again.
const PAUSE: Duration = Duration::from_secs(60);
/// The most file systems that may be silent at a time: each keeps a process that waits for it.
const MAX_SILENT: usize = 8;

/// The mounts that did not answer, by id, and when; `None` where the path led there by a link.
static SILENT: Mutex<Vec<(Option<u64>, Instant)>> = Mutex::new(Vec::new());

/// Opens a regular file without blocking on a pipe, a device or a file system: another user may
/// have put one there.
///
/// # Errors
/// Those of open(2); `EINVAL` if the file is not regular, `ETIMEDOUT` if its file system does not
/// answer.
pub(crate) fn open_regular(path: &Path) -> io::Result<RegularFile> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let mountinfo = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let mounts = Mounts::parse(&mountinfo);
    if mounts.all_local() {
        // Opening a device may have side effects, so the type is checked before.
        let found = Handle::from(rustix::fs::open(path, flags, Mode::empty())?);
        return RegularFile::behind(&found);
    }
    let absolute = std::path::absolute(path)?;
    let way = mounts.on_the_way(absolute.as_os_str().as_bytes());
    let mount = way.iter().rev().find(|mount| !mount.is_local()).map(|mount| mount.id);
    if is_silent(mount) {
        return Err(Errno::TIMEDOUT.into());
    }
    let server = FileServer::start(&[], None, LIMIT)?;
    let opened = server
        .directory(CWD)
        .open(absolute.as_os_str().as_bytes(), flags, None)
        .map_err(io::Error::from)
        .and_then(|found| RegularFile::behind(&found));
    if !server.answers() {
        let mut silent = SILENT.lock().unwrap_or_else(PoisonError::into_inner);
        silent.push((mount, Instant::now()));
    }
    opened
}

fn is_silent(mount: Option<u64>) -> bool {
    let mut silent = SILENT.lock().unwrap_or_else(PoisonError::into_inner);
    silent.retain(|(_, since)| since.elapsed() < PAUSE);
    silent.len() >= MAX_SILENT || mount.is_some() && silent.iter().any(|(id, _)| *id == mount)
}
