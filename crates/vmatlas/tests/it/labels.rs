//! Labels of processes that mean harm: structures that lie, lists that run in circles.

use proptest::prelude::*;
use vmatlas::crash::Machine;
use vmatlas::label::{Facts, ImageFacts, Labels, SYMBOLS, ThreadFacts};
use vmatlas::{AddressRange, Maps, Memory, WordSize};

/// Memory in which every word is made from its address: pointers into rows, numbers, text.
struct Lies {
    seed: u64,
    rows: Vec<AddressRange>,
}

impl Lies {
    fn word(&self, address: u64) -> u64 {
        let mixed = (address ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let row = &self.rows[usize::try_from(mixed >> 8).unwrap_or(0) % self.rows.len()];
        let within = row.start + (mixed >> 20) % row.size();
        match mixed % 13 {
            0 => 0,
            1 => mixed >> 58,
            2 => u64::MAX - (mixed >> 60),
            3 => address,
            4 => u64::from_le_bytes(*b"Universe"),
            5 => row.start,
            6 => (mixed >> 50) | 1 << 32,
            7 => within & !0xfff,
            8 => row.size(),
            _ => within & !7,
        }
    }
}

impl Memory for Lies {
    fn read(&self, address: u64, bytes: &mut [u8]) -> usize {
        if !self.rows.iter().any(|row| row.contains(address)) {
            return 0;
        }
        let mut at = address & !7;
        let mut skip = usize::try_from(address % 8).unwrap();
        let mut rest = &mut bytes[..];
        while !rest.is_empty() {
            let word = &self.word(at).to_le_bytes()[skip..];
            let length = word.len().min(rest.len());
            rest[..length].copy_from_slice(&word[..length]);
            rest = &mut rest[length..];
            (at, skip) = (at.wrapping_add(8), 0);
        }
        bytes.len()
    }
}

const NAMES: [&str; 9] = [
    "",
    "",
    "",
    "",
    "/usr/lib/libjvm.so",
    "/usr/bin/chromium",
    "/usr/lib/libopenblas.so.0",
    "/memfd:java_heap (deleted)",
    "/usr/lib/classes.jsa",
];
const PERMS: [&str; 6] = ["rw-p", "rw-p", "---p", "rwxp", "r--p", "r-xp"];
const STEPS: [u64; 6] = [0x1000, 0x21000, 0x4_0000, 0x10_0000, 0x400_0000, 0x4000_0000];

fn maps() -> impl Strategy<Value = Maps> {
    let row = (
        0..STEPS.len(),
        1..5_u64,
        0..PERMS.len(),
        0..NAMES.len(),
        prop::option::of(0..STEPS.len()),
    );
    (0..3_usize, prop::collection::vec(row, 1..40)).prop_map(|(begin, rows)| {
        let mut at = [0x10000, 0xc0_0000_0000, 0x7f00_0000_0000][begin];
        let mut text = String::new();
        for (step, count, perms, name, gap) in rows {
            at += gap.map_or(0, |gap| STEPS[gap]);
            let end = at + STEPS[step] * count;
            let inode = u8::from(!NAMES[name].is_empty());
            let (perms, name) = (PERMS[perms], NAMES[name]);
            text += &format!("{at:x}-{end:x} {perms} 00000000 00:01 {inode} {name}\n");
            at = end;
        }
        Maps::parse(text.as_bytes())
    })
}

fn facts(maps: &Maps, seed: u64) -> Facts {
    let rows: Vec<AddressRange> = maps.iter().map(|row| row.range).collect();
    let pick = |n: u64| rows[usize::try_from(seed.wrapping_mul(n) >> 40).unwrap() % rows.len()];
    let data = pick(3).start;
    let image = |name: &str| ImageFacts {
        name: name.into(),
        segments: vec![(AddressRange::new(data, data + 0x8000), 0x100, true)],
        sections: vec![(".gopclntab".to_owned(), pick(5))],
        symbols: SYMBOLS.iter().zip(7..).map(|(name, n)| (*name, pick(n).start)).collect(),
        ..ImageFacts::default()
    };
    Facts {
        page_size: 4096,
        word_size: Some(WordSize::Bits64),
        machine: Some(Machine::X86_64),
        threads: vec![ThreadFacts {
            tid: 1,
            thread_pointer: Some(pick(11).start),
            stack_pointer: Some(pick(13).start),
            ..ThreadFacts::default()
        }],
        images: NAMES[4..7].iter().map(|name| image(name)).collect(),
        ..Facts::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn lies_cost_nothing_but_labels(maps in maps(), seed in any::<u64>()) {
        let facts = facts(&maps, seed);
        let memory = Lies { seed, rows: maps.iter().map(|row| row.range).collect() };
        for memory in [None, Some(&memory as &dyn Memory)] {
            let labels = Labels::of(&maps, &facts, memory);
            let ranges: Vec<AddressRange> = labels.iter().map(|part| part.range).collect();
            prop_assert!(ranges.iter().all(|range| range.start < range.end));
            prop_assert!(ranges.is_sorted_by(|one, next| one.end <= next.start));
        }
    }
}
