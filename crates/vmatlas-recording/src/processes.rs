//! The processes of a recording and their lifetimes.

use super::definitions::TaskEntry;
use super::event::{Event, What};
use super::id::{EventNumber, TaskId, Tid};
use std::collections::HashMap;
use vmatlas_space::bytes::{Put, Take};

/// A process of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Process {
    /// The process number.
    pub pid: u32,
    /// The last task entry of its first thread: an index into
    /// [`Definitions::tasks`](super::Definitions::tasks).
    pub task: TaskId,
    /// The number of its first event.
    pub first: EventNumber,
    /// The number of the event that ended its last thread; `None` if it was still running.
    pub last: Option<EventNumber>,
    /// The time of its first event, in nanoseconds from the start of the recording.
    pub began_ns: u64,
    /// The exit status, as in wait(2), if known: see [`Meta::has_statuses`](super::Meta).
    pub status: Option<i32>,
}

/// Statistics of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Course {
    /// The number of events.
    pub events: u64,
    /// The number of observations, each a state that did not follow from the events.
    pub observations: u64,
    /// The number of lost events.
    pub lost: u64,
}

/// Collects the processes from events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Processes {
    pub(crate) course: Course,
    all: Vec<Process>,
    /// The index in `all` of each living process, and its number of threads.
    living: HashMap<u32, (usize, u32)>,
}

/// The maximum number of processes listed.
const MAX_PROCESSES: usize = 1 << 22;

impl Processes {
    pub(crate) fn see(&mut self, event: &Event, tasks: &[TaskEntry]) {
        self.course.events += 1;
        match &event.what {
            What::Observed { .. } => self.course.observations += 1,
            What::Lost { events } => self.course.lost = self.course.lost.saturating_add(*events),
            _ => {}
        }
        let pid = |task: TaskId| tasks.get(task.index()).map_or(0, |entry| entry.pid);
        match &event.what {
            What::Clone { child, .. } => self.add(pid(*child), *child, event),
            What::Attached { .. } => self.add(pid(event.task), event.task, event),
            What::Exec { to, .. } => {
                if !self.living.contains_key(&pid(*to)) {
                    self.add(pid(*to), *to, event);
                }
                self.rename(pid(*to), *to);
                // execve ends all other threads.
                if let Some((_, threads)) = self.living.get_mut(&pid(*to)) {
                    *threads = 1;
                }
            }
            What::Renamed { to } => {
                let first = tasks
                    .get(to.index())
                    .is_some_and(|entry| entry.tid == Tid::first_of(entry.pid));
                if first {
                    self.rename(pid(*to), *to);
                }
            }
            What::Exit { status } => {
                let pid = pid(event.task);
                let Some((at, threads)) = self.living.get_mut(&pid) else { return };
                *threads -= 1;
                if *threads == 0 {
                    let process = &mut self.all[*at];
                    process.last = Some(event.number);
                    process.status = Some(*status);
                    self.living.remove(&pid);
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, pid: u32, task: TaskId, event: &Event) {
        if let Some((_, threads)) = self.living.get_mut(&pid) {
            *threads = threads.saturating_add(1);
            return;
        }
        if self.all.len() >= MAX_PROCESSES {
            return;
        }
        let (first, began_ns) = (event.number, event.time_ns);
        self.all.push(Process { pid, task, first, last: None, began_ns, status: None });
        self.living.insert(pid, (self.all.len() - 1, 1));
    }

    fn rename(&mut self, pid: u32, task: TaskId) {
        if let Some((at, _)) = self.living.get(&pid) {
            self.all[*at].task = task;
        }
    }

    pub(crate) fn into_parts(self) -> (Vec<Process>, Course) {
        (self.all, self.course)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.put(self.all.len() as u64);
        for process in &self.all {
            out.put(u64::from(process.pid));
            out.put(u64::from(process.task.get()));
            out.put(process.first.get());
            out.put(process.last.unwrap_or_default().get());
            out.put(process.began_ns);
            out.put_signed(process.status.map_or(i64::MIN, i64::from));
        }
        let Course { events, observations, lost } = self.course;
        [events, observations, lost].into_iter().for_each(|number| out.put(number));
    }

    pub(crate) fn read(take: &mut Take<'_>) -> Option<(Vec<Process>, Course)> {
        let count = take.count()?;
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            all.push(Process {
                pid: take.u32()?,
                task: TaskId::new(take.u32()?),
                first: EventNumber::new(take.uint()?),
                last: Some(EventNumber::new(take.uint()?)).filter(|last| !last.is_none()),
                began_ns: take.uint()?,
                status: i32::try_from(take.signed()?).ok(),
            });
        }
        let course =
            Course { events: take.uint()?, observations: take.uint()?, lost: take.uint()? };
        Some((all, course))
    }
}
