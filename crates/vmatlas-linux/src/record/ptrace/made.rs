//! The resources that a new task shares with its maker.

use crate::record::arch::{abi_by_segment, abi_of, audit_arch, call_of};
use crate::record::calls;
use crate::record::sink::{Shared, Sink};
use crate::sys::ptrace::{self, Regs};
use vmatlas_maps::uapi::sched::{CLONE_THREAD, CLONE_VM};
use vmatlas_recording::Tid;
use vmatlas_recording::call::{Abi, Meaning};

/// The resources that the new task of `tid` shares; `tid` is stopped at the event in clone(2),
/// clone3(2), fork(2) or vfork(2).
pub(super) fn shared(sink: &mut impl Sink, tid: Tid, registers: &Regs) -> Shared {
    // Before Linux 5.3 only the code segment identifies the ABI.
    let arch = ptrace::audit_arch(tid).unwrap_or_else(|_| audit_arch(abi_by_segment(registers)));
    let abi = abi_of(arch, registers.orig_rax);
    let flags = flags(sink, tid, abi, registers);
    Shared { memory: flags & CLONE_VM != 0, thread: flags & CLONE_THREAD != 0 }
}

/// Whether a task that enters clone(2), clone3(2) or fork(2) will copy its address space.
pub(super) fn copies(sink: &mut impl Sink, tid: Tid, abi: Abi, registers: &Regs) -> bool {
    flags(sink, tid, abi, registers) & CLONE_VM == 0
}

/// The flags of such a call, or of vfork(2).
fn flags(sink: &mut impl Sink, tid: Tid, abi: Abi, registers: &Regs) -> u64 {
    let (number, args) = call_of(registers, abi);
    match calls::find(abi, number, &args).map(|call| call.meaning) {
        Some(Meaning::Clone) => args[0],
        // The child shares the memory until it executes a program.
        Some(Meaning::Vfork) => CLONE_VM,
        // Its flags are the first field of the structure that the argument points to.
        Some(Meaning::Clone3) => {
            let mut flags = [0; 8];
            sink.read(tid, args[0], &mut flags);
            u64::from_le_bytes(flags)
        }
        _ => 0,
    }
}

/// The maker of a task, and the resources that the two share. The maker did not report the task,
/// because it was killed.
pub(super) fn orphan(tid: Tid) -> Option<(Tid, Shared)> {
    let status = std::fs::read(format!("/proc/{tid}/status")).ok()?;
    maker(tid, &status)
}

/// The same from the task's `status`. Its name may be no UTF-8.
pub(super) fn maker(tid: Tid, status: &[u8]) -> Option<(Tid, Shared)> {
    let status = String::from_utf8_lossy(status);
    let first_of = |name: &str| {
        let pid = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(Tid::first_of(pid.trim().parse().ok()?))
    };
    let group = first_of("Tgid:")?;
    let thread = group != tid;
    let maker = if thread { group } else { first_of("PPid:")? };
    Some((maker, Shared { memory: thread, thread }))
}
