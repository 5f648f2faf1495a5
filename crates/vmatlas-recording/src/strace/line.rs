//! One line of a log.

use super::value::{Value, items};
use crate::Tid;
use std::time::Duration;
use vmatlas_maps::uapi::errno::Errno;

/// A line of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line<'a> {
    /// The thread, if the line contains it.
    pub tid: Option<Tid>,
    /// The time, if the line contains it.
    pub time: Option<Stamp>,
    /// The content.
    pub event: Event<'a>,
}

/// The time stamp of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stamp {
    /// Time since midnight (`-t`, `-tt`) or 1970 (`-ttt`).
    Clock(Duration),
    /// Time since the previous line (`-r`).
    Since(Duration),
}

/// The content of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A call and its result.
    Call(Call<'a>),
    /// The start of a call: `mmap(NULL, 4096 <unfinished ...>`.
    Begun(Begun<'a>),
    /// The rest of a call: `<... mmap resumed>) = 0x7f0000000000`.
    Resumed {
        /// The call's name.
        name: &'a str,
        /// The text after `resumed>`.
        rest: &'a [u8],
    },
    /// The thread ended.
    Ended,
    /// The thread ended because another one of its process, `by`, executed a program.
    Superseded {
        /// The id of that thread until then.
        by: Tid,
    },
    /// strace begins to follow a thread.
    Attached(Tid),
    /// A frame of the previous call's stack (`-k`), `/lib/libc.so(mmap+0x1a) [0x1186a]`, for
    /// [`Frame::parse`].
    Frame(&'a [u8]),
    /// A signal, or a message of strace.
    Other,
}

/// A frame of a call stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// The path of the file.
    pub module: Vec<u8>,
    /// The function's name; empty if strace knew none.
    pub function: Vec<u8>,
    /// The offset from the start of the function, in bytes.
    pub function_offset: u64,
    /// The offset in the file, in bytes. For callers it is the return address.
    pub offset: u64,
    /// `FILE:LINE` (`-kk`); empty without it.
    pub source: Vec<u8>,
}

/// A call that has not returned yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Begun<'a> {
    /// The call's name.
    pub name: &'a str,
    /// The arguments that the line contains.
    pub args: &'a [u8],
}

/// A call and its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call<'a> {
    /// The call's name.
    pub name: &'a str,
    /// All arguments.
    pub args: &'a [u8],
    /// The result.
    pub result: Outcome<'a>,
}

/// The result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// It succeeded.
    Ok(Value<'a>),
    /// It failed; `None` for an error that is not in the table.
    Failed(Option<Errno>),
    /// It never returned, or strace did not see it.
    Unknown,
}

/// A line that cannot be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {kind}")]
#[non_exhaustive]
pub struct LineError {
    /// The column in bytes, counted from 1.
    pub column: usize,
    /// The error.
    pub kind: LineErrorKind,
}

/// The kinds of errors in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineErrorKind {
    /// The line is not a call, a signal or an exit.
    #[error("not a line of strace: no call begins here")]
    NoCall,
    /// The closing bracket of the arguments is missing.
    #[error("the arguments have no end")]
    NoEnd,
    /// There is no `=` after the arguments, or no valid result.
    #[error("the call has no result")]
    NoResult,
    /// The line exceeds the maximum length.
    #[error("the line is too long")]
    TooLong,
    /// `<... x resumed>` without the line that began the call.
    #[error("the call that resumes here was not begun before")]
    NotBegun,
}

impl Frame {
    /// Parses the text of [`Event::Frame`]: `/lib/libc.so(mmap+0x1a) [0x1186a]`, with `-kk`
    /// followed by ` FILE:LINE`. `None` if it is not a frame.
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
        // C++ names contain brackets too, in pairs.
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
    /// Argument number `index`, counted from 0, if the line contains it.
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
        // The last argument may be incomplete: no comma or bracket ends it.
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
