//! Files that vmatlas creates. No link is followed, and nothing is replaced that the user may not
//! know of.
//!
//! A new file has the mode 0600, less what the umask forbids: recordings hold paths, command lines
//! and names of functions. An existing file is never written to. It is replaced by a new one, so
//! that nobody who has it open sees or changes the new contents.

use crate::sys::file_size_signal::without_sigxfsz;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, fcntl_setfl, fstat, openat, renameat,
    renameat_with, stat, statat, unlinkat,
};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// How often a file that others create and remove meanwhile is looked up again.
pub(crate) const TRIES: u32 = 20;

/// The existing files that may be replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Replace {
    /// Regular files of the effective user that have one name.
    #[default]
    Own,
    /// Regular files of any user, also with several names: the other names keep the old file.
    Any,
}

/// The reason why a file was not created or not written.
#[derive(Debug)]
pub struct CreateError {
    path: PathBuf,
    /// The purpose of the file, with its article.
    what: &'static str,
    reason: Reason,
}

#[derive(Debug)]
pub(crate) enum Reason {
    /// A symbolic link.
    Link,
    /// Not a regular file.
    Kind(&'static str),
    /// It belongs to this user.
    Owner(u32),
    /// It has this many names.
    Names(u64),
    Io(io::Error),
}

impl CreateError {
    pub(crate) fn new(path: &Path, what: &'static str, reason: Reason) -> CreateError {
        CreateError { path: path.to_owned(), what, reason }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether [`Replace::Any`] would replace the file.
    pub fn can_be_forced(&self) -> bool {
        matches!(self.reason, Reason::Owner(_) | Reason::Names(_))
    }
}

impl fmt::Display for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.what;
        write!(f, "{}: ", self.path.display())?;
        match &self.reason {
            Reason::Link => write!(
                f,
                "{what} is not written through a symbolic link: name the file that it leads to, or \
                 remove it"
            ),
            Reason::Kind(kind) => write!(f, "{what} needs a regular file, and this is {kind}"),
            Reason::Owner(uid) => write!(f, "the existing file belongs to user {uid}"),
            Reason::Names(names) => write!(f, "the existing file has {names} names (hard links)"),
            Reason::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CreateError {}

impl<E: Into<io::Error>> From<E> for Reason {
    fn from(error: E) -> Reason {
        Reason::Io(error.into())
    }
}

/// Writes a whole file, under a temporary name until it is complete. `what` names its purpose in
/// errors, like `"a profile"`.
///
/// A path directly below `/dev`, such as `/dev/stdout`, or in `/dev/fd` is written to as it is,
/// unless it is a regular file of that directory.
///
/// # Errors
/// [`CreateError`]; an existing file is then as it was.
pub fn write_file(
    path: &Path,
    what: &'static str,
    bytes: &[u8],
    replace: Replace,
) -> Result<(), CreateError> {
    let written = match open_device(path) {
        Some(opened) => opened.map_err(Reason::from).and_then(|fd| write(&fd.into(), bytes)),
        None => write_new(path, bytes, replace),
    };
    written.map_err(|reason| CreateError::new(path, what, reason))
}

fn write_new(path: &Path, bytes: &[u8], replace: Replace) -> Result<(), Reason> {
    let place = Place::of(path)?;
    // Refuses before anything is written.
    place.existing(replace)?;
    let (name, file) = place.create_beside()?;
    let renamed = write(&file, bytes).and_then(|()| {
        for _ in 0..TRIES {
            let flags = match place.existing(replace)? {
                Some(_) => RenameFlags::empty(),
                None => RenameFlags::NOREPLACE,
            };
            match place.rename(&name, flags) {
                Err(Errno::EXIST) => {}
                renamed => return Ok(renamed?),
            }
        }
        Err(Errno::EXIST.into())
    });
    if renamed.is_err() {
        let _ = unlinkat(&place.dir, &*name, AtFlags::empty());
    }
    renamed
}

fn write(mut file: &File, bytes: &[u8]) -> Result<(), Reason> {
    Ok(without_sigxfsz(|| file.write_all(bytes))?)
}

/// Opens a device, or a descriptor that our caller gave us; `None` for other files.
fn open_device(path: &Path) -> Option<io::Result<OwnedFd>> {
    let parent = path.parent()?;
    let ours = ["/dev/fd", "/proc/self/fd"].iter().any(|fds| parent == Path::new(fds))
        || [Path::new("/dev/stdout"), Path::new("/dev/stderr")].contains(&path);
    let kind = || stat(path).map(|stat| FileType::from_raw_mode(stat.st_mode));
    if !ours && (parent != Path::new("/dev") || !matches!(kind(), Ok(FileType::CharacterDevice))) {
        return None;
    }
    // A descriptor that is a file may hold the output of others: append. No pipe is waited for.
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK;
    let opened = rustix::fs::open(path, flags | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
    Some(opened.map_err(io::Error::from).and_then(|fd| {
        fcntl_setfl(&fd, OFlags::APPEND)?;
        Ok(fd)
    }))
}

/// A file's name in its directory, which is looked up once.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) dir: OwnedFd,
    pub(crate) name: OsString,
}

impl Place {
    pub(crate) fn of(path: &Path) -> io::Result<Place> {
        let name = path.file_name().filter(|_| !path.as_os_str().as_bytes().ends_with(b"/"));
        let name = name.ok_or(Errno::ISDIR)?.to_owned();
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(parent.unwrap_or(Path::new(".")), flags, Mode::empty())?;
        Ok(Place { dir, name })
    }

    /// The existing file as an `O_PATH` descriptor, if it may be replaced.
    pub(crate) fn existing(&self, replace: Replace) -> Result<Option<OwnedFd>, Reason> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match openat(&self.dir, &*self.name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            file => file?,
        };
        let stat = fstat(&file)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Symlink => return Err(self.refused_link()),
            other => return Err(Reason::Kind(kind(other))),
        }
        if replace == Replace::Own {
            if stat.st_uid != rustix::process::geteuid().as_raw() {
                return Err(Reason::Owner(stat.st_uid));
            }
            if stat.st_nlink > 1 {
                return Err(Reason::Names(stat.st_nlink));
            }
        }
        Ok(Some(file))
    }

    /// The reason against a link, which for `/dev/stdout` and the like is what it leads to.
    fn refused_link(&self) -> Reason {
        match statat(&self.dir, &*self.name, AtFlags::empty()) {
            Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile | FileType::Directory => Reason::Link,
                other => Reason::Kind(kind(other)),
            },
            Err(_) => Reason::Link,
        }
    }

    pub(crate) fn create(&self, name: &OsStr) -> Result<File, Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        openat(&self.dir, name, flags | OFlags::CLOEXEC, mode).map(File::from)
    }

    /// Creates a file with a temporary name.
    pub(crate) fn create_beside(&self) -> Result<(OsString, File), Errno> {
        let mut last = Errno::EXIST;
        for number in 0..TRIES {
            let name = OsString::from(format!(".vmatlas-{}-{number}.tmp", std::process::id()));
            match self.create(&name) {
                Ok(file) => return Ok((name, file)),
                Err(Errno::EXIST) => {}
                Err(errno) => {
                    last = errno;
                    break;
                }
            }
        }
        Err(last)
    }

    /// Gives a file of the directory this name.
    pub(crate) fn rename(&self, from: &OsStr, flags: RenameFlags) -> Result<(), Errno> {
        let (dir, name) = (&self.dir, &*self.name);
        match renameat_with(dir, from, dir, name, flags) {
            // Some file systems know no flags.
            Err(Errno::INVAL | Errno::NOSYS) if !flags.is_empty() => renameat(dir, from, dir, name),
            renamed => renamed,
        }
    }
}

/// A kind of file that is not regular, with its article.
fn kind(file_type: FileType) -> &'static str {
    match file_type {
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Symlink => "a symbolic link",
        _ => "none",
    }
}
