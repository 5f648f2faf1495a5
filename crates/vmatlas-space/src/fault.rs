//! Page faults: what a read or a write of memory does to an address space.

use super::vma::{Anon, Vma};
use super::vmas::Position;
use super::{AddressSpace, FileKind, VmaFlags};

/// Why an access fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// SIGSEGV: nothing is mapped there, or not for this access.
    #[error("segmentation fault")]
    Segv,
    /// SIGBUS: the page lies beyond the end of its file.
    #[error("bus error")]
    Bus,
}

/// Whether the caller tells of page faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Faults {
    /// Every access that may fault is told: what was not told did not happen.
    #[default]
    Told,
    /// Nobody tells: writable memory may have been written at any time. Where joining hangs on
    /// it, the boundary is a [doubt](AddressSpace::doubts).
    Untold,
}

impl AddressSpace {
    /// Stores to a byte of each of `pages` pages from the one of `address` on, upwards. A growing
    /// mapping grows to the first.
    ///
    /// # Errors
    /// The first failing page's; those before it stay written.
    pub fn write(&mut self, address: u64, pages: u64) -> Result<(), Fault> {
        self.touch(address, pages, true)
    }

    /// Loads a byte of each of `pages` pages, likewise.
    ///
    /// # Errors
    /// The first failing page's.
    pub fn read(&mut self, address: u64, pages: u64) -> Result<(), Fault> {
        self.touch(address, pages, false)
    }

    fn touch(&mut self, address: u64, pages: u64, write: bool) -> Result<(), Fault> {
        let size = self.profile.page_size();
        let first = address & !(size - 1);
        let end = pages.checked_mul(size).and_then(|bytes| first.checked_add(bytes));
        let end = end.ok_or(Fault::Segv)?;
        let mut page = first;
        while page < end {
            page = self.fault(page, end, write)?;
        }
        Ok(())
    }

    /// Accesses the pages from `page` on that lie in one mapping, up to `end`; where to go on.
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

    /// A growing mapping reaches down to `page`.
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
        // The reverse map is made before the limits are looked at.
        self.make_anon(at);
        if !fits {
            return Err(Fault::Segv);
        }
        self.vmas.change(at, |vma| vma.extend_start(page, shift));
        Ok(())
    }

    /// Gives a VMA a reverse map: a neighbour's, where the two differ only in what mprotect can
    /// change, else its own (find_mergeable_anon_vma, mm/vma.c).
    pub(super) fn make_anon(&mut self, at: Position) {
        let vma = self.vmas.get(at);
        if vma.anon != Anon::None {
            return;
        }
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
            (fits && matches!(old.anon, Anon::Some { forked: false, .. })).then_some(old.anon)
        };
        let above = self.vmas.next(at).map(|at| self.vmas.get(at));
        let below = self.vmas.previous(at).map(|at| self.vmas.get(at));
        let reused = above
            .and_then(|above| reusable(vma, above, above))
            .or_else(|| below.and_then(|below| reusable(below, vma, below)));
        let anon = match reused {
            Some(anon) => anon,
            None => self.fresh_anon(),
        };
        self.vmas.change(at, |vma| vma.anon = anon);
    }

    /// Brings in all pages of a range, as MAP_POPULATE and locking do (__mm_populate, mm/gup.c):
    /// writable private memory is written, all else read. Stops at the first failing mapping
    /// unless `ignore_errors`.
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
                // Nothing is brought in, but whether it could be is looked at.
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

    /// Brings in all pages of a part of one mapping, which allows the access; the first that
    /// cannot be ends it.
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
        // A private copy needs a reverse map even where the page then proves to be missing.
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
