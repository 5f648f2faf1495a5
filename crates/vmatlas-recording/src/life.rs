//! The history of one address.

use super::call::CallKind;
use super::event::{Event, What};
use super::id::{EventNumber, TaskId};
use super::moment::Moment;
use super::read::{Recording, RecordingError};
use super::replay::Replay;
use super::space::RecordedSpace;
use std::collections::HashMap;
use std::ops::ControlFlow;
use vmatlas_maps::ReadAt;
use vmatlas_maps::{AddressRange, Perms};

/// A change of an address, with the event that caused it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LifeStep {
    /// The event.
    pub event: Event,
    /// The address at that time; its bytes may have moved since.
    pub address: u64,
    /// The change.
    pub kind: LifeKind,
    /// The row that covers the address afterwards; `None` if it is unmapped.
    pub row: Option<(AddressRange, Perms)>,
}

/// The kinds of changes of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LifeKind {
    /// The mapping existed before the recording.
    Before,
    /// Unmapped addresses were mapped.
    Made,
    /// A new mapping replaced the old one.
    Replaced,
    /// The bytes moved here from another address.
    MovedFrom(u64),
    /// The bytes moved to another address.
    MovedTo(u64),
    /// The address was unmapped.
    Unmapped,
    /// The permissions were changed, or set again.
    Protected,
    /// The mapping got a name, advice, a lock, a policy or a seal.
    Changed,
    /// The bounds of the mapping changed by an event outside the address: it was split, joined or
    /// grew.
    Reshaped,
    /// The kernel shows a state that does not follow from the events.
    Observed,
    /// The address space was copied for a child, to which this address belongs.
    Inherited,
    /// The process executed a program or ended.
    Ended,
}

/// The maximum number of moves that are traced back.
const MAX_MOVES: usize = 16;
/// The maximum number of steps; beyond it the oldest but the first are dropped.
const MAX_STEPS: usize = 1 << 16;

/// A part of the history, which lies in one address space.
#[derive(Clone, Copy)]
struct Stretch {
    space: u32,
    /// The event that starts it: the fork that made the address space.
    from: EventNumber,
}

impl<S: ReadAt> Recording<S> {
    /// The history of an address, up to event `until`, in the process to which `task` then belongs;
    /// the oldest step comes first. If bytes were moved there, or the process was forked, the
    /// earlier steps are those of the source.
    ///
    /// This replays every event up to `until`. The error is the one that ended the replay early.
    pub fn life(
        &self,
        task: TaskId,
        address: u64,
        until: EventNumber,
    ) -> (Vec<LifeStep>, Option<RecordingError>) {
        let mut parents: HashMap<u32, (u32, EventNumber)> = HashMap::new();
        let (last, error) = self.follow(until, |event, before, after| {
            if let What::Clone { child, memory: false } = event.what
                && let (Some(own), Some(copy)) =
                    (before.space_id(event.task), after.space_id(child))
            {
                parents.insert(copy, (own, event.number));
            }
        });
        let Some(mut space) = last.space_id(task) else { return (Vec::new(), error) };
        let mut stretches = Vec::new();
        while let Some((parent, fork)) = parents.get(&space) {
            stretches.push(Stretch { space, from: *fork });
            space = *parent;
        }
        stretches.push(Stretch { space, from: EventNumber::NONE });
        let mut steps: Vec<LifeStep> = Vec::new();
        let (mut address, mut until) = (address, until);
        for _ in 0..=MAX_MOVES {
            let mut found = self.steps(&stretches, address, until);
            let moved = found.iter().rposition(|step| matches!(step.kind, LifeKind::MovedFrom(_)));
            let Some(moved) = moved else {
                steps.splice(0..0, found);
                return (steps, error);
            };
            // Earlier steps at this address concern other bytes.
            let later = found.split_off(moved);
            if let LifeKind::MovedFrom(from) = later[0].kind {
                address = from;
            }
            until = later[0].event.number.previous();
            steps.splice(0..0, later);
        }
        (steps, error)
    }

    /// The events, up to event `until`, that ended the mappings at these addresses of a task after
    /// the state of `replay`; `None` for an address that stays mapped or never was.
    pub fn unmappings(
        &self,
        replay: &Replay,
        task: TaskId,
        addresses: &[u64],
        until: EventNumber,
    ) -> Vec<Option<Event>> {
        let mut ends = vec![None; addresses.len()];
        let Some(own) = replay.space_id(task) else { return ends };
        let mut replay = replay.clone();
        let mapped = |replay: &Replay, address| {
            replay.space_by_id(own).is_some_and(|space| space.memory.find(address).is_some())
        };
        let mut left: Vec<usize> =
            (0..addresses.len()).filter(|at| mapped(&replay, addresses[*at])).collect();
        let _ = self.events(replay.number().next(), |event| {
            if event.number > until || left.is_empty() {
                return ControlFlow::Break(());
            }
            let here = replay.space_id(event.task) == Some(own);
            let applied = replay.apply(event, &self.definitions().files);
            let touched = |at: usize| {
                let address = addresses[at];
                let whole = !matches!(event.what, What::Call { .. });
                whole || applied.touched.iter().any(|range| range.contains(address))
            };
            if here {
                left.retain(|at| {
                    let ended = touched(*at)
                        && (replaces(event, addresses[*at]) || !mapped(&replay, addresses[*at]));
                    if ended {
                        ends[*at] = Some(event.clone());
                    }
                    !ended
                });
            }
            ControlFlow::Continue(())
        });
        ends
    }

    /// The last state, up to that of `replay`, at which the recorder read the resident pages of a
    /// task's address space, and a task that has the address space then; `None` if it never did.
    ///
    /// This replays every event up to that of `replay`.
    pub fn last_look(&self, replay: &Replay, task: TaskId) -> Option<(Replay, TaskId)> {
        let own = replay.space_id(task)?;
        let mut last = None;
        let _ = self.follow(replay.number(), |event, _, after| {
            if matches!(event.what, What::Resident { .. })
                && after.space_id(event.task) == Some(own)
            {
                last = Some((event.number, event.task));
            }
        });
        let (number, task) = last?;
        let (replay, _) = self.at(Moment::Event(number), |_, _| {});
        (replay.space_id(task) == Some(own)).then_some((replay, task))
    }

    /// Replays all events up to `until`; calls `see` with each and the states before and after it.
    fn follow(
        &self,
        until: EventNumber,
        mut see: impl FnMut(&Event, &Before, &Replay),
    ) -> (Replay, Option<RecordingError>) {
        let mut replay = Replay::new(self.meta().profile());
        let end = self.events(EventNumber::FIRST, |event| {
            if event.number > until {
                return ControlFlow::Break(());
            }
            let before = Before { task: event.task, space: replay.space_id(event.task) };
            replay.apply(event, &self.definitions().files);
            see(event, &before, &replay);
            ControlFlow::Continue(())
        });
        (replay, end.err())
    }

    fn steps(&self, stretches: &[Stretch], address: u64, until: EventNumber) -> Vec<LifeStep> {
        let mut steps: Vec<LifeStep> = Vec::new();
        let mut row = None;
        let mut current = stretches.len() - 1;
        self.follow(until, |event, before, after| {
            // The next stretch starts with the fork that made it.
            let next = current.checked_sub(1).map(|next| stretches[next]);
            if let Some(next) = next
                && event.number == next.from
            {
                current -= 1;
                if row.is_some() {
                    let event = event.clone();
                    steps.push(LifeStep { event, address, kind: LifeKind::Inherited, row });
                }
                return;
            }
            let own = stretches[current].space;
            let now = match &event.what {
                What::Exec { to, .. } => after.space_id(*to),
                What::Attached { .. } => after.space_id(event.task),
                _ => before.space.or_else(|| after.space_id(event.task)),
            };
            if now != Some(own) && before.space != Some(own) {
                return;
            }
            let own_after = after.space_by_id(own);
            if now != Some(own) && own_after.is_some() {
                // The task left for a new address space, and others stay in this one (vfork).
                return;
            }
            let seen = own_after.and_then(|space| look(space, address));
            let kind = kind_of(event, address, row.is_some(), seen.is_some(), row != seen);
            if let Some(kind) = kind {
                let event = event.clone();
                steps.push(LifeStep { event, address, kind, row: seen });
                if steps.len() > MAX_STEPS {
                    steps.remove(1);
                }
            }
            row = seen;
        });
        steps
    }
}

/// Whether a call made a new mapping over an address.
fn replaces(event: &Event, address: u64) -> bool {
    let What::Call { call, .. } = &event.what else { return false };
    let start = call.result as u64;
    let length = match call.kind {
        CallKind::Mmap => call.args[1],
        CallKind::Mremap if start != call.args[0] => call.args[2],
        _ => return false,
    };
    call.result > 0 && start <= address && address - start < length
}

/// The part of the state before an event that callers need.
struct Before {
    task: TaskId,
    space: Option<u32>,
}

impl Before {
    fn space_id(&self, task: TaskId) -> Option<u32> {
        self.space.filter(|_| task == self.task)
    }
}

/// The row that covers an address.
fn look(space: &RecordedSpace, address: u64) -> Option<(AddressRange, Perms)> {
    let row = space.memory.query(address, false)?;
    Some((row.range, row.perms))
}

/// The change that an event made to an address: `was` and `is` are whether it was and is mapped,
/// `differs` whether its row has changed.
fn kind_of(event: &Event, address: u64, was: bool, is: bool, differs: bool) -> Option<LifeKind> {
    let within = |start: u64, length: u64| {
        start <= address && address - start < length.saturating_add(0xfff) & !0xfff
    };
    match &event.what {
        What::Attached { .. } => is.then_some(LifeKind::Before),
        What::Exec { .. } if was && !is => Some(LifeKind::Ended),
        What::Exec { .. } => is.then_some(LifeKind::Made),
        What::Observed { .. } => differs.then_some(LifeKind::Observed),
        What::Exit { .. } if was && !is => Some(LifeKind::Ended),
        What::Call { call, .. } => {
            let [first, second, third, ..] = call.args;
            let touches = match call.kind {
                CallKind::Mremap => {
                    let to = call.result as u64;
                    if call.result < 0 {
                        return None;
                    }
                    if to != first && within(to, third) {
                        let from = address - to;
                        return Some(if from < second || second == 0 {
                            LifeKind::MovedFrom(first + from)
                        } else {
                            LifeKind::Made
                        });
                    }
                    if to != first && within(first, second) && address - first < third {
                        return Some(LifeKind::MovedTo(to + (address - first)));
                    }
                    within(first, second.max(third))
                }
                CallKind::Mmap | CallKind::Shmat => {
                    let length = if call.kind == CallKind::Mmap { second } else { call.args[3] };
                    within(call.result as u64, length)
                }
                CallKind::UffdRegister | CallKind::UffdUnregister => within(second, third),
                CallKind::Prctl => within(third, call.args[3]),
                CallKind::Brk | CallKind::Shmdt | CallKind::IoSetup | CallKind::IoDestroy => false,
                CallKind::ArchPrctl => false,
                _ => within(first, second),
            };
            match (call.kind, was, is) {
                (_, true, false) => Some(LifeKind::Unmapped),
                (_, false, true) => Some(LifeKind::Made),
                (_, false, false) => None,
                (CallKind::Mmap | CallKind::Shmat, ..) if touches => Some(LifeKind::Replaced),
                (CallKind::Mprotect | CallKind::PkeyMprotect, ..) if touches => {
                    Some(LifeKind::Protected)
                }
                _ if touches => Some(LifeKind::Changed),
                _ => differs.then_some(LifeKind::Reshaped),
            }
        }
        _ => None,
    }
}
