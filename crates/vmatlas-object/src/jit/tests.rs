use super::*;

fn perf_map(bytes: &[u8]) -> (JitMap, Vec<JitError>) {
    JitMap::parse_perf_map(bytes, &Budget::default())
}

fn jitdump(bytes: &[u8], until: Option<u64>) -> (JitMap, Vec<JitError>) {
    JitMap::parse_jitdump(bytes, until, &Budget::default())
}

fn at(map: &JitMap, address: u64) -> String {
    map.find(address).map_or("-".to_owned(), |code| {
        let source = code.source.map(|(file, line)| format!(" {file}:{line}"));
        format!("{}+{:#x}{}", code.name, code.offset, source.unwrap_or_default())
    })
}

#[test]
fn perf_maps() {
    let text =
        b"1000 100 first\r\n0x2000 0x10 name with  spaces \n\nnonsense\n+5 5 x\n3000 0 empty\n\
        ffffffffffffffff 2 end\n4000 1\n4000 1 \n5000 10 \xff\n1040 20 second\n10f0 20 third";
    let (map, errors) = perf_map(text);
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "this is not START SIZE NAME (line 4)",
            "this is not START SIZE NAME (line 5)",
            "the code has no bytes or ends beyond the last address (line 6)",
            "the code has no bytes or ends beyond the last address (line 7)",
            "this is not START SIZE NAME (line 8)",
            "this is not START SIZE NAME (line 9)",
        ]
    );
    for (address, expect) in [
        (0xfff, "-"),
        (0x1000, "first+0x0"),
        (0x103f, "first+0x3f"),
        (0x1040, "second+0x0"),
        (0x105f, "second+0x1f"),
        (0x1060, "first+0x60"),
        (0x10f0, "third+0x0"),
        (0x110f, "third+0x1f"),
        (0x1110, "-"),
        (0x2001, "name with  spaces+0x1"),
        (0x5000, "\u{fffd}+0x0"),
        (u64::MAX, "-"),
    ] {
        assert_eq!(at(&map, address), expect, "{address:#x}");
    }
    assert_eq!(perf_map(&b"x\n".repeat(1000)).1.len(), 101);
}

/// Compares with a linear scan for the last entry that contains an address.
#[test]
fn later_entries_have_the_addresses() {
    let mut seed = 1_u64;
    let mut random = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    for _ in 0..200 {
        let entries: Vec<(u64, u64)> =
            (0..random(20)).map(|_| (random(60), 1 + random(20))).collect();
        let text: String = entries
            .iter()
            .enumerate()
            .map(|(n, (start, size))| format!("{start:x} {size:x} f{n}\n"))
            .collect();
        let (map, _) = perf_map(text.as_bytes());
        for address in 0..90 {
            let last =
                entries.iter().rposition(|(start, size)| (*start..start + size).contains(&address));
            let expect =
                last.map_or("-".to_owned(), |n| format!("f{n}+{:#x}", address - entries[n].0));
            assert_eq!(at(&map, address), expect, "{entries:?} {address}");
        }
    }
}

struct Dump(Vec<u8>, bool);

impl Dump {
    fn new(big_endian: bool) -> Self {
        let mut dump = Dump(Vec::new(), big_endian);
        dump.u32s(&[0x4a69_5444, 1, 40, 62, 0, 7]);
        dump.u64s(&[5, 0]);
        dump
    }

    fn u32(&mut self, value: u32) {
        self.0.extend(if self.1 { value.to_be_bytes() } else { value.to_le_bytes() });
    }

    fn u64(&mut self, value: u64) {
        self.0.extend(if self.1 { value.to_be_bytes() } else { value.to_le_bytes() });
    }

    fn u32s(&mut self, values: &[u32]) {
        values.iter().for_each(|&value| self.u32(value));
    }

    fn u64s(&mut self, values: &[u64]) {
        values.iter().for_each(|&value| self.u64(value));
    }

    fn record(&mut self, id: u32, time: u64, body: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.u32s(&[id, 0]);
        self.u64(time);
        body(self);
        let size = (self.0.len() - start) as u32;
        let size = if self.1 { size.to_be_bytes() } else { size.to_le_bytes() };
        self.0[start + 4..start + 8].copy_from_slice(&size);
    }

    fn load(&mut self, time: u64, start: u64, size: u64, name: &[u8]) {
        self.record(0, time, |dump| {
            dump.u32s(&[7, 7]);
            dump.u64s(&[start, start, size, time]);
            dump.0.extend(name);
            dump.0.push(0);
            dump.0.extend(vec![0xcc; size as usize]);
        });
    }
}

fn dump(big_endian: bool) -> Vec<u8> {
    let mut dump = Dump::new(big_endian);
    dump.record(2, 10, |dump| {
        dump.u64s(&[0x1000, 3]);
        for (address, line, file) in
            [(0x1000, 3, &b"a.js\0"[..]), (0x1008, 4, b"\xff\0"), (0x1010, 9, b"b.js\0")]
        {
            dump.u64(address);
            dump.u32s(&[line, 0]);
            dump.0.extend(file);
        }
    });
    dump.load(11, 0x1000, 0x20, b"one");
    dump.record(4, 12, |dump| dump.u64(0));
    dump.load(20, 0x2000, 0x10, b"two");
    dump.record(1, 30, |dump| {
        dump.u32s(&[7, 7]);
        dump.u64s(&[0x1000, 0x1000, 0x3000, 0x20, 11]);
    });
    dump.load(40, 0x2008, 4, b"three");
    dump.0
}

#[test]
fn jitdumps() {
    for big_endian in [false, true] {
        let bytes = dump(big_endian);
        let (map, errors) = jitdump(&bytes, None);
        assert_eq!(errors, []);
        for (address, expect) in [
            (0x1000, "-"),
            (0x3007, "one+0x7 a.js:3"),
            (0x3008, "one+0x8 a.js:4"),
            (0x301f, "one+0x1f b.js:9"),
            (0x2007, "two+0x7"),
            (0x2008, "three+0x0"),
            (0x200c, "two+0xc"),
        ] {
            assert_eq!(at(&map, address), expect, "{address:#x}");
        }
        let (then, _) = jitdump(&bytes, Some(20));
        assert_eq!(at(&then, 0x1000), "one+0x0 a.js:3");
        assert_eq!(at(&then, 0x2008), "two+0x8");
        let (mut both, _) = perf_map(b"2ff0 20 perf\n2000 8 perf\n");
        both.extend(map);
        assert_eq!(at(&both, 0x2ff1), "perf+0x1");
        assert_eq!(at(&both, 0x3008), "one+0x8 a.js:4");
        assert_eq!(at(&both, 0x2000), "two+0x0");
    }
}

#[test]
fn damaged_jitdumps() {
    let whole = dump(false);
    let error = |bytes: &[u8]| jitdump(bytes, None).1[0].to_string();
    assert_eq!(error(b""), "this is no jitdump (byte 0x0)");
    assert_eq!(
        error(&whole[..whole.len() - 1]),
        "the jitdump ends in the middle of a record (byte 0x184)"
    );
    let mut version = whole.clone();
    version[4] = 9;
    assert_eq!(error(&version), "version 9 of jitdumps is not known (byte 0x4)");
    for size in 0..whole.len() {
        jitdump(&whole[..size], None);
    }
    // Sets each byte to some values, including sizes and counts.
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let (map, _) = jitdump(&bytes, None);
            for address in [0, 0x1000, 0x2008, 0x3000, u64::MAX] {
                let _ = map.find(address);
            }
        }
    }
}

/// What a budget does not pay for is left out and said; what was read before stays, and dropping it
/// gives everything back.
#[test]
fn names_take_memory_from_the_budget() {
    let entry = |n: u64| format!("{:x} 10 {}\n", n << 8, "n".repeat(1000));
    let text: String = (0..1000).map(entry).collect();
    let budget = Budget::new(400 << 10);
    let (map, errors) = JitMap::parse_perf_map(text.as_bytes(), &budget);
    assert!((300..420).contains(&map.len()), "{}", map.len());
    assert_eq!(errors.last().unwrap().kind, JitErrorKind::OverBudget);
    assert!(budget.is_exceeded() && budget.left() < 100 << 10);
    assert_eq!(at(&map, 0x201), format!("{}+0x1", "n".repeat(1000)));
    drop(map);
    assert_eq!(budget.left(), 400 << 10);

    // Names that are not kept cost nothing.
    let mut reader = PerfMapReader::new(false, Budget::new(100 << 10));
    reader.push(text.as_bytes());
    assert_eq!(reader.finish().0.ranges().len(), 1000);

    let mut dump = Dump::new(false);
    (0..1000).for_each(|n| dump.load(n, n << 8, 16, "n".repeat(1000).as_bytes()));
    let dump = dump.0;
    let budget = Budget::new(400 << 10);
    let (map, errors) = JitMap::parse_jitdump(&dump, None, &budget);
    assert!((300..420).contains(&map.len()), "{}", map.len());
    assert_eq!(errors.last().unwrap().kind, JitErrorKind::OverBudget);
    assert_eq!(jitdump(&dump, None).0.len(), 1000);
}
