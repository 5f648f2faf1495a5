//! Moments of recordings and logs: `FILE@TIME`, `FILE:PID`, `FILE:PID@TIME`.

use crate::args::MomentArgs;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

/// A process of a recording or log at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The file, or what the names of its files begin with.
    pub(crate) path: String,
    /// The process; the first one without.
    pub(crate) pid: Option<u32>,
    /// When; at the end without.
    pub(crate) when: Option<When>,
}

/// When.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// So long after the start.
    Time(Duration),
    /// After the event with that number.
    Event(u64),
    /// The last moment before the process exits.
    End,
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<When, String> {
        let event = || text.strip_prefix('#').filter(|text| digits(text))?.parse().ok();
        match text {
            "end" => Ok(When::End),
            _ => event()
                .map(When::Event)
                .or_else(|| parse_seconds(text).map(When::Time))
                .ok_or_else(|| {
                    "a moment is seconds from the start (1.25), `end`, or #N for after event N"
                        .to_owned()
                }),
        }
    }
}

impl Moment {
    /// What a target means: a file that is there at its end, or a moment of one. `exists` says
    /// whether there is something by that path.
    pub(crate) fn of(
        name: &str,
        args: &MomentArgs,
        exists: impl Fn(&str) -> bool,
    ) -> Option<Moment> {
        let (path, pid, when) = if Path::new(name).exists() || exists(name) {
            (name, None, None)
        } else {
            let (rest, when) = match name.rsplit_once('@') {
                Some((rest, when)) => (rest, Some(when.parse().ok()?)),
                None => (name, None),
            };
            if exists(rest) {
                (rest, None, when)
            } else {
                let (path, pid) = rest.rsplit_once(':')?;
                let pid = pid.parse().ok().filter(|_| digits(pid))?;
                (path, Some(pid), when)
            }
        };
        let moment =
            Moment { path: path.to_owned(), pid: pid.or(args.pid), when: when.or(args.at) };
        exists(path).then_some(moment)
    }

    /// The first process of a file, as it was in the end.
    pub(crate) fn end(path: &str, args: &MomentArgs) -> Moment {
        Moment { path: path.to_owned(), pid: args.pid, when: args.at }
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

pub(crate) fn parse_seconds(text: &str) -> Option<Duration> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse()
        .ok()
        .filter(|_| plain)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_one_word() {
        let of = |name: &str| Moment::of(name, &MomentArgs::default(), |path| path == "a.vmrec");
        let moment = |pid, when| Some(Moment { path: "a.vmrec".to_owned(), pid, when });
        assert_eq!(of("a.vmrec"), moment(None, None));
        assert_eq!(of("a.vmrec@end"), moment(None, Some(When::End)));
        assert_eq!(of("a.vmrec@#7"), moment(None, Some(When::Event(7))));
        let time = Some(When::Time(Duration::from_millis(1250)));
        assert_eq!(of("a.vmrec:12@1.25"), moment(Some(12), time));
        assert_eq!(of("a.vmrec:12"), moment(Some(12), None));
        assert_eq!(of("a.vmrec@+1"), None);
        assert_eq!(of("a.vmrec@#x"), None);
        assert_eq!(of("b.vmrec@1"), None);
    }
}
