//! The steps of a recording: the only place where a backend's reports become events.

use super::{Recorder, Task, clock_ns};
use crate::record::sink::{At, Seen, Shared, StackAt};
use crate::record::space::LiveSpace;
use crate::record::unwind::Modules;
use std::path::Path;
use vmatlas_maps::{Mapping, Maps};
use vmatlas_recording::{Applied, StackId, TaskEntry, TaskId, Tid, What};

impl Recorder {
    /// The recording's time.
    fn when(&self, at: At) -> u64 {
        match at {
            At::Now => self.time(clock_ns()),
            At::Past(time_ns) => self.time(time_ns),
        }
    }

    /// The number of a stack.
    fn stack_at(&mut self, tid: Tid, stack: &StackAt<'_>) -> StackId {
        match stack {
            StackAt::Unknown => StackId::NONE,
            StackAt::Number(number) => *number,
            StackAt::Live(registers) => self.stack(tid, registers),
            StackAt::Copied(registers, bytes) => self.stack_of_copy(tid, registers, bytes),
        }
    }

    /// The address space of a task, if it is recorded.
    pub(in crate::record) fn space_of(&self, tid: Tid) -> Option<u32> {
        self.tasks.get(&tid).map(|task| task.space)
    }

    /// Records a returned call. Returns its effect; `None` if it cannot have changed anything.
    pub(in crate::record) fn called(&mut self, at: At, seen: Seen<'_>) -> Option<Applied> {
        let Seen { tid, mut call, stack, in_order, row } = seen;
        let task = self.tasks.get(&tid)?;
        let (entry, id) = (task.entry, task.space);
        if !self.counts(entry, &call) {
            return None;
        }
        let stack = self.stack_at(tid, &stack);
        let mut done = None;
        self.with(id, |recorder, space| {
            let shown = row.or_else(|| recorder.row_of(space, &mut call));
            let file = match &shown {
                Some(shown) => recorder.complete(space, &mut call, shown),
                None => 0,
            };
            let what = What::Call { call, file, in_order };
            let applied = recorder.event_at(recorder.when(at), entry, stack, what);
            recorder.truth.refused += u64::from(applied.refused.is_some());
            recorder.truth.out_of_order += u64::from(!in_order);
            recorder.follow_code(space, &call, &applied, shown.as_ref());
            done = Some(applied);
        });
        done
    }

    /// Records that a task made another. Returns the new task's entry, unless it is known already.
    pub(in crate::record) fn made(
        &mut self,
        at: At,
        (parent, child): (Tid, Tid),
        shared: Shared,
        stack: &StackAt<'_>,
    ) -> Option<TaskId> {
        let stack = self.stack_at(parent, stack);
        let task = self.tasks.get(&parent)?;
        let (entry, id) = (task.entry, task.space);
        let pid = if shared.thread { task.pid } else { child.get() };
        // A backend with delayed events may have found it earlier.
        if at != At::Now && self.tasks.contains_key(&child) {
            return None;
        }
        let comm = self.writer.tasks()[entry.index()].comm.clone();
        let space = self.spaces.get_mut(&id)?;
        let space = if shared.memory {
            space.tasks += 1;
            id
        } else {
            let modules = space.modules.clone();
            let copy = open(at, child, modules)?;
            self.add_space(copy)
        };
        let new = self.writer.task(TaskEntry { tid: child, pid, comm });
        let what = What::Clone { child: new, memory: shared.memory };
        self.event_at(self.when(at), entry, stack, what);
        self.truth.tasks += 1;
        self.tasks.insert(child, Task::new(new, pid, space));
        Some(new)
    }

    /// Records a thread of a known process whose creation was not reported.
    pub(in crate::record) fn found_thread(&mut self, at: At, pid: u32, tid: Tid) {
        let known = self.tasks.values().find(|task| task.pid == pid);
        let Some((parent, space)) = known.map(|task| (task.entry, task.space)) else { return };
        let comm = std::fs::read(Path::new("/proc").join(format!("{pid}/task/{tid}/comm")));
        let mut comm = comm.unwrap_or_else(|_| self.writer.tasks()[parent.index()].comm.clone());
        comm.pop_if(|last| *last == b'\n');
        let child = self.writer.task(TaskEntry { tid, pid, comm });
        self.event_at(self.when(at), parent, StackId::NONE, What::Clone { child, memory: true });
        if let Some(space) = self.spaces.get_mut(&space) {
            space.tasks += 1;
        }
        self.tasks.insert(tid, Task::new(child, pid, space));
    }

    /// Records a process that existed before the recording, with its rows, and writes them.
    pub(in crate::record) fn attached(
        &mut self,
        pid: u32,
        rows: &Maps,
    ) -> Result<(), crate::Error> {
        let first = Tid::first_of(pid);
        let mut space = LiveSpace::open(first, Modules::default())?;
        let comm = space.process().comm()?;
        let leader = self.writer.task(TaskEntry { tid: first, pid, comm });
        let shown = self.rows(&space, rows);
        self.event(leader, StackId::NONE, What::Attached { rows: shown });
        self.flush();
        self.map_all_code(&mut space, rows);
        let space = self.add_space(space);
        self.tasks.insert(first, Task::new(leader, pid, space));
        Ok(())
    }

    /// Records what has changed without events since a process was
    /// [`attached`](Recorder::attached): it had `threads` when `rows` were read.
    pub(in crate::record) fn events_begin(
        &mut self,
        at: At,
        pid: u32,
        threads: &[(u32, Tid)],
        rows: &Maps,
    ) {
        let first = Tid::first_of(pid);
        let Some(id) = self.space_of(first) else { return };
        if self.spaces.get_mut(&id).is_some_and(|space| space.is_gone()) {
            self.executes(at, first, first, None);
            self.has_executed(at, first, Some(rows.clone()));
        } else if let Some(entry) = self.tasks.get(&first).map(|task| task.entry) {
            self.with(id, |recorder, space| recorder.correct(entry, space, rows));
        }
        for (_, tid) in threads.iter().filter(|(of, tid)| *of == pid && *tid != first) {
            self.found_thread(at, pid, *tid);
        }
    }

    /// Records that a task executes a program and is now the only thread of its process; `former`
    /// is its previous id. Its mappings follow ([`has_executed`](Recorder::has_executed)).
    pub(in crate::record) fn executes(
        &mut self,
        at: At,
        tid: Tid,
        former: Tid,
        comm: Option<Vec<u8>>,
    ) {
        let old = self.remove(former);
        let pid = old.as_ref().map_or(tid.get(), |old| old.pid);
        // All other threads are gone.
        self.end_process(at, pid);
        let Some(space) = open(at, tid, Modules::default()) else { return };
        let comm = comm.unwrap_or_else(|| space.process().comm().unwrap_or_default());
        let to = self.writer.task(TaskEntry { tid, pid: tid.get(), comm });
        let space = self.add_space(space);
        let mut task = Task::new(to, tid.get(), space);
        task.former = old.map(|old| old.entry);
        self.tasks.insert(tid, task);
    }

    /// Records the mappings of the program: `rows`, or those that the kernel shows now.
    pub(in crate::record) fn has_executed(&mut self, at: At, tid: Tid, rows: Option<Maps>) {
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        let (to, pid, id, former) = (task.entry, task.pid, task.space, task.former.take());
        self.with(id, |recorder, space| {
            let shown = rows.unwrap_or_else(|| space.all_rows().unwrap_or_default());
            let rows = recorder.rows(space, &shown);
            // A backend with delayed events notes its program itself.
            if recorder.truth.execs == 0 && at == At::Now {
                recorder.runs(pid);
            }
            let what = What::Exec { to, rows };
            recorder.event_at(recorder.when(at), former.unwrap_or(to), StackId::NONE, what);
            recorder.truth.execs += 1;
            if recorder.truth.execs == 1 {
                // A recording that can be read, whatever happens next.
                recorder.flush();
            }
            recorder.map_all_code(space, &shown);
        });
    }

    /// Records the end of a task.
    pub(in crate::record) fn has_ended(&mut self, at: At, tid: Tid, status: i32) {
        if let Some(task) = self.remove(tid) {
            self.event_at(self.when(at), task.entry, StackId::NONE, What::Exit { status });
        }
    }

    /// Records the end of all tasks of a process.
    pub(in crate::record) fn end_process(&mut self, at: At, pid: u32) {
        let threads = self.tasks.iter().filter(|(_, task)| task.pid == pid);
        let threads: Vec<Tid> = threads.map(|(tid, _)| *tid).collect();
        for thread in threads {
            self.has_ended(at, thread, 0);
        }
    }

    /// Records a new name of a task.
    pub(in crate::record) fn renamed(&mut self, at: At, pid: u32, tid: Tid, comm: Vec<u8>) {
        let time_ns = self.when(at);
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        let to = self.writer.task(TaskEntry { tid, pid, comm });
        let entry = std::mem::replace(&mut task.entry, to);
        self.event_at(time_ns, entry, StackId::NONE, What::Renamed { to });
    }

    /// Records a stack that has grown, from the kernel's row, because no call reports it.
    pub(in crate::record) fn grew(&mut self, at: At, tid: Tid, row: &Mapping<'_>) {
        let Some(task) = self.tasks.get(&tid) else { return };
        let (entry, id) = (task.entry, task.space);
        self.with(id, |recorder, space| {
            let mut rows = Maps::default();
            rows.push(row);
            let rows = recorder.rows(space, &rows);
            let what = What::Observed { range: row.range, rows };
            recorder.event_at(recorder.when(at), entry, StackId::NONE, what);
        });
    }

    /// Records the first touch of a page, and whether it is known to be a write.
    pub(in crate::record) fn faulted(
        &mut self,
        at: At,
        tid: Tid,
        (address, write): (u64, bool),
        stack: &StackAt<'_>,
    ) {
        let Some(entry) = self.tasks.get(&tid).map(|task| task.entry) else { return };
        let stack = self.stack_at(tid, stack);
        self.event_at(self.when(at), entry, stack, What::Fault { address, write });
    }

    /// Records lost events.
    pub(in crate::record) fn lost(&mut self, at: At, events: u64) {
        self.truth.lost += events;
        let task = self.tasks.values().next().map_or(TaskId::NONE, |task| task.entry);
        self.event_at(self.when(at), task, StackId::NONE, What::Lost { events });
    }

    /// Each address space, with a task that uses it.
    pub(in crate::record) fn spaces(&self) -> Vec<(Tid, u32)> {
        let mut seen: Vec<(Tid, u32)> = Vec::new();
        for (tid, task) in &self.tasks {
            if !seen.iter().any(|(_, space)| *space == task.space) {
                seen.push((*tid, task.space));
            }
        }
        seen
    }

    /// The kernel's current rows of an address space.
    pub(in crate::record) fn rows_now(&self, space: u32) -> Option<Maps> {
        self.spaces.get(&space)?.all_rows().ok()
    }

    /// Compares rows of a task's address space with the model.
    pub(in crate::record) fn hold_against(&mut self, tid: Tid, space: u32, rows: &Maps) {
        let Some(entry) = self.tasks.get(&tid).map(|task| task.entry) else { return };
        self.with(space, |recorder, space| recorder.compare(entry, space, rows));
    }

    /// Writes the resident pages of each address space, if requested.
    pub(in crate::record) fn look_at_all_pages(&mut self) {
        if !self.pages {
            return;
        }
        for (tid, space) in self.spaces() {
            let Some(entry) = self.tasks.get(&tid).map(|task| task.entry) else { continue };
            self.with(space, |recorder, space| recorder.note_resident(entry, space));
        }
    }
}

/// Opens the address space of a task. A running task may be gone.
fn open(at: At, tid: Tid, modules: Modules) -> Option<LiveSpace> {
    match at {
        At::Now => LiveSpace::open(tid, modules).ok(),
        At::Past(_) => LiveSpace::open_or_gone(tid, modules),
    }
}
