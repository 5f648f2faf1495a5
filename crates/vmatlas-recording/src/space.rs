//! One address space of a recording: its VMAs, and the origin of their bytes.

use super::call::{Call, CallKind};
use super::definitions::FileEntry;
use super::event::RecordedRow;
use super::origins::{Maker, Origin, Origins};
use std::collections::{BTreeMap, HashMap};
use vmatlas_maps::uapi::mempolicy::{
    MPOL_BIND, MPOL_INTERLEAVE, MPOL_LOCAL, MPOL_MODE_MASK, MPOL_PREFERRED,
};
use vmatlas_maps::uapi::mman::{
    MAP_ANONYMOUS, MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT, MLOCK_ONFAULT, MREMAP_DONTUNMAP,
    MREMAP_FIXED, MREMAP_MAYMOVE, PROT_GROWSDOWN,
};
use vmatlas_maps::uapi::personality::{ASK_PERSONALITY, READ_IMPLIES_EXEC};
use vmatlas_maps::uapi::prctl::{
    PR_SET_MEMORY_MERGE, PR_SET_MM, PR_SET_MM_BRK, PR_SET_MM_MAP, PR_SET_MM_START_BRK,
    PR_SET_MM_START_STACK, PR_SET_VMA,
};
use vmatlas_maps::uapi::shm::{SHM_RDONLY, SHM_REMAP};
use vmatlas_maps::uapi::userfaultfd::UFFDIO_REGISTER_MODE_WP;
use vmatlas_maps::{AddressRange, Mapping};
use vmatlas_space::Errno;
use vmatlas_space::{
    AddressSpace, Advice, CallRange, Faults, File, FileKind, KernelProfile, MapVdso, MmMap, Mmap,
    Mremap, Observation, Policy, Prot, Uffd, VmaFlags, Vsyscall,
};

/// An address space, and the origin of its mappings.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecordedSpace {
    /// The model of the address space.
    pub memory: AddressSpace,
    /// The origin of each byte.
    pub origins: Origins,
    /// The first access to each page, if page faults are recorded.
    pub touched: Origins,
    /// The pages that were resident when the recorder last read them, see
    /// [`Recording::last_look`](super::Recording::last_look); later events leave them as they are.
    pub resident: Option<Vec<AddressRange>>,
    /// The number of tasks that share it.
    pub(crate) tasks: u32,
    /// Its userfaultfds, by descriptor.
    pub(crate) uffds: BTreeMap<u64, Uffd>,
}

/// The effect of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// The addresses that it changed; unused ranges are empty.
    pub touched: [AddressRange; 2],
    /// The error of the model for a call that succeeded.
    pub refused: Option<Errno>,
    /// The corrections from an observation.
    pub observation: Observation,
}

/// The open files of mappings, by entry. Recordings do not show that a file was opened twice:
/// observations report mappings that the kernel keeps apart for that reason.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenFiles(pub(crate) HashMap<u32, File>);

impl OpenFiles {
    /// The open file of an entry.
    pub(crate) fn get(&mut self, number: u32, files: &[FileEntry]) -> Option<File> {
        if number == 0 {
            return None;
        }
        let entry = files.get(number as usize)?;
        Some(self.0.entry(number).or_insert_with(|| entry.open()).clone())
    }
}

impl FileEntry {
    /// A row with this file, without addresses.
    fn row(&self) -> Mapping<'_> {
        Mapping {
            range: AddressRange::default(),
            perms: vmatlas_maps::Perms(*b"---p"),
            offset: 0,
            device: self.device,
            inode: self.inode,
            name: &self.name,
        }
    }

    fn open(&self) -> File {
        File::of(FileKind::of_row(&self.row()), &self.name, self.device, self.inode)
    }
}

/// The row of a recorded row.
pub(crate) fn mapping<'a>(row: &RecordedRow, files: &'a [FileEntry]) -> Mapping<'a> {
    static NOTHING: FileEntry = FileEntry {
        device: vmatlas_maps::Device::new(0, 0),
        inode: 0,
        name: Vec::new(),
        build_id: Vec::new(),
    };
    let file = files.get(row.file as usize).unwrap_or(&NOTHING);
    Mapping { range: row.range, perms: row.perms, offset: row.offset, ..file.row() }
}

impl RecordedSpace {
    /// An empty address space.
    pub(crate) fn empty(profile: &KernelProfile) -> RecordedSpace {
        RecordedSpace {
            memory: AddressSpace::new(profile.clone()),
            origins: Origins::default(),
            touched: Origins::default(),
            resident: None,
            tasks: 1,
            uffds: BTreeMap::new(),
        }
    }

    /// An address space with these rows, all of the same origin.
    pub(crate) fn from_rows(
        profile: &KernelProfile,
        rows: &[RecordedRow],
        files: &[FileEntry],
        origin: Origin,
    ) -> RecordedSpace {
        let rows = || rows.iter().map(|row| mapping(row, files));
        let mut space = RecordedSpace::empty(profile);
        space.memory = AddressSpace::from_rows(profile.clone(), rows());
        // A 32-bit program has no `[vsyscall]`. In others at least the stack lies above 4 GiB.
        let highest = space.memory.highest_end();
        if 0 < highest && highest <= 1 << 32 {
            space.memory.set_vsyscall(Vsyscall::None);
        }
        for row in rows() {
            space.origins.set(row.range, origin);
        }
        space
    }

    pub(crate) fn fork(&self) -> RecordedSpace {
        RecordedSpace {
            memory: self.memory.fork(),
            origins: self.origins.fork(),
            touched: self.touched.fork(),
            // They were read of the parent, before the child existed.
            resident: None,
            tasks: 1,
            uffds: BTreeMap::new(),
        }
    }

    /// Corrects the state to the rows that the kernel shows.
    pub(crate) fn observe(
        &mut self,
        range: AddressRange,
        rows: &[RecordedRow],
        files: &[FileEntry],
    ) -> Observation {
        let rows = || rows.iter().map(|row| mapping(row, files));
        let learned = self.memory.observe(range, rows());
        self.origins.keep(range, rows().map(|row| row.range));
        for row in rows() {
            self.grow_origin(row.range);
        }
        learned
    }

    /// Gives the growth of a stack the origin of the stack.
    fn grow_origin(&mut self, row: AddressRange) {
        let grows = |flags: VmaFlags| flags.contains(VmaFlags::GROWSDOWN);
        let first = self.origins.within(row).next();
        if let Some((piece, origin)) = first
            && piece.start > row.start
            && self.memory.flags(row.start).is_some_and(grows)
        {
            self.origins.set(AddressRange::new(row.start, piece.start), origin);
        }
    }

    /// The origins of a mapped range, piece by piece without gaps: bytes that no event explains
    /// have [`Maker::Unseen`].
    pub fn origins_of(&self, range: AddressRange) -> Vec<(AddressRange, Origin)> {
        without_gaps(self.origins.within(range), range)
    }

    /// The first accesses to the pages of a range, piece by piece without gaps: pages that no fault
    /// reports (MAP_POPULATE, read-ahead, huge pages) have [`Maker::Unseen`].
    pub fn touched_in(&self, range: AddressRange) -> Vec<(AddressRange, Origin)> {
        without_gaps(self.touched.within(range), range)
    }

    /// Applies a call that has returned. `file` is the mapped file.
    pub(crate) fn call(
        &mut self,
        call: &Call,
        file: Option<&File>,
        name: Option<&[u8]>,
        origin: Origin,
    ) -> Applied {
        let applied = self.map_call(call, file, name, origin);
        if !self.touched.is_empty() {
            self.drop_touched(call, &applied);
        }
        applied
    }

    /// Removes the first accesses to pages that a call drops: they will fault again.
    fn drop_touched(&mut self, call: &Call, applied: &Applied) {
        let [range, new] = applied.touched;
        let drops = match call.kind {
            CallKind::Mmap | CallKind::Munmap | CallKind::Shmat | CallKind::Shmdt => true,
            CallKind::IoSetup | CallKind::IoDestroy | CallKind::MapShadowStack => true,
            CallKind::ArchPrctl => call.maps_vdso(),
            // A range by which the break grew has no accesses yet.
            CallKind::Brk => true,
            CallKind::Madvise => Advice::from_number(call.args[2]).is_some_and(Advice::drops_pages),
            CallKind::Mremap if new.start != range.start => {
                let common = range.size().min(new.size());
                let from = AddressRange::new(range.start, range.start + common);
                // MREMAP_DONTUNMAP moves the pages, too.
                self.touched.relocate(from, new.start, false);
                false
            }
            CallKind::Mremap => {
                let gone = AddressRange::new(new.end.min(range.end), range.end);
                self.touched.remove(gone);
                false
            }
            _ => false,
        };
        if drops && call.result >= 0 {
            self.touched.remove(range);
        }
    }

    /// Records an access to the page that contains an address. A write gives a private mapping its
    /// anon_vma, which decides about joins. Stacks grow when the kernel reports their rows: its
    /// limit is not known here.
    pub(crate) fn touch(&mut self, address: u64, write: bool, origin: Origin) {
        if write && self.memory.find(address).is_some() {
            self.memory.set_faults(Faults::Seen);
            // The access may have failed.
            let _ = self.memory.write(CallRange { address, length: 1 });
        }
        let size = self.memory.profile().page_size();
        let start = address & !(size - 1);
        if let Some(end) = start.checked_add(size) {
            self.touched.touch(AddressRange::new(start, end), origin);
        }
    }

    fn map_call(
        &mut self,
        call: &Call,
        file: Option<&File>,
        name: Option<&[u8]>,
        origin: Origin,
    ) -> Applied {
        let profile = self.memory.profile();
        let (limit, page) = (profile.task_size, profile.page_size());
        let page_align = |bytes: u64| bytes.checked_next_multiple_of(page).unwrap_or(0);
        let range = |start: u64, length: u64| {
            let end = start.saturating_add(page_align(length)).min(limit);
            AddressRange::new(start.min(end), end)
        };
        let args = &call.args;
        let mut touched = [range(args[0], args[1]), AddressRange::default()];
        let passed = |first: usize| CallRange { address: args[first], length: args[first + 1] };
        let inside = |start: u64, length: u64| start <= limit && length <= limit - start;
        if call.result < 0 {
            // The range before the failing address stays changed.
            let errno = Errno(i32::try_from(call.result.unsigned_abs()).unwrap_or(0));
            let partial = matches!(errno, Errno::ENOMEM | Errno::EACCES | Errno::EPERM)
                && self.is_partial(call);
            let done = if partial { self.change(call, name) } else { Err(errno) };
            let refused = if done == Err(errno) { None } else { Some(errno) };
            return Applied { touched, refused, ..Applied::default() };
        }
        let result = call.result as u64;
        let memory = &mut self.memory;
        let done = match call.kind {
            CallKind::Mmap => {
                let mut request = Mmap::anonymous(args[1], Prot::from_bits(args[2]))
                    .with_flags(args[3])
                    .fixed(result);
                let length = match request.huge {
                    Some(huge) => args[1].checked_next_multiple_of(huge).unwrap_or(0),
                    None => args[1],
                };
                touched[0] = range(result, length);
                match file {
                    Some(file) if args[3] & MAP_ANONYMOUS == 0 => {
                        request.file = Some((file.clone(), args[5]));
                    }
                    Some(file) => request.object_inode = file.inode(),
                    None => {}
                }
                self.origins.set(touched[0], origin);
                if inside(result, length) { memory.mmap(&request).map(drop) } else { REFUSED }
            }
            CallKind::Munmap => {
                self.origins.remove(touched[0]);
                if inside(args[0], args[1]) { memory.munmap(passed(0)) } else { REFUSED }
            }
            CallKind::Brk => {
                let old = memory.program_break();
                if result > limit {
                    touched[0] = AddressRange::default();
                    REFUSED
                } else if old == 0 || result == old {
                    touched[0] = AddressRange::default();
                    if old == 0 {
                        memory.set_heap(AddressRange::new(result, result));
                    }
                    Ok(())
                } else {
                    let (old, new) = (page_align(old), page_align(result));
                    touched[0] = AddressRange::new(old.min(new), old.max(new));
                    if new > old {
                        self.origins.set(touched[0], origin);
                    } else {
                        self.origins.remove(touched[0]);
                    }
                    memory.brk(result)
                }
            }
            CallKind::Mremap => {
                let fixed = args[3] & MREMAP_FIXED != 0;
                let keep = args[3] & MREMAP_DONTUNMAP != 0;
                touched[1] = range(result, args[2]);
                let mut request = Mremap::new(passed(0), args[2]);
                request.maymove = args[3] & MREMAP_MAYMOVE != 0;
                request.to = (fixed || result != args[0]).then_some(result);
                request.dontunmap = keep;
                let (old, new) = (touched[0], touched[1]);
                let common = old.size().min(new.size());
                if new.start != old.start {
                    let from = if old.size() == 0 { old.start } else { old.start + common };
                    self.origins.relocate(AddressRange::new(old.start, from), new.start, keep);
                }
                if new.size() > common {
                    let grown = AddressRange::new(new.start + common, new.end);
                    self.origins.set(grown, origin);
                } else {
                    self.origins.remove(AddressRange::new(old.start + common, old.end));
                }
                if inside(args[0], args[1]) && inside(result, args[2]) {
                    memory.mremap(&request).map(drop)
                } else {
                    REFUSED
                }
            }
            CallKind::Shmat => match file {
                Some(segment) => {
                    touched[0] = range(result, args[3]);
                    self.origins.set(touched[0], origin);
                    segment.set_size(args[3]);
                    let (readonly, replace) = (args[2] & SHM_RDONLY, args[2] & SHM_REMAP);
                    memory.shmat(segment, result, readonly != 0, replace != 0)
                }
                None => REFUSED,
            },
            CallKind::Shmdt => {
                // shmdt unmaps every remaining piece of the segment; no other mapping lies between.
                touched[0] = memory.find(args[0]).unwrap_or_default();
                let done = memory.shmdt(args[0]);
                self.origins.remove(touched[0]);
                done
            }
            CallKind::IoSetup | CallKind::MapShadowStack => {
                let start = if call.kind == CallKind::IoSetup { args[1] } else { result };
                let length = if call.kind == CallKind::IoSetup { args[2] } else { args[1] };
                touched[0] = range(start, length);
                self.origins.set(touched[0], origin);
                let prot = Prot::READ | Prot::WRITE;
                let mut request = Mmap::anonymous(length, prot).fixed(start);
                if let Some(file) = file {
                    request = request.of_file(file, 0).shared();
                }
                if inside(start, length) { memory.mmap(&request).map(drop) } else { REFUSED }
            }
            CallKind::IoDestroy => {
                touched[0] = memory.find(args[0]).unwrap_or_default();
                self.origins.remove(touched[0]);
                if touched[0].size() == 0 { REFUSED } else { memory.munmap(touched[0]) }
            }
            CallKind::Userfaultfd => {
                touched[0] = AddressRange::default();
                let uffd = memory.userfaultfd();
                self.uffds.insert(result, uffd);
                Ok(())
            }
            CallKind::UffdRegister | CallKind::UffdUnregister => {
                touched[0] = range(args[1], args[2]);
                let uffd = *self.uffds.entry(args[0]).or_insert_with(|| memory.userfaultfd());
                if !inside(args[1], args[2]) {
                    REFUSED
                } else if call.kind == CallKind::UffdRegister {
                    let write_protect = args[3] & UFFDIO_REGISTER_MODE_WP != 0;
                    memory.uffd_register(uffd, passed(1), write_protect)
                } else {
                    memory.uffd_unregister(uffd, passed(1))
                }
            }
            CallKind::Prctl if args[0] == PR_SET_VMA => {
                touched[0] = range(args[2], args[3]);
                self.change(call, name)
            }
            // The recorder determined the address; the result is the size.
            CallKind::ArchPrctl if call.maps_vdso() => {
                let length = memory.vvar_size().saturating_add(page_align(result));
                let start = args[1] & !(page - 1);
                touched[0] = range(start, length);
                let place = match inside(start, length) {
                    true => memory.map_vdso(MapVdso { address: start, size: result }),
                    false => REFUSED.map(|()| 0),
                };
                match place {
                    Ok(place) if place == start => {
                        self.origins.set(touched[0], origin);
                        Ok(())
                    }
                    // The place is taken in the model but was free in the kernel.
                    Ok(address) => memory.munmap(CallRange { address, length }).and(REFUSED),
                    Err(errno) => Err(errno),
                }
            }
            CallKind::Mlockall
            | CallKind::Munlockall
            | CallKind::Personality
            | CallKind::PkeyAlloc
            | CallKind::PkeyFree
            | CallKind::ArchPrctl
            | CallKind::Prctl => {
                touched[0] = AddressRange::default();
                self.change(call, name)
            }
            // It applies to another process.
            CallKind::ProcessMadvise => {
                touched[0] = AddressRange::default();
                Ok(())
            }
            _ if inside(args[0], args[1]) => self.change(call, name),
            _ => REFUSED,
        };
        Applied { touched, refused: done.err(), ..Applied::default() }
    }

    /// Whether a call that fails may have had a partial effect.
    pub(crate) fn is_partial(&self, call: &Call) -> bool {
        let limit = self.memory.profile().task_size;
        match call.kind {
            CallKind::Mprotect
            | CallKind::PkeyMprotect
            | CallKind::Madvise
            | CallKind::Mlock
            | CallKind::Munlock => call.args[0] <= limit && call.args[1] <= limit - call.args[0],
            CallKind::Prctl => call.args[0] == PR_SET_VMA,
            _ => false,
        }
    }

    /// Applies the calls that move no memory.
    fn change(&mut self, call: &Call, name: Option<&[u8]>) -> Result<(), Errno> {
        let memory = &mut self.memory;
        let [address, length, third, fourth, fifth, _] = call.args;
        let range = CallRange { address, length };
        let prot = Prot::from_bits(third);
        match call.kind {
            CallKind::Mprotect if third & PROT_GROWSDOWN != 0 => {
                memory.mprotect_growsdown(range, prot, None)
            }
            CallKind::Mprotect => memory.mprotect(range, prot),
            CallKind::PkeyMprotect => match u8::try_from(fourth) {
                Ok(key) => memory.pkey_mprotect(range, prot, key),
                Err(_) => memory.mprotect(range, prot),
            },
            CallKind::Madvise => match Advice::from_number(third) {
                Some(advice) => memory.madvise(range, advice),
                None => Ok(()),
            },
            CallKind::Mlock => memory.mlock(range, third & MLOCK_ONFAULT != 0),
            CallKind::Munlock => memory.munlock(range),
            CallKind::Mlockall => {
                let [current, future, onfault] =
                    [MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT].map(|flag| address & flag != 0);
                memory.mlockall(current, future, onfault)
            }
            CallKind::Munlockall => {
                memory.munlockall();
                Ok(())
            }
            CallKind::Mseal => memory.mseal(range),
            CallKind::Mbind => {
                let nodes: Vec<u32> = (0..64).filter(|node| fourth >> node & 1 == 1).collect();
                let policy = match third & MPOL_MODE_MASK {
                    MPOL_PREFERRED => {
                        Some(nodes.first().map_or(Policy::Local, |node| Policy::Preferred(*node)))
                    }
                    MPOL_BIND => Some(Policy::Bind(nodes)),
                    MPOL_INTERLEAVE => Some(Policy::Interleave(nodes)),
                    MPOL_LOCAL => Some(Policy::Local),
                    _ => None,
                };
                memory.mbind(range, policy)
            }
            CallKind::RemapFilePages => memory.remap_file_pages(range, fourth),
            CallKind::Personality => {
                if address != u64::from(ASK_PERSONALITY) {
                    memory.set_read_implies_exec(address & READ_IMPLIES_EXEC != 0);
                }
                Ok(())
            }
            CallKind::PkeyAlloc => memory.pkey_alloc().map(drop),
            CallKind::Prctl if address == PR_SET_VMA => {
                let limit = memory.profile().task_size;
                if third > limit || fourth > limit - third {
                    return REFUSED;
                }
                memory.set_anon_name(CallRange { address: third, length: fourth }, name)
            }
            CallKind::Prctl if address == PR_SET_MEMORY_MERGE => {
                memory.set_memory_merge(length != 0)
            }
            CallKind::Prctl if address == PR_SET_MM => match length {
                PR_SET_MM_START_STACK => {
                    memory.set_start_stack(third);
                    Ok(())
                }
                PR_SET_MM_START_BRK => memory.set_start_brk(third),
                PR_SET_MM_BRK => memory.set_brk(third),
                PR_SET_MM_MAP => {
                    let (start_brk, brk, start_stack) = (third, fourth, fifth);
                    memory.set_mm_map(MmMap { start_brk, brk, start_stack })
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// The pieces of a range, with [`Origin::UNSEEN`] for the gaps.
fn without_gaps(
    known: impl Iterator<Item = (AddressRange, Origin)>,
    range: AddressRange,
) -> Vec<(AddressRange, Origin)> {
    let mut pieces: Vec<(AddressRange, Origin)> = Vec::new();
    let mut from = range.start;
    let add = |pieces: &mut Vec<(AddressRange, Origin)>, piece: (AddressRange, Origin)| match pieces
        .last_mut()
    {
        Some(last) if last.1 == piece.1 => last.0 = last.0.with_end(piece.0.end),
        _ => pieces.push(piece),
    };
    for (piece, origin) in known {
        if piece.start > from {
            add(&mut pieces, (AddressRange::new(from, piece.start), Origin::UNSEEN));
        }
        add(&mut pieces, (piece, origin));
        from = piece.end;
    }
    if from < range.end {
        add(&mut pieces, (AddressRange::new(from, range.end), Origin::UNSEEN));
    }
    pieces
}

/// The model cannot replay the call.
const REFUSED: Result<(), Errno> = Err(Errno::EFAULT);

impl Maker {
    /// The number in a snapshot.
    pub(crate) fn number(self) -> u8 {
        match self {
            Maker::Call(kind) => kind as u8,
            Maker::Exec => 253,
            Maker::Before => 254,
            Maker::Unseen => 255,
            Maker::Touch => 252,
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Maker> {
        Some(match number {
            253 => Maker::Exec,
            254 => Maker::Before,
            255 => Maker::Unseen,
            252 => Maker::Touch,
            kind => Maker::Call(CallKind::from_number(kind)?),
        })
    }

    /// The name of the system call, or of the other origin.
    pub fn name(self) -> &'static str {
        match self {
            Maker::Call(kind) => kind.name(),
            Maker::Exec => "execve",
            Maker::Before => "before the recording",
            Maker::Unseen => "unseen",
            Maker::Touch => "page fault",
        }
    }
}
