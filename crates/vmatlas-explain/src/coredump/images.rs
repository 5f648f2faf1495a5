//! The programs and libraries in a core dump, from the ELF headers that it contains.

use super::headers_in_memory::ProgramHeader;
use super::layout::Layout;
use super::{CoreDump, ReadAt};
use crate::label::ImageFacts;
use object::elf;
use vmatlas_maps::KernelVersion;
use vmatlas_maps::{AddressRange, Mapping};

/// Maximum number of files to examine.
const MAX: usize = 1 << 16;
/// Maximum number of rows of an image.
const ROWS: usize = 64;
/// Maximum size in bytes of an image's notes.
const MAX_NOTES: u64 = 64 << 10;
/// Maximum size in bytes of a build id, which is a SHA-1 (20 bytes) or the value of
/// `--build-id=0x…`.
const MAX_ID: usize = 64;

/// A program, a library or the vDSO, from its ELF header in the core. By default the kernel dumps
/// the first page of each (`coredump_filter`, core(5)).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CoreImage {
    /// Name, load bias, segments and RELRO, without symbols.
    pub facts: ImageFacts,
    /// The first address of its first row.
    pub start: u64,
    /// The build id (`NT_GNU_BUILD_ID`); `None` if the core does not contain it.
    pub build_id: Option<Vec<u8>>,
    /// The kernel version, from a note in the vDSO.
    pub kernel: Option<KernelVersion>,
}

impl<S: ReadAt> CoreDump<S> {
    /// The images in address order. Reads the first page of each file.
    pub fn images(&self) -> Vec<CoreImage> {
        let first = |row: &Mapping<'_>| {
            row.offset == 0 && (row.name.first() == Some(&b'/') || row.name == b"[vdso]")
        };
        self.maps.iter().filter(first).take(MAX).filter_map(|row| self.image(&row)).collect()
    }

    /// The image that contains a row; `None` if the core does not contain its headers.
    pub fn image_of(&self, row: &Mapping<'_>) -> Option<CoreImage> {
        if row.name.is_empty() {
            return None;
        }
        let near = self.maps.find(row.range.start).mapping?;
        let rows = (0..=near).rev().map_while(|index| self.maps.get(index));
        // The rows of an image are adjacent, except for .bss between them.
        let first = rows.take(ROWS).find(|first| first.name == row.name && first.offset == 0)?;
        self.image(&first)
    }

    /// The image that begins with this row.
    fn image(&self, row: &Mapping<'_>) -> Option<CoreImage> {
        let headers = self.image_headers(row.range.start)?;
        let page = !self.page_size().saturating_sub(1);
        let of_kind = |kind| headers.iter().filter(move |header| header.kind == kind);
        let first = of_kind(elf::PT_LOAD).find(|header| header.offset & page == 0)?;
        let bias = row.range.start.wrapping_sub(first.vaddr & page);
        let address = |header: &ProgramHeader| bias.wrapping_add(header.vaddr);
        let range =
            |header: &ProgramHeader| AddressRange::sized(address(header), header.memory_size);
        // A file mapped as data has its code at other addresses than the loader would choose.
        let mapped = of_kind(elf::PT_LOAD).filter(|header| header.file_size > 0).all(|header| {
            let address = address(header);
            let place = self.maps.find(address).mapping.and_then(|index| self.maps.get(index));
            place.is_some_and(|place| {
                let offset = place.offset.wrapping_add(address - place.range.start);
                place.name == row.name && offset == header.offset
            })
        });
        if !mapped {
            return None;
        }
        let mut image = CoreImage { start: row.range.start, ..CoreImage::default() };
        image.facts.name = row.name.to_vec();
        image.facts.bias = bias;
        image.facts.segments = of_kind(elf::PT_LOAD)
            .filter_map(|header| Some((range(header)?, header.file_size, header.writable)))
            .collect();
        image.facts.relro = of_kind(elf::PT_GNU_RELRO).find_map(range);
        for notes in of_kind(elf::PT_NOTE) {
            let size = usize::try_from(notes.file_size.min(MAX_NOTES)).unwrap_or(0);
            if let Some(bytes) = self.bytes(address(notes), size) {
                image.take_notes(&bytes, self.layout);
            }
        }
        Some(image)
    }
}

impl CoreImage {
    /// Reads the build id, and the kernel version that the kernel writes into its vDSO
    /// (`ELFNOTE Linux` in arch/x86/entry/vdso/note.S and similar files).
    fn take_notes(&mut self, notes: &[u8], layout: Layout) {
        let mut rest = notes;
        loop {
            let header = (layout.u32(rest, 0), layout.u32(rest, 4), layout.u32(rest, 8));
            let (Some(name_size), Some(size), Some(kind)) = header else { return };
            let padded = |size: u32| (size as usize).next_multiple_of(4);
            let name = rest.get(12..).and_then(|rest| rest.get(..name_size as usize));
            let from = 12_usize.saturating_add(padded(name_size));
            let bytes = rest.get(from..).and_then(|rest| rest.get(..size as usize));
            match (name, elf::NoteType(kind), bytes) {
                (Some(b"GNU\0"), elf::NT_GNU_BUILD_ID, Some(id))
                    if (1..=MAX_ID).contains(&id.len()) =>
                {
                    self.build_id.get_or_insert_with(|| id.to_vec());
                }
                (Some(b"Linux\0"), elf::NoteType(0), Some(code))
                    if self.facts.name == b"[vdso]" =>
                {
                    self.kernel = layout.u32(code, 0).map(|code| {
                        let byte = |shift: u32| (code >> shift & 0xff) as u16;
                        KernelVersion::new((code >> 16) as u16, byte(8), byte(0))
                    });
                }
                _ => {}
            }
            rest = rest.get(from.saturating_add(padded(size))..).unwrap_or_default();
        }
    }
}
