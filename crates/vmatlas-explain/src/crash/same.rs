//! Crashes that two reporters of one text tell of.

use crate::crash::{Crash, CrashSource};

/// Merges the report of systemd-coredump into the kernel's line about the same crash, which comes
/// first.
pub(super) fn merge(crashes: Vec<Crash>) -> Vec<Crash> {
    let mut kept: Vec<Crash> = Vec::with_capacity(crashes.len());
    for crash in crashes {
        match kept.iter_mut().rev().take(MAX_BETWEEN).find(|known| is_same(known, &crash)) {
            Some(known) => take(known, crash),
            None => kept.push(crash),
        }
    }
    kept
}

/// Maximum number of other crashes between two reports of one.
const MAX_BETWEEN: usize = 16;

fn is_same(known: &Crash, dump: &Crash) -> bool {
    let sources = known.source == CrashSource::KernelLog && dump.source == CrashSource::Coredump;
    // A report that was merged has told the process.
    let threads = known.tid.is_some() && known.pid.is_none() && known.tid == dump.tid.or(dump.pid);
    let signals = dump.signal.is_none() || dump.signal == known.signal;
    let first = dump.frames.first().and_then(|frame| frame.pc);
    let places = known.ip.is_some() && known.ip == first;
    let names = known.comm.is_some() && known.comm == dump.comm && first.is_none();
    sources && threads && signals && (places || names)
}

/// Adds what systemd-coredump knows and the kernel does not: the process and the stack.
fn take(known: &mut Crash, dump: Crash) {
    known.pid = dump.pid;
    if !dump.frames.is_empty() {
        known.frames = dump.frames;
    }
    if known.maps.is_empty() {
        known.maps = dump.maps;
    }
}
