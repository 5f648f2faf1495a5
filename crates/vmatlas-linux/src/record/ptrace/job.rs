//! Job control: the recorder represents the program to the shell that started it.

use rustix::process::{Pid, Signal, getpid, kill_process};
use std::time::Duration;

/// Stops this process because the first traced process was stopped, and continues both together.
pub(super) fn stop_too(first: u32) {
    if kill_process(getpid(), Signal::STOP).is_err() {
        return;
    }
    // A shell continues the whole job at once, whose processes may wake in any order.
    std::thread::sleep(Duration::from_millis(5));
    if still_stopped(first)
        && let Some(first) = i32::try_from(first).ok().and_then(Pid::from_raw)
    {
        let _ = kill_process(first, Signal::CONT);
    }
}

/// Whether a process was not continued. A continued process is in a stop that its tracer, which is
/// us, has not yet seen.
fn still_stopped(pid: u32) -> bool {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    let options = WaitIdOptions::STOPPED
        | WaitIdOptions::EXITED
        | WaitIdOptions::NOHANG
        | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::Pid(pid), options), Ok(None))
}
