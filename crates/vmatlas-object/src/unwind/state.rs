//! The known registers of a frame.

use super::arch;
use super::frame::Registers;

/// The registers of a frame, each known or unknown.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    values: [u64; arch::REGISTERS],
    /// One bit for each known register.
    known: u32,
}

impl State {
    pub(super) fn new(registers: &Registers) -> State {
        let mut state = State { values: [0; arch::REGISTERS], known: 0 };
        state.set(arch::IP, Some(registers.ip));
        state.set(arch::SP, Some(registers.sp));
        state.set(arch::FP, Some(registers.fp));
        state
    }

    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<u64> {
        let known = index < arch::REGISTERS && self.known >> index & 1 == 1;
        known.then(|| self.values[index])
    }

    #[inline]
    pub(super) fn set(&mut self, index: usize, value: Option<u64>) {
        let Some(slot) = self.values.get_mut(index) else { return };
        match value {
            Some(value) => {
                *slot = value;
                self.known |= 1 << index;
            }
            None => self.known &= !(1 << index),
        }
    }

    /// Drops the registers that are unknown in a caller unless a rule restores them.
    #[inline]
    pub(super) fn keep(&mut self) {
        const KEPT: u32 = {
            let (mut bits, mut i) = (0, 0);
            while i < arch::CALLEE_SAVED.len() {
                bits |= 1 << arch::CALLEE_SAVED[i];
                i += 1;
            }
            bits
        };
        self.known &= KEPT;
    }

    /// The instruction pointer.
    pub(super) fn ip(&self) -> u64 {
        self.values[arch::IP]
    }

    /// The stack pointer.
    pub(super) fn sp(&self) -> u64 {
        self.values[arch::SP]
    }

    /// The frame pointer, if known.
    pub(super) fn fp(&self) -> Option<u64> {
        self.get(arch::FP)
    }
}
