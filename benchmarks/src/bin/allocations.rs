//! Counts the allocations of parsing, for the measure `memory`: `allocations ROWS` prints JSON.

use benchmarks::peers::{procfs, ranges, rsprocmaps, vmatlas};
use benchmarks::text::mixed;
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::any::Any;
use std::collections::HashSet;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let rows = std::env::args().nth(1).and_then(|rows| rows.parse().ok()).unwrap_or(7_000);
    let text = mixed(rows);
    // Peers get only the lines that all of them accept.
    let lines = text.bytes.split_inclusive(|&b| b == b'\n');
    let plain: Vec<u8> = lines
        .filter(|line| line.is_ascii() && !line.contains(&b'\x1b'))
        .flatten()
        .copied()
        .collect();

    let region = Region::new(ALLOCATOR);
    let answer = vmatlas::rows(&text.bytes).expect("rows");
    let calls = region.change().allocations + region.change().reallocations;
    assert_eq!(answer, text.answer);
    let counted = Value::Array(vec![
        json!({"name": "vmatlas::rows", "allocations": calls}),
        kept("vmatlas::Maps::parse", &text.bytes, |text| Box::new(vmatlas::keep(text))),
        kept("procfs", &plain, |text| Box::new(procfs::keep(text).expect("rows"))),
        kept("rsprocmaps", &plain, |text| Box::new(rsprocmaps::keep(text).expect("rows"))),
        modelled("vmatlas::space::AddressSpace", rows),
    ]);
    println!("{counted}");
}

/// The bytes that a model holds with this number of mappings, after many were mapped and unmapped.
fn modelled(name: &str, mappings: u64) -> Value {
    let region = Region::new(ALLOCATOR);
    let mut space = ranges::space(mappings);
    ranges::operate(&mut space, mappings, 400_000);
    let change = region.change();
    drop(space);
    json!({
        "name": name,
        "allocations": change.allocations + change.reallocations,
        "bytes": change.bytes_allocated - change.bytes_deallocated,
    })
}

fn kept(name: &str, text: &[u8], keep: impl Fn(&[u8]) -> Box<dyn Any>) -> Value {
    let names: HashSet<&[u8]> =
        text.split(|&b| b == b'\n').map(|line| line.get(73..).unwrap_or_default()).collect();
    let names: usize = names.iter().map(|name| name.len()).sum();
    let region = Region::new(ALLOCATOR);
    let held = keep(text);
    let change = region.change();
    drop(held);
    json!({
        "name": name,
        "allocations": change.allocations + change.reallocations,
        "bytes": change.bytes_allocated - change.bytes_deallocated - names,
    })
}
