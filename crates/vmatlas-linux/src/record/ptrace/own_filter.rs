//! Seccomp filters that a program itself installs.

use crate::record::arch::pointer_size;
use vmatlas_maps::uapi::seccomp::{
    BPF_RET, SECCOMP_RET_ACTION, SECCOMP_RET_TRACE, SECCOMP_RET_USER_NOTIF,
};
use vmatlas_recording::call::Abi;

/// The longest filter that the kernel takes.
const MAX: usize = 4096;

/// Whether a filter can return to a tracer or a supervisor. `program` is the address of its `struct
/// sock_fprog`; `read` reads the program's memory and returns the number of bytes.
pub(super) fn asks(abi: Abi, program: u64, mut read: impl FnMut(u64, &mut [u8]) -> usize) -> bool {
    let mut head = [0; 16];
    read(program, &mut head);
    let [length_low, length_high, _, _, low @ ..] = head;
    let length = usize::from(u16::from_le_bytes([length_low, length_high])).min(MAX);
    // The length is followed by an aligned pointer.
    let [a, b, c, d, wide @ ..] = low;
    let filter = match pointer_size(abi) {
        4 => u64::from(u32::from_le_bytes([a, b, c, d])),
        _ => u64::from_le_bytes(wide),
    };
    let mut instructions = vec![0; length * 8];
    let length = read(filter, &mut instructions);
    instructions.truncate(length);
    let (instructions, _) = instructions.as_chunks::<8>();
    instructions.iter().any(|&[code, code_high, _, _, a, b, c, d]| {
        let action = u32::from_le_bytes([a, b, c, d]) & SECCOMP_RET_ACTION;
        u16::from_le_bytes([code, code_high]) == BPF_RET
            && matches!(action, SECCOMP_RET_TRACE | SECCOMP_RET_USER_NOTIF)
    })
}
