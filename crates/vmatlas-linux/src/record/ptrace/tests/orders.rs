//! Checks that calls are reported in the kernel's order.

use super::collect::{Collect, Report, record, skipped};
use std::collections::BTreeMap;
use vmatlas_recording::CallKind;

/// The number of mappings reported in a range that was not yet reported as unmapped.
fn inversions(sink: &Collect) -> usize {
    let mut mapped: BTreeMap<u64, u64> = BTreeMap::new();
    let mut wrong = 0;
    for (call, result, _) in sink.calls() {
        let Ok(at) = u64::try_from(result) else { continue };
        match call.kind {
            CallKind::Mmap => {
                let end = at + call.args[1].next_multiple_of(4096);
                // The loader maps over its own mappings on purpose.
                let fixed = call.args[3] & 0x10 != 0;
                let before = mapped.range(..end).next_back();
                wrong += usize::from(!fixed && before.is_some_and(|(_, &before)| before > at));
                mapped.insert(at, end);
            }
            CallKind::Munmap => {
                let end = call.args[0] + call.args[1].next_multiple_of(4096);
                let inside: Vec<(u64, u64)> =
                    mapped.range(..end).rev().map(|(&at, &end)| (at, end)).collect();
                for (start, stop) in inside.into_iter().filter(|&(_, stop)| stop > call.args[0]) {
                    mapped.remove(&start);
                    if start < call.args[0] {
                        mapped.insert(start, call.args[0]);
                    }
                    if stop > end {
                        mapped.insert(end, stop);
                    }
                }
            }
            _ => {}
        }
    }
    wrong
}

#[test]
fn of_threads_in_a_storm() {
    let recorded = record(&["storm", "4", "5000"]);
    assert_eq!(recorded.status(), "exit status: 0");
    assert_eq!(recorded.output, "done\n");
    let calls = recorded.sink.calls();
    assert!(calls.len() > 40_000);
    let unordered = calls.iter().filter(|(.., in_order)| !in_order).count();
    // Calls run concurrently only if one waited for memory for 50 ms.
    if unordered == 0 {
        assert_eq!(inversions(&recorded.sink), 0);
    } else {
        assert!(unordered < 100, "{unordered}");
        assert!(inversions(&recorded.sink) <= unordered);
    }
    // A call returns before the next begins.
    let mut open = None;
    for report in &recorded.sink.reports {
        match report {
            Report::Begun(call) if unordered == 0 => {
                assert!(open.replace(call.tid).is_none());
            }
            Report::Returned { call, mark, .. } => {
                let begun = recorded.sink.reports[*mark];
                assert!(matches!(begun, Report::Begun(begun) if begun.tid == call.tid));
                open = None;
            }
            _ => {}
        }
    }
}

#[test]
fn a_call_that_waits_for_another_thread_does_not_block_it() {
    let recorded = record(&["blocked"]);
    if recorded.status() == "exit status: 2" {
        skipped("no userfaultfd");
        return;
    }
    assert_eq!(recorded.output, "done\n");
    let sink = recorded.sink;
    let calls = sink.calls();
    let locked = calls.iter().find(|(call, ..)| call.kind == CallKind::Mlock).unwrap();
    assert!(!locked.2, "others ran beside it");
    let beside = calls.iter().find(|(call, ..)| call.args[1] == 121 * 4096).unwrap();
    assert!(!beside.2);
    let registered = calls.iter().find(|(call, ..)| call.kind == CallKind::UffdRegister).unwrap();
    assert_eq!(registered.0.args[2..4], [4096, 1]);
}
