//! Recordings that are written event by event: what happened in them is known.

use crate::vmatlas::vmatlas;
use tempfile::TempDir;
use vmatlas::recording::{
    Call, CallKind, FileEntry, Meta, RecordedRow, StackId, TaskEntry, TaskId, Tid, What, Writer,
};
use vmatlas::space::Vsyscall;
use vmatlas::{AddressRange, Device, Perms};

const PAGE: u64 = 0x1000;
const BASE: u64 = 0x7f00_0000_0000;

/// A recording that is being written.
struct Made {
    writer: Writer,
}

impl Made {
    fn by(backend: &str) -> Made {
        let meta = Meta {
            kernel: "6.18.0".to_owned(),
            machine: "x86_64".to_owned(),
            page_size: PAGE,
            vsyscall: Vsyscall::None,
            pkeys: true,
            backend: backend.to_owned(),
            began_ns: 1,
            command: vec![b"program".to_vec()],
        };
        Made { writer: Writer::new(&meta) }
    }

    /// A task, not yet with an address space.
    fn task(&mut self, pid: u32, comm: &str) -> TaskId {
        let (tid, comm) = (Tid::new(pid), comm.as_bytes().to_vec());
        self.writer.task(TaskEntry { tid, pid, comm })
    }

    /// Adds an event, `ms` milliseconds after the start.
    fn add(&mut self, ms: u64, task: TaskId, what: What) {
        self.writer.event(ms * 1_000_000, task, StackId::NONE, what);
    }

    fn exec(&mut self, ms: u64, task: TaskId, to: TaskId) {
        self.add(ms, task, What::Exec { to, rows: Vec::new() });
    }

    fn call(&mut self, ms: u64, task: TaskId, kind: CallKind, args: [u64; 6], result: u64) {
        let call = Call { kind, args, result: result as i64 };
        self.add(ms, task, What::Call { call, file: 0, in_order: true });
    }

    /// Maps anonymous memory.
    fn map(&mut self, ms: u64, task: TaskId, page: u64, pages: u64) {
        let args = [0, pages * PAGE, 3, 0x22, u64::MAX, 0];
        self.call(ms, task, CallKind::Mmap, args, BASE + page * PAGE);
    }

    /// Ends the recording, and runs a command on it: `R` in `args` is its name.
    fn finish(mut self) -> Finished {
        self.writer.finish();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("R"), self.writer.take()).unwrap();
        Finished { directory }
    }
}

/// A finished recording.
struct Finished {
    directory: TempDir,
}

impl Finished {
    /// Runs a command on the recording, which is `R` in `args`. Returns all output, and the status.
    fn run(&self, args: &[&str]) -> (String, i32) {
        let path = self.directory.path().join("R").display().to_string();
        let of = |arg: &&str| match arg.strip_prefix('R') {
            Some(rest) => format!("{path}{rest}"),
            None => (*arg).to_owned(),
        };
        let args: Vec<String> = args.iter().map(of).collect();
        let run = vmatlas(&args.iter().map(String::as_str).collect::<Vec<_>>());
        ((run.text() + &run.stderr).replace(&path, "R"), run.status)
    }
}

fn pages(page: u64, pages: u64) -> AddressRange {
    AddressRange::new(BASE + page * PAGE, BASE + (page + pages) * PAGE)
}

/// Resident bytes are those of the last moment at which pages were read; later changes are not
/// known, and are not mixed into them.
#[test]
fn resident_bytes_are_of_the_moment_at_which_they_were_read() {
    let mut made = Made::by("perf");
    let task = made.task(7, "a");
    made.exec(0, task, task);
    made.map(1, task, 0, 16);
    made.add(2, task, What::Fault { address: BASE, write: true });
    made.add(3, task, What::Resident { ranges: vec![pages(0, 8)] });
    made.call(4, task, CallKind::Madvise, [BASE, 8 * PAGE, 4, 0, 0, 0], 0);
    made.call(5, task, CallKind::Munmap, [BASE + 4 * PAGE, 12 * PAGE, 0, 0, 0, 0], 0);
    made.map(6, task, 4, 12);
    let recording = made.finish();
    for (count, what) in [("resident", "mmap by a (7), 0.001 s"), ("touched", "page fault by a")] {
        let (text, status) = recording.run(&["blame", "R", "--count", count]);
        assert_eq!(status, 0, "{text}");
        assert!(
            text.starts_with("7 a after event 4, 0.003 s: 1 mapping (--mappings), 32K"),
            "{text}"
        );
        let read = "(when its resident pages were last read before event 7, 0.006 s)";
        assert!(text.contains(read) && text.contains(what), "{text}");
    }
    let (text, _) = recording.run(&["blame", "R@#4", "--count", "resident"]);
    assert!(!text.contains("(when"), "{text}");
    let (text, _) = recording.run(&["blame", "R"]);
    assert!(text.starts_with("7 a after event 7") && !text.contains("(when"), "{text}");
}

/// What was not recorded is not advised when it was recorded.
#[test]
fn why_resident_bytes_are_not_known() {
    let mut made = Made::by("perf");
    let task = made.task(7, "a");
    made.exec(0, task, task);
    made.map(1, task, 0, 16);
    made.add(2, task, What::Fault { address: BASE, write: true });
    let child = made.task(8, "b");
    made.add(3, task, What::Resident { ranges: vec![pages(0, 8)] });
    made.add(4, task, What::Clone { child, memory: false });
    made.add(5, child, What::Fault { address: BASE, write: true });
    let recording = made.finish();
    let why = |target: &str| {
        let (text, status) = recording.run(&["blame", "-q", target, "--count", "resident"]);
        assert_eq!(status, 2, "{text}");
        text
    };
    assert!(why("R@#2").contains("not recorded up to that moment (record --pages)"));
    for target in ["R@#3", "R:8"] {
        assert!(why(target).contains("but the resident pages were not read up to that moment"));
    }
}

/// A child of vfork(2) that executes a program makes nothing in its parent's address space.
#[test]
fn the_program_of_a_child_makes_nothing_in_its_parent() {
    let mut made = Made::by("ptrace");
    let task = made.task(7, "a");
    made.exec(0, task, task);
    made.map(1, task, 0, 4);
    let (child, ls) = (made.task(8, "a"), made.task(8, "ls"));
    made.add(2, task, What::Clone { child, memory: true });
    made.exec(3, child, ls);
    let recording = made.finish();
    let (text, _) = recording.run(&["blame", "R", "7f0000000000"]);
    assert!(text.contains("made by mmap") && !text.contains("execve"), "{text}");
}

/// A process has the name that it had at the moment.
#[test]
fn a_process_has_the_name_of_the_moment() {
    let mut made = Made::by("ptrace");
    let (task, ls) = (made.task(7, "sh"), made.task(7, "ls"));
    made.exec(0, task, task);
    made.map(1, task, 0, 4);
    made.exec(5, task, ls);
    made.map(6, ls, 0, 4);
    let recording = made.finish();
    for (target, title) in [("R@0.002", "7 sh after event 2"), ("R", "7 ls after event 4")] {
        let (text, _) = recording.run(&["show", target]);
        assert!(text.starts_with(title), "{text}");
    }
}

/// What is offered can be selected, and a number that several processes had is reported.
#[test]
fn processes_that_are_offered_can_be_selected() {
    let mut made = Made::by("ptrace");
    let task = made.task(7, "a");
    made.exec(0, task, task);
    made.map(1, task, 0, 4);
    for (ms, name) in [(10, "b"), (20, "c")] {
        let child = made.task(8, name);
        made.add(ms, task, What::Clone { child, memory: false });
        if name == "b" {
            made.add(ms + 5, child, What::Exit { status: 0 });
        }
    }
    let recording = made.finish();
    let note = |target: &str| recording.run(&["show", "--summary", target]).0;
    assert!(!note("R@0.005").contains("this is process"));
    assert!(note("R@0.012").contains("there are --pid 7 a, --pid 8 b\n"));
    assert!(!note("R@0.017").contains("this is process"));
    assert!(note("R").contains("there are --pid 7 a, --pid 8 c\n"), "{}", note("R"));
    assert!(note("R:8@0.005").contains("no process 8 by then; there are --pid 7 a\n"));
    let reused = "by then 2 processes had the number 8, one after the other; this is number 2";
    assert!(note("R:8").contains(reused), "{}", note("R:8"));
    assert!(!note("R:8@0.012").contains("one after the other"));
}

/// mremap(2) with MREMAP_DONTUNMAP leaves the old mapping, and maps another.
#[test]
fn a_mapping_that_mremap_leaves_stays() {
    let mut made = Made::by("ptrace");
    let task = made.task(7, "a");
    made.exec(0, task, task);
    made.map(1, task, 0, 4);
    let to = BASE + 64 * PAGE;
    made.call(2, task, CallKind::Mremap, [BASE, 4 * PAGE, 4 * PAGE, 5, 0, 0], to);
    let recording = made.finish();
    let (text, _) = recording.run(&["blame", "R", "7f0000000000"]);
    let stays = "contents moved to 0x7f0000040000 by mremap; it stays mapped: \
                 7f0000000000-7f0000004000 16K rw-p";
    assert!(text.contains(stays), "{text}");
}

/// Memory without a name that other calls mapped is another mapping, wherever it is.
#[test]
fn memory_that_was_mapped_anew_did_not_grow() {
    let mut made = Made::by("ptrace");
    let task = made.task(7, "a");
    let (range, perms) = (pages(1000, 1), Perms(*b"rw-p"));
    let rows = vec![RecordedRow { range, perms, offset: 0, file: 0 }];
    made.add(0, task, What::Exec { to: task, rows });
    made.map(1, task, 0, 1);
    made.map(1, task, 100, 4);
    made.call(2, task, CallKind::Munmap, [BASE, PAGE, 0, 0, 0, 0], 0);
    made.map(3, task, 0, 2);
    made.map(4, task, 104, 4);
    let recording = made.finish();
    let (text, _) = recording.run(&["diff", "R@0.001", "R"]);
    assert!(text.contains("- 7f0000000000-7f0000001000") && text.contains("munmap #4"), "{text}");
    assert!(text.contains("+ 7f0000000000-7f0000002000") && text.contains("mmap #5"), "{text}");
    assert!(text.contains("(grew by 16K, mmap #6 "), "{text}");
    assert!(text.contains("1 added, 1 removed, 1 changed, 0 at another"), "{text}");
}

/// A recording does not show whether a file was unlinked after it was mapped.
#[test]
fn a_recorded_file_may_be_deleted() {
    let mut made = Made::by("ptrace");
    let task = made.task(7, "a");
    let file = made.writer.file(&FileEntry {
        device: Device::new(8, 1),
        inode: 9,
        name: b"/tmp/x".to_vec(),
        build_id: Vec::new(),
    });
    let (range, perms) = (pages(0, 1), Perms(*b"r--p"));
    let rows = vec![RecordedRow { range, perms, offset: 0, file }];
    made.add(0, task, What::Exec { to: task, rows });
    let recording = made.finish();
    let (text, _) = recording.run(&["show", "-q", "R", "--json"]);
    assert!(text.contains("\"deleted\":null"), "{text}");
    let (text, _) = recording.run(&["at", "-q", "R", "7f0000000000"]);
    assert!(text.contains("/tmp/x") && !text.contains("deleted"), "{text}");
}
