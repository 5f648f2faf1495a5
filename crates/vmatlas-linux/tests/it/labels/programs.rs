//! Checks the explained share of whole programs' memory.

use super::{Output, Seen, address};
use crate::child::{Child, program, program_as, wait_until};
use std::process::Command;
use vmatlas_explain::label::Confidence;

#[test]
fn bash_is_explained() {
    let script = "for i in {1..20000}; do a[i]=$i; done; echo ready; read";
    let mut child = Child::start(Command::new("bash").args(["-c", script]));
    child.until_ready();
    assert!(Seen::of(&child, false).explained() >= 85);
    assert!(Seen::of(&child, true).explained() >= 95);
}

/// A page of code that the program replaced by a copy.
#[test]
fn code_without_a_file_between_code_of_a_file_is_its_copy() {
    let mut child = Child::start(&mut Command::new(program("copied_code")));
    let output = Output(child.until_ready());
    for (deep, confidence) in [(false, Confidence::Likely), (true, Confidence::Certain)] {
        let seen = Seen::of(&child, deep);
        let label = &seen.at(output.address("copied")).label;
        let found = (label.group.as_ref(), label.confidence);
        assert_eq!(found, ("replaced file pages", confidence), "{}", seen.text());
        assert!(label.text.contains("code of copied_code"), "{label:?}");
        assert!(seen.labels.at(output.address("other")).is_none());
    }
}

/// Compares with the addresses in gcc's own instructions.
#[cfg(target_arch = "x86_64")]
#[test]
fn shadow_and_heap_of_address_sanitizer_are_known() {
    let program = program_as("blocks", "blocks-asan", &["-fsanitize=address"]);
    let mut child = Child::start(&mut Command::new(program));
    let output = Output(child.until_ready());
    for deep in [false, true] {
        let seen = Seen::of(&child, deep);
        for line in output.lines("block") {
            let start = address(line[0]);
            let shadow = &seen.at((start >> 3) + 0x7fff_8000).label;
            let expected = ("sanitizer shadow", Confidence::Certain);
            assert_eq!((shadow.group.as_ref(), shadow.confidence), expected);
            // Blocks too large for a size class have their own mappings.
            if deep || line[1].parse::<u64>().unwrap() < 128 << 10 {
                let heap = &seen.at(start).label;
                let expected = ("sanitizer heap", Confidence::Certain);
                assert_eq!((heap.group.as_ref(), heap.confidence), expected);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn heap_of_thread_sanitizer_is_known() {
    let program = program_as("blocks", "blocks-tsan", &["-fsanitize=thread"]);
    // It does not support the higher randomisation of newer kernels.
    let mut child = Child::start(Command::new("setarch").arg("-R").arg(program));
    let output = Output(child.until_ready());
    wait_until("it waits", || child.process().comm().unwrap() == b"blocks-tsan");
    let seen = Seen::of(&child, false);
    for line in output.lines("block").filter(|line| line[1].parse::<u64>().unwrap() < 128 << 10) {
        let heap = &seen.at(address(line[0])).label;
        assert_eq!((heap.group.as_ref(), heap.confidence), ("sanitizer heap", Confidence::Certain));
    }
    assert!(seen.explained() >= 85);
}
