//! The kind of a mapping, from its name, device and inode together.

use crate::escape::{self, Escaped};
use crate::mapping::{Device, Mapping};
use std::borrow::Cow;

/// The kind of a mapping, as far as its row shows it.
///
/// Brackets and words in a name prove nothing by themselves: a file may be called `[heap]`, and
/// its row then shows `/dir/[heap]`. The kernel's own objects are recognised by name, device and
/// ` (deleted)` together, as listed at each variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind<'a> {
    /// A file, or a row with an inode but no known name.
    File,
    /// Private memory without a name.
    Anonymous,
    /// `[heap]`: the program break area. A process may have several such rows.
    Heap,
    /// `[stack]`: the stack of the main thread.
    Stack,
    /// `[stack:TID]`: the stack of a thread (Linux 3.4 to 4.4).
    ThreadStack {
        /// The thread's id.
        tid: u32,
    },
    /// `[anon:NAME]`: named by `PR_SET_VMA_ANON_NAME` (Linux 5.17, Android before).
    NamedAnonymous {
        /// The text between `[anon:` and `]`.
        name: &'a [u8],
    },
    /// `[anon_shmem:NAME]` (Linux 6.2), or an Android `/dev/ashmem/NAME (deleted)`.
    NamedSharedAnonymous {
        /// The name that the process gave.
        name: &'a [u8],
    },
    /// `/dev/zero (deleted)` on the kernel's own tmpfs: `MAP_SHARED|MAP_ANONYMOUS`.
    SharedAnonymous,
    /// `/memfd:NAME (deleted)`, see memfd_create(2).
    Memfd {
        /// The name that the process gave; may be empty.
        name: &'a [u8],
    },
    /// `/SYSVkkkkkkkk (deleted)`, see shmget(2).
    SysvShm {
        /// The key; 0 for `IPC_PRIVATE`.
        key: i32,
        /// The segment's id, which is the row's inode.
        id: u64,
    },
    /// `/anon_hugepage (deleted)`: `MAP_HUGETLB|MAP_ANONYMOUS`.
    HugeAnonymous,
    /// `anon_inode:…`, such as `anon_inode:[perf_event]`.
    AnonInode,
    /// `socket:[N]`: a ring of packets, or memory into which TCP receives.
    Socket,
    /// `/[aio] (deleted)`, the ring of io_setup(2).
    Aio,
    /// `/secretmem (deleted)`, see memfd_secret(2).
    Secretmem,
    /// `/dmabuf:NAME` or `anon_inode:dmabuf`.
    DmaBuf,
    /// A file under `/dev`, except where other file systems are mounted there, such as `/dev/shm`,
    /// `/dev/hugepages` and `/dev/mqueue`.
    Device,
    /// `[vdso]`.
    Vdso,
    /// `[vvar]` or `[vvar_vclock]`.
    Vvar,
    /// `[vsyscall]`, at an address that is the same in every process.
    Vsyscall,
    /// Any other name in brackets.
    Special,
}

impl Kind<'_> {
    /// The words for all kinds.
    pub const WORDS: [&'static str; 21] = [
        "file",
        "anonymous",
        "heap",
        "stack",
        "thread-stack",
        "named-anonymous",
        "named-shared-anonymous",
        "shared-anonymous",
        "memfd",
        "sysv-shm",
        "huge-anonymous",
        "anon-inode",
        "socket",
        "aio",
        "secretmem",
        "dma-buf",
        "device",
        "vdso",
        "vvar",
        "vsyscall",
        "special",
    ];

    /// The word for this kind in JSON, tables and filters.
    pub fn word(&self) -> &'static str {
        match self {
            Kind::File => "file",
            Kind::Anonymous => "anonymous",
            Kind::Heap => "heap",
            Kind::Stack => "stack",
            Kind::ThreadStack { .. } => "thread-stack",
            Kind::NamedAnonymous { .. } => "named-anonymous",
            Kind::NamedSharedAnonymous { .. } => "named-shared-anonymous",
            Kind::SharedAnonymous => "shared-anonymous",
            Kind::Memfd { .. } => "memfd",
            Kind::SysvShm { .. } => "sysv-shm",
            Kind::HugeAnonymous => "huge-anonymous",
            Kind::AnonInode => "anon-inode",
            Kind::Socket => "socket",
            Kind::Aio => "aio",
            Kind::Secretmem => "secretmem",
            Kind::DmaBuf => "dma-buf",
            Kind::Device => "device",
            Kind::Vdso => "vdso",
            Kind::Vvar => "vvar",
            Kind::Vsyscall => "vsyscall",
            Kind::Special => "special",
        }
    }
}

/// The file behind a row, as far as the text of the row shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileName<'a> {
    /// The path, without the kernel's ` (deleted)` and with line feeds restored. If the name is
    /// [ambiguous](FileName::ambiguous), this is the likelier reading.
    pub path: Cow<'a, [u8]>,
    /// Whether the name that was opened has been unlinked; `None` if the text does not show it,
    /// because a file may be called `x (deleted)`.
    pub deleted: Option<bool>,
    /// Whether the name has other readings (` (deleted)`, `\012`), or is no whole path.
    pub ambiguous: bool,
}

impl FileName<'_> {
    /// The path as text that is safe to print, see [`escape::name`].
    pub fn display(&self) -> Escaped<'_> {
        escape::name(&self.path)
    }
}

const DELETED: &[u8] = b" (deleted)";

impl<'a> Mapping<'a> {
    /// The kind of this mapping.
    ///
    /// ```
    /// use vmatlas_maps::Kind;
    /// let kind = |row: &str| vmatlas_maps::parse_row(row.as_bytes()).unwrap().kind().word();
    /// assert_eq!(kind("1000-2000 rw-p 00000000 00:00 0 [heap]"), "heap");
    /// assert_eq!(kind("1000-2000 rw-p 00000000 fe:00 9 /tmp/[heap]"), "file");
    /// ```
    pub fn kind(&self) -> Kind<'a> {
        match self.name {
            b"" if self.inode == 0 => Kind::Anonymous,
            b"" => Kind::File,
            [b'/', ..] => self.kind_of_path(),
            [b'[', inside @ .., b']'] => self.kind_of_brackets(inside),
            name if name.starts_with(b"anon_inode:dmabuf") || name.starts_with(b"dmabuf:") => {
                Kind::DmaBuf
            }
            name if name.starts_with(b"anon_inode:") => Kind::AnonInode,
            name if name.starts_with(b"socket:[") => Kind::Socket,
            [b'[', ..] if self.inode == 0 => Kind::Special,
            // Lists of other programs have only the last component of a path.
            _ => Kind::File,
        }
    }

    fn kind_of_brackets(&self, inside: &'a [u8]) -> Kind<'a> {
        if let Some(name) = inside.strip_prefix(b"anon_shmem:") {
            return Kind::NamedSharedAnonymous { name };
        }
        if self.inode != 0 || self.device != Device::default() {
            // The kernel brackets no other name of a mapping that has a file.
            return Kind::File;
        }
        match inside {
            b"heap" => Kind::Heap,
            b"stack" => Kind::Stack,
            b"vdso" => Kind::Vdso,
            b"vvar" | b"vvar_vclock" => Kind::Vvar,
            b"vsyscall" => Kind::Vsyscall,
            _ => {
                if let Some(name) = inside.strip_prefix(b"anon:") {
                    return Kind::NamedAnonymous { name };
                }
                let tid = inside.strip_prefix(b"stack:").and_then(number);
                tid.map_or(Kind::Special, |tid| Kind::ThreadStack { tid })
            }
        }
    }

    fn kind_of_path(&self) -> Kind<'a> {
        if let Some(object) = self.name.strip_suffix(DELETED).filter(|_| self.device.major == 0) {
            // Objects on internal mounts of the kernel: the file systems have major number 0 and
            // names that no file can keep. (A core dump has no device.)
            match object {
                // A private mapping maps the real /dev/zero, unlinked from the file system of /dev.
                b"/dev/zero"
                    if self.perms.shared() || self.device.minor == 1 || self.perms.0[3] == b'?' =>
                {
                    return Kind::SharedAnonymous;
                }
                b"/anon_hugepage" => return Kind::HugeAnonymous,
                b"/[aio]" => return Kind::Aio,
                b"/secretmem" => return Kind::Secretmem,
                _ => {}
            }
            if let Some(name) = object.strip_prefix(b"/memfd:") {
                return Kind::Memfd { name };
            }
            if let Some(key) = object.strip_prefix(b"/SYSV").and_then(shm_key) {
                return Kind::SysvShm { key, id: self.inode };
            }
            if let Some(name) = object.strip_prefix(b"/dev/ashmem/") {
                return Kind::NamedSharedAnonymous { name };
            }
        }
        match self.name {
            // perf and WSL write this name for memory without a name.
            b"//anon" if self.inode == 0 => Kind::Anonymous,
            name if name.starts_with(b"/dmabuf:") => Kind::DmaBuf,
            name if name.starts_with(b"/dev/") => {
                if is_in_mount_of_dev(name) {
                    Kind::File
                } else {
                    Kind::Device
                }
            }
            _ => Kind::File,
        }
    }

    /// Whether the row itself shows its purpose. Memory without a name does not, nor do generic
    /// names of the kernel (`/dev/zero (deleted)`, `/anon_hugepage (deleted)`,
    /// `/memfd: (deleted)`): their purpose needs a label.
    pub fn shows_its_purpose(&self) -> bool {
        !matches!(
            self.kind(),
            Kind::Anonymous
                | Kind::SharedAnonymous
                | Kind::HugeAnonymous
                | Kind::Memfd { name: b"" }
        )
    }

    /// Whether the row maps a file or another object with contents, at an offset.
    pub fn has_file(&self) -> bool {
        // A core dump has no inodes.
        self.inode != 0
            || matches!(
                self.kind(),
                Kind::File
                    | Kind::Device
                    | Kind::Memfd { .. }
                    | Kind::SysvShm { .. }
                    | Kind::SharedAnonymous
                    | Kind::HugeAnonymous
            )
    }

    /// The file's path, as far as the text shows it; `None` if the row has no file or no name.
    ///
    /// ```
    /// let row = vmatlas_maps::parse_row(b"1000-2000 r--p 00000000 fe:00 9 /tmp/x (deleted)")?;
    /// let file = row.file_name().unwrap();
    /// assert_eq!(file.path.as_ref(), b"/tmp/x");
    /// assert_eq!(file.deleted, None); // or it is called "x (deleted)"
    /// # Ok::<(), vmatlas_maps::RowError>(())
    /// ```
    pub fn file_name(&self) -> Option<FileName<'a>> {
        if self.name.is_empty() || !matches!(self.kind(), Kind::File | Kind::Device) {
            return None;
        }
        let (path, deleted) = match self.name.strip_suffix(DELETED) {
            Some(path) => (path, None),
            None => (self.name, Some(false)),
        };
        let path = restore_line_feeds(path);
        let is_relative = !path.starts_with(b"/");
        let ambiguous = deleted.is_none() || matches!(path, Cow::Owned(_)) || is_relative;
        Some(FileName { path, deleted, ambiguous })
    }
}

/// Replaces `\012` with a line feed, the only byte that the kernel escapes in a name (seq_path()
/// with `"\n"`, fs/proc/task_mmu.c). The result is ambiguous: a name may contain these four
/// characters.
pub fn restore_line_feeds(name: &[u8]) -> Cow<'_, [u8]> {
    const ESCAPED: &[u8] = br"\012";
    // A backslash is rare, and looking for one byte costs less than preparing a search for four.
    if memchr::memchr(b'\\', name).is_none() {
        return Cow::Borrowed(name);
    }
    let mut found = memchr::memmem::find_iter(name, ESCAPED).peekable();
    if found.peek().is_none() {
        return Cow::Borrowed(name);
    }
    let mut path = Vec::with_capacity(name.len());
    let mut from = 0;
    for at in found {
        path.extend_from_slice(&name[from..at]);
        path.push(b'\n');
        from = at + ESCAPED.len();
    }
    path.extend_from_slice(&name[from..]);
    Cow::Owned(path)
}

/// Whether a file lies where another file system is mounted below /dev: memory, huge pages (also
/// `hugepages1G`), queues, the properties and the cgroups of Android; or in a hidden directory.
fn is_in_mount_of_dev(name: &[u8]) -> bool {
    const MOUNTS: [&[u8]; 9] = [
        b"shm",
        b"mqueue",
        b"__properties__",
        b"cgroup_info",
        b"memcg",
        b"cpuctl",
        b"cpuset",
        b"blkio",
        b"binder_logs",
    ];
    let inside = name.strip_prefix(b"/dev/").unwrap_or_default();
    let Some(slash) = memchr::memchr(b'/', inside) else { return false };
    let mount = &inside[..slash];
    MOUNTS.contains(&mount) || mount.starts_with(b"hugepages") || mount.starts_with(b".")
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok().filter(|t| t.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
}

/// Parses the key of a name printed with `"SYSV%08x"` (ipc/shm.c).
fn shm_key(text: &[u8]) -> Option<i32> {
    let lower = text.len() == 8 && text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let digits = std::str::from_utf8(text).ok().filter(|_| lower)?;
    u32::from_str_radix(digits, 16).ok().map(|key| key as i32)
}
