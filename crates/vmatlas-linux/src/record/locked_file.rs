//! A file with a lock, which is held while it grows.

use crate::new_file::{CreateError, Place, Reason, Replace, TRIES};
use crate::sys::file_size_signal::without_sigxfsz;
use rustix::fs::{
    AtFlags, FlockOperation, Mode, OFlags, RenameFlags, Stat, flock, fstat, renameat_with, statat,
    unlinkat,
};
use rustix::io::{Errno, retry_on_intr};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::Path;

/// A file that nobody else who asks for its lock writes to.
#[derive(Debug)]
pub(crate) struct LockedFile {
    place: Place,
    file: File,
    /// The file that is replaced, under a temporary name, with its lock. It comes back if the
    /// new file is [discarded](LockedFile::discard).
    old: Option<(OsString, Option<OwnedFd>)>,
}

impl LockedFile {
    /// Creates a file and locks it. `what` names its purpose in errors.
    ///
    /// # Errors
    /// [`CreateError`]; nothing has changed.
    pub(crate) fn create(
        path: &Path,
        what: &'static str,
        replace: Replace,
    ) -> Result<LockedFile, CreateError> {
        create(path, replace).map_err(|reason| CreateError::new(path, what, reason))
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Writes all of these bytes.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        without_sigxfsz(|| (&self.file).write_all(bytes))
    }

    /// Whether the file still has a name.
    pub(crate) fn has_name(&self) -> bool {
        fstat(&self.file).is_ok_and(|stat| stat.st_nlink > 0)
    }

    /// Removes the replaced file for good.
    pub(crate) fn keep(&mut self) {
        if let Some((name, _lock)) = self.old.take() {
            let _ = unlinkat(&self.place.dir, &*name, AtFlags::empty());
        }
    }

    /// Removes the new file. A replaced one comes back.
    pub(crate) fn discard(self) {
        let Place { dir, name } = &self.place;
        let restored =
            self.old.as_ref().map(|(old, _)| &**old).filter(|old| {
                renameat_with(dir, *old, dir, &**name, RenameFlags::EXCHANGE).is_ok()
            });
        let last = restored.unwrap_or(name);
        if fstat(&self.file).is_ok_and(|stat| is_name_of(&self.place, last, &stat)) {
            let _ = unlinkat(dir, last, AtFlags::empty());
        }
    }
}

fn create(path: &Path, replace: Replace) -> Result<LockedFile, Reason> {
    let place = Place::of(path)?;
    for _ in 0..TRIES {
        let Some(old) = place.existing(replace)? else {
            let file = match place.create(&place.name) {
                Err(Errno::EXIST) => continue,
                file => file?,
            };
            lock(&file)?;
            // Another recorder may have locked and replaced it first.
            if is_name_of(&place, &place.name, &fstat(&file)?) {
                return Ok(LockedFile { place, file, old: None });
            }
            continue;
        };
        let stat = fstat(&old)?;
        let old = open_to_lock(&old);
        old.as_ref().map_or(Ok(()), lock)?;
        if !is_name_of(&place, &place.name, &stat) {
            continue;
        }
        let (name, file) = place.create_beside()?;
        let replaced = lock(&file).and_then(|()| Ok(place.rename(&name, RenameFlags::EXCHANGE)?));
        if let Err(reason) = replaced {
            let _ = unlinkat(&place.dir, &*name, AtFlags::empty());
            return Err(reason);
        }
        return Ok(LockedFile { place, file, old: Some((name, old)) });
    }
    Err(in_use())
}

/// Whether a name of the directory still is that of this file.
fn is_name_of(place: &Place, name: &OsStr, file: &Stat) -> bool {
    let now = statat(&place.dir, name, AtFlags::SYMLINK_NOFOLLOW);
    now.is_ok_and(|now| (now.st_dev, now.st_ino) == (file.st_dev, file.st_ino))
}

/// Opens a regular file for its lock; `None` if we may not, and then no recorder of ours has it.
fn open_to_lock(file: &OwnedFd) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let open = |flags| {
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::open(&*path, flags, Mode::empty()).ok()
    };
    // NFS wants a file that is open for writing.
    open(OFlags::RDWR).or_else(|| open(OFlags::RDONLY))
}

fn lock<F: AsFd>(file: &F) -> Result<(), Reason> {
    match retry_on_intr(|| flock(file, FlockOperation::NonBlockingLockExclusive)) {
        Err(Errno::WOULDBLOCK) => Err(in_use()),
        // Some file systems have no locks.
        _ => Ok(()),
    }
}

fn in_use() -> Reason {
    Reason::Io(io::Error::other(
        "another process holds the lock of this file, such as a recorder: name another one",
    ))
}
