//! Crashes that systemd-coredump reports: its journal message, `coredumpctl info`, and journal
//! entries in the export and JSON formats.
//!
//! # References
//!
//! systemd.journal-fields(7), coredumpctl(1), `submit_coredump` in src/coredump/coredump.c of
//! systemd 230 to 257; Journal Export Formats of systemd.

use crate::crash::json::strings;
use crate::crash::line::Line;
use crate::crash::log::{Found, Index, Reader};
use crate::crash::words::{after, decimal, id, leading_id, leading_signed, split, split_last};
use crate::crash::{Crash, CrashSource, frame};
use vmatlas_maps::MapsReader;

/// Reads the output of systemd-coredump.
#[derive(Debug, Default)]
pub(super) struct Coredump {
    crash: Option<Index>,
    part: Part,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Fields,
    /// The stack of the thread that crashed.
    Calls,
    /// The stacks of other threads.
    Others,
    /// The rows of `COREDUMP_PROC_MAPS`.
    Maps,
}

impl Reader for Coredump {
    fn line(&mut self, line: &Line<'_>, found: &mut Found) {
        let text = line.text.trim_ascii();
        if let Some((pid, comm)) = process(text) {
            self.process(line, pid, comm, found);
        } else if let Some((name, value)) = exported(text) {
            self.field(line, name, value, found);
        }
        if let Some(index) = self.crash {
            self.inner(index, line, text, found);
        }
    }
}

/// Parses `PID: 1234 (crasher)` of coredumpctl, or `Process 1234 (crasher) of user 0 dumped core.`
fn process(text: &[u8]) -> Option<(u32, &[u8])> {
    if let Some(rest) = text.strip_prefix(b"PID: ") {
        let (pid, name) = split(rest, " (")?;
        return Some((id(pid)?, name.strip_suffix(b")")?));
    }
    let (rest, _) = split(after(text, "Process ")?, " dumped core")?;
    let (pid, name) = split(rest, " (")?;
    Some((id(pid)?, split_last(name, ") of user ")?.0))
}

/// Parses `COREDUMP_PID=1234`.
fn exported(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = split(text, "=")?;
    (name.starts_with(b"COREDUMP_") && name.iter().all(|&b| b.is_ascii_uppercase() || b == b'_'))
        .then_some((name, value))
}

impl Coredump {
    fn process(&mut self, line: &Line<'_>, pid: u32, comm: &[u8], found: &mut Found) {
        let index = self.of_process(line, Some(pid), found);
        if let Some(crash) = index.and_then(|index| found.get(index)) {
            crash.comm.get_or_insert_with(|| comm.to_owned());
        }
    }

    /// Returns the crash of this process: the current one, or a new one.
    fn of_process(
        &mut self,
        line: &Line<'_>,
        pid: Option<u32>,
        found: &mut Found,
    ) -> Option<Index> {
        if let Some(crash) = self.crash.and_then(|index| found.get(index))
            && (pid.is_none() || crash.pid.is_none() || crash.pid == pid)
        {
            crash.pid = crash.pid.or(pid);
            return self.crash;
        }
        let crash = Crash { source: CrashSource::Coredump, pid, ..Crash::default() };
        *self = Coredump { crash: found.add(line, crash), part: Part::Fields };
        self.crash
    }

    fn field(&mut self, line: &Line<'_>, name: &[u8], value: &[u8], found: &mut Found) {
        let pid = (name == b"COREDUMP_PID").then(|| id(value)).flatten();
        let Some(index) = self.of_process(line, pid, found) else { return };
        self.part = Part::Fields;
        if let Some(crash) = found.get(index) {
            take_field(crash, name, value);
        }
    }

    fn inner(&mut self, index: Index, line: &Line<'_>, text: &[u8], found: &mut Found) {
        let Some(crash) = found.get(index) else { return };
        if let Some(signal) = text.strip_prefix(b"Signal: ").and_then(leading_signed) {
            crash.signal = Some(signal);
        } else if text == b"COREDUMP_PROC_MAPS" {
            // The length of the field comes first, then the rows.
            self.part = Part::Maps;
        } else if self.part == Part::Maps {
            if text.is_empty() || text.starts_with(b"COREDUMP_") || text.starts_with(b"_") {
                self.part = Part::Fields;
            } else {
                found.maps(index, line);
            }
        } else if let Some(thread) = text.strip_prefix(b"Stack trace of thread ") {
            self.thread(index, leading_id(thread), found);
        } else if let Some(call) = frame::numbered(text).filter(|_| self.part == Part::Calls) {
            // If systemd's walk found no end, its last frame has address 0 and no module.
            let frame = frame::of_systemd(call);
            if !frame.module.is_empty() || frame.pc != Some(0) {
                found.frame(index, frame);
            }
        }
    }

    fn thread(&mut self, index: Index, tid: Option<u32>, found: &mut Found) {
        let Some(crash) = found.get(index) else { return };
        // The first thread is the one that crashed.
        if crash.frames.is_empty() && self.part != Part::Others {
            crash.tid = tid;
            self.part = Part::Calls;
        } else {
            self.part = Part::Others;
        }
    }

    /// Reads a line of `journalctl -o json`, which is a whole entry. Returns whether the entry is
    /// one of systemd-coredump.
    pub(super) fn entry(&mut self, line: &Line<'_>, found: &mut Found) -> bool {
        let text = line.text;
        if !text.starts_with(b"{") || after(text, "\"COREDUMP_").is_none() {
            return false;
        }
        let crash = Crash { source: CrashSource::Coredump, ..Crash::default() };
        *self = Coredump { crash: found.add(line, crash), part: Part::Fields };
        let Some(index) = self.crash.take() else { return true };
        for (name, value) in strings(text) {
            if name == b"MESSAGE" {
                for text in value.split(|&b| b == b'\n') {
                    let line = Line { text, ..*line };
                    self.inner(index, &line, text.trim_ascii(), found);
                }
            } else if name == b"COREDUMP_PROC_MAPS" {
                if let Some(crash) = found.get(index) {
                    crash.maps = MapsReader::read(&value);
                }
            } else if let Some(crash) = found.get(index) {
                take_field(crash, &name, &value);
            }
        }
        true
    }
}

fn take_field(crash: &mut Crash, name: &[u8], value: &[u8]) {
    match name {
        b"COREDUMP_PID" => crash.pid = id(value),
        b"COREDUMP_TID" => crash.tid = id(value),
        b"COREDUMP_COMM" => crash.comm = Some(value.to_owned()),
        b"COREDUMP_SIGNAL" => {
            crash.signal = decimal(value).and_then(|signal| i32::try_from(signal).ok());
        }
        _ => {}
    }
}
