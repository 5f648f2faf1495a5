//! Reads structures of 64-bit programs.

use super::Labeller;
use crate::crash::Machine;
use vmatlas_object::Memory;

/// The memory of a 64-bit little-endian process.
#[derive(Clone, Copy)]
pub(super) struct Peek<'a>(&'a dyn Memory);

impl<'a> Peek<'a> {
    /// `None` without memory, and on other machines.
    pub(super) fn of(labeller: &Labeller<'a>) -> Option<Peek<'a>> {
        let known = matches!(
            labeller.facts.machine,
            Some(Machine::X86_64 | Machine::AArch64 | Machine::RiscV64)
        );
        labeller.memory.filter(|_| known).map(Peek)
    }

    /// Reads as many bytes as possible, at most `length`.
    pub(super) fn bytes(self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let read = self.0.read(address, &mut bytes);
        bytes.truncate(read);
        bytes
    }

    pub(super) fn byte(self, address: u64) -> Option<u8> {
        self.0.array(address).map(|[byte]| byte)
    }

    pub(super) fn u32(self, address: u64) -> Option<u32> {
        self.0.array(address).map(u32::from_le_bytes)
    }

    pub(super) fn u64(self, address: u64) -> Option<u64> {
        self.0.array(address).map(u64::from_le_bytes)
    }

    /// Reads `N` consecutive words.
    pub(super) fn words<const N: usize>(self, address: u64) -> Option<[u64; N]> {
        let bytes = self.bytes(address, N * 8);
        let mut words = words(&bytes);
        let mut found = [0; N];
        for word in &mut found {
            *word = words.next()?;
        }
        Some(found)
    }

    /// Reads NUL-terminated text; `None` if it is longer than any structure name.
    pub(super) fn text(self, address: u64) -> Option<String> {
        let bytes = self.bytes(address, 96);
        let end = bytes.iter().position(|&b| b == 0)?;
        String::from_utf8(bytes.get(..end)?.to_vec()).ok()
    }
}

/// The words in `bytes`.
pub(super) fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word))
}
