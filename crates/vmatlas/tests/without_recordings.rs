//! Checks the answers of the library without the feature `recordings`, and its errors for targets
//! that need it. `cargo xtask ci` builds it without features.
#![cfg(not(feature = "recordings"))]

use std::io::Write as _;
use vmatlas::{By, CrashInput, ErrorKind, Needs, Open, SourceKind, open};

fn testdata(path: &str) -> String {
    format!("{}/../../testdata/{path}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_live_process() {
    let needs = Needs::SIZES | Needs::LABELS | Needs::ORIGINS;
    let atlas = Open::new("self").needs(needs).open().unwrap();
    assert_eq!(atlas.source(), SourceKind::Live);
    assert!(atlas.recorded().is_none());
    assert!(atlas.rows().all(|row| row.made().len() == 0));
    let stack = atlas.rows().find(|row| row.name == b"[stack]").unwrap();
    assert!(atlas.at(stack.range.start).made.is_none());
    assert!(atlas.totals(By::Kind).iter().any(|total| total.rss.unwrap() > 0));
    let after = atlas.again().unwrap();
    let diff = vmatlas::diff(&atlas, &after);
    assert!(diff.endings().is_empty());
}

#[test]
fn a_text_and_a_core_dump() {
    let text = open(&*testdata("captures/zoo-x86_64-6.18.maps")).unwrap();
    assert!(text.source() == SourceKind::Text && text.rows().len() > 10);
    assert_eq!(text.crash().err().unwrap().kind(), ErrorKind::Lacks);
    let core = Open::new(&*testdata("cores/arm64-6.1.core.zst"));
    let CrashInput::Atlas(core) = CrashInput::read(core).unwrap() else { panic!("not a core") };
    assert!(core.source() == SourceKind::Core && !core.facts().images.is_empty());
    assert!(core.crash().is_ok());
}

#[test]
fn recordings_and_logs_are_named() {
    let check = |target: &str, what: &str| {
        let error = open(target).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unreadable, "{error}");
        let text = error.to_string();
        assert!(text.contains(what) && text.contains("feature `recordings`"), "{text}");
    };
    let log = testdata("strace/child.log");
    check(&log, "a log of strace");
    check(&format!("{log}@0.5"), "a log of strace");
    check(&format!("{log}:18658@end"), "a log of strace");
    // `strace -ff -o PREFIX` writes a file for each thread.
    let parts = tempfile::tempdir().unwrap();
    std::fs::copy(&log, parts.path().join("trace.18657")).unwrap();
    check(parts.path().join("trace").to_str().unwrap(), "a log of strace");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"\x89vmatlas\r\n\x1a\nrec\x01and so on").unwrap();
    let recording = file.path().to_str().unwrap();
    check(recording, "a recording");
    check(&format!("{recording}@1.5"), "a recording");
    check(&format!("{recording}:7"), "a recording");
}

#[test]
fn a_text_has_no_moments() {
    let text = testdata("captures/zoo-x86_64-6.18.maps");
    assert_eq!(open(format!("{text}@1.5")).err().unwrap().kind(), ErrorKind::Lacks);
}
