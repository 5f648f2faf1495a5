//! wait4(2) with a time limit, for the tracees of the calling thread.
//!
//! wait4 has no time limit, so a timer interrupts it with a signal. The timer repeats, because the
//! first signal may arrive just before the wait. It uses a real-time signal without an action, and
//! restores the default action when the last waiter is dropped. The signal may also interrupt other
//! calls of the thread, which std and rustix repeat; unblocking it only while waiting would cost two
//! more calls for each stop.
//!
//! # References
//! wait4(2), timer_create(2); Linux 6.18 `kernel/exit.c`.

use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use vmatlas_recording::Tid;

/// A set of signals.
pub(crate) type Signals = libc::sigset_t;

/// The result of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// A task changed its state, with its wait status.
    Status(Tid, i32),
    /// The time limit has passed.
    Timeout,
    /// There is no task to wait for.
    Nobody,
}

/// The signal of the timers, while there are waiters.
struct Taken {
    signal: i32,
    /// Its action before, which has no handler.
    before: libc::sigaction,
    waiters: usize,
}

static TAKEN: Mutex<Option<Taken>> = Mutex::new(None);

extern "C" fn nothing(_: libc::c_int) {}

/// The address of a handler that does nothing.
fn handler() -> libc::sighandler_t {
    let handler: extern "C" fn(libc::c_int) = nothing;
    handler as *const () as libc::sighandler_t
}

/// The action of a signal.
fn action_of(signal: i32) -> libc::sigaction {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the action is written to `action`; all zeroes are a valid one, should the call fail.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    }
}

/// Gives the highest real-time signal without an action a handler that does nothing.
fn take_signal() -> Option<i32> {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(taken) = taken.as_mut() {
        taken.waiters += 1;
        return Some(taken.signal);
    }
    let take = |signal: i32| {
        let before = action_of(signal);
        if before.sa_sigaction != libc::SIG_DFL {
            return None;
        }
        // SAFETY: a sigaction is integers and a pointer for which zero is right.
        let mut new: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        new.sa_sigaction = handler();
        // SAFETY: the handler has the signature of a handler without SA_SIGINFO, and touches
        // nothing. The signal had no handler and would otherwise kill the program.
        let done = unsafe { libc::sigaction(signal, &raw const new, null_mut()) == 0 };
        done.then_some(Taken { signal, before, waiters: 1 })
    };
    *taken = (libc::SIGRTMIN()..=libc::SIGRTMAX()).rev().find_map(take);
    taken.as_ref().map(|taken| taken.signal)
}

/// Restores the signal's action after the last waiter, unless the program has given it another.
fn give_back_signal() {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(Taken { signal, before, waiters }) = taken.as_mut() else { return };
    *waiters -= 1;
    if *waiters > 0 {
        return;
    }
    if action_of(*signal).sa_sigaction == handler() {
        // SAFETY: the default action, which was there before. No timer sends the signal any more.
        unsafe { libc::sigaction(*signal, before, null_mut()) };
    }
    *taken = None;
}

/// The blocked signals of the calling thread.
pub(crate) fn signal_mask() -> Signals {
    let mut mask = MaybeUninit::<Signals>::zeroed();
    // SAFETY: the call writes the mask; all zeroes are a valid one.
    unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), mask.as_mut_ptr());
        mask.assume_init()
    }
}

/// Sets the blocked signals of the calling thread.
pub(crate) fn set_signal_mask(mask: &Signals) {
    // SAFETY: the call reads the set. The signal mask of a thread does not affect memory safety.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, null_mut()) };
}

/// Blocks a signal in the calling thread.
#[cfg(test)]
pub(crate) fn block(signal: i32) {
    let mut mask = signal_mask();
    // SAFETY: changes a set of this function.
    unsafe { libc::sigaddset(&raw mut mask, signal) };
    set_signal_mask(&mask);
}

/// How long this thread polls for a resumed task before it sleeps. In a series of calls the next
/// stop comes within some microseconds, and waking a sleeping processor takes several times as
/// long: 100,000 pairs of mmap and munmap took 0.65 of the time without polling (2-core virtual
/// machine, Linux 6.18).
const SPIN: Duration = Duration::from_micros(50);

/// Waits for the tracees of the thread that made it, and for no child of another thread.
pub(crate) struct Waiter {
    timer: libc::timer_t,
    /// The blocked signals of the thread before.
    mask: Signals,
    /// Whether it polls before it sleeps, which needs a second processor for the tasks.
    spins: bool,
}

impl Waiter {
    /// A waiter for the calling thread, the only one that may wait with it.
    pub(crate) fn new() -> Result<Waiter, Errno> {
        let signal = take_signal().ok_or(Errno::AGAIN)?;
        let mask = signal_mask();
        let mut open = mask;
        // SAFETY: changes a set of this function.
        unsafe { libc::sigdelset(&raw mut open, signal) };
        set_signal_mask(&open);
        // SAFETY: a sigevent is integers and pointers for which zero is right.
        let mut event: libc::sigevent = unsafe { MaybeUninit::zeroed().assume_init() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = signal;
        event.sigev_notify_thread_id = rustix::thread::gettid().as_raw_nonzero().get();
        let mut timer: libc::timer_t = null_mut();
        // SAFETY: reads the event and writes the timer's id; the signal has a handler.
        let made =
            unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) };
        if made != 0 {
            set_signal_mask(&mask);
            give_back_signal();
            return Err(Errno::AGAIN);
        }
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Waiter { timer, mask, spins: processors > 1 })
    }

    /// Sets the time limit of the next wait.
    pub(crate) fn set_limit(&self, limit: Duration) {
        let time = |duration: Duration| libc::timespec {
            tv_sec: i32::try_from(duration.as_secs()).unwrap_or(i32::MAX).into(),
            tv_nsec: libc::c_long::from(i32::try_from(duration.subsec_nanos()).unwrap_or(0)),
        };
        // 0 would disarm the timer. It repeats, because the first signal may arrive just before the
        // wait.
        let limit = time(limit.max(Duration::from_micros(1)));
        let again = time(Duration::from_millis(20));
        let setting = libc::itimerspec { it_interval: again, it_value: limit };
        // SAFETY: the timer is ours until this is dropped; the setting is only read.
        unsafe { libc::timer_settime(self.timer, 0, &raw const setting, null_mut()) };
    }

    /// Waits for the next state change of a task of this thread.
    pub(crate) fn next(&self) -> Waited {
        if self.spins {
            let end = Instant::now() + SPIN;
            while Instant::now() < end {
                let waited = wait(-1, libc::WNOHANG);
                if waited != Waited::Timeout {
                    return waited;
                }
            }
        }
        wait(-1, 0)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        // SAFETY: the timer is ours and not used any more.
        unsafe { libc::timer_delete(self.timer) };
        // A signal that it sent before was handled at the latest when this call returned: it is of
        // this thread, which does not block it.
        set_signal_mask(&self.mask);
        give_back_signal();
    }
}

/// wait4(2) for every kind of child or tracee of the calling thread only.
fn wait(pid: i32, options: i32) -> Waited {
    let mut status = 0;
    let options = libc::__WALL | libc::__WNOTHREAD | options;
    // SAFETY: the call writes the status; no usage is asked for.
    let result = unsafe { libc::wait4(pid, &raw mut status, options, null_mut()) };
    match u32::try_from(result) {
        Ok(0) => Waited::Timeout,
        Ok(tid) => Waited::Status(Tid::new(tid), status),
        Err(_) if std::io::Error::last_os_error().raw_os_error() == Some(libc::ECHILD) => {
            Waited::Nobody
        }
        Err(_) => Waited::Timeout,
    }
}

/// Waits until a task of this thread has stopped or ended, without consuming the state change.
pub(crate) fn peek(pid: u32) -> Option<Peeked> {
    loop {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        let options = libc::WEXITED | libc::WSTOPPED | libc::WNOWAIT | libc::__WALL;
        // SAFETY: the call writes the siginfo_t; all zeroes are a valid one.
        let (result, info) = unsafe {
            let result = libc::waitid(libc::P_PID, pid, info.as_mut_ptr(), options);
            (result, info.assume_init())
        };
        if result == 0 {
            let ended =
                matches!(info.si_code, libc::CLD_EXITED | libc::CLD_KILLED | libc::CLD_DUMPED);
            return Some(if ended { Peeked::Ended } else { Peeked::Stopped });
        }
        if std::io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return None;
        }
    }
}

/// The result of [`peek`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peeked {
    Stopped,
    Ended,
}

/// Consumes the state change that [`peek`] saw.
pub(crate) fn take(pid: u32) -> Waited {
    i32::try_from(pid).map_or(Waited::Nobody, |pid| wait(pid, libc::WNOHANG))
}
