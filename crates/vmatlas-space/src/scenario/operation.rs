//! The operations that a scenario may hold.

use crate::Errno;
use crate::Prot;
pub use crate::{Advice, Sharing};

/// An address relative to the region's base: a page, plus bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageAddress {
    /// The page, which may lie before the region.
    pub page: i64,
    /// The byte offset from that page.
    pub bytes: u64,
}

/// A length, in pages or in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Length {
    /// A number of pages.
    Pages(u64),
    /// A number of bytes.
    Bytes(u64),
}

/// The address range of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The start.
    pub at: PageAddress,
    /// The length.
    pub length: Length,
}

impl Span {
    /// A span of whole pages.
    pub const fn pages(page: i64, count: u64) -> Span {
        Span { at: PageAddress { page, bytes: 0 }, length: Length::Pages(count) }
    }
}

/// The name of an object, an open file or a key: a token.
pub type Name = String;

/// One operation of a scenario on the current process; the docs begin with its keyword.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// `map`: mmap(2) at exactly the given address.
    Map(Map),
    /// `unmap`: munmap(2).
    Unmap(Span),
    /// `protect`: mprotect(2), or pkey_mprotect(2) with a key.
    Protect {
        /// The range.
        span: Span,
        /// The new protection.
        prot: Prot,
        /// The protection key.
        pkey: Option<Name>,
        /// `PROT_GROWSDOWN`.
        growsdown: bool,
    },
    /// `remap`: mremap(2).
    Remap {
        /// The old range.
        span: Span,
        /// The new address, with `MREMAP_MAYMOVE|MREMAP_FIXED`.
        to: Option<PageAddress>,
        /// The new length; `None` keeps the old one.
        new_length: Option<Length>,
        /// `MREMAP_DONTUNMAP`.
        dontunmap: bool,
        /// `MREMAP_MAYMOVE` without a new address.
        maymove: bool,
    },
    /// `refile`: remap_file_pages(2).
    Refile {
        /// The range.
        span: Span,
        /// The first page of the file to map.
        page: u64,
    },
    /// `advise`: madvise(2).
    Advise(Span, Advice),
    /// `lock`: mlock2(2).
    Lock {
        /// The range.
        span: Span,
        /// `MLOCK_ONFAULT`.
        onfault: bool,
    },
    /// `unlock`: munlock(2).
    Unlock(Span),
    /// `mlockall`.
    LockAll {
        /// `MCL_CURRENT`.
        current: bool,
        /// `MCL_FUTURE`.
        future: bool,
        /// `MCL_ONFAULT`.
        onfault: bool,
    },
    /// `munlockall`.
    UnlockAll,
    /// `seal`: mseal(2).
    Seal(Span),
    /// `name`: prctl(2) with `PR_SET_VMA_ANON_NAME`.
    Name {
        /// The range.
        span: Span,
        /// The name; `None` removes it.
        name: Option<Vec<u8>>,
    },
    /// `pkey`: pkey_alloc(2).
    Pkey(Name),
    /// `policy`: mbind(2).
    Policy(Span, Policy),
    /// `uffd`: userfaultfd(2) for faults in user mode.
    Uffd(Name),
    /// `register`: `UFFDIO_REGISTER`.
    Register {
        /// The userfaultfd.
        fd: Name,
        /// The range.
        span: Span,
        /// `UFFDIO_REGISTER_MODE_WP` instead of `…_MISSING`.
        write_protect: bool,
    },
    /// `unregister`: `UFFDIO_UNREGISTER`.
    Unregister {
        /// The userfaultfd.
        fd: Name,
        /// The range.
        span: Span,
    },
    /// `brk`: moves the break by this many pages.
    Brk(i64),
    /// `ksm`: prctl(2) with `PR_SET_MEMORY_MERGE`.
    Ksm(bool),
    /// `personality read-implies-exec`.
    ReadImpliesExec,
    /// `vdso`: arch_prctl(2) with `ARCH_MAP_VDSO_64` or `ARCH_MAP_VDSO_32`. The process's own
    /// `[vdso]` outside the region is unmapped first.
    Vdso {
        /// The hint for the kernel.
        at: PageAddress,
        /// The number of pages of the image.
        pages: u64,
        /// `ARCH_MAP_VDSO_32`.
        narrow: bool,
    },
    /// `read`: loads one byte of each page, upwards.
    Read {
        /// The first address.
        at: PageAddress,
        /// The number of pages.
        pages: u64,
    },
    /// `write`: stores one byte to each page, upwards.
    Write {
        /// The first address.
        at: PageAddress,
        /// The number of pages.
        pages: u64,
    },
    /// `file`: creates a sparse file and opens it for reading and writing.
    File {
        /// The label of the object and of the open file.
        label: Name,
        /// The size, in pages.
        pages: u64,
        /// The path; `None` uses the label.
        path: Option<Vec<u8>>,
    },
    /// `tmpfile`: a file without a name (`O_TMPFILE`).
    Tmpfile {
        /// The label of the object and of the open file.
        label: Name,
        /// The size, in pages.
        pages: u64,
    },
    /// `memfd`: memfd_create(2).
    Memfd {
        /// The label of the object and of the open file.
        label: Name,
        /// The size, in pages.
        pages: u64,
        /// The name; `None` uses the label.
        name: Option<Vec<u8>>,
    },
    /// `secretmem`: memfd_secret(2).
    Secretmem {
        /// The label of the object and of the open file.
        label: Name,
        /// The size, in pages.
        pages: u64,
    },
    /// `device`: opens an existing file.
    Device {
        /// The label of the object and of the open file.
        label: Name,
        /// Its absolute path.
        path: Vec<u8>,
    },
    /// `open`: opens a file again at the path that created it.
    Open {
        /// The object.
        label: Name,
        /// The open file.
        fd: Name,
        /// The access mode.
        access: Access,
    },
    /// `dup`.
    Dup {
        /// The open file.
        fd: Name,
        /// The additional name.
        to: Name,
    },
    /// `close`.
    Close(Name),
    /// `truncate`: ftruncate(2).
    Truncate {
        /// The open file.
        fd: Name,
        /// The new size, in pages.
        pages: u64,
    },
    /// `rename`.
    Rename(Vec<u8>, Vec<u8>),
    /// `link`.
    Link(Vec<u8>, Vec<u8>),
    /// `unlink`.
    Unlink(Vec<u8>),
    /// `mkdir`.
    Mkdir(Vec<u8>),
    /// `rmdir`.
    Rmdir(Vec<u8>),
    /// `shm`: shmget(2).
    Shm {
        /// The object.
        label: Name,
        /// The size, in pages.
        pages: u64,
        /// The key; `None` means `IPC_PRIVATE`.
        key: Option<i32>,
    },
    /// `attach`: shmat(2) at exactly the given address.
    Attach {
        /// The segment.
        label: Name,
        /// The address.
        at: PageAddress,
        /// `SHM_RDONLY`.
        readonly: bool,
        /// `SHM_REMAP`.
        replace: bool,
    },
    /// `detach`: shmdt(2).
    Detach(PageAddress),
    /// `fork`: the operations after it run in the child.
    Fork,
    /// `parent`: returns to the parent.
    Parent,
    /// `child`: returns to the process that the last `parent` left.
    Child,
}

/// The arguments of `map`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// The range.
    pub span: Span,
    /// The protection.
    pub prot: Prot,
    /// The open file and its first page; `None` for anonymous memory.
    pub file: Option<(Name, u64)>,
    /// `MAP_SHARED`, `MAP_PRIVATE` or `MAP_DROPPABLE`.
    pub sharing: Sharing,
    /// The label of the new object that a shared mapping without a file (or of `/dev/zero`) makes.
    pub label: Option<Name>,
    /// `MAP_FIXED_NOREPLACE` instead of `MAP_FIXED`.
    pub noreplace: bool,
    /// `MAP_NORESERVE`.
    pub noreserve: bool,
    /// `MAP_STACK`.
    pub stack: bool,
    /// `MAP_GROWSDOWN`.
    pub growsdown: bool,
    /// `MAP_POPULATE`.
    pub populate: bool,
    /// `MAP_LOCKED`.
    pub locked: bool,
    /// `MAP_HUGETLB`.
    pub huge: bool,
}

impl Map {
    /// Private anonymous memory without options.
    pub const fn new(span: Span, prot: Prot) -> Map {
        Map {
            span,
            prot,
            file: None,
            sharing: Sharing::Private,
            label: None,
            noreplace: false,
            noreserve: false,
            stack: false,
            growsdown: false,
            populate: false,
            locked: false,
            huge: false,
        }
    }
}

/// A memory policy of mbind(2). Nodes are numbered as the kernel numbers them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "named as in mbind(2)")]
pub enum Policy {
    Default,
    Local,
    Bind(Vec<u32>),
    Preferred(u32),
    Interleave(Vec<u32>),
}

/// The access mode with which a file is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Access {
    /// `O_RDWR`.
    #[default]
    ReadWrite,
    /// `O_RDONLY`.
    ReadOnly,
    /// `O_WRONLY`.
    WriteOnly,
}

/// The expected failure of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// A system call returns this error.
    Errno(Errno),
    /// An access raises SIGSEGV.
    Segv,
    /// An access raises SIGBUS.
    Bus,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Errno(errno) => errno.fmt(f),
            Failure::Segv => f.write_str("SIGSEGV"),
            Failure::Bus => f.write_str("SIGBUS"),
        }
    }
}

impl std::error::Error for Failure {}
