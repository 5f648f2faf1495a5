//! The order of calls in a recording.

use crate::atlas::Atlas;
use crate::folded_frames::folded_frames;
use crate::recorded::RecordedIn;
use crate::stacks::{Stacks, requester_frames};
use crate::words::origins::folded_frame;
use crate::words::values::seconds;
use std::collections::HashSet;
use std::ops::ControlFlow;
use vmatlas_explain::audit::{Finding, Protection, find_sequences};
use vmatlas_linux::symbols::SymbolFrame;
use vmatlas_maps::uapi::mman::{PROT_EXEC, PROT_READ, PROT_WRITE};
use vmatlas_maps::{AddressRange, Perms};
use vmatlas_recording::{
    CallKind, Event, EventNumber, FileEntry, Maker, Origin, Replay, StackId, TaskId, What,
};

/// Most changes that are kept: a JIT compiler makes thousands, most of them from the same stacks.
const MAX_CHANGES: usize = 1000;
/// Most ranges without the right to write that are remembered.
const MAX_PROTECTED: usize = 1 << 16;
/// Most rows that a call is followed through.
const MAX_ROWS: usize = 64;
/// The functions of a call stack that a finding names.
const FRAMES: usize = 3;

/// Makers of code, by the names of their libraries and of their functions.
const MAKERS: [(&str, &str); 10] = [
    ("libjvm.so", "HotSpot"),
    ("libnode.so", "V8"),
    ("v8::", "V8"),
    ("libluajit", "LuaJIT"),
    ("libcoreclr", ".NET"),
    ("libmono", "Mono"),
    ("libpypy", "PyPy"),
    ("libLLVM", "LLVM"),
    ("libpcre2", "PCRE2"),
    ("libffi", "libffi"),
];

/// A change, and where it comes from.
struct Change {
    protection: Protection,
    call: (&'static str, u64, StackId, TaskId),
    origin: Option<Origin>,
}

/// The findings about the order of calls; none for other sources.
pub(super) fn sequences(atlas: &Atlas) -> Vec<Finding> {
    let recorded = atlas.recorded();
    let Some((recorded, RecordedIn::Recording { recording, .. })) =
        recorded.map(|recorded| (recorded, &recorded.recorded_in))
    else {
        return Vec::new();
    };
    let Some(pid) = recorded.pid() else { return Vec::new() };
    let tasks = recorded.tasks();
    let mut follower = Follower::new(recording.meta().profile());
    let files = &recording.definitions().files;
    // Events that cannot be read have a note of the atlas.
    let _ = recording.events(EventNumber::FIRST, |event| {
        if event.number > recorded.event() {
            return ControlFlow::Break(());
        }
        let is_its = tasks.get(event.task.index()).is_some_and(|task| task.pid == pid);
        follower.see(event, files, is_its);
        ControlFlow::Continue(())
    });
    let mut changes = follower.changes;
    let of_calls = changes.iter().map(|change| (change.call.2, change.call.3));
    let of_origins = changes.iter().filter_map(|change| change.origin);
    let of_origins = of_origins.map(|origin| (origin.stack, origin.task));
    let wanted: Vec<(StackId, TaskId)> = of_calls.chain(of_origins).collect();
    let stacks = Stacks::of_tasks(recording, wanted.into_iter(), atlas.symbols().clone());
    for change in &mut changes {
        let (name, time_ns, stack, task) = change.call;
        let frames = stacks.of_task(tasks, stack, task);
        change.protection.call = format!("by {name} at {}{}", seconds(time_ns), by(frames));
        change.protection.maker = maker(frames);
        change.protection.origin = match change.origin {
            Some(origin) => {
                let when = match origin.maker {
                    Maker::Before => String::new(),
                    _ => format!(" at {}", seconds(origin.time_ns)),
                };
                format!("mapped by {}{when}{}", origin.maker.name(), by(stacks.get(tasks, &origin)))
            }
            None => "no event shows who mapped it".to_owned(),
        };
    }
    let protections: Vec<Protection> =
        changes.into_iter().map(|change| change.protection).collect();
    find_sequences(&protections)
}

/// The functions of a stack that explain most, in a phrase.
fn by(frames: &[SymbolFrame]) -> String {
    let folded = folded_frames(requester_frames(frames));
    let names: Vec<String> = folded.iter().take(FRAMES).map(folded_frame).collect();
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(" < ")) }
}

fn maker(frames: &[SymbolFrame]) -> Option<&'static str> {
    let is_of = |frame: &SymbolFrame, sign: &str| {
        let module = frame.module.rsplit('/').next().unwrap_or_default();
        module.starts_with(sign) || frame.function.starts_with(sign)
    };
    let of_frame = |frame: &SymbolFrame| MAKERS.iter().find(|(sign, _)| is_of(frame, sign));
    frames.iter().find_map(of_frame).map(|(_, name)| *name)
}

/// Follows the events and keeps the changes that rules are about.
struct Follower {
    replay: Replay,
    /// Addresses from which a call took the right to write.
    protected: Vec<AddressRange>,
    /// The kinds of changes that were kept, by their stacks.
    known: HashSet<(Perms, Perms, StackId, StackId)>,
    changes: Vec<Change>,
}

impl Follower {
    fn new(profile: vmatlas_space::KernelProfile) -> Follower {
        let (protected, changes) = (Vec::new(), Vec::new());
        Follower { replay: Replay::new(profile), protected, known: HashSet::new(), changes }
    }

    fn see(&mut self, event: &Event, files: &[FileEntry], is_its: bool) {
        let before = if is_its { self.before(event) } else { Vec::new() };
        self.replay.apply(event, files);
        if !is_its {
            return;
        }
        match &event.what {
            What::Exec { .. } => self.protected.clear(),
            What::Call { call, file, .. } if call.kind == CallKind::Mmap && call.result > 0 => {
                let entry = files.get(*file as usize).filter(|_| *file != 0);
                let prot = call.args[2];
                if let Some(entry) = entry
                    && prot & PROT_EXEC != 0
                    && entry.name.ends_with(b" (deleted)")
                    && let Some(range) =
                        AddressRange::sized(call.result.cast_unsigned(), call.args[1])
                {
                    let name = entry.name.clone();
                    let mut protection = Protection::new(range, None, perms(prot), name);
                    protection.is_file = true;
                    self.keep(event, "mmap", protection, None);
                }
            }
            What::Call { call, .. } if is_mprotect(call.kind) && call.result == 0 => {
                let after = perms(call.args[2]);
                for (mut protection, origin) in before {
                    let range = protection.range;
                    let was = protection.before.unwrap_or(after);
                    if was.write() && !after.write() && self.protected.len() < MAX_PROTECTED {
                        self.protected.push(range);
                    }
                    let was_protected = self.protected.iter().any(|other| other.overlaps(&range));
                    let is_wanted =
                        !was.write() && after.write() || !was.execute() && after.execute();
                    if is_wanted {
                        (protection.after, protection.was_protected) = (after, was_protected);
                        self.keep(event, call.kind.name(), protection, origin);
                    }
                }
            }
            _ => {}
        }
    }

    fn keep(
        &mut self,
        event: &Event,
        call: &'static str,
        protection: Protection,
        origin: Option<Origin>,
    ) {
        let was = protection.before.unwrap_or(protection.after);
        let of_origin = origin.map_or(StackId::NONE, |origin| origin.stack);
        let key = (was, protection.after, event.stack, of_origin);
        // Without call stacks each of them counts.
        let is_new = event.stack.is_none() || self.known.insert(key);
        if is_new && self.changes.len() < MAX_CHANGES {
            let call = (call, event.time_ns, event.stack, event.task);
            self.changes.push(Change { protection, call, origin });
        }
    }

    /// The rows that an mprotect is about to change, each with its origin.
    fn before(&self, event: &Event) -> Vec<(Protection, Option<Origin>)> {
        let What::Call { call, .. } = &event.what else { return Vec::new() };
        if !is_mprotect(call.kind) || call.result != 0 {
            return Vec::new();
        }
        let Some(space) = self.replay.space(event.task) else { return Vec::new() };
        let Some(range) = AddressRange::sized(call.args[0], call.args[1]) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut at = range.start;
        while found.len() < MAX_ROWS
            && let Some(row) = space.memory.query(at, true)
            && let Some(part) = row.range.intersect(&range)
        {
            let origin = space.origins_of(part).first().map(|(_, origin)| *origin);
            let mut protection = Protection::new(part, Some(row.perms), row.perms, row.name);
            protection.is_file = row.inode != 0;
            found.push((protection, origin));
            at = row.range.end;
        }
        found
    }
}

fn is_mprotect(kind: CallKind) -> bool {
    matches!(kind, CallKind::Mprotect | CallKind::PkeyMprotect)
}

/// The permissions that `prot` of mmap(2) gives; the last letter is not known.
fn perms(prot: u64) -> Perms {
    let letter = |bit, letter| if prot & bit == 0 { b'-' } else { letter };
    Perms([letter(PROT_READ, b'r'), letter(PROT_WRITE, b'w'), letter(PROT_EXEC, b'x'), b'p'])
}
