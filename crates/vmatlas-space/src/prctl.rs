//! What prctl(2) does to an address space; names are in `madvise.rs`.

use super::mmap::ksm_compatible;
use super::vma::Vma;
use super::{AddressSpace, VmaFlags};
use crate::errno::Errno;

impl AddressSpace {
    /// `PR_SET_MEMORY_MERGE`: all memory that can be, and all to come, is given to same-page
    /// merging, or none is any more. No mapping joins or splits at that moment.
    ///
    /// # Errors
    /// EINVAL: the kernel does not know it.
    pub fn set_memory_merge(&mut self, on: bool) -> Result<(), Errno> {
        if !self.profile.ksm_prctl || !self.profile.ksm {
            return Err(Errno::EINVAL);
        }
        if on == self.ksm_all {
            return Ok(());
        }
        self.ksm_all = on;
        let mut next = self.vmas.find(0);
        while let Some(at) = next {
            let compatible = ksm_compatible(self.vmas.get(at));
            self.vmas.change(at, |vma| {
                vma.flags = vma.flags.without(VmaFlags::MERGEABLE).with_if(
                    VmaFlags::MERGEABLE,
                    on && (compatible || vma.flags.contains(VmaFlags::MERGEABLE)),
                );
            });
            next = self.vmas.next(at);
        }
        Ok(())
    }

    /// Puts a `[stack]` there, as execve does: its pages are written. Addresses are in bytes.
    ///
    /// # Errors
    /// ENOMEM: no range of pages that a process can have, or something is mapped there.
    pub fn map_stack(&mut self, start: u64, end: u64) -> Result<(), Errno> {
        use VmaFlags as F;
        let shift = self.profile.page_shift;
        let pages = self.profile.is_aligned(start) && self.profile.is_aligned(end);
        if !pages || start >= end || end > self.profile.task_size {
            return Err(Errno::ENOMEM);
        }
        if self.vmas.within(start, end).next().is_some() {
            return Err(Errno::ENOMEM);
        }
        let flags = F::READ | F::WRITE | F::MAYREAD | F::MAYWRITE | F::MAYEXEC;
        let anon = self.fresh_anon();
        // It is written at the top of the address space and then moved: it joins nothing.
        let written = (self.profile.task_size - (end - start)) >> shift;
        let flags = flags | F::GROWSDOWN | F::ACCOUNT | self.default_flags;
        self.insert(Vma {
            offset: written,
            anon_offset: written,
            anon,
            ..Vma::untouched(start, end, flags, shift)
        });
        self.start_stack = end - 1;
        Ok(())
    }

    /// `PR_SET_MM_START_STACK`: the mapping that holds `address` is shown as `[stack]`.
    pub fn set_start_stack(&mut self, address: u64) {
        self.start_stack = address;
    }
}

/// `PR_SET_MM`: what is shown as `[heap]` and `[stack]` moves, and no mapping does. That the
/// process may do it (EPERM) is for the caller to know.
impl AddressSpace {
    /// `PR_SET_MM_START_BRK`: where the heap begins.
    ///
    /// # Errors
    /// EINVAL: no process can have the address, or the heap would end before it begins.
    pub fn set_start_brk(&mut self, address: u64) -> Result<(), Errno> {
        self.relabel(address, self.brk, self.start_stack, &[address])
    }

    /// `PR_SET_MM_BRK`: where the heap ends.
    ///
    /// # Errors
    /// EINVAL, likewise.
    pub fn set_brk(&mut self, address: u64) -> Result<(), Errno> {
        self.relabel(self.start_brk, address, self.start_stack, &[address])
    }

    /// `PR_SET_MM_MAP`, as far as rows show it.
    ///
    /// ```
    /// use vmatlas_space::{AddressSpace, KernelProfile, Mmap, Prot};
    /// let mut space = AddressSpace::new(KernelProfile::of("6.18".parse()?));
    /// space.mmap(&Mmap::anonymous(0x100_0000, 0x2000, Prot::READ).fixed())?;
    /// space.set_mm_map(0x100_0000, 0x100_1000, 0x200_0000)?;
    /// assert!(String::from_utf8(space.render())?.contains("[heap]"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// EINVAL, likewise.
    pub fn set_mm_map(&mut self, start_brk: u64, brk: u64, start_stack: u64) -> Result<(), Errno> {
        self.relabel(start_brk, brk, start_stack, &[start_brk, brk, start_stack])
    }

    fn relabel(
        &mut self,
        start_brk: u64,
        brk: u64,
        start_stack: u64,
        new: &[u64],
    ) -> Result<(), Errno> {
        let possible = self.profile.mmap_min_addr..self.profile.task_size;
        if start_brk > brk || !new.iter().all(|address| possible.contains(address)) {
            return Err(Errno::EINVAL);
        }
        (self.start_brk, self.brk, self.start_stack) = (start_brk, brk, start_stack);
        Ok(())
    }
}
