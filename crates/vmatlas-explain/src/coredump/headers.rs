//! The ELF header and the program headers.

use super::error::{CoreError, CoreErrorKind};
use super::layout::Layout;
use super::window::Window;
use crate::crash::Machine;
use object::read::elf::{FileHeader, ProgramHeader as _, SectionHeader as _};
use object::{Endianness, elf, pod};
use vmatlas_maps::AddressRange;
use vmatlas_object::ReadAt;

type Elf32 = elf::FileHeader32<Endianness>;
type Elf64 = elf::FileHeader64<Endianness>;

/// Maximum number of program headers to read. `vm.max_map_count` is 65,530 by default, and a few
/// programs require a million.
const MAX_SEGMENTS: u64 = 1 << 22;
/// Maximum number of `PT_NOTE` segments. A kernel writes one.
const MAX_NOTES: usize = 64;

/// A segment of memory (`PT_LOAD`), usually one mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) range: AddressRange,
    /// Offset of its contents in the file, in bytes.
    pub(super) offset: u64,
    /// Number of bytes that the file should contain (`p_filesz`).
    pub(super) file_size: u64,
    pub(super) flags: u32,
}

impl Segment {
    pub(super) const READ: u32 = elf::PF_R.0;
    pub(super) const WRITE: u32 = elf::PF_W.0;
    pub(super) const EXECUTE: u32 = elf::PF_X.0;
}

/// The contents of the headers.
#[derive(Debug)]
pub(super) struct Headers {
    pub(super) layout: Layout,
    pub(super) machine: Machine,
    /// Sorted by address, without overlaps.
    pub(super) segments: Vec<Segment>,
    /// Offset and size of each `PT_NOTE` segment in the file, in bytes.
    pub(super) notes: Vec<(u64, u64)>,
    pub(super) warnings: Vec<String>,
}

pub(super) const PLACE: &str = "ELF header";

pub(super) fn read<S: ReadAt + ?Sized>(source: &S) -> Result<Headers, CoreError> {
    let mut start = [0; size_of::<Elf64>()];
    let error = |offset, kind| CoreError { place: PLACE, offset, kind };
    let (count, result) = source.read_full_at(0, &mut start);
    result.map_err(|why| error(count as u64, CoreErrorKind::Read((&why).into())))?;
    let start = start.get(..count).unwrap_or_default();
    if !start.starts_with(&elf::ELFMAG) {
        return Err(error(0, CoreErrorKind::NotElf));
    }
    let byte = |at: usize| {
        let byte = start.get(at).copied();
        byte.ok_or_else(|| error(count as u64, CoreErrorKind::Truncated))
    };
    let (class, order) = (byte(4)?, byte(5)?);
    let big_endian = match elf::DataEncoding(order) {
        elf::ELFDATA2LSB => false,
        elf::ELFDATA2MSB => true,
        _ => return Err(error(5, CoreErrorKind::ByteOrder(order))),
    };
    match elf::FileClass(class) {
        elf::ELFCLASS32 => parse::<S, Elf32>(source, start, Layout { big_endian, word: 4 }),
        elf::ELFCLASS64 => parse::<S, Elf64>(source, start, Layout { big_endian, word: 8 }),
        _ => Err(error(4, CoreErrorKind::Class(class))),
    }
}

fn parse<S: ReadAt + ?Sized, Elf: FileHeader<Endian = Endianness>>(
    source: &S,
    start: &[u8],
    layout: Layout,
) -> Result<Headers, CoreError> {
    let error = |offset, kind| CoreError { place: PLACE, offset, kind };
    let Ok((header, _)) = pod::from_bytes::<Elf>(start) else {
        return Err(error(start.len() as u64, CoreErrorKind::Truncated));
    };
    let endian = if layout.big_endian { Endianness::Big } else { Endianness::Little };
    if header.e_type(endian) != elf::ET_CORE {
        return Err(error(16, CoreErrorKind::NotCore(header.e_type(endian).0)));
    }
    let mut headers = Headers {
        layout,
        machine: machine(header.e_machine(endian).0, layout),
        segments: Vec::new(),
        notes: Vec::new(),
        warnings: Vec::new(),
    };
    let (table, count) = (header.e_phoff(endian).into(), header.e_phnum(endian));
    if table == 0 || count == 0 {
        return Err(error(start.len() as u64, CoreErrorKind::NoSegments));
    }
    let size = size_of::<Elf::ProgramHeader>();
    let entry_size = header.e_phentsize(endian);
    if usize::from(entry_size) != size {
        let kind = CoreErrorKind::EntrySize(entry_size);
        return Err(CoreError { place: "program header table", offset: table, kind });
    }
    let count = match count {
        elf::PN_XNUM => extended_count::<S, Elf>(source, header, endian, &mut headers.warnings),
        count => Some(u64::from(count)),
    };
    let mut window = Window::new(source);
    let mut left_out = LeftOut::default();
    // The end of the table; without a count it follows from the offset of the first note.
    let mut until = count.unwrap_or(MAX_SEGMENTS);
    let mut index = 0;
    while index < until.min(MAX_SEGMENTS) {
        let offset = table.saturating_add(index.saturating_mul(size as u64));
        let Ok((entry, _)) = pod::from_bytes::<Elf::ProgramHeader>(window.get(offset, size)) else {
            break;
        };
        let file_offset: u64 = entry.p_offset(endian).into();
        let file_size: u64 = entry.p_filesz(endian).into();
        match entry.p_type(endian) {
            elf::PT_NOTE if headers.notes.len() < MAX_NOTES => {
                headers.notes.push((file_offset, file_size));
                if count.is_none() && file_offset > table {
                    until = until.min((file_offset - table) / size as u64);
                }
            }
            elf::PT_LOAD => {
                let start: u64 = entry.p_vaddr(endian).into();
                let length: u64 = entry.p_memsz(endian).into();
                match start.checked_add(length).filter(|&end| end > start) {
                    Some(end) => headers.segments.push(Segment {
                        range: AddressRange::new(start, end),
                        offset: file_offset,
                        // File bytes beyond the size in memory belong to no memory.
                        file_size: file_size.min(length),
                        flags: entry.p_flags(endian).0,
                    }),
                    None => left_out.no_range(index, start, length),
                }
            }
            _ => {}
        }
        index += 1;
    }
    if index == MAX_SEGMENTS && until > MAX_SEGMENTS {
        headers.warnings.push(format!(
            "it says it has {until} program headers: only the first {MAX_SEGMENTS} were read"
        ));
    } else if index < until {
        headers.warnings.push(match window.error() {
            Some(error) => {
                format!("its program headers cannot be read, {error}: {index} of {until} are there")
            }
            None => format!("the file ends in its program headers: {index} of {until} are there"),
        });
    }
    left_out.sort(&mut headers.segments);
    headers.warnings.extend(left_out.warnings());
    Ok(headers)
}

/// The number of program headers if it does not fit into the ELF header. The kernel then writes it
/// into a section header at the end of the file (`fill_extnum_info` in fs/binfmt_elf.c).
fn extended_count<S: ReadAt + ?Sized, Elf: FileHeader<Endian = Endianness>>(
    source: &S,
    header: &Elf,
    endian: Endianness,
    warnings: &mut Vec<String>,
) -> Option<u64> {
    let offset: u64 = header.e_shoff(endian).into();
    let mut window = Window::new(source);
    let bytes = window.get(offset, size_of::<Elf::SectionHeader>());
    let count = match pod::from_bytes::<Elf::SectionHeader>(bytes) {
        Ok((section, _)) if offset != 0 => u64::from(section.sh_info(endian)),
        _ => 0,
    };
    if count < u64::from(elf::PN_XNUM) {
        let why =
            window.error().map_or("is missing".to_owned(), |why| format!("cannot be read ({why})"));
        warnings.push(format!(
            "the section header at byte {offset:#x}, which contains the number of program \
             headers, {why}: only the program headers before the notes were read"
        ));
        return None;
    }
    Some(count)
}

/// The program headers that were rejected as segments of memory.
#[derive(Default)]
struct LeftOut {
    no_range: u64,
    first_no_range: Option<(u64, u64, u64)>,
    overlaps: u64,
    first_overlap: Option<(AddressRange, AddressRange)>,
}

impl LeftOut {
    fn no_range(&mut self, index: u64, start: u64, length: u64) {
        self.no_range += 1;
        self.first_no_range.get_or_insert((index, start, length));
    }

    /// Sorts segments by address and removes those that overlap an earlier one.
    fn sort(&mut self, segments: &mut Vec<Segment>) {
        segments.sort_by_key(|segment| segment.range.start);
        let mut last = AddressRange::new(0, 0);
        segments.retain(|segment| {
            let keep = segment.range.start >= last.end;
            if keep {
                last = segment.range;
            } else {
                self.overlaps += 1;
                self.first_overlap.get_or_insert((segment.range, last));
            }
            keep
        });
    }

    fn warnings(self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some((index, start, length)) = self.first_no_range {
            warnings.push(format!(
                "{} segments cover no addresses and are left out; the first is program header \
                 {index}, {length:#x} bytes at {start:#x}",
                self.no_range
            ));
        }
        if let Some((segment, before)) = self.first_overlap {
            warnings.push(format!(
                "{} segments overlap others and are left out; the first is {segment}, which \
                 overlaps {before}",
                self.overlaps
            ));
        }
        warnings
    }
}

/// The machine for its number (`e_machine`) and word size.
fn machine(number: u16, layout: Layout) -> Machine {
    match (elf::Machine(number), layout.word) {
        (elf::EM_X86_64, _) => Machine::X86_64,
        (elf::EM_386, 4) => Machine::X86,
        (elf::EM_AARCH64, 8) => Machine::AArch64,
        (elf::EM_ARM, 4) => Machine::Arm,
        (elf::EM_PPC64, 8) => Machine::PowerPc64,
        (elf::EM_S390, 8) => Machine::S390x,
        (elf::EM_RISCV, 8) => Machine::RiscV64,
        (elf::Machine(number), _) => Machine::Other(number),
    }
}
