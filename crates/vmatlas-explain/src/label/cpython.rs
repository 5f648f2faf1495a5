//! Arenas of CPython's small-object allocator (Objects/obmalloc.c; checked on CPython 3.7 to 3.13).
//!
//! An arena has 1 MiB since 3.10 and 256 KiB before; its pools have 16 KiB and 4 KiB, each with
//! blocks of one size. The array `arenas` has an entry for each arena. It is not exported, but a
//! pool's header has its arena's index, which identifies a pointer to the array.

use super::peek::{Peek, words};
use super::runs::{Part, Run, runs};
use super::{Confidence, ImageFacts, Label, Labeller, others};
use std::collections::HashSet;
use vmatlas_maps::{AddressRange, Kind, Mapping};

/// Sizes that differ between versions.
struct Sizes {
    arena: u64,
    pool: u64,
}
const SIZES: [Sizes; 2] =
    [Sizes { arena: 1 << 20, pool: 16 << 10 }, Sizes { arena: 256 << 10, pool: 4 << 10 }];

/// `sizeof(struct arena_object)`.
const ENTRY: u64 = 48;
/// Enough arenas for a terabyte.
const MAX_ARENAS: u64 = 1 << 20;
/// Number of pools to find: more than needed to identify the array.
const ENOUGH_POOLS: usize = 8;
/// Pools of a part that are looked at: those of an arena that begins anywhere in the first MiB.
const POOLS: u64 = 64;
/// Upper limit of the interpreter's `.data` and `.bss`.
const MAX_DATA: u64 = 16 << 20;

const GROUP: &str = "CPython arena";

fn interpreter<'a>(labeller: &Labeller<'a>) -> Option<&'a ImageFacts> {
    labeller.facts.images.iter().find(|image| image.symbol("_PyRuntime").is_some())
}

/// Labels arenas from the array of arenas.
pub(super) fn recognise_certain(labeller: &mut Labeller<'_>) {
    let (Some(image), Some(peek)) = (interpreter(labeller), Peek::of(labeller)) else { return };
    let all = runs(labeller);
    for sizes in &SIZES {
        let pools = pools(peek, &all, sizes);
        if pools.is_empty() {
            continue;
        }
        let Some(array) = array(labeller, image, peek, &pools, sizes) else { continue };
        for (number, start) in arenas(labeller, peek, array, sizes) {
            let label = Label::new(
                GROUP,
                Confidence::Certain,
                format!("arena {number} of CPython's small objects"),
                format!("entry {number} of its array of arenas at {array:#x} says so"),
            );
            labeller.label(AddressRange::new(start, start.saturating_add(sizes.arena)), &label);
        }
        return;
    }
}

/// Labels arenas by their sizes, where the array of arenas was not found.
///
/// That is a guess: blocks of malloc have any size, and other code that maps memory itself uses
/// round sizes, too.
pub(super) fn recognise_by_size(labeller: &mut Labeller<'_>) {
    if interpreter(labeller).is_none()
        || labeller.parts.values().any(|part| part.label.group == GROUP)
    {
        return;
    }
    let other = others::other_than(labeller, "CPython").map(str::to_owned);
    let other = other.or_else(|| others::unknown_code(labeller, is_own));
    let size = "CPython is mapped, and the size is a multiple of an arena's";
    let because = match other {
        Some(other) => {
            format!("{size}; but {other} is mapped, too, and may have memory of any size")
        }
        None => format!("{size}; but blocks of malloc may have it, too"),
    };
    let text = "arenas of CPython's small objects";
    let label = Label::new(GROUP, Confidence::Guess, text, because);
    let [Sizes { arena, .. }, _] = SIZES;
    for run in runs(labeller) {
        let mut is_guarded = false;
        for part in run.parts() {
            // Memory above a guard is a stack.
            if is_data(part) && part.range.size().is_multiple_of(arena) && !is_guarded {
                labeller.label(part.range, &label);
            }
            is_guarded = part.perms.none();
        }
    }
}

/// Whether a file is part of CPython and maps no private memory itself. A free-threaded build uses
/// mimalloc instead of arenas.
fn is_own(path: &[u8], name: &str) -> bool {
    let is_module = memchr::memmem::find(path, b"/lib-dynload/").is_some();
    let version = name.strip_prefix("lib").unwrap_or(name).strip_prefix("python");
    let is_free_threaded = |version: &str| {
        let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
        version.get(end..).is_some_and(|rest| rest.starts_with('t'))
    };
    match version {
        Some(version) => !is_free_threaded(version),
        // These two let a program map memory.
        None => is_module && !name.starts_with("mmap.") && !name.starts_with("_ctypes."),
    }
}

/// Whether arenas have better labels than guesses.
pub(super) fn has_found(labeller: &Labeller<'_>) -> bool {
    let mut labels = labeller.parts.values().map(|part| &part.label);
    labels.any(|label| label.group == GROUP && label.confidence > Confidence::Guess)
}

/// Whether the process contains CPython.
pub(super) fn is_here(labeller: &Labeller<'_>) -> bool {
    interpreter(labeller).is_some()
}

fn is_data(part: &Part) -> bool {
    part.perms.read() && part.perms.write() && !part.perms.execute()
}

/// A pool of blocks.
struct Pool {
    address: u64,
    /// The index of its arena.
    arena: u64,
}

/// Finds some pools.
fn pools(peek: Peek<'_>, runs: &[Run], sizes: &Sizes) -> Vec<Pool> {
    let parts = runs.iter().flat_map(Run::parts).filter(|part| is_data(part));
    let large = parts.filter(|part| part.range.size() >= sizes.arena);
    let in_part = |part: &Part| {
        let first = part.range.start.checked_next_multiple_of(sizes.pool)?;
        // An arena with pools has one at its start, which may be anywhere in the part; an arena near
        // the start of the part is enough.
        (0..POOLS).find_map(|index| {
            let address = first.checked_add(index * sizes.pool)?;
            pool(peek, address, sizes).filter(|_| address < part.range.end)
        })
    };
    large.filter_map(in_part).take(ENOUGH_POOLS).collect()
}

/// Parses `struct pool_header`: `ref`, `freeblock`, `nextpool`, `prevpool`, and four ints:
/// `arenaindex`, `szidx`, `nextoffset`, `maxnextoffset`. The last one is the pool's size minus that
/// of a block.
fn pool(peek: Peek<'_>, address: u64, sizes: &Sizes) -> Option<Pool> {
    let [count, _, next, previous, index, offsets] = peek.words(address)?;
    let halves = |word: u64| (word & 0xffff_ffff, word >> 32);
    let ((arena, size_class), (next_offset, most)) = (halves(index), halves(offsets));
    let block = size_class.checked_add(1).filter(|_| size_class < 64)?.checked_mul(16)?;
    let fits = count >> 32 == 0
        && count & 0xffff_ffff <= sizes.pool / 16
        && next != 0
        && previous != 0
        && most == sizes.pool.checked_sub(block)?
        && next_offset <= sizes.pool
        && next_offset >= 48;
    fits.then_some(Pool { address, arena })
}

/// The address of the array that contains the arenas of these pools.
fn array(
    labeller: &Labeller<'_>,
    image: &ImageFacts,
    peek: Peek<'_>,
    pools: &[Pool],
    sizes: &Sizes,
) -> Option<u64> {
    let is_array = |array: u64| {
        pools.iter().all(|pool| {
            let entry = pool.arena.checked_mul(ENTRY).and_then(|at| array.checked_add(at));
            let start = entry.and_then(|entry| peek.u64(entry)).unwrap_or(0);
            start != 0 && pool.address.wrapping_sub(start) < sizes.arena
        })
    };
    let writable = image.segments.iter().filter(|(_, _, writable)| *writable);
    let mut in_files = Vec::new();
    let mut elsewhere = Vec::new();
    let mut last: Option<Mapping<'_>> = None;
    for (range, _, _) in writable {
        let size = usize::try_from(range.size().min(MAX_DATA)).unwrap_or(0);
        let bytes = peek.bytes(range.start, size);
        for array in words(&bytes).filter(|array| *array != 0 && array.is_multiple_of(8)) {
            // Pointers of one place lead to one row, as a rule.
            if last.is_none_or(|row| !row.range.contains(array)) {
                last = labeller.row_at(array);
            }
            match last.filter(|row| row.range.contains(array) && row.perms.write()) {
                Some(row) if row.kind() == Kind::File => in_files.push(array),
                Some(_) => elsewhere.push(array),
                None => {}
            }
        }
    }
    // The array is memory of malloc. Most of the pointers lead to types, which are data of files.
    let mut tried = HashSet::new();
    let mut pointers = elsewhere.into_iter().chain(in_files);
    pointers.find(|&array| tried.insert(array) && is_array(array))
}

/// The indices and addresses of all arenas of an array. Each entry has the arena's address, the
/// next pool to use, and the numbers of free and of all pools.
fn arenas(labeller: &Labeller<'_>, peek: Peek<'_>, array: u64, sizes: &Sizes) -> Vec<(u64, u64)> {
    /// Entries read at once.
    const BLOCK: u64 = 256;
    let mut found = Vec::new();
    let most_pools = sizes.arena / sizes.pool;
    for first in (0..MAX_ARENAS).step_by(256) {
        let Some(at) = first.checked_mul(ENTRY).and_then(|offset| array.checked_add(offset)) else {
            break;
        };
        let bytes = peek.bytes(at, (BLOCK * ENTRY) as usize);
        let entries = bytes.as_chunks::<{ ENTRY as usize }>().0;
        for (number, entry) in (first..).zip(entries) {
            let mut fields = words(entry);
            let (Some(start), Some(next), Some(counts)) =
                (fields.next(), fields.next(), fields.next())
            else {
                return found;
            };
            if start == 0 {
                continue;
            }
            let (free, total) = (counts & 0xffff_ffff, counts >> 32);
            let is_arena = start.is_multiple_of(labeller.page_size())
                && next.wrapping_sub(start) <= sizes.arena
                && (most_pools - 1..=most_pools).contains(&total)
                && free <= total
                && labeller.row_at(start).is_some_and(|row| row.perms.write());
            // Other data follows the array.
            if !is_arena {
                return found;
            }
            found.push((number, start));
        }
        // The array doubles: it has no more free entries after the last arena than used ones.
        let last = found.last().map_or(0, |(number, _)| *number);
        if entries.len() < BLOCK as usize || first > last.saturating_mul(2).saturating_add(BLOCK) {
            break;
        }
    }
    found
}
