//! The flags of a VMA, including those that maps hides.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, BitXor, Not};

/// The flags of a VMA, named as in include/linux/mm.h. The bits are this crate's own, because the
/// kernel's differ between versions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct VmaFlags(u64);

macro_rules! flags {
    ($($name:ident $bit:literal $letters:literal,)*) => {
        #[allow(missing_docs, reason = "named as in include/linux/mm.h, less VM_")]
        impl VmaFlags {
            $(pub const $name: VmaFlags = VmaFlags(1 << $bit);)*
        }
        /// Each flag with its two letters in the VmFlags of smaps; empty if it has none.
        const LETTERS: &[(VmaFlags, &str)] = &[$((VmaFlags::$name, $letters),)*];
    };
}

// The letters are those of show_smap_vma_flags, fs/proc/task_mmu.c, 7.3, in print order, which is
// the order of the kernel's bits.
flags! {
    READ 0 "rd",
    WRITE 1 "wr",
    EXEC 2 "ex",
    SHARED 3 "sh",
    MAYREAD 4 "mr",
    MAYWRITE 5 "mw",
    MAYEXEC 6 "me",
    MAYSHARE 7 "ms",
    GROWSDOWN 8 "gd",
    UFFD_MISSING 9 "um",
    PFNMAP 10 "pf",
    MAYBE_GUARD 11 "gu",
    UFFD_WP 12 "uw",
    LOCKED 13 "lo",
    IO 14 "io",
    SEQ_READ 15 "sr",
    RAND_READ 16 "rr",
    DONTCOPY 17 "dc",
    DONTEXPAND 18 "de",
    LOCKONFAULT 19 "lf",
    ACCOUNT 20 "ac",
    NORESERVE 21 "nr",
    HUGETLB 22 "ht",
    WIPEONFORK 23 "wf",
    DONTDUMP 24 "dd",
    SOFTDIRTY 25 "sd",
    MIXEDMAP 26 "mm",
    HUGEPAGE 27 "hg",
    NOHUGEPAGE 28 "nh",
    MERGEABLE 29 "mg",
    DROPPABLE 30 "dp",
    SEALED 31 "sl",
}

impl VmaFlags {
    /// No flag.
    pub const NONE: VmaFlags = VmaFlags(0);
    /// The flags that mprotect(2) changes.
    pub const ACCESS: VmaFlags = VmaFlags(Self::READ.0 | Self::WRITE.0 | Self::EXEC.0);
    /// The flags of mappings that never join others.
    pub const SPECIAL: VmaFlags =
        VmaFlags(Self::IO.0 | Self::DONTEXPAND.0 | Self::PFNMAP.0 | Self::MIXEDMAP.0);
    /// The flags that mlock(2) sets.
    pub const LOCKED_MASK: VmaFlags = VmaFlags(Self::LOCKED.0 | Self::LOCKONFAULT.0);
    /// The flags that userfaultfd sets.
    pub const UFFD_MASK: VmaFlags = VmaFlags(Self::UFFD_MISSING.0 | Self::UFFD_WP.0);

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// The flags in `bits`; unknown bits are dropped.
    pub(crate) const fn from_bits(bits: u64) -> VmaFlags {
        VmaFlags(bits & 0xffff_ffff)
    }

    /// Whether all flags of `other` are set.
    pub const fn contains(self, other: VmaFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any flag of `other` is set.
    pub const fn intersects(self, other: VmaFlags) -> bool {
        self.0 & other.0 != 0
    }

    /// These flags without those of `other`.
    pub const fn without(self, other: VmaFlags) -> VmaFlags {
        VmaFlags(self.0 & !other.0)
    }

    /// These flags, with those of `other` if `condition` holds.
    pub fn with_if(self, other: VmaFlags, condition: bool) -> VmaFlags {
        if condition { self | other } else { self }
    }

    /// The `MAY…` flags for the access flags that are set.
    pub(crate) const fn may(self) -> VmaFlags {
        VmaFlags((self.0 & Self::ACCESS.0) << 4)
    }

    /// The two letters of each flag that is set, as VmFlags of smaps shows them.
    pub fn letters(self) -> impl Iterator<Item = &'static str> {
        LETTERS.iter().filter(move |(flag, _)| self.contains(*flag)).map(|(_, letters)| *letters)
    }
}

impl BitOr for VmaFlags {
    type Output = VmaFlags;
    fn bitor(self, other: VmaFlags) -> VmaFlags {
        VmaFlags(self.0 | other.0)
    }
}

impl BitOrAssign for VmaFlags {
    fn bitor_assign(&mut self, other: VmaFlags) {
        self.0 |= other.0;
    }
}

impl BitAnd for VmaFlags {
    type Output = VmaFlags;
    fn bitand(self, other: VmaFlags) -> VmaFlags {
        VmaFlags(self.0 & other.0)
    }
}

impl BitXor for VmaFlags {
    type Output = VmaFlags;
    fn bitxor(self, other: VmaFlags) -> VmaFlags {
        VmaFlags(self.0 ^ other.0)
    }
}

impl Not for VmaFlags {
    type Output = VmaFlags;
    fn not(self) -> VmaFlags {
        VmaFlags(!self.0)
    }
}

impl fmt::Debug for VmaFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters: Vec<&str> = self.letters().collect();
        write!(f, "{}", letters.join(" "))
    }
}
