//! Open files and their names.

use super::image::{FileFacts, Lookup};
use super::missing::{Gaps, MissingFact};
use super::value::Descriptor;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::{Rc, Weak};
use vmatlas_maps::Device;
use vmatlas_space::{AddressSpace, File, FileKind, Uffd};

/// An open file.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) name: Rc<Name>,
    /// The identity of the open file; made when it is first mapped.
    file: Rc<RefCell<Option<File>>>,
    readable: bool,
    writable: bool,
    pub(crate) uffd: Rc<Cell<Option<Uffd>>>,
    /// The text read from it so far, if it is a maps file.
    pub(crate) reading: Rc<RefCell<Reading>>,
}

/// The text of a maps file as far as it was read; `None` once a part is missing.
#[derive(Debug)]
pub(crate) struct Reading(pub(crate) Option<Vec<u8>>);

impl Default for Reading {
    fn default() -> Reading {
        Reading(Some(Vec::new()))
    }
}

/// A file, by the name that opened it.
#[derive(Debug)]
pub(crate) struct Name {
    path: RefCell<Vec<u8>>,
    kind: FileKind,
    deleted: Cell<bool>,
    /// Device and inode from a stat.
    from_stat: Cell<Option<(Device, u64)>>,
    /// Whether the path is relative to an unknown directory.
    relative: bool,
    /// Made when it is first mapped.
    file: RefCell<Option<File>>,
}

impl Open {
    fn of(name: Rc<Name>, readable: bool, writable: bool) -> Open {
        Open {
            name,
            file: Rc::default(),
            readable,
            writable,
            uffd: Rc::default(),
            reading: Rc::default(),
        }
    }

    /// Whether no other descriptor refers to it.
    pub(crate) fn is_last(&self) -> bool {
        Rc::strong_count(&self.uffd) == 1
    }

    /// The file for mappings.
    pub(crate) fn file(&self, lookup: &mut dyn Lookup, gaps: &mut Gaps) -> File {
        let file = self.name.file(lookup, gaps);
        let open = || file.reopen(self.readable, self.writable);
        self.file.borrow_mut().get_or_insert_with(open).clone()
    }
}

impl Name {
    fn of(path: &[u8], kind: FileKind, relative: bool) -> Name {
        Name {
            path: RefCell::new(path.to_vec()),
            kind,
            deleted: Cell::new(false),
            from_stat: Cell::new(None),
            relative,
            file: RefCell::new(None),
        }
    }

    /// Sets device and inode from a stat of an open descriptor.
    pub(crate) fn set_inode(&self, device: Device, inode: u64) {
        self.from_stat.set(Some((device, inode)));
    }

    fn file(&self, lookup: &mut dyn Lookup, gaps: &mut Gaps) -> File {
        let mut made = self.file.borrow_mut();
        let file = made.get_or_insert_with(|| {
            let path = self.path.borrow().clone();
            let outside = self.kind == FileKind::SharedMemory || !path.starts_with(b"/");
            let found = if outside || self.deleted.get() { None } else { lookup.file(&path) };
            let from_stat = self.from_stat.get();
            let known = from_stat.or(found.as_ref().map(|facts| (facts.device, facts.inode)));
            let kernel_device = match self.kind {
                FileKind::SharedMemory | FileKind::Secretmem => Device::new(0, 1),
                _ => Device::default(),
            };
            let (device, inode) = known.unwrap_or((kernel_device, 0));
            let facts = FileFacts { name: found.map_or(path, |facts| facts.name), device, inode };
            let file = File::of(self.kind, &facts.name, facts.device, facts.inode);
            if self.deleted.get() {
                file.unlink();
            }
            file
        });
        if self.relative {
            gaps.push(MissingFact::Directory { path: self.path.borrow().clone() });
        }
        file.clone()
    }

    /// The path, as far as it is known.
    pub(crate) fn path(&self) -> Vec<u8> {
        self.path.borrow().clone()
    }

    /// Marks a file without a name (`O_TMPFILE`): its rows show a name that the log lacks.
    pub(crate) fn forget(&self) {
        self.deleted.set(true);
    }

    fn rename(&self, path: &[u8]) {
        *self.path.borrow_mut() = path.to_vec();
        if let Some(file) = &*self.file.borrow() {
            file.rename(path);
        }
    }

    fn unlink(&self) {
        if !self.deleted.replace(true)
            && let Some(file) = &*self.file.borrow()
        {
            file.unlink();
        }
    }
}

/// The kind of the file at a path.
fn kind_of(path: &[u8]) -> FileKind {
    if path == b"/dev/zero" {
        FileKind::DevZero
    } else if path.starts_with(b"/dev/shm/") {
        FileKind::Tmpfs
    } else if path.starts_with(b"/memfd:") {
        FileKind::SharedMemory
    } else if path.starts_with(b"/dev/") || !path.starts_with(b"/") && path.contains(&b':') {
        FileKind::Special
    } else {
        FileKind::Regular
    }
}

/// The names of mapped files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mapped {
    names: Vec<Rc<Name>>,
    /// The size at which names that are no longer mapped are dropped.
    most: usize,
}

impl Mapped {
    /// Adds a file that is mapped into `space`.
    pub(crate) fn add(&mut self, name: &Rc<Name>, space: &AddressSpace) {
        if self.names.last().is_some_and(|last| Rc::ptr_eq(last, name)) {
            return;
        }
        if self.names.len() >= self.most.max(1024) {
            let mut shown = HashSet::new();
            space.for_each_row(|row| {
                shown.insert(row.name.to_vec());
            });
            let mapped = |name: &Rc<Name>| {
                name.file.borrow().as_ref().is_some_and(|file| shown.contains(&file.name()))
            };
            self.names.retain(mapped);
            self.most = 2 * self.names.len();
        }
        self.names.push(name.clone());
    }
}

/// The names of all open or mapped files.
#[derive(Debug, Default)]
pub(crate) struct Names {
    by_path: HashMap<Vec<u8>, Weak<Name>>,
    /// The size at which names that are no longer open are dropped.
    most: usize,
}

impl Names {
    /// Opens a file by its path; `relative` if the path depends on an unknown directory.
    pub(crate) fn open(
        &mut self,
        path: &[u8],
        relative: bool,
        readable: bool,
        writable: bool,
    ) -> Open {
        let known = self.by_path.get(path).and_then(Weak::upgrade).filter(|_| !relative);
        let name = known.unwrap_or_else(|| {
            let name = Rc::new(Name::of(path, kind_of(path), relative));
            self.remember(path, &name);
            name
        });
        Open::of(name, readable, writable)
    }

    /// Opens an object without a path.
    pub(crate) fn open_nameless(&mut self, name: &[u8], kind: FileKind) -> Open {
        Open::of(Rc::new(Name::of(name, kind, false)), true, true)
    }

    fn remember(&mut self, path: &[u8], name: &Rc<Name>) {
        if self.by_path.len() >= self.most {
            self.by_path.retain(|_, name| name.strong_count() > 0);
            self.most = (2 * self.by_path.len()).max(1024);
        }
        self.by_path.insert(path.to_vec(), Rc::downgrade(name));
    }

    /// Updates the name from `-y`, because a rename may be missing in the log.
    pub(crate) fn shown(&mut self, open: &Open, descriptor: &Descriptor<'_>) {
        let Some(path) = descriptor.path.as_deref() else { return };
        let differs = *open.name.path.borrow() != path;
        if differs && path.starts_with(b"/") && open.name.kind != FileKind::SharedMemory {
            open.name.rename(path);
            self.remember(path, &open.name);
        }
        if descriptor.deleted && open.name.kind != FileKind::SharedMemory {
            open.name.unlink();
            self.by_path.remove(path);
        }
    }

    pub(crate) fn unlink(&mut self, path: &[u8]) {
        if let Some(name) = self.by_path.remove(path).and_then(|name| name.upgrade()) {
            name.unlink();
        }
    }

    pub(crate) fn rename(&mut self, from: &[u8], to: &[u8]) {
        if from == to {
            return;
        }
        self.unlink(to);
        if let Some(name) = self.by_path.remove(from) {
            if let Some(name) = name.upgrade() {
                name.rename(to);
            }
            self.by_path.insert(to.to_vec(), name);
        }
        let below = |path: &[u8]| {
            path.strip_prefix(from).filter(|rest| rest.starts_with(b"/")).map(<[u8]>::to_vec)
        };
        let moved: Vec<(Vec<u8>, Vec<u8>)> = self
            .by_path
            .keys()
            .filter_map(|path| Some((path.clone(), [to, &below(path)?].concat())))
            .collect();
        for (old, new) in moved {
            let Some(name) = self.by_path.remove(&old) else { continue };
            if let Some(name) = name.upgrade() {
                name.rename(&new);
            }
            self.by_path.insert(new, name);
        }
    }

    /// Exchanges two names.
    pub(crate) fn exchange(&mut self, a: &[u8], b: &[u8]) {
        let (first, second) = (self.by_path.remove(a), self.by_path.remove(b));
        for (name, path) in [(first, b), (second, a)] {
            let Some(name) = name else { continue };
            if let Some(name) = name.upgrade() {
                name.rename(path);
            }
            self.by_path.insert(path.to_vec(), name);
        }
    }
}

/// Resolves `path` from `directory`, removing `.`, `..` and doubled slashes; `None` if it needs an
/// unknown directory.
pub(crate) fn absolute(directory: Option<&[u8]>, path: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    let before: &[u8] = if path.starts_with(b"/") { b"" } else { directory? };
    for part in before.split(|&b| b == b'/').chain(path.split(|&b| b == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Some(parts.iter().flat_map(|part| [b"/".as_slice(), part]).collect::<Vec<_>>().concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_absolute() {
        let shown = |directory: Option<&str>, path: &str| {
            let path = absolute(directory.map(str::as_bytes), path.as_bytes());
            path.map(|path| String::from_utf8(path).unwrap())
        };
        assert_eq!(shown(None, "/usr//lib/./x/../y"), Some("/usr/lib/y".into()));
        assert_eq!(shown(Some("/tmp"), "../a"), Some("/a".into()));
        assert_eq!(shown(None, "a"), None);
    }

    #[test]
    fn names_follow_their_files() {
        let mut names = Names::default();
        let open = names.open(b"/tmp/dir/a", false, true, false);
        let again = names.open(b"/tmp/dir/a", false, true, false);
        let (first, second) =
            (open.file(&mut (), &mut Gaps::default()), again.file(&mut (), &mut Gaps::default()));
        assert!(!first.same(&second));
        names.rename(b"/tmp/dir", b"/tmp/new");
        assert_eq!(first.name(), b"/tmp/new/a");
        names.unlink(b"/tmp/new/a");
        assert_eq!(second.name(), b"/tmp/new/a (deleted)");
    }
}
