//! Holds copied stacks until their calls are passed on.
//!
//! The two events of a tracepoint have separate times, that of the stack usually just after that of
//! the call. A stack belongs to the call of its thread with the same registers and the nearest
//! time, and to none if that call was lost.

use super::event::{Stack, StackCopy};
use super::parse::Who;
use super::rings::SLACK;
use super::tasks::Owner;
use crate::record::arch::Sampled;
use std::collections::{HashMap, VecDeque};
use vmatlas_recording::Tid;

#[derive(Debug)]
pub(super) struct Stacks {
    /// Whether stacks were requested.
    wanted: bool,
    by_thread: HashMap<Tid, VecDeque<Copied>>,
}

#[derive(Debug)]
struct Copied {
    time: u64,
    owner: Owner,
    registers: Sampled,
    bytes: Vec<u8>,
}

impl Stacks {
    pub(super) fn new(wanted: bool) -> Stacks {
        Stacks { wanted, by_thread: HashMap::new() }
    }

    pub(super) fn wanted(&self) -> bool {
        self.wanted
    }

    pub(super) fn push(&mut self, who: &Who, owner: Owner, registers: Sampled, bytes: Vec<u8>) {
        let copied = Copied { time: who.time, owner, registers, bytes };
        self.by_thread.entry(who.tid).or_default().push_back(copied);
    }

    /// Sorts the stacks by time: a thread may have changed processors.
    pub(super) fn sort(&mut self) {
        for stacks in self.by_thread.values_mut() {
            stacks.make_contiguous().sort_by_key(|stack| stack.time);
        }
    }

    /// Drops stacks that belong to no call from `until` on.
    pub(super) fn forget_before(&mut self, until: u64) {
        let old = until.saturating_sub(SLACK);
        self.by_thread.retain(|_, stacks| {
            while stacks.front().is_some_and(|stack| stack.time < old) {
                stacks.pop_front();
            }
            !stacks.is_empty()
        });
    }

    /// Takes the stack of a call. `next` is the time of the thread's next return.
    pub(super) fn take(
        &mut self,
        who: &Who,
        owner: Owner,
        registers: &Sampled,
        next: u64,
    ) -> Stack {
        if !self.wanted {
            return Stack::NotAsked;
        }
        let Some(stacks) = self.by_thread.get_mut(&who.tid) else { return Stack::Lost };
        while let Some(first) = stacks.front().filter(|first| first.time < next) {
            let fits = first.owner == owner && first.registers == *registers;
            // It may belong to the next call, which has not been read yet.
            if !fits && first.time >= who.time {
                break;
            }
            let first = stacks.pop_front();
            if let Some(Copied { bytes, .. }) = first.filter(|_| fits) {
                return Stack::Copied(StackCopy { sp: registers.for_unwinding().sp, bytes });
            }
        }
        Stack::Lost
    }
}
