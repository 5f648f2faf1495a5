//! mlock(2), mlock2(2), munlock(2), mlockall(2) and munlockall(2).

use super::mmap::supports_lock;
use super::vmas::Position;
use super::{AddressSpace, CallRange, Fault, FileKind, VmaFlags};
use crate::Errno;

impl AddressSpace {
    /// Locks memory; with `onfault` (`MLOCK_ONFAULT`) each page when it is faulted in.
    ///
    /// # Errors
    /// The range before the failing address stays locked.
    /// - EINVAL: the range wraps around.
    /// - ENOMEM: a hole, a mapping whose pages cannot be faulted in, or `max_map_count` would be
    ///   exceeded.
    pub fn mlock(&mut self, range: impl Into<CallRange>, onfault: bool) -> Result<(), Errno> {
        let flags = VmaFlags::LOCKED.with_if(VmaFlags::LOCKONFAULT, onfault);
        let (start, end) = self.lock_range(range.into())?;
        self.set_lock(start, end, flags)?;
        self.populate(start, end, false).map_err(|fault| match fault {
            Fault::Segv | Fault::Bus => Errno::ENOMEM,
        })
    }

    /// Unlocks memory.
    ///
    /// # Errors
    /// As [`mlock`](AddressSpace::mlock).
    pub fn munlock(&mut self, range: impl Into<CallRange>) -> Result<(), Errno> {
        let (start, end) = self.lock_range(range.into())?;
        self.set_lock(start, end, VmaFlags::NONE)
    }

    /// Locks all current mappings (`current`), all future ones (`future`), or both.
    ///
    /// # Errors
    /// EINVAL: neither `current` nor `future` is set.
    pub fn mlockall(&mut self, current: bool, future: bool, onfault: bool) -> Result<(), Errno> {
        if !current && !future {
            return Err(Errno::EINVAL);
        }
        let flags = VmaFlags::LOCKED.with_if(VmaFlags::LOCKONFAULT, onfault);
        self.default_flags = VmaFlags::NONE.with_if(flags, future);
        if current {
            self.set_lock_of_all(flags);
            let _ = self.populate(0, self.profile.task_size, true);
        }
        Ok(())
    }

    /// Unlocks all memory and clears `MCL_FUTURE`.
    pub fn munlockall(&mut self) {
        self.default_flags = VmaFlags::NONE;
        self.set_lock_of_all(VmaFlags::NONE);
    }

    fn lock_range(&self, range: CallRange) -> Result<(u64, u64), Errno> {
        let CallRange { address, length } = range;
        let inside = address & (self.profile.page_size() - 1);
        // The kernel's sum wraps around.
        let length = self.profile.page_align(length.wrapping_add(inside)).unwrap_or(0);
        let start = address - inside;
        let end = start.checked_add(length).ok_or(Errno::EINVAL)?;
        Ok((start, end))
    }

    fn set_lock(&mut self, start: u64, end: u64, flags: VmaFlags) -> Result<(), Errno> {
        let mut start = start;
        while start < end {
            let at = self.covering(start).ok_or(Errno::ENOMEM)?;
            let upto = self.vmas.get(at).end.min(end);
            start = self.set_lock_of_one(at, start, upto, flags)?;
        }
        Ok(())
    }

    fn set_lock_of_all(&mut self, flags: VmaFlags) {
        let mut from = 0;
        while let Some(at) = self.vmas.find(from) {
            let vma = self.vmas.get(at);
            let (start, end) = (vma.start, vma.end);
            // The kernel ignores errors here.
            from = self.set_lock_of_one(at, start, end, flags).unwrap_or(end);
        }
    }

    /// Changes a part of one VMA; returns the end of the VMA that then contains it.
    fn set_lock_of_one(
        &mut self,
        at: Position,
        start: u64,
        end: u64,
        lock: VmaFlags,
    ) -> Result<u64, Errno> {
        let vma = self.vmas.get(at);
        let new = vma.flags.without(VmaFlags::LOCKED_MASK) | lock;
        let secret = vma.file.as_ref().is_some_and(|file| file.kind() == FileKind::Secretmem);
        if new == vma.flags || secret || !supports_lock(vma) || vma.special.is_some() {
            return Ok(vma.end);
        }
        self.modify(at, start, end, |vma| vma.flags = new)
    }
}
