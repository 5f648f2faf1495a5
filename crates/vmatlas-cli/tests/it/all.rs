//! Tests sums over processes.

use crate::copy_program::copy_program;
use crate::live::Sleeper;
use crate::schema::Schema;
use crate::vmatlas::{PATIENCE, Run, command, finished, testdata, vmatlas};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

pub(crate) const PAGE: u64 = 4096;
const BY: [&str; 11] = [
    "program",
    "process",
    "user",
    "cgroup",
    "container",
    "unit",
    "file",
    "image",
    "build-id",
    "kind",
    "label",
];

/// A parent whose memory its children share in part.
pub(crate) struct Forked {
    /// Its own copy of the program: what other tests map of a file changes its shares.
    _directory: TempDir,
    parent: Sleeper,
    /// The address of the mapping.
    pub(crate) address: u64,
    /// All of them, as TARGETs.
    pub(crate) pids: Vec<String>,
}

/// What the parent maps, and what its largest child writes, in pages.
pub(crate) const PAGES: u64 = 512;
pub(crate) const CHILDREN: u64 = 4;

impl Forked {
    pub(crate) fn start() -> Forked {
        Forked::start_with(CHILDREN)
    }

    pub(crate) fn start_with(children: u64) -> Forked {
        static COMPILED: OnceLock<PathBuf> = OnceLock::new();
        let program = COMPILED.get_or_init(|| {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("forked");
            let new = path.with_extension(format!("new-{}", std::process::id()));
            let mut compiler = Command::new("cc");
            // What other programs map of a library changes its shares.
            compiler.args(["-O1", "-static", "-o"]).arg(&new);
            compiler.arg(testdata().join("programs/forked.c"));
            assert!(compiler.status().expect("needs a C compiler").success());
            std::fs::rename(new, &path).unwrap();
            path
        });
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("forked");
        copy_program(program, &own);
        let mut forked = Command::new(own);
        forked.args([PAGES.to_string(), children.to_string()]).stdout(Stdio::piped());
        let mut parent = Sleeper(forked.spawn().unwrap());
        let mut line = String::new();
        BufReader::new(parent.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let mut words = line.split_ascii_whitespace();
        let address = u64::from_str_radix(words.next().unwrap(), 16).unwrap();
        let pids = [parent.pid()].into_iter().chain(words.map(str::to_owned)).collect();
        Forked { _directory: directory, parent, address, pids }
    }

    fn all(&self, args: &[&str]) -> Run {
        let pids: Vec<&str> = self.pids.iter().map(String::as_str).collect();
        vmatlas(&[&["all"], args, &pids].concat())
    }

    fn json(&self, args: &[&str]) -> Value {
        let run = self.all(&[&["--json"], args].concat());
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{}", run.text());
        let document = run.json();
        Schema::of("all").check(&document);
        document
    }
}

pub(crate) fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("{key} in {value}"))
}

/// Fields that add up over groups; a process may be in several groups of rows.
const SUMS: [&str; 7] = ["rows", "size", "rss", "pss", "uss", "swap", "huge"];

#[test]
fn sums_of_each_key_are_equal_to_the_byte() {
    let forked = Forked::start();
    let mut by_rows: Option<Value> = None;
    for by in BY {
        let document = forked.json(&["--by", by]);
        let all = &document["all"];
        assert_eq!(document["by"], by);
        assert_eq!(number(all, "processes"), 1 + CHILDREN);
        let groups = document["groups"].as_array().unwrap();
        for key in SUMS {
            let sum: u64 = groups.iter().map(|group| number(group, key)).sum();
            assert_eq!(sum, number(all, key), "{key} by {by}: {document}");
        }
        match (&by_rows, document["depth"].as_str()) {
            (None, Some("smaps")) => by_rows = Some(all.clone()),
            (Some(first), Some("smaps")) => assert_eq!(first, all, "by {by}"),
            (_, depth) => assert_eq!(depth, Some("smaps_rollup")),
        }
    }
    // The kernel rounds pss to KiB for each row of smaps, and once for the rollup.
    let (rows, rollup) = (by_rows.unwrap(), forked.json(&["--by", "process"]));
    for key in SUMS.into_iter().filter(|key| *key != "pss") {
        assert_eq!(rows[key], rollup["all"][key], "{key}");
    }
    let difference = number(&rows, "pss").abs_diff(number(&rollup["all"], "pss"));
    assert!(difference <= number(&rows, "rows") * 1024, "{difference}");
}

#[test]
fn what_a_child_wrote_is_its_own() {
    let forked = Forked::start();
    let filter = format!("addr = {:#x}", forked.address);
    let document = forked.json(&["--by", "process", "--where", &filter]);
    for (place, pid) in forked.pids.iter().enumerate() {
        let groups = document["groups"].as_array().unwrap();
        let is_it = |group: &&Value| group["key"] == format!("{pid} forked");
        let group = groups.iter().find(is_it).unwrap_or_else(|| panic!("{pid}: {document}"));
        assert_eq!(number(group, "rss"), PAGES * PAGE, "{group}");
        // The parent's pages that all children have written are its own, too.
        let wrote = if place == 0 { 16 } else { 16 * place as u64 };
        assert!(number(group, "uss").abs_diff(wrote * PAGE) <= PAGE, "{place}: {group}");
    }
    // Each page counts once, whoever shares it: those of the parent, and the copies.
    let copies: u64 = (1..=CHILDREN).map(|child| 16 * child).sum();
    let once = (PAGES + copies) * PAGE;
    assert!(number(&document["all"], "pss").abs_diff(once) <= CHILDREN * 1024, "{document}");
}

#[test]
fn parts_add_up_to_the_machine() {
    let _sleeper = Sleeper::start();
    let run = vmatlas(&["all", "-q", "--json"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let document = run.json();
    Schema::of("all").check(&document);
    let machine = document["machine"].as_object().unwrap();
    let sum: i64 = machine
        .iter()
        .filter(|(key, _)| *key != "total")
        .map(|(_, part)| part.as_i64().unwrap())
        .sum();
    assert_eq!(sum, machine["total"].as_i64().unwrap(), "{document}");
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total = format!("MemTotal: {:>14} kB", machine["total"].as_u64().unwrap() / 1024);
    assert!(meminfo.contains(&total), "{total}");
    // What nothing explains is a small part, here and on other machines.
    let unexplained = machine["unexplained"].as_i64().unwrap().unsigned_abs();
    assert!(unexplained < machine["total"].as_u64().unwrap() / 4, "{document}");
    let text = vmatlas(&["all"]).text();
    assert!(
        text.contains("memory of the machine") && text.contains("cache that nobody maps"),
        "{text}"
    );
    // Kernel threads are counted, not summed up.
    assert!(number(&document, "kernel_threads") > 0 || !Path::new("/proc/2/exe").exists());
}

#[test]
fn only_processes_that_the_filter_names() {
    let forked = Forked::start();
    let document = forked.json(&["--where", &format!("pid = {}", forked.pids[1])]);
    assert_eq!(number(&document["all"], "processes"), 1);
    assert_eq!(document["depth"], "smaps_rollup", "no rows are needed");
    let exe = std::fs::read_link(format!("/proc/{}/exe", forked.pids[0])).unwrap();
    let document = forked.json(&["--where", &format!("exe = '{}'", exe.display())]);
    assert_eq!(number(&document["all"], "processes"), 1 + CHILDREN);
    assert_eq!(document["groups"][0]["key"], exe.to_str().unwrap());
    let run = forked.all(&["--where", "comm = nosuch"]);
    assert_eq!(run.status, 1);
    assert!(
        run.stderr.contains("--where lets no process and no mapping through"),
        "{}",
        run.stderr
    );
    let run = forked.all(&["--where", "started < 1"]);
    assert_eq!(run.status, 1, "{}", run.text());
}

/// A new control group in the hierarchy that has the memory controller.
pub(crate) struct Cgroup(pub(crate) PathBuf);

impl Cgroup {
    pub(crate) fn new(name: &str) -> Option<Cgroup> {
        Cgroup::named(&format!("vmatlas-{name}-{}", std::process::id()))
    }

    fn named(name: &str) -> Option<Cgroup> {
        let roots = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"];
        roots
            .iter()
            .map(|root| Path::new(root).join(name))
            .find(|dir| std::fs::create_dir(dir).is_ok())
            .map(Cgroup)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let procs = std::fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        let pids: Vec<&str> = procs.split_ascii_whitespace().collect();
        if !pids.is_empty() {
            let _ = Command::new("kill").arg("-KILL").args(pids).status();
        }
        // The kernel removes them from the group some time after their end.
        let end = std::time::Instant::now() + PATIENCE;
        while std::fs::remove_dir(&self.0).is_err() && std::time::Instant::now() < end {
            std::thread::yield_now();
        }
    }
}

#[test]
fn processes_of_a_control_group() {
    let Some(group) = Cgroup::new("all") else {
        return eprintln!("skipped: needs root and cgroups that may be written");
    };
    let forked = Forked::start();
    for pid in &forked.pids {
        std::fs::write(group.0.join("cgroup.procs"), pid).unwrap();
    }
    let name = group.0.file_name().unwrap().to_str().unwrap();
    let full = group.0.to_str().unwrap();
    for target in [format!("@cgroup:/{name}"), format!("@cgroup:{name}"), format!("@cgroup:{full}")]
    {
        let run = vmatlas(&["all", &target, "--json", "--by", "cgroup"]);
        let document = run.json();
        assert_eq!(run.status, 0, "{document}");
        assert_eq!(number(&document["all"], "processes"), 1 + CHILDREN, "{target}: {document}");
        assert_eq!(document["groups"][0]["key"], format!("/{name}"));
        assert!(document["machine"].is_null());
    }
    // What they touched before they came stays charged to their former group.
    let document = vmatlas(&["all", &format!("@cgroup:/{name}"), "--json"]).json();
    if group.0.join("memory.stat").exists() {
        let parts = ["mapped", "unmapped_cache", "kernel", "unexplained"];
        let sum: i64 = parts.iter().map(|key| document["cgroup"][*key].as_i64().unwrap_or(0)).sum();
        assert_eq!(sum, document["cgroup"]["current"].as_i64().unwrap(), "{document}");
    }
    let run = vmatlas(&["all", "@cgroup:/nosuch/group"]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("no control group of this path"), "{}", run.stderr);
    let run = vmatlas(&["all", "@cgroup:/../../etc"]);
    assert_eq!(run.status, 2, "{}", run.text());
    for (target, why) in [
        ("@unit:nosuch", "no visible process"),
        ("@container:0123", "no visible process"),
        ("@unit:", "give a name"),
    ] {
        let run = vmatlas(&["all", target]);
        assert_eq!(run.status, 2);
        assert!(run.stderr.contains(why), "{target}: {}", run.stderr);
    }
    drop(forked);
}

#[test]
fn without_privileges_others_are_counted() {
    if !is_root() {
        assert!(std::env::var_os("CI").is_none(), "needs root");
        return eprintln!("skipped: needs root, to become another user");
    }
    let sleeper = Sleeper::start();
    let mut nobody = command(&["all", "--json", &sleeper.pid()]);
    nobody.uid(65534).gid(65534).current_dir("/");
    let run = finished(nobody.output().unwrap());
    let document = run.json();
    assert_eq!(document["tier"], "own", "{document}");
    assert_eq!(document["refused"][0], sleeper.pid().parse::<u32>().unwrap());
    assert_eq!(number(&document["all"], "processes"), 0);
    assert!(
        run.stderr.contains("may not be read") && run.stderr.contains("CAP_PERFMON"),
        "{}",
        run.stderr
    );
    assert_eq!(run.status, 1, "nothing was summed up");
    assert_eq!(vmatlas(&["all", "--json", &sleeper.pid()]).json()["tier"], "root");
}

pub(crate) fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.contains("\nUid:\t0\t0\t")
}

#[test]
fn a_budget_leaves_out_the_smallest() {
    let forked = Forked::start();
    let run = forked.all(&["--by", "process", "--budget", "0ms", "--json"]);
    let document = run.json();
    assert_eq!(document["is_partial"], true);
    assert!(document["all"]["pss"].is_null() && number(&document["all"], "rss") > 0, "{document}");
    assert!(run.stderr.contains("--budget: read 0 of 5 processes"), "{}", run.stderr);
    let document = forked.json(&["--by", "process", "--budget", "10s"]);
    assert_eq!(document["is_partial"], false);
    let run = forked.all(&["--by", "kind", "--budget", "0ms", "--json"]);
    assert_eq!(run.json()["groups"][0]["key"], "not read: over the budget");
}

#[test]
fn counts_are_cheap() {
    let forked = Forked::start();
    let document = forked.json(&["--cheap", "--by", "process"]);
    assert_eq!(document["depth"], "maps");
    let rows = std::fs::read_to_string(format!("/proc/{}/maps", forked.parent.pid())).unwrap();
    let mut groups = document["groups"].as_array().unwrap().iter();
    let is_parent = |group: &&Value| group["key"] == format!("{} forked", forked.parent.pid());
    let group = groups.find(is_parent).unwrap();
    assert_eq!(number(group, "rows"), rows.lines().count() as u64);
    assert_eq!(number(group, "most_rows"), number(group, "rows"));
    assert!(group["pss"].is_null() && number(group, "writable_code") == 0, "{group}");
    for (args, why) in [
        (&["--cheap", "--by", "kind"] as &[&str], "--cheap counts the rows"),
        (&["--cheap", "--where", "perms has wx"], "--cheap counts the rows"),
        (&["--deep"], "--deep is about labels"),
    ] {
        let run = forked.all(args);
        assert_eq!(run.status, 2);
        assert!(run.stderr.contains(why), "{}", run.stderr);
    }
}

#[test]
fn the_largest_come_first_and_columns_sort() {
    let forked = Forked::start();
    let keys = |args: &[&str]| -> Vec<u64> {
        let document = forked.json(&[&["--by", "process"], args].concat());
        document["groups"].as_array().unwrap().iter().map(|group| number(group, "uss")).collect()
    };
    let by_uss = keys(&["--sort", "uss"]);
    assert!(by_uss.is_sorted_by(|a, b| a >= b) && by_uss.len() == 5, "{by_uss:?}");
    assert!(keys(&["--sort", "uss", "--reverse"]).is_sorted());
    let run = forked.all(&["--by", "process", "--top", "2"]);
    assert!(run.text().contains("3 more; --top 5 shows all"), "{}", run.text());
    let csv = forked.all(&["--by", "process", "--csv", "--top", "2"]).text();
    assert_eq!(csv.lines().count(), 3, "{csv}");
    assert!(csv.starts_with("key,processes,rows,size,rss,pss,uss,swap,huge,"), "{csv}");
}

#[test]
fn targets_that_are_no_processes() {
    for (target, why) in [
        ("captures/README.md", "no such file"),
        ("corner-cases.txt", "is a file; only processes can be summed up together"),
        ("-", "is a file"),
        ("self/1", "a thread has no memory of its own"),
    ] {
        let run = vmatlas(&["all", target]);
        assert_eq!(run.status, 2);
        assert!(run.stderr.contains(why), "{target}: {}", run.stderr);
    }
}

#[test]
fn a_filter_leaves_the_machine_out() {
    let sleeper = Sleeper::start();
    let filter = format!("pid = {}", sleeper.pid());
    let text = vmatlas(&["all", "--where", &filter]).text();
    assert!(
        text.contains("1 process") && text.contains("not set against that of the machine"),
        "{text}"
    );
}

#[test]
fn an_empty_control_group_is_said() {
    let Some(group) = Cgroup::new("empty") else {
        return eprintln!("skipped: needs root and cgroups that may be written");
    };
    let run = vmatlas(&["all", &format!("@cgroup:{}", group.0.display())]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("the control group has no process"), "{}", run.stderr);
}

#[test]
fn wrong_words() {
    let run = vmatlas(&["all", "--budget", "soon"]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("a time is a number with ms, s, m or h"), "{}", run.stderr);
    let run = vmatlas(&["all", "--by", "colour"]);
    assert_eq!(run.status, 2, "{}", run.stderr);
}

#[test]
fn processes_of_a_unit_and_of_a_container() {
    let id = format!("{:064x}", 0xfeed_0000_0000_u64 + u64::from(std::process::id()));
    let unit = format!("vmatlas-test-{}.service", std::process::id());
    let container = format!("docker-{id}.scope");
    for (name, targets) in [
        (
            &unit,
            vec![format!("@unit:{unit}"), format!("@unit:{}", unit.trim_end_matches(".service"))],
        ),
        (&container, vec![format!("@container:{id}"), format!("@unit:{container}")]),
    ] {
        let Some(group) = Cgroup::named(name) else {
            return eprintln!("skipped: needs root and cgroups that may be written");
        };
        let forked = Forked::start();
        for pid in &forked.pids {
            std::fs::write(group.0.join("cgroup.procs"), pid).unwrap();
        }
        for target in targets {
            let document = vmatlas(&["all", &target, "--json"]).json();
            assert_eq!(number(&document["all"], "processes"), 1 + CHILDREN, "{target}: {document}");
            assert_eq!(document["cgroup"]["path"], format!("/{name}"), "{target}");
        }
        let filter = format!("unit = {name}");
        let document = vmatlas(&["all", "-q", "--json", "--by", "unit", "--where", &filter]).json();
        assert_eq!(document["groups"][0]["key"], *name.as_str());
        let by = if *name == unit { "unit" } else { "container" };
        let document = forked.json(&["--by", by]);
        let key = if *name == unit { &unit } else { &id };
        assert_eq!(document["groups"][0]["key"], *key.as_str(), "{document}");
    }
}
