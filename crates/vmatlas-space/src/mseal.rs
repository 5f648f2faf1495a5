//! mseal(2).

use super::{AddressSpace, CallRange, VmaFlags};
use crate::Errno;

impl AddressSpace {
    /// Seals mappings against change (Linux 6.10, 64-bit).
    ///
    /// # Errors
    /// - EINVAL: `address` is not the start of a page, or the range wraps around.
    /// - ENOMEM: a hole (then nothing is sealed), or `max_map_count` would be exceeded.
    /// - ENOSYS: the kernel has no mseal(2).
    pub fn mseal(&mut self, range: impl Into<CallRange>) -> Result<(), Errno> {
        let CallRange { address, length } = range.into();
        if !self.profile.mseal {
            return Err(Errno::ENOSYS);
        }
        if !self.profile.is_aligned(address) {
            return Err(Errno::EINVAL);
        }
        let length = self.profile.page_align(length).ok_or(Errno::EINVAL)?;
        let end = address.checked_add(length).ok_or(Errno::EINVAL)?;
        if length == 0 {
            return Ok(());
        }
        let mut covered = address;
        for vma in self.vmas.within(address, end) {
            if vma.start > covered {
                return Err(Errno::ENOMEM);
            }
            covered = vma.end;
        }
        if covered < end {
            return Err(Errno::ENOMEM);
        }
        let mut start = address;
        while start < end {
            let at = self.covering(start).expect("there is no hole");
            let vma = self.vmas.get(at);
            let upto = vma.end.min(end);
            start = match vma.sealed() {
                true => vma.end,
                false => self.modify(at, start, upto, |vma| vma.flags |= VmaFlags::SEALED)?,
            };
        }
        Ok(())
    }
}
