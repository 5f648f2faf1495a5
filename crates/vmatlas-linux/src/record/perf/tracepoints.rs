//! The tracepoints of system calls that are listened to, by name.
//!
//! A call is seen when it returns: its arguments are still in the registers, its result is there,
//! and the stack is as it was, except where a thread has unmapped its own.
//!
//! The kernel has these tracepoints for 64-bit calls only: what a program does by the calls of
//! i386 or x32 is not seen.

use crate::sys::null_calls::MAP_SHADOW_STACK;
use std::ffi::{CStr, c_long};
use vmatlas_recording::CallKind;

/// What a tracepoint is listened to for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A call that returns.
    Call(CallKind),
    /// An ioctl of a userfaultfd that begins. Only its beginning says which request it is, and
    /// only there can the kernel leave out all others, which may be many.
    Ioctl,
    /// clone(2) that begins: its flags tell what the child will share.
    Clone,
    /// clone3(2), of which they are in memory.
    Clone3,
    /// vfork(2), whose child shares everything.
    Vfork,
    /// fork(2), whose child shares nothing.
    Fork,
}

/// A tracepoint of `syscalls`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tracepoint {
    /// Without the `sys_enter_` or `sys_exit_`.
    pub(super) call: &'static str,
    pub(super) number: c_long,
    pub(super) purpose: Purpose,
}

impl Tracepoint {
    /// Whether it is that of a call that begins.
    pub(super) fn enters(&self) -> bool {
        !matches!(self.purpose, Purpose::Call(_))
    }

    /// The name of its directory.
    pub(super) fn name(&self) -> String {
        format!("sys_{}_{}", if self.enters() { "enter" } else { "exit" }, self.call)
    }

    /// Which of its hits are wanted.
    pub(super) fn filter(&self) -> Option<&'static CStr> {
        (self.purpose == Purpose::Ioctl).then_some(UFFD)
    }
}

/// `UFFDIO_REGISTER` and `UFFDIO_UNREGISTER`, also where a program took them for negative.
const UFFD: &CStr = c"cmd == 0xc020aa00 || cmd == 0xffffffffc020aa00 || cmd == 0x8010aa01 || cmd == 0xffffffff8010aa01";

const fn call(call: &'static str, number: c_long, kind: CallKind) -> Tracepoint {
    Tracepoint { call, number, purpose: Purpose::Call(kind) }
}

const fn begin(call: &'static str, number: c_long, purpose: Purpose) -> Tracepoint {
    Tracepoint { call, number, purpose }
}

/// All of them. What a kernel does not have is not listened to.
pub(super) const TRACEPOINTS: &[Tracepoint] = &[
    call("mmap", libc::SYS_mmap, CallKind::Mmap),
    call("munmap", libc::SYS_munmap, CallKind::Munmap),
    call("mprotect", libc::SYS_mprotect, CallKind::Mprotect),
    call("pkey_mprotect", libc::SYS_pkey_mprotect, CallKind::PkeyMprotect),
    call("mremap", libc::SYS_mremap, CallKind::Mremap),
    call("brk", libc::SYS_brk, CallKind::Brk),
    call("madvise", libc::SYS_madvise, CallKind::Madvise),
    call("mlock", libc::SYS_mlock, CallKind::Mlock),
    call("mlock2", libc::SYS_mlock2, CallKind::Mlock),
    call("munlock", libc::SYS_munlock, CallKind::Munlock),
    call("mlockall", libc::SYS_mlockall, CallKind::Mlockall),
    call("munlockall", libc::SYS_munlockall, CallKind::Munlockall),
    call("mseal", libc::SYS_mseal, CallKind::Mseal),
    call("mbind", libc::SYS_mbind, CallKind::Mbind),
    call("remap_file_pages", libc::SYS_remap_file_pages, CallKind::RemapFilePages),
    call("shmat", libc::SYS_shmat, CallKind::Shmat),
    call("shmdt", libc::SYS_shmdt, CallKind::Shmdt),
    call("prctl", libc::SYS_prctl, CallKind::Prctl),
    call("personality", libc::SYS_personality, CallKind::Personality),
    call("pkey_alloc", libc::SYS_pkey_alloc, CallKind::PkeyAlloc),
    call("pkey_free", libc::SYS_pkey_free, CallKind::PkeyFree),
    call("userfaultfd", libc::SYS_userfaultfd, CallKind::Userfaultfd),
    call("io_setup", libc::SYS_io_setup, CallKind::IoSetup),
    call("io_destroy", libc::SYS_io_destroy, CallKind::IoDestroy),
    call("map_shadow_stack", MAP_SHADOW_STACK, CallKind::MapShadowStack),
    call("arch_prctl", libc::SYS_arch_prctl, CallKind::ArchPrctl),
    call("process_madvise", libc::SYS_process_madvise, CallKind::ProcessMadvise),
    call(
        "set_mempolicy_home_node",
        libc::SYS_set_mempolicy_home_node,
        CallKind::SetMempolicyHomeNode,
    ),
    begin("ioctl", libc::SYS_ioctl, Purpose::Ioctl),
    begin("clone", libc::SYS_clone, Purpose::Clone),
    begin("clone3", libc::SYS_clone3, Purpose::Clone3),
    begin("vfork", libc::SYS_vfork, Purpose::Vfork),
    begin("fork", libc::SYS_fork, Purpose::Fork),
];

/// What a call is, and its arguments without what the registers held by chance. None if it can
/// change nothing of an address space.
///
/// Arguments that point to something are left as they are: the node mask of mbind(2), the range
/// behind the ioctls of a userfaultfd, the vectors of process_madvise(2), the name of
/// `PR_SET_VMA_ANON_NAME`.
pub(super) fn wanted(purpose: Purpose, call: &str, args: [u64; 6]) -> Option<(CallKind, [u64; 6])> {
    let kind = match purpose {
        Purpose::Call(kind) => kind,
        // The low half of a command counts.
        Purpose::Ioctl if args[1] as u32 == 0xc020_aa00 => CallKind::UffdRegister,
        Purpose::Ioctl if args[1] as u32 == 0x8010_aa01 => CallKind::UffdUnregister,
        _ => return None,
    };
    let relevant = match kind {
        // PR_SET_MM, PR_SET_THP_DISABLE, PR_SET_MDWE, PR_SET_MEMORY_MERGE, PR_SET_VMA
        CallKind::Prctl => matches!(args[0] as u32, 35 | 41 | 65 | 67 | 0x5356_4d41),
        // Not those that set registers or ask.
        CallKind::ArchPrctl => {
            matches!(args[0] as u32, 0x2001..=0x2003 | 0x4001..=0x4006 | 0x5001..=0x5005)
        }
        CallKind::Personality => args[0] as u32 != u32::MAX,
        _ => true,
    };
    // The same as the kind that it is counted as, without the flags.
    let count = if call == "mlock" { 2 } else { kind.arguments() };
    let mut kept = [0; 6];
    if matches!(purpose, Purpose::Ioctl) {
        kept = args; // the descriptor, the request, and the address of the range
    } else {
        kept[..count].copy_from_slice(&args[..count]);
    }
    relevant.then_some((kind, kept))
}
