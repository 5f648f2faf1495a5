//! The table of system calls, shared by the seccomp filter, both backends of the recorder, the
//! readers of logs and docs/recording.md.
//!
//! Left out, because they change no row, or because the recorder detects the change otherwise:
//! - prctl(2): `PR_SET_THP_DISABLE` changes how memory is filled, not which memory is mapped. After
//!   `PR_SET_MDWE` more calls fail, and calls are recorded with their results.
//!   `PR_SET_SHADOW_STACK_STATUS` maps a shadow stack on AArch64 and RISC-V, whose programs are not
//!   recorded yet.
//! - arch_prctl(2): `ARCH_SHSTK_LOCK`, `_UNLOCK`, `_STATUS` and the options of LAM (0x4001 to
//!   0x4004) map nothing. Nor do the options that set or get segment bases and CPU features.
//! - process_mrelease(2), move_pages(2), migrate_pages(2), mincore(2), msync(2), cachestat(2): they
//!   operate on pages. set_mempolicy(2) applies to a task.
//! - close(2) of a userfaultfd and a clone(2) with a shadow stack change mappings, as do page
//!   faults that grow a stack. These are observed, because stopping at each close(2) is expensive.
//! - Rings of io_uring, perf events and sockets are mapped by mmap(2). io_uring's own operations
//!   (`IORING_OP_MADVISE`) are not system calls.
//! - uselib(2) is enabled in no distribution kernel and was removed in 6.16; modify_ldt(2) maps
//!   nothing that rows show.
//!
//! # References
//! Linux 6.18 `arch/x86/entry/syscalls/*.tbl`, `include/uapi/asm-generic/unistd.h`, `kernel/sys.c`,
//! `arch/x86/kernel/process_64.c`, `arch/x86/kernel/shstk.c`, `mm/madvise.c`, `ipc/syscall.c`,
//! `include/uapi/linux/userfaultfd.h`.

use super::Counts;
use Counts::{Advice, Always, In, Not};
use vmatlas_maps::uapi::personality::ASK_PERSONALITY;
use vmatlas_maps::uapi::prctl::{
    ARCH_MAP_VDSO_64, ARCH_MAP_VDSO_X32, ARCH_SHSTK_DISABLE, ARCH_SHSTK_ENABLE,
    PR_SET_MEMORY_MERGE, PR_SET_MM, PR_SET_SECCOMP, PR_SET_VMA,
};
use vmatlas_maps::uapi::seccomp::{SECCOMP_SET_MODE_FILTER, SECCOMP_SET_MODE_STRICT};
use vmatlas_maps::uapi::shm::{IPC_SHMAT, IPC_SHMDT};
use vmatlas_maps::uapi::userfaultfd::{UFFDIO_REGISTER, UFFDIO_UNREGISTER};

/// The ABI of a system call: its call numbers and argument layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Abi {
    /// 64-bit programs on x86.
    X86_64 = 0,
    /// 32-bit programs on x86, and `int 0x80` in any.
    I386 = 1,
    /// Programs with 32-bit pointers in 64-bit mode. Numbers in the table lack bit 30.
    X32 = 2,
    /// 64-bit programs on ARM.
    AArch64 = 3,
}

/// A system call: its name, its number in each ABI, and its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SystemCall {
    /// The name as in syscalls(2), strace(1) and the kernel's tracepoints.
    pub name: &'static str,
    /// The effect of the call.
    pub meaning: Meaning,
    /// The location of its arguments.
    pub form: Form,
    /// The condition under which it is recorded.
    pub counts: Counts,
    numbers: [Option<u32>; 4],
}

/// The effect of a system call in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Meaning {
    /// It can change an address space.
    Change(CallKind),
    /// clone(2): the new task may get a copy of the address space, or be untraced.
    Clone,
    /// clone3(2), with its flags in memory.
    Clone3,
    /// fork(2): the new task gets a copy of the address space.
    Fork,
    /// vfork(2): the new task shares the address space.
    Vfork,
    /// ptrace(2), which fails in a traced task.
    Ptrace,
    /// seccomp(2) that installs a filter, or strict mode.
    Seccomp,
    /// prctl(2) that installs a filter, or strict mode.
    PrctlSeccomp,
    /// io_uring_setup(2): the operations of the ring are no system calls.
    IoUring,
}

/// The location of the arguments of a [`CallKind`] among those of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// In the same registers.
    Plain,
    /// As many as given; the others are 0.
    First(u8),
    /// In memory, six words of 32 bits (i386).
    InMemory,
    /// The sixth is in units of 4096 bytes.
    Pages,
    /// The arguments of shmat(2) or shmdt(2) in ipc(2).
    Ipc,
    /// In the structure to which the third argument points.
    Ioctl,
}

macro_rules! number {
    (-) => {
        None
    };
    ($number:literal) => {
        Some($number)
    };
}

macro_rules! calls {
    ($($(#[$doc:meta])* $kind:ident = $number:literal, $kind_name:literal, $arguments:literal { $(
        $name:ident [$wide:tt $narrow:tt $x32:tt $arm:tt] $form:expr, $counts:expr;
    )+ })+) => {
        /// A system call that can change an address space, independent of the ABI.
        ///
        /// Its arguments are those of the manual page, with pointers already dereferenced: see
        /// [`Call::args`](super::Call::args).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[non_exhaustive]
        #[allow(missing_docs, reason = "named as in syscalls(2)")]
        pub enum CallKind {
            $($(#[$doc])* $kind = $number,)+
        }

        /// Every kind with its name and its number of arguments.
        const KINDS: &[(CallKind, &str, u8)] =
            &[$((CallKind::$kind, $kind_name, $arguments)),+];

        const CHANGES: &[SystemCall] = &[$($(SystemCall {
            name: stringify!($name),
            meaning: Meaning::Change(CallKind::$kind),
            form: $form,
            counts: $counts,
            numbers: [number!($wide), number!($narrow), number!($x32), number!($arm)],
        }),+),+];
    };
}

/// `ARCH_MAP_VDSO_*` map `[vdso]` again, `ARCH_SHSTK_ENABLE` maps a shadow stack,
/// `ARCH_SHSTK_DISABLE` unmaps it.
const ARCH_OPTIONS: &[(u32, u32)] = &[
    (ARCH_MAP_VDSO_X32 as u32, ARCH_MAP_VDSO_64 as u32),
    (ARCH_SHSTK_ENABLE as u32, ARCH_SHSTK_DISABLE as u32),
];
const OPTIONS: &[(u32, u32)] =
    &[one(PR_SET_MM as u32), one(PR_SET_MEMORY_MERGE as u32), one(PR_SET_VMA as u32)];
/// Calls by ipc(2), with version 0 or 1 in the upper half.
const SHMAT: &[(u32, u32)] = &[one(IPC_SHMAT), one(1 << 16 | IPC_SHMAT)];
const SHMDT: &[(u32, u32)] = &[one(IPC_SHMDT), one(1 << 16 | IPC_SHMDT)];
const REGISTER: &[(u32, u32)] = &[one(UFFDIO_REGISTER as u32)];
const UNREGISTER: &[(u32, u32)] = &[one(UFFDIO_UNREGISTER as u32)];

const fn one(number: u32) -> (u32, u32) {
    (number, number)
}

// A kind, its number in recordings, its name, its number of arguments; then its system calls:
// name, numbers [x86-64 i386 x32 AArch64], location of the arguments, recording condition.
calls! {
    Mmap = 1, "mmap", 6 {
        mmap [9 - 9 222] Form::Plain, Always;
        old_mmap [- 90 - -] Form::InMemory, Always;
        mmap2 [- 192 - -] Form::Pages, Always;
    }
    Munmap = 2, "munmap", 2 {
        munmap [11 91 11 215] Form::Plain, Always;
    }
    Mprotect = 3, "mprotect", 3 {
        mprotect [10 125 10 226] Form::Plain, Always;
    }
    PkeyMprotect = 4, "pkey_mprotect", 4 {
        pkey_mprotect [329 380 329 288] Form::Plain, Always;
    }
    Mremap = 5, "mremap", 5 {
        mremap [25 163 25 216] Form::Plain, Always;
    }
    Brk = 6, "brk", 1 {
        brk [12 45 12 214] Form::Plain, Always;
    }
    Madvise = 7, "madvise", 3 {
        madvise [28 219 28 233] Form::Plain, Advice(2);
    }
    /// mlock2(2); mlock(2) is recorded as mlock2(2) without flags.
    Mlock = 8, "mlock", 3 {
        mlock [149 150 149 228] Form::First(2), Always;
        mlock2 [325 376 325 284] Form::Plain, Always;
    }
    Munlock = 9, "munlock", 2 {
        munlock [150 151 150 229] Form::Plain, Always;
    }
    Mlockall = 10, "mlockall", 1 {
        mlockall [151 152 151 230] Form::Plain, Always;
    }
    Munlockall = 11, "munlockall", 0 {
        munlockall [152 153 152 231] Form::Plain, Always;
    }
    Mseal = 12, "mseal", 3 {
        mseal [462 462 462 462] Form::Plain, Always;
    }
    Mbind = 13, "mbind", 6 {
        mbind [237 274 237 235] Form::Plain, Always;
    }
    RemapFilePages = 14, "remap_file_pages", 5 {
        remap_file_pages [216 257 216 234] Form::Plain, Always;
    }
    Shmat = 15, "shmat", 4 {
        shmat [30 397 30 196] Form::First(3), Always;
        ipc [- 117 - -] Form::Ipc, In(0, SHMAT);
    }
    Shmdt = 16, "shmdt", 1 {
        shmdt [67 398 67 197] Form::Plain, Always;
        ipc [- 117 - -] Form::Ipc, In(0, SHMDT);
    }
    Prctl = 17, "prctl", 5 {
        prctl [157 172 157 167] Form::Plain, In(0, OPTIONS);
    }
    Personality = 18, "personality", 1 {
        personality [135 136 135 92] Form::Plain, Not(0, ASK_PERSONALITY);
    }
    PkeyAlloc = 19, "pkey_alloc", 2 {
        pkey_alloc [330 381 330 289] Form::Plain, Always;
    }
    PkeyFree = 20, "pkey_free", 1 {
        pkey_free [331 382 331 290] Form::Plain, Always;
    }
    Userfaultfd = 21, "userfaultfd", 1 {
        userfaultfd [323 374 323 282] Form::Plain, Always;
    }
    /// ioctl(2) with `UFFDIO_REGISTER`.
    UffdRegister = 22, "UFFDIO_REGISTER", 4 {
        ioctl [16 54 514 29] Form::Ioctl, In(1, REGISTER);
    }
    /// ioctl(2) with `UFFDIO_UNREGISTER`.
    UffdUnregister = 23, "UFFDIO_UNREGISTER", 3 {
        ioctl [16 54 514 29] Form::Ioctl, In(1, UNREGISTER);
    }
    IoSetup = 24, "io_setup", 3 {
        io_setup [206 245 543 0] Form::First(2), Always;
    }
    IoDestroy = 25, "io_destroy", 1 {
        io_destroy [207 246 207 1] Form::Plain, Always;
    }
    MapShadowStack = 26, "map_shadow_stack", 3 {
        map_shadow_stack [453 453 453 453] Form::Plain, Always;
    }
    ArchPrctl = 27, "arch_prctl", 2 {
        arch_prctl [158 384 158 -] Form::Plain, In(0, ARCH_OPTIONS);
    }
    ProcessMadvise = 28, "process_madvise", 5 {
        process_madvise [440 440 440 440] Form::Plain, Advice(3);
    }
    SetMempolicyHomeNode = 29, "set_mempolicy_home_node", 4 {
        set_mempolicy_home_node [450 450 450 450] Form::Plain, Always;
    }
}

const fn other(
    name: &'static str,
    numbers: [Option<u32>; 4],
    meaning: Meaning,
    counts: Counts,
) -> SystemCall {
    SystemCall { name, meaning, form: Form::Plain, counts, numbers }
}

/// Calls that change no address space, but its tasks or how they are traced.
const OTHERS: &[SystemCall] = &[
    other("clone", [Some(56), Some(120), Some(56), Some(220)], Meaning::Clone, Always),
    other("clone3", [Some(435), Some(435), Some(435), Some(435)], Meaning::Clone3, Always),
    other("fork", [Some(57), Some(2), Some(57), None], Meaning::Fork, Always),
    other("vfork", [Some(58), Some(190), Some(58), None], Meaning::Vfork, Always),
    other("ptrace", [Some(101), Some(26), Some(521), Some(117)], Meaning::Ptrace, Always),
    other("io_uring_setup", [Some(425), Some(425), Some(425), Some(425)], Meaning::IoUring, Always),
    other(
        "seccomp",
        [Some(317), Some(354), Some(317), Some(277)],
        Meaning::Seccomp,
        In(0, &[(SECCOMP_SET_MODE_STRICT, SECCOMP_SET_MODE_FILTER)]),
    ),
    other(
        "prctl",
        [Some(157), Some(172), Some(157), Some(167)],
        Meaning::PrctlSeccomp,
        In(0, &[one(PR_SET_SECCOMP as u32)]),
    ),
];

impl SystemCall {
    /// All calls of the table. A name or a number may occur several times; for given arguments at
    /// most one entry applies.
    pub fn all() -> impl Iterator<Item = &'static SystemCall> + Clone {
        CHANGES.iter().chain(OTHERS)
    }

    /// The call number, without bit 30 for x32; `None` if the ABI lacks the call.
    pub fn number(&self, abi: Abi) -> Option<u32> {
        self.numbers[abi as usize]
    }

    /// The calls with that name in strace(1), which writes an unknown call as `syscall_0x1ce`, with
    /// its number on x86-64.
    pub fn named(name: &str) -> impl Iterator<Item = &'static SystemCall> {
        let unknown = name.strip_prefix("syscall_0x");
        let number = unknown.and_then(|hex| u32::from_str_radix(hex, 16).ok());
        SystemCall::all().filter(move |call| {
            call.name == name || (number.is_some() && call.number(Abi::X86_64) == number)
        })
    }
}

impl CallKind {
    /// Every kind, in the order of their numbers in a recording.
    pub fn all() -> impl ExactSizeIterator<Item = CallKind> + Clone {
        KINDS.iter().map(|(kind, ..)| *kind)
    }

    /// The name as in syscalls(2); for an ioctl, the request.
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    /// The number of arguments that are recorded.
    pub fn arguments(self) -> usize {
        usize::from(self.entry().2)
    }

    /// The kind with that number in a recording.
    pub(crate) fn from_number(number: u8) -> Option<CallKind> {
        KINDS.get(usize::from(number).checked_sub(1)?).map(|(kind, ..)| *kind)
    }

    fn entry(self) -> &'static (CallKind, &'static str, u8) {
        &KINDS[self as usize - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABIS: [Abi; 4] = [Abi::X86_64, Abi::I386, Abi::X32, Abi::AArch64];

    #[test]
    fn numbers_are_the_places_in_the_list() {
        for (index, (kind, ..)) in KINDS.iter().enumerate() {
            assert_eq!(*kind as usize, index + 1);
            assert_eq!(CallKind::from_number(*kind as u8), Some(*kind));
        }
        assert_eq!(CallKind::from_number(0), None);
        assert_eq!(CallKind::from_number(KINDS.len() as u8 + 1), None);
    }

    /// Entries with the same number must be distinguishable by one argument.
    #[test]
    fn calls_of_one_number_differ_in_one_argument() {
        for abi in ABIS {
            for call in SystemCall::all() {
                let Some(number) = call.number(abi) else { continue };
                let same = SystemCall::all().filter(|other| other.number(abi) == Some(number));
                let same: Vec<&SystemCall> = same.collect();
                let argument = call.counts.argument();
                assert!(same.iter().all(|other| other.name == call.name), "{abi:?} {number}");
                assert!(same.len() == 1 || argument.is_some(), "{abi:?} {number}");
                assert!(same.iter().all(|other| other.counts.argument() == argument));
                let ranges = || same.iter().flat_map(|other| other.counts.ranges());
                for value in ranges().flat_map(|(first, last)| first..=last) {
                    let within = ranges().filter(|(first, last)| (*first..=*last).contains(&value));
                    assert_eq!(within.count(), 1, "{abi:?} {number} {value:#x}");
                }
            }
        }
    }

    /// docs/recording.md lists the kinds as this table has them.
    #[test]
    fn the_documentation_lists_every_kind() {
        let text = include_str!("../../../../docs/recording.md");
        let (_, list) = text.split_once("**Calls** are numbered so").unwrap();
        let lines = list.lines().skip(1).skip_while(|line| line.is_empty());
        let block = lines.take_while(|line| line.starts_with("    "));
        let words: Vec<&str> = block.flat_map(str::split_whitespace).collect();
        let listed: Vec<(&str, &str, &str)> = words
            .chunks(3)
            .map(|entry| match *entry {
                [number, name, arguments] => (number, name, arguments),
                _ => panic!("{entry:?}"),
            })
            .collect();
        let known: Vec<[String; 3]> = CallKind::all()
            .map(|kind| {
                [(kind as u8).to_string(), kind.name().to_owned(), kind.arguments().to_string()]
            })
            .collect();
        let known: Vec<(&str, &str, &str)> = known
            .iter()
            .map(|[number, name, arguments]| (&**number, &**name, &**arguments))
            .collect();
        assert_eq!(listed, known, "docs/recording.md");
    }
}
