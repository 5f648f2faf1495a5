//! The table of rules. docs/audit.md, `vmatlas audit --explain` and SARIF are made from it.

use super::finding::Severity;

/// A rule of an audit.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rule {
    /// Its name in documents, policies and on the command line; never changed.
    pub id: &'static str,
    /// Its group of documents.
    pub group: Group,
    /// Its severity if no honest cause fits.
    pub severity: Severity,
    /// What it finds, in a few words.
    pub title: &'static str,
    /// When it finds something.
    pub condition: &'static str,
    /// The honest causes that lower its severity or explain it; empty if none is known.
    pub honest: &'static str,
    /// What to do.
    pub advice: &'static str,
}

/// What rules are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Memory that may be executed, and should not be or is too much.
    Code,
    /// The files that code comes from.
    Files,
    /// The protections of a program and its process.
    Protections,
    /// Limits, secrets, devices, and what vmatlas itself cannot explain.
    Memory,
    /// The order of calls in a recording.
    Sequences,
    /// The audit itself.
    Audit,
}

impl Group {
    /// Its heading.
    pub fn title(self) -> &'static str {
        match self {
            Group::Code => "Executable memory",
            Group::Files => "Files of code",
            Group::Protections => "Protections",
            Group::Memory => "Limits, secrets, devices",
            Group::Sequences => "Sequences in recordings",
            Group::Audit => "The policy",
        }
    }
}

/// The rule with this name.
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.id == id)
}

macro_rules! rules {
    ($($name:ident = $id:literal, $group:ident, $severity:ident, $title:literal,
        when $condition:literal, honest $honest:literal, advice $advice:literal;)*) => {
        $(
            pub(super) static $name: Rule = Rule {
                id: $id,
                group: Group::$group,
                severity: Severity::$severity,
                title: $title,
                condition: $condition,
                honest: $honest,
                advice: $advice,
            };
        )*
        /// All rules, in the order of the documents.
        pub static RULES: &[&Rule] = &[$(&$name),*];
    };
}

rules! {
    WX = "wx", Code, High, "memory that may be written and executed",
        when "a mapping without a file has both `w` and `x`",
        honest "a JIT compiler that keeps its code writable: V8 without W^X, LuaJIT, an old JVM; `--deep` proves those that vmatlas knows",
        advice "turn the runtime's W^X mode on, or find out who mapped it: vmatlas record, then blame";
    WX_FILE = "wx-file", Code, Critical, "code of a file that may be written",
        when "a private mapping of a file has both `w` and `x`",
        honest "text relocations (`DT_TEXTREL`) while the file is loaded",
        advice "build the file with -fPIC; a file without text relocations is never mapped so";
    WX_SHARED = "wx-shared", Code, Critical, "shared memory that may be written and executed",
        when "a shared mapping has both `w` and `x`",
        honest "",
        advice "map it twice, once rw- and once r-x, as JIT compilers do; find out who else has it open";
    ANON_X = "anon-x", Code, High, "code that comes from no file",
        when "a mapping without a file has `x`, no `w`, and is neither the vdso, vsyscall nor uprobes",
        honest "JIT compilers (V8, HotSpot, .NET, Mono, PyPy, LuaJIT, PCRE2), closures of libffi; code that was copied from a file, which `--deep` compares",
        advice "look at its bytes (vmatlas at PID ADDR --deep) and at who mapped it (vmatlas record, then blame)";
    ANON_X_ISLAND = "anon-x-island", Code, Critical, "a small island of foreign code that runs",
        when "memory as of `anon-x` or `wx` has at most 64 KiB, no known JIT code within 64 MiB, and a thread executes in it or, with `--deep`, will return to it",
        honest "trampolines of libraries that intercept functions",
        advice "keep the process (vmatlas save, gcore), then find out what loaded it";
    EXEC_STACK = "exec-stack", Code, High, "an executable stack",
        when "`[stack]` or the stack of a thread has `x`, or an object that is loaded asks for it (`PT_GNU_STACK`)",
        honest "GNAT, functions inside functions of GNU C, assembler files without .note.GNU-stack, old Mono: the object that asks is named",
        advice "build the named object with -z noexecstack, or clear its flag with execstack -c";
    EXEC_HEAP = "exec-heap", Code, Critical, "an executable heap",
        when "`[heap]` has `x`",
        honest "the persona READ_IMPLIES_EXEC of old programs (personality(2))",
        advice "no current program needs this; find out who called mprotect: vmatlas record, then blame";
    DIRTY_TEXT = "dirty-text", Code, High, "code of a file that was changed in memory",
        when "a private executable mapping of a file that is not writable has pages of its own",
        honest "text relocations; breakpoints of a tracer; uprobes",
        advice "compare it with the file: vmatlas audit PID --deep";
    TEXT_DIFFERS = "text-differs", Code, Critical, "code in memory that differs from its file",
        when "with `--deep`, pages as of `dirty-text` have other bytes than the mapped file",
        honest "breakpoints of a tracer or of uprobes; text relocations; hot patching, static keys of LTTng",
        advice "keep the process (vmatlas save, gcore) and look at the functions named by the address";

    DELETED_EXEC = "deleted-exec", Files, Medium, "code of a file that is gone",
        when "an executable mapping's file was removed, and nothing is at its path",
        honest "programs that unpack a library and remove it: JNA, Netty, zstd-jni",
        advice "restart the process if a package was removed; otherwise find out who wrote the file";
    OUTDATED = "outdated", Files, Medium, "code of a file that was replaced",
        when "another file is at the path of an executable mapping; build IDs are compared before device and inode",
        honest "an upgrade of a package without a restart; a copy with the same build ID (overlayfs, btrfs) is info",
        advice "restart the process";
    MEMFD_EXEC = "memfd-exec", Files, High, "code in a memfd",
        when "an executable mapping is of a memfd",
        honest "runtimes and drivers that map code twice: .NET, QtQml, libffi, Nvidia; the name of the memfd proves nothing",
        advice "look at its bytes (vmatlas at PID ADDR --deep) and at who made it: vmatlas record, then blame";
    MEMFD_EXE = "memfd-exe", Files, Critical, "a program that runs from a memfd",
        when "`/proc/PID/exe` is a memfd",
        honest "a sealed copy of a program of root, as runc up to 1.2 and lxc-attach make: its bytes are compared",
        advice "keep its bytes (cp /proc/PID/exe FILE), then end it";
    WRITABLE_PATH = "writable-path", Files, High, "code of a file that others can replace",
        when "a user other than root and the process's own may write an executed file or one of its directories; a directory with the sticky bit protects the files of others",
        honest "build trees, programs in a user's home that another user runs",
        advice "give file and directories to root and take the right to write away from others";
    NOEXEC_MOUNT = "noexec-mount", Files, Medium, "code from a file system that forbids it",
        when "an executable mapping's file is on a mount that is `noexec` now",
        honest "a mount that was changed to `noexec` while programs ran",
        advice "restart the process, or install the file elsewhere";
    FOREIGN_OWNER = "foreign-owner", Files, Medium, "code of a file of another user",
        when "an executed file belongs neither to root nor to a user of the process",
        honest "containers with user namespaces and mounts whose IDs are mapped",
        advice "give the file to root";
    SHARED_CODE_FILE = "shared-writable-code-file", Files, High, "a file that one process writes and another executes",
        when "of the audited processes one maps a file shared and writable, and another one executes it",
        honest "tools that replace code while it runs",
        advice "find out why the named process writes a file of code";

    NO_RELRO = "no-relro", Protections, Medium, "tables that should be read-only are writable",
        when "addresses of `PT_GNU_RELRO` are writable",
        honest "a program that is still being loaded; loaders other than those of C libraries",
        advice "find out who made them writable again: vmatlas record, then audit the recording";
    PARTIAL_RELRO = "partial-relro", Protections, Low, "a table of functions stays writable",
        when "the program has a dynamic linker, and no `PT_GNU_RELRO` or not `DF_BIND_NOW`",
        honest "old toolchains",
        advice "link it with -z relro -z now";
    NO_PIE = "no-pie", Protections, Low, "a program at fixed addresses",
        when "the program is not `ET_DYN`",
        honest "static programs, such as those of Go",
        advice "build it with -fPIE -pie (Go: -buildmode=pie)";
    NO_IBT = "no-ibt", Protections, Info, "no indirect branch tracking",
        when "the program's note lacks the bit IBT (x86-64)",
        honest "old toolchains, assembler files",
        advice "build it with -fcf-protection";
    NO_SHSTK = "no-shstk", Protections, Info, "no shadow stack",
        when "the program's note lacks the bit SHSTK (x86-64)",
        honest "old toolchains, assembler files",
        advice "build it with -fcf-protection";
    NO_BTI = "no-bti", Protections, Info, "no branch target identification",
        when "the program's note lacks the bit BTI (AArch64)",
        honest "old toolchains, assembler files",
        advice "build it with -mbranch-protection=standard";
    NO_PAC = "no-pac", Protections, Info, "no signed return addresses",
        when "the program's note lacks the bit PAC (AArch64)",
        honest "old toolchains, assembler files",
        advice "build it with -mbranch-protection=standard";
    ASLR_OFF = "aslr-off", Protections, High, "addresses that are not random",
        when "the persona has ADDR_NO_RANDOMIZE, `kernel.randomize_va_space` is 0, or a movable program is at 0x555555554000",
        honest "a debugger that traces the process; setarch -R",
        advice "start it without setarch -R, and set kernel.randomize_va_space = 2";
    LOW_MAP = "low-map", Protections, Critical, "memory at addresses of null pointers",
        when "a mapping begins below 64 KiB or vm.mmap_min_addr",
        honest "Wine and dosemu; the persona MMAP_PAGE_ZERO",
        advice "find out who mapped it; set vm.mmap_min_addr = 65536";
    GUARD_MISSING = "guard-missing", Protections, Medium, "a stack without a guard",
        when "accessible memory lies directly below the stack of a thread, and no guard pages",
        honest "stacks that a program allocates itself (fibers, pthread_attr_setstack(3))",
        advice "leave a page of PROT_NONE below stacks";
    STACK_HUGE = "stack-huge", Protections, Low, "a stack without a useful limit",
        when "RLIMIT_STACK is unlimited, which also makes the kernel use the old layout of addresses, or `[stack]` or its limit exceeds 1 GiB",
        honest "numeric programs",
        advice "set ulimit -s or LimitSTACK= to what it needs";
    PTRACE_WINDOW = "ptrace-window", Protections, High, "another process can change this one",
        when "a process traces it, or it has the memory of another process open (/proc/PID/mem)",
        honest "debuggers, strace and vmatlas's recorder: the file of the tracer belongs to the system",
        advice "end the tracer if nobody debugs";

    SECRET_DUMPABLE = "secret-dumpable", Memory, Low, "a secret that core dumps contain",
        when "memory is named as a key, secret or password, has no MADV_DONTDUMP (`dd`), and coredump_filter includes it",
        honest "",
        advice "call madvise(MADV_DONTDUMP), or use memfd_secret(2)";
    MAP_BUDGET = "map-budget", Memory, Medium, "almost as many mappings as are allowed",
        when "more than 80 % of vm.max_map_count",
        honest "",
        advice "find out what makes the mappings (vmatlas PID --by label), or raise vm.max_map_count";
    UNEXPLAINED = "unexplained", Memory, Info, "memory whose purpose vmatlas does not know",
        when "with `--deep`, more than half of the resident memory without a name has no label",
        honest "a limit of vmatlas, not a fault of the program",
        advice "record it (vmatlas record, then blame)";
    KERNEL_SURFACE = "kernel-surface", Memory, Info, "a device or an object of the kernel is mapped",
        when "a mapping is of a device, of io_uring, BPF, KVM or perf; high for /dev/mem, /dev/kmem and /dev/port",
        honest "drivers of graphics and of virtual machines",
        advice "decide by policy which programs may";

    W_THEN_X = "w-then-x", Sequences, High, "memory that was writable became executable",
        when "in a recording, mprotect gives `x` to memory without a file that had `w` before",
        honest "JIT compilers that obey W^X",
        advice "look at both call stacks";
    X_THEN_W = "x-then-w", Sequences, High, "code became writable",
        when "in a recording, mprotect gives `w` to memory that had `x` and no `w`",
        honest "JIT compilers that obey W^X; text relocations",
        advice "look at both call stacks";
    RELRO_UNDONE = "relro-undone", Sequences, High, "read-only tables were made writable again",
        when "in a recording, mprotect gives `w` to memory of a file that an earlier call had made read-only",
        honest "lazy binding of some loaders",
        advice "look at both call stacks";
    EXEC_UNLINKED = "exec-unlinked", Sequences, High, "code of a file that was already removed",
        when "in a recording, a file without a name is mapped executable",
        honest "programs that unpack a library and remove it: JNA, Netty, zstd-jni",
        advice "look at the call stack";

    EXPIRED = "expired-exception", Audit, Medium, "an exception of the policy is out of date",
        when "`until` of an exception is in the past",
        honest "",
        advice "look at its reason again; remove it or give it a new date";
}
