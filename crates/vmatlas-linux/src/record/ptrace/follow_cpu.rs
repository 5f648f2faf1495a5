//! The tracer runs on the processor of the task that it traces.
//!
//! Of tracer and tracee only one runs at a time, and to wake the other on another processor costs
//! several times what it costs on the same. So while nearly all stops are one task's, the tracer
//! goes where that task is. The tracer moves, never the tracee.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// After how many stops the tracer looks where it should be.
const EVERY: u32 = 64;
/// How many of them must be one task's.
const NEARLY_ALL: u32 = 56;

/// Where the calling thread runs.
pub(super) struct FollowCpu {
    /// As it was; none if it could not be had.
    all: Option<CpuSet>,
    pinned: Option<usize>,
    stops: u32,
    /// The task of the last stop, and how many of the stops were its own since it was another's.
    tid: u32,
    own: u32,
}

impl FollowCpu {
    pub(super) fn new() -> FollowCpu {
        let all = sched_getaffinity(None).ok();
        FollowCpu { all, pinned: None, stops: 0, tid: 0, own: 0 }
    }

    /// A task has stopped.
    pub(super) fn stopped(&mut self, tid: u32) {
        // Boyer and Moore's vote: who has a large majority is left with many votes.
        if self.tid == tid {
            self.own += 1;
        } else if self.own > 0 {
            self.own -= 1;
        } else {
            (self.tid, self.own) = (tid, 1);
        }
        self.stops += 1;
        if self.stops == EVERY {
            if self.own >= 2 * NEARLY_ALL - EVERY {
                self.follow(self.tid);
            } else {
                self.release();
            }
            (self.stops, self.own) = (0, 0);
        }
    }

    fn follow(&mut self, tid: u32) {
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

    /// The tracer runs anywhere, as it did.
    fn release(&mut self) {
        if self.pinned.take().is_some()
            && let Some(all) = &self.all
        {
            let _ = sched_setaffinity(None, all);
        }
    }
}

impl Drop for FollowCpu {
    fn drop(&mut self) {
        self.release();
    }
}

/// The processor on which a task last ran: the 39th field of its stat.
fn processor(tid: u32) -> Option<usize> {
    let stat = std::fs::read_to_string(format!("/proc/{tid}/stat")).ok()?;
    // The second may hold anything; the third follows the last parenthesis.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(39 - 3)?.parse().ok()
}
