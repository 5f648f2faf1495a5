//! System calls made in a way that changes nothing, so that their tracepoints fire.

use crate::record::arch::NATIVE;
use std::ffi::c_long;
use vmatlas_recording::call::SystemCall;

/// Arguments by which a call fails or only asks: addresses that are not aligned, lengths of 0, flags
/// and descriptors that do not exist. `None` for calls that are not known, or cannot fail.
fn arguments(call: &str) -> Option<[c_long; 6]> {
    Some(match call {
        // 0 asks where the break is.
        "brk" => [0; 6],
        // This persona asks for the one there is.
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
        // Nothing of this program's is locked.
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

/// Makes a system call of the table in a way that changes nothing. Returns what the kernel answered,
/// or -1 where there is no such way.
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

    /// Else its tracepoint is not found where tracefs cannot be read.
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
