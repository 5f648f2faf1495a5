//! What a recording costs. Run by hand: `cargo test --release -p vmatlas-linux ptrace::tests::speed
//! -- --ignored --nocapture`.

use super::super::{Options, run};
use super::collect::{program, say};
use crate::record::sink::{Begun, Registers, Shared, Signal, Sink};
use std::process::{Command, Stdio};
use std::time::Instant;

struct Nothing;

impl Sink for Nothing {
    type Mark = ();
    fn begun(&mut self, _: &Begun) {}
    fn returned(&mut self, _: &Begun, _: i64, (): (), _: bool) {}
    fn cloned(&mut self, _: u32, _: u32, _: Shared, _: Registers) {}
    fn executed(&mut self, _: u32, _: u32) {}
    fn exiting(&mut self, _: u32, _: i32) {}
    fn signalled(&mut self, _: u32, _: &Signal, _: Registers) {}
    fn tick(&mut self) -> bool {
        true
    }
}

/// The processor time of this process and the children that it has waited for, in seconds.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    // utime, stime, cutime, cstime.
    let ticks: u64 = rest.split(' ').skip(14 - 3).take(4).map(|t| t.parse::<u64>().unwrap()).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// The least wall time and processor time of several runs, in microseconds for each call.
fn least(mut run: impl FnMut(&mut Command), words: &[&str], calls: f64) -> (f64, f64) {
    let mut least = (f64::MAX, f64::MAX);
    for _ in 0..5 {
        let (begin, used) = (Instant::now(), processor_time());
        run(Command::new(program()).args(words).stdout(Stdio::null()));
        let (wall, used) = (begin.elapsed().as_secs_f64(), processor_time() - used);
        least = (least.0.min(wall), least.1.min(used));
    }
    (least.0 * 1e6 / calls, least.1 * 1e6 / calls)
}

#[test]
#[ignore = "takes a quarter of a minute, and figures are for people"]
fn of_mmap_and_munmap() {
    let calls = 40_000.0;
    for (threads, rounds) in [("0", "20000"), ("4", "5000")] {
        let words = ["storm", threads, rounds];
        let bare = least(|command| assert!(command.status().unwrap().success()), &words, calls);
        let ours = least(
            |command| {
                let mut ours = Command::new(command.get_program());
                ours.args(command.get_args()).stdout(Stdio::null());
                run(ours, &mut Nothing, Options::default()).unwrap();
            },
            &words,
            calls,
        );
        let strace = least(
            |command| {
                let mut strace = Command::new("strace");
                strace.args(["-f", "-e", "trace=%memory", "-o", "/dev/null"]);
                strace.arg(command.get_program()).args(command.get_args());
                drop(strace.stdout(Stdio::null()).status());
            },
            &words,
            calls,
        );
        say(&format!(
            "{threads} threads beside the first, microseconds of wall time and of processors for \
             each call: bare {bare:.2?}, ours {ours:.2?}, strace {strace:.2?}"
        ));
    }
}
