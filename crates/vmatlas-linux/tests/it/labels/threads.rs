//! Stacks of threads and guards.

use super::{Output, Seen, address, check, settle};
use crate::child::{Child, once, program, skipped};
use std::process::Command;
use vmatlas_explain::label::Confidence;
use vmatlas_maps::AddressRange;

/// Four pages, as in merged_stacks.c.
const GUARD: u64 = 4 * 4096;

#[test]
fn stacks_that_the_kernel_merged_have_separate_labels() {
    let mut child = Child::start(Command::new(program("merged_stacks")).arg("20"));
    let lines = child.until_ready();
    if lines == ["no guards"] {
        return skipped("a kernel without MADV_GUARD_INSTALL");
    }
    assert_eq!(lines.len(), 20);
    settle(&child, 0);
    for deep in [false, true] {
        let seen = Seen::of(&child, deep);
        if seen.facts.guards.is_empty() {
            return skipped("a kernel that does not report guard pages (before 6.15)");
        }
        assert_eq!(seen.facts.guards.len(), 20, "{:?}", seen.facts.guards);
        for line in &lines {
            let fields: Vec<&str> = line.split(' ').collect();
            let [tid, start, end] = fields[..] else { panic!("{line:?}") };
            let guard = AddressRange::new(address(start), address(start) + GUARD);
            let stack = AddressRange::new(guard.end, address(end));
            let confidence = if deep { Confidence::Certain } else { Confidence::Likely };
            let who = format!("of thread {tid} (merged-");
            check(&seen, stack, "thread stack", confidence, &who);
            check(&seen, guard, "guard", confidence, &who);
        }
    }
}

/// Compares with pthread_getattr_np(3) for fifty threads, one of them running.
#[test]
fn stacks_are_as_glibc_says() {
    let mut child = Child::start(Command::new(program("arenas")).arg("50"));
    let output = Output(child.until_ready());
    assert_eq!(output.lines("stack").count(), 50);
    settle(&child, 1);
    for deep in [false, true] {
        let seen = Seen::of(&child, deep);
        for line in output.lines("stack") {
            let [tid, name, start, end, guard] = line[..] else { panic!("{line:?}") };
            let stack = AddressRange::new(address(start), address(end));
            let guard = AddressRange::new(stack.start - guard.parse::<u64>().unwrap(), stack.start);
            let runs = name == "worker-49";
            let confidence = if deep { Confidence::Certain } else { Confidence::Likely };
            // Without memory, the stack of the ended thread may be the own one of any thread.
            let who = match (deep, runs) {
                (true, _) => format!("stack of thread {tid} ({name})"),
                (false, false) => format!("stack on which thread {tid} ({name}) runs"),
                (false, true) => "stack of a thread that runs or has ended".to_owned(),
            };
            check(&seen, stack, "thread stack", confidence, &who);
            check(&seen, guard, "guard", confidence, &who);
        }
        // Includes the stack of the ended thread.
        let unused = seen.group("thread stack").into_iter().filter(|part| match deep {
            true => part.label.text.starts_with("unused stack"),
            false => part.label.text.contains("a thread that runs or has ended"),
        });
        assert_eq!(unused.count(), if deep { 1 } else { 2 }, "{}", seen.text());
        // The kernel mapped the first thread's stack.
        let first = format!("stack of thread {} (arenas)", child.pid());
        assert!(seen.group("thread stack").iter().any(|part| part.label.text.starts_with(&first)));
    }
}

/// Compares with sigaltstack(2) of Rust's threads.
#[test]
fn signal_stacks_of_rust_are_known() {
    let stacks = once("stacks", |path| {
        let mut rustc = Command::new("rustc");
        rustc.args(["-Copt-level=1", "-Cdebuginfo=0", "--edition=2024", "-o"]).arg(path);
        rustc.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/programs/stacks.rs"));
        assert!(rustc.status().expect("needs rustc").success());
    });
    let mut child = Child::start(&mut Command::new(stacks));
    let output = Output(child.until_ready());
    settle(&child, 0);
    for deep in [false, true] {
        let seen = Seen::of(&child, deep);
        assert_eq!(output.lines("altstack").count(), 4);
        for line in output.lines("altstack") {
            // Rust requests AT_MINSIGSTKSZ bytes if that exceeds 8 KiB, as with AMX. That is not a
            // multiple of a page, and the kernel maps the whole last page.
            let page = seen.facts.page_size;
            let end = address(line[1]).next_multiple_of(page);
            let stack = AddressRange::new(address(line[0]), end);
            check(&seen, stack, "alternate signal stack", Confidence::Likely, "sigaltstack");
            let guard = seen.at(stack.start - 1);
            assert_eq!(guard.range, AddressRange::new(stack.start - page, stack.start));
            assert_eq!(guard.label.group, "guard");
        }
        for line in output.lines("thread") {
            let label = &seen.at(address(line[1])).label;
            let [of, on] = ["of", "on which"].map(|of| format!("stack {of} thread {} (", line[0]));
            let is_known = label.text.starts_with(&of) || !deep && label.text.starts_with(&on);
            assert!(is_known, "{label:?}");
        }
        assert!(seen.explained() >= if deep { 95 } else { 85 }, "{}", seen.text());
    }
}
