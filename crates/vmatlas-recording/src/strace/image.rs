//! Programs: what execve(2) maps, and where, which a log tells only afterwards.

use super::told::{Gaps, Untold};
use crate::{Origin, RecordedSpace};
use std::ops::Range;
use vmatlas_maps::{AddressRange, Device, Mapping, Perms};
use vmatlas_space::{AddressSpace, File, LoadSegment, Mmap, Prot};

/// What a second source, such as the file system, says of the files of a log.
///
/// The log tells neither where symbolic links lead, nor (but for `-v`) device and inode, nor what
/// is in a program. `()` knows nothing.
pub trait Lookup {
    /// A file by the absolute path that opened it.
    fn file(&mut self, path: &[u8]) -> Option<FileFacts> {
        let _ = path;
        None
    }

    /// The program that executing `path` loads: of a script its interpreter.
    fn program(&mut self, path: &[u8]) -> Option<Program> {
        let _ = path;
        None
    }

    /// The rows that the kernel maps for itself, `[vvar]` up to `[vdso]`, from the lowest on; each
    /// with its length in bytes. The same for all 64-bit processes of a kernel.
    fn kernel_rows(&mut self) -> Vec<KernelMapping> {
        Vec::new()
    }
}

impl Lookup for () {}

/// What rows show of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// The name, with all symbolic links followed.
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

/// An ELF file as far as the kernel looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElfFacts {
    /// The file.
    pub file: FileFacts,
    /// Whether it goes to fixed addresses (`ET_EXEC`).
    pub fixed: bool,
    /// The LOAD segments in the order of the file.
    pub segments: Vec<LoadSegment>,
    /// `PT_GNU_RELRO`: what is made read-only after relocation.
    pub relro: Option<Range<u64>>,
}

/// A row that the kernel maps for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelMapping {
    /// Its name, such as `[vdso]`.
    pub name: Vec<u8>,
    /// Its permissions.
    pub perms: Perms,
    /// Its length, in bytes.
    pub size: u64,
}

/// How far the program break may lie above the end of a program (x86-64: 1 GiB since 6.9, before
/// 32 MiB).
const BREAK_DISTANCE: u64 = 1 << 31;

/// What execve mapped, as long as it is not known where.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exec {
    program: Option<ElfFacts>,
    interpreter: Option<ElfFacts>,
    kernel_rows: Vec<KernelMapping>,
    /// The program break, when it was first told.
    pub(crate) start_brk: Option<u64>,
    /// The end of the first mapping for which the kernel chose the place.
    pub(crate) first_end: Option<u64>,
}

/// Something whose place has become known.
#[derive(Clone, Debug)]
pub(crate) enum Placed {
    Image(ElfFacts, u64),
    Kernel(Vec<KernelMapping>, u64),
}

impl Exec {
    /// What is known of an execution; what is at fixed addresses is mapped at once.
    pub(crate) fn begin(
        path: &[u8],
        lookup: &mut dyn Lookup,
        space: &mut RecordedSpace,
        gaps: &mut Gaps,
        origin: Origin,
    ) -> Exec {
        gaps.push(Untold::Stack);
        let kernel_rows = lookup.kernel_rows();
        gaps.push(Untold::Vdso);
        let Some(Program { image, interpreter }) = lookup.program(path) else {
            gaps.push(Untold::Image { path: path.to_vec() });
            return Exec::default();
        };
        let mut exec = Exec { kernel_rows, interpreter, ..Exec::default() };
        if let Some(interpreter) = &exec.interpreter {
            gaps.push(Untold::Base { path: interpreter.file.name.clone() });
        }
        if image.fixed {
            Placed::Image(image, 0).map(space, gaps, origin);
        } else {
            gaps.push(Untold::Base { path: image.file.name.clone() });
            exec.program = Some(image);
        }
        exec
    }

    /// The same with what another one has seen.
    pub(crate) fn with_seen(self, other: &Exec) -> Exec {
        Exec { start_brk: other.start_brk, first_end: other.first_end, ..self }
    }

    /// Where everything is has become known otherwise.
    pub(crate) fn forget(&mut self) {
        (self.program, self.interpreter) = (None, None);
    }

    /// Whether a row of that name is of what was executed.
    pub(crate) fn names(&self, name: &[u8]) -> bool {
        let images = [&self.program, &self.interpreter];
        images.into_iter().flatten().any(|image| image.file.name == name)
    }

    /// Whether something has no place yet.
    pub(crate) fn open(&self) -> bool {
        self.program.is_some() || self.interpreter.is_some()
    }

    /// Memory that the log did not show to be mapped is made read-only: the dynamic linker does
    /// so after relocation, with a part whose place in the file is known.
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
        // The heap lies a little above the program, and far below all else.
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

    /// The kernel fills the addresses downwards: the interpreter, its own rows, then what the
    /// program asks for. If what is left between fits its own rows, they are there.
    fn place_kernel_rows(&mut self, interpreter: u64) -> Option<Placed> {
        let rows = std::mem::take(&mut self.kernel_rows);
        let size: u64 = rows.iter().map(|row| row.size).sum();
        let start = self.first_end?;
        (size > 0 && start.checked_add(size) == Some(interpreter))
            .then_some(Placed::Kernel(rows, start))
    }
}

impl ElfFacts {
    /// From the first page to the end of the last, before the load bias.
    fn extent(&self, page: u64) -> Range<u64> {
        let floor = |address: u64| address & !(page - 1);
        let start = self.segments.iter().map(|segment| floor(segment.vaddr)).min().unwrap_or(0);
        let end =
            self.segments.iter().map(|s| s.vaddr.saturating_add(s.memory_size)).max().unwrap_or(0);
        start..end.checked_next_multiple_of(page).unwrap_or(u64::MAX)
    }

    /// Where it was loaded if its RELRO part is what was made read-only, and all of it fits
    /// into what is free there.
    fn base_for(&self, address: u64, length: u64, page: u64, space: &AddressSpace) -> Option<u64> {
        let relro = self.relro.as_ref()?;
        // Both ends are rounded down (_dl_protect_relro of glibc, reloc_all of musl).
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
    /// Maps it as execve does (elf_load, fs/binfmt_elf.c).
    pub(crate) fn map(&self, space: &mut RecordedSpace, gaps: &mut Gaps, origin: Origin) {
        match self {
            Placed::Image(image, base) => {
                gaps.remove(&Untold::Base { path: image.file.name.clone() });
                if image.map(*base, space, origin).is_none() {
                    gaps.push(Untold::Image { path: image.file.name.clone() });
                }
            }
            Placed::Kernel(rows, start) => {
                gaps.remove(&Untold::Vdso);
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
                let request = Mmap::file(from, upto - from, segment.prot, &file, offset).fixed();
                space.memory.mmap(&request).ok()?;
                space.origins.set(AddressRange::new(from, upto), origin);
            }
            let end = aligned(start.checked_add(segment.memory_size)?)?;
            let bss = if segment.file_size > 0 { upto } else { from };
            if segment.memory_size > segment.file_size && bss < end {
                let exec = if segment.prot.contains(Prot::EXEC) { Prot::EXEC } else { Prot::NONE };
                let prot = Prot::READ | Prot::WRITE | exec;
                space.memory.mmap(&Mmap::anonymous(bss, end - bss, prot).fixed()).ok()?;
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
