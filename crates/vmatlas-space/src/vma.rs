//! One VMA: an address range with every attribute that decides whether it joins its neighbours.

use super::file::{File, FileKind};
use super::flags::VmaFlags;
use super::policy::Policy;
use std::sync::Arc;
use vmatlas_maps::Perms;

/// The reverse map of a VMA's anonymous pages (`anon_vma`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Anon {
    /// No reverse map: no page was ever written.
    #[default]
    None,
    /// A reverse map, identified by its number; inherited by fork if `forked`.
    Some { id: u32, forked: bool },
    /// It was not reported whether a page was written. Pieces of one mapping have the same number:
    /// if they have a reverse map, they most likely share it.
    Unknown(u32),
    /// The same, and it came by fork since: if a page was written before, it has a reverse map by
    /// fork.
    Forked(u32),
    /// The same as [`Unknown`](Anon::Unknown), and it was moved since. If no page was written before, its page numbers
    /// ([`Vma::offset`]) are those of the new place: mremap(2) takes the old ones along only with
    /// pages.
    Moved(u32),
}

/// A mapping that the kernel makes itself, without a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Special {
    /// `[vdso]`.
    Vdso,
    /// `[vvar]`.
    Vvar,
    /// `[vvar_vclock]` (x86, 6.13).
    VvarVclock,
    /// `[vsyscall]`, which is not in the VMA tree.
    Vsyscall,
    /// `[uprobes]`.
    Uprobes,
    /// `[sigpage]` (ARM).
    Sigpage,
    /// `[vectors]` (ARM).
    Vectors,
}

impl Special {
    pub(crate) const ALL: [Special; 7] = [
        Special::Vdso,
        Special::Vvar,
        Special::VvarVclock,
        Special::Vsyscall,
        Special::Uprobes,
        Special::Sigpage,
        Special::Vectors,
    ];

    /// The name that maps shows.
    pub fn name(self) -> &'static str {
        match self {
            Special::Vdso => "[vdso]",
            Special::Vvar => "[vvar]",
            Special::VvarVclock => "[vvar_vclock]",
            Special::Vsyscall => "[vsyscall]",
            Special::Uprobes => "[uprobes]",
            Special::Sigpage => "[sigpage]",
            Special::Vectors => "[vectors]",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Vma {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// `vm_pgoff`, in pages: the file offset, or for anonymous memory its original page number.
    pub(crate) offset: u64,
    /// The offset of the anonymous pages of a private file mapping (7.3).
    pub(crate) anon_offset: u64,
    pub(crate) flags: VmaFlags,
    pub(crate) file: Option<File>,
    pub(crate) name: Option<Arc<Vec<u8>>>,
    pub(crate) policy: Option<Arc<Policy>>,
    pub(crate) anon: Anon,
    /// The same if no faults happened but the reported ones; for [`Faults::Seen`](super::Faults).
    pub(crate) seen: Anon,
    /// The number of the userfaultfd; 0 for none.
    pub(crate) uffd: u32,
    pub(crate) pkey: u8,
    pub(crate) special: Option<Special>,
}

impl Vma {
    /// Untouched memory without a file.
    pub(crate) fn untouched(start: u64, end: u64, flags: VmaFlags, page_shift: u32) -> Vma {
        Vma {
            start,
            end,
            offset: start >> page_shift,
            anon_offset: start >> page_shift,
            flags,
            file: None,
            name: None,
            policy: None,
            anon: Anon::None,
            seen: Anon::None,
            uffd: 0,
            pkey: 0,
            special: None,
        }
    }

    /// Whether the kernel treats the memory as anonymous (it has no `vm_ops`).
    pub(crate) fn anonymous(&self) -> bool {
        self.special.is_none()
            && match &self.file {
                None => true,
                Some(file) => file.kind() == FileKind::DevZero,
            }
    }

    /// Whether it has a close hook: then no other VMA may absorb it.
    pub(crate) fn has_close_hook(&self) -> bool {
        self.file
            .as_ref()
            .is_some_and(|file| matches!(file.kind(), FileKind::SysvShm | FileKind::Hugetlb))
    }

    pub(crate) fn same_file(&self, other: &Vma) -> bool {
        match (&self.file, &other.file) {
            (None, None) => true,
            (Some(a), Some(b)) => a.same(b),
            _ => false,
        }
    }

    pub(crate) fn sealed(&self) -> bool {
        self.flags.contains(VmaFlags::SEALED)
    }

    pub(crate) fn accessible(&self) -> bool {
        self.flags.intersects(VmaFlags::ACCESS)
    }

    /// Whether a write makes a private copy of a page.
    pub(crate) fn private(&self) -> bool {
        !self.flags.contains(VmaFlags::SHARED)
    }

    /// Removes the part before `address`.
    pub(crate) fn trim_start(&mut self, address: u64, page_shift: u32) {
        let pages = address.wrapping_sub(self.start) >> page_shift;
        self.offset = self.offset.wrapping_add(pages);
        self.anon_offset = self.anon_offset.wrapping_add(pages);
        self.start = address;
    }

    /// Extends the start down to `address`.
    pub(crate) fn extend_start(&mut self, address: u64, page_shift: u32) {
        let pages = self.start.wrapping_sub(address) >> page_shift;
        self.offset = self.offset.wrapping_sub(pages);
        self.anon_offset = self.anon_offset.wrapping_sub(pages);
        self.start = address;
    }

    /// The part within `start..end`.
    pub(crate) fn part(&self, start: u64, end: u64, page_shift: u32) -> Vma {
        let mut part = self.clone();
        part.trim_start(start, page_shift);
        part.end = end;
        part
    }

    pub(crate) fn perms(&self) -> Perms {
        let letter = |flag, letter| if self.flags.contains(flag) { letter } else { b'-' };
        Perms([
            letter(VmaFlags::READ, b'r'),
            letter(VmaFlags::WRITE, b'w'),
            letter(VmaFlags::EXEC, b'x'),
            if self.flags.contains(VmaFlags::MAYSHARE) { b's' } else { b'p' },
        ])
    }
}
