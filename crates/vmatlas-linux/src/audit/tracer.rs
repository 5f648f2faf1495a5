//! The process that traces another.

use super::{AuditShared, executable, writers};
use crate::access::Status;
use crate::deadline::within;
use crate::file_server::Handle;
use crate::files::along;
use crate::process::{Process, ProcessId};
use crate::regular_file::RegularFile;
use rustix::fs::{AtFlags, Mode, OFlags, readlinkat, statat};
use std::path::Path;
use std::time::Duration;
use vmatlas_explain::audit::Tracer;

/// Time limit for the directories of a path.
const LIMIT: Duration = Duration::from_secs(2);

pub(super) fn of(process: &Process, status: &Status, shared: &AuditShared) -> Option<Tracer> {
    let pid = status.number("TracerPid").filter(|pid| *pid != 0)?;
    let mut tracer = Tracer::default();
    tracer.pid = pid;
    let above = process.path().ancestors().find(|path| path.ends_with("proc"));
    let proc = above.unwrap_or(Path::new("/proc"));
    let Ok(its) = Process::open(proc, ProcessId { pid, tid: None }) else { return Some(tracer) };
    tracer.exe =
        readlinkat(its.dir(), "exe", Vec::new()).map(|path| path.into_bytes()).unwrap_or_default();
    let stat = statat(its.dir(), "exe", AtFlags::empty()).ok();
    let own = rustix::fs::stat("/proc/self/exe").ok();
    let id = |stat: Option<&rustix::fs::Stat>| stat.map(|stat| (stat.st_dev, stat.st_ino));
    tracer.is_own = id(stat.as_ref()).is_some() && id(stat.as_ref()) == id(own.as_ref());
    let is_there = || {
        let file = system_file(&tracer.exe, shared)?;
        let (stat, its) = (stat.as_ref()?, file.stat());
        Some(stat.st_ino == its.inode)
    };
    tracer.is_of_system = is_there() == Some(true);
    Some(tracer)
}

/// Opens a file of ours that only root can write or replace.
pub(super) fn system_file(path: &[u8], shared: &AuditShared) -> Option<RegularFile> {
    let file = executable::open(path)?;
    let owned = path.to_vec();
    let along = within(LIMIT, move || {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = Handle::from(rustix::fs::open("/", flags, Mode::empty()).ok()?);
        // The system's directories may be links (/bin), which root has made.
        let real = std::fs::canonicalize(Path::new(std::ffi::OsStr::new(
            std::str::from_utf8(&owned).ok()?,
        )));
        let real = real.ok()?.into_os_string().into_encoded_bytes();
        let along = along(&root, &real);
        Some((real, along))
    })??;
    let (real, along) = along;
    let stat = along.last()?.1;
    let is_it = stat.inode == file.stat().inode && stat.uid == 0;
    let is_safe = writers::of(&real, &along, executable::groups(shared)).is_empty();
    (is_it && is_safe).then_some(file)
}
