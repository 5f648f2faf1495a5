//! File properties stored in segments: build id, interpreter, soname, flags.

use object::{
    elf,
    read::elf::{Dyn, FileHeader, NoteIterator},
};

use super::{
    ElfError, Section, SectionType, Segment, SegmentType,
    header::{Class, Elf32, Elf64, Header, table},
    input::Input,
};

/// A note section has a few hundred bytes.
const MAX_NOTES: u64 = 1 << 20;
/// A program has two or three note sections.
const MAX_NOTE_SECTIONS: usize = 64;
const MAX_DYNAMIC: u64 = 1 << 20;
/// An id is 20 bytes (SHA-1), or what `--build-id=0x…` gives.
const MAX_BUILD_ID: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Dynamic {
    pub(super) soname: Option<Vec<u8>>,
    pub(super) is_pie: bool,
    /// `DF_BIND_NOW`, in any of its three forms.
    pub(super) binds_now: bool,
    /// `DT_TEXTREL` or `DF_TEXTREL`.
    pub(super) relocates_text: bool,
}

pub(super) fn interpreter(input: &Input, header: &Header) -> Result<Option<Vec<u8>>, ElfError> {
    // A debug file has the segment, but empty.
    let mut interps = header.segments.iter().filter(|s| s.kind == SegmentType::INTERP);
    let interp = interps.find(|s| s.filesz > 0);
    interp.map(|s| input.string("PT_INTERP segment", s.offset)).transpose()
}

pub(super) fn dynamic(input: &Input, header: &Header) -> Result<Dynamic, ElfError> {
    let Some(segment) = header.segments.iter().find(|s| s.kind == SegmentType::DYNAMIC) else {
        return Ok(Dynamic::default());
    };
    let bytes = input.read("PT_DYNAMIC segment", segment.offset, segment.filesz, MAX_DYNAMIC)?;
    let entries = match header.class {
        Class::Elf32 => entries::<Elf32>(&bytes, header),
        Class::Elf64 => entries::<Elf64>(&bytes, header),
    };
    let value = |tag: elf::DynamicTag| entries.iter().find(|e| e.0 == tag).map(|e| e.1);

    let soname = match (value(elf::DT_STRTAB), value(elf::DT_SONAME)) {
        (Some(strings), Some(name)) => offset_of(&header.segments, strings.wrapping_add(name))
            .map(|offset| input.string("soname", offset))
            .transpose()?,
        _ => None,
    };
    let has = |tag, flag: u64| value(tag).is_some_and(|flags| flags & flag != 0);
    let is_pie = has(elf::DT_FLAGS_1, elf::DF_1_PIE.0);
    let binds_now = value(elf::DT_BIND_NOW).is_some()
        || has(elf::DT_FLAGS, elf::DF_BIND_NOW.0)
        || has(elf::DT_FLAGS_1, elf::DF_1_NOW.0);
    let relocates_text = value(elf::DT_TEXTREL).is_some() || has(elf::DT_FLAGS, elf::DF_TEXTREL.0);
    Ok(Dynamic { soname, is_pie, binds_now, relocates_text })
}

fn entries<Elf: FileHeader<Endian = object::Endianness>>(
    bytes: &[u8],
    header: &Header,
) -> Vec<(elf::DynamicTag, u64)> {
    table::<Elf::Dyn>(bytes)
        .iter()
        .map(|entry| (entry.tag(header.endian), entry.val(header.endian)))
        .take_while(|(tag, _)| *tag != elf::DT_NULL)
        .collect()
}

/// The file offset of the byte at `vaddr`, if a LOAD segment maps it from the file.
fn offset_of(segments: &[Segment], vaddr: u64) -> Option<u64> {
    segments
        .iter()
        .filter(|s| s.kind == SegmentType::LOAD)
        .find(|s| vaddr.checked_sub(s.vaddr).is_some_and(|within| within < s.filesz))
        .and_then(|s| s.offset.checked_add(vaddr - s.vaddr))
}

/// The build id (`NT_GNU_BUILD_ID` of "GNU"): from the segments, which the kernel uses too,
/// otherwise from the sections, because the segments of a debug file are empty.
pub(super) fn build_id(input: &Input, header: &Header) -> Option<Vec<u8>> {
    let segments = header.segments.iter().filter(|s| s.kind == SegmentType::NOTE);
    let sections = header.sections.iter().filter(|s| s.kind == SectionType::NOTE);
    let segments = segments.map(|s: &Segment| (s.offset, s.filesz, s.align));
    let sections = sections.map(|s: &Section| (s.offset, s.size, s.align));
    segments.chain(sections).take(MAX_NOTE_SECTIONS).find_map(|(offset, size, align)| {
        let bytes = input.read("note section", offset, size, MAX_NOTES).ok()?;
        match header.class {
            Class::Elf32 => build_id_note::<Elf32>(&bytes, align.try_into().ok()?, header),
            Class::Elf64 => build_id_note::<Elf64>(&bytes, align, header),
        }
    })
}

fn build_id_note<Elf: FileHeader<Endian = object::Endianness>>(
    bytes: &[u8],
    align: Elf::Word,
    header: &Header,
) -> Option<Vec<u8>> {
    NoteIterator::<Elf>::new(header.endian, align, bytes)
        .ok()?
        .map_while(Result::ok)
        .find(|note| {
            note.name() == elf::ELF_NOTE_GNU
                && note.n_type(header.endian) == elf::NT_GNU_BUILD_ID
                && (1..=MAX_BUILD_ID).contains(&note.desc().len())
        })
        .map(|note| note.desc().to_vec())
}

/// The bits of the property of a GNU note that says which protections all code of the file supports
/// (`GNU_PROPERTY_X86_FEATURE_1_AND`, `GNU_PROPERTY_AARCH64_FEATURE_1_AND`); 0 without it.
pub(super) fn protections(input: &Input, header: &Header) -> u32 {
    let segments = header.segments.iter().filter(|s| s.kind == SegmentType::NOTE);
    segments
        .take(MAX_NOTE_SECTIONS)
        .find_map(|segment| {
            let bytes =
                input.read("note section", segment.offset, segment.filesz, MAX_NOTES).ok()?;
            match header.class {
                Class::Elf32 => properties::<Elf32>(&bytes, segment.align.try_into().ok()?, header),
                Class::Elf64 => properties::<Elf64>(&bytes, segment.align, header),
            }
        })
        .unwrap_or(0)
}

fn properties<Elf: FileHeader<Endian = object::Endianness>>(
    bytes: &[u8],
    align: Elf::Word,
    header: &Header,
) -> Option<u32> {
    let notes = NoteIterator::<Elf>::new(header.endian, align, bytes).ok()?;
    for note in notes.map_while(Result::ok) {
        let Some(mut properties) = note.gnu_properties(header.endian) else { continue };
        while let Ok(Some(property)) = properties.next() {
            let wanted =
                [elf::GNU_PROPERTY_X86_FEATURE_1_AND, elf::GNU_PROPERTY_AARCH64_FEATURE_1_AND];
            if wanted.contains(&property.pr_type())
                && let Ok(bits) = property.data_u32(header.endian)
            {
                return Some(bits);
            }
        }
    }
    None
}
