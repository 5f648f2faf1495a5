//! Tests `vmatlas verify` on the model and on the running kernel.

use crate::vmatlas::{testdata, vmatlas};
use std::path::{Path, PathBuf};

fn files() -> Vec<String> {
    let entries = std::fs::read_dir(testdata().join("scenarios")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<String> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "scn"))
        .map(|path| path.display().to_string())
        .collect();
    files.sort();
    files
}

fn file(directory: &Path, text: &str) -> PathBuf {
    let path = directory.join("own.scn");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn all_files_hold_on_the_kernel_and_the_model() {
    let files = files();
    let arguments: Vec<&str> =
        std::iter::once("verify").chain(files.iter().map(String::as_str)).collect();
    let run = vmatlas(&arguments);
    assert_eq!(run.status, 0, "{}", run.all());
    let last = run.text().lines().last().unwrap().to_owned();
    let passed: u32 = last.split(' ').next().unwrap().parse().unwrap();
    assert!(passed >= 80 && last.contains(" passed, 0 failed, "), "{last}");
}

#[test]
fn the_model_follows_the_kernel_that_is_named() {
    let files = files();
    for kernel in ["4.19", "5.4", "5.10", "6.1", "6.6", "6.12", "6.18", "7.1", "7.2", "7.3"] {
        let given = ["verify", "--model-only", "--kernel", kernel];
        let arguments: Vec<&str> =
            given.into_iter().chain(files.iter().map(String::as_str)).collect();
        let run = vmatlas(&arguments);
        assert_eq!(run.status, 0, "{kernel}: {}", run.all());
    }
}

#[test]
fn what_differs_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(
        directory.path(),
        "scenario wrong-row\nmap 0 1 rw\nmap 1 1 rw\nexpect\n  0-1 rw-p\n  1-2 rw-p\nend\n\
         scenario wrong-error\nunmap 0 1 ! EINVAL\nend\n\
         scenario right\nmap 0 1 r\nexpect\n  0-1 r--p\nend\n\
         scenario not-for-this-kernel\nkernel < 2.6\nend\n",
    );
    let path = path.to_str().unwrap();
    let run = vmatlas(&["verify", path]);
    let text = run.all().replace(path, "own.scn");
    insta::assert_snapshot!(text, @r"
    wrong-row: the kernel differs, own.scn: line 4
      expected  expect
                  0-1 rw-p
                  1-2 rw-p
      kernel    expect
                  0-2 rw-p
      model     expect
                  0-2 rw-p
    wrong-error: the kernel differs, own.scn: line 9
      expected  unmap 0 1 ! EINVAL
      kernel    unmap 0 1
      model     unmap 0 1
    1 passed, 2 failed, 1 skipped
    exit 1
    ");
    let json = vmatlas(&["verify", "--json", "--model-only", path]);
    assert_eq!(json.status, 1);
    let json = json.json();
    assert_eq!(
        (&json["passed"], &json["failed"], &json["skipped"]),
        (&1.into(), &2.into(), &1.into())
    );
    assert_eq!(json["schema"], "vmatlas/1");
    let first = &json["scenarios"][0];
    assert_eq!(first["status"], "model-differs");
    assert_eq!(first["model"], "expect\n  0-2 rw-p");
    assert_eq!(json["scenarios"][2]["status"], "ok");
    assert_eq!(json["scenarios"][3]["why"], "kernel < 2.6");
}

#[test]
fn a_malformed_scenario_names_its_place_and_the_rest_is_run() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(
        directory.path(),
        "scenario broken\nmap 0 1 rw\nmapp 1 1 rw\nend\nscenario right\nmap 0 1 r\nend\n",
    );
    let path = path.to_str().unwrap();
    let run = vmatlas(&["verify", "--model-only", path]);
    assert_eq!(run.status, 2);
    assert_eq!(run.text(), "1 passed, 0 failed, 0 skipped\n");
    assert!(run.stderr.starts_with(&format!("vmatlas: {path}:3:1: ")), "{}", run.stderr);
    let missing = vmatlas(&["verify", "--model-only", "/nowhere/x.scn"]);
    assert_eq!(missing.status, 2);
    assert!(missing.stderr.contains("/nowhere/x.scn"), "{}", missing.stderr);
}

#[test]
fn random_scenarios_agree() {
    let run = vmatlas(&["verify", "--random", "200", "--seed", "7"]);
    assert_eq!((run.status, run.text().as_str()), (0, "200 passed, 0 failed, 0 skipped\n"));
    let alone = vmatlas(&["verify", "--random", "2", "--model-only"]);
    assert_eq!(alone.status, 2, "{}", alone.all());
}
