//! Fuzzes the records of perf events, from the bytes of a ring to ordered events. After an `R` the
//! bytes are those of the rings; otherwise they choose records and their fields.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmatlas_fuzz::Take;
use vmatlas_linux::fuzzing::{IDS, REGISTERS, fields_of, read_records};

/// The most records that a program makes.
const RECORDS: usize = 64;

fuzz_target!(|bytes: &[u8]| vmatlas_fuzz::bounded(|| check(bytes)));

fn check(bytes: &[u8]) {
    let (records, cut, until, stacks) = match bytes {
        [b'R', flags, rest @ ..] => {
            (rest.to_vec(), usize::from(*flags) * 8, u64::from(*flags) << 8, flags & 1 != 0)
        }
        _ => made(&mut Take(bytes)),
    };
    let outcome = read_records(&records, cut, until, stacks);
    assert!(outcome.records <= records.len() / 8, "a record takes at least 8 bytes");
    assert!(outcome.events + outcome.unread <= outcome.records);
    assert!(outcome.bytes <= records.len(), "stacks and names are parts of records");
}

/// The records, the bytes of the ring of calls, the time of the first step, and whether stacks are
/// wanted.
fn made(take: &mut Take<'_>) -> (Vec<u8>, usize, u64, bool) {
    let (stacks, until) = (take.byte() & 1 != 0, u64::from(take.byte()) << 4);
    let calls = usize::from(take.byte()) % RECORDS;
    let (mut out, mut cut, mut time) = (Vec::new(), 0, 100);
    for number in 0..RECORDS {
        if take.is_empty() {
            break;
        }
        if number == calls {
            (cut, time) = (out.len(), 100);
        }
        record(take, &mut time, &mut out);
    }
    (out, cut, until, stacks)
}

fn record(take: &mut Take<'_>, time: &mut u64, out: &mut Vec<u8>) {
    let kind = take.byte();
    // Times mostly grow.
    match take.byte() {
        step @ 0..200 => *time = time.wrapping_add(u64::from(step)),
        step @ 200..250 => *time = time.wrapping_sub(u64::from(step)),
        _ => *time = take.word(),
    }
    let id = 1 + u64::from(take.byte()) % (IDS + 1);
    let (pid, tid) = (task(take), task(take));
    let mut body = Body(Vec::new());
    let (kind, misc) = match kind {
        0..=160 => {
            sample(take, &mut body, id, pair(pid, tid), *time);
            (9, 1)
        }
        161..=180 => {
            let parents = [task(take), task(take)];
            let word = pair(task(take), parents[0]);
            body.words(&[word, pair(task(take), parents[1]), *time]);
            (7, 0)
        }
        181..=190 => {
            body.words(&[pair(pid, pid), pair(tid, tid), *time]);
            (4, 0)
        }
        191..=205 => {
            body.words(&[pair(pid, tid)]);
            body.0.extend(take.bytes(16));
            (3, if take.byte() & 1 == 0 { 1 << 13 } else { 0 })
        }
        206..=230 => {
            body.words(&[pair(pid, tid), address(take), take.word(), take.word()]);
            body.words(&[take.word(), take.word(), take.word(), take.word()]);
            body.0.extend(take.bytes(32));
            (10, u16::from(take.byte()) << 8)
        }
        231..=240 => {
            body.words(&[id, take.word()]);
            (2, 0)
        }
        _ => {
            body.0.extend(take.bytes(64));
            (u32::from(take.byte() % 24), 0)
        }
    };
    if kind != 9 {
        while body.0.len() % 8 != 0 {
            body.0.push(0);
        }
        body.words(&[pair(pid, tid), *time, 0, id]);
    }
    let mut length = body.0.len() as u16 + 8;
    if take.byte() == 255 {
        length = length.wrapping_add(u16::from(take.byte())).wrapping_sub(64);
    }
    out.extend(u32::to_ne_bytes(kind));
    out.extend(u16::to_ne_bytes(misc));
    out.extend(u16::to_ne_bytes(length));
    out.extend(body.0);
}

/// A sample with the fields of its event; with a wrong size now and then.
fn sample(take: &mut Take<'_>, body: &mut Body, id: u64, task: u64, time: u64) {
    let has = fields_of(id).unwrap_or_default();
    body.words(&[id, task, time]);
    if has.address {
        body.words(&[address(take)]);
    }
    body.words(&[0]);
    if has.raw {
        let bytes = take.bytes(64);
        let length = if take.byte() == 255 { take.word() as u32 } else { bytes.len() as u32 };
        body.0.extend(length.to_ne_bytes());
        body.0.extend(bytes);
    }
    if has.registers {
        let abi = u64::from(take.byte() != 255) * 2;
        body.words(&[abi]);
        for _ in 0..if abi == 0 { 0 } else { REGISTERS } {
            body.words(&[address(take)]);
        }
    }
    if has.stack {
        let mut bytes = take.bytes(64);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let room = if take.byte() == 255 { take.word() } else { bytes.len() as u64 };
        body.words(&[room]);
        body.0.extend(&bytes);
        if room != 0 {
            let used = if take.byte() == 255 { take.word() } else { bytes.len() as u64 };
            body.words(&[used]);
        }
    }
}

struct Body(Vec<u8>);

impl Body {
    fn words(&mut self, words: &[u64]) {
        self.0.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
    }
}

fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

fn task(take: &mut Take<'_>) -> u32 {
    u32::from(take.byte() % 8)
}

/// An address or a size among a few pages, mostly.
fn address(take: &mut Take<'_>) -> u64 {
    match take.byte() {
        page @ 0..240 => u64::from(page) << 10,
        _ => take.word(),
    }
}
