//! Open files, as far as an address space tells them apart.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use vmatlas_maps::Device;

/// An open file: what open(2) makes and dup(2) shares (the kernel's `struct file`).
///
/// Two mappings join only if they come from one open file; that both show the same path, device
/// and inode is not enough. Clones are the same open file, [`reopen`](File::reopen) makes another.
///
/// ```
/// use vmatlas_maps::Device;
/// use vmatlas_space::File;
/// let libc = File::new(b"/usr/lib/libc.so.6", Device::new(0xfe, 0), 42);
/// libc.rename(b"/usr/lib/libc.so.6.old");
/// assert_eq!(libc.name(), b"/usr/lib/libc.so.6.old");
/// libc.unlink();
/// assert_eq!(libc.name(), b"/usr/lib/libc.so.6.old (deleted)");
/// ```
#[derive(Clone)]
pub struct File(Arc<Open>);

struct Open {
    dentry: Arc<Dentry>,
    readable: bool,
    writable: bool,
}

/// The name that a file was opened by, and the file itself.
struct Dentry {
    kind: FileKind,
    device: Device,
    inode: u64,
    /// The size in bytes, shared by all names of the file.
    size: Arc<AtomicU64>,
    name: RwLock<Vec<u8>>,
}

/// What a file is made of, as far as the rules of an address space depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// A file of a file system that keeps its pages in the page cache.
    #[default]
    Regular,
    /// A file in a tmpfs.
    Tmpfs,
    /// Kernel-internal shared memory: `MAP_SHARED|MAP_ANONYMOUS` and memfd_create(2).
    SharedMemory,
    /// A System V segment, whose mappings have a close hook.
    SysvShm,
    /// memfd_secret(2).
    Secretmem,
    /// Huge pages.
    Hugetlb,
    /// `/dev/zero`: private mappings are anonymous memory with a file, shared ones get a new
    /// object each.
    DevZero,
    /// A driver's or the kernel's own mapping that never joins another (`VM_DONTEXPAND`): rings
    /// of io_uring, perf events and packet sockets, GPU buffers.
    Special,
}

impl FileKind {
    /// All, each at the place of its number.
    pub(crate) const ALL: [FileKind; 8] = [
        FileKind::Regular,
        FileKind::Tmpfs,
        FileKind::SharedMemory,
        FileKind::SysvShm,
        FileKind::Secretmem,
        FileKind::Hugetlb,
        FileKind::DevZero,
        FileKind::Special,
    ];
}

impl File {
    /// What tells this open file from others.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// A file opened for reading and writing, without end (see [`set_size`](File::set_size)).
    pub fn new(path: &[u8], device: Device, inode: u64) -> File {
        File::of(FileKind::Regular, path, device, inode)
    }

    /// The same for any kind of file. `name` is what a row shows.
    pub fn of(kind: FileKind, name: &[u8], device: Device, inode: u64) -> File {
        let dentry = Dentry {
            kind,
            device,
            inode,
            size: Arc::new(AtomicU64::new(u64::MAX)),
            name: RwLock::new(name.to_vec()),
        };
        File(Arc::new(Open { dentry: Arc::new(dentry), readable: true, writable: true }))
    }

    /// Another open file of the same file by the same name.
    pub fn reopen(&self, readable: bool, writable: bool) -> File {
        File(Arc::new(Open { dentry: self.0.dentry.clone(), readable, writable }))
    }

    /// The same file opened by another name (a hard link).
    pub fn open_link(&self, path: &[u8], readable: bool, writable: bool) -> File {
        let old = &self.0.dentry;
        let dentry = Dentry {
            kind: old.kind,
            device: old.device,
            inode: old.inode,
            size: old.size.clone(),
            name: RwLock::new(path.to_vec()),
        };
        File(Arc::new(Open { dentry: Arc::new(dentry), readable, writable }))
    }

    /// Whether both are the same open file.
    pub fn same(&self, other: &File) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What it is made of.
    pub fn kind(&self) -> FileKind {
        self.0.dentry.kind
    }

    /// Whether it was opened for reading.
    pub fn readable(&self) -> bool {
        self.0.readable
    }

    /// Whether it was opened for writing.
    pub fn writable(&self) -> bool {
        self.0.writable
    }

    /// The device that rows show.
    pub fn device(&self) -> Device {
        self.0.dentry.device
    }

    /// The inode that rows show.
    pub fn inode(&self) -> u64 {
        self.0.dentry.inode
    }

    /// The file's size in bytes; `u64::MAX` where it was never said.
    pub fn size(&self) -> u64 {
        self.0.dentry.size.load(Ordering::Relaxed)
    }

    /// Says how long the file is, in bytes: accesses of pages beyond raise SIGBUS.
    pub fn set_size(&self, bytes: u64) {
        self.0.dentry.size.store(bytes, Ordering::Relaxed);
    }

    /// The name as a row shows it (line feeds as they are).
    pub fn name(&self) -> Vec<u8> {
        self.0.dentry.name.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs `use_it` on the name without copying it.
    pub(crate) fn with_name<T>(&self, use_it: impl FnOnce(&[u8]) -> T) -> T {
        use_it(&self.0.dentry.name.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The name it was opened by becomes another one, for all who opened it by that name.
    pub fn rename(&self, path: &[u8]) {
        let mut name = self.0.dentry.name.write().unwrap_or_else(PoisonError::into_inner);
        *name = path.to_vec();
    }

    /// The name it was opened by is removed, which happens once: rows then end in ` (deleted)`.
    pub fn unlink(&self) {
        let mut name = self.0.dentry.name.write().unwrap_or_else(PoisonError::into_inner);
        name.extend_from_slice(b" (deleted)");
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", String::from_utf8_lossy(&self.name()))
    }
}
