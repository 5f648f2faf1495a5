//! The purpose of unnamed memory: labels, each with its reason and a confidence.
//!
//! [`Labels::read`] uses the rows and [`Facts`], which need no access to the process's memory. With
//! a [`Memory`] it also reads the structures that allocators and runtimes keep there, which turns
//! guesses into certain labels. Live processes and core dumps are handled alike; `vmatlas-linux`
//! gathers the facts of a live process.
//!
//! Memory that no recogniser matches gets no label and counts as unexplained.
//!
//! ```
//! use vmatlas_maps::Maps;
//! use vmatlas_explain::label::{Confidence, Facts, Labels};
//!
//! let maps = Maps::parse(b"7f00-8f00 rw-p 00000000 00:00 0     [anon: glibc: malloc arena]\n").unwrap();
//! let labels = Labels::read(&maps, &Facts::default(), None);
//! let label = &labels.at(0x7f00).unwrap().label;
//! assert_eq!(label.text, "glibc malloc: arena of a thread");
//! assert_eq!(label.confidence, Confidence::Certain);
//! ```

mod allocators;
mod chromium;
mod copied_code;
mod cpython;
mod elf;
mod equal_stacks;
mod exclusion;
mod facts;
mod found_stack;
mod glibc;
mod glibc_chunks;
mod glibc_malloc;
mod glibc_shapes;
mod glibc_threads;
mod go;
mod jemalloc;
mod jit;
mod jvm;
mod kernel_names;
mod leftovers;
mod loader;
mod mimalloc;
mod musl;
mod openblas;
mod origins;
mod others;
mod parts;
mod peek;
mod reserved;
mod ruby;
mod runs;
mod sanitizers;
mod signal_stacks;
mod threads;
mod v8;
mod versions;
mod words;

pub use copied_code::copied_from;
pub use facts::{Auxv, Facts, FunctionFacts, ImageFacts, OriginFacts, ThreadFacts, WANTED_SYMBOLS};

use crate::crash::Machine;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use vmatlas_maps::Kind;
use vmatlas_maps::Maps;
use vmatlas_maps::WordSize;
use vmatlas_maps::{AddressRange, Mapping};
use vmatlas_object::Memory;

/// The group of memory of a program or library that begins as zero.
pub const BSS: &str = ".bss";

/// The text of the label of `[stack]` where it is the stack of any thread.
pub const STACK_OF_A_THREAD: &str = "stack of a thread";
/// That where the first thread runs elsewhere: it may have been forked by another thread.
pub const STACK_OF_THE_BEGIN: &str = "stack on which the program began";

/// How reliable a label is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// The evidence matches, but other explanations could match too.
    Guess,
    /// Several signs agree, and nothing else is known to match them.
    Likely,
    /// The kernel, a structure in memory or the file proves it.
    Certain,
}

impl Confidence {
    /// The confidence with this word.
    pub fn named(word: &str) -> Option<Confidence> {
        let all = [Confidence::Guess, Confidence::Likely, Confidence::Certain];
        all.into_iter().find(|confidence| confidence.word() == word)
    }

    /// The name of the variant in lower case.
    pub fn word(self) -> &'static str {
        match self {
            Confidence::Guess => "guess",
            Confidence::Likely => "likely",
            Confidence::Certain => "certain",
        }
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// The purpose of an address range.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Label {
    /// A short group name that many mappings share, used for totals, such as `thread stack` or
    /// `glibc arena`.
    pub group: Cow<'static, str>,
    /// The full text in one line, such as `stack of thread 1240 (worker), 132 KiB of 8 MiB used`.
    /// It may contain names that the process chose: escape it for terminals.
    pub text: String,
    /// How reliable the label is.
    pub confidence: Confidence,
    /// The evidence, in one line.
    pub because: String,
}

impl Labelled {
    /// A label of a range.
    pub fn new(range: AddressRange, label: Label) -> Labelled {
        Labelled { range, label }
    }
}

impl Label {
    /// Makes a label.
    pub fn new(
        group: impl Into<Cow<'static, str>>,
        confidence: Confidence,
        text: impl Into<String>,
        because: impl Into<String>,
    ) -> Label {
        Label { group: group.into(), text: text.into(), confidence, because: because.into() }
    }
}

/// A label and its range: a row, or a part of one, for example where the kernel merged the stacks
/// of several threads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Labelled {
    /// The labelled addresses.
    pub range: AddressRange,
    /// The label of the range.
    pub label: Label,
}

/// The labels of a process, sorted by address, without overlaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    parts: Vec<Labelled>,
    /// The labels of rows with several parts, or with a part that covers most of it.
    sums: BTreeMap<(u64, u64), Label>,
}

impl Labels {
    /// Labels the memory that can be recognised. Reads `memory` if it is given (`--deep`).
    pub fn read(maps: &Maps, facts: &Facts, memory: Option<&dyn Memory>) -> Labels {
        let files = code_files(maps);
        let mut labeller = Labeller { maps, facts, memory, files, parts: BTreeMap::new() };
        labeller.run();
        Labels::of_parts(maps, labeller.parts.into_values().collect())
    }

    /// The labels that were found before. Parts that overlap one before them are left out. `None`
    /// if rows overlap so often, or groups are so many, that to sum them up would take too long:
    /// no process has such labels.
    pub fn kept(maps: &Maps, mut parts: Vec<Labelled>) -> Option<Labels> {
        /// The most pairs of a row and a part in it.
        const MAX_PAIRS: usize = 1 << 22;
        /// The most groups: all recognisers know some 100.
        const MAX_GROUPS: usize = 256;
        parts.sort_by_key(|part| part.range.start);
        let mut end = 0;
        parts.retain(|part| {
            let is_apart = part.range.start >= end && part.range.size() > 0;
            end = if is_apart { part.range.end } else { end };
            is_apart
        });
        let mut groups = BTreeSet::new();
        for part in &parts {
            groups.insert(&*part.label.group);
            if groups.len() > MAX_GROUPS {
                return None;
            }
        }
        let labels = Labels { parts, sums: BTreeMap::new() };
        let pairs = maps.iter().map(|row| labels.within(row.range).len());
        let pairs = pairs.fold(0, usize::saturating_add);
        (pairs <= MAX_PAIRS).then(|| Labels::of_parts(maps, labels.parts))
    }

    /// Sums the labels of each row up.
    fn of_parts(maps: &Maps, parts: Vec<Labelled>) -> Labels {
        let mut labels = Labels { parts, sums: BTreeMap::new() };
        // Rows mostly come in the order of the parts.
        let mut first = 0;
        for range in maps.iter().map(|row| row.range) {
            let start = range.start;
            let is_first = |at: usize| {
                let below = at.checked_sub(1).map(|below| labels.parts.get(below));
                labels.parts.get(at).is_none_or(|part| part.range.end > start)
                    && below.is_none_or(|part| part.is_some_and(|part| part.range.end <= start))
            };
            first = match () {
                () if is_first(first) => first,
                () if is_first(first + 1) => first + 1,
                () => labels.first_above(start),
            };
            let sum = parts::sum(range, labels.from(first, range.end));
            labels.sums.extend(sum.map(|sum| ((start, range.end), sum)));
        }
        labels
    }

    /// The labels in a range, in order. A row usually has one, or several if its parts differ.
    pub fn within(&self, range: AddressRange) -> &[Labelled] {
        self.from(self.first_above(range.start), range.end)
    }

    /// The place of the first part that ends above an address.
    fn first_above(&self, address: u64) -> usize {
        self.parts.partition_point(|part| part.range.end <= address)
    }

    /// The parts from a place on that begin below an address.
    fn from(&self, first: usize, end: u64) -> &[Labelled] {
        let parts = self.parts.get(first..).unwrap_or_default();
        // Few rows have more than one.
        match parts.get(1) {
            Some(second) if second.range.start < end => {
                &parts[..parts.partition_point(|part| part.range.start < end)]
            }
            _ => {
                let count = parts.first().is_some_and(|part| part.range.start < end);
                &parts[..usize::from(count)]
            }
        }
    }

    /// The label of a range, for a row with several parts a label that states all of them, with the
    /// group that covers most bytes and the lowest confidence in that group; `None` if more bytes
    /// have no label. For a range that is no row, the first label of that group.
    pub fn most_of(&self, range: AddressRange) -> Option<&Label> {
        let parts = self.within(range);
        if let [only] = parts
            && parts::covers(only, range)
        {
            return Some(&only.label);
        }
        self.sums.get(&(range.start, range.end)).or_else(|| parts::most(range, parts))
    }

    /// The text of the labels in a range, in one line: the first different ones, and the
    /// unexplained share, if `with_rest` is set.
    pub fn text_of(&self, range: AddressRange, with_rest: bool) -> String {
        parts::text(range, self.within(range), with_rest)
    }

    /// The label that contains an address.
    pub fn at(&self, address: u64) -> Option<&Labelled> {
        let end = address.checked_add(1)?;
        self.within(AddressRange::new(address, end)).first()
    }

    /// All labels, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Labelled> {
        self.parts.iter()
    }
}

/// Signs that a library is present, as a shared library or linked statically.
struct Sign {
    /// Any of these symbols is defined.
    symbols: &'static [&'static str],
    /// A file has this name or a name with this prefix.
    files: &'static [&'static str],
}

/// The names of files with code, without adjacent duplicates.
fn code_files(maps: &Maps) -> Vec<&[u8]> {
    let is_code = |row: &Mapping<'_>| row.perms.execute() && row.kind() == Kind::File;
    let mut files: Vec<&[u8]> = maps.iter().filter(is_code).map(|row| row.name).collect();
    files.dedup();
    files
}

/// The input of the recognisers and the labels found so far.
struct Labeller<'a> {
    maps: &'a Maps,
    facts: &'a Facts,
    memory: Option<&'a dyn Memory>,
    /// The names of the files with code.
    files: Vec<&'a [u8]>,
    /// By start address, without overlaps.
    parts: BTreeMap<u64, Labelled>,
}

impl<'a> Labeller<'a> {
    /// Runs every recogniser, the certain ones first, because no later one relabels. Each is a file
    /// below label/.
    fn run(&mut self) {
        // Labels proved by the ELF files.
        elf::recognise(self);
        // Memory at fixed addresses.
        sanitizers::recognise(self);
        kernel_names::recognise_gates(self);
        // Java's guard zones are inside the stacks that the C library knows.
        let jvm = jvm::recognise_certain(self);
        // Go threads run on stacks in Go's heap.
        let mut go = go::Go::of(self);
        if let Some(go) = &mut go {
            go.recognise_heap(self);
        }
        threads::recognise(self);
        origins::recognise_stacks_and_malloc(self);
        loader::recognise_first_thread(self);
        // Runtimes have their own layouts, and layouts that resemble those of allocators.
        if let Some(jvm) = &jvm {
            jvm::recognise_likely(self, jvm);
        }
        mimalloc::recognise_arenas(self);
        v8::recognise(self);
        chromium::recognise(self);
        cpython::recognise_certain(self);
        if let Some(go) = &go {
            go.recognise_metadata(self);
        }
        ruby::recognise(self);
        jit::recognise(self);
        openblas::recognise(self);
        origins::recognise_own(self);
        // Allocators: proof by structures before guesses by shape.
        mimalloc::recognise(self);
        let arenas = glibc_malloc::recognise_arenas(self);
        jemalloc::recognise(self);
        musl::recognise(self);
        glibc_malloc::recognise(self, &arenas);
        loader::recognise(self);
        if let Some(jvm) = &jvm {
            jvm::recognise_rest(self, jvm);
        }
        cpython::recognise_by_size(self);
        if let Some(go) = &go {
            go.recognise_pointed_to(self);
        }
        versions::lower(self);
        // Names are weaker evidence than other signs, and shapes the weakest.
        kernel_names::recognise(self);
        jemalloc::recognise_guesses(self);
        loader::recognise_rest(self);
        leftovers::recognise(self);
        exclusion::recognise(self);
        reserved::recognise(self);
    }

    /// Labels the parts of a range that have no label yet.
    fn label(&mut self, range: AddressRange, label: &Label) {
        for range in self.unlabelled(range) {
            self.parts.insert(range.start, Labelled { range, label: label.clone() });
        }
    }

    /// The parts of a range that have no label yet.
    fn unlabelled(&self, range: AddressRange) -> Vec<AddressRange> {
        if range.size() > 0 && !self.is_labelled(range) {
            return vec![range];
        }
        let mut free = Vec::new();
        let mut start = range.start;
        let before = self.parts.range(..=start).next_back().map(|(_, part)| part.range);
        let after = self.parts.range(start..).map(|(_, part)| part.range);
        for taken in before.into_iter().chain(after) {
            if taken.start >= range.end {
                break;
            }
            if start < taken.start {
                free.push(AddressRange::new(start, taken.start));
            }
            start = start.max(taken.end);
        }
        if start < range.end {
            free.push(AddressRange::new(start, range.end));
        }
        free
    }

    /// Whether any part of a range has a label.
    fn is_labelled(&self, range: AddressRange) -> bool {
        let last = self.parts.range(..range.end).next_back();
        last.is_some_and(|(_, part)| part.range.end > range.start)
    }

    /// The image that defines any symbol of a sign.
    fn image_with(&self, sign: &Sign) -> Option<&'a ImageFacts> {
        let defines = |image: &&ImageFacts| sign.symbols.iter().any(|s| image.symbol(s).is_some());
        self.facts.images.iter().find(defines)
    }

    /// The name, without directory, of the file that matches a sign.
    fn file_with(&self, sign: &Sign) -> Option<String> {
        let by_symbol = self.image_with(sign).map(|image| image.name.as_slice());
        let is_named = |path: &&&[u8]| {
            let name = words::last_part(path);
            sign.files.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
        };
        let path = by_symbol.or_else(|| self.files.iter().find(is_named).copied())?;
        Some(words::file_name(path))
    }

    /// The row that contains an address.
    fn row_at(&self, address: u64) -> Option<Mapping<'a>> {
        self.maps.get(self.maps.index_at(address)?)
    }

    /// The rows that overlap a range, up to the most rows that any image or stack has.
    fn rows_in(&self, range: AddressRange) -> Vec<Mapping<'a>> {
        const MAX: usize = 4096;
        let place = self.maps.find(range.start);
        let Some(first) = place.mapping.or(place.after) else { return Vec::new() };
        let rows = (first..self.maps.len()).map_while(|index| self.maps.get(index));
        rows.take(MAX).take_while(|row| row.range.start < range.end).collect()
    }

    /// The row that ends at `start`.
    fn row_below(&self, start: u64) -> Option<Mapping<'a>> {
        self.row_at(start.checked_sub(1)?)
    }

    /// Reads a pointer or `size_t` at an address of the process.
    fn word(&self, address: u64) -> Option<u64> {
        let memory = self.memory?;
        let is_big = self.facts.machine == Some(Machine::S390x);
        if self.facts.word_size == Some(WordSize::Bits32) {
            return memory.array(address).map(|bytes| u32::from_le_bytes(bytes).into());
        }
        let decode = if is_big { u64::from_be_bytes } else { u64::from_le_bytes };
        memory.array(address).map(decode)
    }

    /// Whether memory shows what a range is: without it, or where it cannot be read, shapes are all
    /// the evidence.
    fn is_read(&self, range: AddressRange) -> bool {
        self.word(range.start).is_some()
    }

    /// The size of a pointer in bytes.
    fn word_size(&self) -> u64 {
        if self.facts.word_size == Some(WordSize::Bits32) { 4 } else { 8 }
    }

    /// The page size in bytes; never 0.
    fn page_size(&self) -> u64 {
        if self.facts.page_size == 0 { 4096 } else { self.facts.page_size }
    }
}

/// Little-endian words in `bytes` that are large enough to be pointers (≥ 64 KiB).
fn pointers(bytes: &[u8], word: usize) -> impl Iterator<Item = u64> {
    let words = bytes.chunks_exact(word.max(1));
    words.map(little_endian).filter(|&value| value >= 1 << 16)
}

/// The number in a little-endian word of 4 or 8 bytes.
fn little_endian(word: &[u8]) -> u64 {
    match (word.first_chunk(), word.first_chunk()) {
        (Some(word), _) => u64::from_le_bytes(*word),
        (None, Some(word)) => u32::from_le_bytes(*word).into(),
        (None, None) => 0,
    }
}

/// Whether a row is private unnamed memory, the candidates for recognition by shape.
fn is_unnamed_memory(row: &Mapping<'_>) -> bool {
    is_private_memory(row) && row.kind() == Kind::Anonymous
}

/// Whether a row is private memory, named or not, the candidates for recognition by structure.
/// glibc names its heaps if a tunable asks for it.
fn is_private_memory(row: &Mapping<'_>) -> bool {
    let is_anonymous = matches!(row.kind(), Kind::Anonymous | Kind::NamedAnonymous { .. });
    is_anonymous && row.perms.read() && row.perms.write() && !row.perms.shared()
}
