//! The system calls that can change an address space.

/// A system call that can change an address space, whatever its number on this machine is.
///
/// Arguments are those of its manual page, with what they point to already read: see
/// [`Call::args`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
#[allow(missing_docs, reason = "named as in syscalls(2)")]
pub enum CallKind {
    Mmap = 1,
    Munmap,
    Mprotect,
    PkeyMprotect,
    Mremap,
    Brk,
    Madvise,
    /// mlock2(2); mlock(2) is the same without flags.
    Mlock,
    Munlock,
    Mlockall,
    Munlockall,
    Mseal,
    Mbind,
    RemapFilePages,
    Shmat,
    Shmdt,
    Prctl,
    Personality,
    PkeyAlloc,
    PkeyFree,
    Userfaultfd,
    /// ioctl(2) with `UFFDIO_REGISTER`.
    UffdRegister,
    /// ioctl(2) with `UFFDIO_UNREGISTER`.
    UffdUnregister,
    IoSetup,
    IoDestroy,
    MapShadowStack,
    ArchPrctl,
    ProcessMadvise,
    SetMempolicyHomeNode,
}

/// Every kind with its name and how many arguments it has.
const KINDS: &[(CallKind, &str, u8)] = &[
    (CallKind::Mmap, "mmap", 6),
    (CallKind::Munmap, "munmap", 2),
    (CallKind::Mprotect, "mprotect", 3),
    (CallKind::PkeyMprotect, "pkey_mprotect", 4),
    (CallKind::Mremap, "mremap", 5),
    (CallKind::Brk, "brk", 1),
    (CallKind::Madvise, "madvise", 3),
    (CallKind::Mlock, "mlock", 3),
    (CallKind::Munlock, "munlock", 2),
    (CallKind::Mlockall, "mlockall", 1),
    (CallKind::Munlockall, "munlockall", 0),
    (CallKind::Mseal, "mseal", 3),
    (CallKind::Mbind, "mbind", 6),
    (CallKind::RemapFilePages, "remap_file_pages", 5),
    (CallKind::Shmat, "shmat", 4),
    (CallKind::Shmdt, "shmdt", 1),
    (CallKind::Prctl, "prctl", 5),
    (CallKind::Personality, "personality", 1),
    (CallKind::PkeyAlloc, "pkey_alloc", 2),
    (CallKind::PkeyFree, "pkey_free", 1),
    (CallKind::Userfaultfd, "userfaultfd", 1),
    (CallKind::UffdRegister, "UFFDIO_REGISTER", 4),
    (CallKind::UffdUnregister, "UFFDIO_UNREGISTER", 3),
    (CallKind::IoSetup, "io_setup", 3),
    (CallKind::IoDestroy, "io_destroy", 1),
    (CallKind::MapShadowStack, "map_shadow_stack", 3),
    (CallKind::ArchPrctl, "arch_prctl", 2),
    (CallKind::ProcessMadvise, "process_madvise", 5),
    (CallKind::SetMempolicyHomeNode, "set_mempolicy_home_node", 4),
];

impl CallKind {
    /// Every kind, in the order of their numbers in a recording.
    pub fn all() -> impl ExactSizeIterator<Item = CallKind> + Clone {
        KINDS.iter().map(|(kind, ..)| *kind)
    }

    /// Its name, as syscalls(2) has it; of an ioctl the request.
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    /// How many arguments of it are kept.
    pub fn arguments(self) -> usize {
        usize::from(self.entry().2)
    }

    /// The kind with that number in a recording.
    pub(crate) fn from_number(number: u8) -> Option<CallKind> {
        KINDS.get(usize::from(number).checked_sub(1)?).map(|(kind, ..)| *kind)
    }

    fn entry(self) -> &'static (CallKind, &'static str, u8) {
        &KINDS[self as usize - 1]
    }
}

/// A system call that has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which.
    pub kind: CallKind,
    /// Its arguments, as the kernel takes them. Where an argument points to something that
    /// counts, that stands here instead: the node mask of mbind(2) (the first 64 nodes), `start`,
    /// `len` and `mode` of a userfaultfd's range behind its descriptor, address and size of the ring
    /// of io_setup(2). The size of what shmat(2) attached follows its arguments.
    pub args: [u64; 6],
    /// What the kernel returned: an address, 0, or an error number below 0.
    pub result: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_places_in_the_list() {
        for (index, (kind, ..)) in KINDS.iter().enumerate() {
            assert_eq!(*kind as usize, index + 1);
            assert_eq!(CallKind::from_number(*kind as u8), Some(*kind));
        }
        assert_eq!(CallKind::from_number(0), None);
        assert_eq!(CallKind::from_number(KINDS.len() as u8 + 1), None);
    }
}
