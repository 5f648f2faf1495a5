//! Candidates for TARGET: processes, and moments and processes of recordings.

use super::candidate::{Candidate, Completion, Native};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vmatlas::recording::Moment;
use vmatlas::{Extent, Slot, named_processes, set_words, sets, words};

/// The most processes to read.
const MAX_PROCESSES: usize = 1000;
/// Into how many parts the times of a recording are divided.
const PARTS: u32 = 10;

/// The begun word of a target.
pub(super) struct Targets<'w> {
    /// The directory of the processes.
    pub(super) proc: &'w str,
    /// The part of the word before it.
    pub(super) prefix: &'w str,
    pub(super) typed: &'w str,
}

impl Targets<'_> {
    /// Processes, and files or what follows the name of a recording.
    pub(super) fn all(&self) -> Completion {
        match self.of_file() {
            Some(candidates) => Completion { candidates, native: None },
            None => Completion { candidates: self.processes(), native: Some(Native::Files) },
        }
    }

    /// Processes by name and number, and sets of them.
    pub(super) fn processes(&self) -> Vec<Candidate> {
        if let Some(word) = set_words().find(|word| self.typed.starts_with(word)) {
            let prefix = format!("{}{word}", self.prefix);
            let sets = sets(word, Path::new(self.proc)).into_iter();
            let typable = sets.filter(|name| typable(name.as_bytes()).is_some());
            return typable.map(|name| Candidate::new(&prefix, name, "")).collect();
        }
        let (pick, name) = match Slot::picks().find(|pick| self.typed.starts_with(pick)) {
            Some(pick) => (pick, &self.typed[pick.len()..]),
            None => ("", self.typed),
        };
        let picks = Slot::picks().filter(|_| self.typed.starts_with('@') && pick.is_empty());
        let picks = picks.map(|pick| Candidate::new(self.prefix, pick, "one of a name").going_on());
        let sets = set_words().filter(|_| self.typed.starts_with('@') && pick.is_empty());
        let sets = sets.map(|set| Candidate::new(self.prefix, set, "all of a set").going_on());
        let is_number = pick.is_empty() && name.starts_with(|c: char| c.is_ascii_digit());
        let digits = if is_number { name } else { "" };
        let processes = named_processes(Path::new(self.proc), digits, MAX_PROCESSES);
        // Each name with its processes.
        let mut names: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for process in &processes {
            let mut own = vec![process.comm.as_slice()];
            own.extend(process.executable.as_deref().filter(|name| *name != process.comm));
            for own in own.into_iter().filter_map(typable).filter(|own| own.starts_with(name)) {
                names.entry(own).or_default().push(process.pid);
            }
        }
        let prefix = format!("{}{pick}", self.prefix);
        let names = names.iter().map(|(name, pids)| {
            let about = match &pids[..] {
                [pid] => format!("process {pid}"),
                pids => format!("{} processes", pids.len()),
            };
            Candidate::new(&prefix, *name, about)
        });
        let own = pick.is_empty().then(|| Candidate::new(self.prefix, "self", "vmatlas itself"));
        let numbers = processes.iter().filter(|_| pick.is_empty()).map(|process| {
            Candidate::new(self.prefix, process.pid.to_string(), words::printable(&process.comm))
        });
        picks.chain(sets).chain(names).chain(numbers).chain(own).collect()
    }

    /// Processes by number.
    pub(super) fn pids(&self) -> Vec<Candidate> {
        let digits = self.typed.chars().all(|c| c.is_ascii_digit());
        let typed = if digits { self.typed } else { return Vec::new() };
        let processes = named_processes(Path::new(self.proc), typed, MAX_PROCESSES);
        let pid = |process: &vmatlas::NamedProcess| {
            Candidate::new(self.prefix, process.pid.to_string(), words::printable(&process.comm))
        };
        processes.iter().map(pid).collect()
    }

    /// The processes of a recording; `None` if the target is none.
    pub(super) fn recorded(&self, target: &str) -> Option<Vec<Candidate>> {
        let (path, _) = file_of(target)?;
        Some(processes(self.prefix, &Extent::read(path, None)?))
    }

    /// What follows `FILE@` or `FILE:`; `None` if there is no such file.
    fn of_file(&self) -> Option<Vec<Candidate>> {
        let (path, rest) = file_of(self.typed).filter(|(_, rest)| !rest.is_empty())?;
        let extent = Extent::read(path, selected(rest, None))?;
        let process_or_moment = |at: usize, candidates: fn(&str, &Extent) -> Vec<Candidate>| {
            let begin = self.typed.len() - rest.len() + at + 1;
            let prefix = format!("{}{}", self.prefix, &self.typed[..begin]);
            candidates(&prefix, &extent)
        };
        Some(match (rest.rfind('@'), rest.rfind(':')) {
            (Some(at), _) => process_or_moment(at, forms),
            (None, Some(at)) => process_or_moment(at, processes),
            (None, None) => Vec::new(),
        })
    }
}

/// The moments of a target.
pub(super) fn moments(prefix: &str, target: &str, pid: Option<&str>) -> Vec<Candidate> {
    let extent = file_of(target).and_then(|(path, rest)| Extent::read(path, selected(rest, pid)));
    extent.map_or_else(
        || vec![Candidate::new(prefix, Moment::END, END)],
        |extent| forms(prefix, &extent),
    )
}

const END: &str = "the last moment before it exits";

/// The forms of a moment, with values that the recording has.
fn forms(prefix: &str, extent: &Extent) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    if let Some(end) = extent.end {
        let end_ns = u64::try_from(end.as_nanos()).unwrap_or(u64::MAX);
        let about = format!("seconds of {}", words::seconds(end_ns));
        let times = times(extent.begin, end).into_iter();
        candidates.extend(times.map(|time| Candidate::new(prefix, time, about.as_str())));
    }
    candidates.push(Candidate::new(prefix, Moment::END, END));
    let numbers = [(Some(extent.first), "the first"), (extent.last, "the last")];
    candidates.extend(numbers.into_iter().filter_map(|(number, which)| {
        let number = number?;
        Some(Candidate::new(prefix, format!("#{number}"), format!("after event {number}, {which}")))
    }));
    candidates
}

/// Times that divide the length into equal parts, with as few decimals as tell them apart.
fn times(begin: Duration, length: Duration) -> Vec<String> {
    let part = (length / PARTS).as_nanos().max(1);
    let decimals = (0..9).find(|decimals| 10_u128.pow(9 - decimals) <= part).unwrap_or(9);
    let unit = 10_u128.pow(9 - decimals);
    let units = (0..=PARTS).map(|number| part * u128::from(number) / unit);
    let written = |units: u128| {
        let (whole, rest) = (units * unit / 1_000_000_000, units % 10_u128.pow(decimals));
        match decimals as usize {
            0 => whole.to_string(),
            _ if units == 0 => "0".to_owned(),
            decimals => format!("{whole}.{rest:0decimals$}"),
        }
    };
    units.filter(|units| units * unit >= begin.as_nanos()).map(written).collect()
}

fn processes(prefix: &str, extent: &Extent) -> Vec<Candidate> {
    let named = extent.processes.iter().take(MAX_PROCESSES);
    named
        .map(|(pid, comm)| Candidate::new(prefix, pid.to_string(), words::printable(comm)))
        .collect()
}

/// The process that `:PID@…` or an option selects.
fn selected(rest: &str, pid: Option<&str>) -> Option<u32> {
    let own = rest.strip_prefix(':').and_then(|rest| rest.split('@').next());
    own.or(pid)?.parse().ok()
}

/// The existing file with which a word begins, and the `@…` or `:…` after it.
fn file_of(word: &str) -> Option<(PathBuf, &str)> {
    let ends = word.match_indices(['@', ':']).map(|(at, _)| at).chain([word.len()]);
    let ends: Vec<usize> = ends.collect();
    let mut found = ends.into_iter().rev().map(|end| (expanded(&word[..end]), &word[end..]));
    found.find(|(path, _)| path.is_file())
}

/// The path with the home directory in the place of `~`, as shells write it.
fn expanded(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}

/// A name that can be typed and means that process: no character in it commands a terminal.
fn typable(name: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(name).ok().filter(|text| words::printable(name) == *text)?;
    let is_other = text.is_empty() || text.starts_with(['-', '@']);
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    (!is_other && !is_number).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::{Duration, times, typable};

    #[test]
    fn times_of_a_recording() {
        let ends = |seconds: f64| {
            let times = times(Duration::ZERO, Duration::from_secs_f64(seconds));
            assert_eq!((times.len(), &*times[0]), (11, "0"));
            (times[1].clone(), times[10].clone())
        };
        assert_eq!(ends(60.0), ("6".to_owned(), "60".to_owned()));
        assert_eq!(ends(1.0), ("0.1".to_owned(), "1.0".to_owned()));
        assert_eq!(ends(0.0123), ("0.001".to_owned(), "0.012".to_owned()));
        assert_eq!(ends(25.0), ("2".to_owned(), "25".to_owned()));
        assert_eq!(times(Duration::ZERO, Duration::from_nanos(3))[1], "0.000000001");
        let begin = Duration::from_millis(150);
        assert_eq!(times(begin, Duration::from_secs(1))[0], "0.2");
    }

    #[test]
    fn names_that_are_offered() {
        assert_eq!(typable(b"a'b $(c)"), Some("a'b $(c)"));
        for name in [&b""[..], b"-x", b"12", b"a\nb", b"a\x1b[2J", b"\xff", b"@x"] {
            assert_eq!(typable(name), None, "{name:?}");
        }
    }
}
