//! V8, in Node.js.

use super::{Seen, check_share, search, settle, source};
use crate::child::{Child, signal, until_stopped};
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

/// The labels and memory of a stopped process.
struct Stopped {
    deep: Seen,
    shallow: Seen,
    letters: Vec<u64>,
    buffer: Vec<u64>,
}

impl Stopped {
    fn of(child: &Child) -> Stopped {
        let (deep, shallow) = (Seen::of(child, true), Seen::of(child, false));
        let search = |wanted: &[u8], most| search(child.pid(), &deep.maps, wanted, most);
        let (letters, buffer) = (search(&letters(), 50), search(&bytes(), 10_000));
        Stopped { deep, shallow, letters, buffer }
    }
}

/// Lets heaps.js stop itself, and returns its labels and the sizes of V8's spaces.
fn look(child: &mut Child) -> (Stopped, Vec<(String, u64)>) {
    // V8 may collect garbage or free pages in another thread. So its threads must be idle, and the
    // sizes must be equal before and after.
    for _ in 0..100 {
        settle(child, 0);
        child.say("spaces");
        until_stopped(child.pid());
        let stopped = Stopped::of(child);
        signal(child.pid(), "CONT");
        let sizes = child.until_ready();
        assert_eq!(sizes.len(), 2, "{sizes:?}");
        if sizes[0] == sizes[1] {
            let spaces = sizes[0].split(' ').map(|space| space.split_once('=').unwrap());
            let spaces = spaces.map(|(name, size)| (name.to_owned(), size.parse().unwrap()));
            return (stopped, spaces.collect());
        }
    }
    panic!("the sizes of V8's spaces change all the time");
}

#[test]
fn node() {
    let mut child = Child::start(Command::new("node").arg(source("heaps.js")));
    child.until_ready();
    let (Stopped { deep: seen, shallow, letters, buffer }, spaces) = look(&mut child);
    let sum = |code: bool| -> u64 {
        let spaces = spaces.iter().filter(|(name, _)| name.starts_with("code_") == code);
        spaces.map(|(_, size)| size).sum()
    };

    check_share(&seen, true);
    let mut pages = seen.group("V8 heap");
    // The read-only space is not counted.
    pages.retain(|page| {
        let row = seen.maps.get(seen.maps.find(page.range.start).mapping.unwrap()).unwrap();
        row.perms.write()
    });
    let labelled: u64 = pages.iter().map(|page| page.range.size()).sum();
    assert_eq!(labelled, sum(false), "{spaces:?}\n{}", seen.text());
    let pages = seen.group("V8 code");
    let certain = pages.iter().filter(|page| page.label.confidence == Confidence::Certain);
    let labelled: u64 = certain.map(|page| page.range.size()).sum();
    assert_eq!(labelled, sum(true), "{spaces:?}\n{}", seen.text());

    assert!(!letters.is_empty());
    let groups: Vec<&str> = letters.iter().map(|at| &*seen.at(*at).label.group).collect();
    assert!(groups.contains(&"V8 heap"), "{groups:?}");
    assert!(buffer.len() > 1000, "{}", buffer.len());
    for at in &buffer {
        assert_eq!(seen.at(*at).label.group, "large malloc block", "{at:x}\n{}", seen.text());
    }

    let seen = shallow;
    check_share(&seen, false);
    let heap = seen.group("V8 heap");
    assert!(heap.iter().all(|page| page.label.confidence == Confidence::Likely));
    for at in &buffer {
        assert_eq!(seen.at(*at).label.group, "large blocks", "{at:x}\n{}", seen.text());
    }
}
