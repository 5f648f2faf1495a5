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
                    (on && compatible) || (on && vma.flags.contains(VmaFlags::MERGEABLE)),
                );
            });
            next = self.vmas.next(at);
        }
        Ok(())
    }

    /// Puts a `[stack]` there, as execve does: its pages are written.
    pub fn map_stack(&mut self, start: u64, end: u64) {
        use VmaFlags as F;
        let shift = self.profile.page_shift;
        let flags = F::READ | F::WRITE | F::MAYREAD | F::MAYWRITE | F::MAYEXEC;
        let anon = self.fresh_anon();
        // It is written at the top of the address space and then moved: it joins nothing.
        let written = (self.profile.task_size - (end - start)) >> shift;
        self.insert(Vma {
            start,
            end,
            offset: written,
            anon_offset: written,
            flags: flags | F::GROWSDOWN | F::ACCOUNT | self.default_flags,
            file: None,
            name: None,
            policy: None,
            anon,
            uffd: 0,
            pkey: 0,
            special: None,
        });
        self.start_stack = end - 1;
    }

    /// `PR_SET_MM_START_STACK`: the mapping that holds `address` is shown as `[stack]`.
    pub fn set_start_stack(&mut self, address: u64) {
        self.start_stack = address;
    }
}
