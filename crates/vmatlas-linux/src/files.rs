//! Verifies the names of mapped files, and opens them safely.
//!
//! Names in maps are ambiguous: `/x (deleted)` is a deleted file `/x` or a file with that name,
//! `\012` is a line feed or four characters. Each name is compared with a second source: the raw
//! name of `PROCMAP_QUERY`, the file behind `/proc/PID/map_files`, and the device and inode at the
//! path in the process's mount namespace. A name that none of these confirms is marked as not
//! certain.

use crate::deadline::{Results, all_within};
use crate::error::Error;
use crate::file_server::{FileServer, FileStat, Handle};
use crate::mounts::{Mount, Mounts};
use crate::process::Process;
use crate::query::PointQuery;
use crate::regular_file::RegularFile;
use crate::supplied::SuppliedFiles;
use rustix::fs::{MemfdFlags, Mode, OFlags, ResolveFlags, openat};
use rustix::io::Errno;
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::num::NonZero;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use vmatlas_maps::{AddressRange, Device, FileName, Mapping, Maps, restore_line_feeds};

/// The verified facts about a mapped file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileTruth {
    /// Its path, if it differs from the name of the row, see [`path`](FileTruth::path). A process
    /// may have tens of thousands of files with long names.
    pub other_path: Option<Vec<u8>>,
    /// Whether the name by which it was opened was removed; `None` if unknown.
    pub deleted: Option<bool>,
    /// Whether a second source confirms `path` and `deleted`.
    pub certain: bool,
    /// The file that is at the path now.
    pub now: Now,
}

/// The file that is now at the path of a mapped file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Now {
    /// The file that is mapped.
    Same,
    /// No file, and the mapped file has no other link: only the mapping keeps it.
    Nothing,
    /// No file, but the mapped file has another link, or a process that has it open linked it under
    /// a new name.
    Linked,
    /// A different file: the mapped one is outdated.
    Replaced {
        /// The other file's inode number.
        inode: u64,
    },
    /// The mapped file never had a name (`O_TMPFILE`, see open(2)).
    Unnamed,
    /// Unknown: the path cannot be reached from here, its file system did not answer, or the other
    /// links cannot be counted (without privileges, and on overlayfs).
    Unknown,
}

impl FileTruth {
    /// Its path in the process's mount namespace, without ` (deleted)` and with unescaped line
    /// feeds; the likelier reading if it is not certain. `name` is that of its row.
    pub fn path<'a>(&'a self, name: &'a [u8]) -> &'a [u8] {
        self.other_path.as_deref().unwrap_or(name)
    }

    fn other_path(path: Cow<'_, [u8]>, name: &[u8]) -> Option<Vec<u8>> {
        (*path != *name).then(|| path.into_owned())
    }
}

impl Now {
    /// The change with this note. Which file replaced the mapped one is not known.
    pub fn noted(note: &str) -> Now {
        let all = [Now::Nothing, Now::Linked, Now::Replaced { inode: 0 }, Now::Unnamed];
        all.into_iter().find(|now| now.note() == note).unwrap_or(Now::Unknown)
    }

    /// A short note for people; empty if there is nothing to note.
    pub fn note(self) -> &'static str {
        match self {
            Now::Same | Now::Unknown => "",
            Now::Nothing => "deleted",
            Now::Linked => "deleted, but another link is left",
            Now::Replaced { .. } => "outdated: replaced by another file",
            Now::Unnamed => "never had a name",
        }
    }
}

/// Identifies a file: device and inode from statx(2), which on btrfs and overlayfs differ from
/// those in maps.
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
}

/// Time limit for the file systems of a process.
const LIMIT: Duration = Duration::from_secs(2);
/// Time limit for each system call on a file system that may never answer.
const ANSWER_LIMIT: Duration = Duration::from_millis(1500);
/// Maximum number of files examined at once.
const MAX_QUESTIONS: usize = 4096;
/// Maximum number of concurrent threads that examine files.
const MAX_JOBS: usize = 16;
/// So few files are not worth a thread.
const FEW_FILES: usize = 64;

/// The files of a process.
#[derive(Clone, Debug)]
pub struct Files(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The process's directory of links to its mapped files, see proc_pid_map_files(5).
    map_files: Option<Arc<OwnedFd>>,
    /// The roots to which a path may be relative. d_path() prints paths relative to the reader's
    /// root, and paths outside of it relative to the root of their mount namespace; it ignores the
    /// process's chroot(2).
    roots: Vec<Root>,
    mounts: Mounts,
    own_mounts: Mounts,
    /// The files that the process names itself; `None` in a copy of a /proc tree.
    supplied: Option<SuppliedFiles>,
    unanswered: Mutex<Unanswered>,
}

/// The mounts whose file systems did not answer, and the number of files there that were left out.
type Unanswered = BTreeMap<MountIds, usize>;

/// The ids of the mount of a path in the process's namespace and in the reader's.
type MountIds = [Option<u64>; 2];

#[derive(Debug)]
struct Root {
    dir: Arc<OwnedFd>,
    /// Whether it is the reader's root, which may be in another mount namespace.
    own: bool,
}

/// The verified facts about the file of each row.
#[derive(Clone, Debug, Default)]
pub struct FileTruths {
    of_row: Vec<Option<u32>>,
    truths: Vec<FileTruth>,
}

impl FileTruths {
    /// The facts about the file of row `index`; `None` for a row without a file.
    pub fn get(&self, index: usize) -> Option<&FileTruth> {
        let truth = (*self.of_row.get(index)?)?;
        self.truths.get(truth as usize)
    }
}

/// A file to examine, and one of its rows.
struct Question {
    name: Vec<u8>,
    raw_name: Option<Vec<u8>>,
    row: Row,
}

/// The file facts of a row, without the name.
#[derive(Clone, Copy)]
struct Row {
    range: AddressRange,
    device: Device,
    inode: u64,
}

impl Row {
    /// Whether a file is the row's. While a file is mapped, no other file gets its inode. Some file
    /// systems have other devices or inodes in maps than in statx(2).
    fn is_of(self, stat: &Stat) -> bool {
        stat.id == FileId { device: self.device, inode: self.inode }
    }
}

impl From<&Mapping<'_>> for Row {
    fn from(row: &Mapping<'_>) -> Self {
        Row { range: row.range, device: row.device, inode: row.inode }
    }
}

impl Files {
    /// Opens the files of a process. In a copy of a /proc tree no files are available.
    ///
    /// # Errors
    /// The same as [`Process::read`].
    pub fn read(process: &Process) -> Result<Files, Error> {
        if !process.is_live() {
            let mounts = Mounts::read(process).unwrap_or_default();
            return Ok(Files(Arc::new(Inner { mounts, ..Inner::default() })));
        }
        let thread = process.living_thread();
        let process = thread.as_ref().unwrap_or(process);
        let dir = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // A thread has no map_files below task/, but it has one as /proc/TID.
        let map_files = match process.id().tid {
            Some(tid) => format!("../../../{tid}/map_files"),
            None => "map_files".to_owned(),
        };
        let map_files = openat(process.dir(), map_files, dir, Mode::empty()).ok().map(Arc::new);
        // Leaves any chroot(2): at the top, `..` is the top.
        let its_root = openat(process.dir(), "root", dir, Mode::empty());
        let own_root = rustix::fs::open("/", dir, Mode::empty());
        let same_root = is_same_place(&its_root, &own_root);
        let its_root = its_root
            .map(|root| openat(&root, "../".repeat(256), dir, Mode::empty()).unwrap_or(root));
        let its_root = its_root.map(|dir| Root { dir: Arc::new(dir), own: false });
        let own_root = own_root.map(|dir| Root { dir: Arc::new(dir), own: true });
        let roots: Vec<Root> = its_root.into_iter().chain(own_root).collect();
        let directories = roots.iter().map(|root| root.dir.clone()).collect();
        let supplied = Some(SuppliedFiles::below(process, directories));
        let mounts = Mounts::read(process)?;
        let own_mounts = match same_root {
            true => mounts.clone(),
            false => Mounts::parse(&std::fs::read("/proc/self/mountinfo").unwrap_or_default()),
        };
        Ok(Files(Arc::new(Inner {
            map_files,
            roots,
            mounts,
            own_mounts,
            supplied,
            unanswered: Mutex::default(),
        })))
    }

    /// Whether the kernel answers for the file of a row by itself: no process and no other machine
    /// has to.
    pub(crate) fn is_local(&self, row: &Mapping<'_>) -> bool {
        self.0.way(row.name, row.device).1
    }

    /// The mounts of the process.
    pub fn mounts(&self) -> &Mounts {
        &self.0.mounts
    }

    /// Verifies the names of all rows' files as far as possible. Each file is examined once.
    pub fn truths(&self, process: &Process, maps: &Maps) -> FileTruths {
        self.truths_again(process, maps, &Maps::default(), &FileTruths::default())
    }

    /// Verifies the names in a later reading of the same process. Certain results of the earlier
    /// reading `before`, whose rows are passed too, are kept. A file whose name was removed in
    /// between has another name in the rows and is examined again.
    pub fn truths_again(
        &self,
        process: &Process,
        maps: &Maps,
        rows_before: &Maps,
        before: &FileTruths,
    ) -> FileTruths {
        let settled: HashMap<(&[u8], Device, u64), &FileTruth> = rows_before
            .iter()
            .enumerate()
            .filter_map(|(index, row)| {
                let truth = before.get(index).filter(|truth| truth.certain)?;
                Some(((row.name, row.device, row.inode), truth))
            })
            .collect();
        let mut query = PointQuery::open(process).ok();
        // Equal names have the same place, as a rule. A file with two is asked for twice.
        let mut known: HashMap<(*const u8, Device, u64), u32> = HashMap::new();
        let mut asked: Vec<(u32, usize)> = Vec::new();
        let mut truths = Vec::new();
        let mut last: Option<(Mapping<'_>, Option<u32>)> = None;
        let mut of_row = Vec::with_capacity(maps.len());
        for (at, row) in maps.iter().enumerate() {
            let same = |m: &Mapping<'_>| {
                m.inode == row.inode && m.device == row.device && std::ptr::eq(m.name, row.name)
            };
            let index = match &last {
                Some((mapping, index)) if same(mapping) => *index,
                _ => row.file_name().map(|name| {
                    let key = (row.name.as_ptr(), row.device, row.inode);
                    *known.entry(key).or_insert_with(|| {
                        let number = truths.len() as u32;
                        if let Some(&truth) = settled.get(&(row.name, row.device, row.inode)) {
                            truths.push(truth.clone());
                            return number;
                        }
                        let FileName { path, deleted, .. } = name;
                        truths.push(FileTruth {
                            other_path: FileTruth::other_path(path, row.name),
                            deleted,
                            certain: false,
                            now: Now::Unknown,
                        });
                        asked.push((number, at));
                        number
                    })
                }),
            };
            last = Some((row, index));
            of_row.push(index);
        }
        // A process may have tens of thousands of files with long names.
        for batch in asked.chunks(MAX_QUESTIONS) {
            let question = |&(number, at): &(u32, usize)| {
                let row = maps.get(at)?;
                // The kernel escapes line feeds only.
                let query = query.as_mut().filter(|_| row.name.contains(&b'\\'));
                let raw_name = query.and_then(|query| raw_name(query, &row));
                let name = row.name.to_vec();
                Some((number, Question { name, raw_name, row: Row::from(&row) }))
            };
            let answers = self.within_each(
                LIMIT,
                batch.iter().filter_map(question).collect(),
                |(_, question)| {
                    (question.raw_name.as_ref().unwrap_or(&question.name), question.row.device)
                },
                |way, (number, question)| (*number, way.truth(question)),
            );
            for (number, answer) in answers {
                if let (Some(known), Some(truth)) = (truths.get_mut(number as usize), answer) {
                    *known = truth;
                }
            }
        }
        FileTruths { of_row, truths }
    }

    /// Does `work` for each item and returns the results that arrived within `limit`. A mount that
    /// does not answer delays only the items whose file is there.
    ///
    /// Few items on local mounts are done at once, as far as no lookup can wait: the kernel has
    /// their paths in its cache. The others are done by threads.
    pub(crate) fn within_each<I: Send + 'static, T: Send + 'static>(
        &self,
        limit: Duration,
        items: Vec<I>,
        place: impl Fn(&I) -> (&[u8], Device),
        work: impl Fn(&Way, &I) -> T + Clone + Send + 'static,
    ) -> Vec<T> {
        let mut local: BTreeMap<MountIds, Vec<I>> = BTreeMap::new();
        let mut remote: BTreeMap<MountIds, Vec<I>> = BTreeMap::new();
        for item in items {
            let (path, device) = place(&item);
            let (mounts, is_local) = self.0.way(path, device);
            let jobs = if is_local { &mut local } else { &mut remote };
            jobs.entry(mounts).or_default().push(item);
        }
        let mut done = Vec::new();
        if local.values().map(Vec::len).sum::<usize>() <= FEW_FILES {
            let way = Way::without_waiting(self);
            for items in local.values_mut() {
                let late = items.drain(..).filter_map(|item| {
                    let result = work(&way, &item);
                    let is_late = way.has_stopped();
                    if !is_late {
                        done.push(result);
                    }
                    is_late.then_some(item)
                });
                *items = late.collect();
            }
        }
        let local = spread(local.into_values().collect());
        // Each of these has a process of its own.
        let is_tried = |(tried, (mounts, _)): &(usize, (MountIds, _))| {
            *tried < MAX_JOBS && !self.lock_unanswered().contains_key(mounts)
        };
        let (remote, left_out): (Vec<_>, Vec<_>) =
            remote.into_iter().enumerate().partition(is_tried);
        for (_, (mounts, items)) in left_out {
            self.leave_out(mounts, items.len());
        }
        let local = local.into_iter().map(|job| (None, job));
        let remote = remote.into_iter().map(|(_, (mounts, job))| (Some(mounts), job));
        let jobs = local.chain(remote).map(|(mounts, job)| {
            let (files, work) = (self.clone(), work.clone());
            move |results: &Results<T>| {
                let way = files.start(mounts);
                let mut left = job.iter();
                while way.answers()
                    && let Some(item) = left.next()
                {
                    results.add(work(&way, item));
                }
                if let Some(mounts) = mounts.filter(|_| !way.answers()) {
                    // The last one is lost too.
                    files.leave_out(mounts, left.len() + 1);
                }
            }
        });
        done.extend(all_within(limit, jobs));
        done
    }

    /// The way to files: through a server for mounts that may not answer.
    fn start(&self, mounts: Option<MountIds>) -> Way {
        let server = mounts.and_then(|_| {
            let roots = self.0.roots.iter().map(|root| root.dir.as_fd());
            let map_files = self.0.map_files.iter().map(|dir| dir.as_fd());
            let directories: Vec<_> = roots.chain(map_files).collect();
            FileServer::start(&directories, None, ANSWER_LIMIT).ok()
        });
        Way { files: self.clone(), is_local: mounts.is_none(), server, stops: None }
    }

    fn lock_unanswered(&self) -> MutexGuard<'_, Unanswered> {
        self.0.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that this many files of a mount are left out.
    fn leave_out(&self, mounts: MountIds, files: usize) {
        let mut unanswered = self.lock_unanswered();
        let known = unanswered.entry(mounts).or_default();
        *known = files.max(*known);
    }

    /// Does not try file systems again that did not answer `before`.
    pub fn remember(&self, before: &Files) {
        let known = before.lock_unanswered().clone();
        self.lock_unanswered().extend(known);
    }

    /// The file systems that did not answer, so that their files were left out.
    pub fn unanswered(&self) -> Vec<UnansweredMount> {
        let unanswered = self.lock_unanswered();
        let of = |(ids, files): (&MountIds, &usize)| {
            let mounts = [&self.0.mounts, &self.0.own_mounts];
            let mount = mounts.iter().zip(ids).find_map(|(mounts, id)| mounts.by_id((*id)?));
            let (point, fs_type) = match mount {
                Some(mount) => (mount.point.clone(), mount.fs_type.clone()),
                None => (b"a file system that is not mounted".to_vec(), Vec::new()),
            };
            UnansweredMount { point, fs_type, files: *files }
        };
        unanswered.iter().map(of).collect()
    }

    /// Opens the file behind a row for reading: through map_files, otherwise by its path if the
    /// file there has the row's device and inode. Opens only regular files, without blocking on a
    /// device, a pipe or a file system.
    pub fn open(&self, row: &Mapping<'_>, truth: Option<&FileTruth>) -> Option<RegularFile> {
        let (mounts, is_local) = self.0.way(row.name, row.device);
        self.start(Some(mounts).filter(|_| !is_local)).open(row, truth)
    }

    /// The size in bytes that the regular file behind a row has now. `None` if it cannot be opened,
    /// or if its file system may not answer.
    pub fn size(&self, row: &Mapping<'_>, truth: Option<&FileTruth>) -> Option<u64> {
        let file = if self.is_local(row) { self.open(row, truth) } else { None };
        file.map(|file| file.stat().size)
    }

    /// Opens a regular file by its path in the process's mount namespace, otherwise in the
    /// reader's, with the rights of the process.
    ///
    /// # Errors
    /// `ENOENT` if neither has a regular file there, `EACCES` if the process may not read it,
    /// `ETIMEDOUT` if its file system does not answer.
    pub fn open_path(&self, path: &Path) -> io::Result<RegularFile> {
        self.0.supplied.as_ref().ok_or(Errno::NOENT)?.open(path)
    }
}

/// Whether two descriptors are of one directory in one mount. Mounts of all namespaces have
/// different ids; before Linux 5.8 they are not known.
fn is_same_place(a: &Result<OwnedFd, Errno>, b: &Result<OwnedFd, Errno>) -> bool {
    let stat = |fd: &Result<OwnedFd, Errno>| FileStat::of(fd.as_ref().ok()?).ok();
    let place = |stat: &FileStat| (stat.device, stat.inode, stat.mount);
    matches!((stat(a), stat(b)), (Some(a), Some(b)) if a.mount != 0 && place(&a) == place(&b))
}

/// At most [`MAX_JOBS`] jobs for the files of each mount. Many files of one mount are several jobs.
fn spread<I>(of_mounts: Vec<Vec<I>>) -> Vec<Vec<I>> {
    // Finding out the number of processors costs as much as a few files.
    let are_many = of_mounts.iter().any(|items| items.len() > FEW_FILES);
    let processors = || std::thread::available_parallelism().map_or(1, NonZero::get);
    let processors = if are_many { processors() } else { 1 };
    let mut jobs: Vec<Vec<I>> = Vec::new();
    let mut next = 0;
    for mut items in of_mounts {
        let size = items.len().div_ceil(processors).max(FEW_FILES);
        while !items.is_empty() {
            let piece = items.split_off(items.len().saturating_sub(size));
            match jobs.len() < MAX_JOBS {
                true => jobs.push(piece),
                false => jobs[next % MAX_JOBS].extend(piece),
            }
            next += 1;
        }
    }
    jobs
}

/// The way to files: directly, or through a server, because their file system may not answer.
pub(crate) struct Way {
    files: Files,
    is_local: bool,
    /// `None` if no process can be started.
    server: Option<Arc<FileServer>>,
    /// Whether something was left undone because it may wait; `None` on a way that waits.
    stops: Option<Cell<bool>>,
}

/// A file system that did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnansweredMount {
    /// Its mount point in the process's root; its bytes may be any.
    pub point: Vec<u8>,
    /// Its type, such as `fuse.sshfs`.
    pub fs_type: Vec<u8>,
    /// The number of mapped files that were left out.
    pub files: usize,
}

fn raw_name(query: &mut PointQuery<&Process>, row: &Mapping<'_>) -> Option<Vec<u8>> {
    let name = query.raw_name(row.range.start)?;
    // The row may have changed since.
    let escaped = name.split(|&b| b == b'\n').collect::<Vec<_>>().join(br"\012".as_slice());
    (escaped == row.name).then(|| name.to_vec())
}

impl Way {
    /// A way to files on local mounts that asks only the kernel's cache for paths.
    fn without_waiting(files: &Files) -> Way {
        Way { files: files.clone(), is_local: true, server: None, stops: Some(Cell::new(false)) }
    }

    /// Whether something was left undone, because it may wait, since the last call.
    fn has_stopped(&self) -> bool {
        self.stops.as_ref().is_some_and(|stops| stops.replace(false))
    }

    /// Notes that something is left undone, if this way does not wait.
    fn stops(&self) -> bool {
        self.stops.as_ref().inspect(|stops| stops.set(true)).is_some()
    }

    /// Looks up a path without opening the file.
    fn walk(&self, root: &Handle, path: &[u8]) -> Result<(Handle, Stat), Errno> {
        if self.stops.is_none() {
            return walk(root, path);
        }
        let Ok(handle) = root.open(path, WALK, Some(WALK_ONCE | ResolveFlags::CACHED)) else {
            // It is not in the cache, or the kernel is older than 5.12.
            self.stops();
            return Err(Errno::AGAIN);
        };
        let stat = Stat::of(&handle.stat()?);
        // Something may be mounted there since the mounts were read.
        match self.files.0.mount(&stat).is_some_and(Mount::is_local) || !self.stops() {
            true => Ok((handle, stat)),
            false => Err(Errno::AGAIN),
        }
    }

    /// Opens the file behind a row, see [`Files::open`].
    pub(crate) fn open(&self, row: &Mapping<'_>, truth: Option<&FileTruth>) -> Option<RegularFile> {
        let files = &self.files.0;
        let (name, row) = (row.name, Row::from(row));
        let by_path = |is: &dyn Fn(&Stat) -> bool| {
            let path = truth.filter(|truth| truth.now == Now::Same)?.path(name);
            let roots = files.roots.iter().filter_map(|root| self.at(&root.dir));
            let found = roots.filter_map(|root| self.walk(&root, path).ok());
            found.into_iter().find(|(_, stat)| is(stat))
        };
        // That is quicker than map_files.
        let found = by_path(&|stat| row.is_of(stat)).or_else(|| self.behind(row));
        let (handle, stat) = found.or_else(|| by_path(&|stat| files.is(stat, row, None)))?;
        let file = RegularFile::behind(&handle).ok()?;
        (Stat::of(file.stat()).id == stat.id).then_some(file)
    }

    /// The attributes of a path's directories from the root on, and of what is there, with the length
    /// of the path of each; empty if it cannot be walked.
    pub(crate) fn along(&self, path: &[u8]) -> Vec<(usize, FileStat)> {
        let roots = self.files.0.roots.iter().filter_map(|root| self.at(&root.dir));
        roots.map(|root| along(&root, path)).find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// Opens files of the process that it names itself, such as debug files.
    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    /// Whether its file system has answered so far.
    fn answers(&self) -> bool {
        self.is_local || self.server.as_ref().is_some_and(|server| server.answers())
    }

    fn at(&self, directory: &Arc<OwnedFd>) -> Option<Handle> {
        match self.is_local {
            true => Some(Handle::Own(directory.clone())),
            false => Some(self.server.as_ref()?.directory(directory)),
        }
    }

    /// Stats the file behind a row without opening it. Following the link needs CAP_SYS_ADMIN or
    /// CAP_CHECKPOINT_RESTORE.
    fn behind(&self, row: Row) -> Option<(Handle, Stat)> {
        // Following it waits for whoever changes the address space.
        if self.stops() {
            return None;
        }
        let link = format!("{:x}-{:x}", row.range.start, row.range.end);
        let map_files = self.at(self.files.0.map_files.as_ref()?)?;
        let handle = map_files.open(link.as_bytes(), OFlags::PATH, None).ok()?;
        let stat = Stat::of(&handle.stat().ok()?);
        // A different file may be mapped there by now. Overlayfs has its own inodes, which maps
        // shows since 6.8.
        (stat.id.inode == row.inode || self.files.0.is_overlay(&stat)).then_some((handle, stat))
    }

    fn truth(&self, question: &Question) -> Option<FileTruth> {
        let row = question.row;
        let name = question.raw_name.as_deref().unwrap_or(&question.name);
        let files = &self.files.0;
        // Without the raw name, both readings of `\012` are tried.
        let mut readings = vec![Cow::Borrowed(name)];
        if question.raw_name.is_none() {
            readings.extend(Some(restore_line_feeds(name)).filter(|restored| *restored != name));
        }
        let stat_at = |root: &Root, path: &[u8]| {
            self.walk(&self.at(&root.dir).ok_or(Errno::TIMEDOUT)?, path).map(|(_, stat)| stat)
        };
        // In the reader's namespace a file counts only if it is on the reader's mounts.
        let is_elsewhere = |behind: Option<&Stat>, root: &Root, stat: &Stat| {
            root.own
                && match behind {
                    Some(behind) => stat.mount != behind.mount,
                    None => files.mounts.by_id(stat.mount).is_none(),
                }
        };
        let places =
            readings.iter().flat_map(|path| files.roots.iter().map(move |root| (path, root)));
        let mut found = Vec::new();
        // Most files are recognised so, which is quicker than map_files.
        let quick = places
            .filter_map(|(path, root)| Some((path, root, stat_at(root, path).ok()?)))
            .inspect(|place| found.push(*place))
            .find(|(_, root, stat)| row.is_of(stat) && !is_elsewhere(None, root, stat));
        let behind = if quick.is_none() { self.behind(row).map(|(_, stat)| stat) } else { None };
        let is = |stat: &Stat| files.is(stat, row, behind.as_ref());
        let is_same = |(_, root, stat): &&(_, &Root, Stat)| {
            is(stat) && !is_elsewhere(behind.as_ref(), root, stat)
        };
        if let Some((path, ..)) = quick.or_else(|| found.iter().find(is_same).copied()) {
            let other_path = FileTruth::other_path(path.clone(), &question.name);
            let now = Now::Same;
            return Some(FileTruth { other_path, deleted: Some(false), certain: true, now });
        }
        let reading_certain = readings.len() == 1;
        let name = readings.pop()?;
        let Some(path) = name.strip_suffix(b" (deleted)") else {
            // The file should be there: the root differs, or a mount covers it.
            let other_path = FileTruth::other_path(name, &question.name);
            let now = Now::Unknown;
            return Some(FileTruth { other_path, deleted: Some(false), certain: false, now });
        };
        // The name was removed if no link remains, or if its directory exists and has no entry with
        // this name plus ` (deleted)`.
        let directory = &path[..path.iter().rposition(|&b| b == b'/')?];
        let look = |root: &Root, path: &[u8]| {
            let stat = stat_at(root, path)?;
            if is_elsewhere(behind.as_ref(), root, &stat) { Err(Errno::XDEV) } else { Ok(stat) }
        };
        let is_home = |root: &&Root| {
            let same_mount = |stat: &Stat| match &behind {
                Some(behind) if behind.mount != 0 => stat.mount == behind.mount,
                _ => files.is_on(row.device, stat),
            };
            look(root, directory).is_ok_and(|stat| same_mount(&stat))
                && matches!(look(root, &name), Ok(_) | Err(Errno::NOENT | Errno::NAMETOOLONG))
        };
        let home = files.roots.iter().find(is_home);
        let no_link = behind.is_some_and(|behind| behind.links == 0);
        let deleted = home.is_some() || no_link;
        // If the directory is gone too, the path is as certain as its mount.
        let path_certain =
            home.is_some() || behind.is_some_and(|behind| files.mount(&behind).is_some());
        let unnamed = deleted && path.ends_with(format!("/#{}", row.inode).as_bytes());
        let now = match home.and_then(|root| look(root, path).ok()) {
            Some(stat) if is(&stat) => Now::Linked,
            Some(stat) => Now::Replaced { inode: stat.id.inode },
            None => match behind {
                // Overlayfs counts the links of the lower layer, where nothing is deleted.
                Some(behind) if behind.links > 0 && files.is_overlay(&behind) => Now::Unknown,
                Some(behind) if behind.links > 0 => Now::Linked,
                _ if unnamed => Now::Unnamed,
                Some(_) => Now::Nothing,
                None => Now::Unknown,
            },
        };
        Some(FileTruth {
            other_path: FileTruth::other_path(path.into(), &question.name),
            deleted: deleted.then_some(true),
            certain: deleted && path_certain && reading_certain,
            now,
        })
    }
}

impl Inner {
    /// The mounts on the way to a file, in the process's namespace and in the reader's, and whether
    /// the kernel answers for all of them and for the file's own device.
    fn way(&self, path: &[u8], device: Device) -> (MountIds, bool) {
        let namespaces = [&self.mounts, &self.own_mounts];
        let ways = namespaces.map(|mounts| mounts.on_the_way(path));
        let all_local = ways.iter().flatten().all(|mount| mount.is_local());
        let mut of_device = namespaces.iter().filter_map(|mounts| mounts.of_device(device));
        // A file may be on a file system that is mounted nowhere any more.
        let is_local = match of_device.next() {
            Some(mount) => mount.is_local(),
            None => device.major != 0 || Some(device) == memory_device(),
        };
        (ways.map(|way| way.last().map(|mount| mount.id)), all_local && is_local)
    }

    fn mount(&self, stat: &Stat) -> Option<&Mount> {
        self.mounts.by_id(stat.mount).or_else(|| self.own_mounts.by_id(stat.mount))
    }

    fn is_overlay(&self, stat: &Stat) -> bool {
        self.mount(stat).is_some_and(|mount| mount.fs_type == b"overlay")
    }

    /// Whether a file is on the device of a row. That is the file system's device, which btrfs does
    /// not report in stat; the mount has it.
    fn is_on(&self, device: Device, stat: &Stat) -> bool {
        stat.id.device == device || self.mount(stat).is_some_and(|mount| mount.device == device)
    }

    /// Whether `stat` is the file of the row; `behind` is the file in map_files.
    fn is(&self, stat: &Stat, row: Row, behind: Option<&Stat>) -> bool {
        match behind {
            Some(behind) => stat.id == behind.id,
            None => stat.id.inode == row.inode && self.is_on(row.device, stat),
        }
    }
}

const WALK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW);
const WALK_ONCE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_SYMLINKS);

/// Looks up a path without opening the file. Paths printed by the kernel contain no symbolic links,
/// and may exceed the length limit of a system call.
fn walk(root: &Handle, path: &[u8]) -> Result<(Handle, Stat), Errno> {
    let flags = WALK;
    // Since Linux 5.6 one call suffices, unless the path is too long.
    if !path.is_empty() && path.len() < 4096 {
        match root.open(path, flags, Some(WALK_ONCE)) {
            Err(Errno::NOSYS | Errno::PERM) => {}
            found => {
                let handle = found?;
                let stat = Stat::of(&handle.stat()?);
                return Ok((handle, stat));
            }
        }
    }
    let mut at = root.open(b".", flags, None)?;
    for name in path.split(|&b| b == b'/').filter(|name| !name.is_empty()) {
        if name == b".." {
            return Err(Errno::INVAL);
        }
        at = at.open(name, flags, None)?;
    }
    let stat = Stat::of(&at.stat()?);
    Ok((at, stat))
}

/// See [`Way::along`].
pub(crate) fn along(root: &Handle, path: &[u8]) -> Vec<(usize, FileStat)> {
    /// No path of the kernel has as many parts.
    const MAX_PARTS: usize = 256;
    let flags = OFlags::PATH | OFlags::NOFOLLOW;
    let mut found = Vec::new();
    let walked = (|| -> Result<(), Errno> {
        let mut at = root.open(b".", flags, None)?;
        found.push((1, at.stat()?));
        let mut end = 0;
        for name in path.split(|&b| b == b'/').take(MAX_PARTS) {
            end += name.len() + 1;
            match name {
                b"" => continue,
                b".." => return Err(Errno::INVAL),
                name => at = at.open(name, flags, None)?,
            }
            found.push((end - 1, at.stat()?));
        }
        Ok(())
    })();
    if walked.is_ok() { found } else { Vec::new() }
}

impl Stat {
    fn of(stat: &FileStat) -> Stat {
        let id = FileId { device: stat.device, inode: stat.inode };
        Stat { id, links: stat.links, mount: stat.mount }
    }
}

/// The device of files in memory that have no mount, such as those of memfd_create(2).
pub(crate) fn memory_device() -> Option<Device> {
    static DEVICE: OnceLock<Option<Device>> = OnceLock::new();
    *DEVICE.get_or_init(|| {
        let fd = rustix::fs::memfd_create("", MemfdFlags::CLOEXEC).ok()?;
        Some(Handle::from(fd).stat().ok()?.device)
    })
}
