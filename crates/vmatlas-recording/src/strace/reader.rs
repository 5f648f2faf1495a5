//! Reads a log line by line and joins split calls.

use super::cursor::joined;
use super::line::{Begun, Call, Event, Line, LineError, LineErrorKind, Stamp};
use crate::Tid;
use std::collections::HashMap;
use std::time::Duration;
use vmatlas_maps::{PartialLine, Warning, WarningKind, Warnings};

/// The maximum length of a line in bytes: strace cuts strings, but not lists of them.
const MAX_LINE: usize = 1 << 22;
/// The maximum size in bytes of all calls that have not returned.
const MAX_BEGUN: usize = 1 << 26;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads a log in chunks, with bounded memory for any input.
#[derive(Debug, Default)]
pub struct Reader {
    /// The thread of lines without a thread id.
    tid: Option<Tid>,
    partial: PartialLine,
    line: u64,
    begun: HashMap<Option<Tid>, (String, Vec<u8>)>,
    begun_bytes: usize,
    clock: Clock,
    warnings: Warnings,
}

/// An entry of a log.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Entry<'a> {
    /// Its line, counted from 1.
    pub line: u64,
    /// The thread; `None` if the log has only one and does not number it.
    pub tid: Option<Tid>,
    /// The time since the first line; `None` without `-t` or `-r`. A call split over two lines has
    /// the time of the second.
    pub time: Option<Duration>,
    /// The content; an [`Event::Resumed`] is joined with its start to an [`Event::Call`].
    pub event: Event<'a>,
}

#[derive(Debug, Default)]
struct Clock {
    first: Option<Duration>,
    last: Duration,
    /// The midnights passed, as whole days.
    days: Duration,
    since: Duration,
}

impl Clock {
    fn see(&mut self, stamp: Stamp) -> Duration {
        match stamp {
            Stamp::Since(time) => {
                self.since = self.since.saturating_add(time);
                self.since
            }
            Stamp::Clock(time) => {
                let first = *self.first.get_or_insert(time);
                if self.last < DAY && time + DAY / 2 < self.last {
                    self.days += DAY;
                }
                self.last = time;
                (time + self.days).saturating_sub(first)
            }
        }
    }
}

impl Reader {
    /// A reader of a log whose lines have no thread id, such as those of `strace -ff`.
    pub fn of(tid: Tid) -> Reader {
        Reader { tid: Some(tid), ..Reader::default() }
    }

    /// Counts times from `first` instead of the first line.
    pub(crate) fn begin_at(&mut self, first: Duration) {
        self.clock.first = Some(first);
        self.clock.last = first;
    }

    /// Reads the next bytes, and calls `take` with each complete entry.
    pub fn push(&mut self, mut bytes: &[u8], take: &mut dyn FnMut(Entry<'_>)) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            if self.partial.is_empty() {
                self.take_line(&bytes[..end], take);
            } else {
                self.keep(&bytes[..end]);
                let mut partial = std::mem::take(&mut self.partial);
                if let Some(line) = partial.get() {
                    self.take_line(line, take);
                }
                partial.clear();
                self.partial = partial;
            }
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// Ends the log; the last line may lack its line feed.
    pub fn finish(&mut self, take: &mut dyn FnMut(Entry<'_>)) {
        let partial = std::mem::take(&mut self.partial);
        if let Some(line) = partial.get().filter(|line| !line.is_empty()) {
            self.take_line(line, take);
        }
    }

    /// The number of lines read.
    pub fn lines(&self) -> u64 {
        self.line
    }

    /// Problems found in the lines.
    pub fn into_warnings(self) -> Vec<Warning> {
        self.warnings.into_vec()
    }

    fn keep(&mut self, bytes: &[u8]) {
        if !self.partial.push(bytes, MAX_LINE) {
            self.line += 1;
            self.odd(LineError { column: MAX_LINE, kind: LineErrorKind::TooLong });
        }
    }

    fn odd(&mut self, error: LineError) {
        self.warnings.push(self.line, WarningKind::Source(error.to_string()));
    }

    fn take_line(&mut self, text: &[u8], take: &mut dyn FnMut(Entry<'_>)) {
        self.line += 1;
        if text.len() > MAX_LINE {
            return self.odd(LineError { column: MAX_LINE, kind: LineErrorKind::TooLong });
        }
        let line = match Line::parse(text) {
            Ok(line) => line,
            // The rest of a line that a message on a terminal interrupted.
            Err(_) if text.starts_with(b", ") || text.starts_with(b")") => {
                let name = self.begun.get(&self.tid).map(|(name, _)| name.clone());
                return self.resume(self.tid, &name.unwrap_or_default(), text, None, take);
            }
            Err(error) => return self.odd(error),
        };
        let tid = line.tid.or(self.tid);
        let time = line.time.map(|stamp| self.clock.see(stamp));
        match line.event {
            Event::Begun(begun) => {
                let entry = Entry { line: self.line, tid, time, event: Event::Begun(begun) };
                self.begin(tid, begun);
                take(entry);
            }
            Event::Resumed { name, rest } => self.resume(tid, name, rest, time, take),
            Event::Superseded { by } => {
                self.hand_over(by, tid);
                take(Entry { line: self.line, tid, time, event: line.event });
            }
            event => take(Entry { line: self.line, tid, time, event }),
        }
    }

    fn begin(&mut self, tid: Option<Tid>, begun: Begun<'_>) {
        let bytes = begun.args.len();
        if self.begun_bytes + bytes > MAX_BEGUN {
            self.begun.clear();
            self.begun_bytes = 0;
        }
        self.begun_bytes += bytes;
        let old = self.begun.insert(tid, (begun.name.to_owned(), begun.args.to_vec()));
        self.begun_bytes -= old.map_or(0, |(_, args)| args.len());
    }

    fn resume(
        &mut self,
        tid: Option<Tid>,
        name: &str,
        rest: &[u8],
        time: Option<Duration>,
        take: &mut dyn FnMut(Entry<'_>),
    ) {
        // A thread without a number gets one as soon as it has a child.
        let key = if self.begun.contains_key(&tid) { tid } else { self.tid };
        let begun = self.begun.remove(&key);
        self.begun_bytes -= begun.as_ref().map_or(0, |(_, args)| args.len());
        let Some((_, mut args)) = begun.filter(|(begun, _)| begun == name) else {
            // An execve by another thread ends under the number of the process.
            return self.odd(LineError { column: 1, kind: LineErrorKind::NotBegun });
        };
        args.extend_from_slice(rest);
        match joined(name, &args) {
            Ok(call) => take(Entry { line: self.line, tid, time, event: Event::Call(call) }),
            Err(error) => self.odd(error),
        }
    }

    /// Assigns the unfinished call of `from` to `to`, which will end it.
    fn hand_over(&mut self, from: Tid, to: Option<Tid>) {
        if let Some(begun) = self.begun.remove(&Some(from)) {
            let old = self.begun.insert(to, begun);
            self.begun_bytes -= old.map_or(0, |(_, args)| args.len());
        }
    }
}

/// Whether a text is a log of strace: its first complete lines are calls.
pub fn looks_like_log(head: &[u8]) -> bool {
    let lines = head.split_inclusive(|&b| b == b'\n');
    let whole = lines.filter_map(|line| line.strip_suffix(b"\n")).take(20);
    let (mut calls, mut others) = (0, 0);
    for line in whole {
        match Line::parse(line).map(|line| line.event) {
            Ok(Event::Call(Call { .. }) | Event::Begun(_) | Event::Resumed { .. }) => calls += 1,
            Ok(_) => {}
            Err(_) => others += 1,
        }
    }
    calls > others
}
