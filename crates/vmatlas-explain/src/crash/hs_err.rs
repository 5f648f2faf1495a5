//! The `hs_err_pidN.log` of a HotSpot Java virtual machine.
//!
//! # References
//!
//! `VMError::report` in src/hotspot/share/utilities/vmError.cpp and os_linux_*.cpp of JDK 8 to 24.

use crate::crash::line::Line;
use crate::crash::log::{Found, Index, Reader};
use crate::crash::words::{
    after, hex, hex_after, leading_hex, leading_id, leading_signed, split, take_while,
};
use crate::crash::{
    Crash, CrashSource, Machine, Sender, frame, page_fault, registers, signal_names,
};
use vmatlas_maps::uapi::siginfo::SEGV_ACCERR;
use vmatlas_maps::uapi::signal::SIGSEGV;

/// Maximum number of bytes of code. HotSpot prints fewer.
const MAX_CODE: usize = 4096;

/// Reads the logs of Java virtual machines.
#[derive(Debug, Default)]
pub(super) struct HsErr {
    crash: Option<Index>,
    part: Part,
    /// The lines of the head before the one with the process.
    before: Vec<String>,
    /// Whether the log has a part with native frames.
    native: bool,
}

/// Maximum number of lines kept of the head before the one with the process.
const MAX_BEFORE: usize = 8;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    /// An unknown part.
    #[default]
    Other,
    /// The lines from the first one to the version, each with `#`.
    Head,
    /// The line of the problematic frame in the head.
    Problem,
    NativeFrames,
    JavaFrames,
    Registers,
    Instructions,
    Libraries,
}

impl Reader for HsErr {
    fn line(&mut self, line: &Line<'_>, found: &mut Found) {
        let text = line.text.trim_ascii();
        if let Some(crash) = first_line(text) {
            let before = std::mem::take(&mut self.before);
            *self = HsErr { crash: found.add(line, crash), part: Part::Head, ..HsErr::default() };
            if let Some(crash) = self.crash.and_then(|index| found.get(index)) {
                say_before(crash, before);
            }
        } else if let Some(said) =
            text.strip_prefix(b"#").filter(|_| !matches!(self.part, Part::Head | Part::Problem))
        {
            self.head(said.trim_ascii());
            if let (Some(part), Some(index)) = (heading(text), self.crash) {
                self.enter(part, index, found);
            }
        } else if let Some(index) = self.crash {
            if let Some(part) = heading(text) {
                self.enter(part, index, found);
            } else if text.is_empty() && self.part != Part::Head {
                self.part = Part::Other;
            } else {
                self.inner(index, line, text, found);
            }
        }
    }
}

/// Parses `#  SIGSEGV (0xb) at pc=0x00007f0b7a2d27f4, pid=4167, tid=4168`,
/// `#  Internal Error (f.cpp:12), pid=1, tid=2`.
fn first_line(text: &[u8]) -> Option<Crash> {
    let rest = text.strip_prefix(b"#")?.trim_ascii();
    let (what, ids) = split(rest, ", pid=")?;
    let mut crash = Crash {
        source: CrashSource::HsErr,
        pid: Some(leading_id(ids)?),
        tid: after(ids, ", tid=").and_then(leading_id),
        ..Crash::default()
    };
    if let Some((_, pc)) = split(what, " at pc=") {
        // The number is that of the system, which may not be Linux.
        let (name, _) = split(what, " (0x").unwrap_or_default();
        let number = || hex_after(what, " (0x").and_then(|signal| i32::try_from(signal).ok());
        crash.signal = signal_names::signal(name).or_else(number);
        crash.ip = leading_hex(pc);
        if crash.signal.is_none() {
            crash.message = Some(super::words::string(what));
        }
    } else {
        crash.message = Some(super::words::string(what));
    }
    Some(crash)
}

/// Puts the lines of the head that give a reason before the error in its message.
fn say_before(crash: &mut Crash, before: Vec<String>) {
    let insufficient =
        before.iter().position(|line| line.starts_with("There is insufficient memory"));
    // The line behind it says what failed.
    let mut said: Vec<String> = insufficient
        .into_iter()
        .flat_map(|at| before.get(at + 1).into_iter().chain(before.get(at)).cloned())
        .collect();
    if !said.is_empty() {
        said.extend(crash.message.take());
        crash.message = Some(said.join("\n"));
    }
}

fn heading(text: &[u8]) -> Option<Part> {
    let is = |word: &str| text.starts_with(word.as_bytes());
    Some(if is("# Problematic frame:") {
        Part::Problem
    } else if is("Native frames:") {
        Part::NativeFrames
    } else if is("Java frames:") {
        Part::JavaFrames
    } else if text == b"Registers:" {
        Part::Registers
    } else if is("Instructions: (pc=") {
        Part::Instructions
    } else if is("Dynamic libraries:") {
        Part::Libraries
    } else if is("Register to memory mapping:") || is("Top of Stack:") {
        Part::Other
    } else {
        return None;
    })
}

impl HsErr {
    /// Keeps a line of the head that may stand before the line with the process.
    fn head(&mut self, said: &[u8]) {
        if said.starts_with(b"A fatal error has been") || said.starts_with(b"There is insuff") {
            self.before.clear();
        }
        if !said.is_empty() && self.before.len() < MAX_BEFORE {
            self.before.push(super::words::string(said));
        }
    }

    fn enter(&mut self, part: Part, index: Index, found: &mut Found) {
        self.part = part;
        let Some(crash) = found.get(index) else { return };
        match part {
            // The head contains only the first of these frames.
            Part::NativeFrames => {
                crash.frames.clear();
                self.native = true;
            }
            Part::JavaFrames if !self.native => crash.frames.clear(),
            // The native frames include the Java frames if the walk reached those. If it ended
            // before, the Java frames are the callers.
            Part::JavaFrames if has_java_frames(crash) => self.part = Part::Other,
            Part::JavaFrames => {}
            _ => {}
        }
    }

    fn inner(&mut self, index: Index, line: &Line<'_>, text: &[u8], found: &mut Found) {
        let Some(crash) = found.get(index) else { return };
        if let Some(rest) = text.strip_prefix(b"siginfo:") {
            return siginfo(crash, rest);
        }
        if let Some((_, rest)) =
            text.strip_prefix(b"Current thread (").and_then(|rest| split(rest, "):"))
        {
            return thread(crash, rest);
        }
        if text.starts_with(b"Stack: [") {
            crash.sp = crash.sp.or_else(|| hex_after(text, " sp=0x"));
            return;
        }
        if text.starts_with(b"Memory: ") && crash.signal.is_none() {
            return found.say(index, text);
        }
        if let Some(machine) = after(text, ", linux-").and_then(machine) {
            crash.machine = Some(machine);
            self.part = Part::Other;
            return;
        }
        match self.part {
            Part::Head => {
                let said = text.strip_prefix(b"#").unwrap_or_default().trim_ascii();
                if said.starts_with(b"JRE version") {
                    self.part = Part::Other;
                } else if crash.signal.is_none() && !said.is_empty() {
                    found.say(index, said);
                }
            }
            Part::Problem | Part::NativeFrames | Part::JavaFrames => {
                let text = text.strip_prefix(b"# ").unwrap_or(text);
                if let Some(mut frame) = frame::of_hotspot(text) {
                    frame.pc = frame.pc.or(crash.ip.filter(|_| crash.frames.is_empty()));
                    found.frame(index, frame);
                }
            }
            Part::Registers => {
                if registers::take(crash, text) {
                    settle(crash);
                }
            }
            Part::Instructions => instructions(crash, text),
            Part::Libraries => found.maps(index, line),
            Part::Other => {}
        }
    }
}

/// Whether a frame is one of Java: only native frames have a module.
fn has_java_frames(crash: &Crash) -> bool {
    crash.frames.iter().any(|frame| frame.module.is_empty())
}

/// Parses `JavaThread "main" [_thread_in_native, id=4713, stack(0x…,0x…)]`, without the address of
/// the thread.
fn thread(crash: &mut Crash, text: &[u8]) {
    crash.tid = crash.tid.or_else(|| after(text, ", id=").and_then(leading_id));
    let name = after(text, "Thread \"").and_then(|rest| split(rest, "\" "));
    if let Some((name, _)) = name.filter(|(name, _)| name != b"Unknown thread") {
        crash.comm.get_or_insert_with(|| name.to_owned());
    }
}

/// Parses the machine after `linux-`.
fn machine(text: &[u8]) -> Option<Machine> {
    let (name, _) = take_while(text, |b| b.is_ascii_alphanumeric());
    Some(match name {
        b"amd64" => Machine::X86_64,
        b"x86" | b"i386" | b"i586" | b"i686" => Machine::X86,
        b"aarch64" => Machine::AArch64,
        b"arm" => Machine::Arm,
        b"ppc64" | b"ppc64le" => Machine::PowerPc64,
        b"s390x" => Machine::S390x,
        b"riscv64" => Machine::RiscV64,
        _ => return None,
    })
}

/// Parses ` si_signo: 11 (SIGSEGV), si_code: 1 (SEGV_MAPERR), si_addr: 0x0000000000000010`. JDK 7
/// and some versions of JDK 8 print `=` instead of `: `.
fn siginfo(crash: &mut Crash, text: &[u8]) {
    let value = |name: &str| {
        let rest = after(text, name)?;
        Some(rest.strip_prefix(b": ").or_else(|| rest.strip_prefix(b"=")).unwrap_or(rest))
    };
    crash.signal = crash.signal.or_else(|| leading_signed(value("si_signo")?));
    crash.code = value("si_code").and_then(leading_signed);
    // A signal sent by kill(2) has no address, and HotSpot prints none.
    crash.address = value("si_addr").and_then(leading_hex);
    let number = |name| value(name).and_then(leading_id);
    crash.sender = number("si_pid").zip(number("si_uid")).map(|(pid, uid)| Sender { pid, uid });
    crash.present =
        (crash.signal == Some(SIGSEGV) && crash.code == Some(SEGV_ACCERR)).then_some(true);
}

fn settle(crash: &mut Crash) {
    /// The vector of page faults (`TRAPNO`).
    const PAGE_FAULT: u64 = 14;
    let value = |name| registers::value(crash, &[name]);
    // The error code of x86 is valid only after a page fault: with a sent signal it is an old
    // value.
    let error = value("err").filter(|_| value("trapno") == Some(PAGE_FAULT));
    if let Some(error) = error.filter(|_| crash.address.is_some()) {
        page_fault::take(crash, error);
    }
    if crash.machine == Some(Machine::AArch64) {
        // HotSpot names them R0 to R30.
        for (name, _) in &mut crash.registers {
            if let Some(number) = name.strip_prefix('r').filter(|rest| rest.parse::<u8>().is_ok()) {
                *name = format!("x{number}");
            }
        }
    }
}

/// Parses `0x00007f0b7a2d26f4:   00 00 83 f8 01 0f 87 39`. Newer versions print `=>` before the row
/// of the instruction.
fn instructions(crash: &mut Crash, text: &[u8]) {
    let text = text.strip_prefix(b"=>").unwrap_or(text);
    let Some((address, bytes)) = split(text, ":") else { return };
    let Some(address) = hex(address) else { return };
    let (start, code) = crash.code_bytes.get_or_insert_with(|| (address, Vec::new()));
    if start.checked_add(code.len() as u64) != Some(address) || code.len() >= MAX_CODE {
        return;
    }
    let words = bytes.split(|&b| b == b' ').filter(|word| !word.is_empty());
    code.extend(words.map_while(|word| hex(word).and_then(|byte| u8::try_from(byte).ok())));
}
