//! Tests documents of vmatlas and snapshots as targets.

use crate::blame::Recorded;
use crate::live::Sleeper;
use crate::vmatlas::{is_root, testdata, vmatlas, vmatlas_with_input};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;

/// The document that a document is read back as, with the source of the first.
fn read_back(document: &[u8]) -> Value {
    let run = vmatlas_with_input(&["show", "-q", "-", "--json"], document);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let mut again = run.json();
    assert_eq!(again["target"]["source"], "snapshot");
    let first: Value = serde_json::from_slice(document).unwrap();
    again["target"]["source"] = first["target"]["source"].clone();
    again
}

#[track_caller]
fn check_law(target: &str, options: &[&str]) {
    let run = vmatlas(&[&["show", "-q", target, "--json"], options].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    let (first, again) = (run.json(), read_back(&run.stdout));
    for (key, value) in first.as_object().unwrap() {
        if let (Some(rows), Some(others)) = (value.as_array(), again[key].as_array()) {
            for (row, other) in rows.iter().zip(others) {
                assert_eq!(row, other, "{target} {options:?}: {key}");
            }
        }
        assert_eq!(*value, again[key], "{target} {options:?}: {key}");
    }
    assert_eq!(first, again);
}

#[test]
fn a_document_is_read_back_as_it_was() {
    for folder in ["captures", "crashes"] {
        for entry in std::fs::read_dir(testdata().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let path = path.to_str().unwrap();
            if vmatlas(&["show", "-q", path, "--json"]).status == 0 {
                check_law(path, &[]);
            }
        }
    }
    check_law("captures/zoo-x86_64-6.18.smaps", &["--sort", "rss"]);
    check_law("captures/zoo-x86_64-6.18.smaps", &["--where", "size > 64K"]);
    check_law("strace/child.log", &[]);
    let sleeper = Sleeper::start();
    check_law(&sleeper.pid(), &[]);
    check_law(&sleeper.pid(), &["--sizes", "--deep"]);
    if is_root() {
        check_law(&sleeper.pid(), &["--freeze"]);
    }
}

/// As jq prints them.
#[test]
fn documents_are_read_in_any_layout() {
    let sleeper = Sleeper::start();
    let first = vmatlas(&["show", &sleeper.pid(), "--json"]).json();
    let pretty = serde_json::to_vec_pretty(&first).unwrap();
    assert_eq!(read_back(&pretty), first);
    let mut sorted = first.clone();
    sorted.sort_all_objects();
    let sorted = serde_json::to_vec_pretty(&sorted).unwrap();
    assert!(sorted.starts_with(b"{\n  \"images\""));
    assert_eq!(read_back(&sorted), first);
    let lines = vmatlas(&["show", &sleeper.pid(), "--ndjson"]).text();
    let sorted = lines.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line.sort_all_objects();
        format!("{line}\n")
    });
    let again =
        vmatlas_with_input(&["show", "-", "--ndjson"], sorted.collect::<String>().as_bytes());
    assert_eq!(again.text(), lines);
}

#[test]
fn a_document_of_a_text_claims_no_more_than_the_text() {
    let file = "captures/zoo-x86_64-6.18.maps";
    let document = vmatlas(&["show", "-q", file, "--json"]).stdout;
    let shown = vmatlas_with_input(&["show", "-q", "-"], &document).text();
    let rows = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(rows(&shown), rows(&vmatlas(&["show", "-q", file]).text()));
}

#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
#[test]
fn a_document_of_a_recording_keeps_the_origins() {
    let recorded = Recorded::by(&[]);
    check_law(&recorded.file(), &[]);
    let document = vmatlas(&["show", "-q", &recorded.file(), "--json"]).stdout;
    let text = vmatlas_with_input(&["show", "-q", "-"], &document).text();
    assert!(text.contains("mmap #"), "{text}");
}

#[test]
fn lines_are_read_back_as_they_were() {
    let sleeper = Sleeper::start();
    let lines = vmatlas(&["show", &sleeper.pid(), "--ndjson", "--sizes"]).stdout;
    let again = vmatlas_with_input(&["show", "-", "--ndjson"], &lines);
    assert_eq!((again.status, again.stderr.as_str()), (0, ""));
    assert!(again.stdout == lines);
    // Numbers beside addresses are no fields of smaps.
    let twins = vmatlas(&["show", &sleeper.pid(), "--ndjson", "--sizes", "--numbers"]).stdout;
    let again = vmatlas_with_input(&["show", "-", "--raw"], &twins).text();
    assert!(!again.contains("_num"), "{again}");
}

#[test]
fn the_first_line_has_the_warnings() {
    let rows =
        std::fs::read(crate::vmatlas::testdata().join("captures/zoo-x86_64-6.18.maps")).unwrap();
    let cut = vmatlas_with_input(&["show", "-", "--ndjson", "-q"], &rows[..700]).stdout;
    let text = String::from_utf8(cut.clone()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["warnings"][1]["kind"], "cut", "{text}");
    assert!(lines[1..].iter().all(|line| line.get("warnings").is_none()), "{text}");
    let again = vmatlas_with_input(&["show", "-", "--ndjson"], &cut);
    assert!(again.stderr.contains("the text may have been cut here"), "{}", again.stderr);
    assert!(again.stdout == cut);
    let whole = vmatlas_with_input(&["show", "-", "--ndjson"], &rows).text();
    assert!(!whole.contains("warnings"), "{whole}");
    // A second listing behind one that has warnings.
    let unended = &rows[..rows.len() - 1];
    let unended = vmatlas_with_input(&["show", "-", "--ndjson", "-q"], unended).stdout;
    assert!(unended.starts_with(br#"{"schema":"vmatlas/1","warnings":[{"kind":"cut""#));
    let two = [unended.as_slice(), whole.as_bytes()].concat();
    let shown = vmatlas_with_input(&["show", "-q", "-", "--summary"], &two).text();
    assert!(shown.contains(" of 2 maps, which have no sum"), "{shown}");
}

#[test]
fn lines_of_several_maps_have_no_sum() {
    let small = "8048000-804c000 r-xp 00000000 fe:00 7 /a\nffce0000-ffd01000 rw-p 00000000 00:00 0 [stack]\n";
    let rollup = "1000-9000 ---p 00000000 00:00 0 [rollup]\nRss: 4 kB\n";
    let above = small.replace("80", "7f80").replace("ff", "7fff");
    for text in [format!("{small}{small}"), format!("{small}{above}"), format!("{rollup}{rollup}")]
    {
        let lines = vmatlas_with_input(&["show", "-q", "-", "--ndjson"], text.as_bytes()).stdout;
        let shown = vmatlas_with_input(&["show", "-q", "-", "--summary"], &lines).text();
        assert!(shown.contains(" of 2 maps, which have no sum"), "{shown}");
        read_back(&vmatlas_with_input(&["show", "-q", "-", "--json"], text.as_bytes()).stdout);
    }
}

#[test]
fn every_command_reads_a_document() {
    let sleeper = Sleeper::start();
    let (pid, directory) = (sleeper.pid(), tempfile::tempdir().unwrap());
    let file = directory.path().join("document").into_os_string().into_string().unwrap();
    std::fs::write(&file, vmatlas(&["show", &pid, "--json", "--sizes"]).stdout).unwrap();
    let text = vmatlas(&[&file, "--wide"]).text();
    assert!(text.starts_with(&format!("{file}: {pid} sleep: ")), "{text}");
    assert!(text.contains("[stack]") && text.contains(".text"), "{text}");
    let shown = vmatlas(&["show", &file, "--json"]).json();
    let stack = shown["mappings"].as_array().unwrap().iter().find(|row| row["name"] == "[stack]");
    let start = stack.unwrap()["start"].as_str().unwrap();
    let at = vmatlas(&["at", &file, start, "10", "--json"]);
    assert_eq!(at.status, 1);
    assert_eq!(at.json()["addresses"][0]["label"]["group"], "thread stack");
    assert!(at.text().contains("is in no mapping of the document"), "{}", at.text());
    let diff = vmatlas(&["diff", &file, &pid]);
    assert_eq!((diff.status, diff.stderr.as_str()), (0, ""), "{}", diff.text());
    let explain = vmatlas(&["explain", &file, "10"]);
    assert!(explain.text().contains("null"), "{}", explain.text());
    // Columns that only a document still knows.
    let columns = vmatlas(&["show", &file, "--columns", "pid,comm,label", "--no-header"]).text();
    assert!(columns.contains(&format!("{pid} sleep stack of thread {pid} (sleep)")), "{columns}");
    assert!(vmatlas(&["show", &file, "--raw"]).text().contains("\nVmFlags: rd "));
}

#[test]
fn a_snapshot_is_what_the_process_was() {
    let sleeper = Sleeper::start();
    let (pid, directory) = (sleeper.pid(), tempfile::tempdir().unwrap());
    let file = directory.path().join("snapshot").into_os_string().into_string().unwrap();
    let saved = vmatlas(&["save", &pid, "-o", &file, "--sizes"]);
    assert_eq!((saved.status, saved.all()), (0, "exit 0".to_owned()));
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut now = vmatlas(&["show", &pid, "--json", "--sizes"]).json();
    let mut then = vmatlas(&["show", &file, "--json"]).json();
    for document in [&mut now, &mut then] {
        for key in ["source", "time"] {
            assert!(document["target"].as_object_mut().unwrap().remove(key).is_some());
        }
        // Shares of pages change with other processes.
        for row in document["mappings"].as_array_mut().unwrap() {
            row.as_object_mut().unwrap().retain(|key, _| {
                !["pss", "pss_dirty", "shared_clean", "private_clean"].contains(&key.as_str())
            });
        }
        document.as_object_mut().unwrap().remove("totals");
    }
    assert_eq!(now, then);
    assert_eq!(vmatlas(&["diff", &file, &pid]).status, 0);
    let again = vmatlas(&["save", &file, "-o", &file]);
    assert_eq!(again.status, 0, "{}", again.stderr);
    assert_eq!(vmatlas(&["show", &file, "--json"]).json()["threads"], then["threads"]);
    let refused = vmatlas(&["save", "captures/zoo-x86_64-6.18.maps", "--sizes", "-o", &file]);
    assert_eq!(refused.status, 2);
    assert!(refused.stderr.contains("--sizes needs smaps"), "{}", refused.stderr);
}

#[track_caller]
fn refused(document: &[u8], why: &str) {
    // A pipe would be closed before all of it is written.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), document).unwrap();
    let run = vmatlas(&["show", file.path().to_str().unwrap()]);
    assert_eq!((run.status, run.text().as_str()), (2, ""), "{}", run.stderr);
    assert!(run.stderr.contains(why), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
}

#[test]
fn what_is_no_map_is_refused_by_name() {
    let document = |value: Value| value.to_string().into_bytes();
    refused(&document(json!({"schema": "vmatlas/2", "mappings": []})), "vmatlas/2, which is newer");
    refused(&document(json!({"schema": "vmatlas/x", "mappings": []})), "which is not known");
    refused(&document(json!({"schema": "vmatlas/1"})), "has no mappings");
    refused(&document(json!({"mappings": []})), "without the schema of vmatlas");
    let of = |args: &[&str]| vmatlas(&[args, &["--json", "-q"]].concat()).stdout;
    let zoo = "captures/zoo-x86_64-6.18.maps";
    refused(&of(&["at", zoo, "10"]), "a document of vmatlas at");
    refused(&of(&["diff", zoo, zoo]), "a document of vmatlas diff");
    refused(&of(&["blame", "strace/child.log"]), "a document of vmatlas blame");
    refused(&of(&["explain", zoo, "10"]), "a document of vmatlas explain");
    refused(&of(&["access", "self"]), "a document of vmatlas access");
    refused(&of(&["show", "/nonexistent"]), "a document of an error");
    let verify = of(&["verify", "--model-only", "scenarios/a-placement.scn"]);
    refused(&verify, "a document of vmatlas verify");
}

#[test]
fn hostile_documents_are_refused() {
    let row = r#"{"start":"0x1000","end":"0x2000","perms":"r--p"}"#;
    let with = |rows: &str| format!(r#"{{"schema":"vmatlas/1","mappings":[{rows}]}}"#).into_bytes();
    assert_eq!(vmatlas_with_input(&["show", "-"], &with(row)).status, 0);
    let damaged = "a document of vmatlas that is damaged";
    for bad in [
        r#"{"start":"0x2000","end":"0x1000","perms":"r--p"}"#,
        r#"{"start":"0x1000","end":"0x2000"}"#,
        r#"{"end":"0x2000","perms":"r--p"}"#,
        r#"{"start":4096,"end":"0x2000","perms":"r--p"}"#,
        r#"{"start":"0x+1","end":"0x2000","perms":"r--p"}"#,
        r#"{"start":"0x1ffffffffffffffff","end":"0x2000","perms":"r--p"}"#,
        r#"{"start":"0x1000","end":"0x2000","perms":"r--"}"#,
        r#"{"start":"0x1000","end":"0x2000","perms":"r--p","device":"xx"}"#,
        r#"{"start":"0x1000","end":"0x2000","perms":"r--p","name_hex":"q"}"#,
        r#"{"start":"0x1000","end":"0x2000","perms":"r--p","inode":-1}"#,
        "1",
        "{",
    ] {
        refused(&with(bad), damaged);
    }
    let cut = with(row);
    refused(&cut[..cut.len() - 1], damaged);
    refused(&[&cut[..], b"x"].concat(), damaged);
    refused(&with(&"[".repeat(100_000)), damaged);
    let deep = format!(r#"{{"schema":"vmatlas/1","totals":{}"#, "[".repeat(100_000));
    refused(deep.as_bytes(), damaged);
    let many: String = (0..1000).map(|field| format!(r#","f{field}":1"#)).collect();
    refused(&with(&row.replace('}', &format!("{many}}}"))), damaged);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), with(&format!("{row},").repeat(100_000))).unwrap();
    let run = vmatlas(&["show", file.path().to_str().unwrap(), "--budget", "1M"]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("of more than 1 MiB"), "{}", run.stderr);
    // To sum their labels up would take days.
    let label = |group: usize| format!(r#"{{"text":"x","group":"{group}","confidence":"guess"}}"#);
    let part = |at: usize| {
        let (start, end) = (0x1000 + at, 0x1001 + at);
        format!(r#"{{"start":"{start:#x}","end":"{end:#x}","label":{}}}"#, label(at % 100))
    };
    let parts = (0..4000).map(part).collect::<Vec<_>>().join(",");
    let labelled = row.replace('}', &format!(r#","parts":[{parts}]}}"#));
    assert_eq!(vmatlas_with_input(&["show", "-"], &with(&labelled)).status, 0);
    let others = format!(",{row}").repeat(2000);
    refused(&with(&(labelled + &others)), "too many labels");
    let grouped = (0..300).map(|at: usize| {
        let (start, end) = (0x1000 * at, 0x1000 * (at + 1));
        format!(r#"{{"start":"{start:#x}","end":"{end:#x}","perms":"r--p","label":{}}}"#, label(at))
    });
    refused(&with(&grouped.collect::<Vec<_>>().join(",")), "too many labels");
    let starts = r#"{"kind":"rollups","message":"18446744073709551615 4294967295"}"#;
    let warned =
        format!(r#"{{"schema":"vmatlas/1","mappings":[{row}],"warnings":[{starts},{starts}]}}"#);
    assert_eq!(vmatlas_with_input(&["show", "-"], warned.as_bytes()).status, 0);
    // Commands to a terminal stay harmless.
    let name = row.replace('}', r#","name":"/\u001b[31mx"}"#);
    assert!(!vmatlas_with_input(&["show", "-"], &with(&name)).text().contains('\x1b'));
    refused(b"{\"schema\":\"vmatlas/\\u001b[31m\",\"mappings\":[]}", "which is not known");
}

#[test]
fn lines_of_several_processes_need_a_choice() {
    let line = |pid: u32| {
        let row = r#""start":"0x1000","end":"0x2000","perms":"r--p""#;
        format!("{{\"schema\":\"vmatlas/1\",\"pid\":{pid},{row}}}\n")
    };
    let both = [line(7), line(8)].concat();
    refused(both.as_bytes(), "rows of 2 processes: 7, 8; --pid PID selects one");
    let one = vmatlas_with_input(&["show", "-", "--pid", "8", "--json"], both.as_bytes());
    assert_eq!(one.json()["target"]["pid"], 8);
    let none = vmatlas_with_input(&["show", "-", "--pid", "9"], both.as_bytes());
    assert!(none.stderr.contains("it has no process 9"), "{}", none.stderr);
}
