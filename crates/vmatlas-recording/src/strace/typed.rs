//! Converts the calls of a log to those of recordings: a kind, and numeric arguments.

use super::line::{Call, Outcome};
use super::value::Value;
use crate::CallKind;
use crate::call::{Form, Meaning, SystemCall};
use vmatlas_maps::uapi::mempolicy::{MPOL_BIND, MPOL_INTERLEAVE, MPOL_LOCAL, MPOL_PREFERRED};
use vmatlas_maps::uapi::mman::{
    MAP_ANONYMOUS, MAP_DROPPABLE, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_GROWSDOWN, MAP_HUGE_MASK,
    MAP_HUGE_SHIFT, MAP_HUGETLB, MAP_LOCKED, MAP_NORESERVE, MAP_POPULATE, MAP_PRIVATE, MAP_SHARED,
    MAP_SHARED_VALIDATE, MAP_STACK, MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT, MLOCK_ONFAULT,
    MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE, PROT_EXEC, PROT_GROWSDOWN, PROT_READ,
    PROT_WRITE,
};
use vmatlas_maps::uapi::personality::READ_IMPLIES_EXEC;
use vmatlas_maps::uapi::prctl::{
    ARCH_MAP_VDSO_32, ARCH_MAP_VDSO_64, ARCH_MAP_VDSO_X32, PR_SET_MEMORY_MERGE, PR_SET_MM,
    PR_SET_MM_BRK, PR_SET_MM_START_BRK, PR_SET_MM_START_STACK, PR_SET_VMA,
};
use vmatlas_maps::uapi::shm::{SHM_RDONLY, SHM_REMAP, SHM_RND};
use vmatlas_space::Advice;

/// A word and its bits.
type Word = (&'static str, u64);

/// Constants with their names, as strace writes them.
macro_rules! words {
    ($($name:ident)+) => {
        &[$((stringify!($name), $name)),+]
    };
}

const PROT: &[Word] = words![PROT_READ PROT_WRITE PROT_EXEC PROT_GROWSDOWN];
const MAP: &[Word] = words![
    MAP_SHARED MAP_PRIVATE MAP_SHARED_VALIDATE MAP_DROPPABLE MAP_FIXED MAP_ANONYMOUS
    MAP_GROWSDOWN MAP_LOCKED MAP_NORESERVE MAP_POPULATE MAP_STACK MAP_HUGETLB MAP_FIXED_NOREPLACE
];
const MREMAP: &[Word] = words![MREMAP_MAYMOVE MREMAP_FIXED MREMAP_DONTUNMAP];
const MLOCK: &[Word] = words![MLOCK_ONFAULT];
const MLOCKALL: &[Word] = words![MCL_CURRENT MCL_FUTURE MCL_ONFAULT];
const SHM: &[Word] = words![SHM_RDONLY SHM_RND SHM_REMAP];
const MPOL: &[Word] = words![MPOL_PREFERRED MPOL_BIND MPOL_INTERLEAVE MPOL_LOCAL];
const PERSONALITY: &[Word] = words![READ_IMPLIES_EXEC];
const VDSO: &[Word] = words![ARCH_MAP_VDSO_X32 ARCH_MAP_VDSO_32 ARCH_MAP_VDSO_64];
const PR_MM: &[Word] = words![PR_SET_MM_START_STACK PR_SET_MM_START_BRK PR_SET_MM_BRK];

/// The flags of mmap that fix the address.
pub(crate) const MAP_PLACED: u64 = MAP_FIXED | MAP_FIXED_NOREPLACE;

/// A call, and the name that it sets for memory.
pub(crate) struct Typed {
    pub(crate) call: crate::Call,
    pub(crate) name: Option<Vec<u8>>,
}

/// The sum of the terms between `|`: words of the table, and numbers.
fn bits(value: Value<'_>, words: &[Word]) -> u64 {
    value.flags().fold(0, |sum, word| {
        let known = words.iter().find(|(name, _)| name.as_bytes() == word);
        sum | known
            .map(|(_, bits)| *bits)
            .or_else(|| {
                let shift = word.strip_suffix(b"<<MAP_HUGE_SHIFT")?;
                Some((Value(shift).number()? & MAP_HUGE_MASK) << MAP_HUGE_SHIFT)
            })
            .or_else(|| Value(word).number())
            .unwrap_or(0)
    })
}

impl Typed {
    /// Converts a call that has returned and can change an address space; `None` for others. The
    /// segment size of shmat is left 0: the call does not contain it.
    pub(crate) fn of(call: &Call<'_>) -> Option<Typed> {
        let number = |index: usize| call.arg(index).and_then(Value::number);
        let of = |index: usize, words| call.arg(index).map_or(0, |value| bits(value, words));
        let (first, second) = (number(0).unwrap_or(0), number(1).unwrap_or(0));
        let range = |third, fourth| [first, second, third, fourth, 0, 0];
        let mut name = None;
        let kind = kind(call.name)?;
        let args = match kind {
            CallKind::Mmap => {
                [first, number(1)?, of(2, PROT), bits(call.arg(3)?, MAP), 0, number(5)?]
            }
            CallKind::Munmap | CallKind::Munlock | CallKind::Mseal => range(0, 0),
            CallKind::Mprotect => range(of(2, PROT), 0),
            // A key of -1 means none.
            CallKind::PkeyMprotect => range(of(2, PROT), number(3).unwrap_or(u64::MAX)),
            CallKind::Mremap => {
                [number(0)?, number(1)?, number(2)?, bits(call.arg(3)?, MREMAP), 0, 0]
            }
            CallKind::Brk | CallKind::MapShadowStack | CallKind::PkeyAlloc => range(0, 0),
            CallKind::Madvise => range(advice(call.arg(2)?)?, 0),
            CallKind::Mlock => range(of(2, MLOCK), 0),
            CallKind::Mlockall => [of(0, MLOCKALL), 0, 0, 0, 0, 0],
            CallKind::Munlockall => [0; 6],
            CallKind::Mbind => range(of(2, MPOL), nodes(call.arg(3))),
            CallKind::RemapFilePages => range(0, number(3).unwrap_or(0)),
            CallKind::Shmat => range(of(2, SHM), 0),
            CallKind::Shmdt => [first, 0, 0, 0, 0, 0],
            CallKind::Personality => [of(0, PERSONALITY), 0, 0, 0, 0, 0],
            CallKind::Prctl => {
                let option = call.arg(0)?;
                if option.has("PR_SET_VMA") {
                    let word = call.arg(4)?;
                    name = if word.number() == Some(0) { None } else { Some(word.string()?.0) };
                    [PR_SET_VMA, 0, number(2)?, number(3)?, 0, 0]
                } else if option.has("PR_SET_MEMORY_MERGE") {
                    [PR_SET_MEMORY_MERGE, number(1)?, 0, 0, 0, 0]
                } else if option.has("PR_SET_MM") {
                    [PR_SET_MM, of(1, PR_MM), number(2)?, 0, 0, 0]
                } else {
                    return None;
                }
            }
            // With a hint, the kernel put `[vdso]` there; without one, the log does not show the
            // address.
            CallKind::ArchPrctl => {
                let option = call.arg(0)?;
                let known = VDSO.iter().find(|(word, _)| option.has(word));
                [known.filter(|_| second != 0)?.1, second, 0, 0, 0, 0]
            }
            // Calls whose descriptors and rings are tracked elsewhere, or for which the log lacks
            // the data to change this process.
            CallKind::PkeyFree
            | CallKind::Userfaultfd
            | CallKind::UffdRegister
            | CallKind::UffdUnregister
            | CallKind::IoSetup
            | CallKind::IoDestroy
            | CallKind::ProcessMadvise
            | CallKind::SetMempolicyHomeNode => return None,
        };
        let result = match call.result {
            Outcome::Ok(value) => i64::try_from(value.number()?).ok()?,
            Outcome::Failed(Some(errno)) => -i64::from(errno.0),
            Outcome::Failed(None) | Outcome::Unknown => return None,
        };
        Some(Typed { call: crate::Call { kind, args, result }, name })
    }
}

/// The kind of the calls with that name; `None` for calls that are not replayed. strace writes the
/// subcalls of ipc(2) with their own names.
fn kind(name: &str) -> Option<CallKind> {
    SystemCall::named(name).filter(|call| call.form != Form::Ipc).find_map(|call| {
        match call.meaning {
            Meaning::Change(kind) => Some(kind),
            _ => None,
        }
    })
}

/// The number of an advice; `None` if it is not known.
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
