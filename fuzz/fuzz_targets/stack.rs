//! Fuzzes walks over hostile memory: the registers and all memory come from the input, which repeats
//! without end, so that stacks and chains of frames may have no end either.
//!
//! The code has no unwind table, as that of JIT compilers: walks follow frame pointers, decode the
//! code and scan the stack. The first three words are the registers; the rest is memory, in which
//! addresses near the code and the stack are reached by few bits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmatlas_maps::AddressRange;
use vmatlas_object::unwind::{Modules, ReadMemory, Registers, Unwinder};

/// Executable, in two mappings with memory that is not executable between them.
const CODE: [AddressRange; 2] =
    [AddressRange::new(0x1000, 0x3000), AddressRange::new(0x8000, u64::MAX - 0xfff)];
const DATA: AddressRange = AddressRange::new(0x3000, 0x8000);
const DEPTH: usize = 64;
const REGISTERS: usize = 3 * 8;

fuzz_target!(|bytes: &[u8]| vmatlas_fuzz::bounded(|| check(bytes)));

fn check(bytes: &[u8]) {
    let Some((registers, bytes)) = bytes.split_at_checked(REGISTERS) else { return };
    let Some((&kind, bytes)) = bytes.split_first() else { return };
    let mut registers = registers.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
    let mut next = || registers.next().unwrap_or(0);
    let registers = Registers { ip: next(), sp: next(), fp: next(), compat: kind & 1 == 1 };
    let mut modules = Modules::default();
    for range in CODE {
        modules.map_anonymous(range, true);
    }
    modules.map_anonymous(DATA, false);
    let mut memory = Hostile { bytes, hole: kind & 2 == 2, code: kind & 4 == 4, walks: 0 };
    let mut unwinder = Unwinder::new(DEPTH);
    let mut frames = Vec::new();
    // The memory changes between two walks, and cached rules may no longer fit.
    for _ in 0..2 {
        unwinder.walk(&modules, &registers, &mut memory, &mut frames);
        assert!((1..=DEPTH).contains(&frames.len()));
        assert_eq!(frames[0].pc, registers.ip);
    }
}

/// Memory that repeats the input.
struct Hostile<'a> {
    bytes: &'a [u8],
    /// Whether every other page is missing.
    hole: bool,
    /// Whether code can be read.
    code: bool,
    walks: usize,
}

impl Hostile<'_> {
    fn byte(&self, address: u64) -> Option<u8> {
        if self.bytes.is_empty() || self.hole && address >> 12 & 1 == 1 {
            return None;
        }
        let at = (address as usize).wrapping_add(self.walks) % self.bytes.len();
        self.bytes.get(at).copied()
    }
}

impl ReadMemory for Hostile<'_> {
    fn begin(&mut self, _: u64) {
        self.walks += 1;
    }

    fn word(&mut self, address: u64) -> Option<u64> {
        let mut word = [0; 8];
        for (at, byte) in word.iter_mut().enumerate() {
            *byte = self.byte(address.checked_add(at as u64)?)?;
        }
        Some(u64::from_le_bytes(word))
    }

    fn code(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        let read = |(at, byte): (usize, &mut u8)| {
            let found = address.checked_add(at as u64).and_then(|address| self.byte(address));
            found.map(|found| *byte = found).is_some()
        };
        self.code && bytes.iter_mut().enumerate().all(read)
    }
}
