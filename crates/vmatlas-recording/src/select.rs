//! Selects a process and a moment of a recording or log: `FILE@TIME`, `FILE:PID`,
//! `FILE:PID@TIME`.

use super::id::{EventNumber, TaskId};
use super::processes::Process;
use super::read::{Moment, Recording, RecordingError};
use super::replay::Replay;
use std::str::FromStr;
use std::time::Duration;
use vmatlas_maps::ReadAt;

/// A process of a recording or log, and a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The path of the file, or the prefix of its files (`strace -ff -o PATH`).
    pub path: String,
    /// The process number; `None` selects the first process.
    pub pid: Option<u32>,
    /// The moment; `None` selects the last one of the process.
    pub moment: Option<Moment>,
}

impl Selection {
    /// Parses a target; `None` if it names no file. `pid` and `moment` are the defaults for the
    /// parts that the target omits. `is_path` returns whether a path exists, `is_file` whether it
    /// is, or is the prefix of, a readable file.
    ///
    /// ```
    /// use vmatlas_recording::{Moment, Selection};
    /// let is_file = |path: &str| path == "a.vmrec";
    /// let selection = Selection::parse("a.vmrec:12@1.5", None, None, is_file, is_file).unwrap();
    /// assert_eq!(selection.pid, Some(12));
    /// assert_eq!(selection.moment, Some(Moment::Time(1_500_000_000)));
    /// ```
    pub fn parse(
        target: &str,
        pid: Option<u32>,
        moment: Option<Moment>,
        is_path: impl Fn(&str) -> bool,
        is_file: impl Fn(&str) -> bool,
    ) -> Option<Selection> {
        let (path, own_pid, own_moment) = if is_path(target) || is_file(target) {
            (target, None, None)
        } else {
            let (rest, moment) = match target.rsplit_once('@') {
                Some((rest, moment)) => (rest, Some(moment.parse().ok()?)),
                None => (target, None),
            };
            if is_file(rest) {
                (rest, None, moment)
            } else {
                let (path, pid) = rest.rsplit_once(':')?;
                (path, Some(pid.parse().ok().filter(|_| is_number(pid))?), moment)
            }
        };
        is_file(path).then(|| Selection {
            path: path.to_owned(),
            pid: own_pid.or(pid),
            moment: own_moment.or(moment),
        })
    }
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Moment, MomentError> {
        if text == "end" {
            return Ok(Moment::End);
        }
        if let Some(number) = text.strip_prefix('#').filter(|number| is_number(number)) {
            return number
                .parse()
                .map(|number| Moment::Event(EventNumber::new(number)))
                .map_err(|_| MomentError);
        }
        let time = parse_seconds(text).ok_or(MomentError)?;
        Ok(Moment::Time(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// The text is not a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a moment is seconds from the start (1.25), `end`, or #N for after event N")]
#[non_exhaustive]
pub struct MomentError;

/// Parses a decimal number of seconds, such as `1.25`.
pub fn parse_seconds(text: &str) -> Option<Duration> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let seconds = text.parse().ok().filter(|_| is_plain)?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

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
            None => {
                Err(SelectError::Ended { pid: process.pid, last: process.last.unwrap_or_default() })
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_one_word() {
        let is_file = |path: &str| path == "a.vmrec";
        let of = |target: &str| Selection::parse(target, None, None, is_file, is_file);
        let selection = |pid, moment| Some(Selection { path: "a.vmrec".to_owned(), pid, moment });
        assert_eq!(of("a.vmrec"), selection(None, None));
        assert_eq!(of("a.vmrec@end"), selection(None, Some(Moment::End)));
        assert_eq!(of("a.vmrec@#7"), selection(None, Some(Moment::Event(EventNumber::new(7)))));
        let time = Some(Moment::Time(1_250_000_000));
        assert_eq!(of("a.vmrec:12@1.25"), selection(Some(12), time));
        assert_eq!(of("a.vmrec:12"), selection(Some(12), None));
        assert_eq!(of("a.vmrec@+1"), None);
        assert_eq!(of("a.vmrec@#x"), None);
        assert_eq!(of("b.vmrec@1"), None);
    }
}
