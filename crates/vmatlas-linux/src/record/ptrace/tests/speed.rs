//! What a recording costs. Run by hand: `cargo test --release -p vmatlas-linux ptrace::tests::speed
//! -- --ignored --nocapture`.

use super::super::run;
use super::collect::program;
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

#[test]
#[ignore = "takes a quarter of a minute, and figures are for people"]
fn of_mmap_and_munmap() {
    for threads in ["1", "4"] {
        let rounds = if threads == "1" { "100000" } else { "25000" };
        let words = ["storm", threads, rounds];
        let time = |work: &mut dyn FnMut()| {
            let begin = Instant::now();
            work();
            begin.elapsed().as_secs_f64()
        };
        for _ in 0..3 {
            let mut command = Command::new(program());
            command.args(words).stdout(Stdio::null());
            let bare = time(&mut || assert!(command.status().unwrap().success()));
            let mut stops = 0;
            let ours = time(&mut || {
                let mut command = Command::new(program());
                command.args(words).stdout(Stdio::null());
                stops = run(command, &mut Nothing).unwrap().stops;
            });
            let mut strace = Command::new("strace");
            strace.args(["-f", "-e", "trace=%memory", "-o", "/dev/null"]);
            strace.arg(program()).args(words).stdout(Stdio::null());
            let strace = time(&mut || drop(strace.status()));
            println!(
                "{threads} threads, 200000 calls: bare {bare:.2} s, ours {ours:.2} s ({stops} \
                 stops), strace {strace:.2} s"
            );
        }
    }
}
