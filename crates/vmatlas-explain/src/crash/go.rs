//! Crash reports of the Go runtime.
//!
//! # References
//!
//! runtime/{panic.go,signal_unix.go,traceback.go,signal_linux_*.go} of Go 1.4 to 1.25.

use crate::crash::line::Line;
use crate::crash::log::{Found, Index, Reader};
use crate::crash::words::{
    after, hex_after, leading_hex, leading_signed, split, split_last, string, take_while,
};
use crate::crash::{Crash, CrashSource, SymbolFrame, registers};
use vmatlas_maps::uapi::siginfo::SEGV_ACCERR;
use vmatlas_maps::uapi::signal::{
    SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSEGV, SIGSYS, SIGTRAP,
};

/// Maximum number of lines from the first line of a report to a line that only Go prints.
const UNTIL_PROOF: u32 = 64;

/// Reads reports of the Go runtime.
#[derive(Debug, Default)]
pub(super) struct Go {
    /// A possible report and its start. Other programs print such lines too.
    candidate: Option<(usize, Crash)>,
    /// Number of lines since its start.
    since: u32,
    crash: Option<Index>,
    part: Part,
    /// A function whose line with the source has not come yet.
    function: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Head,
    /// The stack of the goroutine that died.
    Calls,
    /// Other stacks, and the registers after them.
    Behind,
}

impl Reader for Go {
    fn line(&mut self, line: &Line<'_>, found: &mut Found) {
        let text = line.text.trim_ascii_end();
        self.since = self.since.saturating_add(1);
        if self.candidate.is_some() {
            self.head(text, found);
        }
        if begins(text) && self.candidate.is_none() && !(self.crash.is_some() && self.since < 4) {
            self.begin(line, text);
        } else if let Some(index) = self.crash {
            self.inner(index, text, found);
        }
    }
}

fn begins(text: &[u8]) -> bool {
    let is = |word: &str| text.starts_with(word.as_bytes());
    is("panic: ")
        || is("fatal error: ")
        || is("unexpected fault address ")
        || is("runtime: goroutine stack exceeds ")
        || signal_line(text).is_some()
}

/// Parses `SIGABRT: abort`.
fn signal_line(text: &[u8]) -> Option<i32> {
    let (name, rest) = take_while(text, |b| b.is_ascii_uppercase());
    rest.starts_with(b": ").then(|| number_of(name))?
}

fn number_of(name: &[u8]) -> Option<i32> {
    // These numbers hold on every architecture that Go supports except MIPS.
    Some(match name {
        b"SIGQUIT" => SIGQUIT,
        b"SIGILL" => SIGILL,
        b"SIGTRAP" => SIGTRAP,
        b"SIGABRT" => SIGABRT,
        b"SIGBUS" => SIGBUS,
        b"SIGFPE" => SIGFPE,
        b"SIGSEGV" => SIGSEGV,
        b"SIGSYS" => SIGSYS,
        _ => return None,
    })
}

impl Go {
    fn begin(&mut self, line: &Line<'_>, text: &[u8]) {
        let crash = Crash { source: CrashSource::Go, ..Crash::default() };
        *self = Go { candidate: Some((line.start, crash)), ..Go::default() };
        self.say(text);
    }

    fn say(&mut self, text: &[u8]) {
        let Some((_, crash)) = &mut self.candidate else { return };
        crash.signal = crash.signal.or_else(|| signal_line(text));
        if let Some(address) = text.strip_prefix(b"unexpected fault address ") {
            crash.address = leading_hex(address);
        }
        let message = crash.message.get_or_insert_default();
        if !message.is_empty() {
            message.push('\n');
        }
        message.push_str(&string(text));
    }

    /// Reads a line between the first line and the stacks.
    fn head(&mut self, text: &[u8], found: &mut Found) {
        let Some((start, crash)) = &mut self.candidate else { return };
        let mut proven = goroutine(text) || text == b"runtime stack:";
        if let Some(rest) = text.strip_prefix(b"[signal ") {
            signal(crash, rest);
            proven = true;
        } else if let Some(rest) = text.strip_prefix(b"PC=") {
            crash.ip = leading_hex(rest);
            crash.code = after(rest, " sigcode=").and_then(leading_signed);
            crash.address = crash.address.or_else(|| hex_after(rest, " addr="));
            proven = after(rest, " m=").is_some();
        } else if text.starts_with(b"runtime: sp=") {
            crash.sp = hex_after(text, "sp=");
        }
        if proven {
            self.crash = found.add_at(*start, std::mem::take(crash));
            (self.candidate, self.since) = (None, 0);
        } else if self.since > UNTIL_PROOF {
            self.candidate = None;
        } else if begins(text) || text.starts_with(b"\tpanic: ") {
            self.say(text);
        }
    }

    fn inner(&mut self, index: Index, text: &[u8], found: &mut Found) {
        let Some(crash) = found.get(index) else { return };
        if let Some(rest) = text.strip_prefix(b"[signal ").filter(|_| self.part == Part::Head) {
            signal(crash, rest);
        } else if goroutine(text) {
            // The first goroutine is the one that died.
            let first = self.part == Part::Head;
            self.part = if first { Part::Calls } else { Part::Behind };
        } else if text.is_empty() && self.part == Part::Calls {
            self.part = Part::Behind;
        } else if self.part == Part::Calls {
            self.call(index, text, found);
        } else if self.part == Part::Behind && !text.starts_with(b"\t") {
            registers::take(crash, text);
        }
    }

    /// Parses `main.(*T).get(0x404c78?)`, and the next line
    /// `\t/src/main.go:5 +0x1b1 fp=0x… pc=0x466260`.
    fn call(&mut self, index: Index, text: &[u8], found: &mut Found) {
        if let Some(place) = text.strip_prefix(b"\t") {
            let Some(function) = self.function.take() else { return };
            let source = split(place, " +0x").or_else(|| split(place, " fp=0x"));
            let frame = SymbolFrame {
                pc: hex_after(place, " pc=0x"),
                function,
                source: Some(string(source.map_or(place, |(source, _)| source))),
                ..SymbolFrame::default()
            };
            // The runtime's own functions report the error and are not where it is.
            if !(crash_has_no_frames(found, index) && is_reporter(&frame.function)) {
                found.frame(index, frame);
            }
        } else if text.starts_with(b"created by ") {
            self.part = Part::Behind;
        } else {
            self.function = split_last(text, "(").map(|(function, _)| string(function));
        }
    }
}

fn crash_has_no_frames(found: &mut Found, index: Index) -> bool {
    found.get(index).is_some_and(|crash| crash.frames.is_empty())
}

/// Whether a function of the runtime reports an error, or calls C code in which it is.
fn is_reporter(function: &str) -> bool {
    let starts =
        ["throw", "fatal", "sigpanic", "panic", "goPanic", "gopanic", "dopanic", "cgocall"];
    function == "panic"
        || function
            .strip_prefix("runtime.")
            .is_some_and(|name| starts.iter().any(|start| name.starts_with(start)))
}

/// Whether the line is `goroutine 1 [running]:`. Newer versions print more fields in it.
fn goroutine(text: &[u8]) -> bool {
    text.strip_prefix(b"goroutine ")
        .is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit) && rest.ends_with(b"]:"))
}

/// Parses `SIGSEGV: segmentation violation code=0x1 addr=0x8 pc=0x466240]`; old versions print
/// `0xb code=0x1 …`.
fn signal(crash: &mut Crash, text: &[u8]) {
    let (name, _) = take_while(text, |b| b.is_ascii_alphanumeric());
    let number = || leading_hex(name.strip_prefix(b"0x")?).and_then(|n| i32::try_from(n).ok());
    crash.signal = number_of(name).or_else(number).or(crash.signal);
    let code = hex_after(text, " code=").and_then(|code| u32::try_from(code).ok());
    crash.code = code.map(u32::cast_signed);
    crash.address = hex_after(text, " addr=").or(crash.address);
    crash.ip = hex_after(text, " pc=");
    crash.present =
        (crash.signal == Some(SIGSEGV) && crash.code == Some(SEGV_ACCERR)).then_some(true);
}
