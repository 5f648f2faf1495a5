//! One line of a log.

use super::cursor::Cursor;
use super::value::{Value, items};
use std::time::Duration;
use vmatlas_space::Errno;

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
    /// A function of the stack of the call before (`-k`), `/lib/libc.so(mmap+0x1a) [0x1186a]`, for
    /// [`Frame::parse`].
    Frame(&'a [u8]),
    /// A signal, or a message of strace.
    Other,
}

/// A function on the stack of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The path of the file that it is in.
    pub module: Vec<u8>,
    /// Its name; empty where strace knew none.
    pub function: Vec<u8>,
    /// How many bytes behind the function's beginning.
    pub function_offset: u64,
    /// Where in the file, in bytes. Of callers it is where the call returns to.
    pub offset: u64,
    /// `FILE:LINE` (`-kk`); empty without.
    pub source: Vec<u8>,
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
    /// use vmatlas_recording::strace::{Event, Line};
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
        let mut cursor = Cursor::of(line);
        let pid = cursor.pid();
        let time = cursor.time(pid.is_some());
        cursor.brackets();
        let event = cursor.event()?;
        Ok(Line { pid, time, event })
    }
}

impl Frame {
    /// Reads what [`Event::Frame`] has: `/lib/libc.so(mmap+0x1a) [0x1186a]`, with `-kk` and
    /// ` FILE:LINE` behind it. None where it is something else.
    ///
    /// ```
    /// use vmatlas_recording::strace::Frame;
    /// let frame = Frame::parse(b"/lib/libc.so(mmap+0x1a) [0x1186a]").unwrap();
    /// assert_eq!(frame.module, b"/lib/libc.so");
    /// assert_eq!((frame.function.as_slice(), frame.function_offset), (&b"mmap"[..], 0x1a));
    /// assert_eq!(frame.offset, 0x1186a);
    /// ```
    pub fn parse(text: &[u8]) -> Option<Frame> {
        let at = memchr::memmem::rfind(text, b") [0x")?;
        let end = at + 3 + memchr::memchr(b']', &text[at + 3..])?;
        let offset = Value(&text[at + 3..end]).number()?;
        // Names of C++ have brackets, too, in pairs.
        let mut depth = 1_u32;
        let open = text[..at].iter().rposition(|b| {
            match b {
                b')' => depth += 1,
                b'(' => depth -= 1,
                _ => {}
            }
            depth == 0
        })?;
        let inside = &text[open + 1..at];
        let plus = memchr::memmem::rfind(inside, b"+0x");
        let (function, function_offset) = match plus {
            Some(plus) => (&inside[..plus], Value(&inside[plus + 1..]).number()?),
            None => (inside, 0),
        };
        Some(Frame {
            module: text[..open].to_vec(),
            function: function.to_vec(),
            function_offset,
            offset,
            source: text[end + 1..].trim_ascii().to_vec(),
        })
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
    fn frames() {
        let shown = |text: &str| {
            let frame = Frame::parse(text.as_bytes())?;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let (module, function) = (text(&frame.module), text(&frame.function));
            let (offset, source) = (frame.offset, text(&frame.source));
            Some(format!(
                "{module} | {function} | {:x} | {offset:x} | {source}",
                frame.function_offset
            ))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(shown("/lib/a.so(f+0x13) [0x11d3b3]"), some("/lib/a.so | f | 13 | 11d3b3 | "));
        assert_eq!(shown("/a (b)(+0x13) [0x1]"), some("/a (b) |  | 13 | 1 | "));
        assert_eq!(shown("/a() [0x1]"), some("/a |  | 0 | 1 | "));
        assert_eq!(
            shown("/a(x::operator()(int)+0x1) [0x2] a b.cc:12"),
            some("/a | x::operator()(int) | 1 | 2 | a b.cc:12")
        );
        assert_eq!(shown("unexpected_backtracing_error [0x7f00]"), None);
        assert_eq!(shown("/a)f+0x1) [0x2]"), None);
        assert_eq!(shown("/a(f+0x1) [0xfffffffffffffffff]"), None);
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
