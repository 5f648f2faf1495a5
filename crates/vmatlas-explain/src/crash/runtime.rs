//! Messages of libraries and runtimes that end a program: glibc, Rust, CPython, Ruby, V8.
//!
//! # References
//!
//! glibc 2.23 to 2.41: malloc/malloc.c, debug/fortify_fail.c, sysdeps/posix/libc_fatal.c,
//! debug/segfault.c; Rust 1.40 to 1.95: library/std/src/{panicking.rs,sys/../stack_overflow.rs};
//! CPython 3.8 to 3.13: Modules/faulthandler.c; Ruby 2.5 to 3.4: error.c, vm_dump.c; V8 of Node 12
//! to 24: src/base/logging.cc, src/node_errors.cc.

use crate::crash::glibc::is_of_malloc;
use crate::crash::line::Line;
use crate::crash::log::{Found, Index, Reader};
use crate::crash::words::{
    after, between, hex_after, leading_hex, leading_id, split, split_last, string, take_while,
};
use crate::crash::{Crash, CrashSource, SymbolFrame, frame, page_fault, registers};
use vmatlas_maps::uapi::signal::{SIGABRT, SIGSEGV};

/// A report ends after this many lines without a frame, a register or a heading.
const UNTIL_END: u32 = 200;

/// Reads the messages of runtimes.
#[derive(Debug, Default)]
pub(super) struct Runtime {
    crash: Option<Index>,
    sort: Sort,
    part: Part,
    /// Number of lines since the last line that belongs to the report.
    since: u32,
    /// Whether the report contained rows of the memory map.
    rows: bool,
    /// A possible first line of a report, with its start. Other programs print such lines too.
    candidate: Option<(usize, Sort, Crash)>,
    /// Number of lines since that line.
    since_candidate: u32,
}

/// Maximum number of lines from the first line of a report of .NET to its first frame.
const UNTIL_PROOF: u32 = 16;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sort {
    #[default]
    Glibc,
    Rust,
    Python,
    Ruby,
    V8,
    Cpp,
    DotNet,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Head,
    Calls,
    /// Frames of other threads, or of another language.
    OtherCalls,
    Registers,
    Maps,
}

impl Reader for Runtime {
    fn line(&mut self, line: &Line<'_>, found: &mut Found) {
        let text = line.text.trim_ascii_end();
        self.since = self.since.saturating_add(1);
        self.since_candidate = self.since_candidate.saturating_add(1);
        if let Some((start, sort, crash)) = self.proven(text) {
            self.begin(found.add_at(start, crash), sort, found);
        }
        if self.is_again(text) {
            self.since = 0;
        } else if let Some((sort, signal, message)) = begins(text) {
            let crash = Crash {
                source: CrashSource::Runtime,
                signal,
                address: (sort == Sort::Ruby).then(|| hex_after(text, " at 0x")).flatten(),
                message: Some(string(message)),
                ..Crash::default()
            };
            // faulthandler also prints its report if a handler of the program has printed one.
            let known = signal.filter(|_| sort == Sort::Python);
            let said = known.filter(|signal| *signal == SIGABRT).and_then(|_| said_before(found));
            if known.is_some_and(|signal| is_known(signal, found)) {
                self.crash = None;
            } else if let Some(index) = said {
                found.say(index, message);
                self.begin(Some(index), sort, found);
            } else if is_proof_needed(sort, message) {
                (self.candidate, self.since_candidate) = (Some((line.start, sort, crash)), 0);
            } else {
                self.begin(found.add(line, crash), sort, found);
                if let (Sort::Rust, Some(index)) = (sort, self.crash) {
                    rust_thread(index, text, found);
                }
            }
        } else if let Some(index) = self.crash {
            if self.inner(index, line, text, found) {
                self.since = 0;
            } else if self.since > UNTIL_END {
                self.crash = None;
            }
        }
    }
}

impl Runtime {
    fn begin(&mut self, crash: Option<Index>, sort: Sort, found: &mut Found) {
        *self = Runtime { crash, sort, ..Runtime::default() };
        // Ruby itself prints the stack.
        if let Some(index) = crash.filter(|_| sort == Sort::Ruby) {
            found.by_handler(index);
        }
    }

    /// The report that a line proves: only Ruby prints its version in the next line, and only .NET
    /// its frames.
    fn proven(&mut self, text: &[u8]) -> Option<(usize, Sort, Crash)> {
        let (_, sort, _) = self.candidate.as_ref()?;
        let (is_proof, lines) = match sort {
            Sort::Ruby => (is_version_of_ruby(text), 1),
            _ => (text.starts_with(b"   at ") && text.contains(&b'('), UNTIL_PROOF),
        };
        if is_proof {
            return self.candidate.take();
        }
        if self.since_candidate >= lines {
            self.candidate = None;
        }
        None
    }

    /// Whether a line repeats the message of a C++ program that already ends: another thread, or the
    /// end of the first, ends it again.
    fn is_again(&self, text: &[u8]) -> bool {
        let cpp = self.crash.is_some() && self.sort == Sort::Cpp && self.since <= 8;
        cpp && text == b"terminate called recursively"
    }
}

/// The report of a C++ runtime or the C library that has just ended the program by SIGABRT:
/// faulthandler adds the stack of Python.
fn said_before(found: &mut Found) -> Option<Index> {
    let index = found.same(SIGABRT, 3)?;
    let crash = found.get(index)?;
    let said = crash.message.as_deref().unwrap_or_default().as_bytes();
    let ends = cpp(said.split(|&b| b == b'\n').next()?) || glibc(said).is_some();
    (ends && crash.frames.is_empty()).then_some(index)
}

/// Whether a handler of the program has just reported the same signal, with its stack.
fn is_known(signal: i32, found: &mut Found) -> bool {
    let known = found.same(signal, 3).and_then(|index| found.get(index));
    known.is_some_and(|crash| !crash.frames.is_empty())
}

/// Whether the first line of a report may also be that of another program.
fn is_proof_needed(sort: Sort, text: &[u8]) -> bool {
    let is = |start: &str| text.starts_with(start.as_bytes());
    match sort {
        Sort::Ruby => {
            let what = after(text, ": [BUG] ").unwrap_or_default();
            let ends = ["Segmentation fault", "Bus Error", "Illegal instruction"];
            let of_signal = ends.iter().any(|start| {
                let rest = what.strip_prefix(start.as_bytes());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b" at 0x"))
            });
            !of_signal
        }
        Sort::DotNet => {
            !["Fatal error. System.", "Fatal error. Internal CLR error", "Fatal error. 0x"]
                .into_iter()
                .chain(["Unhandled exception. System."])
                .any(is)
        }
        _ => false,
    }
}

/// Parses `ruby 2.4.1p111 (2017-03-22 revision 58053) [x86_64-linux]`.
fn is_version_of_ruby(text: &[u8]) -> bool {
    let version = text.strip_prefix(b"ruby ").and_then(|rest| rest.first());
    version.is_some_and(u8::is_ascii_digit) && text.ends_with(b"]")
}

/// Recognises the first line of a report; returns the runtime, the signal that ends the program,
/// and the message.
fn begins(text: &[u8]) -> Option<(Sort, Option<i32>, &[u8])> {
    if text.starts_with(b"thread '") {
        let overflow = text.ends_with(b" has overflowed its stack");
        let panic = after(text, " panicked at ").is_some();
        return (overflow || panic).then_some((Sort::Rust, overflow.then_some(SIGABRT), text));
    }
    if let Some(what) = text.strip_prefix(b"Fatal Python error: ") {
        return Some((Sort::Python, python(what), text));
    }
    if let Some((_, what)) = split(text, ": [BUG] ").filter(|(place, _)| is_place_of_ruby(place)) {
        // Ruby ends itself by abort(3) after any signal; the signal in its report is the cause.
        let signal = what.starts_with(b"Segmentation fault").then_some(SIGSEGV);
        let signal = signal.or_else(|| what.starts_with(b"Bus Error").then_some(7));
        let signal = signal.or_else(|| what.starts_with(b"Illegal instruction").then_some(4));
        return Some((Sort::Ruby, signal.or(Some(SIGABRT)), text));
    }
    if cpp(text) {
        return Some((Sort::Cpp, Some(SIGABRT), text));
    }
    if let Some(signal) = dotnet(text) {
        return Some((Sort::DotNet, Some(signal), text));
    }
    if text.starts_with(b"# Fatal error in ") || text.starts_with(b"FATAL ERROR: ") {
        return Some((Sort::V8, None, text));
    }
    glibc(text).map(|signal| (Sort::Glibc, Some(signal), text))
}

/// Parses `/srv/app/lib/oci.rb:64`, `-e:1`, `<internal:gc>:34`, or a file without a line.
fn is_place_of_ruby(place: &[u8]) -> bool {
    let number = |line: &[u8]| !line.is_empty() && line.iter().all(u8::is_ascii_digit);
    let has_line =
        split_last(place, ":").is_some_and(|(file, line)| !file.is_empty() && number(line));
    has_line || place.ends_with(b".rb") || place.ends_with(b">")
}

fn python(what: &[u8]) -> Option<i32> {
    let signals: [(&[u8], i32); 6] = [
        (b"Segmentation fault", SIGSEGV),
        (b"Aborted", SIGABRT),
        (b"Bus error", 7),
        (b"Floating point exception", 8),
        (b"Floating-point exception", 8),
        (b"Illegal instruction", 4),
    ];
    signals.into_iter().find(|(name, _)| what == *name).map(|(_, signal)| signal)
}

/// Whether libstdc++ or libc++abi ends a program with this message (libstdc++-v3/libsupc++/vterminate.cc,
/// pure.cc; libcxxabi/src/cxa_default_handlers.cpp, cxa_virtual.cpp).
fn cpp(text: &[u8]) -> bool {
    let text = text
        .strip_prefix(b"libc++abi: ")
        .or(text.strip_prefix(b"libc++abi.dylib: "))
        .unwrap_or(text);
    let starts = [
        "terminate called after throwing an instance of ",
        "terminate called without an active exception",
        "terminate called recursively",
        "terminating with uncaught exception",
        "terminating with uncaught foreign exception",
        "terminating with uncaught NSException",
        "terminating due to uncaught exception",
        "terminating due to uncaught foreign exception",
        "terminating due to uncaught NSException",
    ];
    starts.iter().any(|start| text.starts_with(start.as_bytes()))
        || matches!(text, b"pure virtual method called" | b"deleted virtual method called")
        || matches!(text, b"Pure virtual function called!")
}

/// The signal by which .NET ends a program with this message (src/coreclr/vm/eepolicy.cpp).
fn dotnet(text: &[u8]) -> Option<i32> {
    if let Some(what) = text.strip_prefix(b"Fatal error. ") {
        let access = what.starts_with(b"System.AccessViolationException");
        return Some(if access { SIGSEGV } else { SIGABRT });
    }
    let unhandled = text.strip_prefix(b"Unhandled exception. ");
    let named = unhandled.is_some_and(|what| after(what, "Exception").is_some());
    (named || text.starts_with(b"Process terminated. ")).then_some(SIGABRT)
}

/// The signal by which glibc ends a program after this message.
fn glibc(text: &[u8]) -> Option<i32> {
    if is_of_malloc(text) {
        return Some(SIGABRT);
    }
    if let Some(rest) = after(text, "*** ") {
        // Before glibc 2.26: `*** glibc detected *** PROGRAM: double free …: 0x… ***`.
        let starts = ["stack smashing", "buffer overflow", "glibc", "%n in writable segment"];
        let known = starts.iter().any(|start| rest.starts_with(start.as_bytes()));
        let detected = known && after(rest, " detected ***").is_some()
            || rest.starts_with(b"longjmp causes uninitialized stack frame ***")
            || rest.starts_with(b"Error in `") && rest.ends_with(b" ***");
        // libSegFault.so and catchsegv print these.
        let fault = matches!(rest, b"Segmentation fault" | b"Segmentation Fault");
        return detected.then_some(SIGABRT).or(fault.then_some(SIGSEGV));
    }
    // `a.out: a.c:9: main: Assertion `c==7' failed.`
    let (before, _) = split(text, ": Assertion `").filter(|_| text.ends_with(b"' failed."))?;
    let place = before
        .split(|&b| b == b':')
        .any(|word| !word.is_empty() && word.iter().all(u8::is_ascii_digit));
    place.then_some(SIGABRT)
}

impl Runtime {
    /// Returns whether the line belongs to the report.
    fn inner(&mut self, index: Index, line: &Line<'_>, text: &[u8], found: &mut Found) -> bool {
        let Some(crash) = found.get(index) else { return false };
        if let Some(part) = heading(self.sort, text) {
            self.part = part;
            if part == Part::Calls {
                // The backtrace replaces the one frame from the line of the panic.
                crash.frames.clear();
            }
            return true;
        }
        let trimmed = text.trim_ascii_start();
        match (self.part, self.sort) {
            (Part::Maps, _) => {
                let row = vmatlas_maps::find_row(text).is_some();
                if row {
                    found.maps(index, line);
                } else if self.rows {
                    self.part = Part::OtherCalls;
                }
                self.rows = row;
                row
            }
            (Part::Registers, _) => trap(crash, trimmed) || registers::take(crash, trimmed),
            (Part::Head, Sort::Rust) => self.rust_head(index, text, found),
            (Part::Head, Sort::V8) => self.v8(index, trimmed, found),
            (Part::Head, Sort::Cpp) => {
                let what = self.since == 1 && trimmed.starts_with(b"what():");
                if what {
                    found.say(index, trimmed);
                }
                what
            }
            (Part::Head, Sort::DotNet) => {
                let Some(call) = trimmed.strip_prefix(b"at ") else { return false };
                let (function, source) = split_last(call, " in ").unwrap_or((call, b""));
                let source = Some(source).filter(|s| !s.is_empty()).map(string);
                let function = string(function);
                found.frame(index, SymbolFrame { function, source, ..SymbolFrame::default() });
                true
            }
            (Part::Calls, sort) => {
                let frame = match sort {
                    Sort::Rust => return self.rust_call(index, trimmed, found),
                    Sort::Python => python_call(trimmed),
                    Sort::V8 => frame::of_v8(trimmed),
                    Sort::Glibc | Sort::Ruby | Sort::Cpp | Sort::DotNet => frame::of_glibc(trimmed),
                };
                let understood = frame.is_some();
                frame.into_iter().for_each(|frame| found.frame(index, frame));
                understood
            }
            _ => false,
        }
    }

    /// Reads the message in the line after `thread 'main' panicked at src/main.rs:2:5:`.
    fn rust_head(&mut self, index: Index, text: &[u8], found: &mut Found) -> bool {
        // Only the next line is the message: later lines may be anything.
        let mine = self.since == 1 && !text.starts_with(b"note: ") && !text.is_empty();
        if mine {
            found.say(index, text);
            // Before 1.73, the place followed a message of several lines.
            let place = quoted_place(text)
                .filter(|_| found.get(index).is_some_and(|crash| crash.frames.is_empty()));
            if let Some(place) = place {
                let source = Some(string(place));
                found.frame(index, SymbolFrame { source, ..SymbolFrame::default() });
            }
        }
        mine
    }

    /// Parses `6: o::main`, and the next line `at ./o.rs:2:80`.
    fn rust_call(&mut self, index: Index, text: &[u8], found: &mut Found) -> bool {
        if let Some(place) = text.strip_prefix(b"at ") {
            let last = found.get(index).and_then(|crash| crash.frames.last_mut());
            last.map(|frame| frame.source = Some(string(place))).is_some()
        } else {
            let (number, rest) = take_while(text, |b| b.is_ascii_digit());
            let Some(rest) = rest.strip_prefix(b": ").filter(|_| !number.is_empty()) else {
                return false;
            };
            // RUST_BACKTRACE=full also prints the address.
            let pc = rest.trim_ascii_start().strip_prefix(b"0x").and_then(leading_hex);
            let name = split(rest, " - ").filter(|_| pc.is_some()).map_or(rest, |(_, name)| name);
            let function = string(name.trim_ascii());
            found.frame(index, SymbolFrame { pc, function, ..SymbolFrame::default() });
            true
        }
    }

    fn v8(&mut self, index: Index, text: &[u8], found: &mut Found) -> bool {
        if let Some(frame) = frame::of_v8(text) {
            self.part = Part::Calls;
            found.frame(index, frame);
            return true;
        }
        // `# unreachable code` is between the lines of `#`.
        let said = text.strip_prefix(b"# ").map(<[u8]>::trim_ascii).filter(|said| !said.is_empty());
        said.map(|said| found.say(index, said)).is_some()
    }
}

/// Parses `Trap: 0000000e   Error: 00000006   OldMask: 00000000   CR2: 00000010`, which
/// libSegFault.so prints on x86.
fn trap(crash: &mut Crash, text: &[u8]) -> bool {
    /// The vector of page faults.
    const PAGE_FAULT: u64 = 14;
    let Some(vector) = text.strip_prefix(b"Trap: ").and_then(leading_hex) else {
        return false;
    };
    if vector == PAGE_FAULT {
        crash.address = hex_after(text, " CR2: ");
        if let Some(error) = hex_after(text, " Error: ") {
            page_fault::take(crash, error);
        }
    }
    true
}

fn heading(sort: Sort, text: &[u8]) -> Option<Part> {
    let trimmed = text.trim_matches_ascii();
    Some(match (sort, trimmed) {
        (Sort::Glibc, b"Backtrace:") => Part::Calls,
        (Sort::Glibc, b"Register dump:") => Part::Registers,
        (Sort::Glibc, b"Memory map:") => Part::Maps,
        (Sort::Rust, b"stack backtrace:") => Part::Calls,
        (Sort::Ruby, b"C level backtrace information") => Part::Calls,
        (Sort::Ruby, b"Machine register context") => Part::Registers,
        (Sort::Ruby, b"Process memory map:") => Part::Maps,
        (Sort::Ruby, _) if text.starts_with(b"-- ") || text.starts_with(b"* ") => Part::OtherCalls,
        (Sort::Python, _) if text.ends_with(b"(most recent call first):") => {
            if text.starts_with(b"Current thread ") || text.starts_with(b"Stack (") {
                Part::Calls
            } else {
                Part::OtherCalls
            }
        }
        _ => return None,
    })
}

/// Removes the signs around a heading, which differ from version to version.
trait Heading {
    fn trim_matches_ascii(&self) -> &[u8];
}

impl Heading for [u8] {
    fn trim_matches_ascii(&self) -> &[u8] {
        let sign = |b: &u8| matches!(b, b'=' | b'-' | b'*' | b' ');
        let start = self.iter().position(|b| !sign(b)).unwrap_or(self.len());
        let end = self.iter().rposition(|b| !sign(b)).map_or(start, |last| last + 1);
        self.get(start..end).unwrap_or_default()
    }
}

/// Parses `thread 'main' (27082) panicked at src/main.rs:2:5:`. Rust prints the id since 1.91;
/// before 1.73 it printed the message in the same line.
fn rust_thread(index: Index, text: &[u8], found: &mut Found) {
    let place = after(text, " panicked at ")
        .map(|rest| rest.strip_suffix(b":").unwrap_or(rest))
        .and_then(|rest| quoted_place(rest).or(Some(rest).filter(|rest| is_place_of_rust(rest))));
    if let Some(crash) = found.get(index) {
        // The kernel names the first thread after the program, and Rust prints `main`.
        let name = between(text, "thread '", "'");
        let name = name.filter(|name| !matches!(*name, b"main" | b"<unnamed>" | b"<unknown>"));
        crash.comm = name.map(<[u8]>::to_vec);
        crash.tid = after(text, "' (").and_then(leading_id);
    }
    if let Some(place) = place {
        let frame = SymbolFrame { source: Some(string(place)), ..SymbolFrame::default() };
        found.frame(index, frame);
    }
}

/// The place in `assertion failed', src/main.rs:2:5`, the end of the first line of a panic before 1.73.
fn quoted_place(text: &[u8]) -> Option<&[u8]> {
    let (_, place) = split_last(text, "', ")?;
    Some(place).filter(|place| is_place_of_rust(place))
}

/// Whether a text is a place such as `src/main.rs:2:5`.
fn is_place_of_rust(text: &[u8]) -> bool {
    let number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    split_last(text, ":").is_some_and(|(_, column)| number(column))
}

/// Parses `File "/usr/lib/python3.11/ctypes/__init__.py", line 519 in string_at`.
fn python_call(text: &[u8]) -> Option<SymbolFrame> {
    let (file, rest) = split(text.strip_prefix(b"File \"")?, "\", line ")?;
    let (line, function) = split(rest, " in ")?;
    Some(SymbolFrame {
        function: string(function),
        source: Some(format!("{}:{}", string(file), string(line))),
        ..SymbolFrame::default()
    })
}
