//! prctl(2) on an address space; `madvise.rs` has `PR_SET_VMA_ANON_NAME`.

use super::mmap::ksm_compatible;
use super::vma::Vma;
use super::{AddressSpace, VmaFlags};
use crate::Errno;
use vmatlas_maps::AddressRange;

impl AddressSpace {
    /// `PR_SET_MEMORY_MERGE`: marks all eligible memory, current and future, for same-page
    /// merging, or unmarks it. The call itself joins or splits no mapping.
    ///
    /// # Errors
    /// EINVAL: the kernel does not support it.
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

    /// Maps a `[stack]`, as execve does; its pages are written.
    ///
    /// # Errors
    /// ENOMEM: the range is empty, unaligned or out of bounds, or something is mapped there.
    pub fn map_stack(&mut self, stack: AddressRange) -> Result<(), Errno> {
        use VmaFlags as F;
        let (start, end) = (stack.start, stack.end);
        let shift = self.profile.page_shift;
        let pages = self.profile.is_aligned(start) && self.profile.is_aligned(end);
        if !pages || stack.is_empty() || end > self.profile.task_size {
            return Err(Errno::ENOMEM);
        }
        if self.vmas.within(start, end).next().is_some() {
            return Err(Errno::ENOMEM);
        }
        let flags = F::READ | F::WRITE | F::MAYREAD | F::MAYWRITE | F::MAYEXEC;
        let anon = self.fresh_anon();
        // execve writes it at the top of the address space and then moves it: it joins nothing.
        let written = (self.profile.task_size - (end - start)) >> shift;
        let flags = flags | F::GROWSDOWN | F::ACCOUNT | self.default_flags;
        self.insert(Vma {
            offset: written,
            anon_offset: written,
            anon,
            seen: anon,
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

/// The fields of the kernel's `struct prctl_mm_map` that rows depend on. They are addresses, in
/// bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MmMap {
    /// The start of the heap.
    pub start_brk: u64,
    /// The end of the heap.
    pub brk: u64,
    /// The mapping that contains it is shown as `[stack]`.
    pub start_stack: u64,
}

/// `PR_SET_MM`: moves the bounds that rows show as `[heap]` and `[stack]`, but no mapping. The
/// caller checks that the process has the privilege (EPERM).
impl AddressSpace {
    /// `PR_SET_MM_START_BRK`: sets the start of the heap.
    ///
    /// # Errors
    /// EINVAL: the address is out of bounds, or the heap would end before it begins.
    pub fn set_start_brk(&mut self, address: u64) -> Result<(), Errno> {
        self.relabel(address, self.brk, self.start_stack, &[address])
    }

    /// `PR_SET_MM_BRK`: sets the end of the heap.
    ///
    /// # Errors
    /// EINVAL: as [`set_start_brk`](AddressSpace::set_start_brk).
    pub fn set_brk(&mut self, address: u64) -> Result<(), Errno> {
        self.relabel(self.start_brk, address, self.start_stack, &[address])
    }

    /// `PR_SET_MM_MAP`: sets the fields of [`MmMap`].
    ///
    /// ```
    /// use vmatlas_space::{AddressSpace, KernelProfile, MmMap, Mmap, Prot};
    /// let mut space = AddressSpace::new(KernelProfile::of("6.18".parse()?));
    /// space.mmap(&Mmap::anonymous(0x2000, Prot::READ).fixed(0x100_0000))?;
    /// let (start_brk, brk, start_stack) = (0x100_0000, 0x100_1000, 0x200_0000);
    /// space.set_mm_map(MmMap { start_brk, brk, start_stack })?;
    /// assert!(String::from_utf8(space.render())?.contains("[heap]"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// EINVAL: as [`set_start_brk`](AddressSpace::set_start_brk).
    pub fn set_mm_map(&mut self, map: MmMap) -> Result<(), Errno> {
        let MmMap { start_brk, brk, start_stack } = map;
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
