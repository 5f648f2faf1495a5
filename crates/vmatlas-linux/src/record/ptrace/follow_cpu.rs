//! The tracer runs on the processor of the task that it traces.
//!
//! Of tracer and tracee only one runs at a time, and to wake the other on another processor costs
//! several times what it costs on the same. The tracer moves, never the tracee.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// After how many stops the tracer looks where the tracee is.
const EVERY: u32 = 64;

/// Where the calling thread runs.
pub(super) struct FollowCpu {
    /// As it was; none if it could not be had.
    all: Option<CpuSet>,
    pinned: Option<usize>,
    stops: u32,
}

impl FollowCpu {
    pub(super) fn new() -> FollowCpu {
        FollowCpu { all: sched_getaffinity(None).ok(), pinned: None, stops: 0 }
    }

    /// There was a stop of the only task there is.
    pub(super) fn alone(&mut self, tid: u32) {
        self.stops += 1;
        if self.stops % EVERY != 0 {
            return;
        }
        let Some(cpu) = processor(tid) else { return };
        // It may run where this thread may not.
        let allowed = self.all.as_ref().is_some_and(|all| all.is_set(cpu));
        if self.pinned == Some(cpu) || !allowed {
            return;
        }
        let mut one = CpuSet::new();
        one.set(cpu);
        if sched_setaffinity(None, &one).is_ok() {
            self.pinned = Some(cpu);
        }
    }

    /// There are several tasks: the tracer runs anywhere.
    pub(super) fn several(&mut self) {
        self.stops = 0;
        if self.pinned.take().is_some()
            && let Some(all) = &self.all
        {
            let _ = sched_setaffinity(None, all);
        }
    }
}

/// The processor on which a task last ran: the 39th field of its stat.
fn processor(tid: u32) -> Option<usize> {
    let stat = std::fs::read_to_string(format!("/proc/{tid}/stat")).ok()?;
    // The second may hold anything; the third follows the last parenthesis.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(39 - 3)?.parse().ok()
}
