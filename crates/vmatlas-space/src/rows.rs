//! The output of an address space: rows of maps, and the fields of PROCMAP_QUERY.

use super::vma::{Special, Vma};
use super::{AddressSpace, FileKind, HeapRule, VmaFlags, Vsyscall};
use vmatlas_maps::Maps;
use vmatlas_maps::TextFormat;
use vmatlas_maps::{AddressRange, Device, Mapping, Perms};

/// The range of `[vsyscall]`.
const VSYSCALL: AddressRange = AddressRange::new(0xffff_ffff_ff60_0000, 0xffff_ffff_ff60_1000);

/// The reply of PROCMAP_QUERY for a VMA (include/uapi/linux/fs.h, 6.11).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Query {
    /// `vma_start` and `vma_end`.
    pub range: AddressRange,
    /// `vma_flags`, as letters.
    pub perms: Perms,
    /// `vma_page_size`, in bytes.
    pub page_size: u64,
    /// `vma_offset`, in bytes.
    pub offset: u64,
    /// `dev_major` and `dev_minor`.
    pub device: Device,
    /// `inode`.
    pub inode: u64,
    /// `vma_name`; empty if the kernel returns none.
    pub name: Vec<u8>,
}

impl AddressSpace {
    /// Calls `take` with each row of maps, in address order, including `[vsyscall]`. `take` must
    /// not rename or unlink the mapped [files](super::File).
    pub fn for_each_row(&self, mut take: impl FnMut(&Mapping<'_>)) {
        let mut above_growing = None;
        for vma in self.vmas.iter() {
            let mut start = vma.start;
            if self.profile.hides_guard_page && vma.flags.contains(VmaFlags::GROWSDOWN) {
                if above_growing != Some(vma.start) {
                    start = (start + self.profile.page_size()).min(vma.end);
                }
                above_growing = Some(vma.end);
            }
            self.with_row(vma, |row| {
                take(&Mapping { range: AddressRange::new(start, vma.end), ..*row });
            });
        }
        let perms = match self.profile.vsyscall {
            Vsyscall::None => return,
            Vsyscall::ExecuteOnly => *b"--xp",
            Vsyscall::Emulate => *b"r-xp",
        };
        take(&Mapping {
            range: VSYSCALL,
            perms: Perms(perms),
            offset: 0,
            device: Device::default(),
            inode: 0,
            name: Special::Vsyscall.name().as_bytes(),
        });
    }

    /// The rows as a [`Maps`].
    pub fn maps(&self) -> Maps {
        let mut maps = Maps::default();
        self.for_each_row(|row| maps.push(row));
        maps
    }

    /// The text of /proc/PID/maps.
    pub fn render(&self) -> Vec<u8> {
        let format = TextFormat::of(self.profile.version, self.profile.word_size);
        let mut text = Vec::with_capacity(self.vmas.len() * 80);
        self.for_each_row(|row| format.write_row(row, &mut text));
        text
    }

    /// The reply of PROCMAP_QUERY for the VMA that covers `address`, or with `or_next` for the
    /// first one above it. It never returns `[vsyscall]`.
    pub fn query(&self, address: u64, or_next: bool) -> Option<Query> {
        let at = self.vmas.find(address)?;
        let vma = self.vmas.get(at);
        if vma.start > address && !or_next {
            return None;
        }
        let huge = vma.flags.contains(VmaFlags::HUGETLB);
        let page_size = if huge { self.profile.huge_page_size() } else { self.profile.page_size() };
        Some(self.with_row(vma, |row| Query {
            range: row.range,
            perms: row.perms,
            page_size,
            offset: row.offset,
            device: row.device,
            inode: row.inode,
            name: row.name.to_vec(),
        }))
    }

    /// The row of a VMA (get_vma_name, fs/proc/task_mmu.c).
    pub(super) fn with_row<T>(&self, vma: &Vma, take: impl FnOnce(&Mapping<'_>) -> T) -> T {
        let row = |name: &[u8], take: &mut dyn FnMut(&Mapping<'_>)| {
            let file = vma.file.as_ref();
            take(&Mapping {
                range: AddressRange::new(vma.start, vma.end),
                perms: vma.perms(),
                offset: file.map_or(0, |_| vma.offset << self.profile.page_shift),
                device: file.map_or(Device::default(), |file| file.device()),
                inode: file.map_or(0, |file| file.inode()),
                name,
            });
        };
        let mut take = Some(take);
        let mut result = None;
        let mut once = |mapping: &Mapping<'_>| {
            if let Some(take) = take.take() {
                result = Some(take(mapping));
            }
        };
        match (&vma.file, &vma.name) {
            (Some(file), Some(name)) if file.kind() == FileKind::SharedMemory => {
                row(&bracketed(b"[anon_shmem:", name), &mut once);
            }
            (Some(file), _) => file.with_name(|name| row(name, &mut once)),
            (None, name) => match vma.special {
                Some(special) => row(special.name().as_bytes(), &mut once),
                None if self.is_heap(vma) => row(b"[heap]", &mut once),
                None if self.is_stack(vma) => row(b"[stack]", &mut once),
                None => match name {
                    Some(name) => row(&bracketed(b"[anon:", name), &mut once),
                    None => row(b"", &mut once),
                },
            },
        }
        result.expect("a row is shown once")
    }

    fn is_heap(&self, vma: &Vma) -> bool {
        match self.profile.heap_rule {
            HeapRule::Covers => vma.start <= self.start_brk && vma.end >= self.brk,
            HeapRule::Touches => vma.start <= self.brk && vma.end >= self.start_brk,
            HeapRule::Overlaps => vma.start < self.brk && vma.end > self.start_brk,
        }
    }

    fn is_stack(&self, vma: &Vma) -> bool {
        vma.start <= self.start_stack && vma.end >= self.start_stack
    }
}

fn bracketed(opening: &[u8], name: &[u8]) -> Vec<u8> {
    [opening, name, b"]"].concat()
}
