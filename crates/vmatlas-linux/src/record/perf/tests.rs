//! Records running programs, and compares the events with the actions that they print.

use super::event::{Call, PerfEvent, Stack};
use super::{Config, Counts, Error, Faults, Found, Perf, Scope, allowed};
use crate::copy_program::copy_program;
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use vmatlas_recording::{CallKind, Tid};

/// Whether this is root, who can read tracefs and record every process; otherwise reports the test
/// as skipped, which CI does not allow.
fn root() -> bool {
    let root = rustix::process::geteuid().is_root() && allowed().is_ok();
    if !root {
        assert!(std::env::var_os("CI").is_none(), "CI must run this test as root");
        eprintln!("skipped: needs root and perf events");
    }
    root
}

/// perf_child, compiled once, in a place where every user can execute it.
fn program() -> &'static Path {
    static COMPILED: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = COMPILED.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("perf_child");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/programs/perf_child.c");
        let mut cc = Command::new("cc");
        cc.args(["-Wall", "-O1", "-pthread", "-o"]).arg(&path).arg(source);
        assert!(cc.status().expect("needs a C compiler").success());
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), all).unwrap();
        (dir, path)
    });
    path
}

/// The tests that record, and the one that fills the rings of all processors: it runs alone.
static RUNNING: (Mutex<Running>, Condvar) =
    (Mutex::new(Running { recorders: 0, flood: false }), Condvar::new());

struct Running {
    recorders: usize,
    flood: bool,
}

/// A part in [`RUNNING`].
struct Turn {
    flood: bool,
}

impl Turn {
    fn take(flood: bool) -> Turn {
        let (running, changed) = &RUNNING;
        let must_wait = |now: &mut Running| now.flood || flood && now.recorders > 0;
        let running = running.lock().unwrap_or_else(PoisonError::into_inner);
        let running = changed.wait_while(running, must_wait);
        let mut running = running.unwrap_or_else(PoisonError::into_inner);
        running.flood = flood;
        running.recorders += usize::from(!flood);
        Turn { flood }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (running, changed) = &RUNNING;
        let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
        running.flood = false;
        running.recorders -= usize::from(!self.flood);
        changed.notify_all();
    }
}

/// A perf_child process, which executes commands.
struct Target {
    _turn: Turn,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Target {
    fn start() -> Target {
        Target::of(&mut Command::new(program()))
    }

    fn of(command: &mut Command) -> Target {
        Target::within(Turn::take(false), command)
    }

    fn within(turn: Turn, command: &mut Command) -> Target {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut target = Target { _turn: turn, child, input, output };
        assert_eq!(target.line(), "ready");
        target
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Sends a command, and returns the output.
    fn ask(&mut self, what: &str) -> Vec<String> {
        self.send(what);
        self.answer()
    }

    fn send(&mut self, what: &str) {
        writeln!(self.input, "{what}").unwrap();
    }

    fn answer(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            match line.as_str() {
                "done" => return lines,
                "" => panic!("it has ended"),
                _ => lines.push(line),
            }
        }
    }

    fn record(&self, config: &Config) -> Perf {
        Perf::attach(self.child.id(), config).unwrap()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All remaining events.
fn finish(perf: Perf) -> (Vec<PerfEvent>, Counts) {
    let mut events = Vec::new();
    let counts = perf.finish(&mut |event| events.push(event));
    (events, counts)
}

/// A call as perf_child prints it.
fn printed(call: &Call) -> String {
    let count = match call.kind {
        CallKind::Mremap => 4,
        kind => kind.arguments().min(4),
    };
    let [a, b, c, d] = [0, 1, 2, 3].map(|at| if at < count { call.args[at] } else { 0 });
    let result = call.result.unwrap();
    format!("{} {} {a:x} {b:x} {c:x} {d:x} {result:x}", call.tid, call.kind.name())
}

fn calls(events: &[PerfEvent]) -> Vec<&Call> {
    let mut calls = Vec::new();
    for event in events {
        if let PerfEvent::Call(call) = event {
            calls.push(call);
        }
    }
    calls
}

/// Checks that the calls printed by a thread are reported in that order.
#[track_caller]
fn check_calls(events: &[PerfEvent], lines: &[String]) {
    let calls = calls(events);
    let mut seen = calls.iter().map(|call| printed(call));
    assert!(!lines.is_empty());
    for line in lines {
        let all = || calls.iter().map(|call| printed(call) + "\n").collect::<String>();
        assert!(seen.any(|seen| seen == *line), "not reported: {line}\namong:\n{}", all());
    }
}

/// Checks the program's events only: others may have filled the rings. On a busy machine records come
/// late.
#[track_caller]
fn check_nothing_lost(counts: &Counts) {
    let Counts { calls, reordered, late, stack_records_lost, stacks_lost, .. } = *counts;
    let some = Counts { calls, reordered, late, ..Counts::default() };
    let none = Counts { stack_records_lost, stacks_lost, ..some };
    assert_eq!(*counts, none);
}

#[test]
fn calls_of_a_running_program_and_their_stacks() {
    if !root() {
        return;
    }
    for scope in [Scope::Threads, Scope::Processors] {
        let mut target = Target::start();
        let perf = target.record(&Config { scope, ..Config::default() });
        assert_eq!(perf.report().threads.len(), 4);
        assert_eq!(perf.report().without, [""; 0]);
        let mut lines = target.ask("calls");
        let (events, counts) = finish(perf);
        check_nothing_lost(&counts);
        let returns = lines.pop().unwrap();
        check_calls(&events, &lines);
        let returns: Vec<u64> =
            returns.split(' ').skip(1).map(|word| u64::from_str_radix(word, 16).unwrap()).collect();
        assert_eq!(returns.len(), 2);
        let made = calls(&events);
        let mprotect = made.iter().find(|call| call.kind == CallKind::Mprotect).unwrap();
        let Stack::Copied(stack) = &mprotect.stack else { panic!("{:?}", mprotect.stack) };
        assert_eq!(stack.sp, mprotect.registers.sp);
        assert!(!mprotect.registers.compat);
        let words: Vec<u64> = (0..).map_while(|at| stack.word(stack.sp + 8 * at)).collect();
        let place = |address: &u64| words.iter().position(|word| word == address).unwrap();
        assert!(place(&returns[0]) < place(&returns[1]), "{words:x?}");
    }
}

#[test]
fn threads_old_and_new_and_children() {
    if !root() {
        return;
    }
    for scope in [Scope::Threads, Scope::Processors] {
        let mut target = Target::start();
        let perf = target.record(&Config { scope, stack_bytes: 0, ..Config::default() });
        let pid = target.child.id();
        let threads = target.ask("threads");
        let new = target.ask("new");
        let fork = target.ask("fork");
        let exec = target.ask("exec");
        let (events, counts) = finish(perf);
        check_nothing_lost(&counts);
        check_calls(&events, &threads);
        check_calls(&events, &new);
        check_calls(&events, &fork);
        assert!(calls(&events).iter().all(|call| call.stack == Stack::NotAsked));
        let id = |line: &String| line.split(' ').next().unwrap().parse::<u32>().unwrap();
        let forked = |child: Tid| {
            events.iter().find_map(|event| match event {
                PerfEvent::Fork { tid, pid, parent_pid, shares_memory, .. } if *tid == child => {
                    Some((*pid, *parent_pid, *shares_memory))
                }
                _ => None,
            })
        };
        assert_eq!(forked(Tid::new(id(&new[0]))), Some((pid, pid, Some(true))));
        let child = id(&fork[0]);
        assert_eq!(forked(Tid::first_of(child)), Some((child, pid, Some(false))));
        let executed = id(exec.last().unwrap());
        let first = Tid::first_of(executed);
        assert_eq!(forked(first), Some((executed, pid, Some(true))));
        let name = |event: &PerfEvent| match event {
            PerfEvent::Exec { pid, name, .. } if *pid == executed => Some(name.clone()),
            _ => None,
        };
        assert_eq!(events.iter().find_map(name), Some(b"true".to_vec()));
        let mapped = |wanted: &str| {
            events.iter().any(|event| {
                matches!(event, PerfEvent::Mmap { mmap, .. }
                    if mmap.pid == executed && mmap.name.ends_with(wanted.as_bytes()))
            })
        };
        assert!(mapped("/bin/true") && mapped("[stack]") && mapped("[vdso]"));
        let exited =
            |event: &PerfEvent| matches!(event, PerfEvent::Exit { tid, .. } if *tid == first);
        assert!(events.iter().any(exited));
    }
}

#[test]
fn children_only_if_asked_for() {
    if !root() {
        return;
    }
    for scope in [Scope::Threads, Scope::Processors] {
        let mut target = Target::start();
        let perf = target.record(&Config { scope, children: false, ..Config::default() });
        let fork = target.ask("fork");
        let new = target.ask("new");
        let (events, counts) = finish(perf);
        check_nothing_lost(&counts);
        check_calls(&events, &new);
        let child = fork[0].split(' ').next().unwrap();
        assert!(calls(&events).iter().all(|call| call.tid.to_string() != child));
    }
}

#[test]
fn threads_that_come_while_events_are_opened() {
    if !root() {
        return;
    }
    for _ in 0..3 {
        let mut target = Target::start();
        // Each thread makes the next and ends.
        target.ask("churn 100000");
        let scope = Scope::Threads;
        let mut perf = target.record(&Config { scope, ..Config::default() });
        let mut events = Vec::new();
        let mut ends = 0;
        let end = Instant::now() + Duration::from_secs(20);
        while ends < 100 && Instant::now() < end {
            perf.poll(Duration::from_millis(20), &mut |event| {
                ends += u32::from(matches!(event, PerfEvent::Exit { .. }));
                events.push(event);
            });
        }
        let counts = perf.finish(&mut |event| events.push(event));
        check_nothing_lost(&counts);
        // Each thread made after the start must have each of its calls reported once.
        let mut made = HashMap::new();
        let mut ended = 0;
        for event in &events {
            match event {
                PerfEvent::Fork { tid, .. } => {
                    made.insert(*tid, 0);
                }
                PerfEvent::Call(Call { tid, result: Some(-22), .. }) => {
                    made.entry(*tid).and_modify(|calls| *calls += 1);
                }
                PerfEvent::Exit { tid, .. } => {
                    ended += 1;
                    assert!(made.remove(tid).is_none_or(|calls| calls == 1), "thread {tid}");
                }
                _ => {}
            }
        }
        assert!(ended > 0);
        eprintln!("{ended} threads ended meanwhile, {:?}", counts);
    }
}

/// Whoever polls may wait long for a processor, so that a ring overflows: that is counted.
#[test]
fn no_call_is_lost_uncounted_beside_programs_that_use_all_processors() {
    if !root() {
        return;
    }
    let turn = Turn::take(true);
    let hog = || Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
    let mut hogs = [hog(), hog()];
    let mut target = Target::within(turn, &mut Command::new(program()));
    let mut perf = target.record(&Config::default());
    target.send("bench 4 20000 17");
    let mut made = [0, 0];
    let mut count = |event| {
        if let PerfEvent::Call(call) = event {
            let wanted = call.args[1] == 0x10000;
            made[0] += u64::from(wanted && call.kind == CallKind::Mmap);
            made[1] += u64::from(wanted && call.kind == CallKind::Munmap);
        }
    };
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| target.answer());
        while !answer.is_finished() {
            perf.poll(Duration::from_millis(20), &mut count);
        }
    });
    let counts = perf.finish(&mut count);
    for hog in &mut hogs {
        hog.kill().unwrap();
        hog.wait().unwrap();
    }
    eprintln!("{counts:?}");
    assert_eq!(counts.unread, 0);
    match counts.calls_lost {
        0 => assert_eq!(made, [80_000, 80_000]),
        lost => assert!(made.iter().sum::<u64>() + lost >= 160_000, "{made:?}"),
    }
}

#[test]
fn page_faults_and_writes_to_trees() {
    if !root() {
        return;
    }
    // With this scope only the program's threads fill the rings, and it makes few faults.
    let lost = faults_of_touching(&Config { scope: Scope::Threads, ..Config::default() });
    assert_eq!(lost, [0; 2]);
    // Other programs also fill the rings of processors, on a busy machine within some milliseconds.
    // Smaller stacks leave room for many more faults.
    let config = Config { scope: Scope::Processors, stack_bytes: 256, ..Config::default() };
    let is_complete = (0..100).any(|_| faults_of_touching(&config) == [0; 2]);
    assert!(is_complete, "other programs filled the rings each time");
}

/// Makes a program touch pages while it is recorded. Each fault must be reported once, with
/// registers and stack, and the write to the tree, unless the counts report the loss. Returns the
/// number of lost records: stacks and faults, and all others.
fn faults_of_touching(config: &Config) -> [u64; 2] {
    const PAGES: u64 = 64;
    let mut target = Target::start();
    let faults = Some(Faults { period: 1, stacks: true });
    let perf = target.record(&Config { faults, tree_writes: true, ..*config });
    assert_eq!(perf.report().scope, config.scope);
    assert_eq!(perf.report().without, [""; 0]);
    let lines = target.ask("touch");
    let start = u64::from_str_radix(&lines[0], 16).unwrap();
    let (events, counts) = finish(perf);
    assert_eq!((counts.late, counts.unread), (0, 0));
    let mut pages: Vec<u64> = Vec::new();
    for event in &events {
        if let PerfEvent::Fault { address, write, registers, stack, .. } = event
            && (start..start + (PAGES << 12)).contains(address)
        {
            // The tracepoints are those of x86.
            assert!(*write, "{address:x}");
            assert!(registers.is_some() && matches!(stack, Stack::Copied(_)));
            pages.push((address - start) >> 12);
        }
    }
    let lost = [counts.stack_records_lost, counts.calls_lost];
    assert!(pages.is_sorted_by(|one, next| one < next), "{pages:?}");
    assert!(
        pages.len() as u64 + lost[0] >= PAGES,
        "{lost:?} lost, but these were reported: {pages:?}"
    );
    // The mapping may have merged with a neighbour.
    let covers = |event: &PerfEvent| {
        matches!(event, PerfEvent::TreeWrite { start: first, last, stored: true, .. }
            if *first <= start && start + (PAGES << 12) - 1 <= *last)
    };
    assert!(events.iter().any(covers) || lost[1] > 0);
    lost
}

#[test]
fn users_record_their_own_programs() {
    if !root() {
        return;
    }
    const USER: &str = "VMATLAS_TEST_AS_USER";
    if std::env::var_os(USER).is_none() {
        // Executes this test again as a user.
        let dir = tempfile::tempdir().unwrap();
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(dir.path(), all).unwrap();
        let copy = dir.path().join("tests");
        copy_program(std::env::current_exe().unwrap(), &copy);
        let status = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&copy)
            .args(["--exact", "--nocapture", "record::perf::tests::as_a_user", "--ignored"])
            .env(USER, program())
            .env_remove("CI")
            .current_dir("/")
            .status();
        assert!(status.unwrap().success());
    }
}

#[test]
#[ignore = "run by users_record_their_own_programs"]
fn as_a_user() {
    let Some(program) = std::env::var_os("VMATLAS_TEST_AS_USER") else { return };
    match allowed() {
        Ok(()) => {}
        Err(error @ (Error::Paranoid { level: 3.. } | Error::Refused(_))) => {
            return eprintln!("skipped: {error}");
        }
        Err(error) => panic!("{error}"),
    }
    let mut target = Target::of(&mut Command::new(program));
    let before = Instant::now();
    let perf = target.record(&Config { tree_writes: true, ..Config::default() });
    eprintln!("{:?} after {:?}", perf.report(), before.elapsed());
    assert_eq!(perf.report().tracepoints, Found::Tried);
    let mut lines = target.ask("calls");
    let threads = target.ask("threads");
    lines.pop();
    let (events, counts) = finish(perf);
    check_nothing_lost(&counts);
    check_calls(&events, &lines);
    check_calls(&events, &threads);
    assert!(calls(&events).iter().all(|call| matches!(call.stack, Stack::Copied(_))));
    let refused = Perf::attach(1, &Config::default()).err();
    assert_eq!(refused, Some(Error::NotPermitted { pid: 1 }));
}

#[test]
fn a_process_that_is_not_there() {
    if !root() {
        return;
    }
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let error = Perf::attach(child.id(), &Config::default()).err();
    assert_eq!(error, Some(Error::NoSuchProcess { pid: child.id() }));
}
