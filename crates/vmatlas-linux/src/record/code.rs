//! Opens the files behind executable mappings without blocking on a file system.

use crate::file_server::{FileServer, Handle};
use crate::files::memory_device;
use crate::mounts::Mounts;
use crate::process::Process;
use crate::regular_file::RegularFile;
use rustix::fs::{OFlags, readlink, readlinkat};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use vmatlas_maps::{Device, Mapping};

/// Time limit for each request to a server.
const LIMIT: Duration = Duration::from_millis(1500);
/// Maximum number of servers that are left behind.
const MAX_LEFT: u32 = 4;

/// Who answers for the files of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    /// The kernel by itself.
    Kernel,
    /// The kernel, or another file system that it does not name (overlayfs).
    Perhaps,
    /// A process, which may be a recorded one that is stopped while we ask, or another machine.
    Other,
}

/// Opens mapped files for reading.
#[derive(Debug, Default)]
pub(crate) struct CodeFiles {
    answers: HashMap<Device, Answers>,
    /// The devices whose pages may block whoever reads them, see [`note`](CodeFiles::note).
    pub(crate) refused: HashSet<Device>,
    /// The last server, and the device whose file it read.
    server: Option<(Arc<FileServer>, Device)>,
    /// The number of servers that were left behind.
    left: u32,
}

impl CodeFiles {
    /// The regular file behind a row of a process, if it is available without blocking.
    pub(crate) fn open(&mut self, process: &Process, row: &Mapping<'_>) -> Option<RegularFile> {
        if let Some((server, device)) = self.server.take()
            && !server.answers()
        {
            self.answers.insert(device, Answers::Other);
            self.left += 1;
        }
        if row.inode == 0 || !row.name.starts_with(b"/") {
            return None;
        }
        let dir = process.dir();
        let dir = match self.answers(process, row) {
            Answers::Kernel => Handle::from(dir.try_clone_to_owned().ok()?),
            Answers::Perhaps if self.left < MAX_LEFT => {
                let server = FileServer::start(&[dir], None, LIMIT).ok()?;
                let dir = server.directory(dir);
                self.server = Some((server, row.device));
                dir
            }
            Answers::Perhaps | Answers::Other => return None,
        };
        let link = format!("map_files/{:x}-{:x}", row.range.start, row.range.end);
        let opened = match dir.open(link.as_bytes(), OFlags::PATH, None) {
            Ok(file) => file,
            // Without privileges: by its path, if that still refers to it.
            Err(_) => by_path(&dir, row)?,
        };
        RegularFile::behind(&opened).ok()
    }

    /// Notes the device of a row: whether its file system answers by itself.
    pub(crate) fn note(&mut self, process: &Process, row: &Mapping<'_>) {
        let is_memory = |device: Device| memory_device() == Some(device);
        if row.device != Device::default()
            && !self.answers.contains_key(&row.device)
            && self.answers(process, row) != Answers::Kernel
            && !is_memory(row.device)
        {
            self.refused.insert(row.device);
        }
    }

    fn answers(&mut self, process: &Process, row: &Mapping<'_>) -> Answers {
        if let Some(known) = self.answers.get(&row.device) {
            return *known;
        }
        let mounts = Mounts::read(process).unwrap_or_default();
        let answers = match mounts.holding(row.device, row.name) {
            Some(mount) if mount.is_local() => Answers::Kernel,
            // One that a user mounted may have layers of FUSE; those of a container of root are
            // root's choice.
            Some(mount) if mount.fs_type == b"overlay" => match is_in_our_user_namespace(process) {
                true => Answers::Kernel,
                false => Answers::Perhaps,
            },
            _ => Answers::Other,
        };
        self.answers.insert(row.device, answers);
        answers
    }
}

fn is_in_our_user_namespace(process: &Process) -> bool {
    let theirs = readlinkat(process.dir(), "ns/user", Vec::new());
    let ours = readlink("/proc/self/ns/user", Vec::new());
    theirs.is_ok_and(|theirs| ours == Ok(theirs))
}

fn by_path(dir: &Handle, row: &Mapping<'_>) -> Option<Handle> {
    let name = vmatlas_maps::restore_line_feeds(row.name);
    let path = [b"root".as_slice(), &name].concat();
    let file = dir.open(&path, OFlags::PATH | OFlags::NOFOLLOW, None).ok()?;
    (file.stat().ok()?.inode == row.inode).then_some(file)
}
