//! Models the address space of a process by the kernel's own rules: apply operations, and it
//! shows the rows that the kernel would show.
//!
//! ```
//! use vmatlas_maps::AddressRange;
//! use vmatlas_space::{AddressSpace, KernelProfile, Mmap, Prot};
//! let mut space = AddressSpace::new(KernelProfile::of("6.18".parse()?));
//! let two_pages = Mmap::anonymous(0x2000, Prot::READ | Prot::WRITE).fixed(0x10_0000);
//! space.mmap(&two_pages)?;
//! let second = AddressRange::new(0x10_1000, 0x10_2000);
//! space.mprotect(second, Prot::READ)?;
//! assert_eq!(space.len(), 2);
//! space.mprotect(second, Prot::READ | Prot::WRITE)?;
//! assert_eq!(space.len(), 1, "equal neighbours join again");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Two rows join or stay apart for reasons that rows do not show: hidden flags, the open file, and
//! whether a page was ever written, because a write gives a mapping a reverse map that others may
//! not share. [`KernelProfile`] holds the differences between kernels.
//!
//! The rules are those of mm/vma.c, mm/mmap.c, mm/mremap.c, mm/mprotect.c, mm/madvise.c,
//! mm/mlock.c, mm/mseal.c, mm/mempolicy.c, mm/userfaultfd.c, mm/rmap.c and ipc/shm.c of Linux 5.10
//! to 7.3, each checked against running kernels by `vmatlas verify`.
//!
//! - [`AddressSpace`] holds the VMAs of a process; each system call is one of its methods, named
//!   after the call, with [`Mmap`], [`Mremap`] and [`Exec`] for those that take many arguments.
//! - [`KernelProfile`] holds the rules of a kernel version.
//! - [`File`] is an open file. Two mappings join only if they map the same one.
//! - [`AddressSpace::observe`] takes over rows that a kernel shows, where the model was in doubt.
//! - [`scenario`] holds operations as text, with the rows that must follow.
//!
//! This crate opens no file, calls no kernel, has no unsafe code and panics on no input. It holds
//! no contents of memory, and its caller supplies the addresses that the kernel chooses at random.

#![forbid(unsafe_code)]

mod brk;
pub mod bytes;
mod call_range;
mod exec;
mod fault;
mod file;
mod flags;
mod fork;
mod guards;
mod madvise;
mod mbind;
mod merge;
mod mlock;
mod mmap;
mod mprotect;
mod mremap;
mod mseal;
mod munmap;
mod observe;
mod policy;
mod prctl;
mod profile;
mod prot;
mod rows;
mod save;
pub mod scenario;
mod shm;
mod uffd;
mod vdso;
mod vma;
mod vmas;

pub use call_range::CallRange;

pub use exec::{Exec, Image, LoadSegment, Stack};
pub use fault::{Fault, Faults};
pub use file::{File, FileKind};
pub use flags::VmaFlags;
pub use madvise::Advice;
pub use mmap::{Mmap, Sharing};
pub use mremap::Mremap;
pub use observe::Observation;
pub use policy::Policy;
pub use prctl::MmMap;
pub use profile::{HeapRule, KernelProfile, Vsyscall};
pub use prot::Prot;
pub use rows::Query;
pub use save::SavedFiles;
pub use uffd::Uffd;
pub use vdso::MapVdso;
pub use vma::Special;
pub use vmatlas_maps::uapi::errno::{Errno, ErrnoError};

use guards::Guards;
use std::collections::BTreeSet;
use std::sync::Arc;
use vma::{Anon, Vma};
use vmas::{Position, Vmas};
use vmatlas_maps::AddressRange;

/// The address space of one process (the kernel's `mm_struct`). All addresses and lengths are in
/// bytes.
#[derive(Clone, Debug)]
pub struct AddressSpace {
    profile: Arc<KernelProfile>,
    vmas: Vmas,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    /// The address below which the kernel places mappings.
    mmap_base: u64,
    /// The flags of every new mapping: `MCL_FUTURE`.
    default_flags: VmaFlags,
    /// `PR_SET_MEMORY_MERGE`.
    ksm_all: bool,
    read_implies_exec: bool,
    /// The allocated protection keys, one bit each.
    pkeys: u16,
    /// The key of execute-only mappings.
    execute_only_pkey: Option<u8>,
    next_anon: u32,
    next_uffd: u32,
    faults: Faults,
    /// Pages with a guard (MADV_GUARD_INSTALL).
    guards: Guards,
    /// Addresses at which it is not known whether two mappings joined.
    doubts: BTreeSet<u64>,
}

impl AddressSpace {
    /// An empty address space; the caller reports its page faults.
    pub fn new(profile: KernelProfile) -> AddressSpace {
        AddressSpace {
            mmap_base: exec::unrandomised_mmap_base(&profile),
            profile: Arc::new(profile),
            vmas: Vmas::default(),
            start_brk: 0,
            brk: 0,
            start_stack: 0,
            default_flags: VmaFlags::NONE,
            ksm_all: false,
            read_implies_exec: false,
            pkeys: 1,
            execute_only_pkey: None,
            next_anon: 0,
            next_uffd: 0,
            faults: Faults::Reported,
            guards: Guards::default(),
            doubts: BTreeSet::new(),
        }
    }

    /// Sets whether the caller reports page faults with [`write`](AddressSpace::write) and
    /// [`read`](AddressSpace::read).
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// The rules of the modelled kernel.
    pub fn profile(&self) -> &KernelProfile {
        &self.profile
    }

    /// Sets how `[vsyscall]` is shown from now on.
    pub fn set_vsyscall(&mut self, shown: Vsyscall) {
        Arc::make_mut(&mut self.profile).vsyscall = shown;
    }

    /// The end of the last VMA; 0 if there is none.
    pub fn highest_end(&self) -> u64 {
        let last = self.vmas.find_below(u64::MAX);
        last.map_or(0, |at| self.vmas.get(at).end)
    }

    /// The number of VMAs, without `[vsyscall]`.
    pub fn len(&self) -> usize {
        self.vmas.len()
    }

    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.vmas.len() == 0
    }

    /// The addresses of the VMA that covers `address`.
    pub fn find(&self, address: u64) -> Option<AddressRange> {
        let vma = self.vmas.get(self.covering(address)?);
        Some(AddressRange::new(vma.start, vma.end))
    }

    /// The flags of the VMA that covers `address`, as smaps shows them.
    pub fn flags(&self, address: u64) -> Option<VmaFlags> {
        Some(self.vmas.get(self.covering(address)?).flags)
    }

    /// Whether `address` lies in a guard page (`MADV_GUARD_INSTALL`) that a call installed.
    pub fn is_guarded(&self, address: u64) -> bool {
        self.guards.first_in(address..address.saturating_add(1)).is_some()
    }

    /// Addresses at which it is not known whether two mappings joined, because the caller did not
    /// report whether their pages were written. [`observe`](AddressSpace::observe) resolves them.
    pub fn doubts(&self) -> impl Iterator<Item = u64> {
        self.doubts.iter().copied()
    }

    /// `personality(READ_IMPLIES_EXEC)`: readable memory mapped from now on is executable.
    pub fn set_read_implies_exec(&mut self, on: bool) {
        self.read_implies_exec = on;
    }

    /// Checks the invariants, for tests and fuzzing: the mappings are in order, do not overlap, and
    /// consist of whole pages. With `joined`, also that no two neighbours are alike, which holds
    /// until memory is forked, written, sealed or moved with its source kept.
    ///
    /// # Errors
    /// Describes the violated invariant and its address.
    pub fn check(&self, joined: bool) -> Result<(), String> {
        let mut before: Option<&Vma> = None;
        let mut count = 0;
        for vma in self.vmas.iter() {
            count += 1;
            let aligned = self.profile.is_aligned(vma.start) && self.profile.is_aligned(vma.end);
            if vma.start >= vma.end || !aligned {
                return Err(format!("{:x}-{:x} is no range of pages", vma.start, vma.end));
            }
            if let Some(before) = before {
                if before.end > vma.start {
                    return Err(format!("mappings overlap at {:x}", vma.start));
                }
                if joined && before.end == vma.start && self.must_join(before, vma) {
                    return Err(format!("equal neighbours at {:x}", vma.start));
                }
            }
            if self.vmas.find(vma.start).map(|at| self.vmas.get(at).end) != Some(vma.end) {
                return Err(format!("the mapping at {:x} is not found", vma.start));
            }
            before = Some(vma);
        }
        if count == self.vmas.len() { Ok(()) } else { Err("mappings are miscounted".to_owned()) }
    }

    fn covering(&self, address: u64) -> Option<Position> {
        self.vmas.find(address).filter(|at| self.vmas.get(*at).start <= address)
    }

    /// Inserts a VMA at its place, without joining it.
    fn insert(&mut self, vma: Vma) -> Position {
        self.vmas.insert(vma)
    }

    /// Splits the VMA at `address`, which lies inside it; checks no limit. Returns the position of
    /// the upper part.
    fn split(&mut self, at: Position, address: u64) -> Position {
        let shift = self.profile.page_shift;
        let upper = self.vmas.change(at, |vma| {
            let upper = vma.part(address, vma.end, shift);
            vma.end = address;
            upper
        });
        self.vmas.insert_after(at, upper)
    }

    /// Whether `address` is a valid boundary of a mapping, considering its huge pages.
    fn huge_aligned(&self, vma: &Vma, address: u64) -> bool {
        !vma.flags.contains(VmaFlags::HUGETLB)
            || address <= vma.start
            || address >= vma.end
            || address.is_multiple_of(self.profile.huge_page_size())
    }

    /// Whether a mapping may be split at `address`: huge pages and the kernel's own mappings may
    /// not.
    fn may_split(&self, vma: &Vma, address: u64) -> bool {
        let whole = self.profile.special_stays_whole && vma.special.is_some();
        self.huge_aligned(vma, address) && !(whole && vma.start < address && address < vma.end)
    }

    fn at_map_limit(&self) -> bool {
        self.vmas.len() >= self.profile.max_map_count
    }

    /// A reverse map that no other VMA has.
    fn fresh_anon(&mut self) -> Anon {
        self.next_anon += 1;
        Anon::Some { id: self.next_anon, forked: false }
    }
}

// The example of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
