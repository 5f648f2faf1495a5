//! Unwinds a stack in a dump.

use super::Postmortem;
use crate::elf::{ElfFile, code_file};
use std::collections::BTreeSet;
use std::sync::Arc;
use vmatlas_object::Memory as _;
use vmatlas_object::unwind::{Backing, Frame, Images, Modules, ReadMemory, Registers, Unwinder};

/// Maximum number of rounds that open the files of further frames: each round gets one file
/// further.
const ROUNDS: usize = 64;
/// Bytes of a stack that are read at once.
const BLOCK: usize = 4096;

pub(super) fn frames(dead: &Postmortem<'_>, registers: &Registers, most: usize) -> Vec<Frame> {
    let mut images = Images::default();
    let mut unwinder = Unwinder::new(most);
    let mut memory = Dump { dead, start: 0, bytes: Vec::new() };
    let mut frames: Vec<Frame> = Vec::new();
    // Only the files on the stack are read, because libraries have large tables.
    let mut wanted: BTreeSet<usize> = BTreeSet::new();
    wanted.extend(dead.maps.find(registers.ip).mapping);
    for _ in 0..ROUNDS {
        let modules = modules(dead, &mut images, &wanted);
        unwinder.walk(&modules, registers, &mut memory, &mut frames);
        let on_stack = frames.iter().filter_map(|frame| dead.maps.find(frame.pc).mapping);
        let before = wanted.len();
        wanted.extend(on_stack);
        if wanted.len() == before {
            break;
        }
        // Cached rules of files without tables are no longer valid.
        unwinder = Unwinder::new(most);
    }
    frames
}

/// All executable rows, with the tables of the wanted ones.
fn modules(dead: &Postmortem<'_>, images: &mut Images, wanted: &BTreeSet<usize>) -> Modules {
    let mut modules = Modules::default();
    for (index, row) in dead.maps.iter().enumerate().filter(|(_, row)| row.perms.execute()) {
        let is_wanted = wanted.contains(&index);
        // A core has neither device nor inode: the name, and whether the file was opened, identify
        // a file.
        let backing = Arc::new(Backing {
            device: vmatlas_maps::Device::new(0, 0),
            inode: index as u64 * 2 + u64::from(is_wanted),
            name: row.name.into(),
        });
        if row.name == b"[vdso]" && is_wanted && row.range.size() <= ElfFile::MAX_VDSO {
            let mut bytes = vec![0; usize::try_from(row.range.size()).unwrap_or(0)];
            let read = dead.read(row.range.start, &mut bytes);
            bytes.truncate(read);
            modules.map_bytes(images, row.range, &backing, &bytes);
        } else if row.name.first() == Some(&b'/') {
            let open = || dead.file(index).filter(|_| is_wanted).map(code_file);
            modules.map_file(images, row.range, row.offset, &backing, true, open);
        } else {
            modules.map_anonymous(row.range, true);
        }
    }
    modules
}

/// A dump as the memory of a walk.
struct Dump<'a> {
    dead: &'a Postmortem<'a>,
    start: u64,
    bytes: Vec<u8>,
}

impl ReadMemory for Dump<'_> {
    fn begin(&mut self, _: u64) {}

    fn word(&mut self, address: u64) -> Option<u64> {
        if let Some(word) = self.kept(address) {
            return Some(word);
        }
        self.start = address & !7;
        self.bytes.resize(BLOCK, 0);
        let read = self.dead.read(self.start, &mut self.bytes);
        self.bytes.truncate(read);
        self.kept(address)
    }

    fn code(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        self.dead.read(address, bytes) == bytes.len()
    }
}

impl Dump<'_> {
    fn kept(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.start)?).ok()?;
        let word = self.bytes.get(at..)?.first_chunk()?;
        Some(u64::from_le_bytes(*word))
    }
}
