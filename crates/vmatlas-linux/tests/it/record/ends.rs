//! Ends of programs and of recordings.

use super::recorded::{Names, Patient, Recorded, record};
use crate::child::{program, signal};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;
use vmatlas_linux::record::{Limits, News};
use vmatlas_recording::{Event, What};

fn deadly_signals(recorded: &Recorded) -> Vec<Event> {
    let is = |event: &Event| matches!(event.what, What::Signal { .. });
    recorded.events().into_iter().filter(is).collect()
}

#[test]
fn a_crash_is_passed_on_with_its_place() {
    let mut recorded = Patient::record(Limits::default(), None, |patient| {
        patient.ask("map 50");
        patient.send("crash");
    });
    assert_eq!(recorded.status.signal(), Some(11));
    let [event] = &deadly_signals(&recorded)[..] else { panic!("one signal ends it") };
    assert!(
        matches!(event.what, What::Signal { number: 11, code: 1, address: 0x1234 }),
        "{event:?}"
    );
    let functions = recorded.functions(event.stack, &mut Names::default());
    assert!(functions.starts_with(&["crash".to_owned(), "main".to_owned()]), "{functions:?}");
    // Its memory is known up to its end.
    let ends = recorded.ends();
    assert_eq!(ends.len(), 1);
    ends[0].check_origins();
    assert_eq!(ends[0].process.status.map(|status| status & 0x7f), Some(11));
    assert_eq!(recorded.mapped(50), 1);
}

#[test]
fn killed_from_outside() {
    for (name, number) in [("KILL", 9), ("TERM", 15)] {
        let mut recorded = Patient::record(Limits::default(), None, |patient| {
            patient.ask("map 51");
            signal(patient.pid, name);
        });
        assert_eq!(recorded.status.signal(), Some(number));
        assert_eq!(recorded.mapped(51), 1);
        // The signal was not a memory fault.
        assert_eq!(deadly_signals(&recorded), []);
        let processes = recorded.recording.processes();
        assert_eq!(processes.len(), 1);
        assert_eq!(processes[0].status.map(|status| status & 0x7f), Some(number));
    }
}

#[test]
fn signals_that_it_handles_are_delivered() {
    let recorded = Patient::record(Limits::default(), None, |patient| {
        patient.ask("handle 10");
        signal(patient.pid, "USR1");
        patient.send("signal");
        assert_eq!(patient.line(), "signal 10");
        assert_eq!(patient.line(), "signal done");
        patient.send("exit 6");
    });
    assert_eq!(recorded.status.code(), Some(6));
    assert_eq!(deadly_signals(&recorded), []);
}

#[test]
fn at_once() {
    let mut command = Command::new(program("recorded"));
    command.args(["exit", "3"]);
    let mut recorded = record(command);
    assert_eq!(recorded.status.code(), Some(3));
    let ends = recorded.ends();
    assert_eq!(ends.len(), 1);
    ends[0].check_origins();
    assert_eq!(recorded.report.truth.rows_wrong_at_exit, 0);
}

#[test]
fn a_program_that_forks_300_times() {
    let mut recorded =
        Patient::record(Limits::default(), None, |patient| patient.ask("fork 300")).succeeded();
    assert_eq!(recorded.output, "end\n");
    let ends = recorded.ends();
    assert_eq!(ends.len(), 301);
    for end in &ends {
        end.check_origins();
        assert_eq!(end.process.status, Some(0));
    }
    for child in 0..300 {
        assert_eq!(recorded.mapped(1000 + child), 1);
    }
    let truth = &recorded.report.truth;
    assert_eq!((truth.tasks, truth.lost, truth.rows_wrong_at_exit), (300, 0, 0), "{truth:?}");
}

/// A recording that reaches a limit is complete, and the program runs on to its own end.
#[test]
fn limits_end_the_recording_and_not_the_program() {
    let limits = [Limits::new(Some(Duration::from_millis(1)), None), Limits::new(None, Some(500))];
    for limits in limits {
        let (over, is_over) = mpsc::channel();
        let news = Box::new(move |news: &News<'_>| {
            if matches!(news, News::Ended) {
                let _ = over.send(());
            }
        });
        let recorded = Patient::record(limits, Some(news), |patient| {
            patient.ask("map 52");
            // The program's actions reach the size limit.
            patient.ask("flip 100");
            is_over.recv().unwrap();
            patient.ask("map 53");
            patient.ask("fork 3");
            patient.send("exit 8");
        });
        assert_eq!(recorded.status.code(), Some(8));
        assert!(recorded.report.failed.is_none());
        assert_eq!(recorded.mapped(53), 0);
        let events = recorded.events();
        assert!(!events.is_empty());
        // Its end was not recorded.
        assert!(events.iter().all(|event| !matches!(event.what, What::Exit { .. })));
    }
}

/// JIT compilers change protections all the time.
#[test]
fn a_storm_of_mprotect() {
    let mut recorded =
        Patient::record(Limits::default(), None, |patient| patient.ask("flip 70000")).succeeded();
    let truth = recorded.report.truth.clone();
    let bytes = recorded.report.size as f64 / truth.events as f64;
    println!("{} events, {bytes:.2} bytes each", truth.events);
    assert!(truth.events >= 70_000);
    assert!(bytes < 16.0, "{bytes}");
    assert_eq!((truth.refused, truth.corrected, truth.lost), (0, 0, 0), "{truth:?}");
    // The kernel's answer is seldom needed.
    assert!(truth.settled < 500, "{truth:?}");
    // Long enough for a snapshot, at which a reader starts.
    let ends = recorded.ends();
    ends[0].check_origins();
    let sought = recorded.sought(&ends[0].process);
    assert_eq!(sought.memory.render(), ends[0].space.memory.render());
}
