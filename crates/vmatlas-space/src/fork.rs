//! fork(2) and exit.

use super::vma::Anon;
use super::{AddressSpace, VmaFlags};

impl AddressSpace {
    /// The address space of a forked child (dup_mmap, mm/mmap.c; kernel/fork.c before 6.15).
    ///
    /// Mappings with MADV_DONTFORK are missing, locks are gone, and no mapping joins another that
    /// did not before. A mapping whose pages were written inherits its reverse map and will not
    /// join fresh neighbours.
    pub fn fork(&self) -> AddressSpace {
        let mut child = AddressSpace {
            vmas: Default::default(),
            default_flags: VmaFlags::NONE,
            profile: self.profile.clone(),
            guards: self.guards.clone(),
            doubts: self.doubts.clone(),
            ..*self
        };
        // The kernel's own reverse maps of a child are new for each mapping.
        for vma in self.vmas.iter() {
            if vma.flags.contains(VmaFlags::DONTCOPY) {
                child.guards.remove(vma.start..vma.end);
                continue;
            }
            let mut copy = vma.clone();
            copy.flags = copy.flags.without(VmaFlags::LOCKED_MASK | VmaFlags::UFFD_MASK);
            copy.uffd = 0;
            if copy.flags.contains(VmaFlags::WIPEONFORK) {
                copy.anon = Anon::None;
                child.guards.remove(vma.start..vma.end);
            } else if copy.anon != Anon::None {
                child.next_anon += 1;
                copy.anon = Anon::Some { id: child.next_anon, forked: true };
            }
            child.vmas.insert(copy);
        }
        child
    }

    /// The address space is gone: nothing is mapped any more.
    pub fn exit(&mut self) {
        self.vmas = Default::default();
        self.guards.clear();
        self.doubts.clear();
    }
}
