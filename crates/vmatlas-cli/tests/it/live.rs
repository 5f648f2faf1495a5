//! Tests targets that are processes.

use crate::copy_program::copy_program;
use crate::vmatlas::{PATIENCE, command, testdata, vmatlas};
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// A process that does nothing until it is dropped.
pub(crate) struct Sleeper(pub(crate) Child);

impl Sleeper {
    pub(crate) fn start() -> Sleeper {
        let child = Command::new("sleep").arg("1000").stdout(Stdio::null()).spawn().unwrap();
        let pid = child.id();
        // The map still changes until the process waits.
        let state = || std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
        while std::fs::read(format!("/proc/{pid}/comm")).unwrap() != b"sleep\n"
            || state().starts_with("running")
        {
            std::thread::yield_now();
        }
        Sleeper(child)
    }

    /// Runs a program in Python with an argument, until it has printed `ready`. It then waits for the
    /// end of its input.
    pub(crate) fn python(program: &str, argument: impl AsRef<OsStr>) -> Sleeper {
        let program =
            format!("import sys\n{program}\nprint('ready', flush=True)\nsys.stdin.read()");
        let mut python = Command::new("python3");
        python.args(["-c", &program]).arg(argument).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut sleeper = Sleeper(python.spawn().expect("needs python3"));
        let mut line = String::new();
        BufReader::new(sleeper.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        sleeper
    }

    pub(crate) fn pid(&self) -> String {
        self.0.id().to_string()
    }

    fn maps(&self) -> Vec<u8> {
        std::fs::read(format!("/proc/{}/maps", self.pid())).unwrap()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        // It may have ended otherwise.
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }
}

#[test]
fn threads_stand_still_for_a_reading() {
    let sleeper = Sleeper::start();
    let (pid, rows) = (sleeper.pid(), sleeper.maps());
    let status = || std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let goes_on = || {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = status();
            let goes_on = status.contains("State:\tS") && status.contains("TracerPid:\t0");
            if goes_on || Instant::now() > end {
                return goes_on;
            }
            std::thread::yield_now();
        }
    };
    for args in [&["show", &pid, "--raw", "--freeze"] as &[&str], &["at", &pid, "1", "--freeze"]] {
        let run = vmatlas(args);
        assert_eq!(run.stderr.matches("1 thread stood still for ").count(), 1, "{}", run.stderr);
        assert!(args[0] == "at" || run.stdout == rows);
        assert!(goes_on(), "{}", status());
    }
    let run = vmatlas(&["show", &pid, "--json", "--freeze", "--deep"]);
    let json: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let frozen = &json["target"]["frozen"];
    assert_eq!((&frozen["threads"], &frozen["running"]), (&1.into(), &serde_json::json!([])));
    assert!(frozen["stood_ns"].as_u64().unwrap() > 0);
    // Whenever vmatlas is killed, nothing of it stays.
    for delay in 0..30 {
        let mut command = command(&["show", &pid, "--freeze", "--deep"]);
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(2 * delay));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(goes_on(), "{}", status());
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &rows).unwrap();
    let file = file.path().to_str().unwrap();
    for (target, why) in [("self", "cannot stop itself"), (file, "only a running process")] {
        let run = vmatlas(&["show", target, "--freeze"]);
        assert_eq!(run.status, 2, "{}", run.text());
        assert!(run.stderr.contains(why), "{}", run.stderr);
    }
}

#[test]
fn raw_is_what_the_kernel_prints() {
    let sleeper = Sleeper::start();
    let (pid, maps) = (sleeper.pid(), sleeper.maps());
    assert!(vmatlas(&[&pid, "--raw"]).stdout == maps);
    assert!(vmatlas(&["show", &format!("{pid}/{pid}"), "--raw"]).stdout == maps);
    // Sizes change with the memory that other processes share.
    let still = |smaps: &[u8]| {
        let text = String::from_utf8(smaps.to_vec()).unwrap();
        let lines = text
            .lines()
            .map(|line| if line.ends_with(" kB") { line.split(':').next().unwrap() } else { line });
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let smaps = std::fs::read(format!("/proc/{pid}/smaps")).unwrap();
    assert_eq!(still(&vmatlas(&[&pid, "--raw", "--sizes"]).stdout), still(&smaps));
}

#[test]
fn json_of_a_process() {
    let sleeper = Sleeper::start();
    let json = vmatlas(&[&sleeper.pid(), "--json", "--sizes"]).json();
    assert_eq!(json["target"]["source"], "live");
    assert_eq!(json["target"]["pid"], sleeper.0.id());
    assert_eq!(json["target"]["comm"], "sleep");
    let mappings = json["mappings"].as_array().unwrap();
    assert_eq!(mappings.len(), sleeper.maps().iter().filter(|&&b| b == b'\n').count());
    let libc = mappings.iter().find(|m| m["name"].as_str().unwrap().contains("libc.so")).unwrap();
    assert_eq!(
        (&libc["deleted"], &libc["path_certain"], &libc["path"]),
        (&false.into(), &true.into(), &libc["name"])
    );
    assert!(libc["rss"].as_u64().unwrap() > 0);
    let rss = |value: &serde_json::Value| value["rss"].as_u64().unwrap();
    let sum: u64 = mappings.iter().map(rss).sum();
    assert_eq!(sum, json["totals"].as_array().unwrap().iter().map(rss).sum::<u64>());
}

#[test]
fn an_address_in_a_library() {
    let sleeper = Sleeper::start();
    let maps = String::from_utf8(sleeper.maps()).unwrap();
    let code = maps.lines().find(|line| line.contains("libc.so") && line.contains("r-xp")).unwrap();
    let start = u64::from_str_radix(code.split('-').next().unwrap(), 16).unwrap();
    let address = format!("{:#x}", start + 0x1000);
    let run = vmatlas(&["at", &sleeper.pid(), &address, "--json"]);
    let json = run.json();
    assert_eq!(json["addresses"][0]["mapping"]["perms"], "r-xp");
    assert!(
        json["addresses"][0]["elf"]["segment"].as_str().unwrap().ends_with("LOAD R E"),
        "{}",
        run.text()
    );
    assert_eq!(json["addresses"][0]["elf"]["section"], ".text");
    assert!(json["addresses"][0]["elf"]["build_id"].as_str().unwrap().len() >= 16);
    assert!(json["addresses"][0]["verdict"].as_str().unwrap().contains("code of"));
    let nowhere = vmatlas(&["at", &sleeper.pid(), "10"]);
    assert_eq!(nowhere.status, 1);
    assert!(nowhere.text().contains("is not mapped"));
}

#[test]
fn addresses_of_the_kernel_are_not_beside_the_stack() {
    let sleeper = Sleeper::start();
    let at = |address: &str| vmatlas(&["at", &sleeper.pid(), address]).text();
    let kernel = at("ffffffff81000000");
    let rest = "is not mapped: it is an address of the kernel, whose memory maps does not list.\n";
    assert_eq!(kernel, format!("0xffffffff81000000 {rest}"));
}

/// A file may be shorter than its mapping.
#[test]
fn pages_behind_the_end_of_a_file_may_not_be_accessed() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let script = "import mmap; f = open(sys.argv[1], 'w+b'); f.truncate(1 << 17); \
                  m = mmap.mmap(f.fileno(), 1 << 17); f.truncate(100)";
    let python = Sleeper::python(script, file.path());
    let path = file.path().to_str().unwrap();
    let row = vmatlas(&[&python.pid(), "--where", &format!("path = '{path}'"), "--csv"]).text();
    let start = row.lines().nth(1).unwrap().split(',').next().unwrap();
    let start = u64::from_str_radix(start.trim_start_matches("0x"), 16).unwrap();
    let [inside, behind] = [start, start + (1 << 16)].map(|address| format!("{address:#x}"));
    let json = vmatlas(&["at", "--json", &python.pid(), &inside, &behind]).json();
    let verdict = |at: usize| json["addresses"][at]["verdict"].as_str().unwrap();
    assert!(verdict(0).contains("; it may be read and written"), "{}", verdict(0));
    let sigbus = "; the file has 100 bytes now, so every access to this page raises SIGBUS";
    assert!(verdict(1).contains(sigbus), "{}", verdict(1));
    assert!(json["addresses"][0].get("past_file_end").is_none());
    assert_eq!(json["addresses"][1]["past_file_end"], 100);
}

/// Rows do not show guard pages (MADV_GUARD_INSTALL).
#[test]
fn guard_pages_are_found_without_being_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).into_os_string().into_string().unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-pthread", "-o", &path("program")]);
    cc.arg(testdata().join("programs/merged_stacks.c"));
    assert!(cc.status().expect("needs a C compiler").success());
    // The lines of the program, which then waits.
    let started = |mut command: Command| {
        let mut program = Sleeper(command.stdout(Stdio::piped()).spawn().unwrap());
        let lines = BufReader::new(program.0.stdout.take().unwrap()).lines();
        let lines: Vec<String> = lines.map(Result::unwrap).take(2).collect();
        (program, lines)
    };
    let check = |target: &str, lines: &[String]| {
        let start = lines[0].split(' ').nth(1).unwrap();
        let start = u64::from_str_radix(&start[2..], 16).unwrap();
        let addresses = [start + 8, start + (4 << 12)].map(|address| format!("{address:#x}"));
        let of = |address: &str| {
            vmatlas(&["at", "--json", target, address]).json()["addresses"][0].clone()
        };
        let [guard, stack] = [&addresses[0], &addresses[1]].map(|address| of(address));
        let verdict = guard["verdict"].as_str().unwrap();
        let says = "; it is in a guard page (MADV_GUARD_INSTALL): every access fails.";
        assert!(verdict.ends_with(says), "{verdict}");
        assert_eq!(guard["guarded"], true);
        let verdict = stack["verdict"].as_str().unwrap();
        assert!(verdict.contains("; it may be read and written"), "{verdict}");
        assert!(stack.get("guarded").is_none());
    };
    let mut program = Command::new(path("program"));
    program.arg("1");
    let (program, lines) = started(program);
    if lines[0] == "no guards" {
        eprintln!("skipped: a kernel without MADV_GUARD_INSTALL");
        return;
    }
    check(&program.pid(), &lines);
    if cfg!(target_arch = "x86_64") {
        let record = ["record", "-q", "-o", &path("F"), "--", &path("program"), "1"];
        let (mut recorder, lines) = started(command(&record));
        let tid = lines[0].split(' ').next().unwrap();
        assert!(Command::new("kill").args(["-s", "KILL", tid]).status().unwrap().success());
        recorder.0.wait().unwrap();
        check(&path("F"), &lines);
    }
}

#[test]
fn sections_are_shown() {
    let sleeper = Sleeper::start();
    let rows = vmatlas(&[
        &sleeper.pid(),
        "--columns",
        "perms,name,sections",
        "--where",
        "name = */libc.so*",
    ])
    .text();
    let code = rows.lines().find(|line| line.starts_with("r-xp")).unwrap();
    assert!(code.contains(" .text"), "{rows}");
}

/// The work for one row must not grow with the number of rows.
#[test]
fn a_file_mapped_ever_so_often_is_shown_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (program, source) = (dir.path().join("one_file"), testdata().join("programs/one_file.c"));
    assert!(Command::new("cc").arg("-o").args([&program, &source]).status().unwrap().success());
    let shell = std::fs::canonicalize("/bin/sh").unwrap();
    let mut command = Command::new(&program);
    let child = command.arg(&shell).arg("40000").stdout(Stdio::piped()).spawn().unwrap();
    let mut child = Sleeper(child);
    let mut ready = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    let condition = format!("name = {}", shell.display());
    let rows =
        vmatlas(&[&child.pid(), "--columns", "sections", "--no-header", "--where", &condition])
            .text();
    assert_eq!(rows.lines().count(), 40000);
    assert!(rows.lines().all(|sections| sections.contains(".dyn")), "{:?}", rows.lines().next());
}

#[test]
fn two_runs_of_a_program_are_the_same_but_for_addresses() {
    let (a, b) = (Sleeper::start(), Sleeper::start());
    let run = vmatlas(&["diff", &a.pid(), &b.pid()]);
    // The kernel randomises the initial size of the stack.
    let changed: Vec<_> = run
        .stdout
        .split(|&b| b == b'\n')
        .filter(|line| line.starts_with(b"+") || line.starts_with(b"-"))
        .collect();
    assert!(changed.is_empty(), "{}", run.text());
}

/// A program in a folder of its own, under a name that no other process has.
fn own_program(directory: &tempfile::TempDir, name: &str) -> std::path::PathBuf {
    let path = directory.path().join(name);
    copy_program("/bin/sleep", &path);
    path
}

/// Starts it and waits until it has the name of its program.
fn started(command: &mut Command, comm: &str) -> Sleeper {
    let mut child = Sleeper(command.arg("1000").stdout(Stdio::null()).spawn().unwrap());
    let path = format!("/proc/{}/comm", child.0.id());
    while std::fs::read_to_string(&path).unwrap().trim_end() != comm {
        assert!(child.0.try_wait().unwrap().is_none(), "it has ended");
        std::thread::yield_now();
    }
    child
}

#[test]
fn processes_of_one_name_can_be_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    // At most 15 bytes, which the kernel keeps.
    let name = format!("vmt-{}", std::process::id());
    let program = own_program(&directory, &name);
    // What it calls itself is no command of the terminal.
    let own_name = format!("{name}\x1b[31m");
    let start = |argument: &str| {
        started(Command::new(&program).arg0(&own_name).arg("0").arg(argument), &name)
    };
    let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let (old, new) = (start("0.25"), start("0.125"));
    drop(new);
    let new = start("0.5");
    let run = vmatlas(&["at", &name, "0"]);
    assert_eq!((run.status, run.text().as_str()), (2, ""));
    assert!(!run.stderr.contains('\x1b'), "{}", run.stderr);
    let lines: Vec<&str> = run.stderr.lines().collect();
    let help = format!("2 processes are called {name}; give the PID of one, @newest:{name} or");
    assert!(lines[0].contains(&help), "{}", run.stderr);
    assert!(
        lines[1].contains("started (UTC)") && lines[1].ends_with("command line"),
        "{}",
        run.stderr
    );
    for (line, process, argument) in [(lines[2], &old, " 0 0.2"), (lines[3], &new, " 0 0.5")] {
        assert!(line.trim_start().starts_with(&process.pid()), "{}", run.stderr);
        let words: Vec<&str> = line.split_whitespace().collect();
        let started = format!("{} {}", words[2], words[3]);
        let date = Command::new("date").args(["-u", "+%s", "-d", &started]).output().unwrap();
        let seconds: u64 = String::from_utf8(date.stdout).unwrap().trim().parse().unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        assert!((began - 2..=now).contains(&seconds), "{began} {now}: {}", run.stderr);
        assert!(line.contains(argument) || line.ends_with('…'), "{}", run.stderr);
        assert!(line.chars().count() <= 80, "{}", run.stderr);
    }
    // `show` takes several: it lists them, or prints the rows of each.
    let run = vmatlas(&[&name]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let text = run.text();
    assert!(text.starts_with("2 processes: ") && !text.contains('\x1b'), "{text}");
    let rows = |process: &Sleeper| process.maps().iter().filter(|byte| **byte == b'\n').count();
    for process in [&old, &new] {
        let start = format!("{:>8} ", process.pid());
        let line = text.lines().find(|line| line.starts_with(&start));
        let count = rows(process).to_string();
        assert!(line.is_some_and(|line| line.contains(&format!(" {count} "))), "{count}: {text}");
    }
    let sized = vmatlas(&[&name, "--sizes"]).text();
    assert!(sized.contains("with each page counted once") && sized.contains("uss"), "{sized}");
    let lines = vmatlas(&[&name, "--ndjson"]).text();
    assert_eq!(lines.lines().count(), rows(&old) + rows(&new));
    let csv = vmatlas(&[&old.pid(), &new.pid(), "--csv", "--columns", "pid,start"]).text();
    assert_eq!(csv.lines().count(), 1 + rows(&old) + rows(&new), "{csv}");
    assert_eq!(csv.matches("pid").count(), 1, "{csv}");
    for (args, why) in [
        (["--json", "-q"], "one document has one map"),
        (["--raw", "-q"], "could not be told apart"),
        (["--at", "1"], "no moments"),
    ] {
        let run = vmatlas(&[&[name.as_str()], &args[..]].concat());
        assert_eq!(run.status, 2);
        assert!(run.stderr.contains(why), "{}", run.stderr);
    }
    for (pick, process) in [("newest", &new), ("oldest", &old)] {
        let json = vmatlas(&[&format!("@{pick}:{name}"), "--json"]).json();
        assert_eq!(json["target"]["pid"], process.0.id());
    }
    let none = vmatlas(&["@newest:no-such-process"]);
    assert!(none.stderr.contains("no-such-process: there is no process of that name"));
}

#[test]
fn a_process_is_found_by_its_executable_and_its_script() {
    let directory = tempfile::tempdir().unwrap();
    let name = format!("vmatlas-e{}", std::process::id());
    let program = own_program(&directory, &name);
    let link = directory.path().join("other-name");
    std::os::unix::fs::symlink(&program, &link).unwrap();
    let linked = started(&mut Command::new(&link), "other-name");
    let json = vmatlas(&[&name, "--json"]).json();
    assert_eq!(
        (&json["target"]["pid"], &json["target"]["comm"]),
        (&linked.0.id().into(), &"other-name".into())
    );
    let script = format!("vmatlas-s{}.py", std::process::id());
    let path = directory.path().join(&script);
    std::fs::write(&path, "import time\nprint('ready', flush=True)\ntime.sleep(1000)\n").unwrap();
    let mut python = Command::new("python3");
    let child = python.arg("-u").arg(&path).stdout(Stdio::piped()).spawn().expect("needs python3");
    let mut child = Sleeper(child);
    let mut ready = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let json = vmatlas(&[&script, "--json"]).json();
    assert_eq!(json["target"]["pid"], child.0.id());
}

#[test]
fn access_takes_the_name_of_a_user() {
    let sleeper = Sleeper::start();
    let decided = |user: &str| vmatlas(&["access", &sleeper.pid(), "--as", user, "--json"]).json();
    assert_eq!(decided("root"), decided("0"));
    let unknown = vmatlas(&["access", &sleeper.pid(), "--as", "no such user"]);
    assert_eq!(unknown.status, 2);
    let why = "neither /etc/passwd nor getent(1) has a user of that name; give a number";
    assert!(unknown.stderr.contains(why), "{}", unknown.stderr);
}

#[test]
fn access_asks_the_name_service_for_users() {
    let sleeper = Sleeper::start();
    let owner = std::fs::metadata(format!("/proc/{}", sleeper.pid())).unwrap().uid();
    let directory = tempfile::tempdir().unwrap();
    let getent = directory.path().join("getent");
    let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
    let run = |script: &str, user: &str| {
        std::fs::write(&getent, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&getent, std::fs::Permissions::from_mode(0o755)).unwrap();
        let pid = sleeper.pid();
        let mut command = command(&["access", &pid, "--json", "--as", user]);
        command.env("PATH", &path).output().unwrap()
    };
    let of_network = format!(
        "case \"$2\" in passwd) printf '%s\\n' 'corp\\ann:*:{owner}:77:Ann:/:/bin/sh';; *) echo 'ann 4 50';; esac"
    );
    let decided = |output: std::process::Output| -> serde_json::Value {
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let named = decided(run(&of_network, r"corp\ann"));
    assert_eq!(named["uid"], decided(run("exit 2", &owner.to_string()))["uid"]);
    // Another user's entry, an endless answer, one that is no entry.
    for script in ["echo bob:x:0:0::/:", "yes", "echo ann", "echo ann:x:-1:0::/:"] {
        let output = run(script, "ann");
        assert_eq!(output.status.code(), Some(2), "{script}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("getent(1) has"), "{script}");
    }
}

#[test]
fn a_kernel_thread_is_shown_as_one() {
    let stat = std::fs::read_to_string("/proc/2/stat").unwrap_or_default();
    if !stat.contains("(kthreadd)") {
        return println!("skipped: this pid namespace shows no threads of the kernel");
    }
    let run = vmatlas(&["2"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    assert!(run.text().contains("a thread of the kernel"));
    assert_eq!(vmatlas(&["2", "--json"]).json()["mappings"], serde_json::json!([]));
}

/// A hidden process must not be reported as gone.
#[test]
fn what_hidepid_hides_is_not_permitted() {
    let id = Command::new("id").arg("-u").output().unwrap();
    if id.stdout != b"0\n" {
        assert!(std::env::var_os("CI").is_none(), "needs root");
        return println!("skipped: needs root");
    }
    let sleeper = Sleeper::start();
    let pid = sleeper.0.id().to_string();
    // Another user may be unable to enter the build directory.
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    copy_program(env!("CARGO_BIN_EXE_vmatlas"), dir.path().join("vmatlas"));
    std::fs::create_dir(dir.path().join("proc")).unwrap();
    let steps = "mount -t proc -o hidepid=2 proc proc && exec setpriv --reuid=65534 \
                 --regid=65534 --clear-groups ./vmatlas show $0 --proc proc";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", steps, &pid]).current_dir(dir.path());
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("not permitted to read maps: hidepid="), "{errors}");
}

#[test]
fn what_vmatlas_reads_of_itself_is_no_news() {
    // Its own memory changes because it reads.
    assert_eq!(vmatlas(&["show", "self"]).stderr, "");
    assert_eq!(vmatlas(&["show", "self", "--sizes"]).stderr, "");
}

#[test]
fn colors_are_asked_for_or_not() {
    let colored = |args: &[&str], no_color: &str| {
        let output = command(args).env("NO_COLOR", no_color).output().unwrap();
        output.stdout.contains(&0x1b)
    };
    assert!(colored(&["self", "--color", "always"], "1"));
    assert!(!colored(&["self", "--color", "never"], ""));
    assert!(!colored(&["self"], ""));
}

#[test]
fn access_says_yes_and_no() {
    let sleeper = Sleeper::start();
    let yes = vmatlas(&["access", &sleeper.pid()]);
    assert_eq!(yes.status, 0, "{}", yes.stderr);
    assert!(yes.text().contains("allowed"));
    let json = vmatlas(&["access", &sleeper.pid(), "--json"]).json();
    assert_eq!(json["verdict"], "allowed");
    assert!(json["steps"].as_array().unwrap().len() > 5);
}
