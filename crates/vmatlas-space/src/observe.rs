//! Corrects the model from rows that a kernel shows.

use super::vma::{Anon, Special, Vma};
use super::{AddressSpace, File, FileKind, KernelProfile, VmaFlags};
use std::collections::HashMap;
use std::sync::Arc;
use vmatlas_maps::Kind;
use vmatlas_maps::{AddressRange, Device, Mapping};

/// The corrections from an observation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observation {
    /// The number of doubts resolved against the assumption, and of stacks that grew.
    pub settled: usize,
    /// The number of rows that no doubt explains: the model was wrong, or an event was not
    /// reported.
    pub corrected: usize,
}

/// The compared fields of a row.
#[derive(Clone, PartialEq, Eq)]
struct Seen {
    range: AddressRange,
    perms: [u8; 4],
    offset: u64,
    device: (u32, u32),
    inode: u64,
    name: Vec<u8>,
}

impl Seen {
    fn of(row: &Mapping<'_>) -> Seen {
        Seen {
            range: row.range,
            perms: row.perms.0,
            offset: row.offset,
            device: (row.device.major, row.device.minor),
            inode: row.inode,
            name: row.name.to_vec(),
        }
    }
}

impl AddressSpace {
    /// Builds the most likely address space of a process with these rows: attributes that rows do
    /// not show get the usual values, and page faults count as unreported. Rows that overlap or
    /// that no kernel can print are left out.
    pub fn from_rows<'a>(
        profile: KernelProfile,
        rows: impl IntoIterator<Item = Mapping<'a>>,
    ) -> AddressSpace {
        let mut space = AddressSpace::new(profile);
        space.faults = super::Faults::Unreported;
        let mut known = KnownFiles::default();
        for row in rows {
            match row.kind() {
                Kind::Vsyscall => continue,
                Kind::Heap if space.start_brk == 0 => {
                    space.set_heap(row.range);
                }
                Kind::Heap => space.brk = space.brk.max(row.range.end),
                Kind::Stack => space.start_stack = row.range.end.saturating_sub(1),
                _ => {}
            }
            if !space.is_sound(&row)
                || space.vmas.within(row.range.start, row.range.end).next().is_some()
            {
                continue;
            }
            let vma = space.vma_for(&row, &mut known);
            space.insert(vma);
        }
        space
    }

    /// Compares `range` with the rows that the kernel shows there, and corrects the model to match
    /// them.
    ///
    /// Rows must be in address order; those that extend beyond the range are cut to it.
    pub fn observe<'a>(
        &mut self,
        range: AddressRange,
        rows: impl IntoIterator<Item = Mapping<'a>>,
    ) -> Observation {
        let mut learned = Observation::default();
        if range.size() == 0 {
            return learned;
        }
        let shown: Vec<Mapping<'a>> = rows
            .into_iter()
            .filter(|row| self.is_sound(row) && row.range.overlaps(&range))
            .filter(|row| row.kind() != Kind::Vsyscall)
            .collect();
        for row in &shown {
            self.grow_as_seen(row, &mut learned);
        }
        self.match_boundaries(range, &shown, &mut learned);
        // What is seen of a page is true of the whole page. An observation that settles a doubt has
        // the bytes on both sides only.
        let page = self.profile.page_size();
        let end = range.end.checked_next_multiple_of(page).unwrap_or(range.end - range.end % page);
        let pages = AddressRange::new(range.start - range.start % page, end);
        self.match_rows(pages, &shown, &mut learned);
        let settled: Vec<u64> = self.doubts.range(range.start..range.end).copied().collect();
        for address in settled {
            self.doubts.remove(&address);
        }
        learned
    }

    /// Whether a kernel can print the addresses of a row.
    fn is_sound(&self, row: &Mapping<'_>) -> bool {
        let (start, end) = (row.range.start, row.range.end);
        let aligned = self.profile.is_aligned(start) && self.profile.is_aligned(end);
        start < end && end <= self.profile.task_size && aligned
    }

    /// Grows a growing mapping whose row starts lower than in the model.
    fn grow_as_seen(&mut self, row: &Mapping<'_>, learned: &mut Observation) {
        let Some(at) = self.covering(row.range.end.saturating_sub(1)) else { return };
        let vma = self.vmas.get(at);
        let free = self.vmas.within(row.range.start, vma.start).next().is_none();
        if vma.flags.contains(VmaFlags::GROWSDOWN) && row.range.start < vma.start && free {
            let shift = self.profile.page_shift;
            self.make_anon(at);
            self.vmas.change(at, |vma| vma.extend_start(row.range.start, shift));
            learned.settled += 1;
        }
    }

    /// Splits and joins VMAs at the boundaries of the kernel's rows.
    fn match_boundaries(
        &mut self,
        range: AddressRange,
        shown: &[Mapping<'_>],
        learned: &mut Observation,
    ) {
        let mut count = |doubtful: bool| {
            if doubtful {
                learned.settled += 1;
            } else {
                learned.corrected += 1;
            }
        };
        for pair in shown.windows(2) {
            let boundary = pair[1].range.start;
            if pair[0].range.end != boundary || !range.contains(boundary) {
                continue;
            }
            let Some(at) = self.covering(boundary) else { continue };
            let vma = self.vmas.get(at);
            if vma.start == boundary || vma.perms() != pair[0].perms || vma.perms() != pair[1].perms
            {
                continue;
            }
            count(self.doubts.contains(&boundary));
            let upper = self.split(at, boundary);
            let anon = self.fresh_anon();
            self.vmas.change(upper, |vma| (vma.anon, vma.seen) = (anon, Anon::Unknown(0)));
        }
        let inner: Vec<u64> = self
            .vmas
            .within(range.start, range.end)
            .map(|vma| vma.start)
            .filter(|start| {
                // Rows are in order, so at most one covers an address.
                let next = shown.partition_point(|row| row.range.end <= *start);
                shown.get(next).is_some_and(|row| row.range.start < *start)
            })
            .collect();
        for boundary in inner {
            let (Some(upper), Some(lower)) =
                (self.vmas.find(boundary), self.vmas.find_below(boundary))
            else {
                continue;
            };
            let (a, b) = (self.vmas.get(lower), self.vmas.get(upper));
            if a.end != b.start || a.perms() != b.perms() || !a.same_file(b) {
                continue;
            }
            count(self.doubts.contains(&boundary));
            let upper = self.vmas.remove(upper);
            self.vmas.change(lower, |vma| {
                vma.end = upper.end;
                if vma.anon == Anon::None {
                    vma.anon = upper.anon;
                }
                if vma.seen == Anon::None {
                    vma.seen = upper.seen;
                }
            });
        }
    }

    /// Replaces the VMAs that still differ.
    fn match_rows(
        &mut self,
        range: AddressRange,
        shown: &[Mapping<'_>],
        learned: &mut Observation,
    ) {
        let cut = |row: &Mapping<'_>| {
            let mut seen = Seen::of(row);
            let start = seen.range.start.max(range.start);
            if seen.inode != 0 {
                seen.offset = seen.offset.wrapping_add(start - seen.range.start);
            }
            seen.range = AddressRange::new(start, seen.range.end.min(range.end));
            seen
        };
        let mut own: Vec<Seen> = Vec::new();
        for vma in self.vmas.within(range.start, range.end) {
            self.with_row(vma, |row| own.push(cut(row)));
        }
        let wanted: Vec<Seen> = shown.iter().map(cut).collect();
        if own == wanted {
            return;
        }
        for row in own.iter().filter(|row| !wanted.contains(row)) {
            if !wanted.iter().any(|wanted| wanted.range.overlaps(&row.range)) {
                learned.corrected += 1;
            }
            self.cut_out(row.range);
        }
        let mut known = KnownFiles::default();
        for file in self.vmas.iter().filter_map(|vma| vma.file.as_ref()) {
            known.0.entry(identity(file)).or_insert_with(|| file.clone());
        }
        for (row, seen) in shown.iter().zip(&wanted) {
            if own.contains(seen) {
                continue;
            }
            learned.corrected += 1;
            // No kernel prints overlapping rows; of such rows the last one wins.
            self.cut_out(seen.range);
            let shift = self.profile.page_shift;
            let vma = self.vma_for(row, &mut known).part(seen.range.start, seen.range.end, shift);
            self.insert(vma);
        }
    }

    /// Removes all mappings in a range, ignoring seals and limits.
    fn cut_out(&mut self, range: AddressRange) {
        for edge in [range.start, range.end] {
            if let Some(at) = self.covering(edge)
                && self.vmas.get(at).start < edge
            {
                self.split(at, edge);
            }
        }
        while let Some(at) = self.vmas.find(range.start) {
            if self.vmas.get(at).start >= range.end {
                break;
            }
            self.vmas.remove(at);
        }
    }

    /// Builds the VMA behind a row, as far as the row shows it.
    fn vma_for(&self, row: &Mapping<'_>, known: &mut KnownFiles) -> Vma {
        use VmaFlags as F;
        let shift = self.profile.page_shift;
        let kind = row.kind();
        let shared = row.perms.shared();
        let mut flags = (F::MAYREAD | F::MAYWRITE | F::MAYEXEC)
            .with_if(F::READ, row.perms.read())
            .with_if(F::WRITE, row.perms.write())
            .with_if(F::EXEC, row.perms.execute())
            .with_if(F::SHARED | F::MAYSHARE, shared)
            .with_if(F::ACCOUNT, row.perms.write() && !shared)
            .with_if(F::GROWSDOWN, kind == Kind::Stack);
        let special = match kind {
            Kind::Vdso => Some(Special::Vdso),
            Kind::Vvar if row.name == b"[vvar_vclock]" => Some(Special::VvarVclock),
            Kind::Vvar => Some(Special::Vvar),
            Kind::Special if row.name == b"[uprobes]" => Some(Special::Uprobes),
            Kind::Special if row.name == b"[sigpage]" => Some(Special::Sigpage),
            Kind::Special if row.name == b"[vectors]" => Some(Special::Vectors),
            _ => None,
        };
        if special.is_some() {
            flags |= F::DONTEXPAND;
        }
        // The first System V segment of a namespace has inode 0.
        let with_file = (row.has_file() || row.device != Device::default()) && special.is_none();
        let file = with_file.then(|| known.file_for(row));
        if let Some(file) = &file {
            flags |= match file.kind() {
                FileKind::Special => F::DONTEXPAND,
                FileKind::Hugetlb => F::DONTEXPAND | F::HUGETLB,
                _ => F::NONE,
            };
        }
        let name = match kind {
            Kind::NamedAnonymous { name } | Kind::NamedSharedAnonymous { name } => {
                Some(Arc::new(name.to_vec()))
            }
            _ => None,
        };
        let private = !shared && special.is_none();
        let page = row.range.start >> shift;
        Vma {
            start: row.range.start,
            end: row.range.end,
            offset: if file.is_some() { row.offset >> shift } else { row.range.start >> shift },
            anon_offset: row.range.start >> shift,
            flags,
            file,
            name,
            policy: None,
            // Separate rows get separate reverse maps; whether they were written is not known.
            anon: if private { Anon::Unknown(page as u32 | 1 << 31) } else { Anon::None },
            seen: if private { Anon::Unknown(0) } else { Anon::None },
            uffd: 0,
            pkey: 0,
            special,
        }
    }
}

impl FileKind {
    /// The kind of the file behind a row, as far as the row shows it.
    pub fn of_row(row: &Mapping<'_>) -> FileKind {
        match row.kind() {
            Kind::SharedAnonymous | Kind::Memfd { .. } | Kind::NamedSharedAnonymous { .. } => {
                FileKind::SharedMemory
            }
            Kind::SysvShm { .. } => FileKind::SysvShm,
            Kind::Secretmem => FileKind::Secretmem,
            Kind::HugeAnonymous => FileKind::Hugetlb,
            Kind::AnonInode | Kind::Aio | Kind::Socket | Kind::DmaBuf => FileKind::Special,
            Kind::Device if row.name == b"/dev/zero" => FileKind::DevZero,
            Kind::Device => FileKind::Special,
            _ => FileKind::Regular,
        }
    }
}

/// The open files behind the rows so far, by device, inode and name.
#[derive(Default)]
struct KnownFiles(HashMap<(Device, u64, Vec<u8>), File>);

fn identity(file: &File) -> (Device, u64, Vec<u8>) {
    (file.device(), file.inode(), file.name())
}

impl KnownFiles {
    /// The open file of a row; rows with equal device, inode and name share one.
    fn file_for(&mut self, row: &Mapping<'_>) -> File {
        let kind = FileKind::of_row(row);
        let key = (row.device, row.inode, row.name.to_vec());
        let file = || File::of(kind, row.name, row.device, row.inode);
        self.0.entry(key).or_insert_with(file).clone()
    }
}
