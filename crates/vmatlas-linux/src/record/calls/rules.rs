//! The call table, sorted by number.

use crate::record::arch;
use vmatlas_recording::call::{Abi, Meaning, SystemCall};

/// A call number at which a program may stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Without the x32 bit.
    pub(crate) number: u32,
    /// The calls with this number, which differ in the deciding argument.
    pub(crate) calls: Vec<&'static SystemCall>,
}

/// All numbers of an ABI at which a program may stop, sorted.
pub(crate) fn rules(abi: Abi) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for call in SystemCall::all().filter(|call| stops(call)) {
        let Some(number) = call.number(abi) else { continue };
        match rules.iter_mut().find(|rule| rule.number == number) {
            Some(rule) => rule.calls.push(call),
            None => rules.push(Rule { number, calls: vec![call] }),
        }
    }
    rules.sort_unstable_by_key(|rule| rule.number);
    rules
}

/// vfork makes no copy, and stops at its ptrace event.
fn stops(call: &SystemCall) -> bool {
    call.meaning != Meaning::Vfork
}

/// The relevant call with this number (with the x32 bit) and these arguments.
pub(crate) fn find(abi: Abi, number: u64, args: &[u64; 6]) -> Option<&'static SystemCall> {
    let number = Some(arch::table_number(abi, number)?);
    SystemCall::all().find(|call| call.number(abi) == number && call.counts.holds(args))
}

/// The same for a backend that does not stop the program and may record page faults: includes calls
/// that only drop or populate pages.
pub(crate) fn heard(abi: Abi, number: u64, args: &[u64; 6]) -> Option<&'static SystemCall> {
    find(abi, number, args).or_else(|| {
        let number = Some(arch::table_number(abi, number)?);
        SystemCall::all().find(|call| call.number(abi) == number && call.counts.moves_pages(args))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmatlas_recording::CallKind;
    use vmatlas_recording::call::Counts;

    /// The C library's numbers are those of the processor that runs the tests.
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
            (libc::SYS_prctl, CallKind::Prctl),
            (libc::SYS_ioctl, CallKind::UffdRegister),
        ];
        let with = |number: libc::c_long| {
            SystemCall::all().filter(move |call| {
                call.number(arch::NATIVE).map(libc::c_long::from) == Some(number)
            })
        };
        for (number, kind) in known {
            assert!(with(number).any(|call| call.meaning == Meaning::Change(kind)), "{kind:?}");
        }
        let others = [
            (libc::SYS_clone, Meaning::Clone),
            (libc::SYS_fork, Meaning::Fork),
            (libc::SYS_vfork, Meaning::Vfork),
            (libc::SYS_clone3, Meaning::Clone3),
            (libc::SYS_ptrace, Meaning::Ptrace),
            (libc::SYS_seccomp, Meaning::Seccomp),
            (libc::SYS_prctl, Meaning::PrctlSeccomp),
            (libc::SYS_io_uring_setup, Meaning::IoUring),
        ];
        for (number, meaning) in others {
            assert!(with(number).any(|call| call.meaning == meaning), "{meaning:?}");
        }
    }

    #[test]
    fn no_number_stands_twice() {
        for abi in arch::ABIS {
            let rules = rules(abi);
            assert!(rules.is_sorted_by(|a, b| a.number < b.number), "{abi:?}");
            for rule in rules {
                let always = rule.calls.iter().any(|call| call.counts == Counts::Always);
                assert!(rule.calls.len() == 1 || !always, "{rule:?}");
            }
        }
    }
}
