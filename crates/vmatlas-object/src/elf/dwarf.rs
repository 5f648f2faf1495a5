//! Functions, inlined functions and source lines at an address, from DWARF.

use std::{path::PathBuf, sync::Arc};

use addr2line::{Context, Location};
use gimli::SectionId;

use super::{
    ElfError, ElfFile, SegmentFlags, Vaddr,
    dwarf_sections::{Leases, Reader},
    guard::{Guard, damaged},
    split::Split,
};

/// No compiler nests inlined functions this deep.
const MAX_FRAMES: usize = 1000;

/// A place in source text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceLocation {
    /// The file as the compiler received it, after the compilation directory if that is known.
    pub file: PathBuf,
    /// The line, from 1; `None` if the code belongs to no line.
    pub line: Option<u64>,
}

/// A function that contains an address, from DWARF or from Go's table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodeFrame {
    /// The linkage name, otherwise the source name; not demangled, see
    /// [`demangle`](super::demangle()). `None` if the unit has lines and no functions.
    pub name: Option<Vec<u8>>,
    /// The start vaddr, from Go's table only; a DWARF function may have several ranges.
    pub vaddr: Option<u64>,
    /// The source line: for the innermost function that of the address, for outer functions that of
    /// the inlined call.
    pub source: Option<SourceLocation>,
}

impl ElfFile {
    /// The source line of the code at `vaddr`, as `addr2line` reports it, from this file's DWARF
    /// (versions 2 to 5), otherwise from its debug file's. `None` for data and for code without
    /// DWARF.
    ///
    /// The first call reads the DWARF sections, which may take a second.
    ///
    /// # Errors
    ///
    /// If the DWARF cannot be read, is damaged, exceeds 1 GiB, takes more than 10 seconds to
    /// process, or nests deeper than compilers do.
    pub fn source_at(&self, vaddr: Vaddr) -> Result<Option<SourceLocation>, ElfError> {
        let Some(dwarf) = self.dwarf_about(vaddr)? else { return Ok(None) };
        Ok(dwarf.context.find_location(vaddr.get()).map_err(damaged)?.and_then(source_location))
    }

    /// The functions that contain the code at `vaddr`, innermost first: the inlined functions, and
    /// last the function that contains the code, as `addr2line -i -f` shows them. Empty for code
    /// without DWARF. Split DWARF is read from the package `PATH.dwp` (if
    /// [`with_path`](ElfFile::with_path) received a path), otherwise from the `.dwo` files at the
    /// paths that the compiler recorded.
    ///
    /// # Errors
    ///
    /// The same as [`source_at`](ElfFile::source_at).
    pub fn frames_at(&self, vaddr: Vaddr) -> Result<Vec<CodeFrame>, ElfError> {
        let Some(dwarf) = self.dwarf_about(vaddr)? else { return Ok(Vec::new()) };
        let mut result = dwarf.context.find_frames(vaddr.get());
        let mut frames = loop {
            match result {
                addr2line::LookupResult::Output(frames) => break frames.map_err(damaged)?,
                addr2line::LookupResult::Load { load, continuation } => {
                    use addr2line::LookupContinuation as _;
                    result = continuation.resume(dwarf.split.load(
                        self,
                        &dwarf.leases,
                        &dwarf.guard,
                        &load,
                    ));
                }
            }
        };
        let mut found = Vec::new();
        while let Some(frame) = frames.next().map_err(damaged)? {
            let name = frame.function.map(|function| function.name.to_vec());
            let source = frame.location.and_then(source_location);
            found.push(CodeFrame { name, vaddr: None, source });
            if found.len() == MAX_FRAMES {
                break;
            }
        }
        Ok(found)
    }

    /// Whether this file or its debug file has DWARF; reads the sections.
    pub fn has_dwarf(&self) -> bool {
        matches!(self.dwarf(), Ok(Some(_)))
    }

    fn dwarf(&self) -> &Result<Option<Dwarf>, ElfError> {
        self.dwarf.get_or_init(|| match Dwarf::load(self, self)? {
            Some(dwarf) => Ok(Some(dwarf)),
            None => self.debug_file().map_or(Ok(None), |debug| Dwarf::load(&debug.elf, self)),
        })
    }

    fn dwarf_about(&self, vaddr: Vaddr) -> Result<Option<&Dwarf>, ElfError> {
        // Code that the linker dropped has DWARF at address 0, where a shared object has its
        // headers.
        let segment = self.segment_at(vaddr);
        if !segment.is_some_and(|segment| segment.flags.contains(SegmentFlags::EXECUTE)) {
            return Ok(None);
        }
        let dwarf = self.dwarf().as_ref().map_err(Clone::clone)?.as_ref();
        if let Some(dwarf) = dwarf {
            dwarf.guard.check(&dwarf.dwarf, vaddr.get())?;
        }
        Ok(dwarf)
    }
}

/// The DWARF of a file and its parsed parts.
pub(super) struct Dwarf {
    context: Context<Reader>,
    /// The sections that `context` reads.
    dwarf: Arc<gimli::Dwarf<Reader>>,
    guard: Guard,
    split: Split,
    pub(super) leases: Leases,
}

impl Dwarf {
    /// Loads the DWARF of `elf`, which is `main` or its debug file.
    fn load(elf: &ElfFile, main: &ElfFile) -> Result<Option<Self>, ElfError> {
        let leases = Leases::default();
        let mut dwarf = sections(elf, &leases)?;
        if leases.borrow().iter().all(|lease| lease.bytes() == 0) {
            return Ok(None);
        }
        if let Some(alternate) = main.alternate_of(elf) {
            dwarf.set_sup(sections(&alternate, &leases)?);
        }
        dwarf.populate_abbreviations_cache(gimli::AbbreviationsCacheStrategy::Duplicates);
        let guard = Guard::new(&dwarf)?;
        let dwarf = Arc::new(dwarf);
        let context = Context::from_arc_dwarf(Arc::clone(&dwarf)).map_err(damaged)?;
        Ok(Some(Dwarf { context, dwarf, guard, split: Split::default(), leases }))
    }
}

fn sections(elf: &ElfFile, leases: &Leases) -> Result<gimli::Dwarf<Reader>, ElfError> {
    gimli::Dwarf::load(|id| match id {
        SectionId::DebugAbbrev
        | SectionId::DebugAddr
        | SectionId::DebugInfo
        | SectionId::DebugLine
        | SectionId::DebugLineStr
        | SectionId::DebugRanges
        | SectionId::DebugRngLists
        | SectionId::DebugStr
        | SectionId::DebugStrOffsets => elf.dwarf_section(id.name(), leases),
        _ => elf.dwarf_section("", leases), // the null section: empty
    })
}

fn source_location(location: Location<'_>) -> Option<SourceLocation> {
    Some(SourceLocation { file: location.file?.into(), line: location.line.map(Into::into) })
}
