//! The order of calls on one address space.
//!
//! A tracer sees returns in the order in which tasks wake up, not in the order in which the kernel
//! did the calls: a new mapping may seem to overlap an old one. Therefore only one task of an
//! address space at a time may enter a call; the others are held at the entry.
//!
//! A call may block until another task acts: when a userfaultfd or a user-space file system fills
//! the memory. Therefore no task is held longer than [`PATIENCE`] behind a task that sleeps, or
//! [`POPULATE_PATIENCE`] behind calls that touch pages. A task that waits for a processor only gets
//! up to [`LONGEST`]. A call that runs concurrently with others is marked: its place in the order is
//! not certain.
//!
//! A fork takes part in this order: a concurrent change by another thread might or might not be in
//! the child's copy.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};
use vmatlas_maps::uapi::mman::{MAP_LOCKED, MAP_POPULATE};
use vmatlas_recording::{CallKind, Tid};

/// How long a task is held for another task's call.
pub(super) const PATIENCE: Duration = Duration::from_millis(50);
/// How long a task is held for a call that does not sleep.
pub(super) const LONGEST: Duration = Duration::from_secs(5);
/// The same for a call that may populate memory, which takes time even without blocking.
pub(super) const POPULATE_PATIENCE: Duration = Duration::from_millis(2);

/// An address space, numbered in the order of discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SpaceId(pub(super) u64);

/// A task that has entered a call.
#[derive(Clone, Copy, Debug)]
struct Running {
    tid: Tid,
    since: Instant,
    patience: Duration,
    /// When the others lose patience.
    due: Instant,
    /// Other tasks no longer wait for it.
    loose: bool,
    /// Another call ran concurrently.
    beside: bool,
}

#[derive(Debug, Default)]
struct Space {
    running: Vec<Running>,
    /// Held tasks, with the patience of their calls.
    held: VecDeque<(Tid, Duration)>,
}

/// The running calls and the held tasks of every address space.
#[derive(Debug, Default)]
pub(super) struct Order {
    spaces: HashMap<SpaceId, Space>,
    held: usize,
}

/// How long other tasks wait for a call.
pub(super) fn patience(kind: CallKind, args: &[u64; 6]) -> Duration {
    let populates = match kind {
        CallKind::Mmap => args[3] & (MAP_LOCKED | MAP_POPULATE) != 0,
        CallKind::Mlock | CallKind::Mlockall => true,
        _ => false,
    };
    if populates { POPULATE_PATIENCE } else { PATIENCE }
}

impl Order {
    /// Whether a task may enter its call now. If not, it is held until [`leave`](Self::leave) or
    /// [`expired`](Self::expired) returns it.
    pub(super) fn enter(&mut self, space: SpaceId, tid: Tid, patience: Duration) -> bool {
        let of = self.spaces.entry(space).or_default();
        if of.running.iter().all(|running| running.loose) && of.held.is_empty() {
            of.start(tid, patience);
            return true;
        }
        of.held.push_back((tid, patience));
        self.held += 1;
        false
    }

    /// Records that a task left its call or ended. Returns whether the call ran alone, and the task
    /// that may enter now.
    pub(super) fn leave(&mut self, space: SpaceId, tid: Tid) -> (bool, Option<Tid>) {
        let Some(of) = self.spaces.get_mut(&space) else { return (true, None) };
        let before = of.held.len();
        of.held.retain(|&(held, _)| held != tid);
        self.held -= before - of.held.len();
        let place = of.running.iter().position(|running| running.tid == tid);
        let in_order = place.is_none_or(|place| !of.running.swap_remove(place).beside);
        let next = self.next(space);
        if self.spaces.get(&space).is_some_and(|of| of.running.is_empty() && of.held.is_empty()) {
            self.spaces.remove(&space);
        }
        (in_order, next)
    }

    /// Releases the first held task, if no call is in the way.
    fn next(&mut self, space: SpaceId) -> Option<Tid> {
        let of = self.spaces.get_mut(&space)?;
        if !of.running.iter().all(|running| running.loose) {
            return None;
        }
        let (tid, patience) = of.held.pop_front()?;
        self.held -= 1;
        of.start(tid, patience);
        Some(tid)
    }

    /// The time at which the next held task expires.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.held == 0 {
            return None;
        }
        let holding = self.spaces.values().filter(|of| !of.held.is_empty());
        let running = holding.flat_map(|of| &of.running).filter(|running| !running.loose);
        running.map(|running| running.due).min()
    }

    /// The tasks that may enter now, because the calls before them take too long. `sleeps` tells
    /// whether a task sleeps.
    pub(super) fn expired(&mut self, now: Instant, sleeps: impl Fn(Tid) -> bool) -> Vec<Tid> {
        let mut late = Vec::new();
        for (&space, of) in &mut self.spaces {
            if of.held.is_empty() {
                continue;
            }
            for running in of.running.iter_mut().filter(|running| running.due <= now) {
                running.loose |= running.patience < PATIENCE
                    || running.since + LONGEST <= now
                    || sleeps(running.tid);
                running.due = now + running.patience;
            }
            late.push(space);
        }
        late.into_iter().filter_map(|space| self.next(space)).collect()
    }

    /// Releases all held tasks.
    pub(super) fn release_all(&mut self) -> Vec<Tid> {
        self.held = 0;
        let spaces = std::mem::take(&mut self.spaces);
        spaces.into_values().flat_map(|of| of.held).map(|(tid, _)| tid).collect()
    }

    /// Whether no task is in a call.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.spaces.is_empty()
    }
}

impl Space {
    fn start(&mut self, tid: Tid, patience: Duration) {
        let beside = !self.running.is_empty();
        for running in &mut self.running {
            running.beside = true;
        }
        let since = Instant::now();
        let due = since + patience;
        self.running.push(Running { tid, since, patience, due, loose: false, beside });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: SpaceId = SpaceId(1);

    #[test]
    fn one_at_a_time_first_come_first_served() {
        let mut order = Order::default();
        assert!(order.enter(SPACE, Tid::new(1), PATIENCE));
        assert!(order.enter(SpaceId(2), Tid::new(9), PATIENCE));
        assert!(!order.enter(SPACE, Tid::new(2), PATIENCE));
        assert!(!order.enter(SPACE, Tid::new(3), PATIENCE));
        assert_eq!(order.leave(SPACE, Tid::new(1)), (true, Some(Tid::new(2))));
        assert_eq!(order.leave(SPACE, Tid::new(2)), (true, Some(Tid::new(3))));
        assert_eq!(order.leave(SPACE, Tid::new(3)), (true, None));
        assert_eq!(order.leave(SpaceId(2), Tid::new(9)), (true, None));
        assert!(order.is_idle());
    }

    #[test]
    fn who_takes_too_long_is_passed() {
        let mut order = Order::default();
        assert!(order.enter(SPACE, Tid::new(1), PATIENCE));
        assert_eq!(order.deadline(), None);
        assert!(!order.enter(SPACE, Tid::new(2), PATIENCE));
        assert!(!order.enter(SPACE, Tid::new(3), PATIENCE));
        let now = order.deadline().unwrap();
        assert_eq!(order.expired(now - Duration::from_millis(1), |_| true), []);
        // It waits for a processor.
        assert_eq!(order.expired(now, |_| false), []);
        assert_eq!(order.expired(now, |_| true), []);
        let now = order.deadline().unwrap();
        assert_eq!(order.expired(now, |tid| tid == Tid::new(1)), [Tid::new(2)]);
        assert_eq!(order.leave(SPACE, Tid::new(2)), (false, Some(Tid::new(3))));
        // No task is held behind the one that was passed.
        assert_eq!(order.leave(SPACE, Tid::new(3)), (false, None));
        assert!(order.enter(SPACE, Tid::new(4), PATIENCE));
        assert_eq!(order.leave(SPACE, Tid::new(4)), (false, None));
        assert_eq!(order.leave(SPACE, Tid::new(1)), (false, None));
        assert!(order.is_idle());
    }

    #[test]
    fn who_never_sleeps_is_passed_too() {
        let mut order = Order::default();
        assert!(order.enter(SPACE, Tid::new(1), PATIENCE));
        assert!(!order.enter(SPACE, Tid::new(2), PATIENCE));
        let end = order.deadline().unwrap() - PATIENCE + LONGEST;
        assert_eq!(order.expired(end - Duration::from_millis(1), |_| false), []);
        assert_eq!(order.expired(end + PATIENCE, |_| false), [Tid::new(2)]);

        assert!(order.enter(SpaceId(2), Tid::new(3), POPULATE_PATIENCE));
        assert!(!order.enter(SpaceId(2), Tid::new(4), PATIENCE));
        let now = order.deadline().unwrap();
        assert_eq!(order.expired(now, |_| false), [Tid::new(4)], "it may have much to touch");
    }

    #[test]
    fn who_ends_while_held_or_in_a_call() {
        let mut order = Order::default();
        assert!(order.enter(SPACE, Tid::new(1), PATIENCE));
        assert!(!order.enter(SPACE, Tid::new(2), PATIENCE));
        assert!(!order.enter(SPACE, Tid::new(3), PATIENCE));
        assert_eq!(order.leave(SPACE, Tid::new(2)), (true, None));
        assert_eq!(order.leave(SPACE, Tid::new(1)), (true, Some(Tid::new(3))));
        assert_eq!(order.leave(SPACE, Tid::new(3)), (true, None));
        assert!(order.is_idle());
        assert_eq!(order.deadline(), None);
    }
}
