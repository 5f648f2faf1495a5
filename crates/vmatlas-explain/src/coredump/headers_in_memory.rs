//! Program headers of a mapped image, read from the memory in the core.

use super::{CoreDump, ReadAt};
use object::read::elf::{FileHeader, ProgramHeader as _};
use object::{Endianness, elf, pod};
use vmatlas_maps::AddressRange;
use vmatlas_object::Memory as _;

/// Maximum number of program headers of an image. A page has room for 72.
const MAX: usize = 1024;

#[derive(Clone, Copy, Debug)]
pub(super) struct ProgramHeader {
    pub(super) kind: elf::ProgramType,
    pub(super) writable: bool,
    pub(super) offset: u64,
    pub(super) vaddr: u64,
    pub(super) file_size: u64,
    pub(super) memory_size: u64,
}

impl<S: ReadAt> CoreDump<S> {
    /// The program headers of the image whose ELF header is at `start`. `None` if that is not the
    /// header of a program or library of this machine's class and byte order, or if the core does
    /// not contain it.
    pub(super) fn image_headers(&self, start: u64) -> Option<Vec<ProgramHeader>> {
        if self.layout.word == 8 {
            self.parse_image::<elf::FileHeader64<Endianness>>(start)
        } else {
            self.parse_image::<elf::FileHeader32<Endianness>>(start)
        }
    }

    /// Reads `count` program headers at an address.
    pub(super) fn program_headers(&self, start: u64, count: usize) -> Option<Vec<ProgramHeader>> {
        if self.layout.word == 8 {
            self.parse_table::<elf::FileHeader64<Endianness>>(start, count)
        } else {
            self.parse_table::<elf::FileHeader32<Endianness>>(start, count)
        }
    }

    fn parse_image<Elf: FileHeader<Endian = Endianness>>(
        &self,
        start: u64,
    ) -> Option<Vec<ProgramHeader>> {
        let bytes = self.bytes(start, size_of::<Elf>())?;
        let (header, _) = pod::from_bytes::<Elf>(&bytes).ok()?;
        let endian = header.endian().ok()?;
        let sane = header.is_supported()
            && endian == self.endian()
            && matches!(header.e_type(endian), elf::ET_EXEC | elf::ET_DYN)
            && usize::from(header.e_phentsize(endian)) == size_of::<Elf::ProgramHeader>();
        let table = start.checked_add(header.e_phoff(endian).into()).filter(|_| sane)?;
        self.parse_table::<Elf>(table, header.e_phnum(endian).into())
    }

    fn parse_table<Elf: FileHeader<Endian = Endianness>>(
        &self,
        start: u64,
        count: usize,
    ) -> Option<Vec<ProgramHeader>> {
        let (count, endian) = (count.min(MAX), self.endian());
        let bytes = self.bytes(start, count.checked_mul(size_of::<Elf::ProgramHeader>())?)?;
        let (headers, _) = pod::slice_from_bytes::<Elf::ProgramHeader>(&bytes, count).ok()?;
        let header = |header: &Elf::ProgramHeader| ProgramHeader {
            kind: header.p_type(endian),
            writable: header.p_flags(endian).0 & elf::PF_W.0 != 0,
            offset: header.p_offset(endian).into(),
            vaddr: header.p_vaddr(endian).into(),
            file_size: header.p_filesz(endian).into(),
            memory_size: header.p_memsz(endian).into(),
        };
        Some(headers.iter().map(header).collect())
    }

    fn endian(&self) -> Endianness {
        if self.layout.big_endian { Endianness::Big } else { Endianness::Little }
    }

    /// Reads exactly `size` bytes of the process; `None` if the core does not contain all of them.
    pub(super) fn bytes(&self, address: u64, size: usize) -> Option<Vec<u8>> {
        let end = address.checked_add(size as u64)?;
        // This check comes before the buffer is allocated.
        if self.dumped(AddressRange::new(address, end)).end < end {
            return None;
        }
        let mut bytes = vec![0; size];
        (self.read(address, &mut bytes) == size).then_some(bytes)
    }

    /// Reads a word of the process.
    pub(super) fn word_at(&self, address: u64) -> Option<u64> {
        self.layout.word(&self.bytes(address, self.layout.word)?, 0)
    }
}
