//! The arguments of mmap.

use super::line::Call;
use super::value::Value;
use crate::space::{File, HUGE_SHIFT, MAP_ANONYMOUS, Mmap};

const PROT: &[(&str, u64)] =
    &[("PROT_READ", 1), ("PROT_WRITE", 2), ("PROT_EXEC", 4), ("PROT_GROWSDOWN", GROWSDOWN)];
/// `PROT_GROWSDOWN`.
pub(crate) const GROWSDOWN: u64 = 0x0100_0000;

/// include/uapi/asm-generic/mman-common.h; x86 and ARM have the same.
const MAP: &[(&str, u64)] = &[
    ("MAP_SHARED", 1),
    ("MAP_PRIVATE", 2),
    ("MAP_SHARED_VALIDATE", 3),
    ("MAP_DROPPABLE", 8),
    ("MAP_FIXED", 0x10),
    ("MAP_ANONYMOUS", MAP_ANONYMOUS),
    ("MAP_GROWSDOWN", 0x100),
    ("MAP_LOCKED", 0x2000),
    ("MAP_NORESERVE", 0x4000),
    ("MAP_POPULATE", 0x8000),
    ("MAP_STACK", 0x2_0000),
    ("MAP_HUGETLB", 0x4_0000),
    ("MAP_FIXED_NOREPLACE", 0x10_0000),
];

/// What mmap was asked for, as far as an address space is concerned.
pub(crate) struct MmapCall {
    flags: u64,
    prot: u64,
    pub(crate) length: u64,
    offset: u64,
    pub(crate) anonymous: bool,
}

/// The sum of what stands between `|`: words of the table, and numbers.
fn bits(value: Value<'_>, words: &[(&str, u64)]) -> u64 {
    value.flags().fold(0, |sum, word| {
        let known = words.iter().find(|(name, _)| name.as_bytes() == word);
        sum | known
            .map(|(_, bits)| *bits)
            .or_else(|| {
                let shift = word.strip_suffix(b"<<MAP_HUGE_SHIFT")?;
                Some((Value(shift).number()? & 63) << HUGE_SHIFT)
            })
            .or_else(|| Value(word).number())
            .unwrap_or(0)
    })
}

/// The bits of `PROT_READ` and so on.
pub(crate) fn prot_bits(value: Value<'_>) -> u64 {
    bits(value, PROT)
}

impl MmapCall {
    pub(crate) fn of(call: &Call<'_>) -> Option<MmapCall> {
        let flags = bits(call.arg(3)?, MAP);
        Some(MmapCall {
            flags,
            prot: prot_bits(call.arg(2)?),
            length: call.arg(1)?.number()?,
            offset: call.arg(5)?.number()?,
            anonymous: flags & MAP_ANONYMOUS != 0,
        })
    }

    /// Whether the kernel chose the place by itself.
    pub(crate) fn is_free(&self) -> bool {
        self.flags & 0x10_0010 == 0
    }

    /// The length in whole pages.
    pub(crate) fn extent(&self) -> u64 {
        let unit = self.huge().unwrap_or(4096);
        self.length.checked_next_multiple_of(unit).unwrap_or(self.length)
    }

    fn huge(&self) -> Option<u64> {
        self.request(0, None).huge
    }

    pub(crate) fn request(&self, address: u64, file: Option<File>) -> Mmap {
        let request = Mmap::from_bits(address, self.length, self.prot, self.flags);
        Mmap { file: file.map(|file| (file, self.offset)), ..request }
    }
}
