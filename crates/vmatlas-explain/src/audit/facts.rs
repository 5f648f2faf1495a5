//! The facts of an audit besides rows and labels. Every field is optional: a rule without its facts
//! finds nothing.

use std::sync::Arc;
use vmatlas_maps::{AddressRange, Mapping};

/// The facts about a process.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AuditFacts {
    /// Whether its memory and all page tables were read (`--deep`).
    pub is_deep: bool,
    /// Its user IDs: real, effective, saved, of file systems; empty if unknown.
    pub uids: Vec<u32>,
    /// Whether it is in another user namespace than the reader: the owners of files have other
    /// numbers there.
    pub has_own_users: bool,
    /// The process that traces it.
    pub tracer: Option<Tracer>,
    /// Its persona, see personality(2).
    pub personality: Option<u64>,
    /// `kernel.randomize_va_space`.
    pub randomize: Option<u64>,
    /// `vm.mmap_min_addr`.
    pub lowest_address: Option<u64>,
    /// `vm.max_map_count`.
    pub max_mappings: Option<u64>,
    /// The soft limit of its stack in bytes, `u64::MAX` without one.
    pub stack_limit: Option<u64>,
    /// `coredump_filter`, see core(5).
    pub coredump_filter: Option<u64>,
    /// Its executable.
    pub exe: Executable,
    /// Its descriptors of other processes' memory: the descriptor and the process.
    pub foreign_memory: Vec<(u32, u32)>,
    /// The files of its executable rows.
    pub files: Vec<MappedFile>,
    /// By row, the index in `files`; the rows that are not executable have none.
    pub file_of_row: Vec<Option<u32>>,
    /// Pages of private executable rows of files that are no longer the file's; sorted.
    pub changed_pages: Vec<ChangedPages>,
    /// Words on stacks that are addresses of executable memory without a file (`--deep`).
    pub return_addresses: Vec<u64>,
}

/// A process that traces another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tracer {
    /// Its process ID.
    pub pid: u32,
    /// The path of its executable.
    pub exe: Vec<u8>,
    /// Whether only root can write that file and its directories.
    pub is_of_system: bool,
    /// Whether it is the program that audits, as a recorder.
    pub is_own: bool,
}

/// The file that a process executes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Executable {
    /// Its path as the kernel prints it.
    pub path: Vec<u8>,
    /// Whether it is a memfd (memfd_create(2)).
    pub is_memfd: bool,
    /// Whether nobody can change it any more (`F_SEAL_WRITE` and `F_SEAL_SEAL`, fcntl(2)).
    pub is_sealed: bool,
    /// A file of root on disk with the same bytes.
    pub same_as: Option<Vec<u8>>,
    /// Its build ID.
    pub build_id: Option<String>,
}

/// A file that is mapped executable.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MappedFile {
    /// Its path.
    pub path: Vec<u8>,
    /// What is at the path now.
    pub now: AtPath,
    /// What the file is, apart from the process.
    pub code: Arc<CodeFile>,
}

impl MappedFile {
    /// A mapped file.
    pub fn new(path: Vec<u8>, now: AtPath, code: Arc<CodeFile>) -> MappedFile {
        MappedFile { path, now, code }
    }
}

/// What is at the path of a mapped file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AtPath {
    /// The mapped file, or nothing is known.
    #[default]
    Same,
    /// Nothing.
    Nothing,
    /// Nothing; the file never had a name (`O_TMPFILE`).
    Unnamed,
    /// Another file.
    Other {
        /// Whether it has the same build ID; `None` if one of them has none.
        same_build: Option<bool>,
        /// Whether only root can write it and its directories.
        is_of_system: bool,
    },
}

/// What a file of code is.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CodeFile {
    /// Its owner.
    pub uid: Option<u32>,
    /// Who may write it, or put another file in its place, besides root.
    pub writers: Vec<Writer>,
    /// The mount point of a mount that forbids to execute it (`noexec`).
    pub noexec: Option<Vec<u8>>,
    /// Whether nobody can change it any more; of memfds.
    pub is_sealed: bool,
    /// Its headers, if it is ELF.
    pub elf: Option<ElfFacts>,
}

impl CodeFile {
    /// Whether only root can write it and its directories.
    pub fn is_of_system(&self) -> bool {
        self.uid == Some(0) && self.writers.is_empty()
    }
}

/// Who may write a file, or one of its directories.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Writer {
    /// Who.
    pub who: Who,
    /// The file or directory.
    pub path: Vec<u8>,
}

impl Writer {
    /// Who may write what.
    pub fn new(who: Who, path: Vec<u8>) -> Writer {
        Writer { who, path }
    }
}

/// Users that may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The owner.
    User(u32),
    /// The members of a group.
    Group(u32),
    /// All users.
    Everybody,
}

/// What the headers of an ELF file say.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ElfFacts {
    /// Its build ID.
    pub build_id: Option<String>,
    /// Whether it may be loaded at any address (`ET_DYN`).
    pub is_movable: bool,
    /// Whether it is a program that runs alone or with a dynamic linker, no library.
    pub is_program: bool,
    /// Whether it names a dynamic linker.
    pub has_linker: bool,
    /// Whether it asks for an executable stack (`PT_GNU_STACK`).
    pub wants_executable_stack: bool,
    /// The addresses that become read-only after relocation (`PT_GNU_RELRO`), as in the file.
    pub relro: Option<AddressRange>,
    /// Whether all symbols are resolved at start (`DF_BIND_NOW`).
    pub binds_now: bool,
    /// Whether its code is relocated (`DT_TEXTREL`).
    pub relocates_text: bool,
    /// `GNU_PROPERTY_X86_FEATURE_1_AND` or that of AArch64.
    pub protections: u32,
    /// `e_machine`.
    pub machine: u16,
    /// Its loadable segments: the addresses in the file, the offset, and whether it is code.
    pub loads: Vec<(AddressRange, u64, bool)>,
    /// What it is known to make code with.
    pub makes_code: Option<CodeMaker>,
}

impl ElfFacts {
    /// The load bias of the image that an executable row is part of.
    pub fn bias(&self, row: &Mapping<'_>, page: u64) -> Option<u64> {
        let floor = |address: u64| address - address % page.max(1);
        let is_start = |(_, offset, is_code): &&(AddressRange, u64, bool)| {
            *is_code && floor(*offset) == row.offset
        };
        let (range, ..) = self.loads.iter().find(is_start)?;
        Some(row.range.start.wrapping_sub(floor(range.start)))
    }
}

/// Pages in an executable mapping of a file that are not the file's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangedPages {
    /// The row.
    pub row: usize,
    /// The pages; of a source without page tables the whole row.
    pub range: AddressRange,
    /// Their bytes, as far as they are known in the range.
    pub bytes: u64,
    /// The first byte that differs from the file, if the memory was compared with it.
    pub difference: Option<Comparison>,
}

impl ChangedPages {
    /// Pages that were not compared with the file.
    pub fn new(row: usize, range: AddressRange, bytes: u64) -> ChangedPages {
        ChangedPages { row, range, bytes, difference: None }
    }
}

/// The memory of changed pages, compared with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// All bytes are those of the file.
    Equal,
    /// They differ.
    Differs {
        /// The first address.
        address: u64,
        /// The bytes in memory from there, at most eight.
        memory: Vec<u8>,
        /// The bytes in the file.
        file: Vec<u8>,
        /// The number of bytes that differ.
        count: u64,
        /// Whether each of these is a breakpoint (`int3` of x86, `brk` of AArch64).
        are_breakpoints: bool,
    },
}

/// A library or runtime that makes code at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodeMaker {
    /// Its name.
    pub name: &'static str,
    /// Whether it is a runtime, whose programs are for the most part made at run time; libraries make
    /// a few pages.
    pub is_runtime: bool,
}

/// The symbols by which makers of code are known.
pub const CODE_MAKERS: &[(&str, CodeMaker)] = &[
    ("gHotSpotVMStructs", CodeMaker { name: "HotSpot", is_runtime: true }),
    ("v8dbg_APIObjectType", CodeMaker { name: "V8", is_runtime: true }),
    ("_ZN2v87Isolate3NewERKNS0_12CreateParamsE", CodeMaker { name: "V8", is_runtime: true }),
    ("luaJIT_setmode", CodeMaker { name: "LuaJIT", is_runtime: true }),
    ("mono_jit_init", CodeMaker { name: "Mono", is_runtime: true }),
    ("coreclr_initialize", CodeMaker { name: ".NET", is_runtime: true }),
    ("pypy_main_startup", CodeMaker { name: "PyPy", is_runtime: true }),
    ("rpython_startup_code", CodeMaker { name: "PyPy", is_runtime: true }),
    ("rb_yjit_enabled_p", CodeMaker { name: "Ruby's YJIT", is_runtime: true }),
    ("LLVMCreateExecutionEngineForModule", CodeMaker { name: "LLVM", is_runtime: true }),
    ("LLVMOrcCreateLLJIT", CodeMaker { name: "LLVM", is_runtime: true }),
    ("erts_alcu_init", CodeMaker { name: "Erlang", is_runtime: true }),
    ("pcre2_jit_compile_8", CodeMaker { name: "PCRE2", is_runtime: false }),
    ("pcre_study", CodeMaker { name: "PCRE", is_runtime: false }),
    ("ffi_closure_alloc", CodeMaker { name: "libffi", is_runtime: false }),
];
