//! Makes system calls that change nothing, so that their tracepoints fire.

use crate::record::arch::NATIVE;
use std::ffi::c_long;
use vmatlas_recording::call::SystemCall;

/// Arguments with which a call fails or only queries: unaligned addresses, lengths of 0, invalid
/// flags and descriptors. `None` for unknown calls and for those that cannot fail.
fn arguments(call: &str) -> Option<[c_long; 6]> {
    Some(match call {
        // 0 queries the break.
        "brk" => [0; 6],
        // This persona queries the current one.
        "personality" => [0xffff_ffff, 0, 0, 0, 0, 0],
        // Fails with EINVAL: no such flags.
        "clone" => [libc::CLONE_SIGHAND.into(), 0, 0, 0, 0, 0],
        // Fails with EINVAL: `struct clone_args` is never that short.
        "clone3" => [0; 6],
        "mmap" => [1, 0, 0, 0, -1, 1],
        "io_setup" | "io_destroy" => [0; 6],
        "map_shadow_stack" => [1, 0, -1, -1, -1, -1],
        "shmat" => [-1, 1, -1, -1, -1, -1],
        "userfaultfd" | "prctl" | "arch_prctl" | "ioctl" => [-1; 6],
        "pkey_alloc" | "pkey_free" | "mlockall" => [-1; 6],
        "process_madvise" => [-1, 0, 0, -1, -1, -1],
        // This program has no locked memory.
        "munlockall" => [0; 6],
        "munmap"
        | "mprotect"
        | "pkey_mprotect"
        | "mremap"
        | "madvise"
        | "mlock"
        | "mlock2"
        | "munlock"
        | "mseal"
        | "mbind"
        | "remap_file_pages"
        | "shmdt"
        | "set_mempolicy_home_node" => [1, 0, -1, -1, -1, -1],
        _ => return None,
    })
}

/// Makes a system call of the table in a way that changes nothing. Returns the kernel's result, or
/// -1 if there is no such way.
pub(crate) fn make(call: &str) -> c_long {
    let number = SystemCall::named(call).find_map(|call| call.number(NATIVE));
    let (Some(number), Some([a, b, c, d, e, f])) = (number, arguments(call)) else { return -1 };
    // SAFETY: only the calls above are made, with arguments that have each of them fail or change
    // nothing of this process's memory, and that point to nothing.
    unsafe { libc::syscall(number.into(), a, b, c, d, e, f) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmatlas_recording::call::Meaning;

    /// Otherwise its tracepoint is not found if tracefs is not readable.
    #[test]
    fn every_call_that_changes_an_address_space_has_a_harmless_form() {
        for call in SystemCall::all() {
            let native = call.number(NATIVE).is_some();
            if native && matches!(call.meaning, Meaning::Change(_)) {
                assert!(arguments(call.name).is_some(), "{}", call.name);
            }
        }
    }
}
