//! Fuzzes ELF files: headers, symbols, functions and lines, debug files and split DWARF.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmatlas_object::Source;
use vmatlas_object::elf::{ElfFile, FileMapping, Vaddr};
use vmatlas_object::symbols::frames_at;

/// The most addresses to look up: each may parse a unit of DWARF.
const ADDRESSES: usize = 32;

fuzz_target!(|bytes: &[u8]| vmatlas_fuzz::bounded(|| check(bytes)));

fn check(bytes: &[u8]) {
    let Ok(Some(elf)) = ElfFile::from_bytes(bytes.to_vec()) else { return };
    // Every file that it refers to is the file itself.
    let copy = bytes.to_vec();
    let open = move |_: &[u8]| Ok(Box::new(copy.clone()) as Source);
    let elf = elf.with_path("/bin/program").with_debug_files(open);
    assert!(elf.symbols_named(&["main", "_start"], 1 << 16).len() <= 2);
    for segment in elf.segments().iter().take(ADDRESSES) {
        let end = segment.vaddr.saturating_add(segment.filesz);
        let (start, offset, flags) = (segment.vaddr, segment.offset, segment.flags);
        let row = FileMapping { start, end, offset, flags };
        if elf.load_bias(row, &[row]).is_some() {
            assert!(start < end);
        }
    }
    let ranges = elf.segments().iter().map(|segment| segment.vaddr_range());
    let ranges = ranges.chain(elf.sections().iter().map(|section| section.vaddr_range()));
    let edges = ranges.flat_map(|range| [range.start, range.end.wrapping_sub(1)]);
    for vaddr in [0, elf.entry().get(), u64::MAX].into_iter().chain(edges).take(ADDRESSES) {
        let vaddr = Vaddr::new(vaddr);
        if let Ok(Some(symbol)) = elf.symbol_at(vaddr) {
            assert_eq!(symbol.vaddr + symbol.offset, vaddr.get());
            assert!(symbol.size == 0 || symbol.offset < symbol.size);
        }
        let _ = elf.source_at(vaddr);
        let (frames, _) = frames_at(&elf, vaddr, "program");
        assert!(frames.len() <= 1000, "frames are bounded");
        assert!(frames.last().is_none_or(|frame| !frame.inlined));
    }
    assert!(elf.section_at(elf.entry()).is_none_or(|section| section.is_mapped()));
}
