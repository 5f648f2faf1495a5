//! madvise(2).

use super::mmap::ksm_compatible;
use super::vmas::Position;
use super::{AddressSpace, CallRange, Fault, FileKind, VmaFlags};
use crate::Errno;
use std::sync::Arc;

/// The advice values of madvise(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "named as in madvise(2)")]
#[non_exhaustive]
pub enum Advice {
    Normal,
    Random,
    Sequential,
    Willneed,
    Dontneed,
    Free,
    Remove,
    Dontfork,
    Dofork,
    Mergeable,
    Unmergeable,
    Hugepage,
    Nohugepage,
    Dontdump,
    Dodump,
    Wipeonfork,
    Keeponfork,
    Cold,
    Pageout,
    PopulateRead,
    PopulateWrite,
    DontneedLocked,
    Collapse,
    GuardInstall,
    GuardRemove,
}

impl Advice {
    /// Each value with its word in scenarios and its number in
    /// include/uapi/asm-generic/mman-common.h.
    pub const ALL: [(Advice, &'static str, i32); 25] = [
        (Advice::Normal, "normal", 0),
        (Advice::Random, "random", 1),
        (Advice::Sequential, "sequential", 2),
        (Advice::Willneed, "willneed", 3),
        (Advice::Dontneed, "dontneed", 4),
        (Advice::Free, "free", 8),
        (Advice::Remove, "remove", 9),
        (Advice::Dontfork, "dontfork", 10),
        (Advice::Dofork, "dofork", 11),
        (Advice::Mergeable, "mergeable", 12),
        (Advice::Unmergeable, "unmergeable", 13),
        (Advice::Hugepage, "hugepage", 14),
        (Advice::Nohugepage, "nohugepage", 15),
        (Advice::Dontdump, "dontdump", 16),
        (Advice::Dodump, "dodump", 17),
        (Advice::Wipeonfork, "wipeonfork", 18),
        (Advice::Keeponfork, "keeponfork", 19),
        (Advice::Cold, "cold", 20),
        (Advice::Pageout, "pageout", 21),
        (Advice::PopulateRead, "populate-read", 22),
        (Advice::PopulateWrite, "populate-write", 23),
        (Advice::DontneedLocked, "dontneed-locked", 24),
        (Advice::Collapse, "collapse", 25),
        (Advice::GuardInstall, "guard-install", 102),
        (Advice::GuardRemove, "guard-remove", 103),
    ];

    /// The advice with that number.
    pub fn from_number(number: u64) -> Option<Advice> {
        let mut all = Advice::ALL.iter();
        all.find(|(.., known)| u64::try_from(*known) == Ok(number)).map(|(advice, ..)| *advice)
    }

    /// Whether the advice can change VMAs: it sets or clears a VMA flag, or installs guards, which
    /// give a VMA a reverse map. Other advice only moves pages.
    pub fn changes_mappings(self) -> bool {
        match self {
            Advice::Normal | Advice::Random | Advice::Sequential => true,
            Advice::Dontfork | Advice::Dofork | Advice::Wipeonfork | Advice::Keeponfork => true,
            Advice::Mergeable | Advice::Unmergeable => true,
            Advice::Hugepage | Advice::Nohugepage => true,
            Advice::Dontdump | Advice::Dodump => true,
            Advice::GuardInstall | Advice::GuardRemove => true,
            Advice::Willneed | Advice::Cold | Advice::Pageout | Advice::PopulateRead => false,
            Advice::Dontneed | Advice::Free | Advice::Remove | Advice::DontneedLocked => false,
            // It may give a VMA a reverse map, but so does any page fault.
            Advice::PopulateWrite => false,
            Advice::Collapse => false,
        }
    }

    /// Whether it drops the pages, so that the next access faults again.
    pub fn drops_pages(self) -> bool {
        matches!(self, Advice::Dontneed | Advice::Free | Advice::Remove | Advice::DontneedLocked)
    }

    /// Whether it may discard memory (`is_discard`, mm/madvise.c).
    fn discards(self) -> bool {
        matches!(
            self,
            Advice::Free
                | Advice::Dontneed
                | Advice::DontneedLocked
                | Advice::Remove
                | Advice::Dontfork
                | Advice::Wipeonfork
                | Advice::GuardInstall
        )
    }
}

impl AddressSpace {
    /// Gives advice about `length` bytes at `address`. Some advice sets flags, which splits and
    /// joins mappings; some faults pages in; most changes nothing in the model.
    ///
    /// # Errors
    /// The range before the failing address stays advised.
    /// - EINVAL: `address` is not the start of a page, the length wraps around, the kernel does
    ///   not know the advice, or the advice does not apply to the mapping.
    /// - ENOMEM: a hole; the range after it is advised anyway.
    /// - EAGAIN: `max_map_count` would be exceeded.
    /// - EACCES, EBADF, EFAULT, EPERM: see madvise(2).
    pub fn madvise(&mut self, range: impl Into<CallRange>, advice: Advice) -> Result<(), Errno> {
        let CallRange { address, length } = range.into();
        let profile = self.profile.clone();
        let known = match advice {
            Advice::PopulateRead | Advice::PopulateWrite => profile.populate_advice,
            Advice::DontneedLocked => profile.dontneed_locked,
            Advice::Collapse => profile.collapse && profile.thp,
            Advice::GuardInstall | Advice::GuardRemove => profile.guards,
            Advice::Hugepage | Advice::Nohugepage => profile.thp,
            Advice::Mergeable | Advice::Unmergeable => profile.ksm,
            _ => true,
        };
        if !known || !profile.is_aligned(address) {
            return Err(Errno::EINVAL);
        }
        let length = profile.page_align(length).ok_or(Errno::EINVAL)?;
        let end = address.checked_add(length).ok_or(Errno::EINVAL)?;
        if length == 0 {
            return Ok(());
        }
        if profile.seals_checked_first
            && advice.discards()
            && self
                .vmas
                .within(address, end)
                .any(|vma| vma.sealed() && vma.anonymous() && !vma.flags.contains(VmaFlags::WRITE))
        {
            return Err(Errno::EPERM);
        }
        match advice {
            Advice::PopulateRead | Advice::PopulateWrite if profile.populate_stops_at_holes => {
                self.populate_advice(address, end, advice == Advice::PopulateWrite)
            }
            _ => {
                let holes = self.for_each_part(address, end, |space, at, start, end| {
                    space.advise_one(at, start, end, advice)
                })?;
                if holes { Err(Errno::ENOMEM) } else { Ok(()) }
            }
        }
    }

    /// Visits the part of each VMA in the range; returns whether there was a hole.
    pub(super) fn for_each_part(
        &mut self,
        start: u64,
        end: u64,
        mut visit: impl FnMut(&mut Self, Position, u64, u64) -> Result<(), Errno>,
    ) -> Result<bool, Errno> {
        let mut from = start;
        let mut holes = false;
        while from < end {
            let Some(at) = self.vmas.find(from) else { return Ok(true) };
            let vma = self.vmas.get(at);
            if from < vma.start {
                holes = true;
                from = vma.start;
                if from >= end {
                    break;
                }
            }
            let upto = vma.end.min(end);
            visit(self, at, from, upto)?;
            // Skip what joined the visited part.
            from = self.vmas.get(self.covering(upto - 1).expect("it was visited")).end;
        }
        Ok(holes)
    }

    fn advise_one(
        &mut self,
        at: Position,
        start: u64,
        end: u64,
        advice: Advice,
    ) -> Result<(), Errno> {
        use VmaFlags as F;
        let vma = self.vmas.get(at);
        let flags = vma.flags;
        let sealed = vma.sealed() && vma.anonymous() && !flags.contains(F::WRITE);
        if sealed && advice.discards() {
            return Err(Errno::EPERM);
        }
        let refuse = |when: bool, errno| if when { Err(errno) } else { Ok(()) };
        let new = match advice {
            Advice::Remove => {
                let maywrite = if self.profile.remove_needs_write { F::WRITE } else { F::MAYWRITE };
                let kind = vma.file.as_ref().map(|file| file.kind());
                refuse(flags.intersects(F::LOCKED) || kind.is_none(), Errno::EINVAL)?;
                refuse(!flags.contains(F::SHARED | maywrite), Errno::EACCES)?;
                return refuse(kind == Some(FileKind::Secretmem), Errno::EOPNOTSUPP);
            }
            Advice::Willneed => {
                return refuse(vma.file.is_none() && !self.profile.swap, Errno::EBADF);
            }
            Advice::Cold | Advice::Pageout => {
                return refuse(flags.intersects(F::LOCKED | F::PFNMAP | F::HUGETLB), Errno::EINVAL);
            }
            Advice::Dontneed | Advice::DontneedLocked if flags.contains(F::HUGETLB) => {
                // The kernel rounds the end down to a huge page.
                let known = self.profile.dontneed_locked && self.huge_aligned(vma, start);
                return refuse(!known, Errno::EINVAL);
            }
            Advice::Dontneed | Advice::DontneedLocked => {
                let locked = flags.contains(F::LOCKED) && advice == Advice::Dontneed;
                return refuse(flags.contains(F::PFNMAP) || locked, Errno::EINVAL);
            }
            Advice::Free => {
                let locked = flags.intersects(F::PFNMAP | F::LOCKED);
                return refuse(locked || !vma.anonymous(), Errno::EINVAL);
            }
            Advice::Collapse => {
                // Only whole huge pages can be collapsed.
                let huge = self.profile.huge_page_size();
                let fits = vma.start.next_multiple_of(huge) + huge <= vma.end;
                return refuse(!fits, Errno::EINVAL);
            }
            Advice::GuardInstall => return self.install_guards(at, start, end),
            Advice::GuardRemove => {
                refuse(!self.may_have_guards(at, true), Errno::EINVAL)?;
                self.guards.remove(start..end);
                return Ok(());
            }
            Advice::Normal => flags.without(F::RAND_READ | F::SEQ_READ),
            Advice::Sequential => flags.without(F::RAND_READ) | F::SEQ_READ,
            Advice::Random => flags.without(F::SEQ_READ) | F::RAND_READ,
            Advice::Dontfork => flags | F::DONTCOPY,
            Advice::Dofork => {
                refuse(flags.intersects(F::SPECIAL), Errno::EINVAL)?;
                flags.without(F::DONTCOPY)
            }
            Advice::Wipeonfork => {
                refuse(vma.file.is_some() || flags.contains(F::SHARED), Errno::EINVAL)?;
                flags | F::WIPEONFORK
            }
            Advice::Keeponfork => {
                refuse(flags.contains(F::DROPPABLE), Errno::EINVAL)?;
                flags.without(F::WIPEONFORK)
            }
            Advice::Dontdump => flags | F::DONTDUMP,
            Advice::Dodump => {
                let special = flags.intersects(F::SPECIAL) && !flags.contains(F::HUGETLB);
                refuse(special || flags.contains(F::DROPPABLE), Errno::EINVAL)?;
                flags.without(F::DONTDUMP)
            }
            Advice::Mergeable => flags.with_if(F::MERGEABLE, ksm_compatible(vma)),
            Advice::Unmergeable => flags.without(F::MERGEABLE),
            Advice::Hugepage => flags.without(F::NOHUGEPAGE) | F::HUGEPAGE,
            Advice::Nohugepage => flags.without(F::HUGEPAGE) | F::NOHUGEPAGE,
            Advice::PopulateRead | Advice::PopulateWrite => {
                return self.populate_advice(start, end, advice == Advice::PopulateWrite);
            }
        };
        if new == flags {
            return Ok(());
        }
        match self.modify(at, start, end, |vma| vma.flags = new) {
            Err(Errno::ENOMEM) => Err(Errno::EAGAIN),
            changed => changed.map(|_| ()),
        }
    }

    /// Whether a mapping may have guards (`is_valid_guard_vma`).
    fn may_have_guards(&self, at: Position, allow_locked: bool) -> bool {
        let vma = self.vmas.get(at);
        let refused =
            VmaFlags::SPECIAL | VmaFlags::HUGETLB.with_if(VmaFlags::LOCKED, !allow_locked);
        if vma.flags.intersects(refused) {
            return false;
        }
        self.profile.guards_in_files || (vma.anonymous() && vma.flags.contains(VmaFlags::MAYWRITE))
    }

    fn install_guards(&mut self, at: Position, start: u64, end: u64) -> Result<(), Errno> {
        if !self.may_have_guards(at, false) {
            return Err(Errno::EINVAL);
        }
        if self.profile.sticky_guard_flag {
            self.vmas.change(at, |vma| vma.flags |= VmaFlags::MAYBE_GUARD);
        }
        if self.profile.guards_give_files_anon || self.vmas.get(at).anonymous() {
            self.make_anon(at);
        }
        self.guards.insert(start..end);
        Ok(())
    }

    /// MADV_POPULATE_READ and MADV_POPULATE_WRITE (`faultin_page_range`, mm/gup.c).
    fn populate_advice(&mut self, start: u64, end: u64, write: bool) -> Result<(), Errno> {
        let mut from = start;
        while from < end {
            let at = self.covering(from).ok_or(Errno::ENOMEM)?;
            let vma = self.vmas.get(at);
            let upto = vma.end.min(end);
            let secret = vma.file.as_ref().is_some_and(|file| file.kind() == FileKind::Secretmem);
            let needed = if write { VmaFlags::WRITE } else { VmaFlags::READ };
            let special = vma.flags.intersects(VmaFlags::IO | VmaFlags::PFNMAP);
            if secret || special || !vma.flags.contains(needed) {
                return Err(Errno::EINVAL);
            }
            self.fault_in(at, from, upto, write).map_err(|fault| match fault {
                Fault::Segv | Fault::Bus => Errno::EFAULT,
            })?;
            from = upto;
        }
        Ok(())
    }

    /// prctl(2) with `PR_SET_VMA_ANON_NAME`: names anonymous memory, or removes its name.
    ///
    /// # Errors
    /// - EINVAL: the kernel is built without names, `address` is not the start of a page, or the
    ///   name is longer than 79 bytes or has a character that is not printable or one of `` \`$[] ``.
    /// - EBADF: a mapping of a file that is not anonymous shared memory.
    /// - ENOMEM: a hole; the memory after it is named anyway.
    pub fn set_anon_name(
        &mut self,
        range: impl Into<CallRange>,
        name: Option<&[u8]>,
    ) -> Result<(), Errno> {
        let CallRange { address, length } = range.into();
        let profile = self.profile.clone();
        let sound = |name: &[u8]| {
            name.len() < 80
                && name.iter().all(|b| (0x20..0x7f).contains(b) && !br"\`$[]".contains(b))
        };
        if !profile.anon_names || !name.is_none_or(sound) || !profile.is_aligned(address) {
            return Err(Errno::EINVAL);
        }
        let length = profile.page_align(length).ok_or(Errno::EINVAL)?;
        let end = address.checked_add(length).ok_or(Errno::EINVAL)?;
        if length == 0 {
            return Ok(());
        }
        let name = name.map(|name| Arc::new(name.to_vec()));
        let holes = self.for_each_part(address, end, |space, at, start, end| {
            let vma = space.vmas.get(at);
            let kind = vma.file.as_ref().map(|file| file.kind());
            let named_shared = profile.anon_shared_names && kind == Some(FileKind::SharedMemory);
            if kind.is_some() && !named_shared {
                return Err(Errno::EBADF);
            }
            if vma.name == name {
                return Ok(());
            }
            space.modify(at, start, end, |vma| vma.name = name.clone()).map(|_| ())
        })?;
        if holes { Err(Errno::ENOMEM) } else { Ok(()) }
    }
}
