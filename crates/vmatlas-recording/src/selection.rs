//! Names a process and a moment of a recording or log: `FILE@TIME`, `FILE:PID`,
//! `FILE:PID@TIME`.

use super::moment::{Moment, is_number};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventNumber;

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
