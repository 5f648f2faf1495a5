//! Runs scenarios on the model.

use super::{
    Access, Backing, Failure, Length, Map, Name, Operation, PageAddress, Policy, Region,
    ScenarioRow, Sharing, Span,
};
use crate::Errno;
use crate::{
    AddressSpace, CallRange, Fault, Faults, File, FileKind, KernelProfile, MapVdso, Mmap, Mremap,
    Uffd,
};
use std::collections::{BTreeMap, BTreeSet};
use vmatlas_maps::{AddressRange, Device};

/// The processes, open files and objects of a scenario in the model.
///
/// ```
/// use vmatlas_space::scenario::{Model, scenarios, StepKind};
/// use vmatlas_space::KernelProfile;
/// let text = b"scenario a\nmap 0 1 rw\nmap 1 1 rw\nend\n";
/// let scenario = scenarios(text).next().unwrap()?;
/// let mut model = Model::new(KernelProfile::of("6.18".parse()?), scenario.region);
/// for step in &scenario.steps {
///     if let StepKind::Operation(operation, _) = &step.kind {
///         model.apply(operation)?;
///     }
/// }
/// assert_eq!(model.rows().len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Model {
    processes: Vec<Process>,
    current: usize,
    region: AddressRange,
    /// Labels by inode: the model numbers objects in the order in which they are made.
    labels: Vec<Name>,
    /// The first open file of each object.
    objects: BTreeMap<Name, Object>,
    /// The entry of each path in the scenario's directory.
    paths: BTreeMap<Vec<u8>, Entry>,
    uffds: Vec<Watcher>,
    files: FileKind,
}

#[derive(Clone, Debug)]
struct Process {
    space: AddressSpace,
    parent: Option<usize>,
    /// The process from which the last `parent` returned to this one.
    left: Option<usize>,
    fds: BTreeMap<Name, Fd>,
    pkeys: BTreeMap<Name, u8>,
    /// The segments that the process knows: its own, and its parent's at the time of the fork.
    segments: BTreeSet<Name>,
}

#[derive(Clone, Debug)]
enum Fd {
    File(File),
    Uffd(usize),
}

#[derive(Clone, Debug)]
struct Object {
    file: File,
    path: Option<Vec<u8>>,
}

#[derive(Clone, Debug)]
enum Entry {
    Directory,
    File(File),
}

/// A userfaultfd, which belongs to the process that made it.
#[derive(Clone, Debug)]
struct Watcher {
    owner: usize,
    uffd: Uffd,
    /// The number of descriptors in all processes.
    descriptors: usize,
}

/// The pages between the start of the heap and page 0.
const HEAP_BEFORE: u64 = 256;
/// The pages of the stack: 128 KiB and one page of arguments.
const STACK_PAGES: u64 = 33;
const STACK_AT: u64 = 1024;

impl Model {
    /// One process with the initial region of a scenario, and files on a tmpfs.
    pub fn new(profile: KernelProfile, region: Region) -> Model {
        let base = match region {
            Region::Plain => 0x1000_0000_0000,
            Region::Heap => 0x5555_5600_0000,
            Region::Stack => 0x7fff_0000_0000,
        };
        Model::at(profile, region, base)
    }

    /// The same with the region at address `base`, in bytes.
    pub fn at(profile: KernelProfile, region: Region, base: u64) -> Model {
        let page = profile.page_size();
        let pages = match region {
            Region::Plain | Region::Heap => 1 << 20,
            Region::Stack => STACK_AT + 16,
        };
        let mut space = AddressSpace::new(profile);
        match region {
            Region::Plain => {}
            Region::Heap => space.set_heap(AddressRange::new(base - HEAP_BEFORE * page, base)),
            Region::Stack => {
                let start = base + STACK_AT * page;
                // This fails only if there is no room for any region.
                let _ = space.map_stack(AddressRange::new(start, start + STACK_PAGES * page));
            }
        }
        let process = Process {
            space,
            parent: None,
            left: None,
            fds: BTreeMap::new(),
            pkeys: BTreeMap::from([("default".to_owned(), 0)]),
            segments: BTreeSet::new(),
        };
        Model {
            processes: vec![process],
            current: 0,
            region: AddressRange::new(base, base + pages * page),
            // Inode 0 means no object.
            labels: vec![Name::new()],
            objects: BTreeMap::new(),
            paths: BTreeMap::new(),
            uffds: Vec::new(),
            files: FileKind::Tmpfs,
        }
    }

    /// Sets the kind of the files in the scenario's directory.
    pub fn with_files(mut self, kind: FileKind) -> Model {
        self.files = kind;
        self
    }

    /// Sets whether page faults are reported to the address space, see
    /// [`set_faults`](AddressSpace::set_faults).
    pub fn with_faults(mut self, faults: Faults) -> Model {
        self.process().space.set_faults(faults);
        self
    }

    /// The address space of the current process.
    pub fn space(&self) -> &AddressSpace {
        &self.processes[self.current].space
    }

    fn process(&mut self) -> &mut Process {
        &mut self.processes[self.current]
    }

    /// The rows of the region in the current process.
    pub fn rows(&self) -> Vec<ScenarioRow> {
        let page = self.space().profile().page_size();
        let in_pages = |address: u64| (address.wrapping_sub(self.region.start) / page) as i64;
        let mut rows = Vec::new();
        self.space().for_each_row(|row| {
            let Some(cut) = row.range.intersect(&self.region) else { return };
            let label = usize::try_from(row.inode).ok().and_then(|inode| self.labels.get(inode));
            let backing = match label.filter(|_| row.inode != 0) {
                None => Backing::None(row.name.to_vec()),
                Some(label) => Backing::Object {
                    offset: row.offset_of(cut.start) / page,
                    label: label.clone(),
                    shown: escaped(row.name),
                },
            };
            let (from, to) = (in_pages(cut.start), in_pages(cut.end));
            rows.push(ScenarioRow { from, to, perms: row.perms, backing });
        });
        rows
    }

    /// Applies the operation to the current process.
    ///
    /// # Errors
    /// The error or signal that the kernel would return.
    pub fn apply(&mut self, operation: &Operation) -> Result<(), Failure> {
        match operation {
            Operation::Read { at, pages } => {
                let range = self.pages(*at, *pages);
                self.process().space.read(range).map_err(Failure::of)
            }
            Operation::Write { at, pages } => {
                let range = self.pages(*at, *pages);
                self.process().space.write(range).map_err(Failure::of)
            }
            _ => self.call(operation).map_err(Failure::Errno),
        }
    }

    fn call(&mut self, operation: &Operation) -> Result<(), Errno> {
        match operation {
            Operation::Read { .. } | Operation::Write { .. } => Ok(()),
            Operation::Map(map) => self.map(map),
            Operation::Unmap(span) => self.on(*span, |space, range| space.munmap(range)),
            Operation::Protect { span, prot, pkey, growsdown } => {
                let key = match pkey {
                    None => None,
                    Some(name) => Some(*self.process().pkeys.get(name).ok_or(Errno::EINVAL)?),
                };
                self.on(*span, |space, range| match key {
                    key if *growsdown => space.mprotect_growsdown(range, *prot, key),
                    Some(key) => space.pkey_mprotect(range, *prot, key),
                    None => space.mprotect(range, *prot),
                })
            }
            Operation::Remap { span, to, new_length, dontunmap, maymove } => {
                let new_length = self.bytes(new_length.unwrap_or(span.length));
                let request = Mremap {
                    address: self.address(span.at),
                    old_length: self.bytes(span.length),
                    new_length,
                    maymove: *maymove || *dontunmap || to.is_some(),
                    to: to.map(|to| self.address(to)),
                    dontunmap: *dontunmap,
                };
                self.process().space.mremap(&request).map(|_| ())
            }
            Operation::Refile { span, page } => {
                self.on(*span, |space, range| space.remap_file_pages(range, *page))
            }
            Operation::Advise(span, advice) => {
                self.on(*span, |space, range| space.madvise(range, *advice))
            }
            Operation::Lock { span, onfault } => {
                self.on(*span, |space, range| space.mlock(range, *onfault))
            }
            Operation::Unlock(span) => self.on(*span, |space, range| space.munlock(range)),
            Operation::LockAll { current, future, onfault } => {
                self.process().space.mlockall(*current, *future, *onfault)
            }
            Operation::UnlockAll => {
                self.process().space.munlockall();
                Ok(())
            }
            Operation::Seal(span) => self.on(*span, |space, range| space.mseal(range)),
            Operation::Name { span, name } => {
                self.on(*span, |space, range| space.set_anon_name(range, name.as_deref()))
            }
            Operation::Pkey(name) => {
                let key = self.process().space.pkey_alloc()?;
                self.process().pkeys.insert(name.clone(), key);
                Ok(())
            }
            Operation::Policy(span, policy) => {
                let policy = match policy {
                    Policy::Default => None,
                    Policy::Local => Some(crate::Policy::Local),
                    Policy::Bind(nodes) => Some(crate::Policy::Bind(nodes.clone())),
                    Policy::Preferred(node) => Some(crate::Policy::Preferred(*node)),
                    Policy::Interleave(nodes) => Some(crate::Policy::Interleave(nodes.clone())),
                };
                self.on(*span, |space, range| space.mbind(range, policy.clone()))
            }
            Operation::Brk(pages) => {
                let page = self.space().profile().page_size();
                let space = &mut self.process().space;
                let to = space.program_break().wrapping_add_signed(pages * page as i64);
                space.brk(to)
            }
            Operation::Ksm(on) => self.process().space.set_memory_merge(*on),
            Operation::ReadImpliesExec => {
                self.process().space.set_read_implies_exec(true);
                Ok(())
            }
            Operation::Vdso { at, pages, .. } => {
                let size = pages.saturating_mul(self.space().profile().page_size());
                let address = self.address(*at);
                self.process().space.map_vdso(MapVdso { address, size }).map(drop)
            }
            Operation::Uffd(_) | Operation::Register { .. } | Operation::Unregister { .. } => {
                self.watch(operation)
            }
            Operation::Shm { label, pages, key } => {
                if *pages == 0 {
                    return Err(Errno::EINVAL);
                }
                let key = key.unwrap_or(0);
                let name = format!("/SYSV{key:08x} (deleted)").into_bytes();
                let taken = |object: &Object| key != 0 && object.file.name() == name;
                if self.objects.values().any(taken) {
                    return Err(Errno::EEXIST);
                }
                self.object(label, FileKind::SysvShm, &name, *pages);
                self.process().segments.insert(label.clone());
                Ok(())
            }
            Operation::Attach { label, at, readonly, replace } => {
                let at = self.address(*at);
                let known = self.process().segments.contains(label);
                let segment = self.objects.get(label).filter(|_| known).ok_or(Errno::EINVAL)?;
                let segment = segment.file.clone();
                self.process().space.shmat(&segment, at, *readonly, *replace)
            }
            Operation::Detach(at) => {
                let at = self.address(*at);
                self.process().space.shmdt(at)
            }
            Operation::Fork => {
                self.fork();
                Ok(())
            }
            Operation::Parent => {
                let parent = self.process().parent.ok_or(Errno::ESRCH)?;
                self.processes[parent].left = Some(self.current);
                self.current = parent;
                Ok(())
            }
            Operation::Child => {
                self.current = self.process().left.ok_or(Errno::ESRCH)?;
                Ok(())
            }
            _ => self.file_call(operation),
        }
    }

    fn address(&self, place: PageAddress) -> u64 {
        let page = self.space().profile().page_size();
        self.region.start.wrapping_add_signed(place.page * page as i64).wrapping_add(place.bytes)
    }

    fn bytes(&self, length: Length) -> u64 {
        match length {
            Length::Pages(pages) => pages.saturating_mul(self.space().profile().page_size()),
            Length::Bytes(bytes) => bytes,
        }
    }

    /// Runs an operation on a span of the current address space.
    fn on(
        &mut self,
        span: Span,
        run: impl FnOnce(&mut AddressSpace, CallRange) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let range = self.range(span);
        run(&mut self.process().space, range)
    }

    /// Pages from that of a place on.
    fn pages(&self, at: PageAddress, count: u64) -> CallRange {
        let page = self.space().profile().page_size();
        let address = self.address(at) & !(page - 1);
        CallRange { address, length: self.bytes(Length::Pages(count)) }
    }

    fn range(&self, span: Span) -> CallRange {
        CallRange { address: self.address(span.at), length: self.bytes(span.length) }
    }

    fn map(&mut self, map: &Map) -> Result<(), Errno> {
        let page = self.space().profile().page_size();
        let file = match &map.file {
            None => None,
            Some((fd, first)) => match self.process().fds.get(fd) {
                Some(Fd::File(file)) => Some((file.clone(), first * page)),
                Some(Fd::Uffd(_)) => return Err(Errno::ENODEV),
                None => return Err(Errno::EBADF),
            },
        };
        let request = Mmap {
            file,
            sharing: map.sharing,
            address: self.address(map.span.at),
            fixed: !map.noreplace,
            noreplace: map.noreplace,
            noreserve: map.noreserve,
            stack: map.stack,
            growsdown: map.growsdown,
            locked: map.locked,
            populate: map.populate,
            huge: map.huge.then_some(2 << 20),
            object_inode: self.labels.len() as u64,
            ..Mmap::anonymous(self.bytes(map.span.length), map.prot)
        };
        self.process().space.mmap(&request)?;
        if map.sharing == Sharing::Shared || map.huge {
            let nameless = || format!("?{}", self.labels.len());
            self.labels.push(map.label.clone().unwrap_or_else(nameless));
        }
        Ok(())
    }

    fn watch(&mut self, operation: &Operation) -> Result<(), Errno> {
        match operation {
            Operation::Uffd(name) => {
                let uffd = self.process().space.userfaultfd();
                self.uffds.push(Watcher { owner: self.current, uffd, descriptors: 1 });
                let fd = Fd::Uffd(self.uffds.len() - 1);
                self.process().fds.insert(name.clone(), fd);
                Ok(())
            }
            Operation::Register { fd, span, write_protect } => {
                let range = self.range(*span);
                let (space, uffd) = self.watched(fd)?;
                space.uffd_register(uffd, range, *write_protect)
            }
            Operation::Unregister { fd, span } => {
                let range = self.range(*span);
                let (space, uffd) = self.watched(fd)?;
                space.uffd_unregister(uffd, range)
            }
            _ => Ok(()),
        }
    }

    /// The address space that a userfaultfd watches: that of the process that made it.
    fn watched(&mut self, fd: &Name) -> Result<(&mut AddressSpace, Uffd), Errno> {
        match self.processes[self.current].fds.get(fd) {
            Some(Fd::Uffd(index)) => {
                let watcher = &self.uffds[*index];
                Ok((&mut self.processes[watcher.owner].space, watcher.uffd))
            }
            Some(Fd::File(_)) => Err(Errno::ENOTTY),
            None => Err(Errno::EBADF),
        }
    }

    fn fork(&mut self) {
        let parent = &self.processes[self.current];
        let child = Process {
            space: parent.space.fork(),
            parent: Some(self.current),
            left: None,
            fds: parent.fds.clone(),
            pkeys: parent.pkeys.clone(),
            segments: parent.segments.clone(),
        };
        for fd in child.fds.values() {
            if let Fd::Uffd(index) = fd {
                self.uffds[*index].descriptors += 1;
            }
        }
        self.processes.push(child);
        self.current = self.processes.len() - 1;
    }

    /// A new object, with the inode that stands for its label.
    fn object(&mut self, label: &Name, kind: FileKind, name: &[u8], pages: u64) -> File {
        let file = File::of(kind, name, Device::new(0, 1), self.labels.len() as u64);
        file.set_size(pages * self.space().profile().page_size());
        self.labels.push(label.clone());
        self.objects.insert(label.clone(), Object { file: file.clone(), path: None });
        file
    }

    fn open_as(&mut self, fd: &Name, file: File) {
        self.process().fds.insert(fd.clone(), Fd::File(file));
    }

    fn file_call(&mut self, operation: &Operation) -> Result<(), Errno> {
        let page = self.space().profile().page_size();
        match operation {
            Operation::File { label, pages, path } => {
                let path = path.clone().unwrap_or_else(|| label.clone().into_bytes());
                self.check_directory_of(&path)?;
                if self.paths.contains_key(&path) {
                    return Err(Errno::EEXIST);
                }
                let file = self.object(label, self.files, &path, *pages);
                self.paths.insert(path.clone(), Entry::File(file.clone()));
                if let Some(object) = self.objects.get_mut(label) {
                    object.path = Some(path);
                }
                self.open_as(label, file);
            }
            Operation::Tmpfile { label, pages } => {
                let file = self.object(label, self.files, b"#INODE (deleted)", *pages);
                self.open_as(label, file);
            }
            Operation::Memfd { label, pages, name } => {
                let name = name.as_deref().unwrap_or(label.as_bytes());
                let name = [b"/memfd:", name, b" (deleted)"].concat();
                let file = self.object(label, FileKind::SharedMemory, &name, *pages);
                self.open_as(label, file);
            }
            Operation::Secretmem { label, pages } => {
                let file = self.object(label, FileKind::Secretmem, b"/secretmem (deleted)", *pages);
                self.open_as(label, file);
            }
            Operation::Device { label, path } => {
                let kind = if path == b"/dev/zero" { FileKind::DevZero } else { FileKind::Regular };
                // A device opened several times is one object.
                let known = self.objects.values().find(|object| object.file.name() == *path);
                let file = match known.map(|object| object.file.reopen(true, true)) {
                    Some(file) => file,
                    None => self.object(label, kind, path, 0),
                };
                file.set_size(u64::MAX);
                self.open_as(label, file);
            }
            Operation::Open { label, fd, access } => {
                let object = self.objects.get(label).ok_or(Errno::ENOENT)?;
                let (readable, writable) = match access {
                    Access::ReadWrite => (true, true),
                    Access::ReadOnly => (true, false),
                    Access::WriteOnly => (false, true),
                };
                let file = match &object.path {
                    None => object.file.reopen(readable, writable),
                    Some(path) => match self.paths.get(path).ok_or(Errno::ENOENT)? {
                        Entry::File(file) => file.reopen(readable, writable),
                        Entry::Directory => return Err(Errno::EISDIR),
                    },
                };
                self.open_as(fd, file);
            }
            Operation::Dup { fd, to } => {
                let copy = self.process().fds.get(fd).ok_or(Errno::EBADF)?.clone();
                if let Fd::Uffd(index) = copy {
                    self.uffds[index].descriptors += 1;
                }
                self.process().fds.insert(to.clone(), copy);
            }
            Operation::Close(fd) => match self.process().fds.remove(fd) {
                None => return Err(Errno::EBADF),
                Some(Fd::File(_)) => {}
                Some(Fd::Uffd(index)) => {
                    let watcher = &mut self.uffds[index];
                    watcher.descriptors -= 1;
                    if watcher.descriptors == 0 {
                        self.processes[watcher.owner].space.uffd_close(watcher.uffd);
                    }
                }
            },
            Operation::Truncate { fd, pages } => match self.process().fds.get(fd) {
                Some(Fd::File(file)) if file.writable() && file.kind() != FileKind::DevZero => {
                    if file.kind() == FileKind::Secretmem && file.size() != 0 {
                        return Err(Errno::EINVAL);
                    }
                    file.set_size(pages * page);
                }
                Some(_) => return Err(Errno::EINVAL),
                None => return Err(Errno::EBADF),
            },
            _ => return self.path_call(operation),
        }
        Ok(())
    }

    fn path_call(&mut self, operation: &Operation) -> Result<(), Errno> {
        match operation {
            Operation::Rename(from, to) => self.rename(from, to),
            Operation::Link(from, to) => {
                let file = match self.paths.get(from).ok_or(Errno::ENOENT)? {
                    Entry::File(file) => file.open_link(to, true, true),
                    Entry::Directory => return Err(Errno::EPERM),
                };
                self.check_directory_of(to)?;
                if self.paths.contains_key(to) {
                    return Err(Errno::EEXIST);
                }
                self.paths.insert(to.clone(), Entry::File(file));
                Ok(())
            }
            Operation::Unlink(path) => match self.paths.get(path).ok_or(Errno::ENOENT)? {
                Entry::Directory => Err(Errno::EISDIR),
                Entry::File(file) => {
                    file.unlink();
                    self.paths.remove(path);
                    Ok(())
                }
            },
            Operation::Mkdir(path) => {
                self.check_directory_of(path)?;
                if self.paths.contains_key(path) {
                    return Err(Errno::EEXIST);
                }
                self.paths.insert(path.clone(), Entry::Directory);
                Ok(())
            }
            Operation::Rmdir(path) => match self.paths.get(path).ok_or(Errno::ENOENT)? {
                Entry::File(_) => Err(Errno::ENOTDIR),
                Entry::Directory if self.inside(path).next().is_some() => Err(Errno::ENOTEMPTY),
                Entry::Directory => {
                    self.paths.remove(path);
                    Ok(())
                }
            },
            _ => Err(Errno::ENOSYS),
        }
    }

    fn rename(&mut self, from: &[u8], to: &[u8]) -> Result<(), Errno> {
        let entry = self.paths.get(from).ok_or(Errno::ENOENT)?.clone();
        self.check_directory_of(to)?;
        let target = self.paths.get(to);
        match (&entry, target) {
            (Entry::Directory, Some(Entry::File(_))) => return Err(Errno::ENOTDIR),
            (Entry::File(_), Some(Entry::Directory)) => return Err(Errno::EISDIR),
            (Entry::Directory, Some(Entry::Directory))
                if from != to && self.inside(to).next().is_some() =>
            {
                return Err(Errno::ENOTEMPTY);
            }
            // Both names are links to one file: rename does nothing.
            (Entry::File(a), Some(Entry::File(b))) if a.inode() == b.inode() => return Ok(()),
            (_, Some(Entry::File(victim))) => victim.unlink(),
            _ => {}
        }
        let prefix = [from, b"/"].concat();
        if to.starts_with(&prefix) {
            return Err(Errno::EINVAL);
        }
        let inside: Vec<Vec<u8>> = self.inside(from).cloned().collect();
        for path in std::iter::once(from.to_vec()).chain(inside) {
            let moved = [to, &path[from.len()..]].concat();
            if let Some(entry) = self.paths.remove(&path) {
                if let Entry::File(file) = &entry {
                    file.rename(&moved);
                }
                self.paths.insert(moved, entry);
            }
        }
        Ok(())
    }

    /// All paths below a directory.
    fn inside(&self, directory: &[u8]) -> impl Iterator<Item = &Vec<u8>> {
        let prefix = [directory, b"/"].concat();
        self.paths.keys().filter(move |path| path.starts_with(&prefix))
    }

    fn check_directory_of(&self, path: &[u8]) -> Result<(), Errno> {
        let Some(slash) = path.iter().rposition(|b| *b == b'/') else { return Ok(()) };
        match self.paths.get(&path[..slash]) {
            Some(Entry::Directory) => Ok(()),
            Some(Entry::File(_)) => Err(Errno::ENOTDIR),
            None => Err(Errno::ENOENT),
        }
    }
}

impl Failure {
    fn of(fault: Fault) -> Failure {
        match fault {
            Fault::Segv => Failure::Segv,
            Fault::Bus => Failure::Bus,
        }
    }
}

/// A name as maps prints it.
fn escaped(name: &[u8]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'\n' => shown.extend_from_slice(br"\012"),
            _ => shown.push(byte),
        }
    }
    shown
}
