//! Names a process and a moment of a recording or log: `FILE@TIME`, `FILE:PID`,
//! `FILE:PID@TIME`.

use super::moment::{Moment, MomentError, is_number};

/// What follows the name of a file and `@` or `:` is no moment or no process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectionError {
    /// The text after `@`.
    #[error("no moment: `{0}`; {help}", help = MomentError)]
    NoMoment(String),
    /// The text after `:`.
    #[error(
        "no process: `{0}`; a process of a recording or log is FILE:PID, with a moment FILE:PID@TIME"
    )]
    NoProcess(String),
    /// The target has a moment or a process, and the caller gives another one.
    #[error("{0} is in the target and given beside it; leave out one")]
    Twice(&'static str),
}

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
    /// # Errors
    /// [`SelectionError`] if the part before `@` or `:` is a file, and what follows is no moment or
    /// no process.
    ///
    /// ```
    /// use vmatlas_recording::{Moment, Selection};
    /// let is_file = |path: &str| path == "a.vmrec";
    /// let selection = Selection::parse("a.vmrec:12@1.5", None, None, is_file, is_file)?.unwrap();
    /// assert_eq!(selection.pid, Some(12));
    /// assert_eq!(selection.moment, Some(Moment::Time(1_500_000_000)));
    /// # Ok::<(), vmatlas_recording::SelectionError>(())
    /// ```
    pub fn parse(
        target: &str,
        pid: Option<u32>,
        moment: Option<Moment>,
        is_path: impl Fn(&str) -> bool,
        is_file: impl Fn(&str) -> bool,
    ) -> Result<Option<Selection>, SelectionError> {
        let select = |path: &str, own_pid: Option<u32>, own_moment: Option<Moment>| {
            let path = path.to_owned();
            let (pid, moment) =
                (one(own_pid, pid, "another process")?, one(own_moment, moment, "another moment")?);
            Ok(Selection { path, pid, moment })
        };
        if is_path(target) || is_file(target) {
            return is_file(target).then(|| select(target, None, None)).transpose();
        }
        let (rest, time) = match target.rsplit_once('@') {
            Some((rest, time)) => (rest, Some(time)),
            None => (target, None),
        };
        let (path, process) = match rest.rsplit_once(':') {
            _ if is_file(rest) => (rest, None),
            Some((path, process)) if is_file(path) => (path, Some(process)),
            _ => return Ok(None),
        };
        let process = process.map(|process| {
            let pid = process.parse().ok().filter(|_| is_number(process));
            pid.ok_or_else(|| SelectionError::NoProcess(process.to_owned()))
        });
        let time = time.map(|time| {
            time.parse().map_err(|MomentError| SelectionError::NoMoment(time.to_owned()))
        });
        select(path, process.transpose()?, time.transpose()?).map(Some)
    }
}

/// What is given in the target or beside it.
fn one<T: PartialEq>(
    own: Option<T>,
    other: Option<T>,
    what: &'static str,
) -> Result<Option<T>, SelectionError> {
    match (own, other) {
        (Some(own), Some(other)) if own != other => Err(SelectionError::Twice(what)),
        (own, other) => Ok(own.or(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventNumber;

    #[test]
    fn moments_are_written_in_one_word() {
        let is_file = |path: &str| path == "a.vmrec";
        let of = |target: &str| Selection::parse(target, None, None, is_file, is_file);
        let selection =
            |pid, moment| Ok(Some(Selection { path: "a.vmrec".to_owned(), pid, moment }));
        assert_eq!(of("a.vmrec"), selection(None, None));
        assert_eq!(of("a.vmrec@end"), selection(None, Some(Moment::End)));
        assert_eq!(of("a.vmrec@#7"), selection(None, Some(Moment::Event(EventNumber::new(7)))));
        let time = Some(Moment::Time(1_250_000_000));
        assert_eq!(of("a.vmrec:12@1.25"), selection(Some(12), time));
        assert_eq!(of("a.vmrec:12"), selection(Some(12), None));
        for text in ["+1", "#x", "0.1s", "50%", ""] {
            let error = SelectionError::NoMoment(text.to_owned());
            assert_eq!(of(&format!("a.vmrec@{text}")), Err(error));
        }
        assert_eq!(of("a.vmrec:x@1"), Err(SelectionError::NoProcess("x".to_owned())));
        assert_eq!(of("b.vmrec@1"), Ok(None));
        let both =
            |moment| Selection::parse("a.vmrec:7@end", Some(7), Some(moment), is_file, is_file);
        assert_eq!(both(Moment::End), selection(Some(7), Some(Moment::End)));
        assert_eq!(both(Moment::Time(1)), Err(SelectionError::Twice("another moment")));
    }
}
