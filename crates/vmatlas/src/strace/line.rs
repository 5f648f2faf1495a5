//! One line of a log.

use super::value::{Value, items};
use crate::errno::Errno;
use std::time::Duration;

/// A line of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The process or thread, if the line tells.
    pub pid: Option<u32>,
    /// The time, if the line tells.
    pub time: Option<Stamp>,
    /// What it says.
    pub event: Event<'a>,
}

/// When a line was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// Since midnight (`-t`, `-tt`) or 1970 (`-ttt`).
    Clock(Duration),
    /// Since the line before (`-r`).
    Since(Duration),
}

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A call and what came of it.
    Call(Call<'a>),
    /// A call that another line will finish: `mmap(NULL, 4096 <unfinished ...>`.
    Begun(Begun<'a>),
    /// The rest of a call: `<... mmap resumed>) = 0x7f0000000000`.
    Resumed {
        /// The call's name.
        name: &'a str,
        /// What follows `resumed>`.
        rest: &'a [u8],
    },
    /// The thread is gone.
    Ended,
    /// The thread is gone because another one of its process, `by`, executed a program.
    Superseded {
        /// What that thread was called until then.
        by: u32,
    },
    /// strace begins to follow a process.
    Attached(u32),
    /// A function of the stack of the call before (`-k`), `/lib/libc.so(mmap+0x1a) [0x1186a]`.
    Frame(&'a [u8]),
    /// A signal, or a message of strace.
    Other,
}

/// A call whose end is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun<'a> {
    /// The call's name.
    pub name: &'a str,
    /// The arguments as far as they are told.
    pub args: &'a [u8],
}

/// A call and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// The call's name.
    pub name: &'a str,
    /// All arguments.
    pub args: &'a [u8],
    /// What it returned.
    pub result: Outcome<'a>,
}

/// What a call returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It succeeded.
    Ok(Value<'a>),
    /// It failed; none for an error that has no number here.
    Failed(Option<Errno>),
    /// It never returned, or strace did not see it.
    Unknown,
}

/// Why a line cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {kind}")]
pub struct LineError {
    /// Where, counted from 1 in bytes.
    pub column: usize,
    /// What is wrong.
    pub kind: LineErrorKind,
}

/// What can be wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineErrorKind {
    /// Something else than a call, a signal or an exit.
    #[error("not a line of strace: no call begins here")]
    NoCall,
    /// The bracket that closes the arguments is missing.
    #[error("the arguments have no end")]
    NoEnd,
    /// There is no `=` behind the arguments, or nothing sound behind it.
    #[error("the call has no result")]
    NoResult,
    /// The line is longer than any that strace writes.
    #[error("the line is too long")]
    TooLong,
    /// `<... x resumed>` without the line that began the call.
    #[error("the call that resumes here was not begun before")]
    NotBegun,
}

impl<'a> Line<'a> {
    /// Reads a line without its line feed.
    ///
    /// ```
    /// use vmatlas::strace::{Event, Line};
    /// let line = Line::parse(b"[pid  42] 10:15:30.5 munmap(0x7f0000000000, 4096) = 0").unwrap();
    /// assert_eq!(line.pid, Some(42));
    /// let Event::Call(call) = line.event else { panic!() };
    /// assert_eq!(call.arg(1).unwrap().number(), Some(4096));
    /// ```
    ///
    /// # Errors
    /// Where the line is none of strace.
    pub fn parse(line: &'a [u8]) -> Result<Line<'a>, LineError> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let nothing = |event| Line { pid: None, time: None, event };
        if let Some(frame) = line.strip_prefix(b" > ") {
            return Ok(nothing(Event::Frame(frame)));
        }
        if line.trim_ascii().is_empty() {
            return Ok(nothing(Event::Other));
        }
        if let Some(message) = line.strip_prefix(b"strace: ") {
            return Ok(nothing(attached(message)));
        }
        let mut cursor = Cursor { line, at: 0 };
        let pid = cursor.pid();
        let time = cursor.time(pid.is_some());
        cursor.brackets();
        let event = cursor.event()?;
        Ok(Line { pid, time, event })
    }
}

impl<'a> Call<'a> {
    /// Argument number `index`, counted from 0.
    pub fn arg(&self, index: usize) -> Option<Value<'a>> {
        arg(self.args, index)
    }

    /// The result of a call that succeeded, as a number.
    pub fn value(&self) -> Option<u64> {
        match self.result {
            Outcome::Ok(value) => value.number(),
            _ => None,
        }
    }
}

impl<'a> Begun<'a> {
    /// Argument number `index`, counted from 0, if it is told.
    pub fn arg(&self, index: usize) -> Option<Value<'a>> {
        arg(self.args, index)
    }
}

fn arg(args: &[u8], index: usize) -> Option<Value<'_>> {
    let mut left = index;
    let mut found = None;
    let mut last = 0;
    let end = items(args, |item| {
        last = item.as_ptr() as usize - args.as_ptr() as usize + item.len() + 1;
        if left == 0 {
            found = Some(Value(item));
            return false;
        }
        left -= 1;
        true
    });
    if found.is_none() && end.is_none() && left == 0 {
        // The last one, which no comma and no bracket ends.
        let item = args.get(last..).unwrap_or_default().trim_ascii();
        found = (!item.is_empty()).then_some(Value(item));
    }
    found
}

/// What a message of strace tells.
fn attached(message: &[u8]) -> Event<'_> {
    let pid = message.strip_prefix(b"Process ").map(Value).and_then(Value::number);
    match pid.and_then(|pid| u32::try_from(pid).ok()) {
        Some(pid) if message.ends_with(b" attached") => Event::Attached(pid),
        _ => Event::Other,
    }
}

/// A walk along a line.
struct Cursor<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
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

    /// `123 `, `123<bash> `, `[pid   123] ` or `[pid   123<bash>] `.
    fn pid(&mut self) -> Option<u32> {
        let begin = self.at;
        let bracket = self.rest().starts_with(b"[pid");
        if bracket {
            self.at += 4;
            self.blanks();
        }
        let digits = self.digits();
        let number = Value(&self.rest()[..digits]).number();
        let pid = number.and_then(|n| u32::try_from(n).ok()).filter(|pid| *pid <= 1 << 22);
        self.at += digits;
        if self.rest().starts_with(b"<") {
            // The command may have anything in its name but is short.
            let end = self.rest().windows(2).take(64).position(|two| matches!(two, b"> " | b">]"));
            self.at += end.map_or(0, |end| end + 1);
        }
        if bracket && self.rest().starts_with(b"]") {
            self.at += 1;
        }
        if pid.is_none() || !self.rest().starts_with(b" ") {
            self.at = begin;
            return None;
        }
        self.blanks();
        pid
    }

    /// `10:15:30`, `10:15:30.123456`, `1795311803.831617`, `0.000154`, and with `-r` beside
    /// another one `(+ 0.000154)`.
    fn time(&mut self, has_pid: bool) -> Option<Stamp> {
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
        // No log was a hundred million seconds long, and none was begun that soon after 1970.
        match (clock || seconds > 100_000_000, fraction) {
            (true, _) => Some(Stamp::Clock(time)),
            (false, true) => Some(Stamp::Since(time)),
            (false, false) => has_pid.then_some(Stamp::Since(time)),
        }
    }

    /// The number of the call (`-n`) and the instruction pointer (`-i`): `[  59] [00007f46…] `.
    fn brackets(&mut self) {
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

    fn event(&mut self) -> Result<Event<'a>, LineError> {
        let rest = self.rest();
        if rest.starts_with(b"--- ") {
            return Ok(Event::Other);
        }
        if let Some(message) = rest.strip_prefix(b"+++ ") {
            let by = message.strip_prefix(b"superseded by execve in pid ");
            let by = by.and_then(|pid| Value(pid).number()).and_then(|pid| pid.try_into().ok());
            return Ok(match by {
                Some(by) => Event::Superseded { by },
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
        // On a terminal a message comes into the middle of a line.
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

/// Reads a call whose parts stood in two lines.
pub(crate) fn joined<'a>(name: &'a str, args: &'a [u8]) -> Result<Call<'a>, LineError> {
    Cursor { line: args, at: 0 }.call(name, args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expect: &str) {
        let shown = match Line::parse(line.as_bytes()) {
            Err(error) => error.to_string(),
            Ok(line) => {
                let time = match line.time {
                    None => String::new(),
                    Some(Stamp::Clock(time)) => format!("{:.6} ", time.as_secs_f64()),
                    Some(Stamp::Since(time)) => format!("+{:.6} ", time.as_secs_f64()),
                };
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let event = match line.event {
                    Event::Call(call) => {
                        let mut args = Vec::new();
                        while let Some(arg) = call.arg(args.len()) {
                            args.push(text(arg.0));
                        }
                        let result = match call.result {
                            Outcome::Ok(value) => text(value.0),
                            Outcome::Failed(errno) => format!("{errno:?}"),
                            Outcome::Unknown => "?".into(),
                        };
                        format!("{} | {} | {result}", call.name, args.join(" ; "))
                    }
                    Event::Begun(begun) => format!("{} | {} …", begun.name, text(begun.args)),
                    Event::Resumed { name, rest } => format!("… {name} | {}", text(rest)),
                    other => format!("{other:?}"),
                };
                format!("{} {time}{event}", line.pid.map_or("-".into(), |pid| pid.to_string()))
            }
        };
        assert_eq!(shown, expect);
    }

    #[test]
    fn calls() {
        check(
            "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE, 3</a,b (c)>, 0) = 0x7f14",
            "- mmap | NULL ; 8192 ; PROT_READ|PROT_WRITE ; MAP_PRIVATE ; 3</a,b (c)> ; 0 | 0x7f14",
        );
        check(
            r#"30467 execve("/usr/bin/bash", ["bash", "-c", "x=$(\"hi, ("...], 0x55 /* 37 ) */) = 0"#,
            r#"30467 execve | "/usr/bin/bash" ; ["bash", "-c", "x=$(\"hi, ("...] ; 0x55 /* 37 ) */ | 0"#,
        );
        check("brk(0x55fc) = -1 ENOMEM (Cannot allocate memory)", "- brk | 0x55fc | Some(ENOMEM)");
        check("7 exit_group(0)                           = ?", "7 exit_group | 0 | ?");
        check("fork() = 12", "- fork |  | 12");
        check("mmap(0, 21<<MAP_HUGE_SHIFT, 3) = 1", "- mmap | 0 ; 21<<MAP_HUGE_SHIFT ; 3 | 1");
        check(
            "wait4(-1, 0x7ff, 0) = ? ERESTARTSYS (To be restarted)",
            "- wait4 | -1 ; 0x7ff ; 0 | ?",
        );
    }

    #[test]
    fn prefixes() {
        check("[pid  6809] getpid() = 1", "6809 getpid |  | 1");
        check("[pid 6809<a b>] getpid() = 1", "6809 getpid |  | 1");
        check(
            "6641<bash> 01:43:23.800803 (+     0.000341) [  12] [00007f8f11a49c47] brk(NULL) = 0x5 <0.000006>",
            "6641 6203.800803 brk | NULL | 0x5 <0.000006>",
        );
        check("6674  1795311803.832285 brk(NULL) = 0x5", "6674 1795311803.832285 brk | NULL | 0x5");
        check("10:00:00 brk(NULL) = 0x5", "- 36000.000000 brk | NULL | 0x5");
        check("     0.000154 brk(NULL) = 0x5", "- +0.000154 brk | NULL | 0x5");
        check("17 0.5 brk(NULL) = 0x5", "17 +0.500000 brk | NULL | 0x5");
        check("[????????????????] brk(NULL) = 0x5", "- brk | NULL | 0x5");
    }

    #[test]
    fn other_lines() {
        check("7 read(3,  <unfinished ...>", "7 read | 3, …");
        check("7 <... read resumed>\"\", 9) = 0", "7 … read | \"\", 9) = 0");
        check("7 +++ exited with 0 +++", "7 Ended");
        check("7 +++ superseded by execve in pid 9 +++", "7 Superseded { by: 9 }");
        check("7 --- SIGCHLD {si_signo=SIGCHLD} ---", "7 Other");
        check("strace: Process 6809 attached", "- Attached(6809)");
        check(
            " > /lib/libc.so.6(mmap+0x1a) [0x1186a]",
            "- Frame([47, 108, 105, 98, 47, 108, 105, 98, 99, 46, 115, 111, 46, 54, 40, 109, 109, 97, 112, 43, 48, 120, 49, 97, 41, 32, 91, 48, 120, 49, 49, 56, 54, 97, 93])",
        );
        check("clone(flags=SIGCHLDstrace: Process 68 attached", "- clone | flags=SIGCHLD …");
    }

    #[test]
    fn lines_of_something_else() {
        check("hello", "column 6: not a line of strace: no call begins here");
        check(
            "1000-2000 r--p 00000000 00:00 0",
            "column 1: not a line of strace: no call begins here",
        );
        check("7 read(3, \"abc", "column 8: the arguments have no end");
        check("f(x) and so on", "column 5: the call has no result");
    }
}
