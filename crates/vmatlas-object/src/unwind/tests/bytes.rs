//! Hostile files, tables, expressions and stacks: every walk ends, and nothing panics.

use crate::unwind::table::{Context, Table};
use crate::unwind::{
    Backing, CodeFile, End, Frame, Images, Modules, ReadMemory, Registers, StackCopy, Unwinder,
};
use gimli::BaseAddresses;
use std::process::Command;
use std::sync::Arc;
use tempfile::tempdir;
use vmatlas_maps::{AddressRange, Device};

/// xorshift64*: the same sequence for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

/// Memory of random words; most of them point into the stack or the code.
struct RandomMemory<'a> {
    random: &'a mut Random,
    stack: u64,
    code: AddressRange,
}

impl ReadMemory for RandomMemory<'_> {
    fn begin(&mut self, _: u64) {}

    fn word(&mut self, _: u64) -> Option<u64> {
        Some(match self.random.below(16) {
            0 => return None,
            1 => self.random.next(),
            2 => self.random.below(2),
            3..8 => self.stack.wrapping_add(self.random.below(4096)),
            _ => self.code.start + self.random.below(self.code.size()),
        })
    }

    fn code(&mut self, _: u64, bytes: &mut [u8]) -> bool {
        bytes.fill_with(|| self.random.next() as u8);
        if self.random.below(2) == 0 && bytes.len() > 5 {
            bytes[2] = 0xe8;
        }
        self.random.below(8) != 0
    }
}

fn file(bytes: &[u8]) -> CodeFile {
    CodeFile { source: Box::new(bytes.to_vec()), modified: (0, 0) }
}

/// The bytes of testdata/programs/deep.c, compiled with these arguments.
fn compile(flags: &[&str]) -> Vec<u8> {
    let dir = tempdir().unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/programs/deep.c");
    let path = dir.path().join("deep");
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-pthread", source, "-o"]).arg(&path).args(flags);
    assert!(cc.status().expect("needs a C compiler").success(), "{flags:?}");
    std::fs::read(path).unwrap()
}

fn backing(inode: u64) -> Arc<Backing> {
    Arc::new(Backing { device: Device { major: 0, minor: 1 }, inode, name: (*b"/x").into() })
}

const CODE: AddressRange = AddressRange::new(0x5000_0000, 0x5001_0000);

/// Walks over code of this file, from random places and stacks.
fn walk_at_random(bytes: &[u8], random: &mut Random, walks: u32) {
    let mut images = Images::new(64 << 20);
    let mut modules = Modules::default();
    modules.map_file(&mut images, CODE, 0, &backing(1), true, || Some(file(bytes)));
    let mut unwinder = Unwinder::new(300);
    let mut frames = Vec::new();
    for walk in 0..walks {
        let edge = random.below(50) == 0;
        let stack = if edge { u64::MAX - random.below(64) } else { 0x7fff_0000 };
        let registers = Registers {
            ip: CODE.start + random.below(CODE.size()),
            sp: stack,
            fp: stack.wrapping_add(random.below(512)),
            compat: walk % 10 == 9,
        };
        let mut memory = RandomMemory { random: &mut *random, stack, code: CODE };
        unwinder.walk(&modules, &registers, &mut memory, &mut frames);
        assert!((1..=300).contains(&frames.len()));
    }
}

#[test]
fn damaged_files() {
    let flags: [&[&str]; 3] = [
        &["-O2", "-s"],
        &["-O2", "-Wl,--no-eh-frame-hdr"],
        &["-O2", "-g", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"],
    ];
    for (seed, flags) in (1..).zip(flags) {
        let good = compile(flags);
        let mut random = Random(seed);
        for _ in 0..300 {
            let mut bytes = good.clone();
            let start = match random.below(3) {
                0 => 0,
                // Read-only data: the tables.
                _ => 0x2000.min(bytes.len() - 1),
            };
            let size = if start == 0 { 0x400 } else { bytes.len() - start };
            for _ in 0..=random.below(40) {
                let at = start + random.below(size as u64) as usize;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.next() as u8;
                }
            }
            if random.below(10) == 0 {
                bytes.truncate(random.below(bytes.len() as u64) as usize);
            }
            walk_at_random(&bytes, &mut random, 20);
        }
    }
}

#[test]
fn files_of_random_bytes() {
    let mut random = Random(7);
    for size in 0..500 {
        let mut bytes: Vec<u8> = (0..size * 3).map(|_| random.next() as u8).collect();
        let magic = b"\x7fELF\x02\x01\x01";
        if size % 2 == 0 && bytes.len() > 20 {
            bytes[..7].copy_from_slice(magic);
            bytes[18] = 62;
            bytes[19] = 0;
        }
        walk_at_random(&bytes, &mut random, 3);
    }
}

#[test]
fn tables_of_random_bytes() {
    let mut random = Random(11);
    for _ in 0..3000 {
        let mut bytes: Vec<u8> = (0..256).map(|_| random.next() as u8).collect();
        // Valid lengths and versions let the parser reach more of the rest.
        bytes[..4].copy_from_slice(&28_u32.to_le_bytes());
        bytes[4..8].fill(0);
        bytes[8] = 1;
        bytes[9..12].copy_from_slice(b"zR\0");
        bytes[32..36].copy_from_slice(&60_u32.to_le_bytes());
        bytes[36..40].copy_from_slice(&36_u32.to_le_bytes());
        let table = Table::eh_frame(bytes.clone(), 0x1000, None, BaseAddresses::default());
        let debug = Table::debug_frame(bytes, BaseAddresses::default());
        for table in [table, debug].into_iter().flatten() {
            let mut context = Context::new_in();
            for vaddr in [0, 1, 0x1000, 0x1024, 0x2000, random.next()] {
                table.row(vaddr, &mut context, |_| ());
            }
        }
    }
}

/// A file with one function at 0x1000 whose CFA is this expression, laid out as by a linker.
fn file_with_cfa(expression: &[u8]) -> Vec<u8> {
    let mut frames = Vec::new();
    let entry = |bytes: &mut Vec<u8>| {
        while bytes.len() % 8 != 4 {
            bytes.push(0);
        }
        let size = (bytes.len() as u32).to_le_bytes();
        size.into_iter().chain(bytes.drain(..)).collect::<Vec<u8>>()
    };
    // Code in bytes, data in -8 bytes, the return address in column 16, absolute pointers.
    let mut cie = b"\0\0\0\0\x01zR\0\x01\x78\x10\x01\x00\x0f".to_vec();
    cie.push(expression.len() as u8);
    cie.extend(expression);
    cie.extend([0x90, 1]);
    frames.extend(entry(&mut cie));
    let mut fde = (frames.len() as u32 + 4).to_le_bytes().to_vec();
    fde.extend(0x1000_u64.to_le_bytes());
    fde.extend(0x1000_u64.to_le_bytes());
    fde.push(0);
    frames.extend(entry(&mut fde));
    frames.extend([0; 4]);

    let mut names = b"\0.eh_frame\0.shstrtab\0".to_vec();
    let frames_at = 0x100_u64;
    let names_at = frames_at + frames.len() as u64;
    let sections_at = names_at + names.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |elf: &mut Vec<u8>, values: &[u16]| {
        elf.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    };
    let words = |elf: &mut Vec<u8>, values: &[u64]| {
        elf.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    };
    half(&mut elf, &[3, 62, 1, 0]);
    words(&mut elf, &[0, 64, sections_at]);
    half(&mut elf, &[0, 0, 64, 56, 1, 64, 3, 2]);
    half(&mut elf, &[1, 0, 5, 0]); // PT_LOAD, R E
    words(&mut elf, &[0x1000, 0x1000, 0x1000, 0x1000, 0x1000, 0x1000]);
    elf.resize(frames_at as usize, 0);
    elf.append(&mut frames);
    elf.append(&mut names);
    elf.extend([0; 64]);
    half(&mut elf, &[1, 0, 1, 0]); // .eh_frame, SHT_PROGBITS
    words(&mut elf, &[2, 0x5000, frames_at, names_at - frames_at, 0, 8, 0]);
    half(&mut elf, &[11, 0, 3, 0]); // .shstrtab, SHT_STRTAB
    words(&mut elf, &[0, 0, names_at, sections_at - names_at, 0, 1, 0]);
    elf.resize(0x2000, 0);
    elf
}

fn walk_with_cfa(expression: &[u8]) -> (Vec<Frame>, End) {
    let mut images = Images::default();
    let mut modules = Modules::default();
    let bytes = file_with_cfa(expression);
    let code = AddressRange::new(0x1000, 0x2000);
    modules.map_file(&mut images, code, 0x1000, &backing(2), true, || Some(file(&bytes)));
    // 8: the return address, 16: the root, 40: an address for the expression.
    let words = [0, 0x1800, 0, 0, 0, 0x9010, 0, 0_u64];
    let stack: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let registers = Registers { ip: 0x1010, sp: 0x9000, fp: 1, compat: false };
    let mut memory = StackCopy { start: 0x9000, bytes: &stack, code: None };
    let mut frames = Vec::new();
    let end = Unwinder::default().walk(&modules, &registers, &mut memory, &mut frames);
    (frames, end)
}

#[test]
fn expressions() {
    // DW_OP_breg7 16, and DW_OP_breg7 40, DW_OP_deref.
    for good in [&[0x77, 16][..], &[0x77, 40, 0x06]] {
        let (frames, _) = walk_with_cfa(good);
        assert_eq!(frames[1].pc, 0x17ff, "{good:x?}");
    }
    let bad: [&[u8]; 7] = [
        &[0x2f, 0xfd, 0xff],       // DW_OP_skip to itself
        &[0x30, 0x2f, 0xfc, 0xff], // DW_OP_lit0, and again
        &[0x30],                   // a CFA of 0
        &[0x73, 16],               // DW_OP_breg3, which is not known
        &[0x0e, 255, 255, 255, 255, 255, 255, 255, 255, 0x06],
        &[],
        &[0xff],
    ];
    for bad in bad {
        let (frames, end) = walk_with_cfa(bad);
        assert_eq!(frames.len(), 1, "{bad:x?}");
        assert_ne!(end, End::Root, "{bad:x?}");
    }
}
