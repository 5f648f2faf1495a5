//! Android's tombstones, and the copy that debuggerd writes to logcat.
//!
//! # References
//!
//! system/core/debuggerd/libdebuggerd/{tombstone.cpp,tombstone_proto_to_text.cpp} of AOSP, Android 5
//! to 15.

use crate::crash::line::Line;
use crate::crash::log::{Found, Index, Reader};
use crate::crash::words::{
    after, between, hex, hex_after, leading_hex, leading_id, leading_signed, split, split_last,
    string, take_while,
};
use crate::crash::{Access, Crash, CrashSource, Machine, Sender, SymbolFrame, registers};
use vmatlas_maps::uapi::siginfo::SEGV_ACCERR;
use vmatlas_maps::uapi::signal::SIGSEGV;

/// The most processes that write tombstones at the same time, and the most crashes of which only the
/// signal has come.
const MAX_WRITERS: usize = 64;

/// Reads tombstones. In logcat those of several processes may be interleaved.
#[derive(Debug, Default)]
pub(super) struct Tombstone {
    /// The tombstones that are being read, by the process that writes each.
    writers: Vec<(Option<u32>, Writing)>,
    /// Crashes of which only the line of the signal has come, and their threads.
    announced: Vec<(Index, Option<u32>)>,
}

/// A tombstone that is being read.
#[derive(Clone, Copy, Debug, Default)]
struct Writing {
    crash: Option<Index>,
    /// The machine, from a line before the line of the process.
    machine: Option<Machine>,
    part: Part,
    /// The least number of the next frame; a copy may lack some.
    next: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    /// The signal, and the registers of the thread that crashed.
    #[default]
    Head,
    /// The stack of that thread.
    Calls,
    /// The parts after the stack, such as the stack that freed the memory.
    Behind,
    /// Other threads.
    Others,
}

impl Reader for Tombstone {
    fn line(&mut self, line: &Line<'_>, found: &mut Found) {
        let text = line.text.trim_ascii();
        if text.starts_with(b"*** *** ***") {
            *self.writing(line) = Writing::default();
        } else if let Some(crash) = announced(text) {
            let tid = crash.tid;
            if self.announced.len() >= MAX_WRITERS {
                self.announced.remove(0);
            }
            self.announced.extend(found.add(line, crash).map(|index| (index, tid)));
        } else if text.starts_with(b"--- --- ---") {
            self.writing(line).part = Part::Others;
        } else if let Some(abi) = between(text, "ABI: '", "'") {
            self.writing(line).machine = machine(abi);
        } else if let Some(crash) = process(text).filter(|_| self.part(line) != Part::Others) {
            let machine = self.writing(line).machine;
            let crash = Crash { machine, ..crash };
            // The tombstone tells more of the same crash.
            let known = self.announced.iter().rposition(|(_, tid)| *tid == crash.tid);
            let index = match known.map(|at| self.announced.remove(at).0) {
                Some(index) => {
                    found.get(index).into_iter().for_each(|known| *known = crash.clone());
                    Some(index)
                }
                None => found.add(line, crash),
            };
            *self.writing(line) = Writing { crash: index, machine, ..Writing::default() };
        } else if let Some(writing) = self.known(line)
            && let Some(index) = writing.crash
        {
            found.maps(index, line);
            writing.inner(index, text, found);
        }
    }
}

impl Tombstone {
    /// The tombstone that the writer of a line is writing.
    fn known(&mut self, line: &Line<'_>) -> Option<&mut Writing> {
        let mut all = self.writers.iter_mut();
        all.find(|(writer, _)| *writer == line.writer).map(|(_, writing)| writing)
    }

    /// The part of it.
    fn part(&mut self, line: &Line<'_>) -> Part {
        self.known(line).map_or(Part::Head, |writing| writing.part)
    }

    /// The same; a new one if there is none.
    fn writing(&mut self, line: &Line<'_>) -> &mut Writing {
        let at = self.writers.iter().position(|(writer, _)| *writer == line.writer);
        let at = at.unwrap_or_else(|| {
            if self.writers.len() >= MAX_WRITERS {
                self.writers.remove(0);
            }
            self.writers.push((line.writer, Writing::default()));
            self.writers.len() - 1
        });
        &mut self.writers[at].1
    }
}

impl Writing {
    fn inner(&mut self, index: Index, text: &[u8], found: &mut Found) {
        let Some(crash) = found.get(index) else { return };
        if self.part == Part::Others {
        } else if let Some(rest) = text.strip_prefix(b"signal ") {
            signal(crash, rest);
        } else if let Some(rest) = text.strip_prefix(b"Cause: ") {
            found.say(index, rest);
        } else if let Some(rest) = text.strip_prefix(b"Abort message: ") {
            // A message of several lines ends with the quote in a line of its own.
            let rest = rest.strip_prefix(b"'").unwrap_or(rest);
            found.say(index, rest.strip_suffix(b"'").unwrap_or(rest));
        } else if text == b"backtrace:" && self.part == Part::Head {
            self.part = Part::Calls;
        } else if let Some((number, frame)) = text.strip_prefix(b"#").and_then(frame) {
            if self.part == Part::Calls {
                // Another stack begins with 0 again.
                if number >= self.next {
                    self.next = number.saturating_add(1);
                    found.frame(index, frame);
                } else {
                    self.part = Part::Behind;
                }
            }
        } else if self.part == Part::Head {
            registers::take(crash, text);
        } else if self.part == Part::Calls
            && !crash.frames.is_empty()
            && (text.is_empty() || text.ends_with(b":"))
        {
            // Other lines may be those of other programs in the same log.
            self.part = Part::Behind;
        }
    }
}

fn machine(abi: &[u8]) -> Option<Machine> {
    Some(match abi {
        b"arm64" => Machine::AArch64,
        b"arm" => Machine::Arm,
        b"x86" => Machine::X86,
        b"x86_64" => Machine::X86_64,
        b"riscv64" => Machine::RiscV64,
        _ => return None,
    })
}

/// Parses `pid: 12345, tid: 12346, name: worker  >>> com.example <<<`
fn process(text: &[u8]) -> Option<Crash> {
    let rest = text.strip_prefix(b"pid: ")?;
    let (name, _) = split_last(after(rest, ", name: ")?, "  >>> ")?;
    Some(Crash {
        source: CrashSource::Tombstone,
        pid: leading_id(rest),
        tid: after(rest, ", tid: ").and_then(leading_id),
        comm: Some(name.to_owned()),
        ..Crash::default()
    })
}

/// Parses the line that the C library logs before debuggerd does:
/// `Fatal signal 11 (SIGSEGV), code 1 (SEGV_MAPERR), fault addr 0x10 in tid 7253 (worker), pid 2930 (x)`;
/// before Android 8 `Fatal signal 11 (SIGSEGV) at 0x00000010 (code=1), thread 7253 (worker)`.
fn announced(text: &[u8]) -> Option<Crash> {
    let rest = text.strip_prefix(b"Fatal signal ")?;
    let mut crash = Crash { source: CrashSource::Tombstone, ..Crash::default() };
    signal(&mut crash, rest);
    crash.signal?;
    if let Some((_, code)) = split(rest, " (code=") {
        crash.code = leading_signed(code);
        crash.address = hex_after(rest, " at 0x").filter(|_| crash.code.is_some_and(|c| c > 0));
    }
    let thread = after(rest, " in tid ").or_else(|| after(rest, ", thread "))?;
    crash.tid = leading_id(thread);
    crash.comm = between(thread, " (", ")").map(<[u8]>::to_vec);
    crash.pid = after(thread, ", pid ").and_then(leading_id);
    Some(crash)
}

/// Parses `11 (SIGSEGV), code 1 (SEGV_MAPERR), fault addr 0x0000000000000010 (read)`. Very old
/// versions print no code, and dashes if the kernel reports no address.
fn signal(crash: &mut Crash, rest: &[u8]) {
    // By this signal debuggerd asks for a tombstone of a process that goes on.
    let asked = after(rest, " (<debuggerd signal>)").is_some();
    crash.signal = leading_signed(rest).filter(|_| !asked);
    crash.code = after(rest, ", code ").and_then(leading_signed);
    // `code 0 (SI_USER from pid 1000, uid 1000)`
    let number = |name: &str| after(rest, name).and_then(leading_id);
    crash.sender = number(" from pid ").zip(number(", uid ")).map(|(pid, uid)| Sender { pid, uid });
    let Some(address) = after(rest, ", fault addr ") else { return };
    crash.address = leading_hex(address).filter(|_| crash.code.is_none_or(|code| code > 0));
    crash.access = match split(address, " (").map(|(_, access)| access) {
        Some(b"read)") => Some(Access::Read),
        Some(b"write)") => Some(Access::Write),
        _ => None,
    };
    crash.present =
        (crash.signal == Some(SIGSEGV) && crash.code == Some(SEGV_ACCERR)).then_some(true);
}

/// Parses `00 pc 0000000000012345  /system/lib64/libc.so (abort+164) (BuildId: 9f2c)`, without the
/// `#`. Returns the number, too.
fn frame(text: &[u8]) -> Option<(u32, SymbolFrame)> {
    let (number, rest) = take_while(text, |b| b.is_ascii_digit());
    let rest = rest.trim_ascii_start().strip_prefix(b"pc ").filter(|_| !number.is_empty())?;
    let number = leading_id(number)?;
    let (offset, rest) = take_while(rest.trim_ascii_start(), |b| b.is_ascii_hexdigit());
    let offset = hex(offset)?;
    let mut module = rest.trim_ascii();
    let mut function = None;
    // Parentheses after the file contain the offset in an archive, the function, or the build id.
    for note in [" (BuildId: ", " (", " (offset "] {
        if !module.ends_with(b")") {
            break;
        }
        let Some((before, inner)) = split_last(module, note) else { continue };
        if note == " (" && !inner.starts_with(b"offset ") && !inner.starts_with(b"BuildId: ") {
            // Names of functions contain parentheses too, but begin after the file.
            let (before, inner) =
                split(module, " (offset ").and_then(|(_, rest)| split(rest, ") (")).map_or_else(
                    || split(module, " (").unwrap_or((before, inner)),
                    |(_, f)| (before, f),
                );
            module = split(before, " (offset ").map_or(before, |(file, _)| file);
            function = inner.strip_suffix(b")").map(without_offset);
            break;
        }
        module = before;
    }
    // In memory without a file the offset counts from the start of the mapping:
    // `<anonymous:7f1234567000>`.
    let start = hex_after(module, "<anonymous:");
    let absolute = (module == b"<unknown>" || module.is_empty()).then_some(0);
    let frame = SymbolFrame {
        pc: start.or(absolute).and_then(|start| start.checked_add(offset)),
        module: string(module),
        offset: Some(offset),
        function: function.map(string).unwrap_or_default(),
        ..SymbolFrame::default()
    };
    Some((number, frame))
}

/// The name in `name+164`.
fn without_offset(name: &[u8]) -> &[u8] {
    match split_last(name, "+") {
        Some((before, digits)) if digits.iter().all(u8::is_ascii_digit) => before,
        _ => name,
    }
}
