//! One line of a log.

use super::value::{Value, items};
use std::time::Duration;
use vmatlas_space::Errno;

/// A line of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
#[non_exhaustive]
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
#[non_exhaustive]
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
#[non_exhaustive]
pub struct Begun<'a> {
    /// The call's name.
    pub name: &'a str,
    /// The arguments as far as they are told.
    pub args: &'a [u8],
}

/// A call and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
#[non_exhaustive]
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
#[non_exhaustive]
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
