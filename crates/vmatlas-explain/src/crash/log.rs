//! Finds the crashes in a text of any format.

use crate::crash::apport::Apport;
use crate::crash::coredump::Coredump;
use crate::crash::debugger::Debugger;
use crate::crash::go::Go;
use crate::crash::handler::Handler;
use crate::crash::handler_frames::MAX_HANDLERS;
use crate::crash::hs_err::HsErr;
use crate::crash::json;
use crate::crash::kernel_log::KernelLog;
use crate::crash::line::{Line, lines};
use crate::crash::runtime::Runtime;
use crate::crash::sanitizer::Sanitizer;
use crate::crash::tombstone::Tombstone;
use crate::crash::{
    Access, Crash, CrashSource, Sender, SymbolFrame, macos, registers, same, windows,
};
use vmatlas_maps::uapi::signal::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP};
use vmatlas_maps::{Maps, MapsReader};

/// Maximum number of crashes kept of a text.
const MAX_CRASHES: usize = 10_000;
/// Maximum number of frames kept of a crash. An overflowed stack has many more.
const MAX_FRAMES: usize = 4096;
/// Number of bytes before a report that may show the system: what the program's build printed.
const BEFORE: usize = 1024;

/// Finds every crash in a text, in order: lines of the kernel as dmesg, journalctl and syslog print
/// them, tombstones of Android and their lines in logcat, and the reports of runtimes and crash
/// handlers.
///
/// The format is recognised line by line, and one text may contain several formats. Reading
/// never fails: a truncated or damaged report yields a crash with fewer fields.
///
/// ```
/// let line = b"cat[7]: segfault at 10 ip 000055d0c0000217 sp 00007ffe8c4d6c30 error 6 in cat[55d0c0000000+1000]";
/// let crashes = vmatlas_explain::crash::read_log(line);
/// assert_eq!((crashes[0].signal, crashes[0].address), (Some(11), Some(0x10)));
/// ```
pub fn read_log(text: &[u8]) -> Vec<Crash> {
    let mut found = Found { entries: Vec::new(), line: 0 };
    let mut coredump = Coredump::default();
    let mut readers: [Box<dyn Reader>; 9] = [
        Box::<KernelLog>::default(),
        Box::<Tombstone>::default(),
        Box::<HsErr>::default(),
        Box::<Sanitizer>::default(),
        Box::<Go>::default(),
        Box::<Runtime>::default(),
        Box::<Handler>::default(),
        Box::<Debugger>::default(),
        Box::<Apport>::default(),
    ];
    let mut show = |line: &Line<'_>, found: &mut Found| {
        readers.iter_mut().for_each(|reader| reader.line(line, found));
    };
    for line in lines(text) {
        found.line += 1;
        if coredump.entry(&line, &mut found) {
            continue;
        }
        // The message of another entry in the JSON journal is a logged line, or several.
        if let Some(message) = json::message(line.text) {
            let message = message.strip_suffix(b"\n").unwrap_or(&message);
            message.split(|&b| b == b'\n').for_each(|text| {
                show(&Line { text, ..line }, &mut found);
            });
        } else {
            coredump.line(&line, &mut found);
            show(&line, &mut found);
        }
    }
    found.finish(text)
}

/// A reader of one format. It receives every line and uses those of its format.
pub(super) trait Reader {
    /// Reads the next line.
    fn line(&mut self, line: &Line<'_>, found: &mut Found);
}

/// The crashes found so far.
#[derive(Debug)]
pub(super) struct Found {
    entries: Vec<Entry>,
    /// The number of the current line.
    line: usize,
}

#[derive(Debug)]
struct Entry {
    crash: Crash,
    /// The offset in the text of its first line, in bytes.
    start: usize,
    /// The part of the text that contains its mappings, as byte offsets.
    maps: Option<(usize, usize)>,
    /// The number of its last line that is known.
    last_line: usize,
    /// Whether a signal handler of the program printed the stack, which begins with its own frames.
    by_handler: bool,
}

/// The index of a crash that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Index(usize);

impl Found {
    /// Adds a crash that begins with this line; `None` if there are too many.
    pub(super) fn add(&mut self, line: &Line<'_>, crash: Crash) -> Option<Index> {
        self.add_at(line.start, crash)
    }

    /// Adds a crash that began at this byte offset of the text.
    pub(super) fn add_at(&mut self, start: usize, crash: Crash) -> Option<Index> {
        if self.entries.len() >= MAX_CRASHES {
            return None;
        }
        let last_line = self.line;
        self.entries.push(Entry { crash, start, maps: None, last_line, by_handler: false });
        Some(Index(self.entries.len() - 1))
    }

    /// The crash at an index.
    pub(super) fn get(&mut self, index: Index) -> Option<&mut Crash> {
        self.entries.get_mut(index.0).map(|entry| &mut entry.crash)
    }

    /// Notes that the current line belongs to a crash.
    pub(super) fn touch(&mut self, index: Index) {
        let line = self.line;
        if let Some(entry) = self.entries.get_mut(index.0) {
            entry.last_line = line;
        }
    }

    /// Notes that a signal handler of the program prints the stack of this crash.
    pub(super) fn by_handler(&mut self, index: Index) {
        if let Some(entry) = self.entries.get_mut(index.0) {
            entry.by_handler = true;
        }
    }

    /// The crash of the runtime or handler that was found last, if it got this signal and at most
    /// `lines` other lines are between its last line and this one. Another report of the same signal
    /// is about the same crash then.
    pub(super) fn same(&self, signal: i32, lines: usize) -> Option<Index> {
        let index = self.entries.len().checked_sub(1)?;
        let entry = self.entries.get(index)?;
        let near = self.line - entry.last_line <= lines + 1;
        let same = entry.crash.signal == Some(signal);
        (near && same && entry.crash.source == CrashSource::Runtime).then_some(Index(index))
    }

    /// Adds a frame to the stack of a crash, as the caller of the frames before.
    pub(super) fn frame(&mut self, index: Index, frame: SymbolFrame) {
        self.touch(index);
        if let Some(crash) = self.get(index).filter(|crash| crash.frames.len() < MAX_FRAMES) {
            crash.frames.push(frame);
        }
    }

    /// Appends a line to the message of a crash.
    pub(super) fn say(&mut self, index: Index, text: &[u8]) {
        /// Maximum length of the message in bytes.
        const MAX: usize = 16 << 10;
        self.touch(index);
        let Some(crash) = self.get(index) else { return };
        let message = crash.message.get_or_insert_default();
        if message.len() < MAX {
            if !message.is_empty() {
                message.push('\n');
            }
            message.push_str(&super::words::string(text));
        }
    }

    /// Extends the part of the text that may contain the mappings of a crash to the end of this
    /// line.
    pub(super) fn maps(&mut self, index: Index, line: &Line<'_>) {
        if let Some(entry) = self.entries.get_mut(index.0) {
            let start = entry.maps.map_or(line.start, |(start, _)| start);
            entry.maps = Some((start, line.end));
        }
    }

    fn finish(mut self, text: &[u8]) -> Vec<Crash> {
        self.entries.sort_by_key(|entry| entry.start);
        let mut end = text.len();
        for entry in self.entries.iter_mut().rev() {
            if let Some(part) = entry.maps.and_then(|(start, end)| text.get(start..end)) {
                entry.crash.maps = MapsReader::read(part);
            }
            // The report ends where the next one begins.
            let report_end = std::mem::replace(&mut end, entry.start);
            let report = text.get(entry.start..report_end).unwrap_or_default();
            macos::settle(&mut entry.crash, report);
            let near = text.get(entry.start.saturating_sub(BEFORE)..report_end);
            windows::settle(&mut entry.crash, near.unwrap_or_default());
            settle(&mut entry.crash, entry.by_handler);
        }
        let crashes = self.entries.into_iter().map(|entry| entry.crash);
        same::merge(crashes.collect())
    }
}

/// Derives fields from the others of a complete crash.
fn settle(crash: &mut Crash, by_handler: bool) {
    registers::settle(crash);
    leave_out_next_mapping(crash);
    // No thread has the id 0.
    crash.tid = crash.tid.filter(|tid| *tid != 0);
    take_sender(crash);
    // The address of a failed fetch is that of the instruction. AArch64 logs no other.
    if crash.access == Some(Access::Execute) {
        crash.address = crash.address.or(crash.ip);
    }
    // These sources print the first frame without an address; the registers contain it.
    let first = matches!(crash.source, CrashSource::KernelLog | CrashSource::Tombstone);
    if let Some(frame) = crash.frames.first_mut().filter(|_| first) {
        frame.pc = frame.pc.or(crash.ip);
    }
    // A signal handler that prints its own stack appears before the frame that crashed.
    let crashed = |frame: &SymbolFrame| frame.pc.is_some() && frame.pc == crash.ip;
    let handlers = crash.frames.iter().take(MAX_HANDLERS).position(crashed);
    if let Some(handlers) = handlers {
        crash.frames.drain(..handlers);
    } else if by_handler && is_error_of_ruby(crash) {
        crash.leave_out_ruby();
    } else if by_handler {
        crash.leave_out_reporter();
    } else {
        crash.leave_out_handler();
    }
    if crash.maps.is_ordered() {
        let maps = &crash.maps;
        crash.frames.iter_mut().for_each(|frame| place(frame, maps));
    }
}

/// Whether Ruby reported an error of its own and no signal.
fn is_error_of_ruby(crash: &Crash) -> bool {
    let of_ruby = crash.message.as_ref().is_some_and(|said| said.contains(": [BUG] "));
    of_ruby && crash.signal == Some(SIGABRT)
}

/// Older kernels print the next mapping above the instruction pointer if it is in none
/// (`print_vma_addr`).
fn leave_out_next_mapping(crash: &mut Crash) {
    let (Some(ip), Some((_, range))) = (crash.ip, &crash.ip_mapping) else { return };
    if !range.contains(ip) {
        crash.ip_mapping = None;
        crash.frames.clear();
    }
}

/// `si_pid` and `si_uid` stand in the place of `si_addr`. If the source prints an address of a signal
/// that no access causes, or no `si_code` and an address that is the pid and uid of the process
/// itself, it is that of a sender.
fn take_sender(crash: &mut Crash) {
    let (Some(address), Some(signal)) = (crash.address, crash.signal) else { return };
    let (pid, uid) = (address as u32, (address >> 32) as u32);
    let has_address = matches!(signal, SIGSEGV | SIGBUS | SIGILL | SIGFPE | SIGTRAP);
    // The access of a fault is known from its error code or instruction.
    let unknown = crash.code.is_none() && crash.access.is_none();
    let own = Some(pid) == crash.pid && (uid != 0 || address >= 1 << 12);
    if !has_address || unknown && own {
        crash.address = None;
        let sender = Some(Sender { pid, uid }).filter(|_| address != 0);
        crash.sender = crash.sender.or(sender);
    }
}

/// Derives the place of a frame's code in its file from the mappings, if the source does not report
/// it.
fn place(frame: &mut SymbolFrame, maps: &Maps) {
    let Some(pc) = frame.pc.filter(|_| frame.offset.is_none()) else { return };
    let row = maps.find(pc).mapping.and_then(|row| maps.get(row));
    let Some(row) = row.filter(|row| row.name.starts_with(b"/")) else { return };
    frame.offset = (pc - row.range.start).checked_add(row.offset);
    if frame.module.is_empty() {
        frame.module = super::words::string(row.name);
    }
}
