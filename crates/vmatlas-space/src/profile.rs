//! The differences between kernels.

use vmatlas_maps::{KernelVersion, WordSize};

/// The rules of one kernel: those of its version, configuration and settings.
///
/// ```
/// use vmatlas_space::KernelProfile;
/// let debian12 = KernelProfile::of("6.1".parse()?);
/// assert!(!debian12.faulted_joins_unfaulted && debian12.hole_tries_next_first);
/// # Ok::<(), vmatlas_maps::KernelVersionError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KernelProfile {
    /// The kernel version.
    pub version: KernelVersion,
    /// The kernel's word size.
    pub word_size: WordSize,
    /// log2 of the page size in bytes.
    pub page_shift: u32,
    /// The first address beyond user space, in bytes (`TASK_SIZE`).
    pub task_size: u64,

    /// Transparent huge pages are compiled in.
    pub thp: bool,
    /// Same-page merging is compiled in.
    pub ksm: bool,
    /// CONFIG_ANON_VMA_NAME.
    pub anon_names: bool,
    /// The processor has protection keys.
    pub pkeys: bool,
    /// CONFIG_SWAP: without it MADV_WILLNEED of anonymous memory is refused.
    pub swap: bool,
    /// CONFIG_NUMA.
    pub numa: bool,
    /// `vm.overcommit_memory` is 2: MAP_NORESERVE has no effect.
    pub overcommit_never: bool,
    /// `vm.max_map_count`.
    pub max_map_count: usize,
    /// `vm.mmap_min_addr`, in bytes.
    pub mmap_min_addr: u64,
    /// The gap below a growing mapping, in pages (`stack_guard_gap`).
    pub stack_guard_gap: u64,
    /// RLIMIT_STACK, in bytes.
    pub stack_limit: u64,
    /// How `[vsyscall]` is shown.
    pub vsyscall: Vsyscall,

    /// The rule for showing a mapping as `[heap]`.
    pub heap_rule: HeapRule,
    /// 6.7: MAP_STACK sets VM_NOHUGEPAGE, if huge pages are compiled in.
    pub stack_means_no_huge_pages: bool,
    /// 6.6: an untouched anonymous mapping that becomes unwritable is no longer accounted for
    /// (between 6.1 and 6.12 the version was not established by a run).
    pub decommit_unaccounts: bool,
    /// 6.16 (879bca0a2c4f): a mapping with a reverse map joins one without.
    pub faulted_joins_unfaulted: bool,
    /// 6.1 to 6.11: a new mapping tries the one above before the one below.
    pub hole_tries_next_first: bool,
    /// 6.1: the program break joins only the mapping below it, and none below the heap's start.
    pub brk_joins_previous_only: bool,
    /// 5.19: a mapping that grows in place joins the next one.
    pub growth_joins_next: bool,
    /// 6.17: mremap moves several mappings at once.
    pub moves_many: bool,
    /// 7.2, and 6.1, 6.6 and 6.12 of 2026 (6.6 was not run): with MREMAP_DONTUNMAP the copy never
    /// joins its source, and only the moved part of a locked source is unlocked.
    pub dontunmap_keeps_apart: bool,
    /// 5.13: MREMAP_DONTUNMAP is no longer limited to private anonymous memory.
    pub dontunmap_any: bool,
    /// 5.13: the source of a MREMAP_DONTUNMAP move loses its reverse map.
    pub dontunmap_drops_anon: bool,
    /// 6.15 (which was not run) and 6.16: the source of a MREMAP_DONTUNMAP move is no longer
    /// accounted for.
    pub dontunmap_unaccounts: bool,
    /// 7.3: joining also compares the anonymous offset of private file mappings.
    pub compares_anon_offset: bool,
    /// 6.5: a close hook only prevents that its mapping is absorbed (between 6.1 and 6.12 the
    /// version was not established by a run).
    pub close_hook_may_grow: bool,
    /// 6.10: mseal(2).
    pub mseal: bool,
    /// 6.10 and 6.11: the kernel checks a whole range for seals before it changes anything.
    pub seals_checked_first: bool,
    /// 6.11: MAP_DROPPABLE.
    pub droppable: bool,
    /// Before 7.0 (not 6.12 of 2026, nor 6.18.44): droppable memory mapped under MCL_FUTURE keeps the
    /// lock.
    pub droppable_born_locked: bool,
    /// 5.14: MADV_POPULATE_READ and MADV_POPULATE_WRITE.
    pub populate_advice: bool,
    /// 6.9 (between 6.1 and 6.12 the version was not established by a run): MADV_POPULATE_… stop
    /// at a hole.
    pub populate_stops_at_holes: bool,
    /// 5.18: MADV_DONTNEED_LOCKED.
    pub dontneed_locked: bool,
    /// 6.1: MADV_COLLAPSE.
    pub collapse: bool,
    /// 6.13: MADV_GUARD_INSTALL.
    pub guards: bool,
    /// 6.15: guards in file mappings.
    pub guards_in_files: bool,
    /// 6.15 to 6.18: a guard also gives a file mapping a reverse map. Removed by 6.18.44, still
    /// present in 6.18.15.
    pub guards_give_files_anon: bool,
    /// 6.19: a mapping keeps a flag that it may have guards, and passes it on when it joins.
    pub sticky_guard_flag: bool,
    /// 6.4: PR_SET_MEMORY_MERGE.
    pub ksm_prctl: bool,
    /// 6.17: the kernel marks a new mapping for same-page merging before it joins neighbours.
    pub ksm_before_merge: bool,
    /// 6.19: it also does so for a mapping of `/dev/zero`.
    pub ksm_before_merge_of_dev_zero: bool,
    /// Up to 7.1, but not in 6.1, 6.6 and 6.12 of 2026 (6.6 was not run): memory of
    /// memfd_secret(2) counts as locked.
    pub secretmem_is_locked: bool,
    /// 6.17: the kernel sets the flags from the file before it joins neighbours.
    pub file_flags_before_merge: bool,
    /// 4.17: MAP_FIXED_NOREPLACE.
    pub fixed_noreplace: bool,
    /// 2.6.36 to 4.11: maps hides the lowest page of a growing mapping, its guard.
    pub hides_guard_page: bool,
    /// 6.2: anonymous shared memory can be named.
    pub anon_shared_names: bool,
    /// Before 5.10 (its last releases): MADV_REMOVE requires a writable mapping; later kernels
    /// require one that may become writable.
    pub remove_needs_write: bool,
    /// 6.17: mremap compares lengths after rounding them to pages.
    pub mremap_rounds_first: bool,
    /// 5.16: mremap refuses unmapped addresses before it does anything.
    pub mremap_looks_first: bool,
    /// 5.16 (550a7d60bd5e): huge pages can be moved.
    pub huge_moves: bool,
    /// 5.18: locking on fault accesses no page; older kernels refuse inaccessible memory.
    pub onfault_touches_nothing: bool,
    /// 6.17: a userfaultfd cannot watch droppable memory.
    pub uffd_refuses_droppable: bool,
    /// Up to 6.3 (between 6.1 and 6.12 the version was not established by a run): registering a
    /// part of a mapping that is not at its start joins nothing.
    pub uffd_forgets_offset: bool,
    /// 5.19: userfaultfd can write-protect shared memory.
    pub uffd_protects_shared: bool,
    /// 7.3: a userfaultfd that write-protects memory must unregister it before it watches for
    /// missing pages.
    pub uffd_keeps_write_protect: bool,
    /// 6.17: a userfaultfd unregisters only its own memory.
    pub uffd_unregisters_own_only: bool,
    /// 7.3: the moved copy of memory that a userfaultfd watched joins nothing.
    pub uffd_copy_never_joins: bool,
    /// 5.11 (871402e05b24): the kernel's own mappings, such as `[vdso]`, cannot be split.
    pub special_stays_whole: bool,
    /// The pages of `[vvar]` on x86. The numbers for 4.7 to 5.5, 6.13 and 6.14 come from the
    /// sources, the others from running kernels.
    pub vvar_pages: u64,
    /// The pages of `[vvar_vclock]`.
    pub vvar_vclock_pages: u64,
    /// 7.1: `[vvar]` is mapped page by page (VM_MIXEDMAP).
    pub vvar_has_pages: bool,
    /// 7.3: `[vvar]` is not VM_IO.
    pub vvar_is_memory: bool,
}

/// The row that maps shows for the page at 0xffffffffff600000 (x86-64).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Vsyscall {
    /// No row: other architectures, 32-bit processes, `vsyscall=none`.
    #[default]
    None,
    /// `--xp`: `vsyscall=xonly`, the default since 5.3.
    ExecuteOnly,
    /// `r-xp`: `vsyscall=emulate`, and all kernels before 5.3.
    Emulate,
}

/// The rule by which a mapping is shown as `[heap]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeapRule {
    /// Up to 2.6.38: the mapping covers the heap.
    Covers,
    /// 2.6.39 to 6.6: the mapping touches the heap.
    Touches,
    /// Since 6.7 (d3bb89ea9c13): the mapping overlaps the heap.
    Overlaps,
}

impl KernelProfile {
    /// The profile of an x86-64 kernel of that version in a distribution's configuration, on a
    /// processor without protection keys.
    pub fn of(version: KernelVersion) -> KernelProfile {
        let since = |major, minor| (version.major, version.minor) >= (major, minor);
        let since_patch = |a, b, c| version >= KernelVersion::new(a, b, c);
        let line = |major, minor| (version.major, version.minor) == (major, minor);
        KernelProfile {
            version,
            word_size: WordSize::Bits64,
            page_shift: 12,
            task_size: 0x7fff_ffff_f000,
            thp: true,
            ksm: true,
            anon_names: since(5, 17),
            pkeys: false,
            swap: true,
            numa: true,
            overcommit_never: false,
            max_map_count: 65530,
            mmap_min_addr: 65536,
            stack_guard_gap: 256,
            stack_limit: 8 << 20,
            vsyscall: if since(5, 3) { Vsyscall::ExecuteOnly } else { Vsyscall::Emulate },
            heap_rule: if since(6, 7) {
                HeapRule::Overlaps
            } else if since_patch(2, 6, 39) {
                HeapRule::Touches
            } else {
                HeapRule::Covers
            },
            stack_means_no_huge_pages: since(6, 7),
            decommit_unaccounts: since(6, 6),
            faulted_joins_unfaulted: since(6, 16),
            hole_tries_next_first: since(6, 1) && !since(6, 12),
            brk_joins_previous_only: since(6, 1),
            growth_joins_next: since(5, 19),
            moves_many: since(6, 17),
            dontunmap_keeps_apart: since(7, 2) || line(6, 1) || line(6, 6) || line(6, 12),
            dontunmap_any: since(5, 13),
            dontunmap_drops_anon: since(5, 13),
            dontunmap_unaccounts: line(6, 15) || line(6, 16),
            compares_anon_offset: since(7, 3),
            close_hook_may_grow: since(6, 5),
            mseal: since(6, 10),
            seals_checked_first: since(6, 10) && !since(6, 12),
            droppable: since(6, 11),
            droppable_born_locked: !(since(7, 0)
                || line(6, 12)
                || line(6, 18) && since_patch(6, 18, 16)),
            populate_advice: since(5, 14),
            populate_stops_at_holes: since(6, 9),
            dontneed_locked: since(5, 18),
            collapse: since(6, 1),
            guards: since(6, 13),
            guards_in_files: since(6, 15),
            guards_give_files_anon: since(6, 15) && !since_patch(6, 18, 16),
            sticky_guard_flag: since(6, 19),
            ksm_prctl: since(6, 4),
            ksm_before_merge: since(6, 17),
            ksm_before_merge_of_dev_zero: since(6, 19),
            secretmem_is_locked: !(since(7, 2) || line(6, 1) || line(6, 6) || line(6, 12)),
            file_flags_before_merge: since(6, 17),
            fixed_noreplace: since(4, 17),
            hides_guard_page: since_patch(2, 6, 36) && !since(4, 12),
            anon_shared_names: since(6, 2),
            remove_needs_write: !since(5, 10),
            mremap_rounds_first: since(6, 17),
            mremap_looks_first: since(5, 16),
            huge_moves: since(5, 16),
            onfault_touches_nothing: since(5, 18),
            uffd_refuses_droppable: since(6, 17),
            uffd_forgets_offset: !since(6, 4),
            uffd_protects_shared: since(5, 19),
            uffd_keeps_write_protect: since(7, 3),
            uffd_unregisters_own_only: since(6, 17),
            uffd_copy_never_joins: since(7, 3),
            special_stays_whole: since(5, 11),
            vvar_pages: match () {
                () if since(6, 15) => 4,
                () if since(6, 13) => 2,
                () if since(5, 6) => 4,
                () if since(4, 12) => 3,
                () => 2,
            },
            vvar_vclock_pages: if since(6, 13) { 2 } else { 0 },
            vvar_has_pages: since(7, 1),
            vvar_is_memory: since(7, 3),
        }
    }

    /// The page size in bytes.
    pub fn page_size(&self) -> u64 {
        1 << self.page_shift
    }

    /// The size of a huge page in bytes: the range of one page of page tables.
    pub fn huge_page_size(&self) -> u64 {
        1 << (2 * self.page_shift - 3)
    }

    /// Rounds `bytes` up to whole pages; `None` on overflow.
    pub(crate) fn page_align(&self, bytes: u64) -> Option<u64> {
        bytes.checked_next_multiple_of(self.page_size())
    }

    pub(crate) fn is_aligned(&self, address: u64) -> bool {
        address.is_multiple_of(self.page_size())
    }
}
