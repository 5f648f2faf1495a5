//! A sink that keeps all reports, and programs to record.

use super::super::{LaunchError, Options, Outcome, run};
use crate::record::sink::{Begun, Registers, Shared, Signal, Sink};
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use vmatlas_recording::{CallKind, Tid};

/// A report that a sink received.
#[derive(Clone, Copy, Debug)]
pub(super) enum Report {
    Begun(Begun),
    Returned { call: Begun, result: i64, mark: usize, in_order: bool },
    Cloned { parent: Tid, child: Tid, shared: Shared },
    Executed { tid: Tid, former: Tid },
    Exiting { tid: Tid },
    Signalled { number: i32, code: i32, address: u64 },
}

/// Keeps all reports.
#[derive(Debug, Default)]
pub(super) struct Collect {
    pub(super) reports: Vec<Report>,
    /// The number of calls after which the recording ends.
    pub(super) enough: Option<usize>,
    pub(super) ticks: usize,
}

impl Sink for Collect {
    type Mark = usize;

    fn read(&mut self, tid: Tid, address: u64, bytes: &mut [u8]) -> usize {
        let memory = std::fs::File::open(format!("/proc/{tid}/mem"));
        memory.and_then(|memory| memory.read_at(bytes, address)).unwrap_or(0)
    }

    fn begun(&mut self, call: &Begun) -> usize {
        assert_ne!(call.registers.ip, 0);
        assert_ne!(call.registers.sp, 0);
        self.reports.push(Report::Begun(*call));
        self.reports.len() - 1
    }

    fn returned(&mut self, call: &Begun, result: i64, mark: usize, in_order: bool) {
        self.reports.push(Report::Returned { call: *call, result, mark, in_order });
    }

    fn cloned(&mut self, parent: Tid, child: Tid, shared: Shared, _: Registers) {
        // The task is stopped, so its memory is readable, unless it was killed.
        let maps = std::fs::read(format!("/proc/{child}/maps"));
        assert!(maps.is_ok() || !std::fs::exists(format!("/proc/{child}")).unwrap());
        self.reports.push(Report::Cloned { parent, child, shared });
    }

    fn executed(&mut self, tid: Tid, former: Tid) {
        std::fs::read(format!("/proc/{tid}/maps")).unwrap();
        self.reports.push(Report::Executed { tid, former });
    }

    fn exiting(&mut self, tid: Tid, _: i32) {
        self.reports.push(Report::Exiting { tid });
    }

    fn signalled(&mut self, _: Tid, signal: &Signal, _: Registers) {
        let Signal { number, code, address, .. } = *signal;
        self.reports.push(Report::Signalled { number, code, address });
    }

    fn tick(&mut self) -> bool {
        self.ticks += 1;
        self.enough.is_none_or(|enough| self.reports.len() < enough)
    }
}

impl Collect {
    /// All calls that returned: the call, the result, and whether its order is certain.
    pub(super) fn calls(&self) -> Vec<(Begun, i64, bool)> {
        let returned = |report: &Report| match *report {
            Report::Returned { call, result, in_order, .. } => Some((call, result, in_order)),
            _ => None,
        };
        self.reports.iter().filter_map(returned).collect()
    }

    /// The tasks that mapped this many pages, with the results.
    pub(super) fn mapped(&self, pages: u64) -> Vec<(Tid, i64)> {
        let calls = self.calls().into_iter();
        let mapped =
            calls.filter(|(call, ..)| call.kind == CallKind::Mmap && call.args[1] == pages * 4096);
        mapped.map(|(call, result, _)| (call.tid, result)).collect()
    }
}

/// A program of testdata/programs, compiled once per test run.
fn compiled(name: &str, flags: &[&str]) -> PathBuf {
    let directory = std::env::current_exe().unwrap().with_file_name("recorded-programs");
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join(format!("{name}{}", flags.concat()));
    // Another test run may be executing the existing file.
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let source = format!("{}/../../testdata/programs/{name}.c", env!("CARGO_MANIFEST_DIR"));
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-O1", "-pthread", "-o"]).arg(&new).arg(source).args(flags);
    assert!(cc.status().expect("needs a C compiler").success());
    std::fs::rename(new, &path).unwrap();
    path
}

/// recorded.c.
pub(super) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| compiled("recorded", &[]))
}

/// The same program, statically linked.
pub(super) fn static_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| compiled("recorded", &["-static"]))
}

/// Reports a skipped test.
pub(super) fn skipped(what: &str) {
    say(&format!("skipped: {what}"));
}

/// Prints a message for the user of the tests.
pub(super) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A recording of a command.
pub(super) struct Recorded {
    pub(super) outcome: Result<Outcome, LaunchError>,
    pub(super) sink: Collect,
    /// Its standard output.
    pub(super) output: String,
}

impl Recorded {
    pub(super) fn status(&self) -> String {
        self.outcome.as_ref().unwrap().status.to_string()
    }
}

/// Records a command.
pub(super) fn record_with(mut command: Command, mut sink: Collect) -> Recorded {
    let mut file: File = tempfile::tempfile().unwrap();
    command.stdout(file.try_clone().unwrap());
    let outcome = run(command, &mut sink, Options::default());
    let mut output = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut output).unwrap();
    Recorded { outcome, sink, output }
}

/// Records recorded.c with these arguments.
pub(super) fn record(args: &[&str]) -> Recorded {
    let mut command = Command::new(program());
    command.args(args);
    record_with(command, Collect::default())
}
