//! Seccomp filters that a program itself installs.

use crate::record::arch::pointer_size;
use crate::sys::vm_read::read_memory;
use vmatlas_maps::uapi::seccomp::{
    BPF_RET, SECCOMP_RET_ACTION, SECCOMP_RET_TRACE, SECCOMP_RET_USER_NOTIF,
};
use vmatlas_recording::Tid;
use vmatlas_recording::call::Abi;

/// The longest filter that the kernel takes.
const MAX: usize = 4096;

/// Whether a filter can return to a tracer or a supervisor. `program` is the address of its `struct
/// sock_fprog`.
pub(super) fn asks(tid: Tid, abi: Abi, program: u64) -> bool {
    let mut head = [0; 16];
    let _ = read_memory(tid, program, &mut head);
    let [length_low, length_high, _, _, low @ ..] = head;
    let length = usize::from(u16::from_le_bytes([length_low, length_high])).min(MAX);
    // The length is followed by an aligned pointer.
    let [a, b, c, d, wide @ ..] = low;
    let filter = match pointer_size(abi) {
        4 => u64::from(u32::from_le_bytes([a, b, c, d])),
        _ => u64::from_le_bytes(wide),
    };
    let mut instructions = vec![0; length * 8];
    let read = read_memory(tid, filter, &mut instructions).unwrap_or(0);
    instructions.truncate(read);
    let (instructions, _) = instructions.as_chunks::<8>();
    instructions.iter().any(|&[code, code_high, _, _, a, b, c, d]| {
        let action = u32::from_le_bytes([a, b, c, d]) & SECCOMP_RET_ACTION;
        u16::from_le_bytes([code, code_high]) == BPF_RET
            && matches!(action, SECCOMP_RET_TRACE | SECCOMP_RET_USER_NOTIF)
    })
}
