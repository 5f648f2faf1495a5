//! Perf maps and jitdumps of a process.

use crate::deadline::within;
use crate::process::Process;
use crate::snapshot::Source;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vmatlas_maps::{AddressRange, Maps};
use vmatlas_object::jit::{JitError, JitMap};

/// Maximum file size in bytes. The whole file is read: Java writes some MiB, a jitdump includes the
/// code.
const MAX_SIZE: u64 = 1 << 30;
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// A problem with a perf map or jitdump.
#[derive(Debug)]
#[non_exhaustive]
pub struct JitNote {
    /// The file, as the process sees it.
    pub path: PathBuf,
    /// The problem.
    pub kind: JitNoteKind,
}

/// The kind of a problem with a perf map or jitdump.
#[derive(Debug)]
#[non_exhaustive]
pub enum JitNoteKind {
    /// It cannot be read.
    Io(io::Error),
    /// It belongs neither to the process's user nor to root or us, and every user may write to
    /// /tmp.
    Foreign,
    /// Some of it is damaged.
    Damaged(JitError),
    /// Its file system did not answer.
    TimedOut,
}

impl fmt::Display for JitNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        match &self.kind {
            JitNoteKind::Io(error) => write!(f, "{error}"),
            JitNoteKind::Foreign => write!(f, "it belongs to another user than the process"),
            JitNoteKind::Damaged(error) => write!(f, "{error}"),
            JitNoteKind::TimedOut => write!(f, "it took too long to read"),
        }
    }
}

/// Reads the names of a live process's JIT-compiled code: `/tmp/perf-PID.map` in its root
/// directory, with its pid in its own pid namespace, and the jitdump that it maps (`jit-PID.dump`).
/// The caller needs permission to read them. Without such files, the map is empty and there is no
/// note.
///
/// Read them when the process ends, or when the code is to be named: later entries replace earlier
/// ones.
pub fn read_jit(process: &Process) -> (JitMap, Vec<JitNote>) {
    let maps = process.rows(Source::Maps).map(|snapshot| snapshot.maps).unwrap_or_default();
    read_from(process, jitdumps(&maps))
}

/// The ranges of JIT-compiled code from the perf map, and with `jitdumps` also from jitdumps.
pub(crate) fn jit_ranges(process: &Process, maps: &Maps, jitdumps: bool) -> Vec<AddressRange> {
    let dumps = if jitdumps { self::jitdumps(maps) } else { Vec::new() };
    read_from(process, dumps).0.ranges()
}

fn read_from(process: &Process, dumps: Vec<PathBuf>) -> (JitMap, Vec<JitNote>) {
    let mut map = JitMap::default();
    let mut notes = Vec::new();
    let Some(its) = Its::of(process) else { return (map, notes) };
    let perf_map = PathBuf::from(format!("/tmp/perf-{}.map", its.inner_pid));
    let own_root = (its.inner_pid == its.pid).then(|| Path::new("/").to_owned());
    let mut read = |path: PathBuf, parse: fn(&[u8]) -> (JitMap, Vec<JitError>)| {
        let job = its.job(path.clone(), own_root.clone());
        let kind = match within(TIME_LIMIT, job) {
            None => JitNoteKind::TimedOut,
            Some(Ok(None)) => return,
            Some(Ok(Some(bytes))) => {
                let (found, errors) = parse(&bytes);
                map.extend(found);
                notes.extend(errors.into_iter().map(|error| JitNote {
                    path: path.clone(),
                    kind: JitNoteKind::Damaged(error),
                }));
                return;
            }
            Some(Err(kind)) => kind,
        };
        notes.push(JitNote { path, kind });
    };
    read(perf_map, JitMap::parse_perf_map);
    for dump in dumps {
        read(dump, |bytes| JitMap::parse_jitdump(bytes, None));
    }
    (map, notes)
}

/// The process properties that locate its files.
struct Its {
    pid: u32,
    /// In its own pid namespace.
    inner_pid: u32,
    user: u32,
    root: Option<OwnedFd>,
}

/// The jitdumps that a process maps.
fn jitdumps(maps: &Maps) -> Vec<PathBuf> {
    let mut dumps = Vec::new();
    for row in maps.iter().filter(|row| row.name.ends_with(b".dump")) {
        let path = Path::new(std::ffi::OsStr::from_bytes(row.name));
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("jit-") && !dumps.iter().any(|dump| dump == path) {
            dumps.push(path.to_owned());
        }
    }
    dumps
}

impl Its {
    fn of(process: &Process) -> Option<Its> {
        let status = process.read("status").ok()?;
        let status = String::from_utf8_lossy(&status);
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.split_ascii_whitespace().collect::<Vec<_>>())
        };
        // Fields of the process, also where `process` is one of its threads. Its pids in all pid
        // namespaces, the innermost last; since Linux 4.1.
        let pid: u32 = field("Tgid:")?.first()?.parse().ok()?;
        let inner_pid = match field("NStgid:") {
            Some(pids) => pids.last()?.parse().ok()?,
            None => pid,
        };
        let user = field("Uid:")?.get(1)?.parse().ok()?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(process.dir(), "root", flags, Mode::empty()).ok();
        Some(Its { pid, inner_pid, user, root })
    }

    /// Prepares reading a file of the process; `None` if it does not exist.
    fn job(
        &self,
        path: PathBuf,
        own_root: Option<PathBuf>,
    ) -> impl FnOnce() -> Result<Option<Vec<u8>>, JitNoteKind> + Send + 'static {
        let user = self.user;
        let root = self.root.as_ref().and_then(|root| root.try_clone().ok());
        move || {
            let path = path.strip_prefix("/").unwrap_or(&path).to_owned();
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            let in_root = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            let found = match (root, own_root) {
                (Some(root), _) => openat2(root, path, flags, Mode::empty(), in_root),
                (None, Some(own)) => rustix::fs::open(own.join(path), flags, Mode::empty()),
                (None, None) => return Ok(None),
            };
            match found {
                Ok(fd) => read_checked(&fd, user).map(Some),
                Err(rustix::io::Errno::NOENT | rustix::io::Errno::ACCESS) => Ok(None),
                Err(error) => Err(JitNoteKind::Io(error.into())),
            }
        }
    }
}

fn read_checked(fd: &OwnedFd, user: u32) -> Result<Vec<u8>, JitNoteKind> {
    let stat = rustix::fs::fstat(fd).map_err(|error| JitNoteKind::Io(error.into()))?;
    let regular = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file();
    if !regular {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
        return Err(JitNoteKind::Io(error));
    }
    if ![0, user, rustix::process::geteuid().as_raw()].contains(&stat.st_uid) {
        return Err(JitNoteKind::Foreign);
    }
    let open = || {
        let file = File::open(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
        let size = file.metadata()?.size();
        if size > MAX_SIZE {
            let text = format!("it has {size} bytes, more than the limit of {MAX_SIZE}");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        let mut bytes = Vec::new();
        file.take(MAX_SIZE).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    open().map_err(JitNoteKind::Io)
}
