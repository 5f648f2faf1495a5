//! Open files: the attributes that the rules of an address space compare.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use vmatlas_maps::Device;

/// An open file: open(2) makes it and dup(2) shares it (the kernel's `struct file`).
///
/// Two mappings join only if they map the same open file; equal path, device and inode are not
/// enough. Clones are the same open file, [`reopen`](File::reopen) makes another.
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

/// A name by which a file was opened, and the file itself.
struct Dentry {
    kind: FileKind,
    device: Device,
    inode: u64,
    /// The size in bytes, shared by all names of the file.
    size: Arc<AtomicU64>,
    name: RwLock<Vec<u8>>,
}

/// The kind of a file, as far as the rules of an address space depend on it.
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
    /// All kinds, each at the index of its number.
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
    /// The identity of this open file.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// A file opened for reading and writing, of unlimited size (see [`set_size`](File::set_size)).
    pub fn new(path: &[u8], device: Device, inode: u64) -> File {
        File::of(FileKind::Regular, path, device, inode)
    }

    /// An open file of any kind. `name` is the name that rows show.
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

    /// Opens the same file again by the same name.
    pub fn reopen(&self, readable: bool, writable: bool) -> File {
        File(Arc::new(Open { dentry: self.0.dentry.clone(), readable, writable }))
    }

    /// Opens the same file by another name (a hard link).
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

    /// The kind of the file.
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

    /// The file's size in bytes; `u64::MAX` if it was never set.
    pub fn size(&self) -> u64 {
        self.0.dentry.size.load(Ordering::Relaxed)
    }

    /// Sets the file's size in bytes: accesses to pages beyond it raise SIGBUS.
    pub fn set_size(&self, bytes: u64) {
        self.0.dentry.size.store(bytes, Ordering::Relaxed);
    }

    /// The name as a row shows it, but with line feeds unescaped.
    pub fn name(&self) -> Vec<u8> {
        self.0.dentry.name.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Calls `use_it` with the name, without copying it.
    pub(crate) fn with_name<T>(&self, use_it: impl FnOnce(&[u8]) -> T) -> T {
        use_it(&self.0.dentry.name.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Renames the name that it was opened by, for all open files with that name.
    pub fn rename(&self, path: &[u8]) {
        let mut name = self.0.dentry.name.write().unwrap_or_else(PoisonError::into_inner);
        *name = path.to_vec();
    }

    /// Unlinks the name that it was opened by, once: rows then end in ` (deleted)`.
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
