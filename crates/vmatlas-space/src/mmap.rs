//! mmap(2) and remap_file_pages(2).

use super::merge::Joining;
use super::vma::{Anon, Vma};
use super::{AddressSpace, CallRange, Faults, File, FileKind, Prot, VmaFlags};
use crate::Errno;
use vmatlas_maps::Device;
use vmatlas_maps::uapi::mman::{
    MAP_ANONYMOUS, MAP_DROPPABLE, MAP_GROWSDOWN, MAP_HUGE_MASK, MAP_HUGE_SHIFT, MAP_HUGETLB,
    MAP_LOCKED, MAP_NORESERVE, MAP_POPULATE, MAP_SHARED, MAP_SHARED_VALIDATE, MAP_STACK, MAP_TYPE,
};

/// The arguments of mmap(2).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Mmap {
    /// The address, in bytes: a hint unless it is fixed.
    pub address: u64,
    /// The length, in bytes.
    pub length: u64,
    /// The protection.
    pub prot: Prot,
    /// The open file and the offset in it, in bytes.
    pub file: Option<(File, u64)>,
    /// Whether writes are private or shared.
    pub sharing: Sharing,
    /// `MAP_FIXED`.
    pub fixed: bool,
    /// `MAP_FIXED_NOREPLACE`.
    pub noreplace: bool,
    /// `MAP_NORESERVE`.
    pub noreserve: bool,
    /// `MAP_STACK`.
    pub stack: bool,
    /// `MAP_GROWSDOWN`.
    pub growsdown: bool,
    /// `MAP_LOCKED`.
    pub locked: bool,
    /// `MAP_POPULATE`.
    pub populate: bool,
    /// `MAP_HUGETLB`, with the size of a huge page in bytes.
    pub huge: Option<u64>,
    /// The inode of the object that a shared anonymous mapping makes. The kernel counts these up,
    /// so the model cannot compute it.
    pub object_inode: u64,
}

/// Whether the writes to a mapping are private or shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// `MAP_PRIVATE`.
    #[default]
    Private,
    /// `MAP_SHARED`.
    Shared,
    /// `MAP_DROPPABLE`.
    Droppable,
}

impl Mmap {
    /// Private anonymous memory of `length` bytes; the kernel chooses the place unless it is
    /// [`fixed`](Mmap::fixed).
    pub fn anonymous(length: u64, prot: Prot) -> Mmap {
        Mmap {
            address: 0,
            length,
            prot,
            file: None,
            sharing: Sharing::Private,
            fixed: false,
            noreplace: false,
            noreserve: false,
            stack: false,
            growsdown: false,
            locked: false,
            populate: false,
            huge: None,
            object_inode: 0,
        }
    }

    /// Sets the options that `flags` of mmap(2) holds ([`uapi::mman`](vmatlas_maps::uapi::mman)),
    /// except those that choose the place: `MAP_FIXED` and `MAP_FIXED_NOREPLACE`.
    pub fn with_flags(self, flags: u64) -> Mmap {
        let is = |flag| flags & flag != 0;
        let huge = match (flags >> MAP_HUGE_SHIFT & MAP_HUGE_MASK) as u32 {
            0 => 21,
            shift => shift.clamp(12, 40),
        };
        Mmap {
            sharing: match flags & MAP_TYPE {
                MAP_SHARED | MAP_SHARED_VALIDATE => Sharing::Shared,
                MAP_DROPPABLE => Sharing::Droppable,
                _ => Sharing::Private,
            },
            noreserve: is(MAP_NORESERVE),
            stack: is(MAP_STACK),
            growsdown: is(MAP_GROWSDOWN),
            locked: is(MAP_LOCKED),
            populate: is(MAP_POPULATE),
            huge: (is(MAP_HUGETLB) && is(MAP_ANONYMOUS)).then_some(1 << huge),
            ..self
        }
    }

    /// Maps a file, starting at `offset` (in bytes).
    pub fn of_file(self, file: &File, offset: u64) -> Mmap {
        Mmap { file: Some((file.clone(), offset)), ..self }
    }

    /// Sets `MAP_SHARED`.
    pub fn shared(self) -> Mmap {
        Mmap { sharing: Sharing::Shared, ..self }
    }

    /// Asks for a place at `address`; if something is mapped there, the kernel chooses the place.
    /// Huge pages ignore it.
    pub fn hint(self, address: u64) -> Mmap {
        Mmap { address, ..self }
    }

    /// Maps at exactly `address` (`MAP_FIXED`), over what is mapped there.
    pub fn fixed(self, address: u64) -> Mmap {
        Mmap { address, fixed: true, ..self }
    }
}

impl AddressSpace {
    /// Maps memory and returns its address.
    ///
    /// # Errors
    /// - EINVAL: the length is 0, a fixed address or an offset is not the start of a page, or the
    ///   flags contradict each other.
    /// - ENOMEM: there is no room, or `max_map_count` is exceeded.
    /// - EEXIST: `MAP_FIXED_NOREPLACE` over a mapping.
    /// - EACCES: the file was not opened for the requested access.
    /// - EPERM: a sealed mapping lies there. A split at its start stays.
    /// - EOVERFLOW: the file's offsets wrap around.
    pub fn mmap(&mut self, request: &Mmap) -> Result<u64, Errno> {
        let page_shift = self.profile.page_shift;
        let file_page = match &request.file {
            Some((_, offset)) if !self.profile.is_aligned(*offset) => return Err(Errno::EINVAL),
            Some((_, offset)) => offset >> page_shift,
            None => 0,
        };
        let other_file = |file: &File| file.kind() != FileKind::Hugetlb;
        let not_huge = request.file.as_ref().is_some_and(|(file, _)| other_file(file));
        let odd = |size: u64| !size.is_power_of_two() || size < self.profile.page_size();
        if request.length == 0
            || (request.huge.is_some() && not_huge)
            || request.huge.is_some_and(odd)
        {
            return Err(Errno::EINVAL);
        }
        let mut prot = request.prot;
        let no_exec =
            request.file.as_ref().is_some_and(|(file, _)| file.kind() == FileKind::Secretmem);
        if self.read_implies_exec && prot.contains(Prot::READ) && !no_exec {
            prot = prot | Prot::EXEC;
        }
        let mut length = self.profile.page_align(request.length).ok_or(Errno::ENOMEM)?;
        if let Some(huge) = request.huge {
            length = length.checked_next_multiple_of(huge).ok_or(Errno::ENOMEM)?;
        }
        if file_page.checked_add(length >> page_shift).is_none() {
            return Err(Errno::EOVERFLOW);
        }
        if self.vmas.len() > self.profile.max_map_count {
            return Err(Errno::ENOMEM);
        }
        let address = self.place(request, length)?;
        let noreplace = request.noreplace && self.profile.fixed_noreplace;
        if noreplace && self.vmas.within(address, address + length).next().is_some() {
            return Err(Errno::EEXIST);
        }
        let (flags, file) = self.new_flags(request, prot)?;
        // The offset of private memory without a file is its page number.
        let offset = match (&request.file, request.sharing) {
            (Some(_), _) => file_page,
            (None, Sharing::Shared) => 0,
            (None, _) if request.huge.is_some() => 0,
            (None, _) => address >> page_shift,
        };
        let new = Vma {
            start: address,
            end: address + length,
            offset,
            anon_offset: address >> page_shift,
            flags,
            file,
            name: None,
            policy: None,
            anon: Anon::None,
            seen: Anon::None,
            uffd: 0,
            pkey: self.pkey_for(prot),
            special: None,
        };
        self.unmap(new.start, new.end)?;
        self.map_new(new, Joining::New)?;
        let populate = flags.contains(VmaFlags::LOCKED) || request.populate;
        if populate {
            // mmap ignores errors of populating.
            let _ = self.populate(address, address + length, true);
        }
        self.assume_written(address, address + length);
        Ok(address)
    }

    /// Inserts a new mapping into the hole made for it.
    fn map_new(&mut self, mut new: Vma, joining: Joining) -> Result<(), Errno> {
        let (start, end) = (new.start, new.end);
        if let Some(file) = &new.file {
            match file.kind() {
                FileKind::Secretmem => {
                    if !new.flags.contains(VmaFlags::MAYSHARE) {
                        return Err(Errno::EINVAL);
                    }
                    let locked = self.profile.secretmem_is_locked;
                    let given = VmaFlags::DONTDUMP.with_if(VmaFlags::LOCKED, locked);
                    if self.profile.file_flags_before_merge {
                        new.flags |= given;
                    } else if self.joinable(&new, joining) == (None, None) {
                        // Set after the first attempt to join, which is repeated if anything lies
                        // below.
                        new.flags |= given;
                        match self.vmas.find_below(start) {
                            Some(_) => self.insert_joined(new, Joining::Remapped),
                            None => self.insert(new),
                        };
                        return Ok(());
                    }
                }
                FileKind::Special => new.flags |= VmaFlags::DONTEXPAND,
                FileKind::Hugetlb => new.flags |= VmaFlags::HUGETLB | VmaFlags::DONTEXPAND,
                _ => {}
            }
        }
        let mergeable = self.ksm_all && ksm_compatible(&new);
        let zero = new.file.as_ref().is_some_and(|file| file.kind() == FileKind::DevZero);
        let early =
            self.profile.ksm_before_merge && (!zero || self.profile.ksm_before_merge_of_dev_zero);
        if mergeable && early {
            new.flags |= VmaFlags::MERGEABLE;
        }
        let born_locked =
            self.profile.droppable_born_locked && new.flags.contains(VmaFlags::DROPPABLE);
        let keeps_lock = born_locked || supports_lock(&new);
        let locked = new.flags.contains(VmaFlags::LOCKED);
        let at = self.insert_joined(new, joining);
        if (locked && !keeps_lock) || mergeable {
            self.vmas.change(at, |vma| {
                if mergeable && vma.start == start && vma.end == end {
                    vma.flags |= VmaFlags::MERGEABLE;
                }
                if !keeps_lock {
                    vma.flags = vma.flags.without(VmaFlags::LOCKED_MASK);
                }
            });
        }
        Ok(())
    }

    /// The address for a mapping of `length` bytes.
    fn place(&self, request: &Mmap, length: u64) -> Result<u64, Errno> {
        let profile = &*self.profile;
        if length > profile.task_size {
            return Err(Errno::ENOMEM);
        }
        // Kernels that do not know the flag ignore it: the address is a hint.
        if request.fixed || (request.noreplace && profile.fixed_noreplace) {
            if request.address > profile.task_size - length {
                return Err(Errno::ENOMEM);
            }
            let unit = request.huge.unwrap_or(profile.page_size());
            if !request.address.is_multiple_of(unit) {
                return Err(Errno::EINVAL);
            }
            if request.address < profile.mmap_min_addr {
                return Err(Errno::EPERM);
            }
            return Ok(request.address);
        }
        let Some(huge) = request.huge else {
            return self.unused(request.address, length).ok_or(Errno::ENOMEM);
        };
        // Find enough room to align the place to a huge page.
        let place = length.checked_add(huge).and_then(|length| self.unused(0, length));
        place.map(|place| place.next_multiple_of(huge)).ok_or(Errno::ENOMEM)
    }

    /// A free place for `length` bytes: the hint if it is free, else the highest place below
    /// `mmap_base`.
    pub(super) fn unused(&self, hint: u64, length: u64) -> Option<u64> {
        let profile = &*self.profile;
        let lowest = profile.page_align(profile.mmap_min_addr)?;
        // The hint is rounded down; 0 is no hint, and a too low one becomes the lowest valid
        // address.
        let hint = match hint & !(profile.page_size() - 1) {
            0 => 0,
            page => page.max(lowest),
        };
        if hint != 0 && length <= profile.task_size && hint <= profile.task_size - length {
            let (below, above) = self.neighbours(hint);
            if hint >= below && hint + length <= above {
                return Some(hint);
            }
        }
        let mut high = self.mmap_base;
        loop {
            let start = high.checked_sub(length)?;
            if start < profile.mmap_min_addr {
                return None;
            }
            // The lowest VMA or guard gap that overlaps the place.
            match self.vmas.find_below(high) {
                None => return Some(start),
                Some(at) => {
                    let (_, above) = self.neighbours(self.vmas.get(at).end);
                    let high_here = high.min(above);
                    let end = self.vmas.get(at).end.checked_add(length);
                    if end.is_some_and(|end| end <= high_here) {
                        return Some(high_here - length);
                    }
                    high = self.gap_start(self.vmas.get(at));
                }
            }
        }
    }

    /// The start and end of the free range around `address`.
    fn neighbours(&self, address: u64) -> (u64, u64) {
        let below = self.vmas.find_below(address).map_or(0, |at| self.vmas.get(at).end);
        let above = self.vmas.find(address);
        (below, above.map_or(self.profile.task_size, |at| self.gap_start(self.vmas.get(at))))
    }

    /// The start of a VMA, or of the guard gap below it.
    pub(super) fn gap_start(&self, vma: &Vma) -> u64 {
        if vma.flags.contains(VmaFlags::GROWSDOWN) {
            vma.start.saturating_sub(self.profile.stack_guard_gap << self.profile.page_shift)
        } else {
            vma.start
        }
    }

    fn new_flags(&self, request: &Mmap, prot: Prot) -> Result<(VmaFlags, Option<File>), Errno> {
        use VmaFlags as F;
        let profile = &*self.profile;
        let mut flags = access(prot) | self.default_flags | F::MAYREAD | F::MAYWRITE | F::MAYEXEC;
        flags = flags
            .with_if(F::GROWSDOWN, request.growsdown)
            .with_if(F::LOCKED, request.locked)
            .with_if(
                F::NOHUGEPAGE,
                request.stack && profile.thp && profile.stack_means_no_huge_pages,
            );
        let mut file = request.file.as_ref().map(|(file, _)| file.clone());
        if let Some(size) = request.huge {
            let name = b"/anon_hugepage (deleted)";
            let object =
                File::of(FileKind::Hugetlb, name, Device::new(0, 0xf), request.object_inode);
            object.set_size(request.length.next_multiple_of(size));
            file = Some(object);
        }
        match (&file, request.sharing) {
            (Some(file), sharing) => {
                if sharing == Sharing::Droppable {
                    return Err(Errno::EINVAL);
                }
                if sharing == Sharing::Shared {
                    if prot.contains(Prot::WRITE) && !file.writable() {
                        return Err(Errno::EACCES);
                    }
                    flags |= F::SHARED | F::MAYSHARE;
                    if !file.writable() {
                        flags = flags.without(F::MAYWRITE | F::SHARED);
                    }
                }
                if !file.readable() {
                    return Err(Errno::EACCES);
                }
                // Its file system forbids execution.
                if file.kind() == FileKind::Secretmem {
                    if prot.contains(Prot::EXEC) {
                        return Err(Errno::EPERM);
                    }
                    flags = flags.without(F::MAYEXEC);
                }
                if request.growsdown {
                    return Err(Errno::EINVAL);
                }
            }
            (None, Sharing::Shared) => {
                if request.growsdown {
                    return Err(Errno::EINVAL);
                }
                flags |= F::SHARED | F::MAYSHARE;
            }
            (None, Sharing::Droppable) => {
                if !profile.droppable || request.locked || request.growsdown {
                    return Err(Errno::EINVAL);
                }
                flags |= F::DROPPABLE | F::NORESERVE | F::WIPEONFORK | F::DONTDUMP;
            }
            (None, Sharing::Private) => {}
        }
        flags = flags.with_if(F::NORESERVE, request.noreserve && !profile.overcommit_never);
        let huge = file.as_ref().is_some_and(|file| file.kind() == FileKind::Hugetlb);
        let accounted = flags & (F::NORESERVE | F::SHARED | F::WRITE) == F::WRITE && !huge;
        flags = flags.with_if(F::ACCOUNT, accounted);
        // Shared memory without a name of its own is a new object each time.
        let shared_zero = match &file {
            None => flags.contains(F::MAYSHARE),
            Some(file) => file.kind() == FileKind::DevZero && flags.contains(F::SHARED),
        };
        if shared_zero {
            let name = b"/dev/zero (deleted)";
            let object =
                File::of(FileKind::SharedMemory, name, Device::new(0, 1), request.object_inode);
            object.set_size(profile.page_align(request.length).ok_or(Errno::ENOMEM)?);
            file = Some(object);
        }
        Ok((flags, file))
    }

    /// The protection key of new memory with that protection.
    fn pkey_for(&mut self, prot: Prot) -> u8 {
        if prot != Prot::EXEC || !self.profile.pkeys {
            return 0;
        }
        self.execute_only_key().unwrap_or(0)
    }

    /// Marks writable memory as possibly written if the caller reports no faults.
    pub(super) fn assume_written(&mut self, start: u64, end: u64) {
        if self.faults == Faults::Reported {
            return;
        }
        let mut next = self.vmas.find(start);
        while let Some(at) = next {
            if self.vmas.get(at).start >= end {
                break;
            }
            let vma = self.vmas.get(at);
            let writable = vma.private() && vma.flags.contains(VmaFlags::WRITE);
            if writable && vma.anon == Anon::None {
                self.next_anon += 1;
                let anon = Anon::Unknown(self.next_anon);
                self.vmas.change(at, |vma| vma.anon = anon);
            }
            next = self.vmas.next(at);
        }
    }

    /// remap_file_pages(2): maps a shared mapping to its file from page `page` on.
    ///
    /// # Errors
    /// EINVAL: the range is empty or wraps around, or is not one shared mapping without holes.
    pub fn remap_file_pages(
        &mut self,
        range: impl Into<CallRange>,
        page: u64,
    ) -> Result<(), Errno> {
        let CallRange { address, length } = range.into();
        let shift = self.profile.page_shift;
        let start = address >> shift << shift;
        let length = length >> shift << shift;
        let end = start.checked_add(length).ok_or(Errno::EINVAL)?;
        if length == 0 || page.checked_add(length >> shift).is_none() {
            return Err(Errno::EINVAL);
        }
        let first = self.covering(start).ok_or(Errno::EINVAL)?;
        let vma = self.vmas.get(first);
        if !vma.flags.contains(VmaFlags::SHARED) {
            return Err(Errno::EINVAL);
        }
        let mut covered = vma.start;
        for next in self.vmas.within(start, end) {
            if next.start > covered.max(start)
                || !next.same_file(vma)
                || (next.flags, next.pkey) != (vma.flags, vma.pkey)
            {
                return Err(Errno::EINVAL);
            }
            covered = next.end;
        }
        if covered < end {
            return Err(Errno::EINVAL);
        }
        let file = vma.file.clone().ok_or(Errno::EINVAL)?;
        let offset = page.checked_mul(self.profile.page_size()).ok_or(Errno::EINVAL)?;
        let prot = Prot::from_bits(
            u64::from(vma.flags.contains(VmaFlags::READ))
                | u64::from(vma.flags.contains(VmaFlags::WRITE)) << 1
                | u64::from(vma.flags.contains(VmaFlags::EXEC)) << 2,
        );
        let locked = vma.flags.contains(VmaFlags::LOCKED);
        let request = Mmap {
            locked,
            populate: true,
            fixed: true,
            ..Mmap::anonymous(length, prot).of_file(&file, offset).hint(start).shared()
        };
        self.mmap(&request).map(|_| ())
    }
}

/// The access flags for a protection.
pub(super) fn access(prot: Prot) -> VmaFlags {
    VmaFlags::NONE
        .with_if(VmaFlags::READ, prot.contains(Prot::READ))
        .with_if(VmaFlags::WRITE, prot.contains(Prot::WRITE))
        .with_if(VmaFlags::EXEC, prot.contains(Prot::EXEC))
}

/// Whether a mapping is eligible for same-page merging (`ksm_compatible`, mm/ksm.c).
pub(super) fn ksm_compatible(vma: &Vma) -> bool {
    !vma.flags.intersects(
        VmaFlags::SHARED
            | VmaFlags::MAYSHARE
            | VmaFlags::HUGETLB
            | VmaFlags::DROPPABLE
            | VmaFlags::SPECIAL,
    )
}

/// Whether a mapping can be locked (`vma_supports_mlock`).
pub(super) fn supports_lock(vma: &Vma) -> bool {
    !vma.flags.intersects(VmaFlags::SPECIAL | VmaFlags::HUGETLB | VmaFlags::DROPPABLE)
}
