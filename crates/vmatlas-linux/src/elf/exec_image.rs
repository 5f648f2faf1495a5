//! The parts of an ELF file that execve(2) maps.

use vmatlas_object::elf::{ElfFile, ElfType, Segment, SegmentFlags, SegmentType};
use vmatlas_space::{File, Image, LoadSegment, Prot};

/// The image that execve(2) maps, for [`AddressSpace::exec`](vmatlas_space::AddressSpace::exec).
/// `file` is the open file of the mappings. The bias is that without address randomisation.
///
/// # References
///
/// `load_elf_binary` in fs/binfmt_elf.c.
pub fn exec_image(elf: &ElfFile, file: &File) -> Image {
    let of_kind = |kind| elf.segments().iter().filter(move |segment| segment.kind == kind);
    let stack = of_kind(SegmentType::GNU_STACK).next_back();
    Image {
        file: file.clone(),
        segments: of_kind(SegmentType::LOAD).map(load_segment).collect(),
        bias: (elf.elf_type() == ElfType::Exec).then_some(0),
        executable_stack: stack.map(|stack| stack.flags.contains(SegmentFlags::EXECUTE)),
    }
}

fn load_segment(segment: &Segment) -> LoadSegment {
    let prot = [
        (SegmentFlags::READ, Prot::READ),
        (SegmentFlags::WRITE, Prot::WRITE),
        (SegmentFlags::EXECUTE, Prot::EXEC),
    ];
    let asked = prot.iter().filter(|(flag, _)| segment.flags.contains(*flag));
    LoadSegment {
        offset: segment.offset,
        vaddr: segment.vaddr,
        file_size: segment.filesz,
        memory_size: segment.memsz,
        prot: asked.fold(Prot::NONE, |all, (_, prot)| all | *prot),
        align: segment.align,
    }
}
