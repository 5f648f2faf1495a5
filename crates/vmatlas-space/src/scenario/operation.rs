//! The operations that a scenario may hold.

use crate::Prot;
use crate::errno::Errno;
pub use crate::{Advice, Sharing};

/// An address relative to the region's base: a page, and bytes further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageAddress {
    /// The page, which may lie before the region.
    pub page: i64,
    /// Bytes further.
    pub bytes: u64,
}

/// A length, which is written in pages or in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Length {
    /// So many pages.
    Pages(u64),
    /// So many bytes.
    Bytes(u64),
}

/// The addresses that most operations are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// Where they begin.
    pub at: PageAddress,
    /// How many there are.
    pub length: Length,
}

impl Span {
    /// Whole pages.
    pub const fn pages(page: i64, count: u64) -> Span {
        Span { at: PageAddress { page, bytes: 0 }, length: Length::Pages(count) }
    }
}

/// The name of an object, an open file or a key: a token.
pub type Name = String;

/// One operation of a scenario on the current process, named by the word it is written with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// `map`: mmap(2) at exactly that address.
    Map(Map),
    /// `unmap`: munmap(2).
    Unmap(Span),
    /// `protect`: mprotect(2), or pkey_mprotect(2) with a key.
    Protect {
        /// What is protected.
        span: Span,
        /// How.
        prot: Prot,
        /// The key that it shall have.
        pkey: Option<Name>,
        /// `PROT_GROWSDOWN`.
        growsdown: bool,
    },
    /// `remap`: mremap(2).
    Remap {
        /// What is moved or resized.
        span: Span,
        /// Where to, with `MREMAP_MAYMOVE|MREMAP_FIXED`.
        to: Option<PageAddress>,
        /// The new length; the old one without.
        new_length: Option<Length>,
        /// `MREMAP_DONTUNMAP`.
        dontunmap: bool,
        /// `MREMAP_MAYMOVE` though no place is given.
        maymove: bool,
    },
    /// `refile`: remap_file_pages(2).
    Refile {
        /// The addresses.
        span: Span,
        /// The page of the file that they shall show.
        page: u64,
    },
    /// `advise`: madvise(2).
    Advise(Span, Advice),
    /// `lock`: mlock2(2).
    Lock {
        /// What is locked.
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
        /// What is named.
        span: Span,
        /// The name; without one it is removed.
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
        /// What is registered.
        span: Span,
        /// `UFFDIO_REGISTER_MODE_WP` instead of `…_MISSING`.
        write_protect: bool,
    },
    /// `unregister`: `UFFDIO_UNREGISTER`.
    Unregister {
        /// The userfaultfd.
        fd: Name,
        /// What is no longer registered.
        span: Span,
    },
    /// `brk`: the break moves by so many pages.
    Brk(i64),
    /// `ksm`: prctl(2) with `PR_SET_MEMORY_MERGE`.
    Ksm(bool),
    /// `personality read-implies-exec`.
    ReadImpliesExec,
    /// `vdso`: arch_prctl(2) with `ARCH_MAP_VDSO_64` or `ARCH_MAP_VDSO_32`. What is mapped of the
    /// process's own `[vdso]` outside the region is unmapped before.
    Vdso {
        /// The hint that the kernel gets.
        at: PageAddress,
        /// How many pages the image has.
        pages: u64,
        /// `ARCH_MAP_VDSO_32`.
        narrow: bool,
    },
    /// `read`: one byte of each page is loaded, upwards.
    Read {
        /// The first.
        at: PageAddress,
        /// How many pages.
        pages: u64,
    },
    /// `write`: one byte of each page is stored, upwards.
    Write {
        /// The first.
        at: PageAddress,
        /// How many pages.
        pages: u64,
    },
    /// `file`: a sparse file is created and opened for reading and writing.
    File {
        /// The object, and the open file.
        label: Name,
        /// Its size.
        pages: u64,
        /// Its path; the label without.
        path: Option<Vec<u8>>,
    },
    /// `tmpfile`: a file without a name (`O_TMPFILE`).
    Tmpfile {
        /// The object, and the open file.
        label: Name,
        /// Its size.
        pages: u64,
    },
    /// `memfd`: memfd_create(2).
    Memfd {
        /// The object, and the open file.
        label: Name,
        /// Its size.
        pages: u64,
        /// Its name; the label without.
        name: Option<Vec<u8>>,
    },
    /// `secretmem`: memfd_secret(2).
    Secretmem {
        /// The object, and the open file.
        label: Name,
        /// Its size.
        pages: u64,
    },
    /// `device`: an existing file is opened.
    Device {
        /// The object, and the open file.
        label: Name,
        /// Its absolute path.
        path: Vec<u8>,
    },
    /// `open`: a file is opened again at the path it was created with.
    Open {
        /// The object.
        label: Name,
        /// The open file.
        fd: Name,
        /// For what it is opened.
        access: Access,
    },
    /// `dup`.
    Dup {
        /// The open file.
        fd: Name,
        /// Its further name.
        to: Name,
    },
    /// `close`.
    Close(Name),
    /// `truncate`: ftruncate(2).
    Truncate {
        /// The open file.
        fd: Name,
        /// Its new size.
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
        /// Its size.
        pages: u64,
        /// Its key; `IPC_PRIVATE` without.
        key: Option<i32>,
    },
    /// `attach`: shmat(2) at exactly that address.
    Attach {
        /// The segment.
        label: Name,
        /// Where.
        at: PageAddress,
        /// `SHM_RDONLY`.
        readonly: bool,
        /// `SHM_REMAP`.
        replace: bool,
    },
    /// `detach`: shmdt(2).
    Detach(PageAddress),
    /// `fork`: what follows happens in the child.
    Fork,
    /// `parent`: back to the parent.
    Parent,
    /// `child`: back to the process that the last `parent` left.
    Child,
}

/// What `map` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// Where.
    pub span: Span,
    /// What may be done there.
    pub prot: Prot,
    /// The open file and its first page; anonymous memory without.
    pub file: Option<(Name, u64)>,
    /// `MAP_SHARED`, `MAP_PRIVATE` or `MAP_DROPPABLE`.
    pub sharing: Sharing,
    /// The label of the new object that a shared anonymous mapping (or one of `/dev/zero`) makes.
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
    /// Private anonymous memory, without any option.
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

/// For what a file is opened.
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

/// How an operation fails.
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
