//! Stacks made by hand that no C program produces.

use crate::unwind::{Backing, End, Frame, How, Images, Modules, ReadMemory, Registers, Unwinder};
use std::collections::HashMap;
use std::sync::Arc;
use vmatlas_maps::{AddressRange, Device};

/// Words of memory; code reads succeed only for present words.
struct Words(HashMap<u64, u64>);

impl ReadMemory for Words {
    fn begin(&mut self, _: u64) {}

    fn word(&mut self, address: u64) -> Option<u64> {
        // An unaligned address reads from two words, for 32-bit code.
        let (at, shift) = (address & !7, (address & 7) * 8);
        let low = self.0.get(&at)? >> shift;
        match shift {
            0 => Some(low),
            _ => Some(low | self.0.get(&(at + 8))? << (64 - shift)),
        }
    }

    fn code(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        (address..).zip(bytes).all(|(at, byte)| {
            self.word(at & !7).is_some_and(|word| {
                *byte = word.to_le_bytes()[(at & 7) as usize];
                true
            })
        })
    }
}

const STACK: u64 = 0x7000;
const CODE: u64 = 0x10_0000;

/// Walks this stack; with `calls`, code has a call instruction before each 16th byte.
fn walk(
    registers: Registers,
    stack: &[u64],
    calls: bool,
    modules: &Modules,
) -> (Vec<u64>, Vec<Frame>, End) {
    let mut words: HashMap<u64, u64> =
        (0..).zip(stack).map(|(i, word)| (STACK + i * 8, *word)).collect();
    if calls {
        // nop and e8 0: a call to the next instruction.
        words.extend((0..512).map(|i| {
            let code = if i % 2 == 1 { [0x90, 0x90, 0x90, 0xe8, 0, 0, 0, 0] } else { [0x90; 8] };
            (CODE + i * 8, u64::from_le_bytes(code))
        }));
    }
    let mut frames = Vec::new();
    let end = Unwinder::new(64).walk(modules, &registers, &mut Words(words), &mut frames);
    (frames.iter().map(|frame| frame.pc).collect(), frames, end)
}

fn run_time_code() -> Modules {
    let mut modules = Modules::default();
    modules.map_anonymous(AddressRange::new(CODE, CODE + 0x1000), true);
    modules
}

fn registers(ip: u64, fp: u64) -> Registers {
    Registers { ip, sp: STACK, fp, compat: false }
}

#[test]
fn code_made_at_run_time_by_frame_pointers() {
    let stack = [7, STACK + 32, CODE + 0x25, 7, 0, CODE + 0x35, 7];
    let (pcs, frames, end) = walk(registers(CODE + 8, STACK + 8), &stack, false, &run_time_code());
    assert_eq!((pcs, end), (vec![CODE + 8, CODE + 0x24, CODE + 0x34], End::Root));
    assert!(frames[1..].iter().all(|f| f.how == How::FramePointer && f.place.is_none()));
    // A frame pointer that leads backwards, or to no memory, or to a non-code address.
    for stack in
        [[7, STACK, CODE + 0x25, 7], [7, STACK + 8, CODE + 0x25, 7], [7, 1 << 40, CODE + 0x25, 7]]
    {
        let (pcs, _, end) = walk(registers(CODE + 8, STACK + 8), &stack, false, &run_time_code());
        assert_eq!((pcs, end), (vec![CODE + 8, CODE + 0x24], End::NoRule));
    }
    let (pcs, _, end) = walk(registers(CODE + 8, STACK + 8), &[7, 0, 5], false, &run_time_code());
    assert_eq!((pcs.len(), end), (1, End::NoRule));
    let (pcs, _, end) = walk(registers(CODE + 8, STACK + 8), &[7, 0], false, &run_time_code());
    assert_eq!((pcs.len(), end), (1, End::MissingMemory));
}

#[test]
fn return_addresses_by_their_looks() {
    let after_call = CODE + 0x20;
    // Data, code that no call precedes, and an address inside a call are not return addresses.
    let stack = [7, CODE + 0x28, CODE + 0x23, after_call, 9, after_call + 0x10, 0];
    let (pcs, frames, _) = walk(registers(CODE + 8, 1), &stack, true, &run_time_code());
    assert_eq!(pcs, [CODE + 8, after_call - 1, after_call + 0xf]);
    assert!(frames[1..].iter().all(|frame| frame.how == How::Scanned));
    // Without readable code, no word counts as a return address.
    let (pcs, _, end) = walk(registers(CODE + 8, 1), &stack, false, &run_time_code());
    assert_eq!((pcs.len(), end), (1, End::NoRule));
}

#[test]
fn a_call_through_a_bad_pointer() {
    let stack = [CODE + 0x20, STACK + 24, 7, 0, CODE + 0x41, 0, 0];
    for nowhere in [0, 0x4141_4141_4141_4141] {
        let (pcs, _, end) = walk(registers(nowhere, STACK + 24), &stack, true, &run_time_code());
        assert_eq!((pcs, end), (vec![nowhere, CODE + 0x1f, CODE + 0x40], End::Root));
    }
    // A jump without a return address.
    let (pcs, _, end) = walk(registers(0, STACK + 24), &[7; 8], true, &run_time_code());
    assert_eq!((pcs, end), (vec![0], End::NoRule));
}

#[test]
fn code_of_32_bits() {
    let word = |low: u64, high: u64| low | high << 32;
    let mut modules = run_time_code();
    let compat = |ip, fp| Registers { ip, sp: STACK, fp, compat: true };
    let stack = [7, word(STACK + 20, CODE + 0x25), 7, CODE + 0x35, 0];
    let (pcs, _, end) = walk(compat(CODE + 8, STACK + 8), &stack, false, &modules);
    assert_eq!((pcs, end), (vec![CODE + 8, CODE + 0x24, CODE + 0x34], End::Root));

    // In the kernel through the vDSO, which pushes three registers.
    let vdso =
        Backing { device: Device { major: 0, minor: 0 }, inode: 0, name: (*b"[vdso]").into() };
    let range = AddressRange::new(0x20_0000, 0x20_1000);
    modules.map_bytes(&mut Images::default(), range, &Arc::new(vdso), b"no ELF file");
    let stack = [word(STACK + 24, 1), word(1, CODE + 0x15), 7, word(0, CODE + 0x25), 0];
    let (pcs, _, end) = walk(compat(0x20_0500, 5), &stack, false, &modules);
    assert_eq!((pcs, end), (vec![0x20_0500, CODE + 0x14, CODE + 0x24], End::Root));
}
