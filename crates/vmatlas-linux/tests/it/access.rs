//! Compares the prediction of `access` with `open` for a matrix of readers, targets and mounts of
//! /proc. Each pair is predicted by the reader about itself, and by root on behalf of the reader.
use crate::copy_program::copy_program;
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use vmatlas_linux::access::{Credentials, Facts, Reader, Rule, Verdict, decide, gather};

const TEST: &str = "access::prediction_equals_open";
/// Set when this test runs itself again: the directory of the programs for `matrix`, or the paths
/// for `predict_as_reader`.
const ROLE: &str = "VMATLAS_ACCESS_ROLE";

/// Name, steps of testdata/programs/access_child.c (see [`Stepper::command`] for `{…}`), and the id maps
/// that root writes at the first of two `ready`. Without steps, the pid.
const TARGETS: &[(&str, &str, &str)] = &[
    ("root", "ready", ""),
    ("root not dumpable", "dumpable=0 ready", ""),
    ("root without capabilities", "caps=0 ready", ""),
    ("user", "{user} exec {self} ready", ""),
    (
        "user, groups",
        "groups=7,50 gid=12345,12345,12345 uid=12345,12345,12345 exec {self} ready",
        "",
    ),
    ("user not dumpable", "{user} exec {self} dumpable=0 ready", ""),
    ("user that was root", "{user} ready", ""),
    (
        "user, other gid",
        "groups= gid=23456,23456,23456 uid=12345,12345,12345 exec {self} ready",
        "",
    ),
    (
        "user, other egid",
        "groups= gid=12345,23456,12345 uid=12345,12345,12345 dumpable=1 ready",
        "",
    ),
    (
        "user, other sgid",
        "groups= gid=12345,12345,23456 uid=12345,12345,12345 dumpable=1 ready",
        "",
    ),
    ("other user", "{other} exec {self} ready", ""),
    ("nobody", "groups= gid=65534,65534,65534 uid=65534,65534,65534 exec {self} ready", ""),
    ("euid differs", "groups= gid=12345,12345,12345 uid=12345,23456,12345 dumpable=1 ready", ""),
    ("suid is root", "groups= gid=12345,12345,12345 uid=12345,12345,0 dumpable=1 ready", ""),
    ("setuid root", "{user} exec {setuid} ready", ""),
    ("setuid root dumpable", "{user} exec {setuid} dumpable=1 ready", ""),
    ("setuid root to user", "{user} exec {setuid} uid=12345,12345,12345 dumpable=1 ready", ""),
    ("setuid other", "{user} exec {setuidother} ready", ""),
    ("setgid", "{user} exec {setgid} ready", ""),
    ("setgid dumpable", "{user} exec {setgid} dumpable=1 ready", ""),
    ("file capabilities", "{user} exec {filecaps} ready", ""),
    ("file capabilities dumpable", "{user} exec {filecaps} dumpable=1 ready", ""),
    ("ambient capabilities", "keepcaps {user} caps=400 exec {self} ready", ""),
    ("permitted capabilities", "keepcaps {user} caps=400 exec {self} effective=0 ready", ""),
    ("unreadable program", "{user} exec {unreadable} ready", ""),
    ("landlocked", "{user} exec {self} landlock ready", ""),
    ("namespace", "{user} exec {self} userns map=0:12345:1 ready", ""),
    ("namespace, exec", "{user} exec {self} userns map=0:12345:1 exec {self} ready", ""),
    (
        "namespace, no capabilities",
        "{user} exec {self} userns map=0:12345:1 exec {self} caps=0 ready",
        "",
    ),
    (
        "namespace not dumpable",
        "{user} exec {self} userns map=0:12345:1 exec {self} dumpable=0 ready",
        "",
    ),
    (
        "namespace, early, not dumpable",
        "{user} exec {self} userns map=0:12345:1 dumpable=0 ready",
        "",
    ),
    (
        "namespace, unreadable program",
        "{user} exec {self} userns map=0:12345:1 exec {unreadable} ready",
        "",
    ),
    ("namespace without map", "{user} exec {self} userns exec {self} ready", ""),
    (
        "namespace, subordinate ids",
        "{user} exec {self} userns ready {nsroot} exec {self} ready",
        "0 100000 65536",
    ),
    (
        "namespace, sub not dumpable",
        "{user} exec {self} userns ready {nsroot} exec {self} dumpable=0 ready",
        "0 100000 65536",
    ),
    (
        "namespace, sub user",
        "{user} exec {self} userns ready {nsuser} exec {self} ready",
        "0 100000 65536",
    ),
    (
        "namespace, sub user not dumpable",
        "{user} exec {self} userns ready {nsuser} exec {self} dumpable=0 ready",
        "0 100000 65536",
    ),
    ("namespace of root", "userns ready exec {self} ready", "0 0 4294967295"),
    (
        "namespace in namespace",
        "{user} exec {self} userns map=0:12345:1 exec {self} userns map=0:0:1 exec {self} ready",
        "",
    ),
    ("zombie", "{user} exec {self} zombie", ""),
    ("zombie not dumpable", "{user} exec {self} dumpable=0 zombie", ""),
    ("leader exited", "{user} exec {self} noleader", ""),
    ("kernel thread", "", "2"),
    ("nobody there", "", "4194303"),
    ("itself", "", "0"), // the reader puts its own pid here
];

/// Name, and steps before and after execve. A reader with steps after it cannot be this test, so only
/// root predicts.
const READERS: &[(&str, &str, &str)] = &[
    ("root", "", ""),
    ("root without CAP_SYS_PTRACE", "drop=19", ""),
    ("root without PTRACE, ADMIN, PERFMON", "drop=19 drop=21 drop=38", ""),
    ("user", "{user}", ""),
    ("user, other gid", "groups= gid=23456,23456,23456 uid=12345,12345,12345", ""),
    ("user, group 23456", "groups=23456 gid=12345,12345,12345 uid=12345,12345,12345", ""),
    ("user, group 0", "groups=0 gid=12345,12345,12345 uid=12345,12345,12345", ""),
    ("user, group 50", "groups=50 gid=12345,12345,12345 uid=12345,12345,12345", ""),
    ("other user", "{other}", ""),
    ("other user, gid 50", "groups= gid=50,50,50 uid=23456,23456,23456", ""),
    ("nobody", "groups= gid=65534,65534,65534 uid=65534,65534,65534", ""),
    ("subordinate user", "groups= gid=100000,100000,100000 uid=100000,100000,100000", ""),
    ("user, CAP_SYS_PTRACE", "keepcaps {user} caps=80000", ""),
    ("user, CAP_SYS_PTRACE not effective", "keepcaps {user} caps=80000", "effective=0"),
    ("user, CAP_PERFMON", "keepcaps {user} caps=4000000000", ""),
    ("other user, CAP_SYS_ADMIN", "keepcaps {other} caps=200000", ""),
    ("user, CAP_NET_BIND_SERVICE", "keepcaps {user} caps=400", ""),
    ("fsuid of user", "", "gid=12345,23456,12345 uid=12345,23456,12345 fsuid=12345 fsgid=12345"),
    ("fsuid of other", "", "gid=23456,12345,23456 uid=23456,12345,23456 fsuid=23456 fsgid=23456"),
    ("root, fsuid of user", "", "fsuid=12345 fsgid=12345"),
    ("in a namespace", "{user} exec {self} userns map=0:12345:1", ""),
    ("in a namespace without map", "{user} exec {self} userns", ""),
    ("in a namespace, no capabilities", "{user} exec {self} userns map=0:12345:1", "caps=0"),
    ("in the namespace", "{user} exec {self} join={ns of namespace, exec}", ""),
    (
        "in the namespace, no capabilities",
        "{user} exec {self} join={ns of namespace, exec}",
        "caps=0",
    ),
    (
        "in the subordinate namespace",
        "{user} exec {self} join={ns of namespace, sub user} {nsroot}",
        "",
    ),
    (
        "user of the subordinate namespace",
        "{user} exec {self} join={ns of namespace, sub user} {nsuser}",
        "",
    ),
    (
        "in the inner namespace",
        "{user} exec {self} join={ns of namespace, exec} exec {self} userns map=0:0:1",
        "",
    ),
    ("landlocked user", "{user} landlock", ""),
    ("landlocked root", "landlock", ""),
    ("landlocked user, no files", "{user}", "landlockfs"),
];

const MOUNTS: &[(&str, &str)] = &[
    ("plain", "hidepid=0"),
    ("noaccess", "hidepid=1"),
    ("invisible", "hidepid=2,gid=50"),
    ("ptraceable", "hidepid=4,gid=50"),
];

/// Checked against the kernel: for a matrix of users, setuid programs, non-dumpable processes, user
/// namespaces and dropped capabilities, the prediction equals what `open` does.
#[test]
fn prediction_equals_open() {
    match std::env::var(ROLE) {
        Err(_) => start(),
        Ok(dir) if dir.starts_with('/') => matrix(Path::new(&dir)),
        Ok(role) => predict_as_reader(&role),
    }
}

/// Builds the programs and runs the matrix in a new mount namespace.
fn start() {
    if let Some(missing) = missing() {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI must provide what is missing here: {missing}"
        );
        eprintln!("skipped: {missing}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/programs/access_child.c");
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-O1", "-pthread", "-o"]).arg(path("self")).arg(source);
    assert!(cc.status().expect("needs a C compiler").success());
    copy_program(std::env::current_exe().unwrap(), path("test"));
    for (name, mode, uid, gid) in [
        (".", 0o755, 0, 0),
        ("test", 0o755, 0, 0),
        ("self", 0o755, 0, 0),
        ("setuid", 0o4755, 0, 0),
        ("setuidother", 0o4755, 23456, 0),
        ("setgid", 0o2755, 0, 23456),
        ("filecaps", 0o755, 0, 0),
        ("unreadable", 0o111, 0, 0),
    ] {
        if !path(name).exists() {
            copy_program(path("self"), path(name));
        }
        chown(path(name), Some(uid), Some(gid)).unwrap();
        fs::set_permissions(path(name), Permissions::from_mode(mode)).unwrap();
    }
    let file_capabilities = format!("filecaps=400,{}", path("filecaps").display());
    let status = Command::new(path("self"))
        .args([&file_capabilities, "mountns", "exec"])
        .arg(path("test"))
        .args([TEST, "--exact", "--nocapture"])
        .env(ROLE, dir.path())
        .status();
    assert!(status.unwrap().success(), "see above");
}

/// The feature that this machine lacks to run the matrix.
fn missing() -> Option<&'static str> {
    // Ubuntu's AppArmor removes the capabilities of a new user namespace.
    let restricted = fs::read_to_string("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
    if !rustix::process::geteuid().is_root() {
        Some("needs root to become other users")
    } else if restricted.is_ok_and(|value| value.trim_end() == "1") {
        Some("needs sysctl kernel.apparmor_restrict_unprivileged_userns=0")
    } else {
        None
    }
}

/// Starts all targets, makes each reader open each target, and compares.
fn matrix(dir: &Path) {
    let mounts: Vec<PathBuf> = MOUNTS.iter().map(|(name, _)| dir.join(name)).collect();
    for (path, (_, options)) in mounts.iter().zip(MOUNTS) {
        fs::create_dir(path).unwrap();
        let mut mount = Command::new("mount");
        assert!(
            mount.args(["-t", "proc", "-o", options, "proc"]).arg(path).status().unwrap().success()
        );
    }
    let (pids, _targets) = start_targets(dir);
    let cells: Vec<Cell> = MOUNTS
        .iter()
        .zip(&mounts)
        .flat_map(|(mount, root)| TARGETS.iter().map(move |target| (mount.0, root, target.0)))
        .map(|(mount, root, target)| Cell { mount, root: root.clone(), target, pid: pids[target] })
        .collect();

    let mut tally = Tally::default();
    for (reader, before, after) in READERS {
        // Root predicts between the reader's `ready` and its opens.
        let opens: String = cells.iter().map(|c| format!(" open={}", c.path().display())).collect();
        let steps = format!("{before} exec {{self}} {after} ready{opens}");
        let mut child = Stepper::start(dir, &pids, &steps);
        let mut credentials = Credentials::of_process(Path::new("/proc"), child.ready()).unwrap();
        let landlocked = reader.starts_with("landlocked");
        credentials.landlocked = Some(false);
        let predictions: Vec<_> = cells
            .iter()
            .map(|cell| {
                let mut facts =
                    gather(&cell.root, cell.pid, Reader::Other(credentials.clone())).unwrap();
                facts.landlock = Some(!landlocked);
                facts.file_open = Some(!after.contains("landlockfs"));
                Prediction::of(&facts)
            })
            .collect();
        child.go_on();
        for (cell, prediction) in cells.iter().zip(predictions) {
            let mut line = String::new();
            child.output.read_line(&mut line).unwrap();
            let done = Opened::parse(line.trim_end().strip_prefix("open ").expect(&line));
            tally.check(By::Root, reader, cell, &prediction, done);
        }

        if !after.is_empty() {
            continue;
        }
        // The reader predicts itself.
        let pairs: Vec<_> =
            cells.iter().map(|c| format!("{} {}", c.pid, c.root.display())).collect();
        let steps = format!("{before} exec {{test}} {TEST} --exact --nocapture");
        let mut child = Stepper::command(dir, &pids, &steps);
        let role = format!("{landlocked}\n{}", pairs.join("\n"));
        let output = child.env(ROLE, role).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<_> = text.lines().filter_map(|l| l.split_once("cell ")).collect();
        assert_eq!(
            lines.len(),
            cells.len(),
            "{reader}: {text}\n{:?}",
            String::from_utf8(output.stderr)
        );
        for (cell, (_, line)) in cells.iter().zip(lines) {
            let [done, sure, blind] = line.split('|').collect::<Vec<_>>().try_into().unwrap();
            let done = Opened::parse(done);
            tally.check(By::Reader, reader, cell, &Prediction::parse(sure), done);
            tally.check(By::Blind, reader, cell, &Prediction::parse(blind), done);
        }
    }
    tally.finish();
}

fn start_targets(dir: &Path) -> (BTreeMap<&'static str, u32>, Vec<Stepper>) {
    let mut pids = BTreeMap::new();
    let mut children = Vec::new();
    for (name, steps, extra) in TARGETS {
        let pid = if steps.is_empty() {
            extra.parse().unwrap()
        } else {
            let mut child = Stepper::start(dir, &pids, steps);
            let mut pid = child.ready();
            if steps.matches("ready").count() == 2 {
                for file in ["uid_map", "gid_map"] {
                    let path = format!("/proc/{pid}/{file}");
                    fs::write(path, extra).unwrap_or_else(|e| panic!("{name}: {e}"));
                }
                child.go_on();
                pid = child.ready();
            }
            children.push(child);
            pid
        };
        pids.insert(*name, pid);
    }
    (pids, children)
}

/// The role of a reader: predicts and opens each pair, and prints both.
fn predict_as_reader(role: &str) {
    let mut lines = role.lines();
    let landlocked = lines.next() == Some("true");
    for pair in lines {
        let (pid, root) = pair.split_once(' ').unwrap();
        let own = std::process::id().to_string();
        let pid = if pid == "0" { &own } else { pid };
        let mut facts = gather(Path::new(root), pid.parse().unwrap(), Reader::Caller).unwrap();
        let sure = Prediction::of(&facts);
        let Opened { errno, bytes } = Opened::now(&Path::new(root).join(pid).join("maps"));
        facts.observed = None;
        facts.landlock = Some(!landlocked);
        facts.file_open = Some(true);
        let blind = Prediction::of(&facts);
        println!("\ncell {errno} {bytes}|{sure}|{blind}");
    }
}

struct Cell {
    mount: &'static str,
    root: PathBuf,
    target: &'static str,
    pid: u32,
}

impl Cell {
    fn path(&self) -> PathBuf {
        self.root.join(self.pid.to_string()).join("maps")
    }
}

/// The predictor.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    /// Root, on behalf of the reader.
    Root,
    /// The reader.
    Reader,
    /// The reader without the kernel's answers to the same check, but with the Landlock fact.
    Blind,
}

/// Whether a prediction may be unknown in this cell.
fn may_be_unknown(by: By, reader: &str, cell: &Cell) -> bool {
    let target = |names: &[&str]| names.contains(&cell.target);
    match by {
        // Root owns the files of a root process, dumpable or not.
        By::Root if reader.starts_with("root without") => {
            target(&["root without capabilities", "namespace of root"])
        }
        // A dead process does not show whether it was dumpable.
        By::Root => {
            cell.mount != "plain" && target(&["zombie", "zombie not dumpable", "leader exited"])
        }
        By::Reader => false,
        By::Blind => true,
    }
}

/// The results of `open` and of one `read`.
#[derive(Copy, Clone, Debug)]
struct Opened {
    errno: i32,
    bytes: i64,
}

impl Opened {
    fn now(path: &Path) -> Opened {
        match File::open(path) {
            Ok(mut file) => {
                let bytes = file.read(&mut [0; 4096]).unwrap();
                Opened { errno: 0, bytes: i64::try_from(bytes).unwrap() }
            }
            Err(error) => Opened { errno: error.raw_os_error().unwrap(), bytes: -1 },
        }
    }

    fn parse(text: &str) -> Opened {
        let (errno, bytes) = text.split_once(' ').unwrap();
        Opened { errno: errno.parse().unwrap(), bytes: bytes.parse().unwrap() }
    }
}

/// The verdict as an errno, 0 if allowed; `None` if unknown.
struct Prediction {
    errno: Option<i32>,
    empty: bool,
    why: String,
}

impl Prediction {
    fn of(facts: &Facts) -> Prediction {
        let decision = decide(facts);
        let errno = match decision.verdict {
            Verdict::Allowed => Some(0),
            Verdict::Denied(errno) => Some(errno.raw_os_error()),
            Verdict::Unknown => None,
        };
        let why = format!("{:?}: {}", decision.rule, decision.why());
        Prediction { errno, empty: decision.rule == Rule::NoAddressSpace, why }
    }

    fn parse(text: &str) -> Prediction {
        let [errno, empty, why] = text.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
        Prediction { errno: errno.parse().ok(), empty: empty == "true", why: why.to_owned() }
    }
}

impl std::fmt::Display for Prediction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let errno = self.errno.map_or("?".to_owned(), |errno| errno.to_string());
        write!(f, "{errno} {} {}", self.empty, self.why)
    }
}

/// Counts the comparisons, and collects the differences.
#[derive(Default)]
struct Tally {
    cells: BTreeMap<By, usize>,
    results: BTreeSet<(i32, bool)>,
    unknown: BTreeMap<By, usize>,
    wrong: Vec<String>,
}

impl Tally {
    fn check(&mut self, by: By, reader: &str, cell: &Cell, prediction: &Prediction, done: Opened) {
        *self.cells.entry(by).or_default() += 1;
        self.results.insert((done.errno, done.bytes == 0));
        let right = match prediction.errno {
            None => {
                *self.unknown.entry(by).or_default() += 1;
                may_be_unknown(by, reader, cell)
            }
            Some(0) => done.errno == 0 && prediction.empty == (done.bytes == 0),
            // Only the reader that tries finds out whether a lookup is cached.
            Some(_) if by != By::Reader && cell.mount == "ptraceable" && done.errno == 1 => {
                prediction.errno == Some(Errno::NOENT.raw_os_error())
            }
            Some(errno) => errno == done.errno,
        };
        if !right {
            let Cell { mount, target, .. } = cell;
            self.wrong.push(format!(
                "{by:?}: {reader} -> {target} ({mount}): {done:?}, but {prediction}"
            ));
        }
    }

    fn finish(self) {
        let Tally { cells, unknown, .. } = &self;
        eprintln!("cells {cells:?}, unknown {unknown:?}");
        assert!(self.wrong.is_empty(), "{} wrong:\n{}", self.wrong.len(), self.wrong.join("\n"));
        assert_eq!(unknown.get(&By::Root), Some(&78), "the cells of may_be_unknown");
        assert_eq!(unknown.get(&By::Reader), None);
        let blind = (unknown[&By::Blind], cells[&By::Blind]);
        assert!(blind.0 < blind.1 * 3 / 4, "the reader's own facts say too little: {blind:?}");
        // The matrix must cover every answer of the kernel.
        let code = |errno: Errno| (errno.raw_os_error(), false);
        let met =
            [(0, false), (0, true), code(Errno::ACCESS), code(Errno::PERM), code(Errno::NOENT)];
        assert_eq!(self.results, BTreeSet::from(met));
    }
}

/// A running access_child.
struct Stepper {
    steps: String,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Stepper {
    /// `{user}` and the like are steps to change the user, `{ns of TARGET}` is a file, and other
    /// `{…}` are programs that `start` has put into `dir`.
    fn command(dir: &Path, pids: &BTreeMap<&str, u32>, steps: &str) -> Command {
        let mut steps = steps
            .replace("{user}", "groups= gid=12345,12345,12345 uid=12345,12345,12345")
            .replace("{other}", "groups= gid=23456,23456,23456 uid=23456,23456,23456")
            .replace("{nsroot}", "groups= gid=0,0,0 uid=0,0,0")
            .replace("{nsuser}", "groups= gid=5,5,5 uid=5,5,5");
        for (name, pid) in pids {
            steps = steps.replace(&format!("{{ns of {name}}}"), &format!("/proc/{pid}/ns/user"));
        }
        let program = |word: &str| match word.strip_prefix('{').and_then(|w| w.strip_suffix('}')) {
            Some(name) => dir.join(name).display().to_string(),
            None => word.to_owned(),
        };
        let mut command = Command::new(dir.join("self"));
        command
            .args(steps.split_whitespace().map(program))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        command
    }

    fn start(dir: &Path, pids: &BTreeMap<&str, u32>, steps: &str) -> Stepper {
        let mut child = Stepper::command(dir, pids, steps).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Stepper { steps: steps.to_owned(), child, input, output }
    }

    fn ready(&mut self) -> u32 {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end()
            .strip_prefix("ready ")
            .unwrap_or_else(|| panic!("{} not ready", self.steps))
            .parse()
            .unwrap()
    }

    fn go_on(&mut self) {
        self.input.write_all(b"\n").unwrap();
    }
}

impl Drop for Stepper {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("a child of ours");
    }
}
