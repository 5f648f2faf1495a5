//! Random operations on files, segments, userfaultfds and processes.

use super::Maker;
use super::sketch::{Fd, Page, Process};
use crate::Prot;
use crate::scenario::{Access, Fact, Map, Operation, PageAddress, Sharing};

/// The object of a label.
#[derive(Clone, Debug, Default)]
pub(super) struct Object {
    label: String,
    /// Its path, unless another object may have taken it.
    path: Option<Vec<u8>>,
    segment: bool,
    pages: u64,
}

impl Maker<'_> {
    /// Adds a file or a shared object to a mapping, if the theme has them.
    pub(super) fn map_file(&mut self, map: &mut Map, page: &mut Page, from: i64, pages: i64) {
        let fds = self.sketch.process().fds.clone();
        let fd = self.rng.percent(self.theme.files).then(|| self.rng.pick(&fds)).flatten();
        page.shared = self.rng.percent(self.theme.shared);
        if page.shared {
            map.sharing = Sharing::Shared;
        }
        if let Some(fd) = &fd {
            let offset = self.file_page(fd.object, from, pages);
            map.file = Some((fd.name.clone(), offset));
            if !fd.zero {
                page.object = fd.object;
                page.shift = offset as i64 - from; // small numbers
            }
        }
        if page.shared && fd.is_none_or(|fd| fd.zero) {
            let label = self.label("A");
            map.label = Some(label.clone());
            page.object = self.objects.len();
            page.shift = -from;
            self.objects.push(Object { label, path: None, segment: false, pages: 0 });
        }
    }

    /// The page of a file to map: half of the time the one that continues a neighbour.
    fn file_page(&mut self, object: usize, from: i64, pages: i64) -> u64 {
        let neighbours = [self.sketch.page(from - 1), self.sketch.page(from + pages)];
        let same = neighbours.into_iter().flatten().find(|page| page.object == object);
        let next = same.and_then(|page| u64::try_from(from + page.shift).ok());
        match next.filter(|next| *next < 16 && self.rng.percent(70)) {
            Some(next) => next,
            None if self.rng.percent(50) => 0,
            None => self.rng.below(6),
        }
    }

    /// Opens a new object, or an old one again.
    pub(super) fn open(&mut self) {
        let pages = self.rng.below(9).max(u64::from(self.rng.percent(95)));
        let old = self.objects.iter().position(|object| object.path.is_some());
        match self.rng.weighted(&[40, 12, 14, 5, 6, 12, 12]) {
            1 if self.has(Fact::Tmpfile) => {
                let label = self.new_object("T", None, pages, false);
                self.push(Operation::Tmpfile { label, pages });
            }
            2 => {
                let label = self.new_object("M", None, pages, false);
                let names: [&[u8]; 4] = [b"name", b"two words", b"", b"a\nb (deleted)"];
                let name = self.rng.percent(30).then(|| self.rng.pick(&names)).flatten();
                self.push(Operation::Memfd { label, pages, name: name.map(<[u8]>::to_vec) });
            }
            3 if self.has(Fact::Secretmem) => {
                let label = self.new_object("S", None, pages, false);
                self.push(Operation::Secretmem { label, pages });
            }
            4 => {
                let label = self.new_object("Z", None, 0, true);
                self.push(Operation::Device { label, path: b"/dev/zero".to_vec() });
            }
            5 => self.dup(),
            6 if old.is_some() => self.open_again(),
            _ => {
                let label = self.label("F");
                let path = match self.rng.below(8) {
                    0 => Some(format!("two words {label}").into_bytes()),
                    1 => Some(format!("line\n{label} (deleted)").into_bytes()),
                    2 => self
                        .rng
                        .pick(&self.dirs)
                        .map(|dir| [&dir[..], b"/", label.as_bytes()].concat()),
                    _ => None,
                };
                let at = path.clone().unwrap_or_else(|| label.clone().into_bytes());
                self.add_object(label.clone(), Some(at), pages, false);
                self.push(Operation::File { label, pages, path });
            }
        }
    }

    fn dup(&mut self) {
        let fds = self.sketch.process().fds.clone();
        if let Some(fd) = self.rng.pick(&fds) {
            let to = self.label("D");
            self.push(Operation::Dup { fd: fd.name.clone(), to: to.clone() });
            self.sketch.process().fds.push(Fd { name: to, ..fd });
        }
    }

    fn open_again(&mut self) {
        let files: Vec<usize> =
            (0..self.objects.len()).filter(|&at| self.objects[at].path.is_some()).collect();
        if let Some(object) = self.rng.pick(&files) {
            let fd = self.label("O");
            let accesses =
                [Access::ReadWrite, Access::ReadWrite, Access::ReadOnly, Access::WriteOnly];
            let access = self.rng.pick(&accesses).unwrap_or_default();
            let label = self.objects[object].label.clone();
            self.push(Operation::Open { label, fd: fd.clone(), access });
            self.sketch.process().fds.push(Fd { name: fd, object, zero: false });
        }
    }

    fn new_object(
        &mut self,
        letter: &str,
        path: Option<Vec<u8>>,
        pages: u64,
        zero: bool,
    ) -> String {
        let label = self.label(letter);
        self.add_object(label.clone(), path, pages, zero);
        label
    }

    fn add_object(&mut self, label: String, path: Option<Vec<u8>>, pages: u64, zero: bool) {
        let object = self.objects.len();
        self.objects.push(Object { label: label.clone(), path, segment: false, pages });
        self.sketch.process().fds.push(Fd { name: label, object, zero });
    }

    pub(super) fn close_or_truncate(&mut self) {
        let fds = self.sketch.process().fds.clone();
        let Some(fd) = self.rng.pick(&fds) else { return self.open() };
        if self.rng.percent(55) {
            let pages = self.rng.below(9);
            self.push(Operation::Truncate { fd: fd.name, pages });
        } else {
            // Drop it in every process: a closed one is not used again.
            for process in &mut self.sketch.processes {
                process.fds.retain(|open| open.name != fd.name);
            }
            self.push(Operation::Close(fd.name));
        }
    }

    /// Renames, links, makes or removes files and directories.
    pub(super) fn path(&mut self) {
        let paths: Vec<Vec<u8>> = self.objects.iter().filter_map(|o| o.path.clone()).collect();
        if paths.is_empty() && self.rng.percent(80) {
            return self.open();
        }
        let known = if self.rng.percent(92) { self.rng.pick(&paths) } else { None };
        let path = known.clone().unwrap_or_else(|| b"nothing".to_vec());
        let other = if self.rng.percent(35) { self.rng.pick(&paths) } else { None };
        let other = other.unwrap_or_else(|| self.label("n").into_bytes());
        let choice = self.rng.weighted(&[30, 20, 25, 14, 14]);
        let operation = match choice {
            0 => Operation::Rename(path.clone(), other.clone()),
            1 => Operation::Link(path.clone(), other.clone()),
            2 => Operation::Unlink(path.clone()),
            3 => {
                let dir = self.label("d").into_bytes();
                self.dirs.push(dir.clone());
                Operation::Mkdir(dir)
            }
            _ => match self.dirs.pop() {
                // A file may stay in it; then rmdir fails because it is not empty.
                Some(dir) => Operation::Rmdir(dir),
                None => Operation::Rmdir(path.clone()),
            },
        };
        self.push(operation);
        // An object that lost its path, or may have, is not opened again.
        for object in &mut self.objects {
            let gone = object.path.as_ref().is_some_and(|own| match choice {
                0 => *own == path || *own == other,
                2 => *own == path,
                _ => false,
            });
            if gone {
                object.path = None;
            }
        }
    }

    pub(super) fn segment(&mut self) {
        if !self.has(Fact::Sysv) {
            return self.map();
        }
        let segments: Vec<usize> =
            (0..self.objects.len()).filter(|&at| self.objects[at].segment).collect();
        let attached: Vec<_> = self
            .sketch
            .runs()
            .into_iter()
            .filter(|run| segments.contains(&run.page.object))
            .collect();
        let choice = self.rng.weighted(&[8, 62, 30]);
        match (self.rng.pick(&segments), self.rng.pick(&attached)) {
            (_, Some(run)) if choice == 2 => {
                self.push(Operation::Detach(PageAddress { page: run.from, bytes: 0 }));
                self.sketch.clear(run.from, run.to - run.from);
            }
            (Some(object), _) if choice == 1 => {
                let pages = self.objects[object].pages as i64; // at most 8
                let (from, _) = self.sketch.vacant(self.rng, pages);
                let (readonly, replace) = (self.rng.percent(25), self.rng.percent(35));
                let bytes = u64::from(self.rng.percent(4));
                let label = self.objects[object].label.clone();
                let at = PageAddress { page: from, bytes };
                self.push(Operation::Attach { label, at, readonly, replace });
                let free = (from..from + pages).all(|at| self.sketch.page(at).is_none());
                if bytes == 0 && (free || replace) {
                    let prot = Prot::from_bits(if readonly { 1 } else { 3 });
                    let (growsdown, marks) = (false, self.future_marks);
                    let page = Page { prot, object, shared: true, shift: -from, growsdown, marks };
                    self.sketch.clear(from, pages);
                    self.sketch.fill(from, pages, page);
                }
            }
            (_, _) if choice == 2 && self.rng.percent(20) => {
                let (from, _) = self.sketch.mapped(self.rng);
                self.push(Operation::Detach(PageAddress { page: from, bytes: 0 }));
            }
            _ => {
                let label = self.label("X");
                let pages = self.rng.between(1, 6).unsigned_abs();
                // Keys are global to the machine: a large random number is rarely taken.
                let key = (self.rng.number() as u32 | 0x100_0000).cast_signed();
                let key = self.rng.percent(30).then_some(key);
                self.objects.push(Object {
                    label: label.clone(),
                    path: None,
                    segment: true,
                    pages,
                });
                self.push(Operation::Shm { label, pages, key });
            }
        }
    }

    pub(super) fn userfaultfd(&mut self) {
        let uffds = self.sketch.process().uffds.clone();
        if !self.has(Fact::Uffd) {
            return self.map();
        }
        let choice = self.rng.weighted(&[10, 55, 25, 10]);
        let Some(fd) = self.rng.pick(&uffds).filter(|_| choice > 0 || uffds.len() > 1) else {
            let fd = self.label("U");
            self.push(Operation::Uffd(fd.clone()));
            self.sketch.process().uffds.push(fd);
            return;
        };
        let (from, pages) = self.sketch.mapped(self.rng);
        match choice {
            3 if self.sketch.processes.len() == 1 => {
                self.sketch.process().uffds.retain(|open| *open != fd);
                self.push(Operation::Close(fd));
            }
            2 => {
                let span = self.span(from, pages);
                self.push(Operation::Unregister { fd, span });
            }
            _ => {
                // The kernel itself touches locked memory, so missing pages could block.
                let write_protect = self.waits.locked || self.rng.percent(60);
                let span = self.span(from, pages);
                self.push(Operation::Register { fd, span, write_protect });
                self.sketch.change(from, pages, |page| page.marks |= 1 << 50);
            }
        }
    }

    pub(super) fn switch_process(&mut self) {
        let parent = self.sketch.process().parent;
        let forks = self.sketch.processes.len() - 1;
        let stay = self.rng.percent(65);
        match (self.sketch.left.take(), parent) {
            (Some(child), _) if stay => {
                self.push(Operation::Child);
                self.sketch.current = child;
            }
            (_, Some(parent)) if stay || forks >= 3 => {
                self.push(Operation::Parent);
                self.sketch.left = Some(self.sketch.current);
                self.sketch.current = parent;
            }
            _ if forks < 3 => {
                self.push(Operation::Fork);
                let mut child = Process {
                    parent: Some(self.sketch.current),
                    uffds: Vec::new(),
                    ..self.sketch.process().clone()
                };
                child.pages.retain(|_, page| page.marks & 4 == 0);
                self.sketch.current = self.sketch.processes.len();
                self.sketch.processes.push(child);
            }
            _ => {}
        }
    }
}
