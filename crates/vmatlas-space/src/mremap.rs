//! mremap(2).

use super::merge::Joining;
use super::vma::Anon;
use super::vmas::Position;
use super::{AddressSpace, CallRange, Faults, FileKind, VmaFlags};
use crate::Errno;

/// The arguments of mremap(2). Addresses and lengths are in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mremap {
    /// The old address.
    pub address: u64,
    /// The old length.
    pub old_length: u64,
    /// The new length.
    pub new_length: u64,
    /// `MREMAP_MAYMOVE`.
    pub maymove: bool,
    /// The new address, with `MREMAP_FIXED`.
    pub to: Option<u64>,
    /// `MREMAP_DONTUNMAP`.
    pub dontunmap: bool,
}

impl Mremap {
    /// Resizes the range `old` where it is.
    pub fn new(old: impl Into<CallRange>, new_length: u64) -> Mremap {
        let CallRange { address, length: old_length } = old.into();
        Mremap { address, old_length, new_length, ..Mremap::default() }
    }

    /// The flag `MREMAP_MAYMOVE`.
    #[must_use]
    pub fn maymove(self) -> Mremap {
        Mremap { maymove: true, ..self }
    }

    /// To exactly that address (`MREMAP_FIXED`).
    #[must_use]
    pub fn to(self, address: u64) -> Mremap {
        Mremap { to: Some(address), ..self }
    }
}

/// One move, with lengths of whole pages.
struct Move {
    from: u64,
    old_length: u64,
    new_length: u64,
    to: u64,
    dontunmap: bool,
}

impl AddressSpace {
    /// Moves or resizes a mapping (since 6.17 also several at once to a fixed address), and
    /// returns its new address.
    ///
    /// # Errors
    /// See mremap(2). Changes that the kernel makes before it detects an error stay: up to 6.16 it
    /// unmaps a fixed destination first.
    pub fn mremap(&mut self, request: &Mremap) -> Result<u64, Errno> {
        let profile = self.profile.clone();
        let Mremap { address, maymove, to, dontunmap, .. } = *request;
        let aligned = |bytes| profile.page_align(bytes).ok_or(Errno::EINVAL);
        let (old, new) = (aligned(request.old_length)?, aligned(request.new_length)?);
        let goes = to.is_some() || dontunmap;
        // Up to 6.16 the kernel compares the lengths before it rounds them.
        let resized = if profile.mremap_rounds_first {
            old != new
        } else {
            request.old_length != request.new_length
        };
        if (to.is_some() && !maymove)
            || (dontunmap && (!maymove || resized))
            || !profile.is_aligned(address)
            || new == 0
        {
            return Err(Errno::EINVAL);
        }
        let (old, new) = self.huge_lengths(address, old, new, to.unwrap_or(0))?;
        if profile.moves_many {
            self.check_destination(address, old, new, to, goes)?;
            if let Some(to) = to
                && old == new
            {
                return self.move_all(address, old, to, dontunmap);
            }
            let at = self.covering(address).ok_or(Errno::EFAULT)?;
            self.check_move(at, address, old, new, goes, dontunmap)?;
        } else {
            if profile.mremap_looks_first || (!goes && old < new) {
                let at = self.covering(address).ok_or(Errno::EFAULT)?;
                if self.vmas.get(at).sealed() {
                    return Err(Errno::EPERM);
                }
            }
            if goes {
                self.check_destination(address, old, new, to, goes)?;
            }
        }
        if goes {
            return self.mremap_to(address, old, new, to, dontunmap);
        }
        if old == new {
            return Ok(address);
        }
        if old > new {
            let rest = CallRange { address: address.wrapping_add(new), length: old - new };
            self.munmap(rest)?;
            return Ok(address);
        }
        let at = self.covering(address).ok_or(Errno::EFAULT)?;
        self.check_move(at, address, old, new, goes, dontunmap)?;
        self.expand(address, old, new, maymove)
    }

    /// Rounds the lengths to whole huge pages if the mapping has them: such a mapping can only be
    /// moved and shrunk.
    fn huge_lengths(&self, address: u64, old: u64, new: u64, to: u64) -> Result<(u64, u64), Errno> {
        let at = self.covering(address).filter(|_| self.profile.huge_moves);
        if !at.is_some_and(|at| self.vmas.get(at).flags.contains(VmaFlags::HUGETLB)) {
            return Ok((old, new));
        }
        let size = self.profile.huge_page_size();
        let rounded = |bytes: u64| bytes.checked_next_multiple_of(size).ok_or(Errno::EINVAL);
        let (old, new) = (rounded(old)?, rounded(new)?);
        if !address.is_multiple_of(size) || !to.is_multiple_of(size) || new > old {
            return Err(Errno::EINVAL);
        }
        Ok((old, new))
    }

    /// Checks that the destination is valid.
    fn check_destination(
        &self,
        address: u64,
        old: u64,
        new: u64,
        to: Option<u64>,
        goes: bool,
    ) -> Result<(), Errno> {
        let limit = self.profile.task_size;
        let refuse = |when: bool| if when { Err(Errno::EINVAL) } else { Ok(()) };
        refuse(new > limit)?;
        if !goes {
            return Ok(());
        }
        let to = to.unwrap_or(0);
        refuse(to > limit - new || !self.profile.is_aligned(to))?;
        refuse(address.saturating_add(old) > to && to.saturating_add(new) > address)
    }

    /// Checks whether the memory may be moved or grown (`check_prep_vma`; `vma_to_resize` before
    /// 6.15).
    fn check_move(
        &self,
        at: Position,
        address: u64,
        old: u64,
        new: u64,
        goes: bool,
        dontunmap: bool,
    ) -> Result<(), Errno> {
        let vma = self.vmas.get(at);
        let refuse = |when: bool, errno| if when { Err(errno) } else { Ok(()) };
        refuse(vma.sealed(), Errno::EPERM)?;
        if !goes && old >= new {
            return Ok(());
        }
        let shared = vma.flags.intersects(VmaFlags::SHARED | VmaFlags::MAYSHARE);
        refuse(old == 0 && !shared, Errno::EINVAL)?;
        if dontunmap {
            let fixed_size = vma.flags.intersects(VmaFlags::DONTEXPAND | VmaFlags::PFNMAP);
            let other = !vma.anonymous() || vma.flags.contains(VmaFlags::SHARED);
            refuse(fixed_size || (other && !self.profile.dontunmap_any), Errno::EINVAL)?;
        }
        let huge = vma.flags.contains(VmaFlags::HUGETLB);
        refuse(huge && !self.profile.huge_moves, Errno::EINVAL)?;
        let old = old.min(new);
        refuse(old > vma.end - address, Errno::EFAULT)?;
        if new == old {
            return Ok(());
        }
        let shift = self.profile.page_shift;
        let page = vma.offset.wrapping_add((address - vma.start) >> shift);
        refuse(page.checked_add(new >> shift).is_none(), Errno::EINVAL)?;
        refuse(vma.flags.intersects(VmaFlags::DONTEXPAND | VmaFlags::PFNMAP), Errno::EFAULT)
    }

    /// Moves all mappings of a range, with the holes between them.
    fn move_all(
        &mut self,
        address: u64,
        length: u64,
        to: u64,
        dontunmap: bool,
    ) -> Result<u64, Errno> {
        let end = address.saturating_add(length);
        let mut from = address;
        let mut target = to;
        let mut last_end = None;
        while let Some(at) = self.vmas.find(from).filter(|_| from < end) {
            let vma = self.vmas.get(at);
            if vma.start >= end {
                break;
            }
            let (start, upto) = (vma.start.max(address), vma.end.min(end));
            if last_end.is_none() && address < vma.start {
                return Err(Errno::EFAULT);
            }
            // A move of several mappings fails if a userfaultfd must be notified of one, for which
            // the kernel drops its lock, or if the file chooses the place of its mappings.
            let alone = last_end.is_none() && vma.end >= end;
            let own_place = vma
                .file
                .as_ref()
                .is_some_and(|file| matches!(file.kind(), FileKind::DevZero | FileKind::SysvShm));
            if (vma.uffd != 0 || own_place) && !alone {
                return Err(Errno::EFAULT);
            }
            let hole = last_end.map_or(0, |last| vma.start - last);
            last_end = Some(vma.end);
            let length = upto - start;
            self.check_move(at, start, length, length, true, dontunmap)?;
            self.mremap_to(start, length, length, Some(target + hole), dontunmap)?;
            target += hole + length;
            from = upto;
        }
        if last_end.is_none() { Err(Errno::EFAULT) } else { Ok(to) }
    }

    /// Moves to a fixed place, or with the source kept to any place.
    fn mremap_to(
        &mut self,
        address: u64,
        old: u64,
        new: u64,
        to: Option<u64>,
        dontunmap: bool,
    ) -> Result<u64, Errno> {
        if !self.profile.moves_many && self.vmas.len() + 5 >= self.profile.max_map_count {
            return Err(Errno::ENOMEM);
        }
        if let Some(to) = to {
            self.unmap(to, to + new)?;
        }
        if old > new {
            let rest = CallRange { address: address.wrapping_add(new), length: old - new };
            self.munmap(rest)?;
        }
        let old = old.min(new);
        let at = self.covering(address).ok_or(Errno::EFAULT)?;
        self.check_move(at, address, old, new, true, dontunmap)?;
        let to = match to {
            Some(to) => to,
            None => self.unused(0, new).ok_or(Errno::ENOMEM)?,
        };
        self.move_one(&Move { from: address, old_length: old, new_length: new, to, dontunmap })
    }

    /// Grows in place if there is room, else moves.
    fn expand(&mut self, address: u64, old: u64, new: u64, maymove: bool) -> Result<u64, Errno> {
        let at = self.covering(address).ok_or(Errno::EFAULT)?;
        let vma = self.vmas.get(at);
        let (start, end) = (vma.start, vma.end);
        let grown = end.checked_add(new - old).filter(|end| *end <= self.profile.task_size);
        let room = grown.is_some_and(|grown| self.vmas.within(end, grown).next().is_none());
        let locked = vma.flags.contains(VmaFlags::LOCKED);
        let to = if let Some(grown) = grown.filter(|_| room && address + old == end) {
            let joins = self.profile.growth_joins_next
                && (self.profile.close_hook_may_grow || !vma.has_close_hook());
            if joins {
                let mut more = vma.part(start, grown, self.profile.page_shift);
                more.trim_start(end, self.profile.page_shift);
                // The kernel does not check here whether the reverse map was inherited.
                for anon in [&mut more.anon, &mut more.seen] {
                    if let Anon::Some { forked, .. } = anon {
                        *forked = false;
                    }
                }
                self.insert_joined(more, Joining::Remapped);
            } else {
                self.vmas.change(at, |vma| vma.end = grown);
            }
            address
        } else if maymove {
            let to = self.unused(0, new).ok_or(Errno::ENOMEM)?;
            let step =
                Move { from: address, old_length: old, new_length: new, to, dontunmap: false };
            self.move_one(&step)?
        } else {
            return Err(Errno::ENOMEM);
        };
        if locked {
            let _ = self.populate(to + old, to + new, true);
        }
        Ok(to)
    }

    /// Copies the mapping to a free place and moves its pages (`move_vma`).
    fn move_one(&mut self, step: &Move) -> Result<u64, Errno> {
        let profile = self.profile.clone();
        let shift = profile.page_shift;
        let &Move { from, old_length, new_length, to, dontunmap } = step;
        if self.vmas.len() + 3 >= profile.max_map_count {
            return Err(Errno::ENOMEM);
        }
        let mut at = self.covering(from).ok_or(Errno::EFAULT)?;
        let vma = self.vmas.get(at);
        if !self.may_split(vma, from) || !self.may_split(vma, from.saturating_add(old_length)) {
            return Err(Errno::EINVAL);
        }
        let locked = self.vmas.get(at).flags.contains(VmaFlags::LOCKED);
        if dontunmap && locked && profile.dontunmap_keeps_apart {
            if self.vmas.get(at).start < from {
                at = self.split(at, from);
            }
            if self.vmas.get(at).end > from + old_length {
                self.split(at, from + old_length);
            }
        }
        let at = self.covering(from).expect("it was there");
        let source = self.vmas.get(at);
        let whole = source.start == from && source.end == from + old_length;
        let (source_start, source_end) = (source.start, source.end);
        let mut copy = source.part(from, source.end, shift);
        let unfaulted = copy.anon == Anon::None;
        copy.start = to;
        copy.end = to + new_length;
        let seems_unfaulted = self.faults == Faults::Seen && copy.seen == Anon::None;
        if unfaulted || seems_unfaulted {
            copy.anon_offset = to >> shift;
            if copy.anonymous() {
                copy.offset = to >> shift;
            }
        }
        if let Anon::Unknown(number) | Anon::Forked(number) = copy.anon {
            copy.anon = Anon::Moved(number);
        }
        let watched = copy.uffd != 0;
        let itself = to == source_end || to + new_length == source_start;
        let may_be_apart = dontunmap && profile.dontunmap_keeps_apart && copy.anonymous() && itself;
        let apart = may_be_apart && (unfaulted || seems_unfaulted);
        if apart && !unfaulted {
            self.doubts.extend([to, to + new_length]);
        }
        if apart || (watched && profile.uffd_copy_never_joins) {
            // The copy may still join the mapping on its other side, except on 6.1.
            self.insert_apart(copy, source_start, apart && !profile.hole_tries_next_first);
        } else {
            self.insert_joined(copy, Joining::Remapped);
        }
        if watched {
            let at = self.covering(to).expect("the copy was put there");
            self.vmas.change(at, |vma| {
                vma.uffd = 0;
                vma.flags = vma.flags.without(VmaFlags::UFFD_MASK);
            });
        }
        self.move_guards(from, from + old_length, to);
        let moved: Vec<u64> = self.doubts.range(from..from + old_length).copied().collect();
        self.doubts.extend(moved.into_iter().map(|doubt| to + (doubt - from)));
        if !dontunmap {
            // A length of 0 requests a second mapping of the same memory.
            if old_length > 0 {
                self.unmap(from, from + old_length)?;
            }
            if locked && new_length > old_length {
                let _ = self.populate(to + old_length, to + new_length, true);
            }
            return Ok(to);
        }
        let at = self.covering(from).expect("the source is kept");
        let merged = self.vmas.get(at).start <= to && to < self.vmas.get(at).end;
        let drops = whole && !merged && profile.dontunmap_drops_anon;
        let dropped = match self.vmas.get(at).anon {
            Anon::None | Anon::Some { .. } => Anon::None,
            // Whether it was written before decides about VM_ACCOUNT and its offset.
            unknown => {
                self.next_anon += 1;
                match unknown {
                    Anon::Moved(_) if !profile.dontunmap_keeps_apart => Anon::Moved(self.next_anon),
                    _ => Anon::Unknown(self.next_anon),
                }
            }
        };
        self.vmas.change(at, |vma| {
            vma.flags = vma.flags.without(VmaFlags::LOCKED_MASK);
            if profile.dontunmap_unaccounts {
                vma.flags = vma.flags.without(VmaFlags::ACCOUNT);
            }
            if drops {
                (vma.anon, vma.seen) = (dropped, Anon::None);
                if profile.dontunmap_keeps_apart {
                    vma.anon_offset = vma.start >> shift;
                    if vma.file.is_none() && vma.anonymous() {
                        vma.offset = vma.start >> shift;
                    }
                }
            }
        });
        self.assume_written(from, from + old_length);
        Ok(to)
    }

    /// Inserts a copy without joining it to its source.
    fn insert_apart(&mut self, copy: super::vma::Vma, source: u64, join_others: bool) {
        if !join_others {
            self.insert(copy);
            return;
        }
        // Remove the source while the copy joins its neighbours.
        let at = self.vmas.find(source).expect("the source is there");
        let hidden = self.vmas.remove(at);
        self.insert_joined(copy, Joining::Remapped);
        self.vmas.insert(hidden);
    }

    fn move_guards(&mut self, start: u64, end: u64, to: u64) {
        for guarded in self.guards.remove(start..end) {
            self.guards.insert(guarded.start - start + to..guarded.end - start + to);
        }
    }
}
