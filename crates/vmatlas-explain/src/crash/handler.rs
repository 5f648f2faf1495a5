//! Reports that programs print from their own signal handlers: Chromium and Electron, glog and
//! Abseil, Redis and Valkey, Node's segfault-handler.
//!
//! # References
//!
//! `StackDumpSignalHandler` in base/debug/stack_trace_posix.cc of Chromium 60 to 130;
//! src/signalhandler.cc of glog 0.3 to 0.7; absl/debugging/failure_signal_handler.cc; src/debug.c of
//! Redis 5 to 7.

use crate::crash::handler_frames::MAX_HANDLERS;
use crate::crash::line::Line;
use crate::crash::log::{Found, Index, Reader};
use crate::crash::words::{
    after, hex, hex_after, leading_hex, leading_id, leading_signed, signed, split, string,
    take_while,
};
use crate::crash::{
    Crash, CrashSource, FAULTS, Machine, SymbolFrame, frame, macos, page_fault, registers,
    signal_names,
};
use vmatlas_maps::uapi::siginfo::{SEGV_ACCERR, SI_KERNEL};
use vmatlas_maps::uapi::signal::{SIGABRT, SIGBUS, SIGSEGV};

/// A report ends after this many lines that do not belong to it.
const UNTIL_END: u32 = 60;
/// The vectors of general protection faults and page faults.
const GENERAL_PROTECTION: u64 = 13;
const PAGE_FAULT: u64 = 14;

/// Reads the reports of signal handlers.
#[derive(Debug, Default)]
pub(super) struct Handler {
    crash: Option<Index>,
    sort: Sort,
    /// Number of lines since the last line that belongs to the report.
    since: u32,
    /// The instruction pointer and its function from a line before the first line of the crash.
    pc: Option<(u64, Option<String>)>,
    /// Number of frames of glog that were read.
    calls: u32,
    /// The text of glog's last line of the level FATAL.
    fatal: Option<String>,
    /// Whether the crash is known from the report of a failed check only.
    checked: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sort {
    #[default]
    Chromium,
    Glog,
    Redis,
    /// The package segfault-handler of Node.
    Node,
}

impl Reader for Handler {
    fn line(&mut self, line: &Line<'_>, found: &mut Found) {
        let text = line.text.trim_ascii();
        self.since = self.since.saturating_add(1);
        if let Some((sort, crash)) =
            chromium(text).or_else(|| glog(text)).or_else(|| redis(text)).or_else(|| node(text))
        {
            // glog prints the instruction pointer in the line before.
            let pc = self.pc.take().filter(|_| sort == Sort::Glog && self.since <= 2);
            let message = self.fatal.take().filter(|_| crash.signal == Some(SIGABRT));
            let index = self.begin(line, sort, Crash { message, ..crash }, found);
            if let Some(index) = index {
                if let Some((pc, function)) = pc {
                    interrupted(index, pc, function, found);
                }
                // The walks of the others begin at the code to which the handler returns, or leave
                // it out.
                if matches!(sort, Sort::Chromium | Sort::Redis) {
                    found.by_handler(index);
                }
            }
            *self = Handler { crash: index, sort, ..Handler::default() };
        } else if text == b"*** Check failure stack trace: ***" {
            let mut crash = of(SIGABRT, None, None);
            crash.message = self.fatal.take();
            let crash = found.add(line, crash);
            *self = Handler { crash, sort: Sort::Glog, checked: true, ..Handler::default() };
        } else if let Some(said) = glog_fatal(text) {
            self.fatal = Some(string(said));
        } else if let Some((pc, function)) = text.strip_prefix(b"PC: ").and_then(glog_call) {
            let function = function.map(string);
            if pc == 0 {
                self.since = 0;
            } else if let Some(index) = self.crash.filter(|_| self.since <= 2 && self.calls == 0) {
                // Abseil prints it in the line after.
                interrupted(index, pc, function, found);
            } else {
                (self.pc, self.since) = (Some((pc, function)), 0);
            }
        } else if let Some(index) = self.crash {
            if self.inner(index, text, found) {
                self.since = 0;
            } else if self.since > UNTIL_END || text == b"[end of stack trace]" {
                self.crash = None;
            }
        }
    }
}

/// Adds the frame at the instruction pointer, which is not always on the walked stack.
fn interrupted(index: Index, pc: u64, function: Option<String>, found: &mut Found) {
    let Some(crash) = found.get(index) else { return };
    crash.ip = Some(pc);
    if let Some(function) = function {
        let frame = SymbolFrame { pc: Some(pc), function, ..SymbolFrame::default() };
        found.frame(index, frame);
    }
}

/// Parses `Received signal 11 SEGV_MAPERR 000000000018`. The code is `<unknown>` if the address has
/// no meaning. Other programs log such words about signals that they handle and survive.
fn chromium(text: &[u8]) -> Option<(Sort, Crash)> {
    let rest = text.strip_prefix(b"Received signal ")?;
    let mut words = rest.split(|&b| b == b' ');
    let signal = words.next().and_then(signed)?;
    let name = words.next();
    let address = words.next();
    let is_address = |word: &[u8]| word.len() >= 8 && hex(word).is_some();
    let is_whole = name.is_some() == address.is_some() && address.is_none_or(is_address);
    let code = name.and_then(signal_names::code);
    let is_fault = FAULTS.contains(&signal) || signal == MACOS_SIGBUS && code.is_some();
    (is_whole && is_fault && words.next().is_none()).then_some(())?;
    let address = address.and_then(hex).filter(|_| code.is_some());
    let mut crash = of(signal, code, address);
    // The signal of another system has this number.
    let of_bus = name.is_some_and(|name| name.starts_with(b"BUS_"));
    if code.is_some() && of_bus != (signal == SIGBUS) {
        macos::convert(&mut crash);
    }
    Some((Sort::Chromium, crash))
}

/// The number of SIGBUS on macOS.
const MACOS_SIGBUS: i32 = 10;

/// Parses `*** SIGSEGV (@0x29) received by PID 90 (TID 0x7f3864c7e740) from PID 41; stack trace: ***`
/// and `*** SIGSEGV received at time=1700000000 on cpu 3 ***`. `from PID` is a part of the address,
/// whoever sent the signal.
fn glog(text: &[u8]) -> Option<(Sort, Crash)> {
    let rest = text.strip_prefix(b"*** SIG")?;
    let (name, rest) = take_while(rest, |b| b.is_ascii_uppercase());
    let signal = signal_names::signal(name)?;
    after(rest, "received ").filter(|_| rest.ends_with(b" ***"))?;
    let mut crash = of(signal, None, hex_after(rest, " (@0x"));
    crash.pid = after(rest, " by PID ").and_then(leading_id);
    crash.tid = after(rest, " (TID ").and_then(leading_id);
    Some((Sort::Glog, crash))
}

/// Parses `@     0x7f38629a21ec std::string::assign()`. Abseil prints the size of the frame before the
/// name, or `(unknown)`.
fn glog_call(text: &[u8]) -> Option<(u64, Option<&[u8]>)> {
    let call = text.strip_prefix(b"@ ")?.trim_ascii();
    let (address, rest) = split(call, " ").unwrap_or((call, b""));
    let pc = address.strip_prefix(b"0x").and_then(hex)?;
    let rest = rest.trim_ascii();
    let name = match rest.strip_prefix(b"(unknown) ") {
        Some(name) => name,
        None => take_while(rest, |b| b.is_ascii_digit()).1,
    };
    Some((pc, Some(name.trim_ascii()).filter(|name| !matches!(*name, b"" | b"(unknown)"))))
}

/// The text of `F0101 10:00:00.000000  5678 main.cc:12] Check failed: n > 0 (0 vs. 0)`.
fn glog_fatal(text: &[u8]) -> Option<&[u8]> {
    let (digits, rest) = take_while(text.strip_prefix(b"F")?, |b| b.is_ascii_digit());
    (matches!(digits.len(), 4 | 8) && rest.starts_with(b" ")).then_some(())?;
    let (before, said) = split(rest, "] ")?;
    before.contains(&b':').then_some(said)
}

/// Parses `8565:M 02 Jan 2026 20:53:47.880 # Redis 7.0.15 crashed by signal: 11, si_code: 2`.
fn redis(text: &[u8]) -> Option<(Sort, Crash)> {
    let (before, rest) = split(text, " crashed by signal: ")?;
    let mut crash =
        of(leading_signed(rest)?, after(rest, " si_code: ").and_then(leading_signed), None);
    crash.pid = before
        .first()
        .filter(|b| b.is_ascii_digit())
        .and_then(|_| split(before, ":"))
        .and_then(|(pid, _)| leading_id(pid));
    Some((Sort::Redis, crash))
}

/// Parses `PID 12 received SIGSEGV for address: 0x10`.
fn node(text: &[u8]) -> Option<(Sort, Crash)> {
    let rest = text.strip_prefix(b"PID ")?;
    let (pid, rest) = split(rest, " received ")?;
    let (name, address) = split(rest, " for address: ")?;
    let mut crash = of(signal_names::signal(name)?, None, leading_hex(address));
    crash.pid = Some(leading_id(pid)?);
    Some((Sort::Node, crash))
}

fn of(signal: i32, code: Option<i32>, address: Option<u64>) -> Crash {
    Crash {
        source: CrashSource::Runtime,
        signal: Some(signal),
        code,
        address: address.filter(|_| code.is_none_or(|code| code > 0)),
        present: (signal == SIGSEGV && code == Some(SEGV_ACCERR)).then_some(true),
        ..Crash::default()
    }
}

impl Handler {
    /// Adds a crash, or adds its signal to a report that precedes it.
    fn begin(
        &self,
        line: &Line<'_>,
        sort: Sort,
        mut crash: Crash,
        found: &mut Found,
    ) -> Option<Index> {
        /// Lines of glog between the message of a library and the signal.
        const BETWEEN: usize = 2;
        let aborted = crash.signal == Some(SIGABRT);
        let checked = self.crash.filter(|_| self.checked && sort == Sort::Glog);
        // The signal follows the report of the check that failed, or a message such as that of an
        // exception that was not caught.
        let said = found.same(SIGABRT, BETWEEN).filter(|index| {
            found.get(*index).is_some_and(|known| known.frames.is_empty() && known.pid.is_none())
        });
        let known = checked.or(said).filter(|_| aborted);
        let Some((index, known)) = known.and_then(|index| Some((index, found.get(index)?))) else {
            return found.add(line, crash);
        };
        crash.message = known.message.take().or(crash.message);
        *known = crash;
        Some(index)
    }

    /// Returns whether the line belongs to the report.
    fn inner(&mut self, index: Index, text: &[u8], found: &mut Found) -> bool {
        match self.sort {
            Sort::Chromium => {
                if let Some(call) = frame::numbered(text) {
                    found.frame(index, of_chromium(call));
                    return true;
                }
                found.get(index).is_some_and(|crash| take_registers(crash, text))
            }
            Sort::Glog => {
                let Some((pc, function)) = glog_call(text) else {
                    // A logger may repeat the report, each line with its own prefix.
                    let repeated = split(text, "] ").and_then(|(_, said)| split(said, ": "));
                    let of_report = |said: &[u8]| {
                        ["*** SIG", "PC: @ ", "@ "].iter().any(|b| said.starts_with(b.as_bytes()))
                    };
                    let repeats =
                        repeated.is_some_and(|(_, said)| of_report(said.trim_ascii_start()));
                    if repeats {
                        found.touch(index);
                    }
                    return repeats;
                };
                let Some(crash) = found.get(index) else { return false };
                let mut function = function.map(string).unwrap_or_default();
                let interrupted = crash.ip == Some(pc) && self.calls < MAX_HANDLERS as u32;
                if interrupted {
                    // The frames before are those of the handler, or this one.
                    let known = crash.frames.drain(..).find(|frame| frame.pc == Some(pc));
                    if let Some(known) = known.filter(|_| function.is_empty()) {
                        function = known.function;
                    }
                }
                // The walk begins at the code to which the handler returns.
                let returns = self.calls == 0 && function.is_empty() && !interrupted;
                self.calls += 1;
                if !returns {
                    let frame = SymbolFrame { pc: Some(pc), function, ..SymbolFrame::default() };
                    found.frame(index, frame);
                }
                true
            }
            Sort::Redis => self.redis(index, text, found),
            Sort::Node => {
                let frame = frame::of_glibc(text);
                let understood = frame.is_some();
                let none = found.get(index).is_some_and(|crash| crash.frames.is_empty());
                // The handler comes first, and the code of the C library to which it returns.
                let of_handler = |frame: &SymbolFrame| {
                    frame.function.is_empty()
                        && (frame.module.contains("segfault-handler")
                            || frame.module.contains("/libc")
                            || frame.module.contains("/libpthread"))
                };
                let frame = frame.filter(|frame| !(none && of_handler(frame)));
                frame.into_iter().for_each(|frame| found.frame(index, frame));
                understood
            }
        }
    }

    fn redis(&mut self, index: Index, text: &[u8], found: &mut Found) -> bool {
        let Some(crash) = found.get(index) else { return false };
        if let Some(address) = hex_after(text, "Accessing address: ") {
            crash.address = Some(address).filter(|_| crash.code.is_none_or(|code| code > 0));
        } else if let Some(ip) = hex_after(text, "Crashed running the instruction at: ") {
            crash.ip = Some(ip);
        } else if let Some(sender) = after(text, "Killed by PID: ") {
            let uid = after(sender, "UID: ").and_then(leading_id);
            crash.sender =
                leading_id(sender).zip(uid).map(|(pid, uid)| crate::crash::Sender { pid, uid });
        } else if let Some(frame) = frame::of_glibc(&without_title(text)) {
            // The frame of the crash comes first, then all frames with the handler's.
            if frame.pc.is_some() && frame.pc == crash.ip {
                crash.frames.clear();
            }
            found.frame(index, frame);
        } else if text.starts_with(b"RAX:") || !crash.registers.is_empty() {
            return registers::take(crash, text);
        } else {
            return false;
        }
        true
    }
}

/// Removes the title that Redis gives its process, `redis-server *:6379(f+0x1)[0x2]`, and what is
/// before the name of the program.
fn without_title(text: &[u8]) -> Vec<u8> {
    let Some((title, call)) = split(text, "(") else { return text.to_vec() };
    let words: Vec<&[u8]> = title.split(|&b| b == b' ').filter(|word| !word.is_empty()).collect();
    let name = match words.iter().position(|word| word.contains(&b':')) {
        Some(at) => at.checked_sub(1).and_then(|at| words.get(at)),
        None => words.last(),
    };
    [name.copied().unwrap_or_default(), b"(", call].concat()
}

/// Parses `0x55dcb8634630 (/opt/app/app+0x4d1b462)` and `0x55dcb8634630 base::f()`.
fn of_chromium(text: &[u8]) -> SymbolFrame {
    let mut frame = frame::of_sanitizer(text);
    if frame.function.starts_with("<unknown>") {
        frame.function.clear();
    }
    frame
}

/// Parses `  r8: 0000000000000000  r9: …` and `  ip: 000055dcc8807a40 efl: … erf: … trp: … cr2: …`.
fn take_registers(crash: &mut Crash, text: &[u8]) -> bool {
    let mut rest = text;
    let mut any = false;
    while let Some((name, behind)) = split(rest, ": ") {
        let (digits, behind) = take_while(behind, |b| b.is_ascii_hexdigit());
        let Some(value) = hex(digits).filter(|_| matches!(digits.len(), 8 | 16)) else { break };
        rest = behind.trim_ascii_start();
        any = true;
        take_register(crash, name, value, digits.len() == 16);
    }
    any
}

fn take_register(crash: &mut Crash, name: &[u8], value: u64, wide: bool) {
    crash.machine = crash.machine.or(Some(if wide { Machine::X86_64 } else { Machine::X86 }));
    let letter = if wide { 'r' } else { 'e' };
    let name = match name {
        b"efl" => "eflags".to_owned(),
        b"erf" => "err".to_owned(),
        b"trp" => "trapno".to_owned(),
        [b'a'..=b'd', b'x'] | b"di" | b"si" | b"bp" | b"sp" | b"ip" => {
            format!("{letter}{}", string(name))
        }
        _ if name.starts_with(b"r") => string(name),
        _ => return,
    };
    crash.registers.push((name, value));
    let value = |name| registers::value(crash, &[name]);
    if let (Some(error), Some(vector)) = (value("err"), value("trapno")) {
        if vector == PAGE_FAULT && crash.address.is_some() {
            page_fault::take(crash, error);
        } else if vector == GENERAL_PROTECTION && crash.code.is_none() {
            crash.code = Some(SI_KERNEL);
        }
    }
}
