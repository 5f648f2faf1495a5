//! glibc malloc heaps: the main arena in the program break, and the arenas of threads.
//!
//! An arena of a thread has heaps of `HEAP_MAX_SIZE` (64 MiB, 1 MiB on 32 bits), aligned to their
//! size. The used part of a heap is readable and writable, the rest is reserved without
//! permissions. A heap begins with a `heap_info`; in the first heap of an arena its `malloc_state`
//! follows. The states of all arenas form a ring that begins in libc's data (malloc/arena.c and
//! malloc/malloc.c, glibc 2.10 to 2.42).

use super::glibc::{has_glibc, label_reserve};
use super::words::{file_name, size};
use super::{
    Confidence, ImageFacts, Label, Labeller, glibc_chunks, glibc_shapes, is_private_memory,
};
use std::collections::{BTreeMap, HashMap};
use vmatlas_maps::AddressRange;

/// More arenas than the default limit, 8 for each processor, on any machine.
const MAX_ARENAS: usize = 1 << 16;

/// Number of possible heap starts that are checked: those in 4 TiB of memory.
const MAX_PLACES: usize = 1 << 16;
/// Sanitizers reserve terabytes, in which no heap is.
const MAX_PLACES_OF_ROW: usize = 1 << 10;

/// The arenas that the memory shows. The kernel merges them with mappings of other allocators.
pub(super) fn recognise_arenas(labeller: &mut Labeller<'_>) -> Arenas {
    let heap_size = heap_size(labeller);
    let heaps = found_heaps(labeller, heap_size);
    let ring = Ring::of(labeller, &heaps);
    for heap in heaps.values() {
        label_heap(labeller, heap, &ring, heap_size);
    }
    Arenas { heap_size, ring }
}

/// What is known of the arenas of a process.
pub(super) struct Arenas {
    heap_size: u64,
    ring: Ring,
}

/// All other memory of malloc.
pub(super) fn recognise(labeller: &mut Labeller<'_>, Arenas { heap_size, ring }: &Arenas) {
    if !super::allocators::replaced(labeller) {
        glibc_shapes::recognise(labeller, *heap_size);
    }
    program_break(labeller, ring);
    glibc_chunks::recognise(labeller);
}

/// `HEAP_MAX_SIZE`.
fn heap_size(labeller: &Labeller<'_>) -> u64 {
    if labeller.word_size() == 4 { 1 << 20 } else { 64 << 20 }
}

/// A heap of an arena, from its `heap_info`.
struct Heap {
    start: u64,
    /// The address of the arena's `malloc_state`.
    arena: u64,
    /// The end of the usable part.
    end: u64,
}

/// The heaps with a readable `heap_info`, by address.
fn found_heaps(labeller: &Labeller<'_>, heap_size: u64) -> BTreeMap<u64, Heap> {
    let mut heaps = BTreeMap::new();
    if labeller.memory.is_none() {
        return heaps;
    }
    let mut looked_at = 0;
    for row in labeller.maps.iter().filter(is_private_memory) {
        let first = row.range.start.checked_next_multiple_of(heap_size);
        let mut start = first.unwrap_or(u64::MAX);
        let most = MAX_PLACES.min(looked_at + MAX_PLACES_OF_ROW);
        while start < row.range.end && looked_at < most {
            looked_at += 1;
            if let Some(heap) = read_heap(labeller, start, row.range.end, heap_size) {
                heaps.insert(start, heap);
            }
            start = start.saturating_add(heap_size);
        }
    }
    // All heaps of an arena except the first link to the first by `prev`; here its existence is
    // enough.
    let arenas: Vec<u64> = heaps.values().filter(|heap| heap.is_first()).map(|h| h.arena).collect();
    heaps.retain(|_, heap| arenas.binary_search(&heap.arena).is_ok());
    heaps
}

impl Heap {
    /// Whether the arena's `malloc_state` follows the `heap_info`.
    fn is_first(&self) -> bool {
        self.arena.checked_sub(self.start).is_some_and(|offset| offset <= 64)
    }
}

fn read_heap(labeller: &Labeller<'_>, start: u64, row_end: u64, heap_size: u64) -> Option<Heap> {
    let word = labeller.word_size();
    let field = |number: u64| labeller.word(start.checked_add(number * word)?);
    let (arena, previous) = (field(0)?, field(1)?);
    let (used, accessible) = (field(2)?, field(3)?);
    let end = start.checked_add(accessible)?;
    let fits = arena % word == 0
        && previous % heap_size == 0
        && used >= labeller.page_size()
        && used <= accessible
        && accessible <= heap_size
        && accessible % labeller.page_size() == 0
        && end <= row_end;
    let heap = Heap { start, arena, end };
    let first = heap.is_first() && previous == 0 && arena > start;
    let later = !heap.is_first() && previous != 0 && arena % heap_size <= 64;
    (fits && (first || later)).then_some(heap)
}

/// The ring of all arenas, numbered as by malloc_info(3): 0 is the main arena.
#[derive(Default)]
struct Ring {
    numbers: HashMap<u64, usize>,
    main: Option<u64>,
}

impl Ring {
    fn of(labeller: &Labeller<'_>, heaps: &BTreeMap<u64, Heap>) -> Ring {
        let first_heaps = || heaps.values().filter(|heap| heap.is_first());
        let Some(any) = first_heaps().next() else { return Ring::default() };
        let arenas: HashMap<u64, ()> = first_heaps().map(|heap| (heap.arena, ())).collect();
        // The offset of `next` differs between versions of glibc.
        let offsets = if labeller.word_size() == 4 { 0x420..0x470 } else { 0x860..0x890 };
        for offset in offsets.step_by(labeller.word_size() as usize) {
            let mut ring = vec![any.arena];
            let mut main = None;
            while ring.len() <= MAX_ARENAS
                && let Some(&last) = ring.last()
                && let Some(next) = last.checked_add(offset).and_then(|at| labeller.word(at))
                && next != any.arena
            {
                if !arenas.contains_key(&next) {
                    // Only the main arena is in the data of a file.
                    if main.is_some() || !in_data(labeller, next) {
                        main = None;
                        break;
                    }
                    main = Some(ring.len());
                }
                ring.push(next);
            }
            if let Some(at) = main
                && ring.last().and_then(|last| labeller.word(last.checked_add(offset)?))
                    == Some(any.arena)
            {
                ring.rotate_left(at);
                let numbers = ring.iter().enumerate().map(|(n, &arena)| (arena, n)).collect();
                return Ring { numbers, main: ring.first().copied() };
            }
        }
        Ring::default()
    }
}

fn in_data(labeller: &Labeller<'_>, address: u64) -> bool {
    let images = labeller.facts.images.iter();
    images
        .flat_map(|image| &image.segments)
        .any(|(range, _, writable)| *writable && range.contains(address))
}

fn label_heap(labeller: &mut Labeller<'_>, heap: &Heap, ring: &Ring, heap_size: u64) {
    let number = ring.numbers.get(&heap.arena);
    let (name, confidence, because) = match number {
        Some(number) => (
            format!("arena {number}"),
            Confidence::Certain,
            format!("its heap_info leads to a malloc_state at {:#x} in libc's list", heap.arena),
        ),
        None => (
            format!("arena at {:#x}", heap.arena),
            Confidence::Likely,
            "it begins with a heap_info, and is aligned to the size of a heap".to_owned(),
        ),
    };
    let end = heap.start.saturating_add(heap_size);
    let text = format!(
        "glibc malloc: {name}, {} of {} accessible",
        size(heap.end - heap.start),
        size(heap_size)
    );
    let label = Label::new("glibc arena", confidence, text, because.as_str());
    labeller.label(AddressRange::new(heap.start, heap.end), &label);
    let text = format!("glibc malloc: reserve of {name}");
    label_reserve(
        labeller,
        AddressRange::new(heap.end, end),
        &Label::new("glibc arena reserve", confidence, text, because),
    );
}

/// Labels the program break, `[heap]`.
fn program_break(labeller: &mut Labeller<'_>, ring: &Ring) {
    let rows = super::allocators::program_break(labeller);
    let Some((first, last)) = rows.first().zip(rows.last()) else { return };
    let label = |confidence, because: &str| {
        let text = "glibc malloc: main heap (the program break)";
        Label::new("glibc main heap", confidence, text, because)
    };
    const CHUNKS: &str = "it begins with chunks of malloc, one behind the other";
    let start = labeller.facts.start_brk.unwrap_or(first.start).max(first.start);
    let top = ring.main.and_then(|main| main_top(labeller, main));
    let is_here = |top: &u64| rows.iter().any(|row| row.contains(*top));
    // Programs with a malloc of their own may have chunks like glibc's.
    let is_other = super::allocators::other_malloc(labeller).is_some();
    let label = if let Some(top) = top.filter(is_here) {
        let because = format!("the top of the main arena in libc's list, {top:#x}, is here");
        label(Confidence::Certain, &because)
    } else if let Some(top) = top_of_only_arena(labeller, is_here) {
        let because = format!("the top of the only arena in libc's data, {top:#x}, is here");
        label(Confidence::Certain, &because)
    } else if !is_other && glibc_chunks::are_chunks(labeller, start, last.end) {
        // The malloc of uClibc has the same chunks.
        let is_uclibc = labeller.files.iter().any(|path| file_name(path).contains("uClibc"));
        match (has_glibc(labeller), is_uclibc) {
            (true, _) => label(Confidence::Likely, CHUNKS),
            (false, true) => {
                let text = "malloc: main heap (the program break)";
                Label::new("program break", Confidence::Likely, text, CHUNKS)
            }
            (false, false) => label(Confidence::Guess, CHUNKS),
        }
    } else if !is_other
        && !labeller.is_read(AddressRange::new(start, last.end))
        && has_glibc(labeller)
        && !super::allocators::replaced(labeller)
    {
        match mover_of_break(labeller) {
            Mover::Libc => {
                let because = "the kernel calls it [heap], and the program uses glibc";
                label(Confidence::Likely, because)
            }
            Mover::Unknown => {
                let because = "the kernel calls it [heap], and glibc is mapped; but the program \
                               may have a malloc of its own";
                label(Confidence::Guess, because)
            }
            Mover::Image(name) => {
                let because = format!(
                    "the kernel calls it [heap], and glibc is mapped; but {name} can move \
                     the program break itself"
                );
                label(Confidence::Guess, &because)
            }
        }
    } else if let Some(label) = super::allocators::tcmalloc_break(labeller) {
        label
    } else {
        let because = "the kernel calls it [heap]";
        Label::new("program break", Confidence::Certain, "the program break (brk)", because)
    };
    for row in rows {
        labeller.label(row, &label);
    }
    // If the break cannot grow, the main arena continues elsewhere.
    if let Some(top) = top
        && let Some(row) = labeller.row_at(top).filter(is_private_memory)
    {
        let text = "glibc malloc: main heap, beside the program break";
        let because = format!("the top of the main arena in libc's list, {top:#x}, is here");
        let label = Label::new("glibc main heap", Confidence::Certain, text, because);
        // Large blocks mapped later are below, and the kernel may have merged them.
        let below = AddressRange::new(row.range.start, top);
        let start = glibc_chunks::blocks(labeller, below, Confidence::Certain);
        labeller.label(AddressRange::new(start, row.range.end), &label);
    }
}

/// `top` of a `malloc_state`, which follows two or three `int`s and the fast bins.
fn main_top(labeller: &Labeller<'_>, main: u64) -> Option<u64> {
    let offset = if labeller.word_size() == 4 { 56 } else { 0x60 };
    labeller.word(main.checked_add(offset)?)
}

/// The top of the main arena if no thread has another: a word of libc's data, in a `malloc_state`
/// whose list has only itself. `is_here` says whether an address may be the top.
fn top_of_only_arena(labeller: &Labeller<'_>, is_here: impl Fn(&u64) -> bool) -> Option<u64> {
    /// No data of glibc is larger. That of a static program may be.
    const MAX_DATA: u64 = 1 << 20;
    let memory = labeller.memory?;
    let word = labeller.word_size();
    // `top` and the address of the last remainder, 254 bins and a bitmap of 16 bytes precede `next`.
    let next = 256 * word + 16;
    // Two or three `int`s and the fast bins precede `top`.
    let before = 0x28..=0x68;
    let images = labeller.facts.images.iter().filter(|image| super::glibc::is_in(image));
    let mut data = images.flat_map(|image| &image.segments).filter(|(.., writable)| *writable);
    data.find_map(|(data, ..)| {
        let mut bytes = vec![0; usize::try_from(data.size().min(MAX_DATA)).unwrap_or(0)];
        let length = memory.read(data.start, &mut bytes);
        bytes.truncate(length);
        let words = bytes.chunks_exact(word as usize).enumerate();
        let mut tops = words.map(|(index, word)| (index, super::little_endian(word)));
        tops.find_map(|(index, top)| {
            let at = data.start.checked_add(index as u64 * word)?;
            let arena = labeller.word(at.checked_add(next)?).filter(|_| is_here(&top))?;
            before.contains(&at.checked_sub(arena)?).then_some(top)
        })
    })
}

/// Who moves the program break.
enum Mover {
    /// The C library's malloc, as far as the files show.
    Libc,
    /// This file, too.
    Image(String),
    /// The program's file was not read.
    Unknown,
}

fn mover_of_break(labeller: &Labeller<'_>) -> Mover {
    let images = &labeller.facts.images;
    let moves = |image: &&ImageFacts| image.moves_break == Some(true);
    if let Some(image) = images.iter().find(moves) {
        return Mover::Image(file_name(&image.name));
    }
    let program = labeller.files.first();
    let is_read = |image: &ImageFacts| {
        program.is_some_and(|program| image.name == *program) && image.moves_break.is_some()
    };
    if images.iter().any(is_read) { Mover::Libc } else { Mover::Unknown }
}
