//! The unwind data of an ELF file.

use super::arch;
use super::table::{Context, Header, Row, Table};
use crate::Source;
use crate::elf::{ElfFile, Section, SectionType, Segment, SegmentFlags, SegmentType, Vaddr};
use gimli::BaseAddresses;
use std::ops::Range;

/// Larger tables are not read. The largest browsers have 60 MB.
const MAX_TABLE: u64 = 256 << 20;
/// More executable segments than any linker makes.
const MAX_SEGMENTS: usize = 64;
/// `PT_GNU_EH_FRAME`.
const EH_FRAME_SEGMENT: SegmentType = SegmentType(0x6474_e550);
/// Bytes after the entry point that count as the first function: `_start` has a few instructions,
/// and no table in ld.so.
const START: u64 = 64;

/// The unwind data of an ELF file: its tables, addressed by file offset.
#[derive(Debug)]
pub(super) struct Image {
    code: Vec<Code>,
    entry: Vaddr,
    eh_frame: Option<Table>,
    debug_frame: Option<Table>,
}

/// An executable segment.
#[derive(Debug)]
struct Code {
    file: Range<u64>,
    vaddr: u64,
}

impl Image {
    /// Reads an ELF file of this machine; `None` for other input or a file without code.
    pub(super) fn read(source: Source) -> Option<Image> {
        let elf = ElfFile::read(source).ok()??;
        if elf.word_size() != 64 || elf.is_big_endian() || elf.machine().0 != arch::MACHINE {
            return None;
        }
        // Segments without code are skipped: linkers let the last page of one segment and the first
        // page of the next be the same page of the file.
        let code: Vec<Code> = loads(&elf)
            .filter(|load| load.flags.contains(SegmentFlags::EXECUTE))
            .map(|load| Code { file: load.file_range(), vaddr: load.vaddr })
            .take(MAX_SEGMENTS)
            .collect();
        if code.is_empty() {
            return None;
        }
        let mut bases = BaseAddresses::default();
        if let Some(text) = section(&elf, ".text") {
            bases = bases.set_text(text.addr);
        }
        if let Some(got) = section(&elf, ".got") {
            bases = bases.set_got(got.addr);
        }
        let eh_frame = eh_frame(&elf, &bases);
        let debug_frame = debug_frame(&elf, &bases);
        Some(Image { code, entry: elf.entry(), eh_frame, debug_frame })
    }

    /// Approximate size in memory, in bytes.
    pub(super) fn size(&self) -> usize {
        let tables = [&self.eh_frame, &self.debug_frame].into_iter().flatten();
        size_of::<Image>() + tables.map(Table::size).sum::<usize>()
    }

    /// The vaddr of the code at this file offset.
    pub(super) fn vaddr(&self, offset: u64) -> Option<Vaddr> {
        let in_pages = |code: &&Code| {
            let end = code.file.end.checked_next_multiple_of(4096).unwrap_or(u64::MAX);
            (code.file.start & !4095..end).contains(&offset)
        };
        let exact = self.code.iter().find(|code| code.file.contains(&offset));
        let code = exact.or_else(|| self.code.iter().find(in_pages))?;
        Some(Vaddr::new(offset.wrapping_sub(code.file.start).wrapping_add(code.vaddr)))
    }

    /// Whether the address is in the program's first function, which has no caller.
    pub(super) fn is_start(&self, vaddr: Vaddr) -> bool {
        let entry = self.entry.get();
        entry != 0 && vaddr.get().checked_sub(entry).is_some_and(|distance| distance < START)
    }

    /// Calls `then` with the row for this vaddr, if there is one.
    pub(super) fn row<T>(
        &self,
        vaddr: Vaddr,
        context: &mut Context,
        then: impl FnOnce(Row<'_>) -> T,
    ) -> Option<T> {
        let vaddr = vaddr.get();
        // The closure can be called only once, so the table that has a row is determined first.
        let has =
            |table: &&Table, context: &mut Context| table.row(vaddr, context, |_| ()).is_some();
        let tables = [&self.eh_frame, &self.debug_frame];
        let mut tables = tables.into_iter().flatten();
        match (tables.next(), tables.next()) {
            (Some(first), Some(second)) if !has(&first, context) => {
                second.row(vaddr, context, then)
            }
            (Some(first), _) => first.row(vaddr, context, then),
            (None, _) => None,
        }
    }
}

fn loads(elf: &ElfFile) -> impl Iterator<Item = &Segment> {
    elf.segments().iter().filter(|s| s.kind == SegmentType::LOAD && s.filesz > 0)
}

fn section<'a>(elf: &'a ElfFile, name: &str) -> Option<&'a Section> {
    elf.sections().iter().find(|s| s.name == name && s.kind != SectionType::NOBITS)
}

/// Finds the table as the program's own exception handling does: by the segment of `.eh_frame_hdr`.
/// This needs no section headers, and ignores tables that a tool such as BOLT left behind under a
/// similar name.
fn eh_frame(elf: &ElfFile, bases: &BaseAddresses) -> Option<Table> {
    let by_segment = || {
        let segment = elf.segments().iter().find(|s| s.kind == EH_FRAME_SEGMENT)?;
        let bytes = elf.bytes(segment.offset, segment.filesz, MAX_TABLE).ok()?;
        let header = Header::parse(&bytes, segment.vaddr)?;
        let range = eh_frame_at(elf, header.frames)?;
        let frames = elf.bytes(range.start, range.end - range.start, MAX_TABLE).ok()?;
        let bases = bases.clone().set_eh_frame_hdr(segment.vaddr);
        Table::eh_frame(frames, header.frames, Some((header, bytes)), bases)
    };
    let by_section = || {
        let section = section(elf, ".eh_frame")?;
        let frames = elf.bytes(section.offset, section.size, MAX_TABLE).ok()?;
        Table::eh_frame(frames, section.addr, None, bases.clone())
    };
    by_segment().or_else(by_section)
}

/// The file range of the `.eh_frame` at this vaddr: to the end of its section, or of its segment if
/// section headers are stripped.
fn eh_frame_at(elf: &ElfFile, vaddr: u64) -> Option<Range<u64>> {
    let load = loads(elf).find(|load| {
        vaddr.checked_sub(load.vaddr).is_some_and(|distance| distance < load.filesz)
    })?;
    let start = load.offset.checked_add(vaddr - load.vaddr)?;
    let section = elf.sections().iter().find(|s| s.is_mapped() && s.addr == vaddr && s.size > 0);
    let end = section.map_or(load.file_range().end, |s| start.saturating_add(s.size));
    Some(start..end.min(start.saturating_add(MAX_TABLE)))
}

/// Reads `.debug_frame`, which code without `.eh_frame` may have for debuggers.
fn debug_frame(elf: &ElfFile, bases: &BaseAddresses) -> Option<Table> {
    let section = section(elf, ".debug_frame")?;
    /// `SHF_COMPRESSED`: not read, because the code that compresses it (Go's) keeps frame pointers.
    const COMPRESSED: u64 = 1 << 11;
    if section.flags & COMPRESSED != 0 {
        return None;
    }
    let bytes = elf.bytes(section.offset, section.size, MAX_TABLE).ok()?;
    Table::debug_frame(bytes, bases.clone())
}
