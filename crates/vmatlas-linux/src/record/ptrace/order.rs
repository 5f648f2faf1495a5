//! The order of calls on one address space.
//!
//! A tracer sees calls return in the order in which their tasks happen to be woken, which is not
//! the order in which the kernel did them: a mapping may seem to lie where another still is. So of
//! the tasks of an address space only one at a time is let into a call; the others are held where
//! they enter one.
//!
//! A call may wait for something that only another task can bring about: memory that a
//! userfaultfd or a file system of another process fills. So nobody is held for longer than
//! [`PATIENCE`], or [`POPULATE_PATIENCE`] behind calls that touch pages. A call that runs beside
//! others is marked: its place among them is not certain.
//!
//! A fork is a call of this order: what another thread changes meanwhile would be in the child's
//! copy or not.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};
use vmatlas_maps::uapi::mman::{MAP_LOCKED, MAP_POPULATE};
use vmatlas_recording::CallKind;

/// How long a task is held for a call of another.
pub(super) const PATIENCE: Duration = Duration::from_millis(50);
/// The same for a call that may fill memory, which takes time even if nothing blocks it.
pub(super) const POPULATE_PATIENCE: Duration = Duration::from_millis(2);

/// An address space, by the order in which they were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SpaceId(pub(super) u64);

/// A task that has been let into a call.
#[derive(Clone, Copy, Debug)]
struct Running {
    tid: u32,
    since: Instant,
    patience: Duration,
    /// Others need not wait for it any more.
    loose: bool,
    /// Another call ran meanwhile.
    beside: bool,
}

#[derive(Debug, Default)]
struct Space {
    running: Vec<Running>,
    /// Tasks that are held, with what is asked for.
    held: VecDeque<(u32, Duration)>,
}

/// Who is in a call and who waits for whom, in every address space.
#[derive(Debug, Default)]
pub(super) struct Order {
    spaces: HashMap<SpaceId, Space>,
    held: usize,
}

/// How long others wait for a call.
pub(super) fn patience(kind: CallKind, args: &[u64; 6]) -> Duration {
    let populates = match kind {
        CallKind::Mmap => args[3] & (MAP_LOCKED | MAP_POPULATE) != 0,
        CallKind::Mlock | CallKind::Mlockall => true,
        _ => false,
    };
    if populates { POPULATE_PATIENCE } else { PATIENCE }
}

impl Order {
    /// Whether a task that is about to enter a call may. If not, it is held until it is among
    /// those that [`leave`](Self::leave) or [`expired`](Self::expired) give.
    pub(super) fn enter(&mut self, space: SpaceId, tid: u32, patience: Duration) -> bool {
        let of = self.spaces.entry(space).or_default();
        if of.running.iter().all(|running| running.loose) && of.held.is_empty() {
            of.start(tid, patience);
            return true;
        }
        of.held.push_back((tid, patience));
        self.held += 1;
        false
    }

    /// A task has left its call, or it has ended. Gives whether no other call ran beside it, and
    /// who may enter now.
    pub(super) fn leave(&mut self, space: SpaceId, tid: u32) -> (bool, Option<u32>) {
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

    /// Lets the first who is held enter, if nobody is in the way any more.
    fn next(&mut self, space: SpaceId) -> Option<u32> {
        let of = self.spaces.get_mut(&space)?;
        if !of.running.iter().all(|running| running.loose) {
            return None;
        }
        let (tid, patience) = of.held.pop_front()?;
        self.held -= 1;
        of.start(tid, patience);
        Some(tid)
    }

    /// When somebody has been held for long enough.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.held == 0 {
            return None;
        }
        let holding = self.spaces.values().filter(|of| !of.held.is_empty());
        let running = holding.flat_map(|of| &of.running).filter(|running| !running.loose);
        running.map(|running| running.since + running.patience).min()
    }

    /// Who may enter now, since those before them take too long.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<u32> {
        let mut late = Vec::new();
        for (&space, of) in &mut self.spaces {
            if of.held.is_empty() {
                continue;
            }
            for running in &mut of.running {
                running.loose |= running.since + running.patience <= now;
            }
            late.push(space);
        }
        late.into_iter().filter_map(|space| self.next(space)).collect()
    }

    /// Everybody who is held, who may all enter.
    pub(super) fn release_all(&mut self) -> Vec<u32> {
        self.held = 0;
        let spaces = std::mem::take(&mut self.spaces);
        spaces.into_values().flat_map(|of| of.held).map(|(tid, _)| tid).collect()
    }

    /// Whether nobody is in a call.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.spaces.is_empty()
    }
}

impl Space {
    fn start(&mut self, tid: u32, patience: Duration) {
        let beside = !self.running.is_empty();
        for running in &mut self.running {
            running.beside = true;
        }
        let since = Instant::now();
        self.running.push(Running { tid, since, patience, loose: false, beside });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: SpaceId = SpaceId(1);

    #[test]
    fn one_at_a_time_first_come_first_served() {
        let mut order = Order::default();
        assert!(order.enter(SPACE, 1, PATIENCE));
        assert!(order.enter(SpaceId(2), 9, PATIENCE));
        assert!(!order.enter(SPACE, 2, PATIENCE));
        assert!(!order.enter(SPACE, 3, PATIENCE));
        assert_eq!(order.leave(SPACE, 1), (true, Some(2)));
        assert_eq!(order.leave(SPACE, 2), (true, Some(3)));
        assert_eq!(order.leave(SPACE, 3), (true, None));
        assert_eq!(order.leave(SpaceId(2), 9), (true, None));
        assert!(order.is_idle());
    }

    #[test]
    fn who_takes_too_long_is_passed() {
        let mut order = Order::default();
        assert!(order.enter(SPACE, 1, PATIENCE));
        assert_eq!(order.deadline(), None);
        assert!(!order.enter(SPACE, 2, PATIENCE));
        assert!(!order.enter(SPACE, 3, PATIENCE));
        let now = order.deadline().unwrap();
        assert_eq!(order.expired(now - Duration::from_millis(1)), []);
        assert_eq!(order.expired(now), [2]);
        assert_eq!(order.leave(SPACE, 2), (false, Some(3)));
        // Nobody is held behind who was passed.
        assert_eq!(order.leave(SPACE, 3), (false, None));
        assert!(order.enter(SPACE, 4, PATIENCE));
        assert_eq!(order.leave(SPACE, 4), (false, None));
        assert_eq!(order.leave(SPACE, 1), (false, None));
        assert!(order.is_idle());
    }

    #[test]
    fn who_ends_while_held_or_in_a_call() {
        let mut order = Order::default();
        assert!(order.enter(SPACE, 1, PATIENCE));
        assert!(!order.enter(SPACE, 2, PATIENCE));
        assert!(!order.enter(SPACE, 3, PATIENCE));
        assert_eq!(order.leave(SPACE, 2), (true, None));
        assert_eq!(order.leave(SPACE, 1), (true, Some(3)));
        assert_eq!(order.leave(SPACE, 3), (true, None));
        assert!(order.is_idle());
        assert_eq!(order.deadline(), None);
    }
}
