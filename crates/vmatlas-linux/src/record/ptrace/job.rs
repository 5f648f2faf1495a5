//! Job control: the shell that started the recorder sees it where it would have seen the program.

use rustix::process::{Pid, Signal, getpid, kill_process};
use std::time::Duration;

/// The first process was stopped, so this one stops, and when it goes on, so does the other.
pub(super) fn stop_too(first: u32) {
    if kill_process(getpid(), Signal::STOP).is_err() {
        return;
    }
    // A shell continues the whole job at once, whose parts may wake in any order.
    std::thread::sleep(Duration::from_millis(5));
    if still_stopped(first)
        && let Some(first) = i32::try_from(first).ok().and_then(Pid::from_raw)
    {
        let _ = kill_process(first, Signal::CONT);
    }
}

/// Whether nobody has continued a process. One that was continued stands in a stop that waits to be
/// seen by its tracer, which is us.
fn still_stopped(tid: u32) -> bool {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let Some(pid) = i32::try_from(tid).ok().and_then(Pid::from_raw) else { return false };
    let options = WaitIdOptions::STOPPED
        | WaitIdOptions::EXITED
        | WaitIdOptions::NOHANG
        | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::Pid(pid), options), Ok(None))
}
