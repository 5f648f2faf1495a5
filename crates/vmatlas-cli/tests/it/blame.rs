//! Tests `vmatlas blame` on recordings of programs whose origins are known.

use crate::terminal::on_screen;
use crate::vmatlas::{PATIENCE, Run, command, is_root, testdata, vmatlas};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Compiles testdata/programs/blamed.c once.
fn program() -> &'static Path {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    COMPILED.get_or_init(|| compiled("blamed", "cc", "blamed.c"))
}

/// Compiles a program that allocates through C++'s standard library once.
fn cpp_program() -> &'static Path {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    COMPILED.get_or_init(|| compiled("blamed-cpp", "c++", "blamed.cc"))
}

fn compiled(name: &str, compiler: &str, source: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // Another run of the tests may be executing the former file.
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let mut compiler = Command::new(compiler);
    compiler.args(["-O1", "-g", "-fno-inline", "-pthread", "-o"]).arg(&new);
    compiler.arg(testdata().join("programs").join(source));
    assert!(compiler.status().expect("needs a C and a C++ compiler").success());
    std::fs::rename(new, &path).unwrap();
    path
}

/// A recording of `blamed`.
pub(crate) struct Recorded {
    directory: TempDir,
}

impl Recorded {
    pub(crate) fn by(options: &[&str]) -> Recorded {
        Recorded::of(program(), options)
    }

    fn of(program: &Path, options: &[&str]) -> Recorded {
        let directory = tempfile::tempdir().unwrap();
        let recorded = Recorded { directory };
        let program = program.to_str().unwrap();
        let file = recorded.file();
        let run = vmatlas(&[&["record", "-q", "-o", &file], options, &["--", program]].concat());
        assert_eq!(run.status, 0, "{}", run.stderr);
        recorded
    }

    pub(crate) fn file(&self) -> String {
        self.path("R")
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).into_os_string().into_string().unwrap()
    }

    fn blame(&self, args: &[&str]) -> Run {
        let run = vmatlas(&[&["blame", "-q", &self.file()], args].concat());
        assert_eq!(run.status, 0, "{}", run.stderr);
        run
    }
}

fn number(value: &Value) -> u64 {
    match value {
        Value::String(text) => u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap(),
        other => other.as_u64().unwrap(),
    }
}

/// The origins whose stack in `blame --json` contains a function.
fn origins_by<'d>(document: &'d Value, function: &str) -> impl Iterator<Item = &'d Value> {
    let mappings = document["mappings"].as_array().unwrap();
    let origins = mappings.iter().flat_map(|mapping| mapping["origins"].as_array().unwrap());
    origins.filter(move |origin| {
        origin["stack"].as_array().unwrap().iter().any(|frame| frame["function"] == function)
    })
}

fn bytes_by(document: &Value, function: &str) -> u64 {
    origins_by(document, function).map(|origin| number(&origin["bytes"])).sum()
}

#[test]
fn every_byte_is_of_one_origin_and_the_makers_are_named() {
    let document = Recorded::by(&[]).blame(&["--json"]).json();
    assert_eq!(document["schema"], "vmatlas/1");
    assert_eq!(document["target"]["source"], "recording");
    for mapping in document["mappings"].as_array().unwrap() {
        let mut from = number(&mapping["start"]);
        for origin in mapping["origins"].as_array().unwrap() {
            assert_eq!(number(&origin["start"]), from, "no gap and no overlap: {mapping}");
            from = number(&origin["end"]);
            assert_ne!(origin["how"], "unseen", "{mapping}");
        }
        assert_eq!(from, number(&mapping["end"]));
    }
    // 48 MiB less the 8 MiB that were trimmed. The log was merged into one row, except its first
    // page.
    assert_eq!(bytes_by(&document, "cache_init"), 40 << 20);
    assert_eq!(bytes_by(&document, "log_open"), 4 << 20);
    assert!(bytes_by(&document, "worker") > 1 << 20);
}

#[test]
fn the_outputs_say_the_same() {
    let recorded = Recorded::by(&[]);
    let text = recorded.blame(&["--by", "function"]).text();
    let line = text.lines().find(|line| line.ends_with("cache_init")).expect("it is ranked");
    assert!(line.trim_start().starts_with("40M"), "{line}");
    let folded = recorded.blame(&["--folded"]).text();
    let line = folded.lines().find(|line| line.contains(";cache_init;")).unwrap();
    assert!(line.ends_with(&format!(";mmap {}", 40 << 20)), "{line}");
    let module = recorded.blame(&["--by", "module"]).text();
    assert!(module.lines().any(|line| line.ends_with("  blamed")), "{module}");

    let svg = recorded.path("svg");
    recorded.blame(&["--svg", &svg]);
    let svg = std::fs::read_to_string(svg).unwrap();
    assert!(svg.starts_with("<?xml") && svg.contains("cache_init"));

    let pprof = recorded.path("pprof");
    recorded.blame(&["--pprof", &pprof]);
    let mut go = Command::new("go");
    go.args(["tool", "pprof", "-top", "-unit=b", &pprof]).stdin(Stdio::null());
    match go.output() {
        Ok(top) => {
            let top = String::from_utf8_lossy(&top.stdout).into_owned();
            let line = top.lines().find(|line| line.ends_with("cache_init")).expect(&top);
            assert!(line.contains(&format!("{}B", 40 << 20)), "{line}");
        }
        Err(error) if std::env::var_os("CI").is_none() => eprintln!("skipped pprof: {error}"),
        Err(error) => panic!("go: {error}"),
    }
}

/// The sizes of the lines of a ranking, in bytes.
fn ranked(text: &str) -> Vec<(u64, &str)> {
    let lines = text.lines().skip_while(|line| !line.contains("by ")).skip(1);
    let size = |line: &str| {
        let (size, rest) = line.trim_start().split_once(' ')?;
        let unit = size.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let unit = 1_u64 << (10 * ["", "K", "M", "G"].iter().position(|name| *name == unit)?);
        let number: f64 = size.trim_end_matches(char::is_alphabetic).parse().ok()?;
        rest.contains('%').then_some((number * unit as f64) as u64)
    };
    lines
        .map_while(|line| Some(line).filter(|line| !line.is_empty()))
        .filter_map(|line| Some((size(line)?, line)))
        .collect()
}

/// Every byte is ranked once, however the stacks are joined.
#[test]
fn the_ranking_has_all_bytes() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let libc = " > /usr/lib/x86_64-linux-gnu/libc.so.6";
    let map = |pid, pages: u32, address: &str, stack: &str| {
        format!(
            "{pid} 1796046270.{pages:06} mmap(NULL, {}, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = \
             0x7f{address}\n{stack}\n",
            pages << 12
        )
    };
    let grow = |offset| {
        format!(
            "{libc}(__mmap64+0x1a) [0x10aa2a]\n{libc}(__libc_malloc+0x{offset}) [0x1{offset}]\n > \
             /p(_ZNSt6vectorIiSaIiEE9push_backEOi+0x1) [0x2{offset}]\n > /p(grow+0x5) [0x3000]\n"
        )
    };
    let direct = format!("{libc}(__mmap64+0x1a) [0x10aa2a]\n > /p(grow+0x5) [0x3000]\n");
    let lines = [
        "7 1796046270.000000 execve(\"/p\", [\"p\"], 0x7ffc /* 9 vars */) = 0\n".to_owned(),
        map(7, 1, "0000000000", &grow("10")),
        map(7, 2, "0000010000", &grow("20")),
        "7 1796046270.000002 clone(child_stack=0x7f0000000000, flags=CLONE_VM|CLONE_FS|CLONE_FILES\
         |CLONE_SIGHAND|CLONE_THREAD) = 8\n"
            .to_owned(),
        map(8, 4, "0000020000", &grow("10")),
        map(7, 8, "0000030000", &direct),
    ];
    std::fs::write(log.path(), lines.concat()).unwrap();
    let blame = |args: &[&str]| {
        let run = vmatlas(&[&["blame", "-q", log.path().to_str().unwrap()], args].concat());
        assert_eq!(run.status, 0, "{}", run.stderr);
        run
    };
    let text = blame(&["--where", "size < 64K"]).text();
    let ranks = ranked(&text);
    assert_eq!(ranks.iter().map(|rank| rank.0).collect::<Vec<_>>(), [32 << 10, 28 << 10], "{text}");
    assert!(ranks[1].1.contains("3  mmap by 2 threads, 0.000 s to"), "{text}");
    let names: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.contains('%')).collect();
    assert!(names.ends_with(&["mmap64", "grow (p)", "std::vector", "grow (p)"]), "{names:?}");
    for by in ["stack", "function", "module", "thread"] {
        let text = blame(&["--where", "size < 64K", "--by", by]).text();
        assert_eq!(ranked(&text).iter().map(|rank| rank.0).sum::<u64>(), 60 << 10, "{text}");
        // What is not shown is summed up.
        let text = blame(&["--where", "size < 64K", "--by", by, "--top", "0"]).text();
        assert_eq!(ranked(&text).iter().map(|rank| rank.0).sum::<u64>(), 60 << 10, "{text}");
    }
    // JSON has all frames.
    let json = blame(&["--json"]).text();
    assert!(json.contains("\"__libc_malloc\"") && json.contains("push_back"), "{json}");
}

#[test]
fn stacks_show_the_programs_functions_and_fold_the_others() {
    let recorded = Recorded::of(cpp_program(), &[]);
    let text = recorded.blame(&["--top", "999", "--frames", "999"]).text();
    let document = recorded.blame(&["--json"]).json();
    let mappings = document["mappings"].as_array().unwrap();
    let origins = mappings.iter().flat_map(|mapping| mapping["origins"].as_array().unwrap());
    let frames = origins.clone().flat_map(|origin| origin["stack"].as_array().unwrap());
    let is_own = |frame: &&Value| {
        frame["source"].as_str().is_some_and(|source| source.contains("blamed.cc"))
    };
    let own = frames.filter(is_own).map(|frame| frame["function"].as_str().unwrap());
    let own: BTreeSet<&str> = own.filter_map(|name| name.split(['(', '<']).next()).collect();
    assert!(own.contains("numbers") && own.contains("main"), "{own:?}");
    for name in own {
        assert!(text.contains(&format!("  {name}")), "{name}: {text}");
    }
    for word in ["std::vector\n", "std::string\n", "loader\n"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    for name in ["allocat", "malloc", "_M_", "operator new", "_dl_", "__gnu_cxx"] {
        assert!(!text.contains(name), "{name}: {text}");
    }
    let numbers = text.lines().filter(|line| line.contains(" numbers (")).count();
    assert!(numbers <= 2, "threads with equal stacks are joined: {text}");
    // The sums are rounded to tenths.
    let bytes: u64 = origins.map(|origin| number(&origin["bytes"])).sum();
    let ranks = ranked(&text);
    let sum: u64 = ranks.iter().map(|rank| rank.0).sum();
    let error: u64 = ranks.iter().map(|rank| rank.0 / 10 + 1).sum();
    assert!(sum.abs_diff(bytes) <= error, "{sum} {bytes}: {text}");

    let short = recorded.blame(&["--top", "2", "--frames", "1"]).text();
    assert_eq!(ranked(&short).len(), 3, "{short}");
    assert_eq!(short.matches("more (--frames ").count(), 2, "{short}");
    assert!(short.contains("more (--top "), "{short}");
    assert!(!short.contains("libc.so"), "mappings are listed on request: {short}");
    assert!(recorded.blame(&["--mappings"]).text().contains("libc.so"));
}

#[test]
fn lines_fit_the_terminal() {
    let recorded = Recorded::of(cpp_program(), &[]);
    let file = recorded.file();
    let json = recorded.blame(&["--json"]).json();
    let address = json["mappings"][0]["start"].as_str().unwrap();
    let commands: [&[&str]; 6] = [
        &["--frames", "99", "--mappings"],
        &["--by", "function"],
        &["--by", "module"],
        &["--by", "thread"],
        &["--top", "1"],
        &[address],
    ];
    for columns in [60, 80, 120] {
        for command in commands {
            let args = [&["blame", "-q", &file, "--color", "never"], command].concat();
            let text =
                on_screen(&format!("stty cols {columns} rows 24"), &args, &[("LC_ALL", "C.UTF-8")]);
            let wide: Vec<&str> =
                text.lines().filter(|line| line.chars().count() > columns).collect();
            assert!(wide.is_empty(), "{columns}: {wide:#?}");
        }
    }
}

#[test]
fn pprof_shows_the_functions_that_asked_for_memory() {
    let recorded = Recorded::of(cpp_program(), &[]);
    let pprof = recorded.path("pprof");
    recorded.blame(&["--pprof", &pprof]);
    let mut go = Command::new("go");
    let top = match go.args(["tool", "pprof", "-top", &pprof]).stdin(Stdio::null()).output() {
        Ok(top) => String::from_utf8_lossy(&top.stdout).into_owned(),
        Err(error) if std::env::var_os("CI").is_none() => return eprintln!("skipped: {error}"),
        Err(error) => panic!("go: {error}"),
    };
    let flat = |line: &&str| line.contains('%') && !line.trim_start().starts_with("0 ");
    let flat: Vec<&str> = top.lines().skip(1).filter(flat).collect();
    assert!(flat.iter().any(|line| line.ends_with("  numbers")), "{top}");
    for name in ["mmap", "malloc", "operator new", "std::", "__gnu_cxx"] {
        assert!(!flat.iter().any(|line| line.contains(name)), "{name}: {top}");
    }
}

#[test]
fn an_address_has_a_life() {
    let recorded = Recorded::by(&[]);
    let document = recorded.blame(&["--json"]).json();
    let of = |function: &str| {
        let mappings = document["mappings"].as_array().unwrap();
        let mut origins = mappings.iter().flat_map(|m| m["origins"].as_array().unwrap());
        let through = |origin: &&Value| {
            origin["stack"].as_array().unwrap().iter().any(|frame| frame["function"] == function)
        };
        origins.find(through).unwrap()["start"].as_str().unwrap().to_owned()
    };
    let life = recorded.blame(&[&of("log_open"), "--json"]).json();
    let steps = life["addresses"][0]["life"].as_array().unwrap();
    let what: Vec<&str> = steps.iter().map(|step| step["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["made", "protected"]);
    assert_ne!(steps[0]["tid"], steps[1]["tid"], "another thread protected it");
    let made_by = |step: &Value, function: &str| {
        step["stack"].as_array().unwrap().iter().any(|frame| frame["function"] == function)
    };
    assert!(made_by(&steps[0], "log_open") && made_by(&steps[1], "worker"));

    let trimmed = number(&Value::String(of("cache_init"))) + (40 << 20);
    let text = recorded.blame(&[&format!("{trimmed:x}")]).text();
    assert!(text.contains("unmapped by munmap") && text.contains("cache_trim"), "{text}");
    let never = vmatlas(&["blame", "-q", &recorded.file(), "1000"]);
    assert_eq!(never.status, 1, "{}", never.text());
}

/// A remapped `[vdso]` originates from the call that mapped it, in both backends.
#[test]
#[cfg(target_arch = "x86_64")]
fn a_vdso_that_is_mapped_anew_is_of_arch_prctl() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (program, file) = (path("makers"), path("R"));
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-g", "-o", &program]).arg(testdata().join("programs/makers.c"));
    assert!(cc.status().expect("needs a C compiler").success());
    if Command::new(&program).arg("vdso").status().unwrap().code() == Some(77) {
        return eprintln!("skipped: this kernel maps no vdso anew");
    }
    for backend in ["ptrace", "perf"] {
        if backend == "perf" && !is_root() {
            continue;
        }
        let record = ["record", "-q", "-o", &file, "--backend", backend, "--", &program, "vdso"];
        let run = vmatlas(&record);
        assert_eq!(run.status, 0, "{backend}: {}", run.stderr);
        let document = vmatlas(&["blame", "-q", &file, "--json"]).json();
        let mappings = document["mappings"].as_array().unwrap();
        let mut names = Vec::new();
        for mapping in mappings {
            let name = mapping["name"].as_str().unwrap_or_default();
            if !name.starts_with("[vvar") && name != "[vdso]" {
                continue;
            }
            names.push(name);
            for origin in mapping["origins"].as_array().unwrap() {
                assert_eq!(origin["syscall"], "arch_prctl", "{backend}: {mapping}");
                // Perf events are read later, possibly after the end of the program.
                let stack = origin["stack"].as_array().unwrap();
                let maker = |frame: &Value| frame["function"] == "vdso_maker";
                let named = stack.iter().any(maker);
                assert!(named || backend == "perf", "{backend}: {mapping}");
            }
        }
        assert!(names.contains(&"[vvar]") && names.contains(&"[vdso]"), "{backend}: {names:?}");
    }
}

#[test]
fn moments_are_compared_by_whom() {
    let recorded = Recorded::by(&[]);
    let document = recorded.blame(&["--json"]).json();
    // The thread allocates after `cache_init`, and later calls `cache_trim`.
    let thread = origins_by(&document, "worker").find(|origin| origin["syscall"] == "mmap");
    let thread = thread.unwrap();
    let (event, time) = (format!("#{}", thread["event"]), thread["time_s"].to_string());
    let file = recorded.file();
    let (early, late) = (format!("{file}@{event}"), format!("{file}@end"));
    let diff = vmatlas(&["diff", "-q", &early, &late]);
    assert_eq!(diff.status, 1);
    assert!(diff.text().contains("by munmap #"), "{}", diff.text());
    assert!(diff.text().contains("cache_trim < worker"), "{}", diff.text());
    let since = |seconds| recorded.blame(&["--since", seconds, "--at", &event]).text();
    assert!(since("0").contains("cache_init"));
    assert!(!since(&time).contains("cache_init"), "it was mapped earlier");
    let processes = vmatlas(&["show", &recorded.file(), "--processes"]).text();
    assert!(processes.contains("blamed") && processes.contains("exit 0"), "{processes}");
    let raw = vmatlas(&["show", "-q", &format!("{}@#3", recorded.file()), "--raw"]).text();
    assert!(raw.lines().count() > 5 && raw.contains("[stack]"), "{raw}");
}

#[test]
fn a_process_is_blamed_while_it_is_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("R");
    let mut record = command(&["record", "-q", "-o", file.to_str().unwrap(), "--"]);
    record.args(["sh", "-c", "echo $$; read line"]);
    let mut record = record.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut pid = [0; 16];
    let read = record.stdout.as_mut().unwrap().read(&mut pid).unwrap();
    let pid = std::str::from_utf8(&pid[..read]).unwrap().trim().to_owned();
    // Events younger than a tenth of a second may not have been written yet.
    let mut run = vmatlas(&["blame", &pid, "--mappings"]);
    for _ in 0..100 {
        if run.status == 0 && run.text().contains("libc.so") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        run = vmatlas(&["blame", &pid, "--mappings"]);
    }
    assert!(run.text().contains("mmap #"), "{}{}", run.text(), run.stderr);
    drop(record.stdin.take());
    record.wait().unwrap();
    let gone = vmatlas(&["blame", &pid]);
    assert_eq!(gone.status, 2);
    assert!(gone.stderr.contains("vmatlas record"), "{}", gone.stderr);
}

#[test]
fn perf_events_give_the_same_origins_and_first_touches() {
    if !is_root() {
        return;
    }
    let recorded = Recorded { directory: tempfile::tempdir().unwrap() };
    let record = ["record", "-q", "--backend", "perf", "-o", &recorded.file(), "--"];
    let mut recorder = command(&[&record[..], &[program().to_str().unwrap(), "wait"]].concat());
    let mut recorder = recorder.stdin(Stdio::piped()).spawn().unwrap();
    let bytes = || {
        let run = vmatlas(&["blame", "-q", &recorded.file(), "--json"]);
        let document = (run.status == 0).then(|| run.json());
        document.map(|all| ["cache_init", "log_open"].map(|name| bytes_by(&all, name)))
    };
    let end = Instant::now() + PATIENCE;
    while bytes() != Some([40 << 20, 4 << 20]) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(recorder.stdin.take());
    assert!(recorder.wait().unwrap().success());
    assert_eq!(bytes(), Some([40 << 20, 4 << 20]));

    let recorded = Recorded::by(&["--pages"]);
    // Resident pages are read once the program has run for some time; it may end before that.
    let touched = vmatlas(&["blame", &recorded.file(), "--count", "touched"]);
    if touched.status == 0 {
        assert!(touched.text().contains("in memory"), "{}", touched.text());
    } else {
        assert!(touched.stderr.contains("--pages"), "{}", touched.stderr);
    }
}

/// Resident pages are read soon after the start.
#[test]
fn a_short_recording_has_resident_pages() {
    if !is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("R").display().to_string();
    let run = vmatlas(&["record", "-q", "--pages", "-o", &file, "--", "sleep", "0.4"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let run = vmatlas(&["blame", "-q", &file, "--count", "resident"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
}

#[test]
fn the_kernels_own_record_is_explained() {
    if !is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("a.c");
    std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let (source, object) = (source.to_str().unwrap(), directory.path().join("a.o"));
    let file = directory.path().join("R");
    let file = file.to_str().unwrap();
    let programs: [&[&str]; 5] = [
        &["bash", "-c", "ls / > /dev/null; for i in 1 2 3; do /bin/true; done"],
        &["python3", "-c", "import json, threading; x = [bytearray(1 << 20) for _ in range(9)]"],
        &["cc", "-O2", "-c", source, "-o", object.to_str().unwrap()],
        &["java", "-version"],
        &["node", "-e", "let a = []; for (let i = 0; i < 1e5; i++) a.push({ i })"],
    ];
    for program in programs {
        let run = vmatlas(&[&["record", "--audit", "-o", file, "--"], program].concat());
        assert_eq!(run.status, 0, "{program:?}: {}", run.stderr);
        let audit = run.stderr.lines().find(|line| line.contains("audit: ")).expect(&run.stderr);
        assert!(audit.ends_with("all explained by events"), "{program:?}: {}", run.stderr);
        let changes: u64 = audit.split(' ').find_map(|word| word.parse().ok()).unwrap();
        assert!(changes > 20, "{audit}");
    }
}

/// A stack that is deeper than the recorder keeps ends with a frame that says so, in every output.
#[test]
fn a_stack_without_its_outer_callers_says_so() {
    const CUT: &str = "[callers not recorded]";
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (program, recording) = (path("deep_mmap"), path("deep.vmrec"));
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-o", &program]).arg(testdata().join("programs/deep_mmap.c"));
    assert!(cc.status().unwrap().success());
    for (depth, is_cut) in [("100", false), ("300", true)] {
        let record = ["record", "-q", "--force", "-o", &recording, "--", &program, depth];
        assert_eq!(vmatlas(&record).status, 0);
        let outputs =
            [&["blame", &recording, "--folded"] as &[&str], &["blame", &recording, "--json"]];
        for args in outputs {
            let run = vmatlas(args);
            let text = run.text();
            assert!(text.contains("deeper"), "{text}");
            assert_eq!(text.contains(CUT), is_cut, "{depth}: {args:?}");
        }
    }
}
