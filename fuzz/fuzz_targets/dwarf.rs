//! Fuzzes DWARF by its sections: two addresses of two bytes each, then sections, each after a mark
//! with a byte for its name and its compression. The rest of the file is whole, so that every change
//! is one of DWARF; the target `elf` changes whole files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmatlas_object::Source;
use vmatlas_object::elf::{ElfFile, Vaddr};
use vmatlas_object::symbols::frames_at;

/// Precedes a section. A mark, unlike a length, survives inserted and removed bytes.
const MARK: &[u8] = b"SECT";
/// The address of the code, as in programs that are not position-independent.
const CODE: u64 = 0x40_0000;
/// The most sections of a file.
const SECTIONS: usize = 24;

const NAMES: [&str; 16] = [
    ".debug_info",
    ".debug_abbrev",
    ".debug_line",
    ".debug_str",
    ".debug_ranges",
    ".debug_rnglists",
    ".debug_addr",
    ".debug_line_str",
    ".debug_str_offsets",
    ".debug_aranges",
    ".debug_types",
    ".debug_loclists",
    ".debug_frame",
    ".eh_frame",
    ".gnu_debugaltlink",
    ".debug_info.dwo",
];

fuzz_target!(|bytes: &[u8]| vmatlas_fuzz::bounded(|| check(bytes)));

fn check(bytes: &[u8]) {
    let Some((addresses, rest)) = bytes.split_first_chunk::<4>() else { return };
    let file = file(rest);
    // Every file that it refers to is the file itself.
    let copy = file.clone();
    let open = move |_: &[u8]| Ok(Box::new(copy.clone()) as Source);
    let elf = ElfFile::from_bytes(file).expect("memory can be read").expect("it is an ELF file");
    let elf = elf.with_path("/bin/program").with_debug_files(open);
    let [a, b, c, d] = *addresses;
    for vaddr in [u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])] {
        let vaddr = Vaddr::new(CODE + u64::from(vaddr));
        let _ = elf.source_at(vaddr);
        let (frames, _) = frames_at(&elf, vaddr, "program");
        assert!(frames.len() <= 1000, "frames are bounded");
        assert!(frames.last().is_none_or(|frame| !frame.inlined));
    }
}

/// The kind byte's upper half: how the section is stored.
fn stored(kind: u8, payload: &[u8]) -> (u64, Vec<u8>) {
    const COMPRESSED: u64 = 1 << 11;
    let size = payload.len() as u64;
    let header = |format: u32, size: u64| {
        let mut out = format.to_le_bytes().to_vec();
        out.extend([0; 4]);
        out.extend(size.to_le_bytes());
        out.extend(1_u64.to_le_bytes());
        out
    };
    match kind >> 4 {
        // zlib and zstd without compression, so that nothing is compressed for each input.
        1 => (COMPRESSED, [header(1, size), zlib(payload)].concat()),
        2 => (COMPRESSED, [header(2, size), zstd(payload)].concat()),
        // A wrong size, and bytes that are hardly compressed data.
        3 => (COMPRESSED, [header(1, size / 2), zlib(payload)].concat()),
        4 => (COMPRESSED, [header(2, size << 20), zstd(payload)].concat()),
        5 => (COMPRESSED, [header(1, size * 900), payload.to_vec()].concat()),
        6 => (COMPRESSED, [header(2, size * 900), payload.to_vec()].concat()),
        7 => (COMPRESSED, payload.to_vec()),
        _ => (0, payload.to_vec()),
    }
}

/// A zlib stream of one stored block.
fn zlib(payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(0xffff)];
    let length = payload.len() as u16;
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in payload {
        a = (a + u32::from(*byte)) % 65521;
        b = (b + a) % 65521;
    }
    let mut out = vec![0x78, 1, 1];
    out.extend(length.to_le_bytes());
    out.extend((!length).to_le_bytes());
    out.extend(payload);
    out.extend((b << 16 | a).to_be_bytes());
    out
}

/// A zstd frame of one raw block: a single segment with a content size of four bytes.
fn zstd(payload: &[u8]) -> Vec<u8> {
    let mut out = 0xfd2f_b528_u32.to_le_bytes().to_vec();
    out.push(0xa0);
    out.extend((payload.len() as u32).to_le_bytes());
    let header = 1 | (payload.len() as u32) << 3;
    out.extend(&header.to_le_bytes()[..3]);
    out.extend(payload);
    out
}

/// An x86-64 file with 64 KiB of code and these sections.
fn file(mut bytes: &[u8]) -> Vec<u8> {
    let mut parts = Vec::new();
    while let Some(at) = bytes.windows(MARK.len()).position(|window| window == MARK) {
        parts.push(&bytes[..at]);
        bytes = &bytes[at + MARK.len()..];
    }
    parts.push(bytes);
    // The bytes before the first mark are no section.
    let parts: Vec<(u8, &[u8])> = parts
        .iter()
        .skip(1)
        .take(SECTIONS)
        .filter_map(|part| part.split_first())
        .map(|(&kind, payload)| (kind, payload))
        .collect();
    let mut names = vec![0];
    let mut sections = vec![[0_u64; 10]];
    let mut data = Vec::new();
    const DATA: u64 = 64 + 56;
    let code = [names.len() as u64, 1, 6, CODE, 0, 0x1_0000, 0, 0, 16, 0];
    names.extend(b".text\0");
    sections.push(code);
    for (kind, payload) in parts {
        let (flags, stored) = stored(kind, payload);
        let name = NAMES[usize::from(kind & 15)];
        let offset = DATA + data.len() as u64;
        sections.push([names.len() as u64, 1, flags, 0, offset, stored.len() as u64, 0, 0, 1, 0]);
        names.extend(name.as_bytes());
        names.push(0);
        data.extend(stored);
    }
    let strings = DATA + data.len() as u64;
    sections.push([names.len() as u64, 3, 0, 0, strings, names.len() as u64 + 10, 0, 0, 1, 0]);
    names.extend(b".shstrtab\0");
    data.extend(&names);
    data.resize(data.len().next_multiple_of(8), 0);
    let sections_at = DATA + data.len() as u64;
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let halves = |out: &mut Vec<u8>, values: &[u16]| {
        out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    };
    let words = |out: &mut Vec<u8>, values: &[u64]| {
        out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    };
    halves(&mut out, &[3, 62, 1, 0]);
    words(&mut out, &[CODE, 64, sections_at]);
    let count = sections.len() as u16;
    halves(&mut out, &[0, 0, 64, 56, 1, 64, count, count - 1]);
    halves(&mut out, &[1, 0, 5, 0]); // PT_LOAD, R E
    words(&mut out, &[0, CODE, CODE, 0x1_0000, 0x1_0000, 0x1000]);
    out.extend(data);
    for [name, kind, rest @ ..] in sections {
        out.extend((name as u32).to_le_bytes());
        out.extend((kind as u32).to_le_bytes());
        let [flags, address, offset, size, link, info, align, entry] = rest;
        words(&mut out, &[flags, address, offset, size, link | info << 32, align, entry]);
    }
    out
}
