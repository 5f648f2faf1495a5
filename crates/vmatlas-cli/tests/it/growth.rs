//! What grows: `diff --sizes` and `watch`.

use crate::schema::Schema;
use crate::vmatlas::{testdata, vmatlas};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
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
