//! userfaultfd(2): the effect of registering memory on mappings.

use super::vma::Vma;
use super::vmas::Position;
use super::{AddressSpace, CallRange, FileKind, VmaFlags};
use crate::Errno;

/// A userfaultfd of an address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Uffd(u32);

impl Uffd {
    /// Its number in its address space, counted from 1.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The userfaultfd with that [number](Self::number).
    pub fn from_number(number: u32) -> Uffd {
        Uffd(number)
    }
}

impl AddressSpace {
    /// userfaultfd(2), without the features that report fork and mremap.
    pub fn userfaultfd(&mut self) -> Uffd {
        self.next_uffd += 1;
        Uffd(self.next_uffd)
    }

    /// `UFFDIO_REGISTER` for missing pages, or for write protection.
    ///
    /// # Errors
    /// - EINVAL: the range is empty, unaligned or has no mapping, or a mapping cannot be watched.
    /// - EPERM: the mapped file was not opened for writing.
    /// - EBUSY: another userfaultfd watches the range, or (7.3) this one write-protects it and
    ///   registers it for missing pages.
    /// - ENOMEM: `max_map_count` would be exceeded.
    pub fn uffd_register(
        &mut self,
        uffd: Uffd,
        range: impl Into<CallRange>,
        write_protect: bool,
    ) -> Result<(), Errno> {
        let CallRange { address, length } = range.into();
        let mode = if write_protect { VmaFlags::UFFD_WP } else { VmaFlags::UFFD_MISSING };
        let (start, end) = self.uffd_range(address, length)?;
        for vma in self.vmas.within(start, end) {
            if !self.can_be_watched(vma, mode) {
                return Err(Errno::EINVAL);
            }
            if !vma.flags.contains(VmaFlags::MAYWRITE) {
                return Err(Errno::EPERM);
            }
            if !self.huge_aligned(vma, start) || !self.huge_aligned(vma, end) {
                return Err(Errno::EINVAL);
            }
            if vma.uffd != 0 && vma.uffd != uffd.0 {
                return Err(Errno::EBUSY);
            }
            let drops = vma.flags.contains(VmaFlags::UFFD_WP) && !write_protect;
            if drops && vma.uffd == uffd.0 && self.profile.uffd_keeps_write_protect {
                return Err(Errno::EBUSY);
            }
        }
        let visited = self.for_each_part(start, end, |space, at, start, end| {
            let vma = space.vmas.get(at);
            if vma.uffd == uffd.0 && vma.flags.contains(mode) {
                return Ok(());
            }
            space.uffd_change(at, start, end, |vma| {
                vma.flags = vma.flags.without(VmaFlags::UFFD_MASK) | mode;
                vma.uffd = uffd.0;
            })
        });
        visited.map(|_| ())
    }

    /// `UFFDIO_UNREGISTER`.
    ///
    /// # Errors
    /// As [`uffd_register`](AddressSpace::uffd_register).
    pub fn uffd_unregister(
        &mut self,
        uffd: Uffd,
        range: impl Into<CallRange>,
    ) -> Result<(), Errno> {
        let CallRange { address, length } = range.into();
        let (start, end) = self.uffd_range(address, length)?;
        for vma in self.vmas.within(start, end) {
            let foreign = vma.uffd != 0 && vma.uffd != uffd.0;
            if (foreign && self.profile.uffd_unregisters_own_only)
                || !self.can_be_watched(vma, vma.flags)
            {
                return Err(Errno::EINVAL);
            }
        }
        let visited = self.for_each_part(start, end, |space, at, start, end| {
            if space.vmas.get(at).uffd == 0 {
                return Ok(());
            }
            space.uffd_clear(at, start, end)
        });
        visited.map(|_| ())
    }

    /// Closes the last descriptor of a userfaultfd: its memory is unregistered, and mappings may
    /// join again.
    pub fn uffd_close(&mut self, uffd: Uffd) {
        let mut from = 0;
        while let Some(at) = self.vmas.find(from) {
            let vma = self.vmas.get(at);
            let (start, end) = (vma.start, vma.end);
            if vma.uffd == uffd.0 {
                // The whole mapping changes, so nothing is split.
                let _ = self.uffd_clear(at, start, end);
            }
            from = self.vmas.get(self.covering(end - 1).expect("it was there")).end;
        }
    }

    fn uffd_clear(&mut self, at: Position, start: u64, end: u64) -> Result<(), Errno> {
        self.uffd_change(at, start, end, |vma| {
            vma.flags = vma.flags.without(VmaFlags::UFFD_MASK);
            vma.uffd = 0;
        })
    }

    fn uffd_change(
        &mut self,
        at: Position,
        start: u64,
        end: u64,
        change: impl Fn(&mut Vma),
    ) -> Result<(), Errno> {
        // Older kernels compare the offset of the whole mapping with the neighbours' offsets.
        let cut = self.vmas.get(at).start < start;
        let changed = match cut && self.profile.uffd_forgets_offset {
            true => self.split_out(at, start, end, change),
            false => self.modify(at, start, end, change),
        };
        changed.map(|_| ())
    }

    fn uffd_range(&self, address: u64, length: u64) -> Result<(u64, u64), Errno> {
        let profile = &self.profile;
        if !profile.is_aligned(address)
            || !profile.is_aligned(length)
            || length == 0
            || address < profile.mmap_min_addr
            || address >= profile.task_size
            || length > profile.task_size - address
        {
            return Err(Errno::EINVAL);
        }
        if self.vmas.within(address, address + length).next().is_none() {
            return Err(Errno::EINVAL);
        }
        Ok((address, address + length))
    }

    /// `vma_can_userfault`.
    fn can_be_watched(&self, vma: &Vma, mode: VmaFlags) -> bool {
        let kind = vma.file.as_ref().map(|file| file.kind());
        let shared_memory =
            matches!(kind, Some(FileKind::Tmpfs | FileKind::SharedMemory | FileKind::Hugetlb));
        let write_protect = mode.contains(VmaFlags::UFFD_WP);
        let droppable = vma.flags.contains(VmaFlags::DROPPABLE);
        let refused = (droppable && self.profile.uffd_refuses_droppable)
            || (vma.flags.intersects(VmaFlags::SPECIAL) && kind != Some(FileKind::Hugetlb))
            || vma.special.is_some();
        !refused
            && (vma.anonymous()
                || (shared_memory && (!write_protect || self.profile.uffd_protects_shared)))
    }
}
