//! Parses records of a ring from bytes (perf_event_open(2), "MMAP layout").
//!
//! All events request the same identification ([`SAMPLE_TYPE`]), so every non-sample record ends
//! with it and every sample begins with it.

use crate::record::arch::{SAMPLED_COUNT, Sampled};
use crate::sys::perf_event::sample;
use vmatlas_recording::Tid;

/// The common fields of every sample.
pub(super) const SAMPLE_TYPE: u64 = sample::IDENTIFIER | sample::TID | sample::TIME | sample::CPU;

/// Length of the identification at the end of a non-sample record.
const TRAILER: usize = 32;

const MMAP2_BUILD_ID: u16 = 1 << 14;
const BIT_13: u16 = 1 << 13;

/// The task, processor, time and event of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Who {
    /// The event's number ([`Event::id`](crate::sys::perf_event::Event::id)).
    pub(super) id: u64,
    pub(super) pid: u32,
    pub(super) tid: Tid,
    pub(super) time: u64,
    pub(super) cpu: u32,
}

/// The content of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Sample(Sample),
    Fork { pid: u32, tid: Tid, parent_pid: u32, parent_tid: Tid },
    Exit { pid: u32, tid: Tid },
    Comm { pid: u32, tid: Tid, exec: bool, name: Vec<u8> },
    Mmap(Mmap),
    Lost(u64),
}

/// A sample, with the fields that its event requested.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) address: Option<u64>,
    pub(super) raw: Option<Vec<u8>>,
    pub(super) registers: Option<Sampled>,
    pub(super) stack: Option<Vec<u8>>,
}

/// A new mapping from `PERF_RECORD_MMAP2`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mmap {
    pub(crate) pid: u32,
    pub(crate) tid: Tid,
    /// Its start. If it merged with a neighbour, this is the merged range.
    pub(crate) address: u64,
    pub(crate) len: u64,
    /// Offset in bytes.
    pub(crate) offset: u64,
    pub(crate) file: MmapFile,
    /// The protection of mmap(2).
    pub(crate) prot: u32,
    /// The flags of mmap(2): `MAP_SHARED`, `MAP_PRIVATE` and few others.
    pub(crate) flags: u32,
    /// Whether the kernel reports it as data: it is not executable.
    pub(crate) data: bool,
    /// The path, or `[heap]`, `[stack]`, `[vdso]`, `//anon`.
    pub(crate) name: Vec<u8>,
}

/// The identity of a mapping's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MmapFile {
    /// All 0 for no file.
    Inode {
        major: u32,
        minor: u32,
        inode: u64,
        generation: u64,
    },
    BuildId(Vec<u8>),
}

impl Default for MmapFile {
    fn default() -> MmapFile {
        MmapFile::Inode { major: 0, minor: 0, inode: 0, generation: 0 }
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) who: Who,
    pub(super) said: Said,
}

/// The result of parsing a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    Record(Record),
    /// An unused kind, or of an event that was closed.
    Other,
    Broken,
}

/// Splits off the first record.
pub(super) fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, _, len) = Fields(bytes).header()?;
    bytes.split_at_checked(usize::from(len)).filter(|(record, _)| record.len() >= 8)
}

/// Parses a record. `layout` returns the sample format of an event.
pub(super) fn parse(bytes: &[u8], layout: impl Fn(u64) -> Option<u64>) -> Parsed {
    let mut fields = Fields(bytes);
    match fields.header() {
        Some((kind, misc, _)) => record(kind, misc, fields.0, &layout),
        None => Parsed::Broken,
    }
}

fn record(kind: u32, misc: u16, body: &[u8], layout: &impl Fn(u64) -> Option<u64>) -> Parsed {
    let parsed = match kind {
        2 => lost(body),
        3 => comm(misc, body),
        4 | 7 => task(kind == 7, body),
        9 => match Fields(body).u64().map(layout) {
            Some(None) => return Parsed::Other,
            _ => sample(body, layout),
        },
        10 => mmap2(misc, body),
        _ => return Parsed::Other,
    };
    parsed.map_or(Parsed::Broken, |(who, said)| Parsed::Record(Record { who, said }))
}

fn sample(body: &[u8], layout: &impl Fn(u64) -> Option<u64>) -> Option<(Who, Said)> {
    let mut fields = Fields(body);
    let id = fields.u64()?;
    let (pid, tid, time) = (fields.u32()?, fields.tid()?, 0);
    let mut who = Who { id, pid, tid, time, cpu: 0 };
    who.time = fields.u64()?;
    let holds = layout(id)?;
    let has = |bit| holds & bit != 0;
    let mut sample = Sample::default();
    if has(sample::ADDR) {
        sample.address = Some(fields.u64()?);
    }
    (who.cpu, _) = (fields.u32()?, fields.u32()?);
    if has(sample::RAW) {
        let len = fields.u32()?;
        sample.raw = Some(fields.bytes(len as usize)?.to_vec());
    }
    if has(sample::REGS_USER) {
        let abi = fields.u64()?;
        // A kernel task has none.
        if abi != 0 {
            let mut values = [0; SAMPLED_COUNT];
            for value in &mut values {
                *value = fields.u64()?;
            }
            sample.registers = Some(Sampled { abi, values });
        }
    }
    if has(sample::STACK_USER) {
        let room = fields.u64()?;
        let bytes = fields.bytes(usize::try_from(room).ok()?)?;
        let used = if room == 0 { 0 } else { fields.u64()? };
        sample.stack = Some(bytes.get(..usize::try_from(used).ok()?)?.to_vec());
    }
    Some((who, Said::Sample(sample)))
}

fn lost(body: &[u8]) -> Option<(Who, Said)> {
    let (mut fields, mut who) = split(body)?;
    who.id = fields.u64()?;
    Some((who, Said::Lost(fields.u64()?)))
}

fn comm(misc: u16, body: &[u8]) -> Option<(Who, Said)> {
    let (mut fields, who) = split(body)?;
    let (pid, tid) = (fields.u32()?, fields.tid()?);
    let exec = misc & BIT_13 != 0;
    Some((who, Said::Comm { pid, tid, exec, name: fields.name() }))
}

fn task(fork: bool, body: &[u8]) -> Option<(Who, Said)> {
    let (mut fields, who) = split(body)?;
    let (pid, parent_pid) = (fields.u32()?, fields.u32()?);
    let (tid, parent_tid) = (fields.tid()?, fields.tid()?);
    Some((
        who,
        if fork {
            Said::Fork { pid, tid, parent_pid, parent_tid }
        } else {
            Said::Exit { pid, tid }
        },
    ))
}

fn mmap2(misc: u16, body: &[u8]) -> Option<(Who, Said)> {
    let (mut fields, who) = split(body)?;
    let (pid, tid) = (fields.u32()?, fields.tid()?);
    let (address, len, offset) = (fields.u64()?, fields.u64()?, fields.u64()?);
    let mut file = Fields(fields.bytes(24)?);
    let file = if misc & MMAP2_BUILD_ID == 0 {
        let (major, minor) = (file.u32()?, file.u32()?);
        MmapFile::Inode { major, minor, inode: file.u64()?, generation: file.u64()? }
    } else {
        let len = file.bytes(4)?[0];
        MmapFile::BuildId(file.bytes(usize::from(len.min(20)))?.to_vec())
    };
    let (prot, flags) = (fields.u32()?, fields.u32()?);
    let (data, name) = (misc & BIT_13 != 0, fields.name());
    let mmap = Mmap { pid, tid, address, len, offset, file, prot, flags, data, name };
    Some((who, Said::Mmap(mmap)))
}

/// The fields of a non-sample record, and the identification at its end.
fn split(body: &[u8]) -> Option<(Fields<'_>, Who)> {
    let (fields, trailer) = body.split_at(body.len().checked_sub(TRAILER)?);
    let mut trailer = Fields(trailer);
    let (pid, tid, time) = (trailer.u32()?, trailer.tid()?, trailer.u64()?);
    let (cpu, _) = (trailer.u32()?, trailer.u32()?);
    Some((Fields(fields), Who { id: trailer.u64()?, pid, tid, time, cpu }))
}

/// Bytes from which fields are read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    fn tid(&mut self) -> Option<Tid> {
        self.u32().map(Tid::new)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_ne_bytes)
    }

    /// Kind, misc and length, which includes these 8 bytes.
    fn header(&mut self) -> Option<(u32, u16, u16)> {
        let [a, b, c, d, e, f, g, h] = self.array()?;
        let [misc, len] = [[e, f], [g, h]].map(u16::from_ne_bytes);
        Some((u32::from_ne_bytes([a, b, c, d]), misc, len))
    }

    /// The remaining bytes, up to the first NUL.
    fn name(&mut self) -> Vec<u8> {
        self.0.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::perf_event::sample;

    /// A record of 64-bit words behind its header.
    fn bytes(kind: u32, misc: u16, words: &[u64]) -> Vec<u8> {
        let len = u16::try_from(8 + 8 * words.len()).unwrap();
        let mut bytes = kind.to_ne_bytes().to_vec();
        bytes.extend(misc.to_ne_bytes());
        bytes.extend(len.to_ne_bytes());
        bytes.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        bytes
    }

    fn pair(low: u64, high: u64) -> u64 {
        low | high << 32
    }

    #[test]
    fn a_sample_with_all_there_may_be() {
        let layout =
            SAMPLE_TYPE | sample::ADDR | sample::RAW | sample::REGS_USER | sample::STACK_USER;
        let mut words = vec![7, pair(10, 11), 1234, 0xadd0, 1];
        words.extend([pair(12, 0x1111_1111), 0x2222_2222_2222_2222]);
        words.extend([2].into_iter().chain(1..=SAMPLED_COUNT as u64));
        words.extend([16, 0x3333_3333_3333_3333, 0, 8]);
        let whole = bytes(9, 2, &words);
        let Parsed::Record(record) = parse(&whole, |_| Some(layout)) else { panic!() };
        assert_eq!(record.who, Who { id: 7, pid: 10, tid: Tid::new(11), time: 1234, cpu: 1 });
        let Said::Sample(sample) = record.said else { panic!() };
        assert_eq!(sample.address, Some(0xadd0));
        assert_eq!(sample.raw.map(|raw| raw.len()), Some(12));
        let registers = sample.registers.unwrap();
        assert_eq!((registers.result(), registers.for_unwinding().ip), (1, 7));
        assert_eq!(sample.stack, Some(vec![0x33; 8]));
        // Truncated anywhere, it is not a record and must not panic.
        for len in 0..whole.len() {
            let parsed = parse(&whole[..len], |_| Some(layout));
            assert_eq!(parsed, Parsed::Broken, "{len}");
        }
        assert_eq!(parse(&whole, |_| None), Parsed::Other);
        assert_eq!(split_record(&whole), Some((&whole[..], &[][..])));
        assert_eq!(split_record(&whole[..whole.len() - 1]), None);
    }

    #[test]
    fn a_mapping_by_inode_and_by_build_id() {
        let mut words = vec![pair(10, 11), 0x1000, 0x2000, 0x3000, pair(8, 1), 99, 5];
        words.extend([pair(5, 2), u64::from_ne_bytes(*b"/bin/x\0\0")]);
        words.extend([pair(10, 11), 1234, 0, 7]);
        let Parsed::Record(record) = parse(&bytes(10, 1 << 13, &words), |_| None) else { panic!() };
        assert_eq!(record.who.time, 1234);
        let Said::Mmap(mmap) = record.said else { panic!() };
        let file = MmapFile::Inode { major: 8, minor: 1, inode: 99, generation: 5 };
        assert_eq!((&mmap.file, mmap.prot, mmap.flags, mmap.data), (&file, 5, 2, true));
        assert_eq!((mmap.address, mmap.len, mmap.offset), (0x1000, 0x2000, 0x3000));
        assert_eq!(mmap.name, b"/bin/x");
        words[4] = pair(20, 0x0403_0201);
        let Parsed::Record(record) = parse(&bytes(10, 1 << 14, &words), |_| None) else { panic!() };
        let Said::Mmap(mmap) = record.said else { panic!() };
        let MmapFile::BuildId(id) = mmap.file else { panic!() };
        assert_eq!((id.len(), &id[..5]), (20, &[1, 2, 3, 4, 99][..]));
    }
}
