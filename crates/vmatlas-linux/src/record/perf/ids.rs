//! The ids of tracepoints, which can change at each boot.

use super::error::Error;
use super::parse::{self, Parsed, SAMPLE_TYPE, Said};
use super::tracepoints::{TRACEPOINTS, Tracepoint};
use crate::record::arch::{SAMPLED, Sampled};
use crate::sys::hold::hold;
use crate::sys::null_calls::Caller;
use crate::sys::perf_event::{self, Attr, Event, Ring, Where, flag, sample};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use std::fs::File;
use std::io::Read as _;

/// The source of the ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// From tracefs.
    Tracefs,
    /// From trying all ids, because only root can read tracefs.
    Tried,
}

/// The tracepoints of this kernel and their ids.
pub(super) struct Ids {
    pub(super) ids: Vec<(Tracepoint, u64)>,
    pub(super) found: Found,
    /// Keeps the tried events open while this is open.
    pub(super) held: Option<OwnedFd>,
    /// `maple_tree:ma_write`, if requested and present.
    pub(super) tree_write: Option<TreeWriteFormat>,
    /// `exceptions:page_fault_user` and `exceptions:page_fault_kernel` of x86, if requested and
    /// present.
    pub(super) faults: Option<[FaultFormat; 2]>,
}

/// A tracepoint of page faults: its id and the offsets of the relevant fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FaultFormat {
    pub(super) id: u64,
    pub(super) address: usize,
    pub(super) error_code: usize,
}

/// `maple_tree:ma_write`: its id and the offsets of the relevant fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TreeWriteFormat {
    pub(super) id: u64,
    pub(super) index: usize,
    pub(super) last: usize,
    pub(super) value: usize,
}

/// Finds the ids.
pub(super) fn find(tree_write: bool, faults: bool) -> Result<Ids, Error> {
    if let Some(events) = tracefs() {
        let ids: Vec<_> = TRACEPOINTS
            .iter()
            .filter_map(|point| {
                let path = format!("syscalls/{}/id", point.name());
                Some((*point, read(&events, &path)?.trim().parse().ok()?))
            })
            .collect();
        if !ids.is_empty() {
            let tree_write = tree_write
                .then(|| read(&events, "maple_tree/ma_write/format"))
                .flatten()
                .and_then(|text| tree_write_format(&text));
            let fault = |name| {
                let text = read(&events, &format!("exceptions/page_fault_{name}/format"))?;
                fault_format(&text)
            };
            let both = || Some([fault("user")?, fault("kernel")?]);
            let faults = faults.then(both).flatten();
            return Ok(Ids { ids, found: Found::Tracefs, held: None, tree_write, faults });
        }
    }
    try_all()
}

/// The directory `events` of tracefs. If tracefs is not mounted, it is mounted privately until the
/// descriptor is closed.
fn tracefs() -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let places = ["/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"];
    let mounted = places.iter().find_map(|path| {
        let events = openat(CWD, *path, flags, Mode::empty()).ok()?;
        read(&events, "syscalls/sys_exit_mmap/id").is_some().then_some(events)
    });
    mounted.or_else(|| {
        let fs = fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC).ok()?;
        fsconfig_create(&fs).ok()?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let root = fsmount(fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes).ok()?;
        // The mount lives as long as a file in it is open.
        openat(&root, "events", flags, Mode::empty()).ok()
    })
}

fn read(events: &OwnedFd, path: &str) -> Option<String> {
    let file = openat(events, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut text = String::new();
    File::from(file).take(1 << 16).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Reads the `format` file of `maple_tree:ma_write`.
pub(super) fn tree_write_format(text: &str) -> Option<TreeWriteFormat> {
    let offset = |name: &str| word_offset(text, name);
    Some(TreeWriteFormat {
        id: id(text)?,
        index: offset(" index")?,
        last: offset(" last")?,
        value: offset(" * val").or_else(|| offset(" *val"))?,
    })
}

/// Reads the `format` file of a tracepoint of page faults.
pub(super) fn fault_format(text: &str) -> Option<FaultFormat> {
    Some(FaultFormat {
        id: id(text)?,
        address: word_offset(text, " address")?,
        error_code: word_offset(text, " error_code")?,
    })
}

fn id(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("ID: ")?.trim().parse().ok())
}

/// The offset of a field of 8 bytes in the records of a tracepoint, from its `format` file.
fn word_offset(text: &str, name: &str) -> Option<usize> {
    let (_, rest) = text.lines().find_map(|line| line.split_once(&format!("{name};\toffset:")))?;
    let (offset, rest) = rest.split_once(';')?;
    rest.starts_with("\tsize:8;").then_some(())?;
    offset.parse().ok()
}

/// Tracepoint ids have 16 bits.
const END: u64 = 1 << 16;
/// After this many unused ids there are no more: built-in tracepoints have consecutive ids.
const GAP: u64 = 1024;

/// Opens every possible tracepoint on a process of ours that makes each of the calls, and checks
/// which tracepoint fires. Closing the last event of a tracepoint takes some 40 ms, during which recorded
/// threads cannot make others. So they stay open until the recording has ended, and a separate
/// process closes them.
///
/// Users may read only the fields of system call tracepoints, so few others can be opened.
fn try_all() -> Result<Ids, Error> {
    let failed = |errno: Errno| Error::NoTracepoints(format!("tracefs cannot be read, {errno}"));
    let attr = Attr {
        kind: perf_event::TYPE_TRACEPOINT,
        sample_period: 1,
        sample_type: SAMPLE_TYPE | sample::RAW | sample::REGS_USER,
        sample_regs_user: SAMPLED,
        clockid: perf_event::CLOCK,
        flags: flag::EXCLUDE_KERNEL | flag::EXCLUDE_HV | flag::USE_CLOCKID | flag::SAMPLE_ID_ALL,
        ..Attr::default()
    };
    let caller = Caller::start().map_err(failed)?;
    let target = Where::Task(caller.tid());
    let holder = Attr { kind: perf_event::TYPE_SOFTWARE, config: perf_event::SW_DUMMY, ..attr };
    let holder = Event::open(&holder, target).map_err(failed)?;
    let mut ring = Ring::new(&holder, 64 << 10).map_err(failed)?;
    let mut events = Vec::new();
    let mut unknown = 0;
    for config in 1..END {
        match Event::open(&Attr { config, ..attr }, target) {
            Ok(event) => {
                event.write_to(&holder).map_err(failed)?;
                events.push((event.id().map_err(failed)?, config, event));
                unknown = 0;
            }
            // The id exists, but we lack the permission.
            Err(Errno::PERM | Errno::ACCESS) => unknown = 0,
            Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => return Err(failed(errno)),
            Err(_) if unknown == GAP => break,
            Err(_) => unknown += 1,
        }
    }
    let mut found = Vec::new();
    for point in TRACEPOINTS.iter() {
        ring.take(usize::MAX, |_| {});
        caller.make(point.call).map_err(failed)?;
        let mut hit = None;
        ring.take(usize::MAX, |bytes| {
            if let Parsed::Record(record) = parse::parse(bytes, |_| Some(attr.sample_type))
                && let Said::Sample(sample) = record.said
                && sample.raw.as_deref().and_then(call_number) == Some(point.number)
                && sample.registers.as_ref().is_some_and(has_begun) == point.enters()
            {
                hit = Some(record.who.id);
            }
        });
        let config = events.iter().find(|(id, ..)| Some(*id) == hit).map(|(_, config, _)| *config);
        found.extend(config.map(|config| (*point, config)));
    }
    if found.is_empty() {
        let text = "tracefs cannot be read, and no tracepoint answered to a system call";
        return Err(Error::NoTracepoints(text.to_owned()));
    }
    for (_, _, event) in &events {
        event.disable().map_err(failed)?;
    }
    let files = events.into_iter().map(|(_, _, event)| event.into()).collect();
    // Without such a process they are closed here, which takes time.
    Ok(Ids {
        ids: found,
        found: Found::Tried,
        held: hold(files).ok(),
        tree_write: None,
        faults: None,
    })
}

/// `__syscall_nr`, the first field of all system call tracepoints.
fn call_number(raw: &[u8]) -> Option<i64> {
    Some(i32::from_ne_bytes(raw.get(8..12)?.try_into().ok()?).into())
}

/// Whether the record is from the start of a call, which has no result yet. None of the calls made
/// returns ENOSYS on a kernel with its tracepoint.
fn has_begun(registers: &Sampled) -> bool {
    registers.result() == -i64::from(libc::ENOSYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_of_a_tree_write() {
        let text = "name: ma_op\nID: 2323\nformat:\n\
            \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
            \tfield:unsigned long index;\toffset:32;\tsize:8;\tsigned:0;\n\
            \tfield:unsigned long last;\toffset:40;\tsize:8;\tsigned:0;\n\
            \tfield:unsigned long piv;\toffset:48;\tsize:8;\tsigned:0;\n\
            \tfield:void * val;\toffset:56;\tsize:8;\tsigned:0;\n";
        let format = TreeWriteFormat { id: 2323, index: 32, last: 40, value: 56 };
        assert_eq!(tree_write_format(text), Some(format));
        assert_eq!(tree_write_format("ID: 2323\n"), None);
    }
}
