//! munmap(2).

use super::AddressSpace;
use crate::errno::Errno;

impl AddressSpace {
    /// Unmaps all that lies in `length` bytes from `address` on; holes are fine.
    ///
    /// # Errors
    /// - EINVAL: `address` is not the start of a page, `length` is 0, the range leaves the
    ///   address space, or it would cut a huge page.
    /// - ENOMEM: a hole in the middle of a mapping would exceed `max_map_count`.
    /// - EPERM: a mapping in it is sealed. A split at the start stays.
    pub fn munmap(&mut self, address: u64, length: u64) -> Result<(), Errno> {
        let limit = self.profile.task_size;
        if !self.profile.is_aligned(address) || address > limit || length > limit - address {
            return Err(Errno::EINVAL);
        }
        let length = self.profile.page_align(length).ok_or(Errno::EINVAL)?;
        if length == 0 {
            return Err(Errno::EINVAL);
        }
        self.unmap(address, address + length)
    }

    /// The same for a range that is known to be sound.
    pub(super) fn unmap(&mut self, start: u64, end: u64) -> Result<(), Errno> {
        let Some(first) = self.vmas.find(start) else { return Ok(()) };
        let vma = self.vmas.get(first);
        if vma.start >= end {
            return Ok(());
        }
        if self.profile.seals_checked_first && self.vmas.within(start, end).any(|vma| vma.sealed())
        {
            return Err(Errno::EPERM);
        }
        let mut at = first;
        if start > vma.start {
            if end < vma.end && self.at_map_limit() {
                return Err(Errno::ENOMEM);
            }
            if vma.sealed() {
                return Err(Errno::EPERM);
            }
            if !self.huge_aligned(vma, start) {
                return Err(Errno::EINVAL);
            }
            self.split(at, start);
            at = self.vmas.find(start).expect("it was split there");
        }
        let mut next = Some(at);
        while let Some(here) = next {
            let vma = self.vmas.get(here);
            if vma.start >= end {
                break;
            }
            if vma.sealed() {
                return Err(Errno::EPERM);
            }
            if vma.end > end {
                if !self.huge_aligned(vma, end) {
                    return Err(Errno::EINVAL);
                }
                self.split(here, end);
                break;
            }
            next = self.vmas.next(here);
        }
        while let Some(at) = self.vmas.find(start) {
            if self.vmas.get(at).start >= end {
                break;
            }
            self.vmas.remove(at);
        }
        if !self.guards.is_empty() {
            self.guards.retain(|page| !(start..end).contains(page));
        }
        if !self.doubts.is_empty() {
            self.doubts.retain(|boundary| !(start < *boundary && *boundary < end));
        }
        Ok(())
    }
}
