//! Opens the files behind executable mappings without blocking on a file system.

use crate::file_server::Handle;
use crate::files::memory_device;
use crate::mounts::Mounts;
use crate::process::Process;
use crate::regular_file::RegularFile;
use rustix::fs::{Mode, OFlags, fstat, openat};
use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use vmatlas_maps::{Device, Mapping};

/// Opens mapped files for reading.
#[derive(Debug, Default)]
pub(crate) struct CodeFiles {
    /// Whether a device that is not a block device answers without a user-space server: the server
    /// may be a recorded process that is stopped while we ask.
    answers: HashMap<Device, bool>,
    /// The devices whose pages may block whoever reads them, see [`note`](CodeFiles::note).
    pub(crate) refused: HashSet<Device>,
}

impl CodeFiles {
    /// The regular file behind a row of a process, if it is available without blocking.
    pub(crate) fn open(&mut self, process: &Process, row: &Mapping<'_>) -> Option<RegularFile> {
        if row.inode == 0 || !row.name.starts_with(b"/") || !self.answers(process, row) {
            return None;
        }
        let path = OFlags::PATH | OFlags::CLOEXEC;
        let link = format!("map_files/{:x}-{:x}", row.range.start, row.range.end);
        let opened = match openat(process.dir(), link, path, Mode::empty()) {
            Ok(fd) => fd,
            // Without privileges: by its path, if that still refers to it.
            Err(_) => by_path(process, row)?,
        };
        RegularFile::behind(&Handle::from(opened)).ok()
    }

    /// Notes the device of a row: whether its file system answers by itself.
    pub(crate) fn note(&mut self, process: &Process, row: &Mapping<'_>) {
        let is_memory = |device: Device| memory_device() == Some(device);
        if row.device != Device::default()
            && !self.answers.contains_key(&row.device)
            && !self.answers(process, row)
            && !is_memory(row.device)
        {
            self.refused.insert(row.device);
        }
    }

    fn answers(&mut self, process: &Process, row: &Mapping<'_>) -> bool {
        if let Some(known) = self.answers.get(&row.device) {
            return *known;
        }
        let mounts = Mounts::read(process).unwrap_or_default();
        let mount = mounts.holding(row.device, row.name);
        let answers = mount.is_some_and(|mount| mount.is_local() || mount.fs_type == b"overlay");
        self.answers.insert(row.device, answers);
        answers
    }
}

fn by_path(process: &Process, row: &Mapping<'_>) -> Option<OwnedFd> {
    let name = vmatlas_maps::restore_line_feeds(row.name);
    let path = [b"root".as_slice(), &name].concat();
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = openat(process.dir(), path, flags, Mode::empty()).ok()?;
    (fstat(&fd).ok()?.st_ino == row.inode).then_some(fd)
}
