//! Fuzzes explanations: the bytes choose the crash, registers, code, mappings and memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmatlas_explain::crash::{Access, Crash, CrashSource, Machine, SymbolFrame};
use vmatlas_explain::explain::{Cause, Evidence, Fault, around, explain};
use vmatlas_explain::label::{Confidence, Facts, Labels};
use vmatlas_maps::{AddressRange, Device, Mapping, Maps, Perms};
use vmatlas_object::Memory;

/// Takes values from the bytes; zeros at their end.
struct Take<'a>(&'a [u8]);

impl Take<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn bytes(&mut self, most: u8) -> Vec<u8> {
        (0..self.byte() % most).map(|_| self.byte()).collect()
    }

    /// A number near a boundary value.
    fn number(&mut self) -> u64 {
        const KNOWN: [u64; 12] = [
            0,
            0x1_0000,
            0x7fff_0000_0000,
            0x7fff_ffff_f000,
            0x8000_0000_0000,
            0xffff_8000_0000_0000,
            u64::MAX,
            0xdead_beef,
            0x5a5a_5a5a_5a5a_5a5a,
            0x6f6c_6c65_6800_0000,
            0x5555_5555_4000,
            0x4093_4a00_0000_0000,
        ];
        match self.byte() {
            kind @ 0..96 => {
                let known = KNOWN[usize::from(kind) % KNOWN.len()];
                known.wrapping_add(u64::from(self.byte()).wrapping_sub(64).wrapping_mul(16))
            }
            96..192 => u64::from(self.byte()) << (self.byte() % 64),
            _ => u64::from_le_bytes(std::array::from_fn(|_| self.byte())),
        }
    }

    fn maybe<T>(&mut self, take: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.byte() & 3 != 0).then(|| take(self))
    }
}

/// Memory that repeats some bytes and ends somewhere.
struct Pattern(Vec<u8>, u64);

impl Memory for Pattern {
    fn read(&self, address: u64, bytes: &mut [u8]) -> usize {
        if self.0.is_empty() || address > self.1 {
            return 0;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = self.0[(address as usize).wrapping_add(at) % self.0.len()];
        }
        bytes.len()
    }
}

fn maps(take: &mut Take<'_>) -> Maps {
    let names: [&[u8]; 6] =
        [b"", b"/usr/bin/a", b"[stack]", b"[heap]", b"[vsyscall]", b"/b (deleted)"];
    let perms = [*b"rw-p", *b"r--p", *b"---p", *b"r-xp", *b"rw-?", *b"--xp"];
    (0..take.byte() % 12)
        .map(|_| {
            let start = take.number() & !0xfff;
            Mapping {
                range: AddressRange::new(start, start.saturating_add(u64::from(take.byte()) << 12)),
                perms: Perms(perms[usize::from(take.byte()) % perms.len()]),
                offset: take.number(),
                device: Device::default(),
                inode: u64::from(take.byte() & 1),
                name: names[usize::from(take.byte()) % names.len()],
            }
        })
        .collect()
}

fn crash(take: &mut Take<'_>) -> Crash {
    let sources = [
        CrashSource::Core,
        CrashSource::KernelLog,
        CrashSource::Address,
        CrashSource::Recording,
        CrashSource::Sanitizer,
        CrashSource::Runtime,
    ];
    let machines = [Machine::X86_64, Machine::X86, Machine::AArch64, Machine::S390x, Machine::Arm];
    let registers = [
        "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r15", "eax", "ebp", "x0", "x1",
        "x8", "x30", "orig_rax", "fs_base",
    ];
    let signals = [11, 7, 8, 4, 5, 6, 31, 9];
    let codes = [1, 2, 0x80, 3, 4, 0, -6, 9, 10];
    let message = [
        "general protection fault",
        "divide error, error 0x0",
        "alignment check",
        "AddressSanitizer: heap-use-after-free",
        "panic: ",
    ];
    let mut crash = Crash::default();
    crash.source = sources[usize::from(take.byte()) % sources.len()];
    crash.pid = take.maybe(|take| u32::from(take.byte()));
    crash.tid = take.maybe(|take| u32::from(take.byte()));
    crash.comm = take.maybe(|take| take.bytes(16));
    crash.signal = take.maybe(|take| signals[usize::from(take.byte()) % signals.len()]);
    crash.code = take.maybe(|take| codes[usize::from(take.byte()) % codes.len()]);
    crash.address = take.maybe(Take::number);
    crash.access = take
        .maybe(|take| [Access::Read, Access::Write, Access::Execute][usize::from(take.byte() % 3)]);
    crash.present = take.maybe(|take| take.byte() & 1 == 0);
    crash.protection_key = take.maybe(|take| take.byte() == 0);
    crash.machine = take.maybe(|take| machines[usize::from(take.byte()) % machines.len()]);
    crash.ip = take.maybe(Take::number);
    crash.sp = take.maybe(Take::number);
    crash.registers = registers.iter().map(|name| ((*name).to_owned(), take.number())).collect();
    crash.code_bytes = take.maybe(|take| (take.number(), take.bytes(32)));
    crash.frames = (0..take.byte() % 80)
        .map(|_| SymbolFrame {
            pc: take.maybe(|take| u64::from(take.byte() % 4)),
            function: take
                .maybe(|take| ["f", "__assert_fail", "abort"][usize::from(take.byte() % 3)])
                .unwrap_or_default()
                .to_owned(),
            ..SymbolFrame::default()
        })
        .collect();
    crash.message = take.maybe(|take| message[usize::from(take.byte()) % message.len()].to_owned());
    crash
}

fuzz_target!(|bytes: &[u8]| vmatlas_fuzz::bounded(|| check(bytes)));

fn check(bytes: &[u8]) {
    let mut take = Take(bytes);
    let mut crash = crash(&mut take);
    // The instruction matters most: the next bytes are decoded at the instruction pointer.
    if let (Some(ip), Some((start, _))) = (crash.ip, &mut crash.code_bytes) {
        *start = ip.wrapping_sub(u64::from(take.byte() % 4));
    }
    crash.maps = maps(&mut take);
    let memory = Pattern(take.bytes(64), take.number());
    let mut facts = Facts::default();
    facts.page_size = 1 << (take.byte() % 64);
    let labels = Labels::read(&crash.maps, &facts, None);
    let fault = Fault::of(&crash, Some(&memory));
    let mut evidence = Evidence::new(&crash, &facts, &labels);
    evidence.place.file_size = take.maybe(Take::number);
    evidence.place.section = take.maybe(|_| ".rodata".to_owned());
    evidence.memory = Some(&memory);
    evidence.fault = fault;
    let explanation = explain(&evidence);
    assert!(!explanation.conclusion.is_empty() && !explanation.because.is_empty());
    assert!(explanation.paragraph.contains(&explanation.conclusion));
    if explanation.cause == Cause::Unknown {
        assert_eq!(explanation.confidence, Confidence::Guess);
    }
    if let Some(address) = evidence.fault.address {
        let lines = around(&crash.maps, address, 2);
        assert!(lines.len() <= 11, "{lines:?}");
        assert!(lines.iter().filter(|line| line.here).count() <= 1 || !crash.maps.is_ordered());
        assert!(
            lines
                .iter()
                .all(|line| !line.here || line.range.contains(address) || address == u64::MAX)
        );
    }
}
