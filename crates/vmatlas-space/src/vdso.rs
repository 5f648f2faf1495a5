//! `[vdso]` and its data, which the kernel maps in execve(2) and again in arch_prctl(2)
//! (arch/x86/entry/vdso/vma.c). A process that unmapped all of it can map it at another address,
//! as CRIU does when it restores a process.

use super::vma::Vma;
use super::{AddressSpace, Special, VmaFlags};
use crate::Errno;

/// The arguments of arch_prctl(2) with `ARCH_MAP_VDSO_64`, `ARCH_MAP_VDSO_32` or
/// `ARCH_MAP_VDSO_X32`. They are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapVdso {
    /// The address where the data pages shall start.
    pub address: u64,
    /// The size of `[vdso]`. The kernel knows it; a program does not pass it.
    pub size: u64,
}

impl AddressSpace {
    /// Maps `[vdso]` after its data pages. They start at the address, rounded down to a page, if
    /// there is room; else the kernel chooses the place. Returns the start of the data pages.
    ///
    /// ```
    /// use vmatlas_space::{AddressSpace, KernelProfile, MapVdso};
    /// let mut space = AddressSpace::new(KernelProfile::of("6.18".parse()?));
    /// let request = MapVdso { address: 0x1000_0000, size: 0x2000 };
    /// assert_eq!(space.map_vdso(request)?, 0x1000_0000);
    /// let rows = String::from_utf8(space.render())?;
    /// assert!(rows.contains("10006000-10008000 r-xp"), "{rows}");
    /// let request = MapVdso { address: 0x2000_0000, ..request };
    /// assert!(space.map_vdso(request).is_err(), "it is mapped once");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// - EEXIST: a piece of an earlier `[vdso]`, or of its data, is still mapped.
    /// - ENOMEM: there is no room.
    pub fn map_vdso(&mut self, vdso: MapVdso) -> Result<u64, Errno> {
        let MapVdso { address, size } = vdso;
        if self.vmas.iter().any(|vma| vma.special.is_some_and(Special::belongs_to_vdso)) {
            return Err(Errno::EEXIST);
        }
        let size = self.profile.page_align(size).ok_or(Errno::ENOMEM)?;
        let parts = self.vdso_parts(size);
        let whole = parts.iter().fold(0, |sum: u64, (_, size)| sum.saturating_add(*size));
        if whole > self.profile.task_size {
            return Err(Errno::ENOMEM);
        }
        let start = self.unused(address, whole).ok_or(Errno::ENOMEM)?;
        self.map_specials(start, &parts)?;
        Ok(start)
    }

    /// The mappings made with a `[vdso]` of `size` bytes, in ascending order, with their sizes in
    /// bytes.
    fn vdso_parts(&self, size: u64) -> [(Special, u64); 3] {
        let page = self.profile.page_size();
        [
            (Special::Vvar, self.profile.vvar_pages * page),
            (Special::VvarVclock, self.profile.vvar_vclock_pages * page),
            (Special::Vdso, size),
        ]
    }

    /// The size in bytes of the data mapped below `[vdso]`.
    pub fn vvar_size(&self) -> u64 {
        (self.profile.vvar_pages + self.profile.vvar_vclock_pages) * self.profile.page_size()
    }

    /// Maps the kernel's own mappings in ascending order.
    pub(super) fn map_specials(
        &mut self,
        start: u64,
        parts: &[(Special, u64)],
    ) -> Result<(), Errno> {
        let mut start = start;
        for (special, size) in parts {
            let end = start.checked_add(*size).ok_or(Errno::ENOMEM)?;
            if start == end {
                continue;
            }
            if end > self.profile.task_size || self.vmas.within(start, end).next().is_some() {
                return Err(Errno::ENOMEM);
            }
            let flags = self.special_flags(*special);
            self.insert(Vma {
                offset: 0,
                special: Some(*special),
                ..Vma::untouched(start, end, flags, self.profile.page_shift)
            });
            start = end;
        }
        Ok(())
    }

    fn special_flags(&self, special: Special) -> VmaFlags {
        use VmaFlags as F;
        let flags = match special {
            Special::Vvar if self.profile.vvar_has_pages => {
                let flags = F::READ | F::MAYREAD | F::DONTDUMP | F::MIXEDMAP;
                flags.with_if(F::IO, !self.profile.vvar_is_memory)
            }
            Special::Vvar | Special::VvarVclock => {
                F::READ | F::MAYREAD | F::IO | F::DONTDUMP | F::PFNMAP
            }
            _ => F::READ | F::EXEC | F::MAYREAD | F::MAYWRITE | F::MAYEXEC,
        };
        flags | F::DONTEXPAND
    }
}

impl Special {
    /// Whether its presence prevents a second `[vdso]`.
    fn belongs_to_vdso(self) -> bool {
        matches!(self, Special::Vdso | Special::Vvar | Special::VvarVclock)
    }
}
