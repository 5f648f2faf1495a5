//! The ring buffers: two for each processor.
//!
//! One takes small records that must not be lost: calls without stacks, new and ended processes.
//! The other takes stacks and page faults, which can fill any ring.

use super::error::Error;
use super::parse::SAMPLE_TYPE;
use crate::sys::perf_event::{self, Attr, Event, Ring, Where, flag};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use std::sync::Arc;
use std::time::Duration;

/// Maximum time in nanoseconds from a record's timestamp to its place in the ring: short on a real
/// processor, longer on a virtual one that is not scheduled.
pub(super) const SLACK: u64 = 5_000_000;

/// Selects one of the two rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Which {
    /// Calls, processes, mappings.
    Calls,
    /// Stacks and page faults.
    Stacks,
}

/// A ring and its own event, which belongs to the recorder and counts nothing, so the ring does not
/// end with a recorded thread.
pub(super) struct Held {
    pub(super) ring: Ring,
    pub(super) holder: Arc<Event>,
}

/// The rings of one processor.
pub(super) struct Processor {
    pub(super) cpu: u32,
    pub(super) calls: Held,
    pub(super) stacks: Option<Held>,
}

/// The sizes of one processor's rings, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) calls: usize,
    /// 0 without stacks and faults.
    pub(crate) stacks: usize,
}

/// Minimum useful size: room for two stacks.
const LEAST_STACKS: usize = 128 << 10;
const LEAST_CALLS: usize = 64 << 10;

/// Makes the rings of all online processors, smaller if the requested sizes are not allowed. A
/// user's programs share a budget.
pub(super) fn make(sizes: Sizes) -> Result<(Vec<Processor>, Sizes), Error> {
    let cpus = online();
    let mut sizes = sizes;
    loop {
        let processors: Result<Vec<_>, _> = cpus
            .iter()
            .map(|cpu| make_one(*cpu, sizes))
            .filter(|made| !matches!(made, Err(Errno::NODEV))) // has just gone offline
            .collect();
        match processors {
            Ok(processors) => return Ok((processors, sizes)),
            Err(errno @ (Errno::PERM | Errno::NOMEM | Errno::INVAL)) => {
                sizes = smaller(sizes).ok_or(Error::NoRoom { processors: cpus.len(), errno })?;
            }
            Err(errno) => return Err(Error::Other { what: "perf ring", errno }),
        }
    }
}

/// The next smaller sizes; calls keep the room that they need.
fn smaller(sizes: Sizes) -> Option<Sizes> {
    let Sizes { calls, stacks } = sizes;
    if stacks > 2 * calls.max(LEAST_STACKS / 2) {
        Some(Sizes { calls, stacks: stacks / 2 })
    } else if calls > LEAST_CALLS {
        let stacks = if stacks == 0 { 0 } else { (stacks / 2).max(LEAST_STACKS) };
        Some(Sizes { calls: calls / 2, stacks })
    } else {
        None
    }
}

fn make_one(cpu: u32, sizes: Sizes) -> Result<Processor, Errno> {
    let held = |size: usize| {
        let attr = Attr {
            kind: perf_event::TYPE_SOFTWARE,
            config: perf_event::SW_DUMMY,
            sample_type: SAMPLE_TYPE,
            clockid: perf_event::CLOCK,
            // Leaves room for records written until the reader wakes.
            wakeup: u32::try_from(size / 8).unwrap_or(u32::MAX),
            flags: flag::EXCLUDE_KERNEL
                | flag::EXCLUDE_HV
                | flag::WATERMARK
                | flag::USE_CLOCKID
                | flag::SAMPLE_ID_ALL,
            ..Attr::default()
        };
        let holder = Event::open(&attr, Where::OwnOn(cpu))?;
        Ok(Held { ring: Ring::new(&holder, size)?, holder: Arc::new(holder) })
    };
    let calls = held(sizes.calls)?;
    let stacks = match sizes.stacks {
        0 => None,
        size => Some(held(size)?),
    };
    Ok(Processor { cpu, calls, stacks })
}

/// The online processors. Later ones are not recorded.
fn online() -> Vec<u32> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let cpus = list(&text);
    if !cpus.is_empty() {
        return cpus;
    }
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    (0..u32::try_from(count).unwrap_or(1)).collect()
}

/// Parses a list like `0-3,8`.
pub(super) fn list(text: &str) -> Vec<u32> {
    const MAX: u32 = 1 << 16;
    let part = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.parse::<u32>().ok()?, last.parse::<u32>().ok()?.min(MAX)))
    };
    text.trim().split(',').filter_map(part).flat_map(|(first, last)| first..=last).collect()
}

/// Waits until one of these is readable, for rings when they are filling, or until the timeout.
/// Returns whether one may be readable.
pub(super) fn wait(fds: &[BorrowedFd<'_>], timeout: Duration) -> bool {
    let mut fds: Vec<PollFd<'_>> =
        fds.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    let spec = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    let Ok(count) = poll(&mut fds, Some(&spec)) else { return true };
    let ended = |fd: &PollFd<'_>| fd.revents().intersects(PollFlags::HUP | PollFlags::ERR);
    if fds.iter().any(ended) {
        // The thread that made the rings has ended: they still work, but wake no reader.
        std::thread::sleep(timeout.min(Duration::from_millis(5)));
    }
    count > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors() {
        assert_eq!(list("0-3,8\n"), [0, 1, 2, 3, 8]);
        assert_eq!(list("0\n"), [0]);
        assert!(list("").is_empty());
        assert!(list("3-1,x").is_empty());
    }

    #[test]
    fn rings_become_smaller_to_an_end() {
        let mut sizes = Some(Sizes { calls: 4 << 20, stacks: 64 << 20 });
        let mut last = None;
        for _ in 0..100 {
            let Some(now) = sizes else { break };
            (last, sizes) = (Some(now), smaller(now));
        }
        assert_eq!(last, Some(Sizes { calls: LEAST_CALLS, stacks: LEAST_STACKS }));
        assert_eq!(smaller(Sizes { calls: LEAST_CALLS, stacks: 0 }), None);
    }
}
