//! The mappings that execve(2) makes; a log shows their addresses only later.

use super::missing::{Gaps, MissingFact};
use crate::{Origin, RecordedSpace};
use std::ops::Range;
use vmatlas_maps::{AddressRange, Device, Mapping, Perms};
use vmatlas_space::{AddressSpace, File, LoadSegment, Mmap, Prot};

/// A second source of facts about the files of a log, such as the file system.
///
/// The log contains neither the targets of symbolic links, nor (without `-v`) device and inode,
/// nor the program headers. The implementation for `()` knows nothing.
pub trait Lookup {
    /// The file that was opened by an absolute path.
    fn file(&mut self, path: &[u8]) -> Option<FileFacts> {
        let _ = path;
        None
    }

    /// The program that executing `path` loads; for a script, its interpreter.
    fn program(&mut self, path: &[u8]) -> Option<Program> {
        let _ = path;
        None
    }

    /// The kernel's own mappings from `[vvar]` to `[vdso]`, in ascending order. They are the same
    /// for all 64-bit processes of a kernel.
    fn kernel_rows(&mut self) -> Vec<KernelMapping> {
        Vec::new()
    }
}

impl Lookup for () {}

/// The facts that rows show of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// The name, with all symbolic links resolved.
    pub name: Vec<u8>,
    /// The device.
    pub device: Device,
    /// The inode.
    pub inode: u64,
}

/// A program and its interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The program.
    pub image: ElfFacts,
    /// Its interpreter, the dynamic linker.
    pub interpreter: Option<ElfFacts>,
}

/// The facts of an ELF file that the kernel uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElfFacts {
    /// The file.
    pub file: FileFacts,
    /// Whether it is loaded at fixed addresses (`ET_EXEC`).
    pub fixed: bool,
    /// The LOAD segments in file order.
    pub segments: Vec<LoadSegment>,
    /// The range of `PT_GNU_RELRO`, which becomes read-only after relocation.
    pub relro: Option<Range<u64>>,
}

/// A mapping that the kernel makes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelMapping {
    /// The name, such as `[vdso]`.
    pub name: Vec<u8>,
    /// The permissions.
    pub perms: Perms,
    /// The length, in bytes.
    pub size: u64,
}

/// The maximum distance of the program break from the end of a program (x86-64: 1 GiB since 6.9,
/// before that 32 MiB).
const BREAK_DISTANCE: u64 = 1 << 31;

/// The mappings of execve whose addresses are not known yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exec {
    program: Option<ElfFacts>,
    interpreter: Option<ElfFacts>,
    kernel_rows: Vec<KernelMapping>,
    /// The first program break in the log.
    pub(crate) start_brk: Option<u64>,
    /// The end of the first mapping that the kernel placed.
    pub(crate) first_end: Option<u64>,
}

/// Mappings of execve whose address is now known.
#[derive(Clone, Debug)]
pub(crate) enum Placed {
    Image(ElfFacts, u64),
    Kernel(Vec<KernelMapping>, u64),
}

impl Exec {
    /// Collects the facts of an execution; maps images with fixed addresses at once.
    pub(crate) fn begin(
        path: &[u8],
        lookup: &mut dyn Lookup,
        space: &mut RecordedSpace,
        gaps: &mut Gaps,
        origin: Origin,
    ) -> Exec {
        gaps.push(MissingFact::Stack);
        let kernel_rows = lookup.kernel_rows();
        gaps.push(MissingFact::Vdso);
        let Some(Program { image, interpreter }) = lookup.program(path) else {
            gaps.push(MissingFact::Image { path: path.to_vec() });
            return Exec::default();
        };
        let mut exec = Exec { kernel_rows, interpreter, ..Exec::default() };
        if let Some(interpreter) = &exec.interpreter {
            gaps.push(MissingFact::Base { path: interpreter.file.name.clone() });
        }
        if image.fixed {
            Placed::Image(image, 0).map(space, gaps, origin);
        } else {
            gaps.push(MissingFact::Base { path: image.file.name.clone() });
            exec.program = Some(image);
        }
        exec
    }

    /// Takes over the addresses that another one has recorded.
    pub(crate) fn with_seen(self, other: &Exec) -> Exec {
        Exec { start_brk: other.start_brk, first_end: other.first_end, ..self }
    }

    /// Drops the pending images, because a maps text showed all addresses.
    pub(crate) fn forget(&mut self) {
        (self.program, self.interpreter) = (None, None);
    }

    /// Whether a row of that name belongs to the program or its interpreter.
    pub(crate) fn names(&self, name: &[u8]) -> bool {
        let images = [&self.program, &self.interpreter];
        images.into_iter().flatten().any(|image| image.file.name == name)
    }

    /// Whether an image has no address yet.
    pub(crate) fn open(&self) -> bool {
        self.program.is_some() || self.interpreter.is_some()
    }

    /// Locates an image from an mprotect of memory that no logged call mapped: the dynamic linker
    /// makes RELRO read-only after relocation, and its place in the file is known.
    pub(crate) fn protected(
        &mut self,
        address: u64,
        length: u64,
        space: &AddressSpace,
    ) -> Vec<Placed> {
        let page = space.profile().page_size();
        let base = |image: &Option<ElfFacts>| {
            image.as_ref().and_then(|image| image.base_for(address, length, page, space))
        };
        let (program, interpreter) = (base(&self.program), base(&self.interpreter));
        // The heap lies slightly above the program, and far below all other mappings.
        let near = |base: u64| match (&self.program, self.start_brk) {
            (Some(image), Some(brk)) => {
                let end = image.extent(page).end.saturating_add(base);
                end <= brk && brk - end <= BREAK_DISTANCE
            }
            _ => false,
        };
        let mut placed = Vec::new();
        match (program, interpreter) {
            (Some(base), None) => placed.extend(self.place_program(base)),
            (None, Some(base)) => placed.extend(self.place_interpreter(base)),
            (Some(base), Some(_)) if near(base) => placed.extend(self.place_program(base)),
            (Some(_), Some(base)) if self.start_brk.is_some() => {
                placed.extend(self.place_interpreter(base));
            }
            _ => {}
        }
        let lowest = placed.iter().find_map(|placed| match placed {
            Placed::Image(image, base) if self.interpreter.is_none() && program != Some(*base) => {
                Some(base + image.extent(page).start)
            }
            _ => None,
        });
        placed.extend(lowest.and_then(|lowest| self.place_kernel_rows(lowest)));
        placed
    }

    fn place_program(&mut self, base: u64) -> Option<Placed> {
        self.program.take().map(|image| Placed::Image(image, base))
    }

    fn place_interpreter(&mut self, base: u64) -> Option<Placed> {
        self.interpreter.take().map(|image| Placed::Image(image, base))
    }

    /// The kernel places mappings downwards: the interpreter, its own mappings, then those of the
    /// program. If its own mappings fit exactly between the others, they are there.
    fn place_kernel_rows(&mut self, interpreter: u64) -> Option<Placed> {
        let rows = std::mem::take(&mut self.kernel_rows);
        let size: u64 = rows.iter().map(|row| row.size).sum();
        let start = self.first_end?;
        (size > 0 && start.checked_add(size) == Some(interpreter))
            .then_some(Placed::Kernel(rows, start))
    }
}

impl ElfFacts {
    /// The range from the first page to the end of the last, before the load bias.
    fn extent(&self, page: u64) -> Range<u64> {
        let floor = |address: u64| address & !(page - 1);
        let start = self.segments.iter().map(|segment| floor(segment.vaddr)).min().unwrap_or(0);
        let end =
            self.segments.iter().map(|s| s.vaddr.saturating_add(s.memory_size)).max().unwrap_or(0);
        start..end.checked_next_multiple_of(page).unwrap_or(u64::MAX)
    }

    /// The load bias if its RELRO range is the one made read-only, and the whole image fits into
    /// the free addresses there.
    fn base_for(&self, address: u64, length: u64, page: u64, space: &AddressSpace) -> Option<u64> {
        let relro = self.relro.as_ref()?;
        // Loaders round both ends down (_dl_protect_relro of glibc, reloc_all of musl).
        let (start, end) = (relro.start & !(page - 1), relro.end & !(page - 1));
        if end <= start || length.checked_next_multiple_of(page) != Some(end - start) {
            return None;
        }
        let base = address.checked_sub(start).filter(|base| base.is_multiple_of(page))?;
        let extent = self.extent(page);
        let from = base.checked_add(extent.start)?;
        let to = base.checked_add(extent.end).filter(|to| *to <= space.profile().task_size)?;
        let free = space.query(from, true).is_none_or(|next| next.range.start >= to);
        free.then_some(base)
    }
}

impl Placed {
    /// Maps the image as execve does (elf_load, fs/binfmt_elf.c).
    pub(crate) fn map(&self, space: &mut RecordedSpace, gaps: &mut Gaps, origin: Origin) {
        match self {
            Placed::Image(image, base) => {
                gaps.remove(&MissingFact::Base { path: image.file.name.clone() });
                if image.map(*base, space, origin).is_none() {
                    gaps.push(MissingFact::Image { path: image.file.name.clone() });
                }
            }
            Placed::Kernel(rows, start) => {
                gaps.remove(&MissingFact::Vdso);
                map_kernel_rows(rows, *start, space, origin);
            }
        }
    }
}

impl ElfFacts {
    fn map(&self, base: u64, space: &mut RecordedSpace, origin: Origin) -> Option<()> {
        let page = space.memory.profile().page_size();
        let FileFacts { name, device, inode } = &self.file;
        let file = File::new(name, *device, *inode).reopen(true, false);
        let aligned = |address: u64| address.checked_next_multiple_of(page);
        for segment in &self.segments {
            let start = base.checked_add(segment.vaddr)?;
            let inside = start & (page - 1);
            let file_end = start.checked_add(segment.file_size)?;
            let (from, upto) = (start - inside, aligned(file_end)?);
            if segment.file_size > 0 {
                let offset = segment.offset.checked_sub(inside)?;
                let request = Mmap::anonymous(upto - from, segment.prot).of_file(&file, offset);
                space.memory.mmap(&request.fixed(from)).ok()?;
                space.origins.set(AddressRange::new(from, upto), origin);
            }
            let end = aligned(start.checked_add(segment.memory_size)?)?;
            let bss = if segment.file_size > 0 { upto } else { from };
            if segment.memory_size > segment.file_size && bss < end {
                let exec = if segment.prot.contains(Prot::EXEC) { Prot::EXEC } else { Prot::NONE };
                let prot = Prot::READ | Prot::WRITE | exec;
                space.memory.mmap(&Mmap::anonymous(end - bss, prot).fixed(bss)).ok()?;
                space.origins.set(AddressRange::new(bss, end), origin);
            }
        }
        Some(())
    }
}

fn map_kernel_rows(rows: &[KernelMapping], start: u64, space: &mut RecordedSpace, origin: Origin) {
    let mut at = start;
    for row in rows {
        let Some(end) = at.checked_add(row.size).filter(|end| *end > at) else { return };
        let range = AddressRange::new(at, end);
        let mapping = Mapping {
            range,
            perms: row.perms,
            offset: 0,
            device: Device::default(),
            inode: 0,
            name: &row.name,
        };
        space.memory.observe(range, [mapping]);
        space.origins.set(range, origin);
        at = end;
    }
}
