//! Makes system calls that change nothing, so that their tracepoints fire.
//!
//! A process of its own makes them: munlockall(2) has no form that changes nothing, and this program
//! or its user may have locked memory. fork(2) gives a child no locks, and what the child changes is
//! its own copy.

use super::fork::run_apart;
use crate::record::arch::NATIVE;
use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::io::{Errno, Result, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
};
use std::ffi::c_long;
use vmatlas_recording::Tid;
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
        // Of the process that makes the calls, see above.
        "munlockall" => [0; 6],
        // No pages, from an aligned address: after others, the kernel takes the page of the address.
        "mlock" | "munlock" => [0; 6],
        "munmap"
        | "mprotect"
        | "pkey_mprotect"
        | "mremap"
        | "madvise"
        | "mlock2"
        | "mseal"
        | "mbind"
        | "remap_file_pages"
        | "shmdt"
        | "set_mempolicy_home_node" => [1, 0, -1, -1, -1, -1],
        _ => return None,
    })
}

/// A process that makes these calls. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Caller {
    socket: OwnedFd,
    tid: Tid,
}

/// The number and the arguments of a system call.
type Request = [c_long; 7];

impl Caller {
    /// Starts the process.
    ///
    /// # Errors
    /// Those of socketpair(2) and clone(2); `ESRCH` it was killed.
    pub(crate) fn start() -> Result<Caller> {
        let kind = SocketType::SEQPACKET;
        let (ours, its) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
        let number = its.as_raw_fd();
        // SAFETY: it makes only system calls, on memory of its own stack.
        unsafe { run_apart(&mut [number], || answer(number))? };
        drop(its);
        let mut caller = Caller { socket: ours, tid: Tid::new(0) };
        let tid = u32::try_from(caller.receive()?).map_err(|_| Errno::SRCH)?;
        caller.tid = Tid::new(tid);
        Ok(caller)
    }

    /// The thread that makes the calls.
    pub(crate) fn tid(&self) -> Tid {
        self.tid
    }

    /// Makes a system call of the table in a way that changes nothing. Returns the kernel's result;
    /// `None` if there is no such way.
    ///
    /// # Errors
    /// `ESRCH` the process was killed, for example by a seccomp filter of this program.
    pub(crate) fn make(&self, call: &str) -> Result<Option<c_long>> {
        let number = SystemCall::named(call).find_map(|call| call.number(NATIVE));
        let (Some(number), Some([a, b, c, d, e, f])) = (number, arguments(call)) else {
            return Ok(None);
        };
        let request: Request = [number.into(), a, b, c, d, e, f];
        let bytes: Vec<u8> = request.iter().flat_map(|word| word.to_ne_bytes()).collect();
        retry_on_intr(|| send(&self.socket, &bytes, SendFlags::NOSIGNAL))
            .map_err(|_| Errno::SRCH)?;
        self.receive().map(Some)
    }

    fn receive(&self) -> Result<c_long> {
        let mut word = [0; size_of::<c_long>()];
        let (_, length) = retry_on_intr(|| recv(&self.socket, &mut word, RecvFlags::empty()))?;
        if length == word.len() { Ok(c_long::from_ne_bytes(word)) } else { Err(Errno::SRCH) }
    }
}

/// Sends the id of this process, then makes the calls it is asked for, until the other end of the
/// socket is closed.
fn answer(socket: i32) {
    // SAFETY: getpid(2) has no arguments.
    let mut result = unsafe { libc::syscall(libc::SYS_getpid) };
    loop {
        let mut request: Request = [0; 7];
        // SAFETY: a word is sent, and words are received, of the size given. Only the calls above
        // are made, with arguments that point to nothing; what they change is of this process.
        unsafe {
            let at = (&raw const result).cast();
            libc::send(socket, at, size_of::<c_long>(), libc::MSG_NOSIGNAL);
            let at = (&raw mut request).cast();
            let length = libc::recv(socket, at, size_of::<Request>(), 0);
            if length != size_of::<Request>() as isize {
                return;
            }
            let [number, a, b, c, d, e, f] = request;
            result = libc::syscall(number, a, b, c, d, e, f);
        }
    }
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

    /// Bytes of this process's locked memory.
    fn locked() -> String {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        status.lines().find(|line| line.starts_with("VmLck:")).unwrap().to_owned()
    }

    #[test]
    fn the_calls_leave_locked_memory_locked() {
        const HERE: &str = "VMATLAS_TEST_LOCKS";
        if std::env::var_os(HERE).is_none() {
            // In a process of its own, which runs no other test.
            let this = std::env::current_exe().unwrap();
            let name = "sys::null_calls::tests::the_calls_leave_locked_memory_locked";
            let mut again = std::process::Command::new(this);
            let again = again.args(["--exact", name, "--nocapture"]).env(HERE, "1");
            assert!(again.status().unwrap().success());
            return;
        }
        let page = rustix::param::page_size();
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: new mappings, which stay. Page 0, if this user may map it, holds no object.
        let other = unsafe {
            let map = |fixed| libc::mmap(std::ptr::null_mut(), page, prot, flags | fixed, -1, 0);
            map(libc::MAP_FIXED);
            map(0)
        };
        // SAFETY: locks change no memory. A user without privileges may lock some pages.
        let all = unsafe {
            assert_eq!(libc::mlock(other, page), 0);
            libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) == 0
        };
        let before = locked();
        assert!(!before.contains(" 0 kB"), "{before}");
        let caller = Caller::start().unwrap();
        for call in SystemCall::all().filter(|call| call.number(NATIVE).is_some()) {
            let result = caller.make(call.name).unwrap();
            assert_eq!(result.is_some(), arguments(call.name).is_some(), "{}", call.name);
        }
        drop(caller);
        if all {
            // MCL_FUTURE holds too.
            // SAFETY: a new mapping, which stays.
            unsafe { libc::mmap(std::ptr::null_mut(), page, prot, flags, -1, 0) };
            assert_ne!(locked(), before);
        } else {
            assert_eq!(locked(), before);
        }
    }
}
