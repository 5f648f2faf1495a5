//! A planted program for each rule.

use super::{findings, is_at_least_medium, of_rule, program, start};
use crate::live::Sleeper;
use crate::vmatlas::is_root;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Mode, its argument, options of audit, the rule and its severity.
type Planted = (&'static str, &'static str, &'static [&'static str], &'static str, &'static str);

const PLANTED: [Planted; 16] = [
    ("wx", "", &[], "wx", "high"),
    ("wx-file", "FILE", &[], "wx-file", "critical"),
    ("wx-shared", "", &[], "wx-shared", "critical"),
    ("anon-x", "", &[], "anon-x", "high"),
    ("anon-x", "", &["--deep"], "anon-x", "high"),
    ("anon-x-island", "", &[], "anon-x-island", "critical"),
    ("exec-stack", "", &[], "exec-stack", "high"),
    ("exec-heap", "", &[], "exec-heap", "critical"),
    ("dirty-text", "", &[], "dirty-text", "high"),
    ("text-differs", "", &["--deep"], "text-differs", "critical"),
    ("no-relro", "", &[], "no-relro", "medium"),
    ("aslr-off", "", &[], "aslr-off", "high"),
    ("guard-missing", "", &[], "guard-missing", "medium"),
    ("foreign-memory", "", &[], "ptrace-window", "high"),
    ("stack-huge", "", &[], "stack-huge", "low"),
    ("unexplained", "", &["--deep"], "unexplained", "info"),
];

#[test]
fn planted_programs_are_found() {
    for (mode, file, options, rule, severity) in PLANTED {
        let file = if file == "FILE" { program().to_str().unwrap() } else { file };
        let args: Vec<&str> = [mode, file].into_iter().filter(|arg| !arg.is_empty()).collect();
        let (sleeper, _) =
            start(program(), &args).unwrap_or_else(|status| panic!("{mode}: {status}"));
        let found = findings(&[options, &[&*sleeper.pid()]].concat());
        let of_rule = of_rule(&found, rule);
        let [first, ..] = of_rule[..] else { panic!("{mode}: {found:?}") };
        assert_eq!(first["severity"], severity, "{mode}: {first}");
        assert_eq!(first["pid"].to_string(), sleeper.pid());
        // What was not planted is not found.
        let others =
            found.iter().filter(|other| other["rule"] != rule && is_at_least_medium(other));
        let others: Vec<_> = others
            .filter(|other| {
                !["writable-path", "foreign-owner"].contains(&other["rule"].as_str().unwrap())
            })
            .collect();
        assert!(others.is_empty(), "{mode}: {others:?}");
    }
}

#[test]
fn a_program_without_anything_planted_is_clean() {
    let (sleeper, _) = start(program(), &["wait"]).unwrap();
    let found = findings(&[&sleeper.pid()]);
    let others = ["writable-path", "foreign-owner"];
    let found: Vec<_> = found
        .iter()
        .filter(|found| is_at_least_medium(found))
        .filter(|found| !others.contains(&found["rule"].as_str().unwrap()))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_tracer_is_found_in_what_it_traces() {
    let (_tracer, child) = start(program(), &["ptrace-window"]).unwrap();
    let found = findings(&[&child.to_string()]);
    let found = of_rule(&found, "ptrace-window");
    assert_eq!(found[0]["severity"], "high", "{found:?}");
}

#[test]
fn many_mappings_are_found() {
    let most = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
    let most: u64 = most.trim().parse().unwrap();
    if most > 1 << 20 {
        eprintln!("skipped: vm.max_map_count is {most}");
        return;
    }
    let count = (most / 10 * 9).to_string();
    let (sleeper, _) = start(program(), &["map-budget", &count]).unwrap();
    let found = findings(&[&sleeper.pid()]);
    let found = of_rule(&found, "map-budget");
    assert_eq!(found[0]["severity"], "medium");
    assert!(found[0]["evidence"].as_str().unwrap().contains(&format!("of {most} mappings")));
}

#[test]
fn secrets_without_dontdump_are_found() {
    match start(program(), &["secret-dumpable"]) {
        Err(4) => eprintln!("skipped: the kernel has no CONFIG_ANON_VMA_NAME"),
        Err(status) => panic!("{status}"),
        Ok((sleeper, _)) => {
            let found = findings(&[&sleeper.pid()]);
            assert_eq!(of_rule(&found, "secret-dumpable")[0]["severity"], "low");
            let (kept, _) = start(program(), &["secret-kept"]).unwrap();
            assert!(of_rule(&findings(&[&kept.pid()]), "secret-dumpable").is_empty());
        }
    }
}

/// A directory of a test, which is removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path =
            std::env::temp_dir().join(format!("vmatlas-audit-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    /// A copy of the program in it.
    fn copy(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::copy(program(), &path).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn removed_and_replaced_files_are_found() {
    let directory = Directory::new("files");
    let path = directory.copy("code");
    let start = || start(program(), &["map-code", path.to_str().unwrap()]).unwrap().0;
    let sleeper = start();
    std::fs::remove_file(&path).unwrap();
    let found = findings(&[&sleeper.pid()]);
    let deleted = of_rule(&found, "deleted-exec");
    assert_eq!(deleted[0]["severity"], "medium", "{found:?}");
    assert_eq!(deleted[0]["subject"], path.to_str().unwrap());
    // The same file again is a copy, as those of overlayfs are.
    directory.copy("code");
    let found = findings(&[&sleeper.pid()]);
    let outdated = of_rule(&found, "outdated");
    assert_eq!(outdated[0]["severity"], "info", "{found:?}");
    assert!(outdated[0]["explanation"].as_str().unwrap().contains("build ID"));
    // Another program is none.
    std::fs::copy(env!("CARGO_BIN_EXE_vmatlas"), &path).unwrap();
    let found = findings(&[&sleeper.pid()]);
    let outdated = of_rule(&found, "outdated");
    assert_eq!(outdated[0]["severity"], "medium", "{found:?}");
}

#[test]
fn code_in_memfds_is_found() {
    if !is_root() {
        return;
    }
    let (sleeper, _) = start(program(), &["memfd-exec"]).unwrap();
    assert_eq!(of_rule(&findings(&[&sleeper.pid()]), "memfd-exec")[0]["severity"], "high");
    let (sleeper, _) = start(program(), &["memfd-exe"]).unwrap();
    let found = findings(&[&sleeper.pid()]);
    assert_eq!(of_rule(&found, "memfd-exe")[0]["severity"], "critical");
    assert!(of_rule(&found, "memfd-exec").is_empty(), "{found:?}");
}

#[test]
fn files_that_others_can_replace_are_found() {
    if !is_root() {
        return;
    }
    let directory = Directory::new("writers");
    let path = directory.copy("code");
    let file = path.to_str().unwrap();
    let severity = |rule: &str| {
        let (sleeper, _) = start(program(), &["map-code", file]).unwrap();
        let found = findings(&[&sleeper.pid()]);
        let about = |found: &&&serde_json::Value| found["subject"] == file;
        of_rule(&found, rule)
            .iter()
            .find(about)
            .map(|found| found["severity"].as_str().unwrap().to_owned())
    };
    assert_eq!(severity("writable-path"), None);
    mode(&directory.0, 0o777);
    assert_eq!(severity("writable-path").as_deref(), Some("high"));
    // Nobody can remove a file of root there.
    mode(&directory.0, 0o1777);
    assert_eq!(severity("writable-path"), None);
    mode(&directory.0, 0o755);
    mode(&path, 0o666);
    assert_eq!(severity("writable-path").as_deref(), Some("high"));
    mode(&path, 0o755);
    assert_eq!(severity("foreign-owner"), None);
    std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
    assert_eq!(severity("foreign-owner").as_deref(), Some("medium"));
    // Who owns file and directory may write both: a home, or a build tree.
    std::os::unix::fs::chown(&directory.0, Some(12345), None).unwrap();
    assert_eq!(severity("foreign-owner"), None);
    assert_eq!(severity("writable-path").as_deref(), Some("medium"));
}

#[test]
fn code_on_mounts_that_forbid_it_is_found() {
    if !is_root() {
        return;
    }
    let directory = Directory::new("noexec");
    let script = "set -e; mount -t tmpfs none \"$1\"; cp \"$2\" \"$1/planted\"; \"$1/planted\" wait > \"$1/out\" & \
        until [ -s \"$1/out\" ]; do sleep 0.05; done; mount -o remount,bind,noexec \"$1\"; echo $!; wait";
    let mut shell = Command::new("unshare");
    shell.args(["-m", "sh", "-c", script, "sh"]).arg(&directory.0).arg(program());
    let mut shell = Sleeper(shell.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    use std::io::BufRead as _;
    let out = shell.0.stdout.as_mut().unwrap();
    std::io::BufReader::new(out).read_line(&mut line).unwrap();
    let found = findings(&[line.trim()]);
    // It would outlive the shell.
    Command::new("kill").arg(line.trim()).status().unwrap();
    assert_eq!(of_rule(&found, "noexec-mount")[0]["severity"], "medium", "{found:?}");
}

#[test]
fn low_addresses_are_found() {
    if !is_root() {
        return;
    }
    match start(program(), &["low-map"]) {
        Ok((sleeper, _)) => {
            assert_eq!(of_rule(&findings(&[&sleeper.pid()]), "low-map")[0]["severity"], "critical");
        }
        Err(status) => panic!("root may map address 0: {status}"),
    }
}

#[test]
fn a_file_that_one_writes_and_another_executes_is_found() {
    let directory = Directory::new("shared");
    let path = directory.copy("code");
    let file = path.to_str().unwrap();
    let (reader, _) = start(program(), &["map-code", file]).unwrap();
    let (writer, _) = start(program(), &["write-code", file]).unwrap();
    let found = findings(&[&reader.pid(), &writer.pid()]);
    let found = of_rule(&found, "shared-writable-code-file");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["pid"].to_string(), writer.pid());
    assert!(found[0]["evidence"].as_str().unwrap().contains(&reader.pid()));
    // Alone it is none.
    assert!(of_rule(&findings(&[&writer.pid()]), "shared-writable-code-file").is_empty());
}
