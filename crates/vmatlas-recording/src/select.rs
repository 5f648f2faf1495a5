//! Selects a process and a moment of a recording.

use super::id::{EventNumber, TaskId};
use super::moment::Moment;
use super::processes::Process;
use super::read::{Recording, RecordingError};
use super::replay::Replay;
use super::selection::Selection;
use std::collections::HashSet;
use vmatlas_maps::ReadAt;

/// A process of a recording at a moment.
#[derive(Debug)]
#[non_exhaustive]
pub struct Selected {
    /// The process.
    pub process: Process,
    /// All address spaces at that moment.
    pub replay: Replay,
    /// The entry of a task of the process, with its address space.
    pub task: TaskId,
    /// The error at which events could no longer be read; the moment is then the last one before.
    pub error: Option<RecordingError>,
}

/// The reason why a process cannot be selected at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// No process with this number has begun by then.
    #[error("no process {0} by then")]
    NoProcess(u32),
    /// No process has begun by then.
    #[error("nothing is recorded by then")]
    Nothing,
    /// The process has ended by then.
    #[error("process {pid} was not alive then; it ended after event {last}")]
    Ended {
        /// The process.
        pid: u32,
        /// The number of the event that ended it.
        last: EventNumber,
    },
    /// The events up to this moment cannot be read, and the process is not alive before.
    #[error("the recording is damaged before this moment of process {0}")]
    Damaged(u32),
}

impl<S: ReadAt> Recording<S> {
    /// The selected process at its moment, which defaults to the end of its life.
    ///
    /// # Errors
    /// [`SelectError`] if there is no such process, or it was not alive then.
    pub fn select(&mut self, selection: &Selection) -> Result<Selected, SelectError> {
        let process = self.selected(selection)?;
        let of_life = process.last.map(|last| Moment::Event(last.previous()));
        let asked = selection.moment.filter(|moment| *moment != Moment::End);
        let (replay, error) = self.at(asked.or(of_life).unwrap_or(Moment::End), |_, _| {});
        let tasks = &self.definitions().tasks;
        let is_of_process =
            |task: &TaskId| tasks.get(task.index()).is_some_and(|entry| entry.pid == process.pid);
        match replay.tasks().into_iter().find(is_of_process) {
            Some(task) => Ok(Selected { process, replay, task, error }),
            None => Err(match error {
                Some(_) => SelectError::Damaged(process.pid),
                None => {
                    SelectError::Ended { pid: process.pid, last: process.last.unwrap_or_default() }
                }
            }),
        }
    }

    /// The processes that [`select`](Recording::select) finds by their numbers at a moment: those
    /// that are alive then, without a moment the last one of each number.
    pub fn selectable(&mut self, moment: Option<Moment>) -> Vec<Process> {
        let moment = moment.filter(|moment| *moment != Moment::End);
        let until = moment.map(|moment| self.at(moment, |_, _| {}).0.number());
        let is_alive = |process: &&Process| {
            until.is_none_or(|until| {
                process.first <= until && process.last.is_none_or(|last| last > until)
            })
        };
        let mut seen = HashSet::new();
        let all = self.processes().iter().rev().filter(is_alive);
        let mut last: Vec<Process> = all.filter(|of| seen.insert(of.pid)).cloned().collect();
        last.reverse();
        last
    }

    /// Finds the process; if several had its number, the last that had begun by then.
    fn selected(&mut self, selection: &Selection) -> Result<Process, SelectError> {
        let has_begun = |process: &&Process| match selection.moment {
            Some(Moment::Time(time_ns)) => process.began_ns <= time_ns,
            Some(Moment::Event(number)) => process.first <= number,
            Some(Moment::End) | None => true,
        };
        let mut begun = self.processes().iter().filter(has_begun);
        let found = match selection.pid {
            Some(pid) => begun.rfind(|process| process.pid == pid),
            None => begun.next(),
        };
        found.cloned().ok_or(selection.pid.map_or(SelectError::Nothing, SelectError::NoProcess))
    }
}
