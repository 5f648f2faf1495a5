//! Reads DWARF sections.

use std::{cell::Cell, sync::Arc};

use gimli::{EndianArcSlice, RunTimeEndian};
use object::{
    CompressedData, CompressionFormat, Endianness, elf,
    read::elf::{CompressionHeader, FileHeader},
};

use super::{
    ElfError, ElfFile, Section, SectionType,
    header::{Class, Elf32, Elf64, table},
};

/// Reference-counted sections instead of borrowed ones, so that the parsed data can be stored
/// beside them. The measured cost is less than a tenth.
pub(super) type Reader = EndianArcSlice<RunTimeEndian>;

impl ElfFile {
    /// The bytes of a DWARF section, decompressed; empty if the section is missing.
    pub(super) fn dwarf_section(
        &self,
        name: &'static str,
        left: &Cell<u64>,
    ) -> Result<Reader, ElfError> {
        let endian = match self.header.endian {
            Endianness::Little => RunTimeEndian::Little,
            Endianness::Big => RunTimeEndian::Big,
        };
        let is_it = |s: &&Section| s.name == name && s.kind != SectionType::NOBITS;
        let Some(section) = self.sections().iter().find(is_it) else {
            return Ok(EndianArcSlice::new(Arc::from([]), endian));
        };
        let bytes = self.input.read(name, section.offset, section.size, left.get())?;
        let bytes = if section.has(elf::SHF_COMPRESSED) {
            match self.header.class {
                Class::Elf32 => decompress::<Elf32>(name, &bytes, self.header.endian, left.get())?,
                Class::Elf64 => decompress::<Elf64>(name, &bytes, self.header.endian, left.get())?,
            }
        } else {
            bytes
        };
        left.set(left.get() - bytes.len() as u64);
        Ok(EndianArcSlice::new(Arc::from(bytes), endian))
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
    // The whole output is allocated at once, so its size is bounded by the size of the input.
    let best_ratio = match format {
        CompressionFormat::Zlib => 1032,          // 258 bytes by two bits
        CompressionFormat::Zstandard => 32 << 10, // a block of 128 KiB by four bytes
        _ => u64::MAX,
    };
    if size > best_ratio.saturating_mul(data.len() as u64) {
        return Err(ElfError::malformed(name, "it is shorter than its header says"));
    }
    CompressedData { format, data, uncompressed_size: size }
        .decompress()
        .map(|bytes| bytes.into_owned())
        .map_err(|error| ElfError::malformed(name, error.to_string()))
}
