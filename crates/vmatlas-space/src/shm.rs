//! shmat(2) and shmdt(2).

use super::{AddressSpace, File, FileKind, Mmap, Prot};
use crate::Errno;

impl AddressSpace {
    /// Attaches a System V segment at `address`; each attach is a separate open file.
    ///
    /// # Errors
    /// - EINVAL: `address` is not the start of a page, the segment's size was never set, or
    ///   something is mapped there and `SHM_REMAP` is not given.
    /// - those of [`mmap`](AddressSpace::mmap).
    pub fn shmat(
        &mut self,
        segment: &File,
        address: u64,
        readonly: bool,
        replace: bool,
    ) -> Result<(), Errno> {
        let size = self.profile.page_align(segment.size()).ok_or(Errno::EINVAL)?;
        let end = address.checked_add(size).ok_or(Errno::EINVAL)?;
        if !self.profile.is_aligned(address)
            || (!replace && self.vmas.within(address, end).next().is_some())
        {
            return Err(Errno::EINVAL);
        }
        let prot = if readonly { Prot::READ } else { Prot::READ | Prot::WRITE };
        let file = segment.reopen(true, !readonly);
        let request = Mmap::anonymous(size, prot).of_file(&file, 0).shared().fixed(address);
        self.mmap(&request).map(drop)
    }

    /// Detaches all pieces of the segment that was attached at `address`.
    ///
    /// # Errors
    /// EINVAL: `address` is not the start of a page, or no segment was attached there.
    pub fn shmdt(&mut self, address: u64) -> Result<(), Errno> {
        if !self.profile.is_aligned(address) {
            return Err(Errno::EINVAL);
        }
        let shift = self.profile.page_shift;
        let belongs = |vma: &super::vma::Vma| {
            let file = vma.file.as_ref().filter(|file| file.kind() == FileKind::SysvShm)?;
            (vma.start.wrapping_sub(address) >> shift == vma.offset).then(|| file.clone())
        };
        // The first piece may lie anywhere above; it identifies the segment and its size.
        let mut found = None;
        let mut from = address;
        while let Some(at) = self.vmas.find(from) {
            let vma = self.vmas.get(at);
            let (start, end) = (vma.start, vma.end);
            if let Some(file) = belongs(vma) {
                found = Some((file, end));
                // shmdt ignores errors of unmapping.
                let _ = self.unmap(start, end);
                break;
            }
            from = end;
        }
        let (segment, mut from) = found.ok_or(Errno::EINVAL)?;
        let size = self.profile.page_align(segment.size()).unwrap_or(u64::MAX);
        while let Some(at) = self.vmas.find(from) {
            let vma = self.vmas.get(at);
            let (start, end) = (vma.start, vma.end);
            if end - address > size {
                break;
            }
            if belongs(vma).is_some_and(|file| file.same(&segment)) {
                let _ = self.unmap(start, end);
            }
            from = end;
        }
        Ok(())
    }
}
