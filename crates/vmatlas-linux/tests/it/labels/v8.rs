//! V8, in Node.js.

use super::{Seen, check_share, search, source};
use crate::child::Child;
use std::process::Command;
use vmatlas_explain::label::Confidence;

/// The letters that heaps.js makes.
pub(super) fn letters() -> Vec<u8> {
    (0..64).map(|i: u8| b'A' + (u16::from(i) * 7 % 26) as u8).collect()
}

/// The bytes that heaps.js fills its buffer with.
pub(super) fn bytes() -> Vec<u8> {
    (0..64).map(|i: u16| u8::try_from(i * 11 % 251 + 1).unwrap()).collect()
}

#[test]
fn node() {
    let mut child = Child::start(Command::new("node").arg(source("heaps.js")));
    child.until_ready();
    child.say("spaces");
    let spaces = child.until_ready();
    child.stop();
    let size = |space: &String| -> u64 { space.split_once(' ').unwrap().1.parse().unwrap() };
    let (code, heap): (Vec<&String>, Vec<&String>) =
        spaces.iter().partition(|space| space.starts_with("code_"));
    let sum = |spaces: &[&String]| spaces.iter().map(|space| size(space)).sum::<u64>();

    let seen = Seen::of(&child, true);
    check_share(&seen, true);
    let mut pages = seen.group("V8 heap");
    // The space that is read-only is not counted.
    pages.retain(|page| {
        let row = seen.maps.get(seen.maps.find(page.range.start).mapping.unwrap()).unwrap();
        row.perms.write()
    });
    let labelled: u64 = pages.iter().map(|page| page.range.size()).sum();
    assert_eq!(labelled, sum(&heap), "{spaces:?}\n{}", seen.text());
    let pages = seen.group("V8 code");
    let certain = pages.iter().filter(|page| page.label.confidence == Confidence::Certain);
    let labelled: u64 = certain.map(|page| page.range.size()).sum();
    assert_eq!(labelled, sum(&code), "{spaces:?}\n{}", seen.text());

    let letters = search(child.pid(), &seen.maps, &letters(), 50);
    assert!(!letters.is_empty());
    let groups: Vec<&str> = letters.iter().map(|at| &*seen.at(*at).label.group).collect();
    assert!(groups.contains(&"V8 heap"), "{groups:?}");
    let buffer = search(child.pid(), &seen.maps, &bytes(), 10_000);
    assert!(buffer.len() > 1000, "{}", buffer.len());
    for at in &buffer {
        assert_eq!(seen.at(*at).label.group, "large malloc block", "{at:x}\n{}", seen.text());
    }

    let seen = Seen::of(&child, false);
    check_share(&seen, false);
    let heap = seen.group("V8 heap");
    assert!(heap.iter().all(|page| page.label.confidence == Confidence::Likely));
    for at in &buffer {
        assert_eq!(seen.at(*at).label.group, "large blocks", "{at:x}\n{}", seen.text());
    }
}
