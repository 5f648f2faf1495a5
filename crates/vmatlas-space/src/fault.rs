//! Page faults: how a read or a write changes an address space.

use super::vma::{Anon, Vma};
use super::vmas::Position;
use super::{AddressSpace, CallRange, FileKind, VmaFlags};

/// The reason why an access fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// SIGSEGV: nothing is mapped there, or the mapping does not permit the access.
    #[error("segmentation fault")]
    Segv,
    /// SIGBUS: the page lies beyond the end of its file.
    #[error("bus error")]
    Bus,
}

/// Whether the caller reports page faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Faults {
    /// The caller reports every access that may fault; no other access happened.
    #[default]
    Reported,
    /// The caller reports no faults: writable memory may have been written at any time. If a join
    /// depends on that, the boundary is a [doubt](AddressSpace::doubts).
    Unreported,
    /// The caller reports the writes that it sees, and others are unlikely: a join that depends on
    /// them is a doubt, and is made or not by the reported ones.
    Seen,
}

impl AddressSpace {
    /// Stores a byte to each page of which a part is in the range, upwards. A growing mapping grows
    /// down to the first page.
    ///
    /// # Errors
    /// The fault of the first page that fails; the pages before it stay written.
    pub fn write(&mut self, range: impl Into<CallRange>) -> Result<(), Fault> {
        self.touch(range.into(), true)
    }

    /// Loads a byte from each page of which a part is in the range, upwards.
    ///
    /// # Errors
    /// The fault of the first page that fails.
    pub fn read(&mut self, range: impl Into<CallRange>) -> Result<(), Fault> {
        self.touch(range.into(), false)
    }

    fn touch(&mut self, range: CallRange, write: bool) -> Result<(), Fault> {
        let first = range.address & !(self.profile.page_size() - 1);
        let end = range.address.checked_add(range.length);
        let end = end.and_then(|end| self.profile.page_align(end));
        let end = end.ok_or(Fault::Segv)?;
        let mut page = first;
        while page < end {
            page = self.fault(page, end, write)?;
        }
        Ok(())
    }

    /// Accesses the pages from `page` to `end` within one mapping; returns the next page to access.
    fn fault(&mut self, page: u64, end: u64, write: bool) -> Result<u64, Fault> {
        let mut at = self.vmas.find(page).ok_or(Fault::Segv)?;
        if self.vmas.get(at).start > page {
            self.grow_down(at, page)?;
            at = self.covering(page).ok_or(Fault::Segv)?;
        }
        let vma = self.vmas.get(at);
        let allowed = if write {
            vma.flags.contains(VmaFlags::WRITE)
        } else {
            vma.accessible() && Some(vma.pkey) != self.execute_only_pkey
        };
        if !allowed {
            return Err(Fault::Segv);
        }
        let upto = vma.end.min(end);
        self.fault_in(at, page, upto, write)?;
        Ok(upto)
    }

    /// Extends a growing mapping down to `page`.
    fn grow_down(&mut self, at: Position, page: u64) -> Result<(), Fault> {
        let profile = self.profile.clone();
        let shift = profile.page_shift;
        let vma = self.vmas.get(at);
        if !vma.flags.contains(VmaFlags::GROWSDOWN) || page < profile.mmap_min_addr {
            return Err(Fault::Segv);
        }
        if let Some(below) = self.vmas.previous(at) {
            let below = self.vmas.get(below);
            if !below.flags.contains(VmaFlags::GROWSDOWN)
                && below.accessible()
                && page - below.end < profile.stack_guard_gap << shift
            {
                return Err(Fault::Segv);
            }
        }
        let pages = (vma.start - page) >> shift;
        let fits = vma.end - page <= profile.stack_limit && pages <= vma.offset;
        // The kernel makes the reverse map before it checks the limits.
        self.make_anon(at);
        if !fits {
            return Err(Fault::Segv);
        }
        self.vmas.change(at, |vma| vma.extend_start(page, shift));
        Ok(())
    }

    /// Gives a VMA a reverse map, if it has none.
    pub(super) fn make_anon(&mut self, at: Position) {
        if self.vmas.get(at).anon == Anon::None {
            let anon = self.anon_for(at, |vma| vma.anon);
            self.vmas.change(at, |vma| vma.anon = anon);
        }
        if self.faults != Faults::Reported && self.vmas.get(at).seen == Anon::None {
            let seen = self.anon_for(at, |vma| vma.seen);
            self.vmas.change(at, |vma| vma.seen = seen);
        }
    }

    /// The reverse map for a VMA that has none: a neighbour's if the two differ only in attributes
    /// that mprotect can change, else a new one (find_mergeable_anon_vma, mm/vma.c).
    fn anon_for(&mut self, at: Position, anon: fn(&Vma) -> Anon) -> Anon {
        let vma = self.vmas.get(at);
        let shift = self.profile.page_shift;
        let reusable = |lower: &Vma, upper: &Vma, old: &Vma| {
            let pages = (lower.end - lower.start) >> shift;
            let differ = (lower.flags ^ upper.flags).without(VmaFlags::ACCESS);
            let ignored =
                VmaFlags::NONE.with_if(VmaFlags::MAYBE_GUARD, self.profile.sticky_guard_flag);
            let fits = lower.end == upper.start
                && differ.without(ignored) == VmaFlags::NONE
                && lower.pkey == upper.pkey
                && lower.policy == upper.policy
                && lower.same_file(upper)
                && lower.offset.wrapping_add(pages) == upper.offset
                && (!self.profile.compares_anon_offset
                    || lower.anon_offset.wrapping_add(pages) == upper.anon_offset);
            let old = anon(old);
            (fits && matches!(old, Anon::Some { forked: false, .. })).then_some(old)
        };
        let above = self.vmas.next(at).map(|at| self.vmas.get(at));
        let below = self.vmas.previous(at).map(|at| self.vmas.get(at));
        let reused = above
            .and_then(|above| reusable(vma, above, above))
            .or_else(|| below.and_then(|below| reusable(below, vma, below)));
        reused.unwrap_or_else(|| self.fresh_anon())
    }

    /// Faults in all pages of a range, as MAP_POPULATE and locking do (__mm_populate, mm/gup.c):
    /// writes to writable private memory, reads all other memory. Stops at the first failing
    /// mapping unless `ignore_errors` is set.
    pub(super) fn populate(
        &mut self,
        start: u64,
        end: u64,
        ignore_errors: bool,
    ) -> Result<(), Fault> {
        let mut from = start;
        while let Some(at) = self.vmas.find(from).filter(|_| from < end) {
            let vma = self.vmas.get(at);
            if vma.start >= end {
                break;
            }
            let (start, upto) = (vma.start.max(from), vma.end.min(end));
            from = upto;
            let onfault = vma.flags.contains(VmaFlags::LOCKONFAULT);
            if vma.flags.intersects(VmaFlags::IO | VmaFlags::PFNMAP)
                || (onfault && self.profile.onfault_touches_nothing)
            {
                continue;
            }
            let secret = vma.file.as_ref().is_some_and(|file| file.kind() == FileKind::Secretmem);
            let write = vma.flags.contains(VmaFlags::WRITE) && vma.private();
            let unreadable = !write && vma.pkey != 0 && Some(vma.pkey) == self.execute_only_pkey;
            let result = if onfault {
                // The kernel faults in no page, but checks whether it could.
                if unreadable || !vma.accessible() { Err(Fault::Segv) } else { Ok(()) }
            } else if secret || unreadable || !vma.accessible() {
                Err(Fault::Segv)
            } else {
                self.fault_in(at, start, upto, write)
            };
            if !ignore_errors {
                result?;
            }
        }
        Ok(())
    }

    /// Faults in all pages of a part of one mapping, which permits the access; stops at the first
    /// page that fails.
    pub(super) fn fault_in(
        &mut self,
        at: Position,
        start: u64,
        end: u64,
        write: bool,
    ) -> Result<(), Fault> {
        let guard = self.guards.first_in(start..end);
        if guard == Some(start) {
            return Err(Fault::Segv);
        }
        // A private copy needs a reverse map even if the page then turns out to be missing.
        if write && self.vmas.get(at).private() {
            self.make_anon(at);
        }
        let end = guard.unwrap_or(end);
        if self.file_end(self.vmas.get(at)) < end {
            return Err(Fault::Bus);
        }
        if guard.is_some() { Err(Fault::Segv) } else { Ok(()) }
    }

    /// The address at which the pages of the mapped file end.
    fn file_end(&self, vma: &Vma) -> u64 {
        let shift = self.profile.page_shift;
        match &vma.file {
            Some(file) if !vma.anonymous() => {
                let pages = file.size().div_ceil(1 << shift).saturating_sub(vma.offset);
                vma.start.saturating_add(pages.saturating_mul(1 << shift))
            }
            _ => u64::MAX,
        }
    }
}
