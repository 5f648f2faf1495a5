//! What the files behind mappings really are: names made certain, files opened safely.
//!
//! The text leaves names open: `/x (deleted)` is a file `/x` whose name is gone or a file that is
//! called so, `\012` is a line feed or four characters. Here each name is held against a second
//! source: the raw name of `PROCMAP_QUERY`, the file behind `/proc/PID/map_files`, and device and
//! inode of what lies at the path in the process's mount namespace. What none of these settles
//! is said to be not certain.

use crate::deadline::within_each;
use crate::error::Error;
use crate::mounts::Mounts;
use crate::process::Process;
use crate::query::PointQuery;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxFlags, openat, openat2, statx,
};
use rustix::io::Errno;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use vmatlas::{AddressRange, Device, FileName, Mapping, Maps, restore_line_feeds};

/// What is known of a file that is mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileTruth {
    /// Its path in the process's mount namespace, without ` (deleted)` and with line feeds as
    /// they are; the likelier reading of the name if it is not certain.
    pub path: Vec<u8>,
    /// Whether the name it was opened by is gone; none where that cannot be told.
    pub deleted: Option<bool>,
    /// Whether a second source proves path and `deleted`.
    pub certain: bool,
    /// What lies at the path now.
    pub now: Now,
}

/// What lies at the path of a mapped file now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Now {
    /// The file that is mapped.
    Same,
    /// Nothing, and the file has no other link: its memory is all that is left.
    Nothing,
    /// Nothing, but the file has another link elsewhere, or is kept by one who has it open
    /// under a new name.
    Linked,
    /// Another file: the mapped one is outdated.
    Replaced {
        /// The other file's inode number.
        inode: u64,
    },
    /// It never had a name (`O_TMPFILE`, see open(2)).
    Unnamed,
    /// Not known: the path cannot be reached from here, or its file system did not answer.
    Unknown,
}

impl Now {
    /// A word or two for people; empty where there is nothing to say.
    pub fn note(self) -> &'static str {
        match self {
            Now::Same | Now::Unknown => "",
            Now::Nothing => "deleted",
            Now::Linked => "deleted, but another link is left",
            Now::Replaced { .. } => "outdated: replaced by a newer file",
            Now::Unnamed => "never had a name",
        }
    }
}

/// What tells one file from another: device and inode as statx(2) gives them, which on btrfs and
/// overlayfs are not those that maps shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: Device,
    inode: u64,
}

#[derive(Clone, Copy, Debug)]
struct Stat {
    id: FileId,
    links: u32,
    mount: u64,
    regular: bool,
}

/// How long the file systems of a process may take to answer.
const LIMIT: Duration = Duration::from_secs(2);

/// The files of a process.
#[derive(Clone, Debug)]
pub struct Files(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The process's directory in /proc.
    dir: OwnedFd,
    /// The roots from which a path may be meant: the process's, and the reader's, because
    /// d_path() prints names as seen from the reader's root.
    roots: Vec<OwnedFd>,
    mounts: Mounts,
    own_mounts: Mounts,
}

/// The truth about each row's file.
#[derive(Clone, Debug, Default)]
pub struct FileTruths {
    of_row: Vec<Option<u32>>,
    truths: Vec<FileTruth>,
}

impl FileTruths {
    /// What is known of the file of row number `index`; none for a row without a file.
    pub fn get(&self, index: usize) -> Option<&FileTruth> {
        let truth = (*self.of_row.get(index)?)?;
        self.truths.get(truth as usize)
    }
}

/// A file to be looked into, and the range of one row of it.
struct Question {
    name: Vec<u8>,
    raw_name: Option<Vec<u8>>,
    row: AddressRange,
    device: Device,
    inode: u64,
}

impl Files {
    /// The files of a process.
    ///
    /// # Errors
    /// [`Error::Denied`] or [`Error::Vanished`].
    pub fn of(process: &Process) -> Result<Files, Error> {
        let path_only = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(process.dir(), ".", path_only, Mode::empty())
            .map_err(|errno| process.error(".", errno))?;
        let its_root = openat(process.dir(), "root", path_only, Mode::empty());
        let own_root = rustix::fs::open("/", path_only, Mode::empty());
        let roots = its_root.into_iter().chain(own_root).collect();
        let mounts = Mounts::of(process)?;
        let own_mounts = std::fs::read("/proc/self/mountinfo")
            .map(|text| Mounts::parse(&text))
            .unwrap_or_default();
        Ok(Files(Arc::new(Inner { dir, roots, mounts, own_mounts })))
    }

    /// The mounts of the process.
    pub fn mounts(&self) -> &Mounts {
        &self.0.mounts
    }

    /// Makes the names of all rows' files certain, as far as that can be done. Each file is
    /// asked for once.
    pub fn truths(&self, process: &Process, maps: &Maps) -> FileTruths {
        let mut query = PointQuery::open(process).ok();
        let mut known: HashMap<(&[u8], Device, u64), u32> = HashMap::new();
        let mut questions = Vec::new();
        let mut truths = Vec::new();
        let mut last: Option<(Mapping<'_>, Option<u32>)> = None;
        let mut of_row = Vec::with_capacity(maps.len());
        for row in maps.iter() {
            let same = |m: &Mapping<'_>| {
                m.inode == row.inode && m.device == row.device && m.name == row.name
            };
            let index = match &last {
                Some((mapping, index)) if same(mapping) => *index,
                _ => row.file_name().map(|name| {
                    *known.entry((row.name, row.device, row.inode)).or_insert_with(|| {
                        let raw_name = query.as_mut().and_then(|query| raw_name(query, &row));
                        let FileName { path, deleted, .. } = name;
                        truths.push(FileTruth {
                            path: path.into_owned(),
                            deleted,
                            certain: false,
                            now: Now::Unknown,
                        });
                        questions.push(Question {
                            name: row.name.to_vec(),
                            raw_name,
                            row: row.range,
                            device: row.device,
                            inode: row.inode,
                        });
                        truths.len() as u32 - 1
                    })
                }),
            };
            last = Some((row, index));
            of_row.push(index);
        }
        let files = self.clone();
        // What may never answer comes last.
        let mut order: Vec<usize> = (0..questions.len()).collect();
        order.sort_by_key(|&index| self.0.is_remote(&questions[index]));
        let answers = within_each(LIMIT, truths.len(), move |send| {
            order.into_iter().for_each(|index| send((index, files.0.truth(&questions[index]))));
        });
        for (index, answer) in answers {
            if let Some(truth) = answer {
                truths[index] = truth;
            }
        }
        FileTruths { of_row, truths }
    }

    /// Opens the file behind a row for reading: through map_files, else by its path if what lies
    /// there has the row's device and inode. Only regular files are opened, and never waited for:
    /// do it [`within`] a time limit all the same.
    pub fn open(&self, row: &Mapping<'_>, truth: Option<&FileTruth>) -> Option<File> {
        let files = &self.0;
        let regular = |fd: OwnedFd| {
            let stat = stat_fd(&fd)?;
            stat.regular.then_some((fd, stat.id))
        };
        let by_path = || {
            let question = Question {
                name: row.name.to_vec(),
                raw_name: None,
                row: row.range,
                device: row.device,
                inode: row.inode,
            };
            let path = &truth.filter(|truth| truth.now == Now::Same)?.path;
            files.at(path).map(|(fd, _)| fd).find(|fd| files.is(fd, &question, None))
        };
        let (fd, id) = files.behind(row.range).and_then(regular).or_else(|| regular(by_path()?))?;
        reopen(&fd).ok().filter(|file| stat_fd(file).is_some_and(|stat| stat.id == id))
    }

    /// Opens a regular file by its path in the process's mount namespace, else in the reader's.
    ///
    /// # Errors
    /// `ENOENT` where neither has a regular file there.
    pub fn open_path(&self, path: &Path) -> io::Result<File> {
        let mut found = self.0.at(path.as_os_str().as_bytes()).filter(|(_, stat)| stat.regular);
        let (fd, _) = found.next().ok_or(Errno::NOENT)?;
        reopen(&fd)
    }
}

/// Opens for reading what was found and is known to be a regular file.
fn reopen(fd: &OwnedFd) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

fn raw_name(query: &mut PointQuery<'_>, row: &Mapping<'_>) -> Option<Vec<u8>> {
    let name = query.raw_name(row.range.start)?;
    // The row may be another one by now.
    let escaped = name.split(|&b| b == b'\n').collect::<Vec<_>>().join(br"\012".as_slice());
    (escaped == row.name).then(|| name.to_vec())
}

impl Inner {
    /// The file behind a row, without opening it: `map_files`, see proc_pid_map_files(5). To
    /// follow it takes CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE.
    fn behind(&self, row: AddressRange) -> Option<OwnedFd> {
        let link = format!("map_files/{:x}-{:x}", row.start, row.end);
        openat(&self.dir, link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()
    }

    /// Whether the file lies on a file system that asks a server.
    fn is_remote(&self, question: &Question) -> bool {
        let mount = self.mounts.holding(question.device, &question.name);
        let kinds: [&[u8]; 7] = [b"fuse", b"nfs", b"cifs", b"smb", b"9p", b"ceph", b"afs"];
        mount.is_some_and(|mount| kinds.iter().any(|kind| mount.fs_type.starts_with(kind)))
    }

    /// What lies at a path, seen from each root, without opening it. The paths that the kernel
    /// prints go through no symbolic link.
    fn at<'a>(&'a self, path: &'a [u8]) -> impl Iterator<Item = (OwnedFd, Stat)> + 'a {
        let below = path.strip_prefix(b"/").unwrap_or(path);
        let below = if below.is_empty() { b"." } else { below };
        self.roots.iter().filter_map(move |root| {
            let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
            let fd = openat2(root, below, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
                .ok()?;
            let stat = stat_fd(&fd)?;
            Some((fd, stat))
        })
    }

    /// Whether this is the file of the row; `behind` is what map_files says it is.
    fn is(&self, fd: &OwnedFd, question: &Question, behind: Option<&Stat>) -> bool {
        let Some(stat) = stat_fd(fd) else { return false };
        if let Some(behind) = behind {
            return stat.id == behind.id;
        }
        // maps shows the file system's device, which btrfs does not give to stat: it is that of
        // the mount.
        let mount = self.mounts.by_id(stat.mount).or_else(|| self.own_mounts.by_id(stat.mount));
        let device = stat.id.device == question.device
            || mount.is_some_and(|mount| mount.device == question.device);
        device && stat.id.inode == question.inode
    }

    fn truth(&self, question: &Question) -> Option<FileTruth> {
        let name = question.raw_name.as_deref().unwrap_or(&question.name);
        let behind = self.behind(question.row).and_then(|fd| stat_fd(&fd));
        let same =
            |path: &[u8]| self.at(path).any(|(fd, _)| self.is(&fd, question, behind.as_ref()));
        // Without the raw name, both readings of `\012` are tried.
        let mut readings = vec![Cow::Borrowed(name)];
        if question.raw_name.is_none() {
            readings.extend(Some(restore_line_feeds(name)).filter(|restored| *restored != name));
        }
        if let Some(path) = readings.iter().find(|path| same(path)) {
            let path = path.to_vec();
            return Some(FileTruth { path, deleted: Some(false), certain: true, now: Now::Same });
        }
        let (path, reading_certain) = match readings.as_slice() {
            [one] => (one.as_ref(), true),
            [.., last] => (last.as_ref(), false),
            [] => return None,
        };
        let Some(path) = path.strip_suffix(b" (deleted)") else {
            // It should be there and is not: another root, or a mount over it.
            return Some(FileTruth {
                path: path.to_vec(),
                deleted: Some(false),
                certain: false,
                now: Now::Unknown,
            });
        };
        let directory = &path[..path.iter().rposition(|&b| b == b'/')?];
        // The directory is there and has no entry of the full name, or no link is left at all.
        let here = |stat: Stat| {
            behind.map_or(stat.id.device == question.device, |b| stat.id.device == b.id.device)
        };
        let proven =
            behind.is_some_and(|b| b.links == 0) || self.at(directory).any(|(_, stat)| here(stat));
        let unnamed = path.ends_with(format!("/#{}", question.inode).as_bytes());
        let now = match self.at(path).next() {
            Some((fd, _)) if self.is(&fd, question, behind.as_ref()) => Now::Linked,
            Some((_, stat)) => Now::Replaced { inode: stat.id.inode },
            None if unnamed => Now::Unnamed,
            None => match behind {
                Some(behind) if behind.links > 0 => Now::Linked,
                Some(_) => Now::Nothing,
                None => Now::Unknown,
            },
        };
        let deleted = proven.then_some(true);
        Some(FileTruth { path: path.to_vec(), deleted, certain: proven && reading_certain, now })
    }
}

fn stat_fd(fd: impl AsFd) -> Option<Stat> {
    // Whatever the file system knows without asking its server will do.
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let want = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::NLINK | StatxFlags::MNT_ID;
    let stat = statx(fd, "", flags, want).ok()?;
    let device = Device::new(stat.stx_dev_major, stat.stx_dev_minor);
    Some(Stat {
        id: FileId { device, inode: stat.stx_ino },
        links: stat.stx_nlink,
        mount: stat.stx_mnt_id,
        regular: FileType::from_raw_mode(stat.stx_mode.into()) == FileType::RegularFile,
    })
}
