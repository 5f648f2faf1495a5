//! Compares strace logs of real programs with the maps that their processes had at the end.

use crate::vmatlas::{testdata, vmatlas, vmatlas_with_input};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The options that make strace log the needed calls.
const TRACE: &[&str] = &["-f", "-e", "trace=%memory,%process,%file,%desc,ipc"];

/// The number of rows of a log by their agreement with the kernel's rows.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    /// The rows that are identical byte for byte.
    exact: usize,
    /// The rows that are missing or lack device and inode, where vmatlas reports that the log does
    /// not record them.
    missing: usize,
    /// All other rows.
    wrong: usize,
}

impl Share {
    fn percent(self) -> f64 {
        100.0 * self.exact as f64 / (self.exact + self.missing + self.wrong) as f64
    }

    fn percent_of_logged(self) -> f64 {
        100.0 * self.exact as f64 / (self.exact + self.wrong) as f64
    }
}

impl std::ops::Add for Share {
    type Output = Share;
    fn add(self, other: Share) -> Share {
        Share {
            exact: self.exact + other.exact,
            missing: self.missing + other.missing,
            wrong: self.wrong + other.wrong,
        }
    }
}

/// A program, its arguments, and the files that it needs.
type Run<'a> = (&'a str, &'a [&'a str], &'a [(&'a str, &'a str)]);

/// A traced program: its log and the final maps of each of its processes.
struct Followed {
    directory: TempDir,
}

impl Followed {
    /// Traces a program; `None` if strace is not permitted.
    fn new(options: &[&str], (program, args, files): Run<'_>) -> Option<Followed> {
        let directory = TempDir::new().unwrap();
        let path = |name: &str| directory.path().join(name);
        for (name, text) in files {
            std::fs::write(path(name), text).unwrap();
        }
        let library = path("maps_at_exit.so");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-w", "-o"])
            .arg(&library)
            .arg(testdata().join("programs/maps_at_exit.c"))
            .status();
        assert!(compiled.is_ok_and(|status| status.success()), "cc");
        std::fs::create_dir(path("maps")).unwrap();
        let mut strace = Command::new("strace");
        strace.args(TRACE).args(options).arg("-o").arg(path("log"));
        strace.arg("-E").arg(format!("LD_PRELOAD={}", library.display()));
        strace.arg("-E").arg(format!("MAPS_DIR={}", path("maps").display()));
        strace.arg(program).args(args).current_dir(directory.path()).env("LC_ALL", "C.UTF-8");
        let status = strace.stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !status.is_ok_and(|status| status.success()) {
            assert!(std::env::var_os("CI").is_none(), "{program} could not be followed");
            eprintln!("skipped: {program} cannot be followed here");
            return None;
        }
        Some(Followed { directory })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn pids(&self) -> BTreeSet<u32> {
        let entries = std::fs::read_dir(self.path("maps")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.map(|name| name.strip_suffix(".maps").unwrap().parse().unwrap()).collect()
    }

    /// The log up to the call in which a process reads its maps.
    fn cut(&self, log: &Path, pid: u32) -> PathBuf {
        let text = std::fs::read(log).unwrap();
        let mark = format!("maps/{pid}.maps\"");
        let text = String::from_utf8(text).unwrap();
        let length = match text.find(&mark) {
            Some(at) => text[..at].rfind('\n').map_or(0, |end| end + 1),
            None => text.len(),
        };
        let cut = self.path(&format!("cut-{pid}"));
        std::fs::write(&cut, &text[..length]).unwrap();
        cut
    }

    fn share(&self) -> Share {
        let pids = self.pids();
        assert!(!pids.is_empty());
        pids.iter().map(|pid| self.share_of(*pid)).fold(Share::default(), |a, b| a + b)
    }

    fn share_of(&self, pid: u32) -> Share {
        let log = self.cut(&self.path("log"), pid);
        self.compare(pid, &format!("{}:{pid}", log.display()))
    }

    fn compare(&self, pid: u32, target: &str) -> Share {
        let run = vmatlas(&["show", target, "--raw"]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        let kernel = std::fs::read_to_string(self.path(&format!("maps/{pid}.maps"))).unwrap();
        let shown = run.text();
        let model: BTreeSet<&str> = shown.lines().collect();
        let mut share = Share::default();
        // Whether the kernel joined two rows depends on page faults, which no log has.
        let is_in_doubt = |row: &str, others: &BTreeSet<&str>| {
            run.stderr.contains("one row may be two")
                && others.iter().any(|other| is_part(row, other) || is_part(other, row))
        };
        for row in kernel.lines() {
            if model.contains(row) {
                share.exact += 1;
            } else if is_in_doubt(row, &model) || is_missing_fact(row, &model, &run.stderr) {
                share.missing += 1;
            } else {
                share.wrong += 1;
                eprintln!("{target}: not in the log's map: {row}");
            }
        }
        let kernel: BTreeSet<&str> = kernel.lines().collect();
        // For rows without an inode the kernel's row was counted above.
        let without_inode = |row: &str| {
            let name = row.split_whitespace().nth(5).unwrap_or("?");
            run.stderr.contains(&format!("does not show device and inode of {name}"))
        };
        for row in model.iter().filter(|row| !kernel.contains(*row) && !without_inode(row)) {
            if is_in_doubt(row, &kernel) {
                continue;
            }
            share.wrong += 1;
            eprintln!("{target}: only in the log's map: {row}");
        }
        if share.wrong > 0 {
            eprintln!("{}", run.stderr);
        }
        share
    }
}

/// Whether a row of anonymous memory covers a part of the addresses of another with its permissions.
fn is_part(row: &str, of: &str) -> bool {
    let fields = |row: &str| -> Option<(u64, u64, String)> {
        let (range, rest) = row.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some((number(start)?, number(end)?, rest.trim_end().to_owned()))
    };
    let (Some((start, end, rest)), Some((from, to, other))) = (fields(row), fields(of)) else {
        return false;
    };
    from <= start && end <= to && rest == other && rest.ends_with(" 00:00 0")
}

/// Whether vmatlas reports that the log does not record a row.
fn is_missing_fact(row: &str, model: &BTreeSet<&str>, said: &str) -> bool {
    let fields: Vec<&str> = row.split_whitespace().collect();
    match fields[..] {
        [.., "[stack]"] => said.contains("does not show where [stack] is"),
        [.., "[vdso]" | "[vvar]" | "[vvar_vclock]"] => said.contains("where [vdso]"),
        [range, perms, offset, _, _, name, ..] => {
            let nothing = format!("{range} {perms} {offset} ");
            let shown = model.iter().find(|row| row.starts_with(&nothing));
            said.contains(&format!("does not show device and inode of {name}"))
                && shown.is_some_and(|row| row.contains(" 0 ") && row.contains(name))
        }
        _ => false,
    }
}

const JAVA: &str = "import java.util.*;
public class T {
    public static void main(String[] args) throws Exception {
        List<Thread> threads = new ArrayList<>();
        for (int n = 0; n < 4; n++) {
            Thread thread = new Thread(() -> {
                Map<Integer, String> map = new HashMap<>();
                for (int i = 0; i < 20000; i++) map.put(i, \"n\" + i);
                System.out.println(map.size());
            });
            thread.start();
            threads.add(thread);
        }
        for (Thread thread : threads) thread.join();
    }
}";

const PYTHON: &str = "import json, os, re, threading, ctypes, mmap, subprocess, tempfile
file = tempfile.TemporaryFile()
file.truncate(1 << 16)
shared = mmap.mmap(file.fileno(), 1 << 16)
anonymous = mmap.mmap(-1, 1 << 20)
threads = [threading.Thread(target=lambda: [bytearray(n) for n in range(0, 1 << 20, 1 << 14)]) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
subprocess.run(['true'])
print(len(json.dumps(list(range(100000)))))
";

#[test]
fn most_rows_of_real_programs_are_exact() {
    let bash =
        "x=$(echo one | cat); for i in 1 2 3; do (read -r y <<< $x; echo $y); done; /bin/true";
    let runs: [Run<'_>; 4] = [
        ("bash", &["-c", bash], &[]),
        ("python3", &["program.py"], &[("program.py", PYTHON)]),
        (
            "gcc",
            &["-O2", "-pipe", "tiny.c", "-o", "tiny"],
            &[("tiny.c", "int main(void){return 0;}")],
        ),
        ("java", &["T.java"], &[("T.java", JAVA)]),
    ];
    let mut all = Share::default();
    for run in runs {
        let program = run.0;
        let Some(followed) = Followed::new(&[], run) else { return };
        let share = followed.share();
        eprintln!(
            "{program}: {} processes, {share:?}: {:.2} % of all rows, {:.2} % of those that the log determines",
            followed.pids().len(),
            share.percent(),
            share.percent_of_logged()
        );
        assert!(share.percent_of_logged() >= 99.0, "{program}");
        all = all + share;
    }
    eprintln!(
        "all: {all:?}: {:.2} % of all rows, {:.2} % of those that the log determines",
        all.percent(),
        all.percent_of_logged()
    );
    assert!(all.percent_of_logged() >= 99.0);
}

#[test]
fn with_other_options_it_is_the_same() {
    let bash = "x=$(echo one); (echo $x); cat < /dev/null";
    for options in [
        &["-y", "-v", "-ttt"][..],
        &["-yy", "-Y", "-tt", "-r", "-T", "-i", "-n"],
        &["-k", "-t"],
        &["-X", "raw"],
    ] {
        let Some(followed) = Followed::new(options, ("bash", &["-c", bash], &[])) else { return };
        let share = followed.share();
        eprintln!("{options:?}: {share:?}");
        assert_eq!(share.wrong, 0, "{options:?}");
    }
}

#[test]
fn files_per_process() {
    for options in [&["-ff"][..], &["-ff", "-ttt"]] {
        let args = ["-c", "x=$(echo one); (echo $x)"];
        let Some(followed) = Followed::new(options, ("bash", &args, &[])) else { return };
        let log = followed.path("log");
        for pid in followed.pids() {
            let share = followed.compare(pid, &format!("{}:{pid}", log.display()));
            assert_eq!(share.wrong, 0);
        }
    }
}

const LOG: &str = "strace/child.log";

#[test]
fn a_moment_of_a_process_of_a_log() {
    let rows = |target: &str| -> Vec<String> {
        let run = vmatlas(&[target, "--raw", "-q"]);
        assert_eq!(run.status, 0, "{target}: {}", run.stderr);
        run.text().lines().map(str::to_owned).collect()
    };
    let made =
        |rows: &[String]| rows.iter().any(|row| row.starts_with("7fb267201000-7fb267202000 ---p"));
    assert!(made(&rows(LOG)));
    assert!(made(&rows("strace/child.log:18657@0.0018")));
    assert!(!made(&rows("strace/child.log@0.001")));
    assert!(!made(&rows("strace/child.log:18658")));
    assert_eq!(rows("strace/child.log:18657@#58"), rows(LOG));
}

/// The line that shows the end of a process is no moment of it.
#[test]
fn a_moment_after_the_end_of_a_process_of_a_log_is_refused() {
    for target in ["strace/child.log:18657@99", "strace/child.log@#59"] {
        let run = vmatlas(&[target]);
        assert_eq!((run.status, run.text().as_str()), (2, ""), "{target}");
        let why = "process 18657 was not alive then; line 59 shows its end";
        assert!(run.stderr.contains(why), "{}", run.stderr);
    }
    let last = vmatlas(&["strace/child.log:18657"]).text();
    assert!(last.starts_with("18657 child after line 58"), "{last}");
}

#[test]
fn logs_are_compared() {
    let run = vmatlas(&["diff", "strace/child.log:18657", "strace/child.log:18658", "-q"]);
    assert_eq!(run.status, 1);
    assert!(run.text().contains("2 removed"), "{}", run.text());
    assert_eq!(vmatlas(&["diff", LOG, "strace/child.log@#58", "-q"]).status, 0);
}

#[test]
fn missing_facts_of_a_log_are_reported() {
    let run = vmatlas(&["show", LOG, "--json"]);
    let json = run.json();
    assert_eq!(
        (&json["target"]["source"], &json["target"]["pid"]),
        (&"strace".into(), &18657.into())
    );
    let said = json["warnings"].to_string();
    for part in [
        "this is process 18657; there are strace/child.log:18657 child, strace/child.log:18658 child",
        "does not show where [stack] is",
        "does not show the segments of /tmp/demo/child",
        "does not show device and inode of /tmp/demo/maps_at_exit.so",
        "the log does not name the kernel",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(vmatlas(&["at", "strace/child.log:18658", "7fb267202000"]).status == 0);
}

#[test]
fn warnings_of_two_moments_of_a_log_are_given_once() {
    let run = vmatlas(&["diff", "strace/child.log@0.001", "strace/child.log@0.003"]);
    let stack = "the log does not show where [stack] is: no row";
    assert_eq!(run.stderr.matches(stack).count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains(&format!("vmatlas: strace/child.log: {stack}")), "{}", run.stderr);
    // What is true of one moment only.
    assert!(run.stderr.contains("strace/child.log@0.003: line 32"), "{}", run.stderr);
    assert!(!run.stderr.contains("the log ends"), "{}", run.stderr);
    let log = std::fs::read_to_string(testdata().join(LOG)).unwrap();
    let directory = TempDir::new().unwrap();
    let cut = directory.path().join("log").display().to_string();
    let lines: Vec<&str> = log.lines().take(40).collect();
    std::fs::write(&cut, lines.join("\n")).unwrap();
    let ended = vmatlas(&[&format!("{cut}@0.5")]).stderr;
    assert!(ended.contains("@0.5: the log ends after"), "{ended}");
}

#[test]
fn moments_that_are_none() {
    let message = |target: &str| {
        let run = vmatlas(&[target]);
        assert_eq!((run.status, run.text().as_str()), (2, ""));
        run.stderr
    };
    insta::assert_snapshot!(message("strace/child.log:7"), @"vmatlas: strace/child.log:7: no process 7 is in the log by then; there are strace/child.log:18657 child, strace/child.log:18658 child");
    insta::assert_snapshot!(message("strace/child-18657.maps@1"), @"vmatlas: strace/child-18657.maps: a text of rows is of one moment, so it takes neither --at nor @TIME");
    insta::assert_snapshot!(message("strace/child.log@soon"), @"vmatlas: strace/child.log@soon: no moment: `soon`; a moment is seconds from the start (1.25), `end`, or #N for after event N");
    let log = "brk(NULL) = 0x5000\nbrk(0x6000) = 0x6000\n";
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("log"), log).unwrap();
    let timeless = vmatlas(&[&format!("{}/log@1", directory.path().display())]).stderr;
    assert!(timeless.contains("the log has no times"), "{timeless}");
    let run = vmatlas_with_input(&["-", "--raw"], log.as_bytes());
    assert!(run.text().starts_with("00005000-00006000 rw-p 00000000 00:00 0"), "{}", run.all());
}

/// Bytes by origin: the innermost function of the program itself, the call, and the kind of
/// evidence. Bytes that execve maps are left out, because no log records the position of the stack.
type Bytes = BTreeMap<(String, String, String), u64>;

/// The document of `blame --json`. Each byte of each mapping must have exactly one origin.
fn blamed(target: &str, program: &str) -> (Bytes, serde_json::Value) {
    let run = vmatlas(&["blame", target, "--json", "-q"]);
    assert_eq!(run.status, 0, "{target}: {}", run.stderr);
    let json = run.json();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let mut bytes = Bytes::new();
    for mapping in json["mappings"].as_array().unwrap() {
        let mut at = text(&mapping["start"]);
        for origin in mapping["origins"].as_array().unwrap() {
            assert_eq!(text(&origin["start"]), at, "{mapping}");
            at = text(&origin["end"]);
            let frames = origin["stack"].as_array().unwrap();
            let own = frames.iter().find(|frame| text(&frame["module"]).ends_with(program));
            let function = own.map(|frame| text(&frame["function"])).unwrap_or_default();
            let key = (function, text(&origin["syscall"]), text(&origin["how"]));
            if key.1 != "execve" {
                *bytes.entry(key).or_default() += origin["bytes"].as_u64().unwrap();
            }
        }
        assert_eq!(at, text(&mapping["end"]), "{mapping}");
    }
    (bytes, json)
}

/// A program whose origins are known, built in a directory.
struct Makers {
    directory: TempDir,
}

impl Makers {
    fn new() -> Makers {
        let directory = TempDir::new().unwrap();
        let built = Command::new("cc")
            .args(["-O1", "-fno-omit-frame-pointer", "-pthread", "-o"])
            .arg(directory.path().join("makers"))
            .arg(testdata().join("programs/log_makers.c"))
            .status();
        assert!(built.is_ok_and(|status| status.success()), "cc");
        Makers { directory }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// Traces the program, and returns the PID of its child.
    fn follow(&self, options: &[&str]) -> Option<u32> {
        let mut strace = Command::new("strace");
        strace.args(TRACE).args(options).args(["-o", &self.path("log")]);
        let output = strace.arg(self.path("makers")).output().ok()?;
        if !output.status.success() {
            assert!(std::env::var_os("CI").is_none(), "strace could not follow");
            eprintln!("skipped: strace cannot follow here");
            return None;
        }
        Some(String::from_utf8(output.stdout).unwrap().trim().parse().unwrap())
    }

    /// Records the program, and returns the PID of its child.
    fn record(&self) -> Option<u32> {
        let run = vmatlas(&["record", "-q", "-o", &self.path("rec"), "--", &self.path("makers")]);
        if run.status != 0 {
            assert!(std::env::var_os("CI").is_none(), "{}", run.stderr);
            eprintln!("skipped: {}", run.stderr);
            return None;
        }
        Some(run.text().trim().parse().unwrap())
    }
}

/// The pages whose origin is a call in a function.
fn pages_of(bytes: &Bytes, function: &str, call: &str, how: &str) -> u64 {
    let key = (function.to_owned(), call.to_owned(), how.to_owned());
    bytes.get(&key).copied().unwrap_or(0) / 4096
}

#[test]
fn a_log_blames_the_functions_that_mapped() {
    let makers = Makers::new();
    let Some(child) = makers.follow(&["-k", "-ttt"]) else { return };
    let log = makers.path("log");
    let (bytes, json) = blamed(&log, "/makers");
    assert_eq!(
        (&json["target"]["source"], &json["target"]["comm"]),
        (&"strace".into(), &"makers".into())
    );
    let made = |function: &str, call: &str| pages_of(&bytes, function, call, "recorded");
    assert_eq!(made("left", "mmap"), 2);
    assert_eq!(made("right", "mmap"), 3);
    assert_eq!(made("holed", "mmap"), 11 - 2);
    assert_eq!((made("moved", "mmap"), made("grow", "mremap")), (3, 2));
    assert_eq!(made("reserve", "mmap"), 64 - 2 - 3 - 5);
    assert_eq!(made("in_thread", "mmap"), 7);
    let (inherited, json) = blamed(&format!("{log}:{child}"), "/makers");
    let of = |function: &str, how: &str| pages_of(&inherited, function, "mmap", how);
    assert_eq!((of("in_child", "recorded"), of("left", "inherited")), (9, 1));
    assert_eq!(json["target"]["pid"], child);
    let text = vmatlas(&["blame", &log, "--by", "thread", "-q"]).text();
    assert!(text.contains(" makers ("), "{text}");

    // If the recorder can follow the program, too, it reports the same origins and bytes.
    let Some(recorded_child) = makers.record() else { return };
    let recording = makers.path("rec");
    assert_eq!(bytes, blamed(&recording, "/makers").0);
    let of_child = vmatlas(&["blame", &recording, "--pid", &recorded_child.to_string(), "--json"]);
    assert_eq!(of_child.status, 0, "{}", of_child.stderr);
    let target = format!("{recording}:{recorded_child}");
    assert_eq!(inherited, blamed(&target, "/makers").0);
}

#[test]
fn a_log_without_stacks_and_times_shows_calls_and_threads() {
    let makers = Makers::new();
    let Some(_) = makers.follow(&[]) else { return };
    let log = makers.path("log");
    let (bytes, json) = blamed(&log, "/makers");
    assert!(bytes.keys().all(|(function, ..)| function.is_empty()), "{bytes:?}");
    assert!(bytes.keys().all(|(.., how)| how == "recorded"), "{bytes:?}");
    assert_eq!(json["target"].get("time_s"), None);
    let text = vmatlas(&["blame", &log, "-q", "--mappings"]).text();
    assert!(!text.contains("0.000 s"), "{text}");
    let since = vmatlas(&["blame", &log, "-q", "--since", "0"]);
    assert_eq!(since.status, 2, "{}", since.all());
    assert!(
        since.stderr.contains("no times (strace -ttt has), so it takes no --since"),
        "{}",
        since.stderr
    );
    let lines = std::fs::read_to_string(&log).unwrap();
    let number = lines.lines().position(|line| line.contains("MREMAP_FIXED")).unwrap() + 1;
    assert!(text.contains(&format!("mremap #{number} makers (")), "{text}");
    // A line number of the log is a moment, too.
    let before = vmatlas(&["blame", &format!("{log}@#{}", number - 1), "-q", "--mappings"]).text();
    assert!(!before.contains("mremap"), "{before}");
    assert_eq!(
        vmatlas(&["blame", &format!("{log}@#{number}"), "-q", "--mappings"])
            .text()
            .matches("mremap #")
            .count(),
        1
    );
}

#[test]
fn the_stacks_of_files_per_process() {
    let makers = Makers::new();
    let Some(child) = makers.follow(&["-k", "-ff", "-t"]) else { return };
    let log = makers.path("log");
    let text = vmatlas(&["blame", &format!("{log}:{child}"), "-q", "--mappings"]).text();
    assert!(text.contains("in_child < main"), "{text}");
    assert!(text.contains("inherited by fork: holed"), "{text}");
}

/// What is said of a moment in a log concerns the lines up to it.
#[test]
fn a_moment_has_no_notes_of_later_lines() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let map = "mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000";
    writeln!(
        file,
        "7 1796046270.000000 execve(\"/bin/true\", [\"true\"], 0x7ffc /* 9 vars */) = 0"
    )
    .unwrap();
    writeln!(
        file,
        "7 1796046270.500000 {map}\n7 1796046271.000000 this is no call\n7 1796046272.000000 brk(NULL) = 0x5000"
    )
    .unwrap();
    // Longer than what is read at once.
    for _ in 0..3000 {
        writeln!(file, "7 1796046273.000000 getpid() = 7").unwrap();
    }
    let path = file.path().to_str().unwrap();
    let notes = |time: &str| vmatlas(&["show", &format!("{path}@{time}"), "--raw"]).stderr;
    for (time, is_bad, ends) in [("0.7", false, false), ("2.5", true, false), ("9", true, true)] {
        let notes = notes(time);
        assert_eq!(notes.contains("not a line of strace"), is_bad, "{time}: {notes}");
        assert_eq!(notes.contains("the log ends after 3 s"), ends, "{time}: {notes}");
        assert_eq!(notes.contains("the log ends"), ends, "{time}: {notes}");
    }
}
