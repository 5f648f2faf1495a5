//! Tests processes whose threads are stopped while they are read.

use crate::child::{Child, wait_until};
use std::time::Duration;
use vmatlas_linux::{CannotStop, Freeze, Process, Source};
use vmatlas_maps::AddressRange;

/// The states of all threads, such as `S`.
fn states(child: &Child) -> Vec<(u32, u8)> {
    let threads = child.process().threads().unwrap();
    let state = |tid: u32| {
        let stat = std::fs::read(format!("/proc/{}/task/{tid}/stat", child.pid())).ok()?;
        let end = stat.iter().rposition(|&byte| byte == b')')?;
        Some((tid, stat[end + 2]))
    };
    threads.into_iter().filter_map(state).collect()
}

fn stand(child: &Child) -> usize {
    states(child).into_iter().filter(|(_, state)| *state == b't').count()
}

#[test]
fn every_reading_is_true() {
    const START: u64 = 0x1000_0000_0000;
    const PAGES: u64 = 21_000;
    // It changes permissions as fast as it can; without a freeze hardly a reading is of one moment.
    let (child, _) = Child::odd(&format!("marks {PAGES} 0"));
    let process = child.process();
    let all = AddressRange::new(START, START + PAGES * 4096);
    let mut seen = Vec::new();
    for _ in 0..20 {
        let freeze = Freeze::begin(&process).unwrap();
        assert!(freeze.running().is_empty());
        let snapshot = process.rows(Source::Maps).unwrap();
        let frozen = freeze.end();
        assert_eq!(frozen.threads, 1);
        assert!(frozen.stood > Duration::ZERO);
        assert!(snapshot.changed.is_empty(), "{:x?}", snapshot.changed);
        assert!(snapshot.maps.warnings().is_empty(), "{:?}", snapshot.maps.warnings());
        let rows = snapshot.maps.iter().filter(|row| all.contains(row.range.start));
        let marked = rows.filter(|row| row.perms.write() && row.perms.execute());
        let marked: Vec<AddressRange> = marked.map(|row| row.range).collect();
        let pages: u64 = marked.iter().map(|range| range.size() / 4096).sum();
        assert!((1..=2).contains(&pages), "{pages}");
        seen.push(marked);
    }
    seen.dedup();
    assert!(seen.len() > 1, "it does not go on");
}

#[test]
fn all_threads_stand_and_go_on() {
    let (child, _) = Child::odd("threads 63");
    let process = child.process();
    for _ in 0..20 {
        let freeze = Freeze::begin(&process).unwrap();
        assert_eq!(freeze.standing().len(), 64);
        assert_eq!(stand(&child), 64, "{:?}", states(&child));
        // Through one of its threads as well: it is stopped already.
        let thread = *freeze.standing().last().unwrap();
        let again = Freeze::begin(&process).unwrap();
        assert!(again.standing().is_empty());
        let running = again.running();
        assert_eq!(running.len(), 64);
        assert!(running.iter().any(|other| other.tid == thread));
        let us = CannotStop::TracedBy(std::process::id());
        assert!(running.iter().all(|other| other.why == us), "{running:?}");
        drop(again);
        assert_eq!(stand(&child), 64);
        assert_eq!(freeze.end().threads, 64);
        assert_eq!(stand(&child), 0, "{:?}", states(&child));
    }
    let id = vmatlas_linux::ProcessId { pid: child.pid(), tid: Some(states(&child)[5].0) };
    let thread = Process::open("/proc".as_ref(), id).unwrap();
    assert_eq!(Freeze::begin(&thread).unwrap().end().threads, 64);
}

#[test]
fn a_stopped_process_stays_stopped() {
    let (child, _) = Child::odd("threads 3");
    child.stop();
    let process = child.process();
    assert_eq!(Freeze::begin(&process).unwrap().end().threads, 4);
    let stopped = |state: &(u32, u8)| state.1 == b'T';
    // It enters its stop again.
    let end = std::time::Instant::now() + Duration::from_secs(60);
    while !states(&child).iter().all(stopped) && std::time::Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(states(&child).iter().all(stopped), "{:?}", states(&child));
}

#[test]
fn a_thread_that_cannot_be_stopped_is_named() {
    let (child, tid) = Child::odd("vfork");
    let tid: u32 = tid.parse().unwrap();
    while !states(&child).contains(&(tid, b'D')) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let process = child.process();
    let freeze = Freeze::begin(&process).unwrap();
    assert_eq!(freeze.standing(), [child.pid()]);
    assert!(process.rows(Source::Maps).unwrap().maps.warnings().is_empty());
    let frozen = freeze.end();
    assert_eq!((frozen.running[0].tid, frozen.running[0].why), (tid, CannotStop::Sleeps));
    assert_eq!(frozen.running.len(), 1);
    // The kernel lets it go when the thread that traced it has ended, which is after it is joined.
    wait_until("nobody traces it any longer", || {
        let status = std::fs::read_to_string(format!("/proc/{tid}/status")).unwrap();
        status.lines().any(|line| line == "TracerPid:\t0")
    });
}

#[test]
fn only_another_process_is_stopped() {
    // kthreadd, unless this pid namespace has no kernel threads.
    if std::fs::read("/proc/2/comm").is_ok_and(|name| name == b"kthreadd\n") {
        let id = vmatlas_linux::ProcessId { pid: 2, tid: None };
        let process = Process::open("/proc".as_ref(), id).unwrap();
        let freeze = Freeze::begin(&process).unwrap();
        assert_eq!(freeze.running()[0].why, CannotStop::OfKernel);
        assert!(freeze.standing().is_empty());
    }
    let this = Process::this("/proc".as_ref()).unwrap();
    Freeze::begin(&this).unwrap_err();
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let id = vmatlas_linux::ProcessId { pid: child.id(), tid: None };
    let process = Process::open("/proc".as_ref(), id).unwrap();
    child.wait().unwrap();
    Freeze::begin(&process).unwrap_err();
}
