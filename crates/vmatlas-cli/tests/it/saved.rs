//! Tests snapshots of a machine.

use crate::live::Sleeper;
use crate::vmatlas::{Run, vmatlas};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

const BY: [&str; 10] =
    ["program", "process", "user", "cgroup", "container", "unit", "file", "image", "kind", "label"];

fn sleeper() -> Sleeper {
    Sleeper(Command::new("sleep").arg("1000").spawn().unwrap())
}

fn save(dir: &Path, args: &[&str]) -> Run {
    let run = vmatlas(&[&["save", "--all", "-o", dir.to_str().unwrap()], args].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    run
}

fn json(args: &[&str]) -> Value {
    let run = vmatlas(&[args, &["--json"]].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    serde_json::from_slice(&run.stdout).unwrap()
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    // Two of one second differ by a number behind it, which is not in the order of bytes.
    files.sort_by_key(|file| std::fs::metadata(file).unwrap().modified().unwrap());
    files
}

#[test]
fn a_machine_is_kept_and_summed_up() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("new");
    let first = sleeper();
    let live = vmatlas(&["show", &first.pid(), "--raw"]);
    let run = save(&dir, &[]);
    assert!(run.stderr.contains("processes, "), "{}", run.stderr);
    let gone = first.pid();
    drop(first);
    let second = sleeper();
    save(&dir, &["--sizes"]);
    let [one, two] = &files(&dir)[..] else { panic!("two files") };
    assert!(one.to_str().unwrap().ends_with("Z.vmsnap"), "{one:?} {two:?}");
    let dir = dir.to_str().unwrap();

    // A saved process is a target, with the rows that it had.
    let saved = vmatlas(&["show", &format!("{dir}:{gone}@#1"), "--raw"]);
    assert_eq!((saved.status, saved.stdout), (0, live.stdout));
    let by_option = vmatlas(&["show", &format!("{dir}@0"), "--pid", &gone, "--raw"]);
    assert_eq!(by_option.status, 0, "{}", by_option.stderr);
    let shown = json(&["show", &format!("{dir}:{}", second.pid()), "--sizes"]);
    assert!(shown["mappings"][0]["rss"].as_u64().is_some() || shown["mappings"][0]["Rss"].is_u64());
    let ended = vmatlas(&["show", &format!("{dir}:{gone}@end")]);
    assert!(ended.status == 2 && ended.stderr.contains("it has no process"), "{}", ended.stderr);
    let none = vmatlas(&["show", dir]);
    assert!(none.stderr.contains("--pid PID selects one"), "{}", none.stderr);
    let sizes = vmatlas(&["show", &format!("{dir}:{gone}@#1"), "--sizes"]);
    assert_eq!(sizes.status, 2, "{:?}", sizes.stdout);

    // Sums are equal for each key.
    for moment in ["#1", "#2"] {
        let word = format!("{dir}@{moment}");
        let sums = BY.map(|by| json(&["all", &word, "--by", by])["all"].clone());
        for (sum, by) in sums.iter().zip(BY) {
            for field in ["processes", "rows", "size", "rss", "pss", "uss", "swap"] {
                assert_eq!(sum[field], sums[0][field], "{moment} --by {by}: {field}");
            }
        }
        for by in BY {
            let found = json(&["all", &word, "--by", by]);
            let sum = |field: &str| -> u64 {
                let groups = found["groups"].as_array().unwrap();
                groups.iter().filter_map(|group| group[field].as_u64()).sum()
            };
            assert_eq!(found["all"]["size"], sum("size"), "{moment} --by {by}");
            let has_sizes = moment == "#2" || !["file", "image", "kind", "label"].contains(&by);
            if has_sizes {
                assert_eq!(found["all"]["rss"], sum("rss"), "{moment} --by {by}");
                assert_eq!(found["all"]["uss"], sum("uss"), "{moment} --by {by}");
            } else {
                assert!(found["groups"][0]["rss"].is_null(), "{moment} --by {by}");
            }
        }
    }
    let all =
        vmatlas(&["all", dir, "--where", &format!("pid = {}", second.pid()), "--by", "process"]);
    let text = String::from_utf8_lossy(&all.stdout);
    assert!(text.contains(&format!("{} sleep", second.pid())), "{text}");
    let unknown = vmatlas(&["all", &format!("{dir}@#1"), "--by", "kind"]);
    assert!(unknown.stderr.contains("save --all --sizes keeps them"), "{}", unknown.stderr);
    let no_ids = vmatlas(&["all", dir, "--by", "build-id"]);
    assert!(no_ids.status == 2 && no_ids.stderr.contains("no build IDs"), "{}", no_ids.stderr);
    let deep = vmatlas(&["all", dir, "--cheap"]);
    assert!(deep.status == 2 && deep.stderr.contains("these were saved"), "{}", deep.stderr);
    for command in [&["all", dir][..], &["diff", dir, dir]] {
        let proc = vmatlas(&[command, &["--proc", "/tmp"]].concat());
        assert!(proc.stderr.contains("--proc is about processes"), "{}", proc.stderr);
    }
    let one_process = vmatlas(&["all", &format!("{dir}:{}", second.pid())]);
    assert!(one_process.stderr.contains("vmatlas show shows one"), "{}", one_process.stderr);

    // What grew, came and went.
    let (before, after) = (format!("{dir}@#1"), format!("{dir}@end"));
    let diff = vmatlas(&["diff", &before, &after, "--by", "process", "--json"]);
    assert_eq!(diff.status, 1, "{}", diff.stderr);
    let diff: Value = serde_json::from_slice(&diff.stdout).unwrap();
    let change = |pid: &str| {
        let groups = diff["groups"].as_array().unwrap();
        let key = format!("{pid} sleep");
        let group = groups.iter().find(|group| group["key"] == key.as_str()).unwrap();
        (group["change"].clone(), group["before"].is_null(), group["after"].is_null())
    };
    assert_eq!(change(&gone), ("gone".into(), false, true));
    assert_eq!(change(&second.pid()), ("new".into(), true, false));
    for part in ["before", "after"] {
        let word = if part == "before" { &before } else { &after };
        assert_eq!(diff[part], json(&["all", word, "--by", "process"])["all"]);
    }
    let text = vmatlas(&["diff", &before, &after, "--where", &format!("pid = {gone}")]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("sleep (gone)") && text.contains("(UTC)"), "{text}");
    let same = vmatlas(&["diff", &before, &before]);
    assert_eq!(same.status, 0, "{}", same.stderr);
    let csv = vmatlas(&["diff", &before, &after, "--csv"]);
    assert!(csv.stdout.starts_with(b"change,key,rows_before"), "{:?}", csv.stdout);
    let refused = vmatlas(&["diff", "self", "self", "--by", "program"]);
    assert!(refused.stderr.contains("--by is about two snapshots"), "{}", refused.stderr);

    // Moments that there are not.
    for (moment, why) in [
        ("#3", "it has 2 snapshots, and no #3"),
        ("1970-01-01T00:00", "its first snapshot is later"),
        ("soon", "a time is seconds after the first snapshot"),
    ] {
        let run = vmatlas(&["all", &format!("{dir}@{moment}")]);
        assert!(run.status == 2 && run.stderr.contains(why), "{moment}: {}", run.stderr);
    }

    // Without the first the second cannot be read, and says so.
    std::fs::remove_file(one).unwrap();
    let run = vmatlas(&["all", dir]);
    let missing = format!("{}: is missing, and {} needs it", one.display(), two.display());
    assert!(run.status == 2 && run.stderr.contains(&missing), "{}", run.stderr);
    // The next one needs neither.
    save(Path::new(dir), &[]);
    assert_eq!(vmatlas(&["all", dir]).status, 0);
    std::fs::write(files(Path::new(dir)).pop().unwrap(), b"\x89vmatlas\r\n\x1a\nall\x01").unwrap();
    assert_eq!(vmatlas(&["all", &format!("{dir}@#2")]).status, 2);
}
