//! The numbers.

use vmatlas_recording::CallKind;

/// By whose numbers and with whose arguments a system call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Abi {
    X86_64 = 0,
    /// 32-bit programs, and `int 0x80` in any.
    I386 = 1,
    /// 32-bit pointers in 64-bit mode.
    X32 = 2,
}

/// The bit of x32's numbers.
pub(crate) const X32_BIT: u32 = 0x4000_0000;

impl Abi {
    pub(crate) const ALL: [Abi; 3] = [Abi::X86_64, Abi::I386, Abi::X32];

    /// `AUDIT_ARCH_*`, which does not tell x32 from x86-64: the number does.
    pub(crate) fn audit_arch(self) -> u32 {
        match self {
            Abi::I386 => 0x4000_0003,
            Abi::X86_64 | Abi::X32 => 0xc000_003e,
        }
    }

    /// The ABI of a call.
    pub(crate) fn of(audit_arch: u32, number: u64) -> Abi {
        if audit_arch == Abi::I386.audit_arch() {
            Abi::I386
        } else if number & u64::from(X32_BIT) != 0 {
            Abi::X32
        } else {
            Abi::X86_64
        }
    }
}

/// What a call of the table is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// It can change an address space.
    Change(CallKind),
    /// i386's multiplexer, of which shmat and shmdt can.
    Ipc,
    /// i386's mmap, whose arguments are in memory.
    OldMmap,
    /// i386's mmap, whose offset is in pages of 4096 bytes.
    Mmap2,
    /// ioctl, of which two requests on a userfaultfd can.
    Ioctl,
    /// prctl, of which some options can and one installs a filter.
    Prctl,
    /// It makes a task, which may get a copy of the address space, or be one that is not traced.
    Clone,
    /// ptrace, which fails for who is traced.
    Ptrace,
    /// It installs a filter of the program's own.
    Seccomp,
}

/// Which calls of a number count, by the low 32 bits of an argument. That is all that the kernel
/// looks at in those arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Always,
    /// The argument is in one of these ranges, both ends included.
    In(u8, &'static [(u32, u32)]),
    /// The argument is another number.
    Not(u8, u32),
}

impl When {
    pub(crate) fn holds(self, args: &[u64; 6]) -> bool {
        let low = |index: u8| args.get(usize::from(index)).map_or(0, |&arg| arg as u32);
        match self {
            When::Always => true,
            When::In(index, ranges) => {
                ranges.iter().any(|&(first, last)| first <= low(index) && low(index) <= last)
            }
            When::Not(index, number) => low(index) != number,
        }
    }
}

/// A system call that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Its number, x32's without its bit.
    pub(crate) number: u32,
    pub(crate) meaning: Meaning,
    pub(crate) when: When,
}

/// The advices that change what VMAs are: all that set or clear a flag of VMAs, and guards, which
/// give a mapping a reverse map. The others only move pages.
const ADVICES: &[(u32, u32)] = &[(0, 2), (10, 19), (102, 103)];
/// `UFFDIO_REGISTER` and `UFFDIO_UNREGISTER`.
pub(super) const UFFDIO_REGISTER: u32 = 0xc020_aa00;
pub(super) const UFFDIO_UNREGISTER: u32 = 0x8010_aa01;
const REQUESTS: &[(u32, u32)] =
    &[(UFFDIO_REGISTER, UFFDIO_REGISTER), (UFFDIO_UNREGISTER, UFFDIO_UNREGISTER)];
pub(super) const PR_SET_SECCOMP: u32 = 22;
const PR_SET_MM: u32 = 35;
const PR_SET_MEMORY_MERGE: u32 = 67;
const PR_SET_VMA: u32 = 0x5356_4d41;
const OPTIONS: &[(u32, u32)] = &[
    (PR_SET_SECCOMP, PR_SET_SECCOMP),
    (PR_SET_MM, PR_SET_MM),
    (PR_SET_MEMORY_MERGE, PR_SET_MEMORY_MERGE),
    (PR_SET_VMA, PR_SET_VMA),
];
/// `ARCH_SHSTK_ENABLE` maps a shadow stack, `ARCH_SHSTK_DISABLE` unmaps it.
const SHADOW_STACKS: &[(u32, u32)] = &[(0x5001, 0x5002)];
/// The `shmat` and `shmdt` of ipc(2). The version in the upper half is 0 or 1.
const IPC_CALLS: &[(u32, u32)] = &[(21, 22), (0x1_0015, 0x1_0016)];
pub(crate) const CLONE_UNTRACED: u32 = 0x0080_0000;

const fn rule_of(number: u32, meaning: Meaning, when: When) -> Rule {
    Rule { number, meaning, when }
}

const fn change(number: u32, kind: CallKind) -> Rule {
    rule_of(number, Meaning::Change(kind), When::Always)
}

/// asm/unistd_64.h, in ascending order. Those of x32 are the same but for three.
macro_rules! wide {
    (ioctl $ioctl:expr, ptrace $ptrace:expr, io_setup $io_setup:expr) => {
        [
            change(9, CallKind::Mmap),
            change(10, CallKind::Mprotect),
            change(11, CallKind::Munmap),
            change(12, CallKind::Brk),
            rule_of($ioctl, Meaning::Ioctl, When::In(1, REQUESTS)),
            change(25, CallKind::Mremap),
            rule_of(28, Meaning::Change(CallKind::Madvise), When::In(2, ADVICES)),
            change(30, CallKind::Shmat),
            rule_of(56, Meaning::Clone, When::Always),
            // fork; what vfork makes never has a copy.
            rule_of(57, Meaning::Clone, When::Always),
            change(67, CallKind::Shmdt),
            rule_of($ptrace, Meaning::Ptrace, When::Always),
            // Not the question which one it is.
            rule_of(135, Meaning::Change(CallKind::Personality), When::Not(0, u32::MAX)),
            change(149, CallKind::Mlock),
            change(150, CallKind::Munlock),
            change(151, CallKind::Mlockall),
            change(152, CallKind::Munlockall),
            rule_of(157, Meaning::Prctl, When::In(0, OPTIONS)),
            rule_of(158, Meaning::Change(CallKind::ArchPrctl), When::In(0, SHADOW_STACKS)),
            change($io_setup, CallKind::IoSetup),
            change(207, CallKind::IoDestroy),
            change(216, CallKind::RemapFilePages),
            change(237, CallKind::Mbind),
            // SECCOMP_SET_MODE_STRICT and SECCOMP_SET_MODE_FILTER.
            rule_of(317, Meaning::Seccomp, When::In(0, &[(0, 1)])),
            change(323, CallKind::Userfaultfd),
            change(325, CallKind::Mlock),
            change(329, CallKind::PkeyMprotect),
            change(330, CallKind::PkeyAlloc),
            change(331, CallKind::PkeyFree),
            // clone3, whose flags are in memory.
            rule_of(435, Meaning::Clone, When::Always),
            rule_of(440, Meaning::Change(CallKind::ProcessMadvise), When::In(3, ADVICES)),
            change(450, CallKind::SetMempolicyHomeNode),
            change(453, CallKind::MapShadowStack),
            change(462, CallKind::Mseal),
        ]
    };
}

const X86_64: &[Rule] = &wide!(ioctl 16, ptrace 101, io_setup 206);
const X32: &[Rule] = &wide!(ioctl 514, ptrace 521, io_setup 543);

/// asm/unistd_32.h.
const I386: &[Rule] = &[
    rule_of(2, Meaning::Clone, When::Always),
    rule_of(26, Meaning::Ptrace, When::Always),
    change(45, CallKind::Brk),
    rule_of(54, Meaning::Ioctl, When::In(1, REQUESTS)),
    rule_of(90, Meaning::OldMmap, When::Always),
    change(91, CallKind::Munmap),
    rule_of(117, Meaning::Ipc, When::In(0, IPC_CALLS)),
    rule_of(120, Meaning::Clone, When::Always),
    change(125, CallKind::Mprotect),
    rule_of(136, Meaning::Change(CallKind::Personality), When::Not(0, u32::MAX)),
    change(150, CallKind::Mlock),
    change(151, CallKind::Munlock),
    change(152, CallKind::Mlockall),
    change(153, CallKind::Munlockall),
    change(163, CallKind::Mremap),
    rule_of(172, Meaning::Prctl, When::In(0, OPTIONS)),
    rule_of(192, Meaning::Mmap2, When::Always),
    rule_of(219, Meaning::Change(CallKind::Madvise), When::In(2, ADVICES)),
    change(245, CallKind::IoSetup),
    change(246, CallKind::IoDestroy),
    change(257, CallKind::RemapFilePages),
    change(274, CallKind::Mbind),
    rule_of(354, Meaning::Seccomp, When::In(0, &[(0, 1)])),
    change(374, CallKind::Userfaultfd),
    change(376, CallKind::Mlock),
    change(380, CallKind::PkeyMprotect),
    change(381, CallKind::PkeyAlloc),
    change(382, CallKind::PkeyFree),
    rule_of(384, Meaning::Change(CallKind::ArchPrctl), When::In(0, SHADOW_STACKS)),
    change(397, CallKind::Shmat),
    change(398, CallKind::Shmdt),
    rule_of(435, Meaning::Clone, When::Always),
    rule_of(440, Meaning::Change(CallKind::ProcessMadvise), When::In(3, ADVICES)),
    change(450, CallKind::SetMempolicyHomeNode),
    change(453, CallKind::MapShadowStack),
    change(462, CallKind::Mseal),
];

/// All calls of an ABI that count.
pub(crate) fn rules(abi: Abi) -> &'static [Rule] {
    match abi {
        Abi::X86_64 => X86_64,
        Abi::I386 => I386,
        Abi::X32 => X32,
    }
}

/// The rule for a call of that number, x32's with its bit.
pub(crate) fn rule(abi: Abi, number: u64) -> Option<&'static Rule> {
    let number = u32::try_from(number).ok()?;
    let number = if abi == Abi::X32 { number & !X32_BIT } else { number };
    rules(abi).iter().find(|rule| rule.number == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_stands_twice() {
        for abi in Abi::ALL {
            let mut numbers: Vec<u32> = rules(abi).iter().map(|rule| rule.number).collect();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), rules(abi).len(), "{abi:?}");
        }
    }

    /// The numbers of the C library.
    #[test]
    fn numbers_are_those_of_the_c_library() {
        let known = [
            (libc::SYS_mmap, CallKind::Mmap),
            (libc::SYS_mprotect, CallKind::Mprotect),
            (libc::SYS_munmap, CallKind::Munmap),
            (libc::SYS_brk, CallKind::Brk),
            (libc::SYS_mremap, CallKind::Mremap),
            (libc::SYS_madvise, CallKind::Madvise),
            (libc::SYS_shmat, CallKind::Shmat),
            (libc::SYS_shmdt, CallKind::Shmdt),
            (libc::SYS_personality, CallKind::Personality),
            (libc::SYS_mlock, CallKind::Mlock),
            (libc::SYS_munlock, CallKind::Munlock),
            (libc::SYS_mlockall, CallKind::Mlockall),
            (libc::SYS_munlockall, CallKind::Munlockall),
            (libc::SYS_arch_prctl, CallKind::ArchPrctl),
            (libc::SYS_io_setup, CallKind::IoSetup),
            (libc::SYS_io_destroy, CallKind::IoDestroy),
            (libc::SYS_remap_file_pages, CallKind::RemapFilePages),
            (libc::SYS_mbind, CallKind::Mbind),
            (libc::SYS_userfaultfd, CallKind::Userfaultfd),
            (libc::SYS_mlock2, CallKind::Mlock),
            (libc::SYS_pkey_mprotect, CallKind::PkeyMprotect),
            (libc::SYS_pkey_alloc, CallKind::PkeyAlloc),
            (libc::SYS_pkey_free, CallKind::PkeyFree),
            (libc::SYS_process_madvise, CallKind::ProcessMadvise),
            (libc::SYS_set_mempolicy_home_node, CallKind::SetMempolicyHomeNode),
            (libc::SYS_mseal, CallKind::Mseal),
        ];
        for (number, kind) in known {
            let rule = rule(Abi::X86_64, number as u64).unwrap();
            assert_eq!(rule.meaning, Meaning::Change(kind));
        }
        let others = [
            (libc::SYS_ioctl, Meaning::Ioctl),
            (libc::SYS_prctl, Meaning::Prctl),
            (libc::SYS_clone, Meaning::Clone),
            (libc::SYS_fork, Meaning::Clone),
            (libc::SYS_clone3, Meaning::Clone),
            (libc::SYS_ptrace, Meaning::Ptrace),
            (libc::SYS_seccomp, Meaning::Seccomp),
        ];
        for (number, meaning) in others {
            assert_eq!(rule(Abi::X86_64, number as u64).unwrap().meaning, meaning);
        }
    }
}
