//! brk(2).

use super::merge::Joining;
use super::mmap::ksm_compatible;
use super::vma::Vma;
use super::{AddressSpace, VmaFlags};
use crate::Errno;
use vmatlas_maps::AddressRange;

impl AddressSpace {
    /// The program break, in bytes.
    pub fn program_break(&self) -> u64 {
        self.brk
    }

    /// Sets the start and end of the heap, as execve and `PR_SET_MM_START_BRK` do; maps nothing.
    pub fn set_heap(&mut self, heap: AddressRange) {
        self.start_brk = heap.start;
        self.brk = heap.end;
    }

    /// Moves the program break to `address`.
    ///
    /// # Errors
    /// ENOMEM: `address` lies below the start of the heap, is too high, or the memory is in use.
    pub fn brk(&mut self, address: u64) -> Result<(), Errno> {
        let profile = self.profile.clone();
        if address < self.start_brk {
            return Err(Errno::ENOMEM);
        }
        let new = profile.page_align(address).ok_or(Errno::ENOMEM)?;
        let old = profile.page_align(self.brk).ok_or(Errno::ENOMEM)?;
        if new < old {
            let mapped = self.vmas.within(new, old).next().is_some();
            if !mapped && profile.brk_joins_previous_only {
                return Err(Errno::ENOMEM);
            }
            self.unmap(new, old).map_err(|_| Errno::ENOMEM)?;
        } else if new > old {
            self.grow_break(old, new)?;
        }
        self.brk = address;
        if new > old && self.default_flags.contains(VmaFlags::LOCKED) {
            let _ = self.populate(old, new, true);
        }
        if new > old {
            self.assume_written(old, new);
        }
        Ok(())
    }

    fn grow_break(&mut self, old: u64, new: u64) -> Result<(), Errno> {
        use VmaFlags as F;
        let profile = self.profile.clone();
        let shift = profile.page_shift;
        if new > profile.task_size {
            return Err(Errno::ENOMEM);
        }
        if let Some(next) = self.vmas.find(old)
            && new + profile.page_size() > self.gap_start(self.vmas.get(next))
        {
            return Err(Errno::ENOMEM);
        }
        if self.vmas.len() > profile.max_map_count {
            return Err(Errno::ENOMEM);
        }
        let flags = F::READ | F::WRITE | F::MAYREAD | F::MAYWRITE | F::MAYEXEC | F::ACCOUNT;
        let flags = flags.with_if(F::EXEC, self.read_implies_exec) | self.default_flags;
        let mut vma = Vma::untouched(old, new, flags, shift);
        let mergeable = self.ksm_all && ksm_compatible(&vma);
        if mergeable && profile.ksm_before_merge {
            vma.flags |= F::MERGEABLE;
        }
        if profile.brk_joins_previous_only {
            let heap = self
                .vmas
                .find_below(old)
                .is_some_and(|at| self.vmas.get(at).end == old && old > self.start_brk);
            if heap {
                self.insert_joined(vma, Joining::ExpandOnly);
            } else {
                self.insert(vma);
            }
        } else {
            self.insert_joined(vma, Joining::Remapped);
        }
        let at = self.covering(old).expect("it was mapped");
        if mergeable && self.vmas.get(at).start == old {
            self.vmas.change(at, |vma| vma.flags |= F::MERGEABLE);
        }
        Ok(())
    }
}
