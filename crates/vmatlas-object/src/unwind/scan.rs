//! Scans the stack for return addresses, for code without tables and frame pointers.

use super::arch;
use super::memory::ReadMemory;
use super::modules::Modules;

/// How far up the stack is scanned, in words.
const WORDS: u64 = 1024;

/// Remaining scan work of a walk. Each code address costs a read.
#[derive(Debug)]
pub(super) struct Budget {
    /// Frames that may still be guessed.
    pub(super) frames: u32,
    /// Code addresses that may still be checked.
    pub(super) places: u32,
}

impl Budget {
    pub(super) const WHOLE: Budget = Budget { frames: 16, places: 64 };
}

/// Whether `address` is code directly after a call instruction.
pub(super) fn is_return_address(
    modules: &Modules,
    memory: &mut impl ReadMemory,
    budget: &mut Budget,
    address: u64,
) -> bool {
    let Some(start) = address.checked_sub(arch::CALL as u64) else { return false };
    if !modules.is_executable(address - 1) || budget.places == 0 {
        return false;
    }
    budget.places -= 1;
    let mut code = [0; arch::CALL];
    memory.code(start, &mut code)
        && match arch::call_before(address, &code) {
            Some(arch::Callee::Address(callee)) => modules.is_executable(callee),
            Some(arch::Callee::Unknown) => true,
            None => false,
        }
}

/// The next return address on the stack from `sp` on: its stack address and its value.
pub(super) fn next_return_address(
    modules: &Modules,
    memory: &mut impl ReadMemory,
    budget: &mut Budget,
    sp: u64,
) -> Option<(u64, u64)> {
    budget.frames = budget.frames.checked_sub(1)?;
    let first = sp.checked_next_multiple_of(8)?;
    for at in (0..WORDS).map_while(|word| first.checked_add(word * 8)) {
        let word = memory.word(at)?;
        if is_return_address(modules, memory, budget, word) {
            return Some((at, word));
        }
    }
    None
}
