//! Fuzzes unwind tables and stacks: a byte for the kind of table, 64 for the stack, then the table.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use vmatlas_maps::{AddressRange, Device};
use vmatlas_object::unwind::{Backing, CodeFile, Images, Modules, Registers, StackCopy, Unwinder};

const CODE: AddressRange = AddressRange::new(0x1000, 0x2000);
/// The vaddr of the table.
const TABLE: u64 = 0x5000;
/// The offset of the table in the file; the code is at 0x1000.
const TABLE_AT: usize = 0x100;
const TABLE_LIMIT: usize = 0x1000 - TABLE_AT;
/// The address of the stack.
const STACK: u64 = 0x9000;
const STACK_SIZE: usize = 64;
const DEPTH: usize = 64;

fuzz_target!(|bytes: &[u8]| vmatlas_fuzz::bounded(|| check(bytes)));

fn check(bytes: &[u8]) {
    let Some((&kind, rest)) = bytes.split_first() else { return };
    let Some((stack, table)) = rest.split_at_checked(STACK_SIZE) else { return };
    let source = Box::new(file(kind, &table[..table.len().min(TABLE_LIMIT)]));
    let backing = Backing { device: Device::new(0, 1), inode: 1, name: (*b"/x").into() };
    let (mut images, mut modules) = (Images::default(), Modules::default());
    let open = || Some(CodeFile { source, modified: (0, 0) });
    modules.map_file(&mut images, CODE, CODE.start, &Arc::new(backing), true, open);
    let mut unwinder = Unwinder::new(DEPTH);
    let mut frames = Vec::new();
    // Unwind twice: the second time uses cached rules.
    for ip in (CODE.start..CODE.start + 64).step_by(4).chain([CODE.start, CODE.end - 1]) {
        let registers = Registers { ip, sp: STACK, fp: STACK + 16, compat: kind >= 128 };
        let mut memory = StackCopy { start: STACK, bytes: stack, code: None };
        unwinder.walk(&modules, &registers, &mut memory, &mut frames);
        assert!((1..=DEPTH).contains(&frames.len()));
        assert_eq!(frames[0].pc, ip);
    }
}

/// An x86-64 file with code and this table: `.eh_frame`, `.debug_frame`, or `.eh_frame_hdr`
/// followed by `.eh_frame`, found by its segment.
fn file(kind: u8, table: &[u8]) -> Vec<u8> {
    let size = table.len() as u64;
    let names: &[u8] = b"\0.eh_frame\0.debug_frame\0.shstrtab\0";
    let names_at = (TABLE_AT + table.len()) as u64;
    let sections_at = (names_at + names.len() as u64).next_multiple_of(8);
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let halves = |file: &mut Vec<u8>, values: &[u16]| {
        file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    };
    let words = |file: &mut Vec<u8>, values: &[u64]| {
        file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    };
    // Found by segment, or by section.
    let (segments, sections) = if kind % 3 == 2 { (3, 0) } else { (2, 3) };
    halves(&mut file, &[3, 62, 1, 0]);
    words(&mut file, &[0, 64, sections_at]);
    halves(&mut file, &[0, 0, 64, 56, segments, 64, sections, 2.min(sections)]);
    halves(&mut file, &[1, 0, 5, 0]); // PT_LOAD, R E
    words(&mut file, &[0x1000, CODE.start, CODE.start, CODE.size(), CODE.size(), 0x1000]);
    halves(&mut file, &[1, 0, 4, 0]); // PT_LOAD, R
    words(&mut file, &[TABLE_AT as u64, TABLE, TABLE, size, size, 8]);
    halves(&mut file, &[0xe550, 0x6474, 4, 0]); // PT_GNU_EH_FRAME
    words(&mut file, &[TABLE_AT as u64, TABLE, TABLE, size, size, 4]);
    file.resize(TABLE_AT, 0);
    file.extend_from_slice(table);
    file.extend_from_slice(names);
    file.resize(sections_at as usize, 0);
    file.extend([0; 64]);
    let name = if kind % 3 == 0 { 1 } else { 11 };
    halves(&mut file, &[name, 0, 1, 0]); // SHT_PROGBITS
    words(&mut file, &[2, TABLE, TABLE_AT as u64, size, 0, 8, 0]);
    halves(&mut file, &[24, 0, 3, 0]); // .shstrtab, SHT_STRTAB
    words(&mut file, &[0, 0, names_at, names.len() as u64, 0, 1, 0]);
    file.resize(0x2000, 0);
    file
}
