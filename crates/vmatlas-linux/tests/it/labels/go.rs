//! Go, alone and with C.

use super::{Output, Seen, address, check_share, source};
use crate::child::{Child, once};
use std::path::Path;
use std::process::Command;
use vmatlas_explain::label::Confidence;

/// Builds heaps.go with another file.
fn program(name: &str, other: &str, cgo: &str) -> Child {
    linked(name, other, cgo, "")
}

fn linked(name: &str, other: &str, cgo: &str, flags: &str) -> Child {
    let path = once(name, |path| {
        let mut go = Command::new("go");
        go.args(["build", &format!("-ldflags={flags}"), "-o"])
            .arg(path)
            .args([source("heaps.go"), source(other)]);
        go.env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-cache"));
        go.env("GO111MODULE", "off").env("GOFLAGS", "-p=1").env("CGO_ENABLED", cgo);
        assert!(go.status().expect("needs Go").success());
    });
    Child::start(&mut Command::new(path))
}

#[test]
fn go() {
    let mut child = program("heaps-go", "heaps_alone.go", "0");
    let output = Output(child.until_ready());
    check_heap(&child, &output);
    // All memory of the program belongs to the runtime.
    for deep in [false, true] {
        assert!(Seen::of(&child, deep).explained() >= 99);
    }
}

/// Without symbols, the array of arenas is found among the variables.
#[test]
fn go_without_symbols() {
    let mut child = linked("heaps-go-stripped", "heaps_alone.go", "0", "-s -w");
    let output = Output(child.until_ready());
    check_heap(&child, &output);
}

#[test]
fn go_with_c() {
    let mut child = program("heaps-cgo", "heaps_with_c.go", "1");
    let output = Output(child.until_ready());
    check_heap(&child, &output);
    let block = output.address("block");
    let group = |deep| Seen::of(&child, deep).at(block).label.group.to_string();
    assert_eq!(group(true), "large malloc block");
    assert_eq!(group(false), "large blocks");
}

fn check_heap(child: &Child, output: &Output) {
    let addresses: Vec<u64> = output.lines("address").map(|line| address(line[0])).collect();
    assert_eq!(addresses.len(), 4, "{:?}", output.0);
    for deep in [false, true] {
        let seen = Seen::of(child, deep);
        check_share(&seen, deep);
        let confidence = if deep { Confidence::Certain } else { Confidence::Likely };
        for at in &addresses {
            let label = &seen.at(*at).label;
            assert_eq!(label.group, "Go heap", "{at:x}\n{}", seen.text());
            assert_eq!(label.confidence, confidence, "{}", seen.text());
        }
        // The runtime's mapped heap is its accessible part; spans without objects are counted
        // elsewhere.
        let metric = |name: &str| {
            let name = format!("/memory/classes/heap/{name}");
            let line = output.lines(&name).next().unwrap();
            line[0].parse::<u64>().unwrap()
        };
        let counted: u64 =
            ["free", "objects", "released", "stacks", "unused"].into_iter().map(metric).sum();
        let heap = seen.group("Go heap");
        let used = heap.iter().filter(|part| !part.label.text.starts_with("reserved"));
        let labelled: u64 = used.map(|part| part.range.size()).sum();
        assert!(labelled.abs_diff(counted) <= 1 << 20, "{labelled} {counted}\n{}", seen.text());
    }
}
