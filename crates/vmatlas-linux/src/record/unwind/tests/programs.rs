//! Compares stacks of real programs with the return addresses that the programs noted.

use super::target::{Target, compile, map, memory, modules, rows, show, walk, walk_with};
use crate::file_server::{FileServer, Handle};
use crate::record::unwind::{Frame, How, Images, ReadMemory, StackCopy, TaskMemory, Unwinder};
use crate::sys::test_stop::Stopped;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::time::Duration;
use tempfile::tempdir;
use vmatlas_object::unwind::End;
use vmatlas_recording::Tid;

fn check(flags: &[&str], mode: &str) {
    let dir = tempdir().unwrap();
    let program = compile(&dir, "deep", flags);
    let target = Target::start(Command::new(&program).arg(mode));
    let modules = modules(target.pid(), &mut Images::default());
    let (frames, end) = target.walk(&modules);
    target.check(&frames, end);
    let guessed = frames.iter().filter(|frame| frame.how == How::Scanned).count();
    assert_eq!(guessed, 0, "{}", show(&frames));
}

#[test]
fn without_frame_pointers() {
    check(&["-O2"], "plain");
    check(&["-O0", "-fomit-frame-pointer"], "plain");
}

#[test]
fn with_frame_pointers() {
    check(&["-O2", "-fno-omit-frame-pointer"], "plain");
}

#[test]
fn static_and_stripped() {
    check(&["-O2", "-static"], "plain");
    check(&["-O2", "-static-pie"], "plain");
    check(&["-O2", "-s"], "plain");
    check(&["-O2", "-static", "-no-pie", "-s"], "signal");
}

#[test]
fn without_section_headers() {
    let dir = tempdir().unwrap();
    let program = compile(&dir, "deep", &["-O2"]);
    let mut bytes = std::fs::read(&program).unwrap();
    bytes[40..48].fill(0); // e_shoff
    bytes[60..64].fill(0); // e_shnum, e_shstrndx
    std::fs::write(&program, bytes).unwrap();
    let target = Target::start(Command::new(&program).arg("plain"));
    let modules = modules(target.pid(), &mut Images::default());
    let (frames, end) = target.walk(&modules);
    target.check(&frames, end);
}

#[test]
fn without_eh_frame_hdr() {
    check(&["-O2", "-Wl,--no-eh-frame-hdr"], "plain");
}

const NO_TABLES: [&str; 2] = ["-fno-asynchronous-unwind-tables", "-fno-unwind-tables"];

#[test]
fn frame_pointers_only() {
    let [a, b] = NO_TABLES;
    for mode in ["plain", "raw", "signal", "thread"] {
        check(&["-O2", "-fno-omit-frame-pointer", a, b], mode);
    }
}

#[test]
fn tables_for_debuggers_only() {
    let [a, b] = NO_TABLES;
    check(&["-O2", "-g", "-fomit-frame-pointer", a, b], "plain");
}

#[test]
fn neither_tables_nor_frame_pointers() {
    let dir = tempdir().unwrap();
    let [a, b] = NO_TABLES;
    let program = compile(&dir, "deep", &["-O2", "-fomit-frame-pointer", a, b]);
    let target = Target::start(Command::new(&program).arg("plain"));
    let modules = modules(target.pid(), &mut Images::default());
    let (frames, _) = target.walk(&modules);
    // Some frames are too large for the scan. All frames found before are right, except leftovers.
    let scanned = frames.iter().filter(|frame| frame.how == How::Scanned);
    let right = scanned.filter(|frame| target.notes.contains(&(frame.pc + 1, false))).count();
    assert!(right >= 3, "{:x?}\n{}", target.notes, show(&frames));
}

#[test]
fn through_signals() {
    for mode in ["signal", "altstack"] {
        check(&["-O2"], mode);
        check(&["-O2", "-static"], mode);
    }
}

#[test]
fn raw_system_calls_and_threads() {
    check(&["-O2"], "raw");
    check(&["-O2"], "thread");
    check(&["-O2", "-static"], "thread");
}

#[test]
fn more_frames_than_asked_for() {
    let dir = tempdir().unwrap();
    let program = compile(&dir, "deep", &["-O2"]);
    let target = Target::start(Command::new(&program).arg("deep"));
    let modules = modules(target.pid(), &mut Images::default());
    let stopped = Stopped::new(target.tid);
    let registers = stopped.registers();
    let (frames, end) = walk_with(target.tid, &modules, &registers, &mut Unwinder::default());
    assert_eq!((frames.len(), end), (256, End::Truncated));
    let mut unwinder = Unwinder::new(5000);
    let (frames, end) = walk_with(target.tid, &modules, &registers, &mut unwinder);
    target.check(&frames, end);
}

#[test]
fn libraries_that_are_opened_and_closed() {
    let dir = tempdir().unwrap();
    let program = compile(&dir, "deep", &["-O2"]);
    let library = compile(&dir, "deep.so", &["-O2", "-shared", "-fPIC", "-DLIBRARY"]);
    let mut target = Target::start(Command::new(&program).arg("library").arg(&library));
    let mut images = Images::default();
    let mut modules = modules(target.pid(), &mut images);
    let before = rows(target.pid());
    let (frames, end) = target.walk(&modules);
    target.check(&frames, end);

    target.go_on();
    let after = rows(target.pid());
    let copy = modules.clone();
    for row in before.iter().filter(|row| !after.contains(row)) {
        modules.unmap(row.range);
    }
    for row in after.iter().filter(|row| !before.contains(row)) {
        map(&mut modules, &mut images, target.pid(), row);
    }
    let (again, end) = target.walk(&modules);
    target.check(&again, end);
    // The library was loaded elsewhere: the old map does not find it, but the places are the same.
    let (stale, _) = target.walk(&copy);
    assert!(stale.len() < again.len());
    let places = |frames: &[Frame]| -> Vec<_> { frames.iter().map(|frame| frame.place).collect() };
    assert_eq!(places(&frames), places(&again));
}

#[test]
fn in_the_dynamic_linker() {
    let dir = tempdir().unwrap();
    let program = compile(&dir, "deep", &["-O2"]);
    let library = compile(&dir, "deep.so", &["-O2", "-shared", "-fPIC", "-DLIBRARY"]);
    let mut command = Command::new(&program);
    command.env("LD_PRELOAD", &library).env("WAIT_WHEN_LOADED", "1");
    let target = Target::start(&mut command);
    let modules = modules(target.pid(), &mut Images::default());
    let (frames, end) = target.walk(&modules);
    assert_eq!(end, End::Root, "{}", show(&frames));
    let called = frames.iter().position(|frame| frame.pc + 1 == target.notes[0].0);
    assert!(called.is_some_and(|at| at + 2 < frames.len()), "{}", show(&frames));
    assert!(frames[1..].iter().all(|frame| frame.how == How::Cfi), "{}", show(&frames));
}

#[test]
fn python() {
    let mut command = Command::new("python3");
    command.args(["-c", PYTHON]);
    let target = Target::start(&mut command);
    let modules = modules(target.pid(), &mut Images::default());
    let (frames, end) = target.walk(&modules);
    assert!(frames.len() >= 10 && end == End::Root, "{end:?}\n{}", show(&frames));
    assert!(frames[1..].iter().all(|frame| frame.how == How::Cfi), "{}", show(&frames));
}

pub(super) const PYTHON: &str = "
import os, threading
def down(n):
    if n: return list(map(down, [n - 1]))
    print('ready', threading.get_native_id(), flush=True)
    os.read(0, 1)
down(8)
";

#[test]
fn copies_of_stacks() {
    let dir = tempdir().unwrap();
    let program = compile(&dir, "deep", &["-O2"]);
    let target = Target::start(Command::new(&program).arg("plain"));
    let modules = modules(target.pid(), &mut Images::default());
    let (whole, end) = target.walk(&modules);
    target.check(&whole, end);
    let stopped = Stopped::new(target.tid);
    let registers = stopped.registers();
    let mut bytes = vec![0; 64 << 10];
    let live = memory(target.tid);
    let read = live.as_ref().unwrap().read_at(registers.sp, &mut bytes).unwrap();
    let mut frames = Vec::new();
    let mut unwinder = Unwinder::default();
    for size in [read, 9000, 300, 8, 0] {
        let mut code = TaskMemory::default();
        code.of(live.clone());
        let mut copy =
            StackCopy { start: registers.sp, bytes: &bytes[..size], code: Some(&mut code) };
        let end = unwinder.walk(&modules, &registers, &mut copy, &mut frames);
        assert_eq!(end, if size == read { End::Root } else { End::MissingMemory });
        assert_eq!(frames[..], whole[..frames.len()]);
        assert!(size < 300 || frames.len() > 2);
    }
}

#[test]
fn code_through_a_server() {
    let dir = tempdir().unwrap();
    let program = compile(&dir, "deep", &["-O2"]);
    let target = Target::start(Command::new(&program).arg("plain"));
    let (whole, end) = target.walk(&modules(target.pid(), &mut Images::default()));
    let stopped = Stopped::new(target.tid);
    let own = memory(target.tid).unwrap();
    let Handle::Own(file) = &own else { panic!("not our own: {own:?}") };
    let server = FileServer::start(&[file.as_fd()], None, Duration::from_secs(60)).unwrap();
    let mut served = TaskMemory::default();
    served.of(Some(server.memory(target.tid.get(), file)));
    let mut frames = Vec::new();
    let modules = modules(target.pid(), &mut Images::default());
    let mut unwinder = Unwinder::default();
    assert_eq!(unwinder.walk(&modules, &stopped.registers(), &mut served, &mut frames), end);
    assert_eq!(frames, whole);
    // Also across the end of a page.
    let ip = stopped.registers().ip & !4095;
    for start in [ip, ip + 100, ip + 4096 - 3] {
        let (mut by_server, mut by_file) = ([0; 5], [1; 5]);
        assert!(ReadMemory::code(&mut served, start, &mut by_server));
        own.read_at(start, &mut by_file).unwrap();
        assert_eq!(by_server, by_file, "{start:x}");
    }
    assert!(!ReadMemory::code(&mut served, 8, &mut [0; 5]));
}

#[test]
fn a_task_that_is_gone() {
    let mut child = Command::new("true").spawn().unwrap();
    let tid = Tid::first_of(child.id());
    let dir = tempdir().unwrap();
    let program = compile(&dir, "deep", &["-O2"]);
    let target = Target::start(Command::new(&program).arg("plain"));
    let modules = modules(target.pid(), &mut Images::default());
    let registers = Stopped::new(target.tid).registers();
    child.wait().unwrap();
    let (frames, end) = walk_with(tid, &modules, &registers, &mut Unwinder::default());
    assert_eq!((frames.len(), end), (1, End::MissingMemory));
    let (frames, end) = walk(target.tid, &modules);
    target.check(&frames, end);
}
