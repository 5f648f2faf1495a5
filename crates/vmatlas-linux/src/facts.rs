//! Gathers the facts of a live process for its [labels](vmatlas_explain::label), without its
//! memory.
//!
//! Every fact is optional: unreadable facts are missing. The caller opens the files (as [`Images`],
//! with time limits). Page tables are walked only where stacks may be, unless `deep` is set.

mod copies;
mod core;
pub(crate) mod guards;
mod images;
pub(crate) mod threads;
mod versions;

pub use core::gather_core_facts;

use crate::access::Status;
use crate::files::Files;
use crate::images::Images;
use crate::process::{Process, stat_field};
use crate::symbols::{JitNote, jit_ranges};
use vmatlas_explain::crash::Machine;
use vmatlas_explain::label::{Auxv, Facts, ImageFacts};
use vmatlas_maps::uapi::auxvec::AT_PAGESZ;
use vmatlas_maps::{Maps, WordSize};
use vmatlas_object::Budget;

/// The sources of a process's facts.
#[derive(Clone, Copy)]
pub struct FactSources<'a> {
    /// The process.
    pub process: &'a Process,
    /// Its rows.
    pub maps: &'a Maps,
    /// Its files; without them the search for a perf map costs more.
    pub files: Option<&'a Files>,
    /// The opened files of its rows; without them there are no facts about programs and libraries.
    pub images: Option<&'a Images>,
    /// What perf maps and jitdumps may cost.
    pub budget: &'a Budget,
    /// Whether to use slow sources: all page tables of anonymous memory, whole symbol tables,
    /// jitdumps.
    pub deep: bool,
}

/// Gathers the facts of a process. The notes are about its perf map and jitdumps.
pub fn gather_facts(sources: FactSources<'_>) -> (Facts, Vec<JitNote>) {
    let FactSources { process, files, maps, images, budget, deep } = sources;
    // A process without its main thread still has memory, which only its other threads show.
    let stat = process.read("stat").unwrap_or_default();
    let thread = process.living_thread_by(&stat);
    let process = thread.as_ref().unwrap_or(process);
    let mut facts = Facts::default();
    facts.page_size = crate::page_size() as u64;
    facts.kernel = process.kernel_version();
    facts.pid = Some(process.id().pid);
    let read = |file| process.read(file).unwrap_or_default();
    facts.stack_limit = stack_limit(&read("limits"));
    (facts.auxv, facts.word_size) = auxv(&read("auxv"));
    if let Some(size) = facts.auxv.get(AT_PAGESZ).filter(|size| size.is_power_of_two()) {
        facts.page_size = size;
    }
    let stat = if thread.is_some() { read("stat") } else { stat };
    (facts.start_brk, facts.start_stack) = starts(&stat);
    let status = Status::new(&read("status"));
    facts.pointer_mask = pointer_mask(&status);
    if facts.pointer_mask == Some(MASK_OF_AARCH64) {
        (facts.pointer_mask, facts.machine) = (None, Some(Machine::AArch64));
    }
    facts.threads = threads::of(process);
    facts.guards = guards::of(process, maps, &facts, deep);
    if let Some(images) = images {
        let machine;
        (facts.images, machine) = images::of(images, maps, &facts.auxv, deep);
        facts.machine = machine.or(facts.machine);
        if deep {
            facts.copies = copies::of(process, images, maps, &facts);
        }
    }
    if facts.machine.is_none() && process.is_live() {
        facts.machine = machine_here(facts.word_size);
    }
    let mounts = files.map(Files::mounts);
    let (ranges, notes) = jit_ranges(process, &status, mounts, maps, deep, budget);
    facts.jit_code = ranges;
    (facts, notes)
}

/// The programs and libraries of an ended process, from its current files.
pub fn gather_image_facts(
    images: &Images,
    maps: &Maps,
    deep: bool,
) -> (Vec<ImageFacts>, Option<Machine>) {
    images::of(images, maps, &Auxv::default(), deep)
}

/// The auxiliary vector, and the word size that it implies.
pub(crate) fn auxv(bytes: &[u8]) -> (Auxv, Option<WordSize>) {
    let of_64: Vec<(u64, u64)> = pairs(bytes, |word: &[u8; 8]| u64::from_ne_bytes(*word));
    // The kernel gives every process the page size.
    if of_64.iter().any(|(kind, _)| *kind == AT_PAGESZ) {
        return (Auxv::new(of_64), Some(WordSize::Bits64));
    }
    let of_32 = pairs(bytes, |word: &[u8; 4]| u32::from_ne_bytes(*word).into());
    let is_32 = of_32.iter().any(|(kind, _)| *kind == AT_PAGESZ);
    (Auxv::new(of_32), is_32.then_some(WordSize::Bits32))
}

fn pairs<const N: usize>(bytes: &[u8], word: impl Fn(&[u8; N]) -> u64) -> Vec<(u64, u64)> {
    let words = bytes.as_chunks().0.as_chunks::<2>().0.iter();
    let pairs = words.map(|[kind, value]| (word(kind), word(value)));
    pairs.take_while(|(kind, _)| *kind != 0).collect()
}

/// `start_brk` and `start_stack`, fields 47 and 28 of `stat`, see proc_pid_stat(5); 0 if the reader
/// may not see them.
pub(crate) fn starts(stat: &[u8]) -> (Option<u64>, Option<u64>) {
    let address = |number| stat_field(stat, number).filter(|&address| address != 0);
    (address(47), address(28))
}

/// The machine of a process with this word size on this kernel.
fn machine_here(word_size: Option<WordSize>) -> Option<Machine> {
    match (std::env::consts::ARCH, word_size?) {
        ("x86_64", WordSize::Bits64) => Some(Machine::X86_64),
        ("x86_64" | "x86", WordSize::Bits32) => Some(Machine::X86),
        ("aarch64", WordSize::Bits64) => Some(Machine::AArch64),
        ("riscv64", WordSize::Bits64) => Some(Machine::RiscV64),
        _ => None,
    }
}

/// The kernel's constant for AArch64 (mm_untag_mask, arch/arm64/include/asm/mmu_context.h): it is
/// not of a process, and pointers have signatures besides the top byte.
const MASK_OF_AARCH64: u64 = u64::MAX >> 8;

/// `untag_mask`, see proc_pid_status(5), since Linux 6.4: all ones if the processor uses all bits.
fn pointer_mask(status: &Status) -> Option<u64> {
    u64::from_str_radix(status.words("untag_mask").next()?.strip_prefix("0x")?, 16).ok()
}

/// `Max stack size`, the soft limit, see proc_pid_limits(5).
pub(crate) fn stack_limit(limits: &[u8]) -> Option<u64> {
    let limits = String::from_utf8_lossy(limits);
    let line = limits.lines().find_map(|line| line.strip_prefix("Max stack size"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}
