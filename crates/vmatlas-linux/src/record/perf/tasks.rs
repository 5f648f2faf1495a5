//! The recorded threads and their address spaces.

use super::parse::Who;
use std::collections::{HashMap, HashSet};
use vmatlas_recording::Tid;

/// The recorded threads.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    threads: HashMap<Tid, Thread>,
    processes: HashMap<u32, Process>,
    /// Whether child processes of recorded processes are recorded.
    pub(super) children: bool,
    spaces: u32,
    /// Whether the current clone(2) of a thread shares memory, if known.
    clones: HashMap<Tid, Option<bool>>,
}

#[derive(Clone, Copy, Debug)]
struct Thread {
    pid: u32,
    /// The owner of its events: those opened for it, or inherited ones. A thread that appeared
    /// while events were being opened may have both, and then reports twice.
    owner: Owner,
}

/// The target for which events were opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// A thread and its descendants.
    Thread(Tid),
    /// A processor.
    Processors,
}

#[derive(Debug)]
struct Process {
    tids: HashSet<Tid>,
    space: u32,
}

impl Tasks {
    /// No threads yet.
    pub(super) fn new(children: bool) -> Tasks {
        Tasks { children, ..Tasks::default() }
    }

    /// Adds a thread with open events.
    pub(super) fn add(&mut self, pid: u32, tid: Tid, owner: Owner) {
        self.threads.insert(tid, Thread { pid, owner });
        self.spaces += 1;
        let space = self.spaces;
        let process =
            self.processes.entry(pid).or_insert_with(|| Process { tids: HashSet::new(), space });
        process.tids.insert(tid);
    }

    /// The number of recorded threads.
    pub(super) fn len(&self) -> usize {
        self.threads.len()
    }

    /// All threads as (pid, tid), unordered.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Tid)> {
        self.threads.iter().map(|(tid, thread)| (thread.pid, *tid))
    }

    /// Whether a record counts, by the owner of its event.
    pub(super) fn counts(&self, who: &Who, owner: Owner) -> bool {
        self.threads.get(&who.tid).is_some_and(|thread| thread.owner == owner)
    }

    /// The owner of a thread's events.
    pub(super) fn owner(&self, tid: Tid) -> Option<Owner> {
        self.threads.get(&tid).map(|thread| thread.owner)
    }

    /// The address space of a process. Processes that share one have the same number.
    pub(super) fn space(&self, pid: u32) -> Option<u32> {
        self.processes.get(&pid).map(|process| process.space)
    }

    /// Whether any process uses that address space.
    pub(super) fn uses(&self, space: u32) -> bool {
        self.processes.values().any(|process| process.space == space)
    }

    /// Records that a thread enters a clone(2). `shares` is its `CLONE_VM`, if known.
    pub(super) fn cloning(&mut self, tid: Tid, shares: Option<bool>) {
        self.clones.insert(tid, shares);
    }

    /// Records that a thread made another. Returns whether the new thread is recorded, and whether
    /// it shares its parent's memory, if known.
    pub(super) fn forked(&mut self, parent_tid: Tid, pid: u32, tid: Tid) -> Option<Option<bool>> {
        let parent = *self.threads.get(&parent_tid)?;
        let shares = self.clones.remove(&parent_tid);
        if parent.pid == pid {
            // A thread whose events were opened meanwhile keeps those.
            self.threads.entry(tid).or_insert(Thread { pid, owner: parent.owner });
            self.processes.get_mut(&pid)?.tids.insert(tid);
            return Some(Some(true));
        }
        if !self.children {
            return None;
        }
        // Only i386 programs call fork(2) without a visible start.
        let shares = shares.unwrap_or(Some(false));
        self.threads.entry(tid).or_insert(Thread { pid, owner: parent.owner });
        let parents = self.space(parent.pid);
        self.spaces += 1;
        let own = self.spaces;
        let space = parents.filter(|_| shares == Some(true)).unwrap_or(own);
        let process =
            self.processes.entry(pid).or_insert_with(|| Process { tids: HashSet::new(), space });
        process.space = space;
        process.tids.insert(tid);
        Some(shares)
    }

    /// Records that a process executed a program, as reported by an event of `owner`. Returns the
    /// former id of the thread that did, which now has the process's; `None` if this report does
    /// not count.
    ///
    /// The process has a new address space and no other thread.
    pub(super) fn executed(&mut self, pid: u32, owner: Owner) -> Option<Tid> {
        let first = Tid::first_of(pid);
        let process = self.processes.get_mut(&pid)?;
        let of_owner = |tid: &&Tid| self.threads.get(*tid).is_some_and(|of| of.owner == owner);
        // Every other thread has ended before, and so has the first if another one executes.
        let others = || process.tids.iter().filter(of_owner).max_by_key(|tid| tid.get());
        let former = *process.tids.get(&first).filter(of_owner).or_else(others)?;
        for tid in std::mem::take(&mut process.tids) {
            self.threads.remove(&tid);
            self.clones.remove(&tid);
        }
        process.tids.insert(first);
        self.spaces += 1;
        process.space = self.spaces;
        self.threads.insert(first, Thread { pid, owner });
        Some(former)
    }

    /// The recorded processes, unordered.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.processes.keys().copied().collect()
    }

    /// Records the end of a thread.
    pub(super) fn exited(&mut self, tid: Tid) {
        self.clones.remove(&tid);
        let Some(thread) = self.threads.remove(&tid) else { return };
        if let Some(process) = self.processes.get_mut(&thread.pid) {
            process.tids.remove(&tid);
            if process.tids.is_empty() {
                self.processes.remove(&thread.pid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_with_both_kinds_of_events_counts_once() {
        let mut tasks = Tasks::default();
        tasks.add(10, Tid::new(10), Owner::Thread(Tid::new(10)));
        tasks.add(10, Tid::new(11), Owner::Thread(Tid::new(11)));
        assert_eq!(tasks.forked(Tid::new(10), 10, Tid::new(11)), Some(Some(true)));
        let who = Who { pid: 10, tid: Tid::new(11), ..Who::default() };
        assert!(tasks.counts(&who, Owner::Thread(Tid::new(11))));
        assert!(!tasks.counts(&who, Owner::Thread(Tid::new(10))));
        tasks.forked(Tid::new(11), 10, Tid::new(12));
        let who = Who { pid: 10, tid: Tid::new(12), ..Who::default() };
        assert!(tasks.counts(&who, Owner::Thread(Tid::new(11))));
        tasks.exited(Tid::new(12));
        assert!(!tasks.counts(&who, Owner::Thread(Tid::new(11))));
    }

    #[test]
    fn children_share_memory_by_the_flags_of_clone() {
        let mut tasks = Tasks::new(true);
        tasks.add(10, Tid::new(10), Owner::Processors);
        tasks.cloning(Tid::new(10), Some(true));
        assert_eq!(tasks.forked(Tid::new(10), 20, Tid::new(20)), Some(Some(true)));
        assert_eq!(tasks.space(20), tasks.space(10));
        assert_eq!(tasks.executed(20, Owner::Processors), Some(Tid::new(20)));
        assert_ne!(tasks.space(20), tasks.space(10));
        assert_eq!(tasks.forked(Tid::new(10), 21, Tid::new(21)), Some(Some(false)));
        assert_ne!(tasks.space(21), tasks.space(10));
        assert_eq!(tasks.forked(Tid::new(99), 22, Tid::new(22)), None);
        tasks.children = false;
        assert_eq!(tasks.forked(Tid::new(10), 23, Tid::new(23)), None);
        assert_eq!(tasks.len(), 3);
    }

    #[test]
    fn a_thread_that_executes_a_program_becomes_the_first() {
        let first = Tid::new(10);
        // Its end may have been lost, or an event of the first thread come before.
        for ends in [&[10, 11][..], &[11], &[10], &[]] {
            for owner in [Owner::Processors, Owner::Thread(first)] {
                let mut tasks = Tasks::new(true);
                tasks.add(10, first, owner);
                tasks.forked(first, 10, Tid::new(11));
                tasks.forked(first, 10, Tid::new(12));
                let space = tasks.space(10);
                ends.iter().for_each(|tid| tasks.exited(Tid::new(*tid)));
                let former = tasks.executed(10, owner);
                assert_eq!(former, Some(Tid::new(if ends.contains(&10) { 12 } else { 10 })));
                assert_ne!(tasks.space(10), space);
                assert_eq!(tasks.iter().collect::<Vec<_>>(), [(10, first)]);
                assert!(tasks.counts(&Who { pid: 10, tid: first, ..Who::default() }, owner));
                tasks.exited(first);
                assert_eq!((tasks.len(), tasks.space(10)), (0, None));
            }
        }
    }

    #[test]
    fn the_owner_of_a_thread_that_executes_a_program_stays() {
        let (first, second) = (Tid::new(10), Tid::new(11));
        let mut tasks = Tasks::new(true);
        tasks.add(10, first, Owner::Thread(first));
        tasks.add(10, second, Owner::Thread(second));
        tasks.exited(first);
        assert_eq!(tasks.executed(10, Owner::Thread(first)), None);
        assert_eq!(tasks.executed(10, Owner::Thread(second)), Some(second));
        assert_eq!(tasks.executed(99, Owner::Thread(second)), None);
        let who = Who { pid: 10, tid: first, ..Who::default() };
        assert!(tasks.counts(&who, Owner::Thread(second)));
        assert!(!tasks.counts(&who, Owner::Thread(first)));
    }
}
