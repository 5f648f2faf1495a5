//! The mapping at one address of a live process. Target: 1.2 times the bare call.

use super::Scale;
use crate::measure::{Contender, race};
use crate::report::{Section, Target};
use crate::target::{Many, compile, repository};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use vmatlas_linux::{PointQuery, Process, ProcessId, Which};
use vmatlas_maps::Maps;

/// Measures and returns the table.
pub fn run(scale: Scale, many: &Many) -> Section {
    let mut section = Section::new(format!(
        "lookup of an address in a live process of {} rows",
        many.answer.rows
    ));
    let maps = Maps::parse(&many.text).unwrap();
    // The middle of every row except the gate page, in pseudorandom order.
    let rows: Vec<_> = maps.iter().filter(|row| row.name != b"[vsyscall]").collect();
    let shuffled = (0..10_000).map(|i| rows[i * 7_919 % rows.len()].range);
    let addresses: Vec<u64> =
        shuffled.clone().map(|range| range.start + range.size() / 2).collect();
    let expected = shuffled.fold(0u64, |sum, range| sum.wrapping_add(range.start));

    let dir = tempfile::tempdir().expect("a directory for a program");
    let bare = compile(&repository().join("benchmarks/peers/procmap_query.c"), dir.path());
    let process = Process::open(Path::new("/proc"), ProcessId { pid: many.pid(), tid: None });
    let process = process.expect("the child lives");
    let mut query = PointQuery::open(&process).expect("its maps");
    let pid = many.pid();
    let series = race(
        scale.rounds(31),
        vec![
            Contender::timed("bare ioctl, in C", || ask(bare.as_ref()?, pid, &addresses, expected)),
            Contender::timed("vmatlas, PointQuery::find", || {
                let from = Instant::now();
                let mut sum = 0u64;
                for &address in &addresses {
                    let found = query.find(address, Which::Covering).map_err(|e| e.to_string())?;
                    sum = sum.wrapping_add(found.ok_or("not mapped")?.range.start);
                }
                let nanos = from.elapsed().as_nanos() as f64 / addresses.len() as f64;
                if sum == expected { Ok(nanos) } else { Err("wrong answer".to_owned()) }
            }),
        ],
    );
    let [bare, ours] = &series[..] else { unreachable!("two ran") };
    section.times(bare, bare, &[]);
    section.times(ours, bare, &[Target::AtMost(1.2, bare)]);
    section.note("The C program needs Linux 6.11. Both have a buffer of 4096 bytes for the name.");
    section
}

/// The nanoseconds that the bare program takes for an address.
fn ask(program: &Path, pid: u32, addresses: &[u64], expected: u64) -> Result<f64, String> {
    let list: String = addresses.iter().map(|address| format!("{address:x}\n")).collect();
    let mut child = Command::new(program)
        .arg(pid.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(list.as_bytes()).map_err(|error| error.to_string())?;
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = said.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    match numbers[..] {
        [nanos, count, sum] if count == addresses.len() as u64 && sum == expected => {
            Ok(nanos as f64 / count as f64)
        }
        _ => Err(format!("wrong answer: {said}")),
    }
}
