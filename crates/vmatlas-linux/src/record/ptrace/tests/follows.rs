//! Children, threads, calls of every kind, stops.

use super::collect::{Collect, Report, program, record, record_with, skipped};
use crate::record::sink::Shared;
use std::process::Command;
use vmatlas_recording::{CallKind, Tid};

#[test]
fn children_of_every_kind() {
    let recorded = record(&["children"]);
    assert_eq!(recorded.status(), "exit status: 0");
    let sink = recorded.sink;
    let first = sink.mapped(101)[0].0;
    let mut tids = vec![first];
    for pages in [102, 103, 104, 105, 106, 108] {
        let mapped = sink.mapped(pages);
        assert_eq!(mapped.len(), 1, "{pages}");
        assert!(mapped[0].1 > 0);
        tids.push(mapped[0].0);
    }
    let shared: Vec<Shared> = tids[1..]
        .iter()
        .map(|tid| {
            let made = sink.reports.iter().find_map(|report| match report {
                Report::Cloned { parent, child, shared } if child == tid => Some((parent, shared)),
                _ => None,
            });
            let (parent, shared) = made.unwrap();
            assert_eq!(*parent, first);
            *shared
        })
        .collect();
    let expect = [(false, false), (true, false), (true, false), (true, true), (true, false)];
    let expect = expect.into_iter().chain([(false, false)]);
    let expect: Vec<Shared> = expect.map(|(memory, thread)| Shared { memory, thread }).collect();
    assert_eq!(shared, expect);
    let executed = sink.reports.iter().filter_map(|report| match report {
        Report::Executed { tid, former } => Some((*tid, *former)),
        _ => None,
    });
    assert_eq!(executed.collect::<Vec<_>>(), [(first, first), (tids[3], tids[3])]);
    for tid in tids {
        let ends =
            |report: &&Report| matches!(report, Report::Exiting { tid: of, .. } if *of == tid);
        assert_eq!(sink.reports.iter().filter(ends).count(), 1);
    }
}

#[test]
fn a_thread_that_executes_a_program_takes_the_first_number() {
    let recorded = record(&["exec-from-thread"]);
    assert_eq!(recorded.status(), "exit status: 0");
    let sink = recorded.sink;
    let mapper = sink.mapped(107)[0].0;
    let executed: Vec<(Tid, Tid)> = sink
        .reports
        .iter()
        .filter_map(|report| match report {
            Report::Executed { tid, former } => Some((*tid, *former)),
            _ => None,
        })
        .collect();
    assert_eq!(executed.len(), 2);
    assert_eq!(executed[0], (mapper, mapper));
    assert_eq!(executed[1].0, mapper);
    assert_ne!(executed[1].1, mapper);
}

#[test]
fn calls_of_i386() {
    let recorded = record(&["i386"]);
    if recorded.status() == "exit status: 3" || recorded.status().contains("SIGSEGV") {
        skipped("no 32-bit calls in this kernel");
        return;
    }
    assert_eq!(recorded.status(), "exit status: 0");
    let sink = recorded.sink;
    for pages in [111, 112] {
        let mapped = sink.mapped(pages);
        assert_eq!(mapped.len(), 1, "{pages}");
        let at = mapped[0].1;
        assert!(at > 0 && at < 1 << 32, "{at:x}");
        let unmapped = |&(call, result, _): &(crate::record::sink::Begun, i64, bool)| {
            call.kind == CallKind::Munmap
                && call.args == [at as u64, pages * 4096, 0, 0, 0, 0]
                && result == 0
        };
        assert_eq!(sink.calls().into_iter().filter(unmapped).count(), 1);
    }
    let failed = sink.calls().into_iter().find(|(call, ..)| call.args[1] == 113 * 4096).unwrap();
    assert_eq!(failed.1, -22);
}

#[test]
fn many_forks() {
    let recorded = record(&["forks", "300"]);
    assert_eq!(recorded.status(), "exit status: 0");
    assert_eq!(recorded.output, "done\n");
    assert_eq!(recorded.sink.mapped(130).len(), 300);
    let ends =
        recorded.sink.reports.iter().filter(|report| matches!(report, Report::Exiting { .. }));
    assert_eq!(ends.count(), 301);
}

#[test]
fn a_process_that_is_stopped_stays_so_until_it_is_continued() {
    for signal in ["19", "20", "21"] {
        let recorded = record(&["stop", signal]);
        assert_eq!(recorded.status(), "exit status: 0");
        assert_eq!(recorded.output, "done\n");
        let reports = &recorded.sink.reports;
        let place = |pages: u64| {
            let made = |report: &Report| {
                matches!(report, Report::Begun(begun)
                    if begun.kind == CallKind::Mmap && begun.args[1] == pages * 4096)
            };
            reports.iter().position(made).unwrap()
        };
        assert!(place(141) < place(142));
    }
    let recorded = record(&["stop-child"]);
    assert_eq!(recorded.output, "137f ffff 500\n");
}

#[test]
fn killed_at_any_moment() {
    for _ in 0..5 {
        let recorded = record(&["killed"]);
        assert_eq!(recorded.status(), "exit status: 0");
        assert_eq!(recorded.output, "9\n");
    }
}

#[test]
fn killed_while_it_forks() {
    for _ in 0..10 {
        let recorded = record(&["killed-forking"]);
        assert_eq!(recorded.status(), "exit status: 0");
        assert_eq!(recorded.output, "9\n");
        let sink = recorded.sink;
        let made =
            sink.reports.iter().filter(|report| matches!(report, Report::Cloned { .. })).count();
        let ended =
            sink.reports.iter().filter(|report| matches!(report, Report::Exiting { .. })).count();
        assert_eq!(made + 1, ended);
        // Every task that was made completed its work.
        assert_eq!(sink.mapped(161).len(), made - 1);
    }
}

#[test]
fn what_outlives_the_first_process_is_followed() {
    let recorded = record(&["daemon"]);
    assert_eq!(recorded.status(), "exit status: 9");
    assert_eq!(recorded.sink.mapped(151).len(), 1);
}

#[test]
fn the_tick_comes_while_nothing_happens() {
    let recorded = record(&["pause", "500"]);
    assert!(recorded.sink.ticks >= 5, "{}", recorded.sink.ticks);
}

#[test]
fn after_the_recording_the_program_runs_on() {
    for args in [&["storm", "4", "5000"][..], &["forks", "100"]] {
        let mut command = Command::new(program());
        command.args(args);
        let sink = Collect { enough: Some(10), ..Collect::default() };
        let recorded = record_with(command, sink);
        assert_eq!(recorded.status(), "exit status: 0");
        assert_eq!(recorded.output, "done\n");
        assert!(recorded.sink.reports.len() < 40_000);
    }
}
