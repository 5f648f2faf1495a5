//! What grows: `diff --sizes` and `watch`.

use crate::schema::Schema;
use crate::terminal::on_screen;
use crate::vmatlas::{command, testdata, vmatlas};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

/// `testdata/programs/growing.c` in one of its modes, which takes steps on demand.
struct Growing(Child);

impl Growing {
    fn start(mode: &str) -> Growing {
        static COMPILED: OnceLock<PathBuf> = OnceLock::new();
        let program = COMPILED.get_or_init(|| {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("growing");
            let new = path.with_extension(format!("new-{}", std::process::id()));
            let mut compiler = Command::new("cc");
            compiler.args(["-O1", "-pthread", "-o"]).arg(&new);
            compiler.arg(testdata().join("programs/growing.c"));
            assert!(compiler.status().expect("needs a C compiler").success());
            std::fs::rename(new, &path).unwrap();
            path
        });
        let mut command = Command::new(program);
        command.arg(mode).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut growing = Growing(command.spawn().unwrap());
        growing.answer();
        growing
    }

    fn answer(&mut self) {
        self.0.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    }

    fn step(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b".").unwrap();
        self.answer();
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.watch.kill();
        let _ = self.watch.wait();
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two snapshots of a process that writes 16 MiB, which it had mapped before.
struct Snapshots(tempfile::TempDir);

impl Snapshots {
    fn make() -> Snapshots {
        let files = Snapshots(tempfile::tempdir().unwrap());
        let mut program = Growing::start("touching");
        let save = |name: &str, pid: &str| {
            let run = vmatlas(&["save", pid, "--sizes", "-o", &files.path(name)]);
            assert_eq!(run.status, 0, "{}", run.stderr);
        };
        save("before", &program.pid());
        (0..16).for_each(|_| program.step());
        save("after", &program.pid());
        files
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn diff(&self, args: &[&str]) -> crate::vmatlas::Run {
        vmatlas(&[&["diff", &self.path("before"), &self.path("after")], args].concat())
    }
}

const TOUCHED: i64 = 16 << 20;

#[test]
fn snapshots_of_equal_rows_differ_in_sizes() {
    let files = Snapshots::make();
    let run = files.diff(&[]);
    assert!(run.text().contains("; resident memory +16M (--sizes)\n"), "{}", run.text());
    let run = files.diff(&["--sizes"]);
    assert_eq!(run.status, 1, "{}", run.stderr);
    let text = run.text();
    let first = text.lines().nth(1).unwrap();
    assert!(first.starts_with("   +16M ") && first.contains(" rw-p"), "{text}");
    assert!(text.lines().last().unwrap().contains("shrank: +16M resident, 0 in size"), "{text}");
    // The same snapshot twice.
    let before = files.path("before");
    let run = vmatlas(&["diff", &before, &before, "--sizes"]);
    assert_eq!(
        (run.status, run.text().as_str()),
        (0, "0 mappings grew, 0 shrank: 0 resident, 0 in size\n")
    );
}

#[test]
fn growth_is_summed_up_by_each_key() {
    let files = Snapshots::make();
    for by in ["mapping", "kind", "label", "file", "image"] {
        let run = files.diff(&["--sizes", "--json", "--by", by]);
        assert_eq!((run.status, run.stderr.as_str()), (1, ""));
        let document = run.json();
        Schema::of("diff").check(&document);
        let growth = &document["growth"];
        assert_eq!(growth["by"], by);
        let items = growth["items"].as_array().unwrap();
        let rss = |item: &Value| item["change"]["rss"].as_i64().unwrap();
        assert!(rss(&items[0]) >= TOUCHED, "{growth}");
        let sum: i64 = items.iter().map(rss).sum();
        assert_eq!(Some(sum), growth["all"]["rss"].as_i64(), "by {by}: {growth}");
        assert!(items.iter().map(|item| rss(item).abs()).is_sorted_by(|a, b| a >= b), "{growth}");
    }
    let csv = files.diff(&["--sizes", "--csv", "--by", "kind"]).text();
    assert!(csv.starts_with("change,rss,pss,uss,swap,size,"), "{csv}");
    let cells: Vec<&str> = csv.lines().nth(1).unwrap().split(',').collect();
    assert_eq!((cells[0], *cells.last().unwrap()), ("", "anonymous"), "{csv}");
    assert!(cells[1].parse::<i64>().unwrap() >= TOUCHED, "{csv}");
}

#[test]
fn filters_of_growth_may_ask_for_sizes() {
    let files = Snapshots::make();
    let run = files.diff(&["--sizes", "--json", "--where", "rss >= 16M"]);
    let growth = run.json()["growth"].clone();
    assert_eq!(growth["items"].as_array().unwrap().len(), 1, "{growth}");
    let run = files.diff(&["--sizes", "--where", "rss > 1T"]);
    assert_eq!(run.status, 1);
    assert!(run.stderr.contains("matches --where"), "{}", run.stderr);
    let maps = "captures/zoo-x86_64-6.18.maps";
    let run = vmatlas(&["diff", maps, maps, "--sizes"]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("only smaps has sizes"), "{}", run.stderr);
    let smaps = std::fs::read(testdata().join("captures/zoo-x86_64-6.18.smaps")).unwrap();
    let both = [smaps.as_slice(), &smaps].concat();
    let run =
        crate::vmatlas::vmatlas_with_input(&["diff", "-", &files.path("before"), "--sizes"], &both);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("has rows of 2 processes, and only rows of one"), "{}", run.stderr);
}

/// `vmatlas watch` of a program, which takes a step after each line.
struct Watching {
    program: Growing,
    watch: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Watching {
    fn start(mode: &str, args: &[&str]) -> Watching {
        let program = Growing::start(mode);
        let pid = program.pid();
        let args = [&["watch", &pid, "--every", "10ms", "--sizes"], args].concat();
        let mut watch =
            command(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(watch.stdout.take().unwrap()).lines();
        Watching { program, watch, lines }
    }

    /// Takes steps until a line is as wanted.
    fn until(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            if wanted(&line) {
                return line;
            }
            self.program.step();
        }
        panic!("it ended");
    }

    /// The rest of what it prints, and its status.
    fn rest(&mut self) -> (String, Option<i32>) {
        let rest: Vec<String> = self.lines.by_ref().map(Result::unwrap).collect();
        (rest.join("\n"), self.watch.wait().unwrap().code())
    }
}

#[test]
fn a_watch_names_what_grows_in_lines_of_json() {
    let mut watching = Watching::start("malloc", &["--ndjson"]);
    let schema = Schema::of("watch");
    let parsed = |line: &str| -> Value {
        let line = serde_json::from_str(line).unwrap();
        schema.check(&line);
        line
    };
    let first = parsed(&watching.until(|_| true));
    assert_eq!(first["target"], watching.program.pid());
    assert!(first["verdict"].is_null() && first["depth"] == "smaps", "{first}");
    let line = parsed(&watching.until(|line| parsed(line)["growing"][0]["measure"] == "rss"));
    assert_eq!(line["growing"][0]["key"], "heap", "{line}");
    assert!(line["verdict"].as_str().unwrap().starts_with("heap grows by "), "{line}");
    let heap = &line["totals"][0];
    let delta = heap["delta"].as_i64().unwrap();
    assert!(heap["key"] == "heap" && delta > 0, "{line}");
    let before = first["totals"].as_array().unwrap().iter().find(|total| total["key"] == "heap");
    let before = before.map_or(0, |total| total["rss"].as_i64().unwrap());
    assert_eq!(heap["rss"].as_i64().unwrap() - before, delta);
}

#[test]
fn a_watch_ends_with_a_summary() {
    let mut watching = Watching::start("malloc", &[]);
    watching.until(|line| line.contains("heap grows by "));
    let pid = watching.watch.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
    let (rest, status) = watching.rest();
    let (_, summary) = rest.rsplit_once(" looks in ").unwrap_or_else(|| panic!("{rest}"));
    assert!(summary.contains(" resident\n"), "{summary}");
    assert!(summary.lines().last().unwrap().starts_with("heap grows by "), "{summary}");
    assert_eq!(status, Some(0));

    let mut watching = Watching::start("none", &[]);
    watching.until(|line| line.contains("nothing grows"));
    watching.program.0.kill().unwrap();
    watching.program.0.wait().unwrap();
    let (rest, status) = watching.rest();
    assert!(rest.contains("; all processes have ended\nnothing grows"), "{rest}");
    assert_eq!(status, Some(0));
}

#[test]
fn a_watch_of_some_time_shows_rows_that_come_and_go() {
    let program = Growing::start("none");
    let run = vmatlas(&[
        "watch",
        "-q",
        &program.pid(),
        "--for",
        "15ms",
        "--every",
        "10ms",
        "--by",
        "file",
    ]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{}", run.text());
    assert!(run.text().contains("too few looks with sizes for a verdict"), "{}", run.text());
    assert!(run.text().starts_with("      since start "), "{}", run.text());
    let mut watching = Watching::start("rows", &[]);
    watching.until(|line| line.starts_with("          + ") && line.contains(" 4K "));
    watching.until(|line| line.contains("the number of mappings grows by "));
}

#[test]
fn what_cannot_be_watched() {
    for (args, why) in [
        (&["captures/README.md"] as &[&str], "no such file"),
        (&["corner-cases.txt"], "is a file"),
        (&["999999999"], "no process"),
        (&["self", "--every", "1ms"], "at least 10ms"),
    ] {
        let run = vmatlas(&[&["watch"], args].concat());
        assert_eq!(run.status, 2, "{args:?}");
        assert!(run.stderr.contains(why), "{args:?}: {}", run.stderr);
    }
    let mut zombie = Command::new("true").spawn().unwrap();
    let pid = zombie.id().to_string();
    while !std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") Z ") {
        std::thread::yield_now();
    }
    let run = vmatlas(&["watch", &pid]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("has no memory to watch"), "{}", run.stderr);
    zombie.wait().unwrap();
}

#[test]
fn a_watch_fits_the_terminal() {
    let mut program = Growing::start("rows");
    let pid = program.pid();
    let args = ["watch", &pid, "--for", "300ms", "--every", "10ms", "--sizes"];
    let text = std::thread::scope(|scope| {
        let run = scope.spawn(|| on_screen("stty cols 80", &args, &[]));
        (0..100).for_each(|_| program.step());
        run.join().unwrap()
    });
    assert!(text.starts_with(&format!("vmatlas: watching {pid}; Ctrl-C ends it\n")), "{text}");
    let plain = uncolored(&text);
    assert!(plain.lines().all(|line| line.chars().count() <= 80), "{plain}");
}

/// Text without escape sequences.
fn uncolored(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    plain + rest
}

#[test]
fn keys_fit_the_targets() {
    let smaps = "captures/zoo-x86_64-6.18.smaps";
    for (args, why) in [
        (&["--by", "kind"] as &[&str], "--by is about sizes: add --sizes"),
        (&["--by", "mapping"], "--by is about sizes: add --sizes"),
        (&["--by", "user"], "this key of --by is about two snapshots of a machine"),
        (&["--by", "program", "--sizes"], "this key of --by is about two snapshots of a machine"),
    ] {
        let run = vmatlas(&[&["diff", smaps, smaps], args].concat());
        assert_eq!(run.status, 2, "{}", run.text());
        assert!(run.stderr.contains(why), "{}", run.stderr);
    }
}
