//! What can be known of a process without looking into its memory.

use crate::crash::Machine;
use vmatlas_maps::AddressRange;
use vmatlas_maps::{KernelVersion, WordSize};

/// The symbols that recognisers ask for ([`ImageFacts::symbols`]).
pub const WANTED_SYMBOLS: &[&str] = &[
    // ld.so of glibc: where its lists of stacks are.
    "_rtld_global",
    // Which C library and language it is.
    "gnu_get_libc_version",
    "__libc_mallopt",
    "rust_eh_personality",
    // Allocators, by a name that no other library has.
    "mallctl",
    "je_mallctl",
    "_rjem_mallctl",
    "mi_version",
    "_mi_heap_main",
    "MallocExtension_Internal_GetNumericProperty",
    "MallocExtension_GetNumericProperty",
    "__scudo_print_stats",
    // Sanitizers.
    "__asan_init",
    "__hwasan_init",
    "__msan_init",
    "__tsan_init",
    "__lsan_do_leak_check",
    // The tables that HotSpot keeps for debuggers.
    "gHotSpotVMStructs",
    "gHotSpotVMStructEntryTypeNameOffset",
    "gHotSpotVMStructEntryFieldNameOffset",
    "gHotSpotVMStructEntryIsStaticOffset",
    "gHotSpotVMStructEntryOffsetOffset",
    "gHotSpotVMStructEntryAddressOffset",
    "gHotSpotVMStructEntryArrayStride",
    // Other runtimes, by a name that no other library has.
    "_PyRuntime",
    "v8dbg_APIObjectType",
    "ruby_version",
    "runtime.mheap_",
];

/// What labels are made from besides the rows. Everything may be missing: the less is known, the
/// fewer labels there are.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Facts {
    /// The size of a page in bytes; 0 where it is not known.
    pub page_size: u64,
    /// The word size of the process.
    pub word_size: Option<WordSize>,
    /// The machine that its program is for.
    pub machine: Option<Machine>,
    /// The kernel it runs on.
    pub kernel: Option<KernelVersion>,
    /// Its process id.
    pub pid: Option<u32>,
    /// Its threads, the first one first.
    pub threads: Vec<ThreadFacts>,
    /// The auxiliary vector, see getauxval(3).
    pub auxv: Auxv,
    /// Where the program break began (`start_brk`, proc_pid_stat(5)).
    pub start_brk: Option<u64>,
    /// Where the stack of the first thread began (`start_stack`, proc_pid_stat(5)).
    pub start_stack: Option<u64>,
    /// The soft limit of the stack's size in bytes (`RLIMIT_STACK`); none if unlimited or unknown.
    pub stack_limit: Option<u64>,
    /// The ELF files that are mapped as programs and libraries.
    pub images: Vec<ImageFacts>,
    /// Lightweight guard pages (`MADV_GUARD_INSTALL`, Linux 6.13), in order.
    pub guards: Vec<AddressRange>,
    /// Where code made at run time lies, by its perf map or jitdump, in order.
    pub jit_code: Vec<AddressRange>,
    /// Which calls made its memory, where the process was recorded; in the order of addresses.
    pub origins: Vec<OriginFacts>,
}

/// A call that made memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OriginFacts {
    /// The memory.
    pub range: AddressRange,
    /// The system call, such as `mmap`.
    pub call: &'static str,
    /// The number of its event in the recording.
    pub event: u64,
    /// The functions on the stack of the thread, innermost first, each with its file.
    pub stack: Vec<FunctionFacts>,
}

/// A function on a call stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionFacts {
    /// Its name without parameters; empty where it is not known.
    pub name: String,
    /// The path of its file.
    pub file: String,
}

/// A thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadFacts {
    /// Its thread id.
    pub tid: u32,
    /// Its name (proc_pid_comm(5)), at most 15 bytes.
    pub comm: Vec<u8>,
    /// Its stack pointer, where that can be known (`/proc/TID/syscall` of a thread that waits, or
    /// the registers in a core).
    pub stack_pointer: Option<u64>,
    /// Where it runs, likewise.
    pub instruction_pointer: Option<u64>,
    /// Its thread pointer: the base of FS on x86-64, of GS on i386, TPIDR_EL0 on AArch64.
    pub thread_pointer: Option<u64>,
}

/// The entries of the auxiliary vector that say where something lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Auxv {
    /// All of it as the kernel gave it: type and value, without the `AT_NULL` at the end.
    pub entries: Vec<(u64, u64)>,
}

impl Auxv {
    /// An auxiliary vector of these entries.
    pub fn new(entries: Vec<(u64, u64)>) -> Auxv {
        Auxv { entries }
    }

    /// The value of the first entry of that type (`AT_*`, include/uapi/linux/auxvec.h).
    pub fn get(&self, kind: u64) -> Option<u64> {
        self.entries.iter().find(|(entry, _)| *entry == kind).map(|(_, value)| *value)
    }
}

/// An ELF file that is mapped as a program or library.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ImageFacts {
    /// Its path as the rows show it.
    pub name: Vec<u8>,
    /// What to add to an address in the file to get one of the process.
    pub bias: u64,
    /// Its loadable segments in the process, page ends not rounded: addresses, how many of their
    /// bytes come from the file, and whether they may be written.
    pub segments: Vec<(AddressRange, u64, bool)>,
    /// The addresses that are made read-only after relocation (`PT_GNU_RELRO`).
    pub relro: Option<AddressRange>,
    /// Its sections and where they are in the process, `.bss` too; none where they are stripped.
    pub sections: Vec<(String, AddressRange)>,
    /// Addresses of the process of those of [`WANTED_SYMBOLS`] that it defines.
    pub symbols: Vec<(&'static str, u64)>,
}

impl ImageFacts {
    /// The address of a symbol in the process.
    pub fn symbol(&self, name: &str) -> Option<u64> {
        self.symbols.iter().find(|(symbol, _)| *symbol == name).map(|(_, address)| *address)
    }
}
