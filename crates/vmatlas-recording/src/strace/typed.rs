//! The calls of a log as recordings have them: of a kind, with numbers for arguments.

use super::line::{Call, Outcome};
use super::value::Value;
use crate::CallKind;
use crate::space::{PR_SET_MEMORY_MERGE, PR_SET_MM, PR_SET_VMA, PROT_GROWSDOWN};
use vmatlas_space::{Advice, HUGE_SHIFT, MAP_ANONYMOUS};

/// A word and its bits.
type Word = (&'static str, u64);

const PROT: &[Word] =
    &[("PROT_READ", 1), ("PROT_WRITE", 2), ("PROT_EXEC", 4), ("PROT_GROWSDOWN", PROT_GROWSDOWN)];

/// include/uapi/asm-generic/mman-common.h; x86 and ARM have the same.
const MAP: &[Word] = &[
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
/// Flags of mmap with which the kernel does not choose the place by itself.
pub(crate) const MAP_PLACED: u64 = 0x10_0010;

const MREMAP: &[Word] = &[("MREMAP_MAYMOVE", 1), ("MREMAP_FIXED", 2), ("MREMAP_DONTUNMAP", 4)];
/// The flag of mremap with which the kernel does not choose the place by itself.
pub(crate) const MREMAP_FIXED: u64 = 2;
const MLOCK: &[Word] = &[("MLOCK_ONFAULT", 1)];
const MLOCKALL: &[Word] = &[("MCL_CURRENT", 1), ("MCL_FUTURE", 2), ("MCL_ONFAULT", 4)];
const SHM: &[Word] = &[("SHM_RDONLY", 0o10000), ("SHM_RND", 0o20000), ("SHM_REMAP", 0o40000)];
const MPOL: &[Word] =
    &[("MPOL_PREFERRED", 1), ("MPOL_BIND", 2), ("MPOL_INTERLEAVE", 3), ("MPOL_LOCAL", 4)];
const PERSONALITY: &[Word] = &[("READ_IMPLIES_EXEC", 0x0040_0000)];
const PR_MM: &[Word] =
    &[("PR_SET_MM_START_STACK", 5), ("PR_SET_MM_START_BRK", 6), ("PR_SET_MM_BRK", 7)];

/// A call, and the name that it gives to memory.
pub(crate) struct Typed {
    pub(crate) call: crate::Call,
    pub(crate) name: Option<Vec<u8>>,
}

/// The sum of what stands between `|`: words of the table, and numbers.
fn bits(value: Value<'_>, words: &[Word]) -> u64 {
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

impl Typed {
    /// A call that can change an address space and has returned; none for others. Of shmat the
    /// size of the segment is left 0: the call does not tell it.
    pub(crate) fn of(call: &Call<'_>) -> Option<Typed> {
        let number = |index: usize| call.arg(index).and_then(Value::number);
        let of = |index: usize, words| call.arg(index).map_or(0, |value| bits(value, words));
        let (first, second) = (number(0).unwrap_or(0), number(1).unwrap_or(0));
        let range = |third, fourth| [first, second, third, fourth, 0, 0];
        let mut name = None;
        let (kind, args) = match call.name {
            "mmap" | "mmap2" | "old_mmap" => {
                let args = [first, number(1)?, of(2, PROT), bits(call.arg(3)?, MAP), 0, number(5)?];
                (CallKind::Mmap, args)
            }
            "munmap" => (CallKind::Munmap, range(0, 0)),
            "mprotect" => (CallKind::Mprotect, range(of(2, PROT), 0)),
            "pkey_mprotect" => {
                // No key is told as -1.
                (CallKind::PkeyMprotect, range(of(2, PROT), number(3).unwrap_or(u64::MAX)))
            }
            "mremap" => {
                let args = [number(0)?, number(1)?, number(2)?, bits(call.arg(3)?, MREMAP), 0, 0];
                (CallKind::Mremap, args)
            }
            "brk" => (CallKind::Brk, range(0, 0)),
            "madvise" => (CallKind::Madvise, range(advice(call.arg(2)?)?, 0)),
            "mlock" => (CallKind::Mlock, range(0, 0)),
            "mlock2" => (CallKind::Mlock, range(of(2, MLOCK), 0)),
            "munlock" => (CallKind::Munlock, range(0, 0)),
            "mlockall" => (CallKind::Mlockall, [of(0, MLOCKALL), 0, 0, 0, 0, 0]),
            "munlockall" => (CallKind::Munlockall, [0; 6]),
            "mseal" | "syscall_0x1ce" => (CallKind::Mseal, range(0, 0)),
            "mbind" => (CallKind::Mbind, range(of(2, MPOL), nodes(call.arg(3)))),
            "remap_file_pages" => (CallKind::RemapFilePages, range(0, number(3).unwrap_or(0))),
            "shmat" => (CallKind::Shmat, range(of(2, SHM), 0)),
            "shmdt" => (CallKind::Shmdt, [first, 0, 0, 0, 0, 0]),
            "map_shadow_stack" => (CallKind::MapShadowStack, range(0, 0)),
            "personality" => (CallKind::Personality, [of(0, PERSONALITY), 0, 0, 0, 0, 0]),
            "pkey_alloc" => (CallKind::PkeyAlloc, range(0, 0)),
            "prctl" => {
                let option = call.arg(0)?;
                let args = if option.has("PR_SET_VMA") {
                    let word = call.arg(4)?;
                    name = if word.number() == Some(0) { None } else { Some(word.string()?.0) };
                    [PR_SET_VMA, 0, number(2)?, number(3)?, 0, 0]
                } else if option.has("PR_SET_MEMORY_MERGE") {
                    [PR_SET_MEMORY_MERGE, number(1)?, 0, 0, 0, 0]
                } else if option.has("PR_SET_MM") {
                    [PR_SET_MM, of(1, PR_MM), number(2)?, 0, 0, 0]
                } else {
                    return None;
                };
                (CallKind::Prctl, args)
            }
            _ => return None,
        };
        let result = match call.result {
            Outcome::Ok(value) => i64::try_from(value.number()?).ok()?,
            Outcome::Failed(Some(errno)) => -i64::from(errno.0),
            Outcome::Failed(None) | Outcome::Unknown => return None,
        };
        Some(Typed { call: crate::Call { kind, args, result }, name })
    }
}

/// The number of an advice; none for one that is not known.
fn advice(word: Value<'_>) -> Option<u64> {
    let name = std::str::from_utf8(word.0).ok()?.trim();
    let number = word.number();
    let known = Advice::ALL.iter().find(|(_, known, value)| {
        let written = name.strip_prefix("MADV_").unwrap_or("");
        number == u64::try_from(*value).ok()
            || written.len() == known.len()
                && written
                    .bytes()
                    .zip(known.bytes())
                    .all(|(a, b)| a.to_ascii_lowercase() == b || (a == b'_' && b == b'-'))
    });
    known.and_then(|(.., value)| u64::try_from(*value).ok())
}

/// The first word of a node mask: `[0x0000000000000003]`.
fn nodes(mask: Option<Value<'_>>) -> u64 {
    let text = mask.map_or(&b""[..], |mask| mask.0).strip_prefix(b"[").unwrap_or_default();
    let word = text.split(|&b| b == b',').next().unwrap_or_default().trim_ascii();
    Value(word.strip_suffix(b"]").unwrap_or(word)).number().unwrap_or(0)
}
