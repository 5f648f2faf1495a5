//! Ruby.

use super::{Output, Seen, address, source};
use crate::child::Child;
use std::process::Command;
use vmatlas_explain::label::Confidence;

#[test]
fn ruby() {
    let mut child = Child::start(Command::new("ruby").arg(source("heaps.rb")));
    let output = Output(child.until_ready());
    let objects: Vec<u64> = output.lines("object").map(|line| address(line[0])).collect();
    assert_eq!(objects.len(), 20);
    let seen = Seen::of(&child, true);
    for at in &objects {
        let label = &seen.at(*at).label;
        assert_eq!(label.group, "Ruby heap", "{at:x}\n{}", seen.text());
        assert_eq!(label.confidence, Confidence::Certain);
    }
    assert!(seen.explained() >= 80, "{}", seen.text());
    let seen = Seen::of(&child, false);
    assert!(objects.iter().all(|at| seen.at(*at).label.group == "large blocks"), "{}", seen.text());
}
