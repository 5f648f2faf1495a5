//! munmap(2).

use super::vmas::Position;
use super::{AddressSpace, CallRange};
use crate::Errno;
use std::ops::Bound;

impl AddressSpace {
    /// Unmaps `length` bytes at `address`; holes are allowed.
    ///
    /// # Errors
    /// - EINVAL: `address` is not the start of a page, `length` is 0, the range leaves the
    ///   address space, or it would cut a huge page.
    /// - ENOMEM: a hole in the middle of a mapping would exceed `max_map_count`.
    /// - EPERM: a mapping in it is sealed. A split at the start stays.
    pub fn munmap(&mut self, range: impl Into<CallRange>) -> Result<(), Errno> {
        let CallRange { address, length } = range.into();
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

    /// Unmaps a range that was already validated.
    pub(super) fn unmap(&mut self, start: u64, end: u64) -> Result<(), Errno> {
        let Some(first) = self.vmas.find(start) else { return Ok(()) };
        if self.vmas.get(first).start >= end {
            return Ok(());
        }
        self.check_unmap(first, start, end)?;
        let shift = self.profile.page_shift;
        let mut next = Some(first);
        while let Some(at) = next {
            let (from, upto) = {
                let vma = self.vmas.get(at);
                (vma.start, vma.end)
            };
            if from >= end {
                break;
            }
            match (from < start, upto > end) {
                (true, true) => {
                    let upper = self.vmas.change(at, |vma| {
                        let upper = vma.part(end, vma.end, shift);
                        vma.end = start;
                        upper
                    });
                    self.vmas.insert_after(at, upper);
                    break;
                }
                (true, false) => {
                    self.vmas.change(at, |vma| vma.end = start);
                    next = self.vmas.next(at);
                }
                (false, true) => {
                    self.vmas.change(at, |vma| vma.trim_start(end, shift));
                    break;
                }
                (false, false) => {
                    self.vmas.remove(at);
                    // The range nearly always covers one VMA only.
                    next = if upto < end { self.vmas.find(start) } else { None };
                }
            }
        }
        self.guards.remove(start..end);
        let inside = (Bound::Excluded(start), Bound::Excluded(end));
        while let Some(boundary) = self.doubts.range(inside).next().copied() {
            self.doubts.remove(&boundary);
        }
        Ok(())
    }

    /// Checks whether the whole range may be unmapped; on failure makes the splits that the kernel
    /// leaves behind.
    fn check_unmap(&mut self, first: Position, start: u64, end: u64) -> Result<(), Errno> {
        let vma = self.vmas.get(first);
        let sealed = |space: &Self| space.vmas.within(start, end).any(|vma| vma.sealed());
        if self.profile.seals_checked_first && sealed(self) {
            return Err(Errno::EPERM);
        }
        if start > vma.start {
            if end < vma.end && self.at_map_limit() {
                return Err(Errno::ENOMEM);
            }
            if vma.sealed() {
                return Err(Errno::EPERM);
            }
            if !self.may_split(vma, start) {
                return Err(Errno::EINVAL);
            }
        }
        let mut next = Some(first);
        let mut refused = None;
        while let Some(at) = next {
            let vma = self.vmas.get(at);
            if vma.start >= end {
                break;
            }
            if vma.sealed() {
                refused = Some(Errno::EPERM);
                break;
            }
            if vma.end > end && !self.may_split(vma, end) {
                refused = Some(Errno::EINVAL);
                break;
            }
            next = self.vmas.next(at);
        }
        let Some(errno) = refused else { return Ok(()) };
        if start > self.vmas.get(first).start {
            self.split(first, start);
        }
        Err(errno)
    }
}
