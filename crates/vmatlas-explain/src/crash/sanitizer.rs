//! Reports of AddressSanitizer and other sanitizers.
//!
//! # References
//!
//! compiler-rt/lib/{asan/asan_errors.cpp,tsan/rtl/tsan_report.cpp,ubsan/ubsan_diag.cpp,
//! sanitizer_common/sanitizer_symbolizer_report.cpp} of LLVM 14 to 19; libsanitizer of gcc has the
//! same.

use crate::crash::line::Line;
use crate::crash::log::{Found, Index, Reader};
use crate::crash::words::{after, hex_after, leading_id, split, split_last, string, take_while};
use crate::crash::{Access, Crash, CrashSource, SymbolFrame, frame, registers};
use vmatlas_maps::uapi::signal::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP};

/// Reads reports of sanitizers.
#[derive(Debug, Default)]
pub(super) struct Sanitizer {
    crash: Option<Index>,
    part: Part,
    /// Number of functions of another stack that are in the message.
    named: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    /// The access, and its stack.
    #[default]
    First,
    /// The stacks that allocated or freed the memory.
    Others,
    Registers,
}

/// Maximum number of functions of another stack in the message.
const NAMED: usize = 4;

impl Reader for Sanitizer {
    fn line(&mut self, line: &Line<'_>, found: &mut Found) {
        let text = line.text.trim_ascii();
        if let Some(crash) = report(text).or_else(|| undefined_behaviour(text)) {
            self.crash = found.add(line, crash);
            (self.part, self.named) = (Part::First, 0);
        } else if let Some(index) = self.crash {
            if text.starts_with(b"SUMMARY: ") || text.ends_with(b"==ABORTING") {
                self.crash = None;
            } else {
                self.inner(index, text, found);
            }
        }
    }
}

/// Parses
/// `==4572==ERROR: AddressSanitizer: SEGV on unknown address 0x10 (pc 0x1 bp 0x2 sp 0x3 T0)`,
/// `WARNING: ThreadSanitizer: data race (pid=4583)`.
fn report(text: &[u8]) -> Option<Crash> {
    let (pid, rest) = match text.strip_prefix(b"==") {
        Some(rest) => {
            let (pid, rest) = split(rest, "==")?;
            (leading_id(pid), rest.trim_ascii_start())
        }
        None => (None, text),
    };
    let level = |word: &str| rest.strip_prefix(word.as_bytes());
    let rest = level("ERROR: ").or_else(|| level("WARNING: "))?;
    let (who, what) = split(rest, ": ")?;
    if !(who.ends_with(b"Sanitizer") || who == b"libFuzzer") {
        return None;
    }
    let (kind, _) = take_while(what, |b| b != b' ');
    let signal = match kind {
        b"SEGV" | b"stack-overflow" => Some(SIGSEGV),
        b"BUS" => Some(SIGBUS),
        b"FPE" => Some(SIGFPE),
        b"ILL" => Some(SIGILL),
        b"ABRT" => Some(SIGABRT),
        b"TRAP" => Some(SIGTRAP),
        _ => None,
    };
    let said =
        split(rest, " (pc ").or_else(|| split(rest, " (pid=")).map_or(rest, |(said, _)| said);
    let said = split(said, " at pc ").map_or(said, |(said, _)| said);
    Some(Crash {
        source: CrashSource::Sanitizer,
        pid: pid.or_else(|| after(what, "(pid=").and_then(leading_id)),
        signal,
        address: hex_after(what, "address 0x").or_else(|| hex_after(what, " on 0x")),
        ip: hex_after(what, "pc 0x"),
        sp: hex_after(what, " sp 0x"),
        message: Some(string(said)),
        ..Crash::default()
    })
}

/// Parses `s.c:16:30: runtime error: signed integer overflow: …`
fn undefined_behaviour(text: &[u8]) -> Option<Crash> {
    let (place, what) = split(text, ": runtime error: ")?;
    let number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let (rest, column) = split_last(place, ":")?;
    let (_, line) = split_last(rest, ":")?;
    (number(column) && number(line)).then_some(())?;
    Some(Crash {
        source: CrashSource::Sanitizer,
        message: Some(format!("runtime error: {}", string(what))),
        frames: vec![SymbolFrame { source: Some(string(place)), ..SymbolFrame::default() }],
        ..Crash::default()
    })
}

impl Sanitizer {
    fn inner(&mut self, index: Index, text: &[u8], found: &mut Found) {
        let Some(crash) = found.get(index) else { return };
        if let Some(call) = frame::numbered(text) {
            return self.call(index, call, found);
        }
        let said = split(text, "==")
            .filter(|_| text.starts_with(b"=="))
            .and_then(|_| split(text.strip_prefix(b"==")?, "==").map(|(_, said)| said));
        let said = said.unwrap_or(text);
        if let Some(access) = access(said) {
            if crash.access.is_none() && self.part == Part::First {
                // If the address that could not be read is the instruction pointer, the access was
                // a fetch.
                let fetch =
                    crash.signal.is_some() && crash.ip.is_some() && crash.ip == crash.address;
                crash.access = Some(if fetch { Access::Execute } else { access });
                crash.address = crash.address.or_else(|| hex_after(said, " at 0x"));
            }
        } else if said.starts_with(b"Hint: ")
            || after(said, " is located ").is_some()
            || after(said, "irect leak of ").is_some()
        {
            found.say(index, said);
        } else if said.ends_with(b"here:") || after(said, "llocated by ").is_some() {
            (self.part, self.named) = (Part::Others, 0);
            found.say(index, said);
        } else if said.starts_with(b"Register") {
            self.part = Part::Registers;
        } else if self.part == Part::Registers {
            registers::take(crash, said);
        } else if said.starts_with(b"Previous ") || text.is_empty() && !crash.frames.is_empty() {
            self.part = Part::Others;
            self.named = NAMED;
        }
    }

    /// Adds a frame of the first stack to the crash. Of other stacks, adds a few functions to the
    /// message.
    fn call(&mut self, index: Index, text: &[u8], found: &mut Found) {
        let frame = frame::of_sanitizer(text);
        if self.part == Part::First {
            found.frame(index, frame);
        } else if self.part == Part::Others && self.named < NAMED {
            self.named += 1;
            let known = |word: String| Some(word).filter(|word| !word.is_empty());
            let place = [known(frame.function), frame.source.or(known(frame.module))];
            let place: Vec<String> = place.into_iter().flatten().collect();
            found.say(index, format!("  {}", place.join(" ")).as_bytes());
        }
    }
}

/// Parses `The signal is caused by a WRITE memory access.`,
/// `READ of size 1 at 0x602000000013 thread T0`, `Write of size 4 at 0x555555558084 by thread T1:`.
fn access(text: &[u8]) -> Option<Access> {
    let word = after(text, "The signal is caused by a ").unwrap_or(text);
    let (word, rest) = take_while(word, |b| b.is_ascii_alphabetic());
    let of_access = rest.starts_with(b" of size ") || rest.starts_with(b" memory access");
    match word {
        b"READ" | b"Read" if of_access => Some(Access::Read),
        b"WRITE" | b"Write" if of_access => Some(Access::Write),
        _ => None,
    }
}
