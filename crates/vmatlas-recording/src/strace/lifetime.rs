//! The start and end of threads and processes.

use super::missing::{Gaps, MissingFact};
use super::replay::{MAX_ROWS, State, snapshot_of};
use super::task::{CloneFlags, Pending, Silent, Task, TaskSpace};
use crate::{Maker, Origin, TaskId, Tid};
use std::rc::Rc;
use vmatlas_maps::WarningKind;

/// The origin of mappings from before the log.
const BEFORE: Origin = Origin { maker: Maker::Before, ..Origin::UNSEEN };

/// The number of rows and pieces stored for an address space.
fn size(space: &crate::RecordedSpace) -> usize {
    space.memory.len().max(space.origins.len())
}

impl State<'_> {
    /// The live thread of a line.
    pub(crate) fn known(&self, tid: Option<Tid>) -> Option<Tid> {
        match tid {
            Some(tid) => Some(tid).filter(|tid| self.tasks.contains_key(tid)),
            None if self.tasks.contains_key(&Tid::NONE) => Some(Tid::NONE),
            None => self.tasks.keys().next().copied(),
        }
    }

    /// The thread of a line; added if it is new.
    pub(crate) fn task(&mut self, tid: Option<Tid>, executes: bool) -> Tid {
        if let Some(known) = self.known(tid) {
            return known;
        }
        let tid = tid.unwrap_or_default();
        // strace writes thread ids as soon as it traces two threads.
        if !self.attached.contains(&tid)
            && let Some(mut task) = self.tasks.remove(&Tid::NONE)
        {
            task.process = tid.get();
            self.makers.name_process(task.process);
            self.tasks.insert(tid, task);
            // The lines name tasks from now on, so others may still have some.
            for task in self.tasks.values_mut().filter(|task| task.silent != Silent::No) {
                task.silent = Silent::SoFar;
            }
            return tid;
        }
        let order = self.next_order();
        let parents: Vec<(&Task, CloneFlags)> = self
            .tasks
            .values()
            .filter_map(|task| match task.begun {
                Some(Pending::Clone(flags)) => Some((task, flags)),
                _ => None,
            })
            .collect();
        let alike = |(task, flags): &(&Task, CloneFlags)| {
            Rc::ptr_eq(&task.space, &parents[0].0.space) && *flags == parents[0].1
        };
        let task = if !parents.is_empty() && parents.iter().all(alike) {
            let (parent, flags) = parents[0];
            parent.child(tid, order, flags)
        } else {
            let waiting = !parents.is_empty();
            let mut space = TaskSpace::new(&self.profile, 0, BEFORE);
            if !executes {
                space.gaps.push(MissingFact::Earlier);
            }
            let unannounced = !executes;
            Task { orphan: waiting, unannounced, ..Task::new(tid.get(), order, space) }
        };
        self.tasks.insert(tid, task);
        tid
    }

    fn next_order(&mut self) -> u64 {
        self.appeared.push(self.now);
        self.appeared.len() as u64
    }

    /// Adds the child that a call made.
    pub(crate) fn fork(&mut self, parent: Tid, child: Tid, flags: CloneFlags) {
        let order = self.next_order();
        self.shows_clones = true;
        let is_named = parent != Tid::NONE;
        let Some(parent) = self.tasks.get(&parent) else { return };
        let known = self.tasks.get(&child);
        if let Some(early) = known {
            if !early.orphan {
                return;
            }
            // It has already executed a program: it inherits only the parent's directory.
            if early.space.borrow().id != 0 {
                let directory = parent.directory.borrow().clone();
                let early = self.tasks.get_mut(&child).expect("it was just there");
                (early.orphan, early.unannounced) = (false, false);
                let mut own = early.directory.borrow_mut();
                if own.is_none() {
                    *own = directory;
                }
                return;
            }
        }
        if known.is_some_and(|early| !early.space.borrow().map.memory.is_empty()) {
            let text = format!(
                "calls of process {child} from before the log shows its parent are left out"
            );
            self.warnings.push(0, WarningKind::Source(text));
        }
        let rows: usize = if flags.memory { 0 } else { size(&parent.space.borrow().map) };
        let live = self.tasks.len().saturating_mul(rows);
        let order = known.map_or(order, |early| early.order);
        let task = if live > 4 * MAX_ROWS {
            let mut space = TaskSpace::new(&self.profile, 0, BEFORE);
            space.gaps.push(MissingFact::Earlier);
            Task::new(child.get(), order, space)
        } else {
            parent.child(child, order, flags)
        };
        let silent = match is_named {
            _ if known.is_some() || self.attached.contains(&child) => Silent::No,
            true => Silent::SoFar,
            false => Silent::NotFollowed,
        };
        self.tasks.insert(child, Task { silent, ..task });
    }

    /// Replaces the first thread of a process by its thread that executed a program.
    pub(crate) fn supersede(&mut self, tid: Option<Tid>, by: Tid) {
        if let (Some(tid), Some(mut task)) = (tid, self.tasks.remove(&by)) {
            task.process = tid.get();
            task.entry = TaskId::NONE;
            self.tasks.insert(tid, task);
        }
    }

    /// Removes a thread that ended, and its process after the last one.
    pub(crate) fn end(&mut self, tid: Tid) {
        let Some(task) = self.tasks.remove(&tid) else { return };
        self.attached.remove(&tid);
        if self.frozen.is_some() {
            return;
        }
        // The lines of a log without task numbers are all of the process.
        let is_left = |other: &Task| tid != Tid::NONE || other.silent != Silent::NotFollowed;
        let mut others = self.tasks.values().filter(|other| other.process == task.process);
        if others.any(is_left) {
            return;
        }
        let mut process = snapshot_of(&task);
        process.ended = Some(self.current);
        let mut gaps = Gaps::of(std::mem::take(&mut process.missing));
        for (silent, other) in &self.tasks {
            let is_silent = other.silent == Silent::NotFollowed && !other.is_awaited;
            if is_silent && Rc::ptr_eq(&other.space, &task.space) {
                gaps.push(MissingFact::Silent { tid: silent.get() });
            }
        }
        process.missing = gaps.list();
        self.tasks.retain(|_, other| other.process != task.process);
        let rows = size(&process.space);
        if self.ended_rows + rows > MAX_ROWS && !self.ended.is_empty() {
            let text = format!("the ended processes have too many rows: process {tid} is left out");
            self.warnings.push(0, WarningKind::Source(text));
            return;
        }
        self.ended_rows += rows;
        self.ended.push(process);
    }
}
