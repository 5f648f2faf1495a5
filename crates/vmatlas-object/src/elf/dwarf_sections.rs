//! Reads DWARF sections.

use std::{cell::RefCell, sync::Arc};

use gimli::{EndianArcSlice, RunTimeEndian};
use object::{
    CompressedData, CompressionFormat, Endianness, elf,
    read::elf::{CompressionHeader, FileHeader},
};

use super::{
    ElfError, ElfFile, Section, SectionType,
    header::{Class, Elf32, Elf64, table},
};
use crate::Lease;

/// The memory of the sections that were read.
pub(super) type Leases = RefCell<Vec<Lease>>;

/// Reference-counted sections instead of borrowed ones, so that the parsed data can be stored
/// beside them. The measured cost is less than a tenth.
pub(super) type Reader = EndianArcSlice<RunTimeEndian>;

impl ElfFile {
    /// The bytes of a DWARF section, decompressed; empty if the section is missing.
    pub(super) fn dwarf_section(
        &self,
        name: &'static str,
        leases: &Leases,
    ) -> Result<Reader, ElfError> {
        let endian = match self.header.endian {
            Endianness::Little => RunTimeEndian::Little,
            Endianness::Big => RunTimeEndian::Big,
        };
        let is_it = |s: &&Section| s.name == name && s.kind != SectionType::NOBITS;
        let Some(section) = self.sections().iter().find(is_it) else {
            return Ok(EndianArcSlice::new(Arc::from([]), endian));
        };
        self.input.check(name, section.offset, section.size, u64::MAX)?;
        let budget = &self.input.budget;
        let is_compressed = section.has(elf::SHF_COMPRESSED);
        // The lines and functions that addr2line parses take about as much memory as the sections,
        // and until then a copy of the section does.
        let take = |size: u64| budget.take(name, size.saturating_mul(2));
        let lease = if is_compressed { None } else { Some(take(section.size)?) };
        let bytes = self.input.read(name, section.offset, section.size, u64::MAX)?;
        let (bytes, lease) = match (lease, self.header.class) {
            (Some(lease), _) => (bytes, lease),
            (None, Class::Elf32) => decompress::<Elf32>(name, &bytes, self.header.endian, take)?,
            (None, Class::Elf64) => decompress::<Elf64>(name, &bytes, self.header.endian, take)?,
        };
        leases.borrow_mut().push(lease);
        Ok(EndianArcSlice::new(Arc::from(bytes), endian))
    }
}

fn decompress<Elf: FileHeader<Endian = Endianness>>(
    name: &'static str,
    bytes: &[u8],
    endian: Endianness,
    take: impl Fn(u64) -> Result<Lease, ElfError>,
) -> Result<(Vec<u8>, Lease), ElfError> {
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
    // The whole output is allocated at once, so its size is bounded by the size of the input.
    let best_ratio = match format {
        CompressionFormat::Zlib => 1032,          // 258 bytes by two bits
        CompressionFormat::Zstandard => 32 << 10, // a block of 128 KiB by four bytes
        _ => u64::MAX,
    };
    if size > best_ratio.saturating_mul(data.len() as u64) {
        return Err(ElfError::malformed(name, "it is shorter than its header says"));
    }
    let lease = take(size)?;
    let bytes = CompressedData { format, data, uncompressed_size: size }
        .decompress()
        .map_err(|error| ElfError::malformed(name, error.to_string()))?;
    Ok((bytes.into_owned(), lease))
}
