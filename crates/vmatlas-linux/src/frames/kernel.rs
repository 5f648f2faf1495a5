//! What the kernel says of frames: `/proc/kpageflags`, `/proc/kpagecgroup`.

use super::set::FrameSet;
use rustix::io::pread;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Bits of include/uapi/linux/kernel-page-flags.h.
const KPF_COMPOUND_HEAD: u64 = 1 << 15;
const KPF_COMPOUND_TAIL: u64 = 1 << 16;
const KPF_HUGE: u64 = 1 << 17;
const KPF_KSM: u64 = 1 << 21;
const KPF_THP: u64 = 1 << 22;
const KPF_ZERO_PAGE: u64 = 1 << 24;

/// The kind of a frame, as far as it matters for who shares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FrameKind {
    /// A page by itself.
    Single,
    /// A part of a folio of several pages, such as a transparent huge page.
    Folio,
    /// A part of a page of hugetlbfs.
    Hugetlb,
    /// Equal pages of different owners that the kernel merged (KSM).
    Ksm,
    /// The page of zeros of untouched memory, which nobody pays for.
    Zero,
}

impl FrameKind {
    fn of(flags: u64) -> FrameKind {
        let has = |bits| flags & bits != 0;
        match () {
            () if has(KPF_ZERO_PAGE) => FrameKind::Zero,
            () if has(KPF_KSM) => FrameKind::Ksm,
            () if has(KPF_HUGE) => FrameKind::Hugetlb,
            () if has(KPF_THP | KPF_COMPOUND_HEAD | KPF_COMPOUND_TAIL) => FrameKind::Folio,
            () => FrameKind::Single,
        }
    }
}

/// The kernel's tables of all frames.
pub struct Frames {
    flags: Option<File>,
    cgroups: Option<File>,
}

/// Entries that are read at once at most: 32 KiB.
const ENTRIES: usize = 4096;
/// The frames between two wanted ones that are read along: a call costs more.
const GAP: u64 = 64;

impl Frames {
    /// Opens the tables below `proc`, as far as they can be.
    pub fn open(proc: &Path) -> Frames {
        let open = |name| File::open(proc.join(name)).ok();
        Frames { flags: open("kpageflags"), cgroups: open("kpagecgroup") }
    }

    /// The kind of each frame of a set, in order; `None` if the kernel does not say.
    pub fn kinds(&self, set: &FrameSet) -> Option<Vec<FrameKind>> {
        Some(read(self.flags.as_ref()?, set)?.into_iter().map(FrameKind::of).collect())
    }

    /// The control group that is charged for each frame of a set, by the inode number of its
    /// directory, 0 for none; `None` if the kernel does not say.
    pub fn cgroups(&self, set: &FrameSet) -> Option<Vec<u64>> {
        read(self.cgroups.as_ref()?, set)
    }
}

/// Reads the entry of each frame of a set. A frame that is gone has 0.
fn read(table: &File, set: &FrameSet) -> Option<Vec<u64>> {
    let mut entries = Vec::with_capacity(set.len());
    let mut frames = set.frames().peekable();
    let mut buffer = vec![0; ENTRIES * 8];
    while let Some(first) = frames.next() {
        let mut wanted = vec![first];
        while let Some(next) = frames.next_if(|next| {
            let last = wanted.last().copied().unwrap_or(first);
            *next - last <= GAP && *next - first < ENTRIES as u64
        }) {
            wanted.push(next);
        }
        let count = (wanted.last()? - first + 1) as usize;
        let length = pread(table, &mut buffer[..count * 8], first * 8).ok()?;
        let (found, _) = buffer[..length].as_chunks::<8>();
        entries.extend(wanted.iter().map(|frame| {
            found.get((frame - first) as usize).map_or(0, |entry| u64::from_ne_bytes(*entry))
        }));
    }
    Some(entries)
}

/// The paths of control groups by the inode numbers of their directories, of the hierarchies that
/// charge for memory. A path begins with `/`.
pub fn cgroup_paths() -> HashMap<u64, String> {
    /// No hierarchy has as many groups, nor as deep ones.
    const MAX: usize = 100_000;
    const ROOTS: [&str; 3] = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
    let mut paths = HashMap::new();
    for root in ROOTS {
        let root = Path::new(root);
        if !root.join("cgroup.procs").exists() {
            continue;
        }
        let mut left: Vec<PathBuf> = vec![root.to_owned()];
        while let Some(dir) = left.pop().filter(|_| paths.len() < MAX) {
            let Ok(metadata) = dir.metadata() else { continue };
            let path = dir.strip_prefix(root).unwrap_or(&dir).to_string_lossy().into_owned();
            paths.entry(metadata.ino()).or_insert(format!("/{path}"));
            let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
            let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            left.extend(dirs.map(|entry| entry.path()));
        }
        // Only one hierarchy has the memory controller; inode numbers of another would mislead.
        break;
    }
    paths
}
