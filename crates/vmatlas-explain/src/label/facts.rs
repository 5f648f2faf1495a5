//! Facts about a process that need no access to its memory.

use crate::crash::Machine;
use vmatlas_maps::AddressRange;
use vmatlas_maps::{KernelVersion, WordSize};

/// The symbols that recognisers look up ([`ImageFacts::symbols`]).
pub const WANTED_SYMBOLS: &[&str] = &[
    // ld.so of glibc: where its lists of stacks are.
    "_rtld_global",
    "__libc_stack_end",
    // The C library and the language.
    "gnu_get_libc_version",
    "__libc_mallopt",
    "rust_eh_personality",
    // A malloc that need not be the C library's.
    "malloc",
    // Allocators, by a name that no other library defines.
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
    // Other runtimes, by a name that no other library defines.
    "_PyRuntime",
    "v8dbg_APIObjectType",
    "ruby_version",
    "runtime.mheap_",
];

/// The facts that labels use besides the rows. Every field is optional: with fewer facts there are
/// fewer labels.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Facts {
    /// The page size in bytes; 0 if unknown.
    pub page_size: u64,
    /// The word size of the process.
    pub word_size: Option<WordSize>,
    /// The machine of its program.
    pub machine: Option<Machine>,
    /// The bits of a pointer that its processor uses (`untag_mask`, proc_pid_status(5)); `None` if
    /// unknown.
    pub pointer_mask: Option<u64>,
    /// The version of the running kernel.
    pub kernel: Option<KernelVersion>,
    /// Its process id.
    pub pid: Option<u32>,
    /// Its threads; the first is the main thread.
    pub threads: Vec<ThreadFacts>,
    /// The auxiliary vector, see getauxval(3).
    pub auxv: Auxv,
    /// The start of the program break (`start_brk`, proc_pid_stat(5)).
    pub start_brk: Option<u64>,
    /// The start of the first thread's stack (`start_stack`, proc_pid_stat(5)).
    pub start_stack: Option<u64>,
    /// The soft limit of the stack size in bytes (`RLIMIT_STACK`); `None` if unlimited or unknown.
    pub stack_limit: Option<u64>,
    /// The ELF files that are mapped as programs and libraries.
    pub images: Vec<ImageFacts>,
    /// Lightweight guard pages (`MADV_GUARD_INSTALL`, Linux 6.13), sorted.
    pub guards: Vec<AddressRange>,
    /// Ranges of JIT-compiled code from a perf map or jitdump, sorted.
    pub jit_code: Vec<AddressRange>,
    /// Executable memory without a file, between rows of a file, whose bytes are those that the file
    /// has there.
    pub copies: Vec<AddressRange>,
    /// The calls that mapped its memory, if the process was recorded; sorted by address.
    pub origins: Vec<OriginFacts>,
}

/// A call that mapped memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OriginFacts {
    /// The mapped range.
    pub range: AddressRange,
    /// The system call, such as `mmap`.
    pub call: &'static str,
    /// The number of the call's event in the recording.
    pub event: u64,
    /// The functions on the thread's stack, innermost first, each with its file.
    pub stack: Vec<FunctionFacts>,
}

/// A function on a call stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionFacts {
    /// Its name without parameters; empty if unknown.
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
    /// Its stack pointer; `None` if unknown. It comes from `/proc/TID/syscall` of a blocked thread,
    /// or from the registers in a core.
    pub stack_pointer: Option<u64>,
    /// Its instruction pointer, from the same source.
    pub instruction_pointer: Option<u64>,
    /// Its thread pointer: the base of FS on x86-64, of GS on i386, TPIDR_EL0 on AArch64.
    pub thread_pointer: Option<u64>,
}

/// The auxiliary vector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Auxv {
    /// All entries from the kernel as type and value, without the final `AT_NULL`.
    pub entries: Vec<(u64, u64)>,
}

impl Auxv {
    /// Wraps these entries.
    pub fn new(entries: Vec<(u64, u64)>) -> Auxv {
        Auxv { entries }
    }

    /// The value of the first entry of this type (`AT_*`, include/uapi/linux/auxvec.h).
    pub fn get(&self, kind: u64) -> Option<u64> {
        self.entries.iter().find(|(entry, _)| *entry == kind).map(|(_, value)| *value)
    }
}

/// An ELF file that is mapped as a program or library.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ImageFacts {
    /// Its path as in the rows.
    pub name: Vec<u8>,
    /// The load bias: add it to an address in the file to get the address in the process.
    pub bias: u64,
    /// Its loadable segments in the process, not rounded to pages: the range, the number of bytes
    /// from the file, and whether it is writable.
    pub segments: Vec<(AddressRange, u64, bool)>,
    /// The range that is made read-only after relocation (`PT_GNU_RELRO`).
    pub relro: Option<AddressRange>,
    /// Its sections in the process, including `.bss`; empty if they are stripped.
    pub sections: Vec<(String, AddressRange)>,
    /// Process addresses of the [`WANTED_SYMBOLS`] that it defines.
    pub symbols: Vec<(&'static str, u64)>,
    /// The versions of runtimes and allocators in it that the file states, each with its name.
    pub versions: Vec<(&'static str, String)>,
    /// Whether it contains Go's functions that map memory for the program itself; `None` if it is
    /// not Go, or unknown.
    pub go_calls_mmap: Option<bool>,
    /// Whether it imports a function that moves the program break; `None` if its file was not read.
    pub moves_break: Option<bool>,
}

impl ImageFacts {
    /// The version of a runtime or an allocator in it, if the file states it.
    pub fn version(&self, of: &str) -> Option<&str> {
        self.versions.iter().find(|(name, _)| *name == of).map(|(_, version)| version.as_str())
    }

    /// The address of a symbol in the process.
    pub fn symbol(&self, name: &str) -> Option<u64> {
        self.symbols.iter().find(|(symbol, _)| *symbol == name).map(|(_, address)| *address)
    }
}
