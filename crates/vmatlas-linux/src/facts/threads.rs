//! Gathers the threads of a process: names, and stack pointers of blocked threads.

use crate::process::Process;
use rustix::fs::{Dir, Mode, OFlags, openat};
use vmatlas_explain::label::ThreadFacts;

/// All threads, the main thread first.
pub(super) fn of(process: &Process) -> Vec<ThreadFacts> {
    // A thread's directory has no task/: it is inside of one.
    let list = if process.id().tid.is_some() { ".." } else { "task" };
    let mut tids = tids(process, list);
    tids.sort_unstable_by_key(|&tid| (tid != process.id().pid, tid));
    tids.into_iter().map(|tid| thread(process, list, tid)).collect()
}

fn tids(process: &Process, list: &str) -> Vec<u32> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(Ok(entries)) = openat(process.dir(), list, flags, Mode::empty()).map(Dir::new) else {
        return Vec::new();
    };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str().ok()?.parse().ok()).collect()
}

fn thread(process: &Process, list: &str, tid: u32) -> ThreadFacts {
    let read = |file: &str| process.read(&format!("{list}/{tid}/{file}")).unwrap_or_default();
    let mut comm = read("comm");
    comm.pop_if(|last| *last == b'\n');
    let mut facts = ThreadFacts::default();
    (facts.tid, facts.comm) = (tid, comm);
    (facts.stack_pointer, facts.instruction_pointer) = pointers(&read("syscall"));
    facts
}

/// The last two fields of `syscall`. The file contains `running` for a running thread, otherwise
/// the system call number (-1 for none), its arguments, and both pointers, see proc_pid_syscall(5).
pub(crate) fn pointers(syscall: &[u8]) -> (Option<u64>, Option<u64>) {
    let fields: Vec<&str> =
        std::str::from_utf8(syscall).unwrap_or_default().split_ascii_whitespace().collect();
    let pointer = |text: &&str| {
        let value = u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()?;
        Some(value).filter(|&value| value != 0)
    };
    match fields.as_slice() {
        [_, .., stack, instruction] => (pointer(stack), pointer(instruction)),
        _ => (None, None),
    }
}
