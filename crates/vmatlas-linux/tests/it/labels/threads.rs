//! Stacks of threads and guards.

use super::{Seen, check};
use crate::child::{Child, program, skipped};
use std::process::Command;
use vmatlas::AddressRange;
use vmatlas::label::Confidence;

/// Four pages, as merged_stacks.c has them.
const GUARD: u64 = 4 * 4096;

#[test]
fn stacks_that_the_kernel_joined_are_told_apart() {
    let mut child = Child::start(Command::new(program("merged_stacks")).arg("20"));
    let lines = child.until_ready();
    if lines == ["no guards"] {
        return skipped("a kernel without MADV_GUARD_INSTALL");
    }
    assert_eq!(lines.len(), 20);
    for deep in [false, true] {
        let seen = Seen::of(&child, deep);
        assert_eq!(seen.facts.guards.len(), 20, "{:?}", seen.facts.guards);
        for line in &lines {
            let fields: Vec<&str> = line.split(' ').collect();
            let [tid, start, end] = fields[..] else { panic!("{line:?}") };
            let address = |text: &str| u64::from_str_radix(&text[2..], 16).unwrap();
            let guard = AddressRange::new(address(start), address(start) + GUARD);
            let stack = AddressRange::new(guard.end, address(end));
            let confidence = if deep { Confidence::Certain } else { Confidence::Likely };
            let who = format!("of thread {tid} (merged-");
            check(&seen, stack, "thread stack", confidence, &who);
            check(&seen, guard, "guard", Confidence::Certain, &who);
        }
    }
}
