//! A cursor over a line of a log.

use super::line::{Begun, Call, Event, LineError, LineErrorKind, Outcome, Stamp};
use super::value::{Value, items};
use crate::Tid;
use std::time::Duration;

/// A cursor over a line.
pub(crate) struct Cursor<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn of(line: &'a [u8]) -> Cursor<'a> {
        Cursor { line, at: 0 }
    }

    fn rest(&self) -> &'a [u8] {
        &self.line[self.at..]
    }

    fn blanks(&mut self) {
        self.at += self.rest().iter().take_while(|&&b| b == b' ').count();
    }

    fn digits(&self) -> usize {
        self.rest().iter().take_while(|b| b.is_ascii_digit()).count()
    }

    fn error(&self, kind: LineErrorKind) -> LineError {
        LineError { column: self.at + 1, kind }
    }

    /// Reads `123 `, `123<bash> `, `[pid   123] ` or `[pid   123<bash>] `.
    pub(crate) fn tid(&mut self) -> Option<Tid> {
        let begin = self.at;
        let bracket = self.rest().starts_with(b"[pid");
        if bracket {
            self.at += 4;
            self.blanks();
        }
        let digits = self.digits();
        let number = Value(&self.rest()[..digits]).number();
        let tid = number.and_then(|n| u32::try_from(n).ok()).filter(|tid| *tid <= 1 << 22);
        self.at += digits;
        if self.rest().starts_with(b"<") {
            // The command name may contain any byte, but is short.
            let end = self.rest().windows(2).take(64).position(|two| matches!(two, b"> " | b">]"));
            self.at += end.map_or(0, |end| end + 1);
        }
        if bracket && self.rest().starts_with(b"]") {
            self.at += 1;
        }
        if tid.is_none() || !self.rest().starts_with(b" ") {
            self.at = begin;
            return None;
        }
        self.blanks();
        tid.map(Tid::new)
    }

    /// Reads `10:15:30`, `10:15:30.123456`, `1795311803.831617` or `0.000154`; with `-r` after
    /// another time also `(+ 0.000154)`.
    pub(crate) fn time(&mut self, has_pid: bool) -> Option<Stamp> {
        let begin = self.at;
        self.blanks();
        let stamp = self.stamp(has_pid);
        if stamp.is_none() || !self.rest().starts_with(b" ") {
            self.at = begin;
            return None;
        }
        self.blanks();
        if self.rest().starts_with(b"(+")
            && let Some(end) = memchr::memchr(b')', self.rest())
        {
            self.at += end + 1;
            self.blanks();
        }
        stamp
    }

    fn stamp(&mut self, has_pid: bool) -> Option<Stamp> {
        let number = |cursor: &mut Self| {
            let digits = cursor.digits();
            let text = std::str::from_utf8(&cursor.rest()[..digits]).ok()?;
            cursor.at += digits;
            text.parse::<u64>().ok().filter(|seconds| *seconds < 1 << 40)
        };
        let mut seconds = number(self)?;
        let mut clock = false;
        for _ in 0..2 {
            if self.rest().starts_with(b":") {
                self.at += 1;
                seconds = seconds.checked_mul(60)?.checked_add(number(self)?)?;
                clock = true;
            }
        }
        let mut nanoseconds = 0;
        let fraction = self.rest().starts_with(b".");
        if fraction {
            self.at += 1;
            let digits = self.digits();
            let text = &self.rest()[..digits.min(9)];
            nanoseconds = text.iter().fold(0, |n, digit| n * 10 + u32::from(digit - b'0'));
            nanoseconds *= 10_u32.pow(9 - text.len() as u32);
            self.at += digits;
        }
        let time = Duration::new(seconds, nanoseconds);
        // No log lasts a hundred million seconds, and none dates from so soon after 1970.
        match (clock || seconds > 100_000_000, fraction) {
            (true, _) => Some(Stamp::Clock(time)),
            (false, true) => Some(Stamp::Since(time)),
            (false, false) => has_pid.then_some(Stamp::Since(time)),
        }
    }

    /// Skips the call number (`-n`) and the instruction pointer (`-i`): `[  59] [00007f46…] `.
    pub(crate) fn brackets(&mut self) {
        while self.rest().starts_with(b"[") {
            let inner = &self.rest()[1..];
            let sound = |b: &&u8| b.is_ascii_hexdigit() || matches!(b, b' ' | b'?' | b'x');
            let length = inner.iter().take_while(sound).count();
            if inner.get(length) != Some(&b']') {
                return;
            }
            self.at += length + 2;
            self.blanks();
        }
    }

    pub(crate) fn event(&mut self) -> Result<Event<'a>, LineError> {
        let rest = self.rest();
        if rest.starts_with(b"--- ") {
            return Ok(Event::Other);
        }
        if let Some(message) = rest.strip_prefix(b"+++ ") {
            let by = message.strip_prefix(b"superseded by execve in pid ");
            let by = by.and_then(|tid| Value(tid).number()).and_then(|tid| tid.try_into().ok());
            return Ok(match by {
                Some(by) => Event::Superseded { by: Tid::new(by) },
                None if message.starts_with(b"exited") || message.starts_with(b"killed") => {
                    Event::Ended
                }
                None => Event::Other,
            });
        }
        let resumes = rest.starts_with(b"<... ");
        if resumes {
            self.at += 5;
        }
        let name = self.name().ok_or_else(|| self.error(LineErrorKind::NoCall))?;
        self.at += name.len();
        let rest = self.rest();
        if resumes {
            let rest = rest.strip_prefix(b" resumed>");
            let rest = rest.ok_or_else(|| self.error(LineErrorKind::NoCall))?;
            return Ok(Event::Resumed { name, rest });
        }
        let args = rest.strip_prefix(b"(").ok_or_else(|| self.error(LineErrorKind::NoCall))?;
        self.at += 1;
        if let Some(args) = args.strip_suffix(b"<unfinished ...>") {
            return Ok(Event::Begun(Begun { name, args: args.trim_ascii_end() }));
        }
        // On a terminal a message may interrupt a line.
        if let Some(at) = memchr::memmem::find(args, b"strace: Process ")
            && args.ends_with(b" attached")
        {
            return Ok(Event::Begun(Begun { name, args: &args[..at] }));
        }
        self.call(name, args).map(Event::Call)
    }

    fn name(&self) -> Option<&'a str> {
        let rest = self.rest();
        let length = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        let sound = length > 0 && !rest[0].is_ascii_digit();
        std::str::from_utf8(&rest[..length]).ok().filter(|_| sound)
    }

    fn call(&self, name: &'a str, args: &'a [u8]) -> Result<Call<'a>, LineError> {
        let end = items(args, |_| true).ok_or_else(|| self.error(LineErrorKind::NoEnd))?;
        let behind = &args[end + 1..];
        let at = self.at + end + 1;
        let no_result = LineError { column: at + 1, kind: LineErrorKind::NoResult };
        let result = behind.trim_ascii_start().strip_prefix(b"= ").ok_or(no_result)?;
        Ok(Call { name, args: &args[..end], result: Outcome::of(result).ok_or(no_result)? })
    }
}

impl<'a> Outcome<'a> {
    fn of(text: &'a [u8]) -> Option<Outcome<'a>> {
        if text.starts_with(b"?") {
            return Some(Outcome::Unknown);
        }
        if let Some(error) = text.strip_prefix(b"-1 E") {
            let length = error.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
            let name = &text[3..4 + length];
            return Some(Outcome::Failed(std::str::from_utf8(name).ok()?.parse().ok()));
        }
        let value = Value(text.trim_ascii());
        value.number().map(|_| Outcome::Ok(value))
    }
}

/// Parses a call joined from two lines.
pub(crate) fn joined<'a>(name: &'a str, args: &'a [u8]) -> Result<Call<'a>, LineError> {
    Cursor::of(args).call(name, args)
}
