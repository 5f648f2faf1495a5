//! The source line of an address, from DWARF.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    time::{Duration, Instant},
};

use gimli::{
    AttributeValue, DebugInfoOffset, DwarfSections, EndianSlice, LineRow, RunTimeEndian, SectionId,
    UnitRef,
};
use object::{
    CompressedData, CompressionFormat, Endianness, elf,
    read::elf::{CompressionHeader, FileHeader},
};

use super::{
    ElfError, ElfFile, Section, SectionType, SegmentFlags,
    header::{Class, Elf32, Elf64, table},
};

/// All sections together, uncompressed.
const DWARF_LIMIT: u64 = 1 << 30;
/// 512 MiB of them; a C++ browser has some ten million.
const RANGES_LIMIT: usize = 32 << 20;
/// Units can share what they refer to, so that their time is not bounded by the size of the
/// sections.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// A place in source text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceLocation {
    /// The file, as the compiler was given it, after the directory it ran in if that is known.
    pub file: PathBuf,
    /// The line, from 1; `None` for code that belongs to no line.
    pub line: Option<u64>,
}

impl ElfFile {
    /// The source line that the code at `vaddr` was made from, inlined or not: what `addr2line`
    /// says. From this file's DWARF (versions 2 to 5), else from its debug file's. `None` for data
    /// and where there is no DWARF about it.
    ///
    /// The first call reads the DWARF sections, which may take a second.
    ///
    /// # Errors
    ///
    /// Where the DWARF cannot be read, is damaged, is larger than 1 GiB, or takes longer than 10
    /// seconds.
    pub fn source_at(&self, vaddr: u64) -> Result<Option<SourceLocation>, ElfError> {
        // Code that the linker dropped has DWARF at address 0, where a shared object has its
        // headers.
        let segment = self.segment_at(vaddr);
        if !segment.is_some_and(|segment| segment.flags.contains(SegmentFlags::EXECUTE)) {
            return Ok(None);
        }
        let dwarf = self.dwarf.get_or_init(|| match Dwarf::load(self)? {
            Some(dwarf) => Ok(Some(dwarf)),
            None => self.debug_file().map_or(Ok(None), |debug| Dwarf::load(&debug.elf)),
        });
        match dwarf {
            Ok(Some(dwarf)) => dwarf.find(vaddr).map_err(damaged),
            Ok(None) => Ok(None),
            Err(error) => Err(error.clone()),
        }
    }

    /// The bytes of a DWARF section, decompressed; empty where there is none.
    fn dwarf_section(&self, name: &'static str, left: &mut u64) -> Result<Vec<u8>, ElfError> {
        let is_it = |s: &&Section| s.name == name && s.kind != SectionType::NOBITS;
        let Some(section) = self.sections().iter().find(is_it) else { return Ok(Vec::new()) };
        let bytes = self.input.read(name, section.offset, section.size, *left)?;
        let bytes = if section.has(elf::SHF_COMPRESSED) {
            match self.header.class {
                Class::Elf32 => decompress::<Elf32>(name, &bytes, self.header.endian, *left)?,
                Class::Elf64 => decompress::<Elf64>(name, &bytes, self.header.endian, *left)?,
            }
        } else {
            bytes
        };
        *left -= bytes.len() as u64;
        Ok(bytes)
    }
}

fn decompress<Elf: FileHeader<Endian = Endianness>>(
    name: &'static str,
    bytes: &[u8],
    endian: Endianness,
    limit: u64,
) -> Result<Vec<u8>, ElfError> {
    let Some((header, data)) = bytes.split_at_checked(size_of::<Elf::CompressionHeader>()) else {
        return Err(ElfError::malformed(name, "it ends in its compression header"));
    };
    let header = &table::<Elf::CompressionHeader>(header)[0];
    let format = match header.ch_type(endian) {
        elf::ELFCOMPRESS_ZLIB => CompressionFormat::Zlib,
        elf::ELFCOMPRESS_ZSTD => CompressionFormat::Zstandard,
        _ => CompressionFormat::Unknown,
    };
    let size = header.ch_size(endian).into();
    if size > limit {
        return Err(ElfError::TooLarge { place: name.into(), size, limit });
    }
    CompressedData { format, data, uncompressed_size: size }
        .decompress()
        .map(|bytes| bytes.into_owned())
        .map_err(|error| ElfError::malformed(name, error.to_string()))
}

/// The sections that lines are made of, and which unit has which addresses.
pub(super) struct Dwarf {
    sections: DwarfSections<Vec<u8>>,
    endian: RunTimeEndian,
    /// Sorted by their start.
    ranges: Vec<UnitRange>,
}

struct UnitRange {
    start: u64,
    end: u64,
    unit: DebugInfoOffset,
}

type Slice<'a> = EndianSlice<'a, RunTimeEndian>;

impl Dwarf {
    fn load(elf: &ElfFile) -> Result<Option<Self>, ElfError> {
        let mut left = DWARF_LIMIT;
        let sections = DwarfSections::load(|id| match id {
            SectionId::DebugAbbrev
            | SectionId::DebugAddr
            | SectionId::DebugInfo
            | SectionId::DebugLine
            | SectionId::DebugLineStr
            | SectionId::DebugRanges
            | SectionId::DebugRngLists
            | SectionId::DebugStr
            | SectionId::DebugStrOffsets => elf.dwarf_section(id.name(), &mut left),
            _ => Ok(Vec::new()),
        })?;
        if left == DWARF_LIMIT {
            return Ok(None);
        }
        let endian = match elf.header.endian {
            Endianness::Little => RunTimeEndian::Little,
            Endianness::Big => RunTimeEndian::Big,
        };
        let mut dwarf = Dwarf { sections, endian, ranges: Vec::new() };
        dwarf.ranges = dwarf.unit_ranges()?;
        Ok(Some(dwarf))
    }

    fn borrow(&self) -> gimli::Dwarf<Slice<'_>> {
        self.sections.borrow(|section| EndianSlice::new(section, self.endian))
    }

    fn unit_ranges(&self) -> Result<Vec<UnitRange>, ElfError> {
        let started = Instant::now();
        let dwarf = self.borrow();
        let mut found = Vec::new();
        let mut units = dwarf.units();
        while let Some(header) = units.next().map_err(damaged)? {
            if started.elapsed() > TIME_LIMIT || found.len() > RANGES_LIMIT {
                return Err(ElfError::malformed(
                    ".debug_info",
                    "it takes more than 10 seconds or has more than 33554432 ranges",
                ));
            }
            let Some(unit) = header.debug_info_offset() else { continue };
            // A unit that is damaged does not lose the others.
            let _ = dwarf.unit(header).and_then(|parsed| {
                let mut ranges = dwarf.unit_ranges(&parsed)?;
                while let Some(range) = ranges.next()? {
                    if range.begin < range.end && found.len() <= RANGES_LIMIT {
                        found.push(UnitRange { start: range.begin, end: range.end, unit });
                    }
                }
                Ok(())
            });
        }
        found.sort_by_key(|range| range.start);
        Ok(found)
    }

    fn find(&self, vaddr: u64) -> gimli::Result<Option<SourceLocation>> {
        let before = self.ranges.partition_point(|range| range.start <= vaddr);
        let Some(range) = before.checked_sub(1).map(|last| &self.ranges[last]) else {
            return Ok(None);
        };
        if vaddr >= range.end {
            return Ok(None);
        }
        let dwarf = self.borrow();
        let unit = dwarf.unit(dwarf.unit_header(range.unit)?)?;
        let Some(program) = unit.line_program.clone() else { return Ok(None) };
        // The row that begins last of those at or before the address and is followed, in its
        // sequence, by one after it.
        let mut rows = program.rows();
        let mut found: Option<LineRow> = None;
        let mut previous: Option<LineRow> = None;
        while let Some((_, row)) = rows.next_row()? {
            if let Some(previous) = previous
                && previous.address() <= vaddr
                && vaddr < row.address()
                && found.is_none_or(|found| found.address() < previous.address())
            {
                found = Some(previous);
            }
            previous = (!row.end_sequence()).then_some(*row);
        }
        let Some(row) = found else { return Ok(None) };
        let Some(file) = file_name(unit.unit_ref(&dwarf), rows.header(), &row)? else {
            return Ok(None);
        };
        Ok(Some(SourceLocation { file, line: row.line().map(Into::into) }))
    }
}

/// Directory of the compilation, directory of the file, name of the file: each of the latter two
/// may be absolute.
fn file_name<'a>(
    unit: UnitRef<'_, Slice<'a>>,
    header: &gimli::LineProgramHeader<Slice<'a>>,
    row: &LineRow,
) -> gimli::Result<Option<PathBuf>> {
    let Some(file) = row.file(header) else { return Ok(None) };
    let text = |value: AttributeValue<Slice<'a>>| -> gimli::Result<PathBuf> {
        Ok(OsStr::from_bytes(unit.attr_string(value)?.slice()).into())
    };
    let mut path =
        unit.comp_dir.map_or_else(PathBuf::new, |dir| OsStr::from_bytes(dir.slice()).into());
    if let Some(directory) = file.directory(header) {
        path.push(text(directory)?);
    }
    path.push(text(file.path_name())?);
    Ok(Some(path))
}

fn damaged(error: gimli::Error) -> ElfError {
    ElfError::malformed("DWARF", error.to_string())
}
