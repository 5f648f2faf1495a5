//! Programs that record which of their functions mapped which byte.

use super::end::End;
use super::recorded::{Made, Names, Recorded, in_order, made, record, record_by};
use crate::child::{once, program, program_as};
use std::path::Path;
use std::process::Command;
use vmatlas_linux::record::Backend;
use vmatlas_maps::Kind;
use vmatlas_recording::{CallKind, Event, Maker, What};

/// The modes of makers.c.
const MODES: &[&str] = &[
    "joined",
    "unmaps",
    "moves",
    "moves-of-many",
    "overlays",
    "breaks",
    "files",
    "segments",
    "rings",
    "flags",
    "stack",
    "grows",
    "raw",
    "i386",
    "vdso",
    "renamed-heap",
];

/// Compares a recording with the output of its processes; returns how many had output.
pub(super) fn check(what: &str, recorded: &mut Recorded, names: &mut Names) -> usize {
    let (mut spoken, mut rows) = (0, 0);
    let ends = recorded.ends();
    for end in &ends {
        end.check_origins();
        let Some(words) = recorded.words(end.process.pid) else { continue };
        spoken += 1;
        let pid = end.process.pid;
        let text = String::from_utf8_lossy(&end.space.memory.render()).into_owned();
        rows += text.lines().count() as u64;
        assert!(text == words.maps, "{what}: {}", unlike(&text, &words.maps));
        let sought = recorded.sought(&end.process);
        assert_eq!(sought.memory.render(), text.as_bytes(), "{what}: by way of a snapshot");
        assert!(sought.origins.iter().eq(end.space.origins.iter()), "{what}: by way of a snapshot");
        for one in &words.one_row {
            let rows = end.rows();
            let row = rows.find(one.start).mapping.and_then(|at| rows.get(at)).unwrap();
            assert!(row.range.start <= one.start && one.end <= row.range.end, "{what}\n{text}");
        }
        for made in &words.made {
            check_maker(what, recorded, end, made, names);
        }
        // Before the kernel's corrections: everything, except the growth of stacks, and whether
        // neighbours of several threads merged, some of them written to.
        let share = end.share();
        println!("{what}, process {pid}: {} of {} rows without a look", share.same, share.rows);
        if !["stack", "grows", "storm", "copies"].contains(&what) {
            assert_eq!(share.same, share.rows, "{what}\n{}", end.differences());
        }
        let unexplained = end.unexplained();
        assert!(unexplained.is_empty(), "{what}: {unexplained:?}\n{}", end.differences());
    }
    // The recorder compared these rows too.
    assert!(rows <= recorded.report.truth.rows_at_exit, "{what}: {:?}", recorded.report.truth);
    spoken
}

/// Checks that the function that mapped a range is the origin of all its bytes.
fn check_maker(what: &str, recorded: &Recorded, end: &End, made: &Made, names: &mut Names) {
    for (piece, origin) in end.origins_of(made.range) {
        let functions = recorded.functions(origin.stack, names);
        // No maker calls another.
        let inner = format!("::{}", made.function);
        let is = |name: &String| *name == made.function || name.ends_with(&inner);
        assert!(
            functions.iter().any(is),
            "{what}: {piece} of {made:x?} is of event {} {:?} {functions:?}",
            origin.event,
            origin.maker
        );
        let tid = recorded.recording.definitions().tasks[origin.task.index()].tid;
        assert_eq!(tid, made.tid, "{what}: {piece} of {made:x?}");
    }
}

/// Lines of one text that are missing in the other.
pub(super) fn unlike(recorded: &str, own: &str) -> String {
    let mut text = "its own maps (+) are not those that were recorded (-)".to_owned();
    for (sign, lines, others) in [('-', recorded, own), ('+', own, recorded)] {
        for line in lines.lines().filter(|line| others.lines().all(|other| other != *line)) {
            text.push_str(&format!("\n{sign} {line}"));
        }
    }
    text
}

fn makers(program: &Path, mode: &str) -> Option<Recorded> {
    let mut command = Command::new(program);
    command.arg(mode);
    let recorded = record(command);
    if mode == "i386" && recorded.status.code() != Some(0) {
        crate::child::skipped("no 32-bit system calls in this kernel");
        return None;
    }
    if mode == "vdso" && recorded.status.code() == Some(77) {
        crate::child::skipped("this kernel maps no vdso anew");
        return None;
    }
    if mode == "renamed-heap" && recorded.status.code() == Some(77) {
        crate::child::skipped("may not move its heap");
        return None;
    }
    Some(recorded.succeeded())
}

#[test]
fn who_made_what_of_one_row() {
    let program = program("makers");
    let mut names = Names::default();
    for mode in MODES {
        if let Some(mut recorded) = makers(&program, mode) {
            assert_eq!(check(mode, &mut recorded, &mut names), 1);
            let truth = &recorded.report.truth;
            assert_eq!((truth.refused, truth.corrected, truth.lost), (0, 0, 0), "{truth:?}");
            // Stacks grow without a system call.
            assert_eq!(
                truth.rows_wrong_at_exit,
                u64::from(["stack", "grows"].contains(mode)),
                "{truth:?}"
            );
        }
    }
}

/// Records makers that map `[vdso]` again; repeats this if other programs filled the rings.
fn vdso_by(backend: Backend, program: &Path) -> Option<Recorded> {
    for _ in 0..5 {
        let mut command = Command::new(program);
        command.arg("vdso");
        let recorded = record_by(backend, command);
        if recorded.status.code() == Some(77) {
            crate::child::skipped("this kernel maps no vdso anew");
            return None;
        }
        if recorded.report.truth.lost == 0 {
            return Some(recorded.succeeded());
        }
        println!("{} events were lost", recorded.report.truth.lost);
    }
    panic!("events were always lost");
}

/// The same by perf events, which report calls after their return, and read the rows of a process
/// that may be gone by then.
#[test]
fn a_vdso_that_is_mapped_anew_by_both_backends() {
    let program = program("makers");
    for backend in [Backend::Ptrace, Backend::Perf] {
        if backend == Backend::Perf && !crate::child::root() {
            continue;
        }
        let Some(mut recorded) = vdso_by(backend, &program) else { return };
        let what = format!("{backend:?}");
        let end = recorded.ends().remove(0);
        end.check_origins();
        let words = recorded.words(end.process.pid).unwrap();
        let text = String::from_utf8_lossy(&end.space.memory.render()).into_owned();
        assert!(text == words.maps, "{what}: {}", unlike(&text, &words.maps));
        // The files of an ended program are opened too late to unwind its stacks.
        if backend == Backend::Ptrace {
            for made in &words.made {
                check_maker(&what, &recorded, &end, made, &mut Names::default());
            }
        }
        let mut kinds = 0;
        for row in end.rows().iter().filter(|row| matches!(row.kind(), Kind::Vdso | Kind::Vvar)) {
            kinds += 1;
            for (piece, origin) in end.space.origins_of(row.range) {
                let maker = Maker::Call(CallKind::ArchPrctl);
                assert_eq!(origin.maker, maker, "{what}: {piece} of {text}");
            }
        }
        assert!(kinds >= 2, "{what}: {text}");
        let truth = &recorded.report.truth;
        assert_eq!((truth.refused, truth.corrected, truth.lost), (0, 0, 0), "{what}: {truth:?}");
    }
}

/// Without the C library's own mappings, without symbols.
#[test]
fn of_static_and_stripped_programs() {
    for (name, options) in [("static", "-static"), ("static-pie", "-static-pie"), ("pie", "-pie")] {
        let whole = program_as("makers", &format!("makers-{name}"), &[options]);
        let stripped = once(&format!("makers-{name}-stripped"), |path| {
            let mut strip = Command::new("strip");
            assert!(strip.arg("-o").arg(path).arg(&whole).status().unwrap().success());
        });
        // The original file has the names.
        let bytes =
            |path: &Path| path.canonicalize().unwrap().into_os_string().into_encoded_bytes();
        let mut names = Names::default();
        names.instead.push((bytes(&stripped), bytes(&whole)));
        for mode in ["joined", "moves", "breaks", "raw", "segments"] {
            let mut recorded = makers(&stripped, mode).unwrap();
            assert_eq!(check(&format!("{name} {mode}"), &mut recorded, &mut names), 1);
        }
    }
}

/// Without address randomisation, the heap adjoins the program; readable memory may be executable.
#[test]
fn of_programs_with_a_personality() {
    let program = program("makers");
    let mut names = Names::default();
    for options in ["-R", "-RX", "-RL"] {
        for mode in ["joined", "breaks", "overlays", "flags"] {
            let mut command = Command::new("setarch");
            command.arg(options).arg(&program).arg(mode);
            let mut recorded = record(command).succeeded();
            assert_eq!(check(&format!("{options} {mode}"), &mut recorded, &mut names), 1);
            let truth = &recorded.report.truth;
            assert_eq!((truth.refused, truth.corrected), (0, 0), "{options} {mode}: {truth:?}");
        }
    }
}

#[test]
fn of_a_32_bit_program() {
    let options = "-m32 -nostdlib -static -ffreestanding -fno-stack-protector -fno-pie -no-pie";
    let program = program_as("makers32", "makers32", &options.split(' ').collect::<Vec<_>>());
    match Command::new(&program).output() {
        Ok(output) if output.status.success() => {}
        _ => return crate::child::skipped("no 32-bit programs in this kernel"),
    }
    let mut recorded = record(Command::new(program)).succeeded();
    let ends = recorded.ends();
    assert_eq!(ends.len(), 1);
    ends[0].check_origins();
    let text = String::from_utf8_lossy(&ends[0].space.memory.render()).into_owned();
    assert!(text == recorded.output, "{}", unlike(&text, &recorded.output));
    assert_eq!(ends[0].share().same, ends[0].share().rows, "{}", ends[0].differences());
    let truth = &recorded.report.truth;
    assert_eq!((truth.refused, truth.corrected, truth.rows_wrong_at_exit), (0, 0, 0), "{truth:?}");
    // No observation was needed either.
    let observed = |event: &Event| matches!(event.what, What::Observed { .. });
    assert!(!recorded.events().iter().any(observed));
}

/// The modes of makers_tasks.c, and the number of processes of each with final output.
const TASKS: &[(&str, usize)] = &[
    ("thread", 1),
    ("fork", 3),
    ("vfork", 2),
    ("spawn", 2),
    ("clone", 1),
    ("exec", 1),
    ("exec-in-thread", 1),
    ("storm", 1),
    ("orphan", 1),
    ("leader", 1),
    ("copies", 41),
    ("exec-among-threads", 1),
];

#[test]
fn of_threads_and_processes() {
    let program = program("makers_tasks");
    let mut names = Names::default();
    for (mode, processes) in TASKS {
        let mut recorded = in_order(|| {
            let mut command = Command::new(&program);
            command.arg(mode);
            command
        });
        assert_eq!(check(mode, &mut recorded, &mut names), *processes, "{mode}");
        let truth = &recorded.report.truth;
        assert_eq!((truth.refused, truth.lost), (0, 0), "{mode}: {truth:?}");
        assert_eq!(truth.rows_wrong_at_exit, 0, "{mode}: {truth:?}");
        // If several threads map and write, the next observation may undo an earlier one.
        if *mode != "copies" {
            assert_eq!(truth.corrected, 0, "{mode}: {truth:?}");
        }
    }
}

#[test]
fn of_a_rust_program() {
    let program = once("makers-rust", |path| {
        let mut rustc = Command::new("rustc");
        rustc.args(["-Copt-level=1", "-Cdebuginfo=0", "--edition=2024", "-o"]).arg(path);
        rustc.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/programs/makers.rs"));
        assert!(rustc.status().unwrap().success());
    });
    let mut recorded = record(Command::new(program)).succeeded();
    let end = recorded.ends().remove(0);
    end.check_origins();
    assert_eq!(end.unexplained(), [] as [String; 0]);
    let mut names = Names::default();
    let made = made(&recorded.output);
    assert_eq!(made.len(), 4);
    for made in made {
        check_maker("rust", &recorded, &end, &made, &mut names);
    }
}
