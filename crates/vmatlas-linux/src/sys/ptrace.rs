//! The part of ptrace(2) that a passive tracer needs.
//!
//! A request on a task that is not stopped, or was killed meanwhile, fails with `ESRCH`: a tracer
//! has to expect this from every request.
//!
//! # References
//! ptrace(2); Linux 6.18 `include/uapi/linux/ptrace.h`, `kernel/ptrace.c`.

use rustix::io::Errno;
use std::mem::MaybeUninit;
use vmatlas_recording::Tid;

/// The general registers.
pub(crate) use libc::user_regs_struct as Regs;

/// `__WALL` tracees follow every clone, and are killed if their tracer dies.
const OPTIONS: libc::c_int = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACESECCOMP
    | libc::PTRACE_O_EXITKILL;

/// How to resume a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    /// With this signal, or none (0).
    Continue(i32),
    /// Until it enters or leaves a system call.
    UntilCall,
    /// A stopped process stays stopped, but its SIGCONT is reported.
    Listen,
}

/// A request whose `data` is a number or unused. The C library types request numbers as signed or
/// unsigned.
fn request(request: impl Into<i64>, tid: Tid, data: usize) -> Result<(), Errno> {
    let request: i64 = request.into();
    // SAFETY: for the requests of this file that come here, the kernel neither reads nor writes
    // memory of this process: `data` is a signal number or a set of options.
    let result = unsafe { libc::syscall(libc::SYS_ptrace, request, tid.get(), 0_usize, data) };
    checked(result)
}

fn checked(result: libc::c_long) -> Result<(), Errno> {
    if result >= 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL))
}

/// Starts to trace a task without stopping it. Its end is not reported before [`stop_at_exit`].
pub(crate) fn seize(tid: Tid) -> Result<(), Errno> {
    request(libc::PTRACE_SEIZE, tid, OPTIONS as usize)
}

/// Makes the task, and those that it makes, stop when they are about to end.
pub(crate) fn stop_at_exit(tid: Tid) -> Result<(), Errno> {
    request(libc::PTRACE_SETOPTIONS, tid, (OPTIONS | libc::PTRACE_O_TRACEEXIT) as usize)
}

/// Resumes a task.
pub(crate) fn resume(tid: Tid, how: Resume) -> Result<(), Errno> {
    match how {
        Resume::Continue(signal) => {
            request(libc::PTRACE_CONT, tid, usize::try_from(signal).unwrap_or(0))
        }
        Resume::UntilCall => request(libc::PTRACE_SYSCALL, tid, 0),
        Resume::Listen => request(libc::PTRACE_LISTEN, tid, 0),
    }
}

/// A request that writes a value of `T`.
///
/// # Safety
/// The kernel must write at most a `T`, and any bytes must be a valid `T`.
unsafe fn get<T>(request: impl Into<i64>, tid: Tid, addr: usize) -> Result<T, Errno> {
    let request: i64 = request.into();
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: the caller says that the kernel writes a `T` at most, which `value` has room for.
    let result =
        unsafe { libc::syscall(libc::SYS_ptrace, request, tid.get(), addr, value.as_mut_ptr()) };
    checked(result)?;
    // SAFETY: it was zeroed, and the caller says that any bytes are a valid `T`.
    Ok(unsafe { value.assume_init() })
}

/// The registers of a task.
pub(crate) fn registers(tid: Tid) -> Result<Regs, Errno> {
    // SAFETY: PTRACE_GETREGS writes a `struct user_regs_struct` of integers.
    unsafe { get::<Regs>(libc::PTRACE_GETREGS, tid, 0) }
}

/// Sets the registers of a task.
pub(crate) fn set_registers(tid: Tid, registers: &Regs) -> Result<(), Errno> {
    let registers: *const Regs = registers;
    // SAFETY: the kernel reads a `struct user_regs_struct`, which `registers` is. They affect only
    // the memory of the task, not that of this process.
    let result = unsafe {
        libc::syscall(libc::SYS_ptrace, libc::PTRACE_SETREGS, tid.get(), 0_usize, registers)
    };
    checked(result)
}

/// The return value of the system call that a task is leaving.
pub(crate) fn result(tid: Tid) -> Result<i64, Errno> {
    // SAFETY: the system call (not the C library's function) PTRACE_PEEKUSER writes a long.
    unsafe { get::<i64>(libc::PTRACE_PEEKUSER, tid, std::mem::offset_of!(Regs, rax)) }
}

/// The data of the event at which a task stopped: the id of a new task, the former id, an exit
/// status, a filter's data.
pub(crate) fn event_message(tid: Tid) -> Result<u64, Errno> {
    // SAFETY: PTRACE_GETEVENTMSG writes an unsigned long.
    unsafe { get::<u64>(libc::PTRACE_GETEVENTMSG, tid, 0) }
}

/// `si_code` and `si_addr` of the signal at which a task stopped.
pub(crate) fn signal(tid: Tid) -> Result<(i32, u64), Errno> {
    // SAFETY: PTRACE_GETSIGINFO writes a siginfo_t, of integers and pointers that nobody follows.
    let info = unsafe { get::<libc::siginfo_t>(libc::PTRACE_GETSIGINFO, tid, 0) }?;
    // SAFETY: `si_addr` reads a word at the place where all siginfo_t have room for one. It is
    // an address for the signals that the caller knows to have one.
    Ok((info.si_code, unsafe { info.si_addr() } as u64))
}

/// `struct ptrace_syscall_info` up to its union.
#[repr(C)]
struct CallInfo {
    op: u8,
    pad: [u8; 3],
    arch: u32,
    instruction_pointer: u64,
    stack_pointer: u64,
}

const _: () = assert!(size_of::<CallInfo>() == 24);
const PTRACE_GET_SYSCALL_INFO: libc::c_uint = 0x420e;

/// The `AUDIT_ARCH_*` of a stopped task's current system call. Since Linux 5.3.
pub(crate) fn audit_arch(tid: Tid) -> Result<u32, Errno> {
    // SAFETY: the kernel writes no more than the size that stands in the address argument, and
    // the struct is of integers.
    let info = unsafe { get::<CallInfo>(PTRACE_GET_SYSCALL_INFO, tid, size_of::<CallInfo>()) }?;
    Ok(info.arch)
}
