//! How long walks take: `cargo test --release -p vmatlas-linux --lib speed -- --ignored
//! --nocapture`.

use super::super::{Images, StackCopy, TaskMemory, Unwinder};
use super::target::{Target, compile, modules};
use crate::sys::test_stop::Stopped;
use crate::sys::vm_read::read_memory;
use std::hint::black_box;
use std::process::Command;
use std::time::Instant;
use tempfile::tempdir;

#[test]
#[ignore = "measures"]
fn speed() {
    let dir = tempdir().unwrap();
    let large = compile(&dir, "large", &["-O2"]);
    let small = compile(&dir, "small", &["-O2", "-DROOM=100"]);
    let mut python = Command::new("python3");
    python.args(["-c", super::programs::PYTHON]);
    let commands = [
        ("large frames", Command::new(&large)),
        ("small frames", Command::new(&small)),
        ("python", python),
    ];
    for (name, mut command) in commands {
        let target = Target::start(&mut command);
        let begin = Instant::now();
        let mut images = Images::default();
        let modules = modules(target.pid(), &mut images);
        let loading = begin.elapsed();
        let stopped = Stopped::new(target.tid);
        let registers = stopped.registers();
        let mut unwinder = Unwinder::default();
        let mut memory = TaskMemory::default();
        let mut frames = Vec::new();
        let begin = Instant::now();
        let end = unwinder.walk(&modules, &registers, memory.of(target.tid), &mut frames);
        let cold = begin.elapsed();
        let count = frames.len() as u32;
        let live = measure(|| {
            black_box(unwinder.walk(&modules, &registers, memory.of(target.tid), &mut frames));
        });
        let mut bytes = vec![0; 1 << 20];
        let read = read_memory(target.tid, registers.sp, &mut bytes).unwrap();
        bytes.truncate(read);
        let copied = measure(|| {
            let mut copy = StackCopy { start: registers.sp, bytes: &bytes, code: None };
            black_box(unwinder.walk(&modules, &registers, &mut copy, &mut frames));
        });
        for size in [256, 4096, 8192, 16384, 65536] {
            let mut bytes = vec![0; size];
            let time = measure(|| {
                let _ = black_box(read_memory(target.tid, registers.sp, &mut bytes));
            });
            println!("reading {size} bytes: {time:.0} ns");
        }
        let find = measure(|| {
            for frame in &frames {
                black_box(modules.find(black_box(frame.pc)));
            }
        });
        println!(
            "{name}: {count} frames, {end:?}; files read in {loading:.1?}; first walk {cold:.1?}; \
             live {live:.0} ns, copy {copied:.0} ns: {:.1} ns a frame; find {:.1} ns",
            copied / f64::from(count),
            find / f64::from(count),
        );
    }
}

/// The median of some runs, in nanoseconds each.
fn measure(mut run: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..15)
        .map(|_| {
            let begin = Instant::now();
            for _ in 0..2000 {
                run();
            }
            begin.elapsed().as_nanos() as f64 / 2000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
