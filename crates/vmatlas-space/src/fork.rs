//! fork(2) and exit.

use super::vma::Anon;
use super::{AddressSpace, VmaFlags};

impl AddressSpace {
    /// The address space of a forked child (dup_mmap, mm/mmap.c; kernel/fork.c before 6.15).
    ///
    /// Mappings with MADV_DONTFORK are left out, locks are cleared, and no mappings join that were
    /// separate before. A mapping whose pages were written inherits its reverse map and does not
    /// join new neighbours.
    pub fn fork(&self) -> AddressSpace {
        let mut child = AddressSpace {
            vmas: Default::default(),
            default_flags: VmaFlags::NONE,
            profile: self.profile.clone(),
            guards: self.guards.clone(),
            doubts: self.doubts.clone(),
            ..*self
        };
        // The kernel gives each mapping of a child a new reverse map of its own.
        for vma in self.vmas.iter() {
            if vma.flags.contains(VmaFlags::DONTCOPY) {
                child.guards.remove(vma.start..vma.end);
                continue;
            }
            let mut copy = vma.clone();
            copy.flags = copy.flags.without(VmaFlags::LOCKED_MASK | VmaFlags::UFFD_MASK);
            copy.uffd = 0;
            if copy.flags.contains(VmaFlags::WIPEONFORK) {
                (copy.anon, copy.seen) = (Anon::None, Anon::None);
                child.guards.remove(vma.start..vma.end);
            }
            child.next_anon += 1;
            let id = child.next_anon;
            let forked = |anon| match anon {
                Anon::None => Anon::None,
                Anon::Some { .. } => Anon::Some { id, forked: true },
                Anon::Unknown(_) | Anon::Forked(_) => Anon::Forked(id),
                Anon::Moved(_) => Anon::Moved(id),
            };
            (copy.anon, copy.seen) = (forked(copy.anon), forked(copy.seen));
            child.vmas.insert(copy);
        }
        child.assume_written(0, u64::MAX);
        child
    }

    /// Unmaps everything, as exit does.
    pub fn exit(&mut self) {
        self.vmas = Default::default();
        self.guards.clear();
        self.doubts.clear();
    }
}
