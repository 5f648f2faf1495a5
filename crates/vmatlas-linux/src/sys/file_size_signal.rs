//! SIGXFSZ, which a write beyond `RLIMIT_FSIZE` raises in the writing thread.
//!
//! # References
//! setrlimit(2), sigtimedwait(2); Linux 6.18 `mm/filemap.c` (`generic_write_check_limits`).

use std::mem::MaybeUninit;
use std::ptr::null_mut;

/// Makes writes during which SIGXFSZ does not end the process: they fail with `EFBIG`. The action
/// of the signal stays, because a program that is being launched inherits it.
pub(crate) fn without_sigxfsz<T>(write: impl FnOnce() -> T) -> T {
    let mut signal = MaybeUninit::<libc::sigset_t>::zeroed();
    let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: fills the first set, reads it, and writes the second; all zeroes are a valid set.
    let (signal, before, was_blocked) = unsafe {
        libc::sigemptyset(signal.as_mut_ptr());
        libc::sigaddset(signal.as_mut_ptr(), libc::SIGXFSZ);
        libc::pthread_sigmask(libc::SIG_BLOCK, signal.as_ptr(), before.as_mut_ptr());
        let was_blocked = libc::sigismember(before.as_ptr(), libc::SIGXFSZ) == 1;
        (signal.assume_init(), before.assume_init(), was_blocked)
    };
    let result = write();
    if !was_blocked {
        let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: reads the set and the time, takes the pending signal if there is one, and sets
        // the mask of this thread as it was.
        unsafe {
            libc::sigtimedwait(&raw const signal, null_mut(), &raw const now);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, null_mut());
        }
    }
    result
}
