//! mprotect(2) and pkey_mprotect(2), and the allocation of protection keys.

use super::mmap::access;
use super::vma::Anon;
use super::vmas::Position;
use super::{AddressSpace, CallRange, Faults, Prot, VmaFlags};
use crate::Errno;

impl AddressSpace {
    /// Changes the protection of `length` bytes at `address`.
    ///
    /// # Errors
    /// The range before the failing address stays changed.
    /// - EINVAL: `address` is not the start of a page.
    /// - ENOMEM: a hole, or `max_map_count` would be exceeded.
    /// - EACCES: the mapped file was not opened for that access.
    /// - EPERM: a sealed mapping.
    pub fn mprotect(&mut self, range: impl Into<CallRange>, prot: Prot) -> Result<(), Errno> {
        self.protect(range.into(), prot, None, false)
    }

    /// mprotect, or pkey_mprotect with a key, with `PROT_GROWSDOWN`: the change starts at the start
    /// of the growing mapping.
    ///
    /// # Errors
    /// As [`mprotect`](AddressSpace::mprotect); EINVAL if the mapping does not grow down.
    pub fn mprotect_growsdown(
        &mut self,
        range: impl Into<CallRange>,
        prot: Prot,
        pkey: Option<u8>,
    ) -> Result<(), Errno> {
        self.protect(range.into(), prot, pkey, true)
    }

    /// pkey_mprotect(2): also sets the protection key.
    ///
    /// # Errors
    /// As [`mprotect`](AddressSpace::mprotect); EINVAL if the key is not allocated.
    pub fn pkey_mprotect(
        &mut self,
        range: impl Into<CallRange>,
        prot: Prot,
        pkey: u8,
    ) -> Result<(), Errno> {
        self.protect(range.into(), prot, Some(pkey), false)
    }

    /// pkey_alloc(2): allocates a protection key.
    ///
    /// # Errors
    /// ENOSPC: all 16 are in use, or the processor has none.
    pub fn pkey_alloc(&mut self) -> Result<u8, Errno> {
        let free = (!self.pkeys).trailing_zeros();
        if !self.profile.pkeys || free >= 16 {
            return Err(Errno::ENOSPC);
        }
        self.pkeys |= 1 << free;
        Ok(free as u8)
    }

    /// The key for execute-only memory, allocated at first use.
    pub(super) fn execute_only_key(&mut self) -> Option<u8> {
        if self.execute_only_pkey.is_none() {
            self.execute_only_pkey = self.pkey_alloc().ok();
        }
        self.execute_only_pkey
    }

    fn protect(
        &mut self,
        range: CallRange,
        prot: Prot,
        pkey: Option<u8>,
        growsdown: bool,
    ) -> Result<(), Errno> {
        let CallRange { address, length } = range;
        if !self.profile.is_aligned(address) {
            return Err(Errno::EINVAL);
        }
        if length == 0 {
            return Ok(());
        }
        let length = self.profile.page_align(length).ok_or(Errno::ENOMEM)?;
        let end = address.checked_add(length).filter(|end| *end > address).ok_or(Errno::ENOMEM)?;
        if pkey.is_some_and(|key| key > 15 || self.pkeys & 1 << key == 0) {
            return Err(Errno::EINVAL);
        }
        if self.profile.seals_checked_first
            && self.vmas.within(address, end).any(|vma| vma.sealed())
        {
            return Err(Errno::EPERM);
        }
        let first = self.vmas.find(address).ok_or(Errno::ENOMEM)?;
        let vma = self.vmas.get(first);
        let mut start = address;
        if growsdown {
            if vma.start >= end {
                return Err(Errno::ENOMEM);
            }
            start = vma.start;
            if !vma.flags.contains(VmaFlags::GROWSDOWN) {
                return Err(Errno::EINVAL);
            }
        } else if vma.start > start {
            return Err(Errno::ENOMEM);
        }
        let mut at = first;
        loop {
            let upto = self.vmas.get(at).end.min(end);
            // Skip what joined the changed part: it has the same attributes.
            start = self.protect_one(at, start, upto, prot, pkey)?;
            if start >= end {
                return Ok(());
            }
            at = self.covering(start).ok_or(Errno::ENOMEM)?;
        }
    }

    /// Changes a part of one VMA; returns the end of the VMA that then contains it.
    fn protect_one(
        &mut self,
        at: Position,
        start: u64,
        end: u64,
        prot: Prot,
        pkey: Option<u8>,
    ) -> Result<u64, Errno> {
        use VmaFlags as F;
        let old = self.vmas.get(at).flags;
        let mut prot = prot;
        if self.read_implies_exec && prot.contains(Prot::READ) && old.contains(F::MAYEXEC) {
            prot = prot | Prot::EXEC;
        }
        let old_key = self.vmas.get(at).pkey;
        let key = self.protected_key(old_key, old, prot, pkey);
        let vma = self.vmas.get(at);
        let mut new = old.without(F::ACCESS) | access(prot);
        if !old.contains(access(prot).may()) {
            return Err(Errno::EACCES);
        }
        if vma.sealed() {
            return Err(Errno::EPERM);
        }
        if new == old && key == old_key {
            return Ok(vma.end);
        }
        if new.contains(F::WRITE) {
            let uncounted =
                !old.intersects(F::ACCOUNT | F::WRITE | F::HUGETLB | F::SHARED | F::NORESERVE);
            new = new.with_if(F::ACCOUNT, uncounted);
        } else if self.profile.decommit_unaccounts && vma.anonymous() {
            // Writable memory was most likely written, unless a write would have been seen.
            let unwritten = match self.faults {
                Faults::Seen => vma.seen,
                Faults::Reported | Faults::Unreported => vma.anon,
            };
            if unwritten == Anon::None {
                new = new.without(F::ACCOUNT);
            }
        }
        let changed = self.modify(at, start, end, |vma| {
            vma.flags = new;
            vma.pkey = key;
        })?;
        // The kernel writes to a locked private mapping as soon as it becomes writable.
        if old & (F::WRITE | F::SHARED | F::LOCKED) == F::LOCKED && new.contains(F::WRITE) {
            let _ = self.populate(start, end, true);
        }
        self.assume_written(start, end);
        Ok(changed)
    }

    /// The key after a protection change (__arch_override_mprotect_pkey, arch/x86/mm/pkeys.c).
    fn protected_key(&mut self, old_key: u8, old: VmaFlags, prot: Prot, asked: Option<u8>) -> u8 {
        if let Some(key) = asked {
            return key;
        }
        if prot == Prot::EXEC {
            if let Some(key) = self.execute_only_key() {
                return key;
            }
        } else if old & VmaFlags::ACCESS == VmaFlags::EXEC
            && self.execute_only_pkey == Some(old_key)
        {
            return 0;
        }
        old_key
    }
}
