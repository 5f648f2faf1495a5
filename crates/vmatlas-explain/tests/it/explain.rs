//! Explanations of synthetic crashes, and decoding of instructions.

use vmatlas_explain::crash::{Access, Crash, CrashSource, Machine, SymbolFrame};
use vmatlas_explain::explain::instruction::{Instruction, InstructionKind, decode};
use vmatlas_explain::explain::signal_words::code_name;
use vmatlas_explain::explain::{
    Cause, ChangeKind, Evidence, Explanation, Fault, LastChange, PlaceFacts, around, explain,
};
use vmatlas_explain::label::{Confidence, Facts, Labels};
use vmatlas_maps::{AddressRange, Maps};
use vmatlas_object::Memory;

const MAPS: &[u8] = b"\
00400000-00401000 r-xp 00001000 fe:00 42                         /usr/bin/cat
7f0000001000-7f0000002000 ---p 00000000 00:00 0 
7f0000002000-7f0000802000 rw-p 00000000 00:00 0 
7ffc00000000-7ffc00800000 rw-p 00000000 00:00 0                  [stack]
";

fn explained(crash: &Crash) -> Explanation {
    let (facts, labels) = (Facts::default(), Labels::default());
    let fault = Fault::of(crash, None);
    explain(&with!(Evidence::new(crash, &facts, &labels), fault = fault))
}

/// Explains a crash at an address with this `si_code`. The paragraph must have some words and must
/// not have others.
#[track_caller]
fn check(crash: &Crash, code: i32, address: u64, cause: Cause, words: &[&str], not: &[&str]) {
    let (code, address) = (Some(code), Some(address));
    check_words(
        &explained(&with!(crash.clone(), code = code, address = address)),
        cause,
        words,
        not,
    );
}

#[track_caller]
fn check_words(found: &Explanation, cause: Cause, words: &[&str], not: &[&str]) {
    assert_eq!(found.cause, cause, "{found:?}");
    for word in words {
        assert!(found.paragraph.contains(word), "{word:?} is not in {}", found.paragraph);
    }
    for word in not {
        assert!(!found.paragraph.contains(word), "{word:?} is in {}", found.paragraph);
    }
}

/// Memory at some addresses.
struct Pieces(Vec<(u64, Vec<u8>)>);

impl Memory for Pieces {
    fn read(&self, address: u64, bytes: &mut [u8]) -> usize {
        let found = self.0.iter().find_map(|(start, piece)| {
            piece.get(usize::try_from(address.checked_sub(*start)?).ok()?..)
        });
        let count = found.unwrap_or_default().len().min(bytes.len());
        bytes[..count].copy_from_slice(&found.unwrap_or_default()[..count]);
        count
    }
}

/// A crashed x86-64 thread at an instruction, with these registers.
fn at(code: &[u8], registers: &[(&str, u64)]) -> Crash {
    with!(
        Crash::default(),
        source = CrashSource::Core,
        signal = Some(11),
        machine = Some(Machine::X86_64),
        ip = Some(0x40_0000),
        sp = Some(0x7ffc_007f_0000),
        registers = registers.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
        code_bytes = Some((0x40_0000, code.to_vec())),
        maps = Maps::parse(MAPS).unwrap()
    )
}

fn aarch64(word: u32, registers: &[(&str, u64)]) -> Instruction {
    let register =
        |name: &str| registers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    decode(Machine::AArch64, &word.to_le_bytes(), 0x1000, &register).unwrap()
}

#[test]
fn what_instructions_of_aarch64_do() {
    let registers = [("x1", 0x5000), ("x2", 0xffff_ffff_ffff_fff0), ("sp", 0x9000), ("x3", 0x7000)];
    // (word, text, address, size, read, write, atomic)
    let memory = [
        (0xf940_0820, "ldr x0, [x1, #0x10]", 0x5010, 8, true, false, false),
        (0xb900_0062, "str w2, [x3]", 0x7000, 4, false, true, false),
        (0xa9bf_7bfd, "stp x29, x30, [sp, #-0x10]!", 0x8ff0, 16, false, true, false),
        (0xa8c1_0c20, "ldp x0, x3, [x1], #0x10", 0x5000, 16, true, false, false),
        (0xc85f_7c20, "ldxr x0, [x1]", 0x5000, 8, true, false, true),
        (0xc802_fc20, "stlxr w2, x0, [x1]", 0x5000, 8, false, true, true),
        (0xf821_0062, "ldadd x1, x2, [x3]", 0x7000, 8, true, true, true),
        (0xf862_7820, "ldr x0, [x1, x2, lsl #3]", 0x4f80, 8, true, false, false),
        (0xb862_d820, "ldr w0, [x1, w2, sxtw #2]", 0x4fc0, 4, true, false, false),
        (0x3940_0020, "ldrb w0, [x1]", 0x5000, 1, true, false, false),
        (0x3dc0_0020, "ldr q0, [x1]", 0x5000, 16, true, false, false),
        (0x5800_0040, "ldr x0, $+0x8", 0x1008, 8, true, false, false),
        (0xb8a1_8062, "swpa w1, w2, [x3]", 0x7000, 4, true, true, true),
        (0xc8e1_fc62, "casal x1, x2, [x3]", 0x7000, 8, true, true, true),
    ];
    for (word, text, address, size, read, write, atomic) in memory {
        let found = aarch64(word, &registers);
        assert_eq!(found.text, text);
        let [operand] = &found.operands[..] else { panic!("{found:?}") };
        let is = (operand.address, operand.size, operand.read, operand.write, operand.atomic);
        assert_eq!(is, (Some(address), size, read, write, atomic), "{text}");
    }
    let kinds = [
        (0xd63f_0020, InstructionKind::Call),
        (0xd65f_03c0, InstructionKind::Return),
        (0xd420_0020, InstructionKind::Breakpoint),
        (0x0000_0000, InstructionKind::Undefined),
        (0xd400_0001, InstructionKind::SystemCall),
        (0x9ac2_0820, InstructionKind::Other),
    ];
    for (word, kind) in kinds {
        assert_eq!(aarch64(word, &registers).kind, kind, "{word:x}");
    }
    assert_eq!(aarch64(0xd63f_0020, &registers).target.unwrap().value, Some(0x5000));
    assert!(aarch64(0x9ac2_0820, &registers).operands.is_empty(), "a division");
}

#[test]
fn what_instructions_of_x86_do() {
    let register = |name: &str| match name {
        "rax" => Some(0x5000),
        "rcx" => Some(3),
        "rsp" => Some(0x9000),
        "fs_base" => Some(0x7000),
        "eax" => Some(0x6000),
        _ => None,
    };
    let decoded = |machine, code: &[u8]| decode(machine, code, 0x1000, &register).unwrap();
    let of = |code: &[u8]| {
        let found = decoded(Machine::X86_64, code);
        let operands = found.operands.iter();
        let operands = operands.map(|o| (o.address, o.size, o.read, o.write, o.atomic));
        (found.text, operands.collect::<Vec<_>>())
    };
    let one = |text: &str, address, size, read, write, atomic| {
        (text.to_owned(), vec![(Some(address), size, read, write, atomic)])
    };
    assert_eq!(
        of(b"\x48\x8b\x44\xc8\x08"),
        one("mov rax, [rax+rcx*8+8]", 0x5020, 8, true, false, false)
    );
    assert_eq!(of(b"\xf0\x48\x01\x08"), one("lock add [rax], rcx", 0x5000, 8, true, true, true));
    assert_eq!(of(b"\x87\x08"), one("xchg [rax], ecx", 0x5000, 4, true, true, true));
    assert_eq!(of(b"\x50"), one("push rax", 0x8ff8, 8, false, true, false));
    assert_eq!(
        of(b"\x64\x8b\x04\x25\x10\x00\x00\x00"),
        one("mov eax, fs:[0x10]", 0x7010, 4, true, false, false)
    );
    assert_eq!(
        of(b"\x8b\x05\x10\x00\x00\x00"),
        one("mov eax, [0x1016]", 0x1016, 4, true, false, false)
    );
    assert_eq!(of(b"\xff\x10").1.len(), 2, "a call reads its target and writes the stack");
    assert_eq!(decoded(Machine::X86, b"\x8b\x40\x04").operands[0].address, Some(0x6004));
    assert_eq!(decoded(Machine::X86_64, b"\x0f\x28\x00").alignment, Some(16));
    assert_eq!(decoded(Machine::X86_64, b"\x0f\x10\x00").alignment, None);
    assert_eq!(decoded(Machine::X86_64, b"\xf4").kind, InstructionKind::Privileged);
    // `div ch` and `div cl`.
    let divisor = |code| decode(Machine::X86_64, code, 0x1000, &|_| Some(0x1205)).unwrap().divisor;
    assert_eq!(divisor(b"\xf6\xf5").unwrap().value, Some(0x12));
    assert_eq!(divisor(b"\xf6\xf1").unwrap().value, Some(0x05));
    // A truncated and an empty instruction.
    assert_eq!(decode(Machine::X86_64, b"\x48", 0, &register), None);
    assert_eq!(decode(Machine::AArch64, b"\x48\0\0", 0, &register), None);
    assert_eq!(decode(Machine::S390x, &[0; 8], 0, &register), None);
}

#[test]
fn a_null_pointer_on_aarch64() {
    let crash = with!(
        at(b"", &[("x1", 0)]),
        machine = Some(Machine::AArch64),
        address = Some(0x10),
        code = Some(1),
        code_bytes = Some((0x40_0000, 0xf940_0820_u32.to_le_bytes().to_vec()))
    );
    let explanation = explained(&crash);
    assert_eq!(explanation.cause, Cause::NullPointer);
    assert_eq!(explanation.confidence, Confidence::Certain);
    assert!(explanation.because.contains("x1"), "{explanation:?}");
    assert!(explanation.paragraph.contains("read 8 bytes at 0x10"), "{explanation:?}");
}

#[test]
fn what_the_code_of_the_signal_says_alone() {
    let cause = |signal, code| {
        let signal = Some(signal);
        let address = Some(0x7f00_0000_2001);
        explained(&with!(
            at(b"\x8b\x00", &[]),
            signal = signal,
            code = Some(code),
            address = address
        ))
        .cause
    };
    assert_eq!(cause(11, 4), Cause::ProtectionKey);
    assert_eq!(cause(11, 8), Cause::MemoryTag);
    assert_eq!(cause(11, 10), Cause::ShadowStack);
    assert_eq!(cause(7, 1), Cause::Misaligned);
    assert_eq!(cause(7, 4), Cause::MemoryFailure);
    assert_eq!(cause(31, 1), Cause::ForbiddenSystemCall);
    assert_eq!(cause(11, 0), Cause::SentSignal);
    assert_eq!(cause(6, -6), Cause::Abort);
}

#[test]
fn what_a_general_protection_fault_is_about() {
    let cause = |code: &[u8], registers: &[(&str, u64)]| {
        explained(&with!(at(code, registers), code = Some(0x80))).cause
    };
    let load = b"\x48\x8b\x40\x08"; // mov rax, [rax+8]
    assert_eq!(cause(load, &[("rax", 0x1357_a468_b953_0246)]), Cause::NonCanonical);
    assert_eq!(cause(load, &[("rax", 0x5a5a_5a5a_5a5a_5a5a)]), Cause::PoisonValue);
    assert_eq!(cause(load, &[("rax", u64::from_le_bytes(*b"some tex"))]), Cause::DataAsPointer);
    // A field before the object.
    assert_eq!(cause(b"\x48\x8b\x40\xf8", &[("rax", 0xdead_beef_dead_beef)]), Cause::PoisonValue);
    assert_eq!(cause(b"\xf4", &[]), Cause::IllegalInstruction);
    // Processors that do the jump, and refuse the first instruction behind it.
    for (ip, cause) in [
        (0x1357_a468_b953_0246, Cause::NonCanonical),
        (0x5a5a_5a5a_5a5a_5a5a, Cause::PoisonValue),
        (u64::from_le_bytes(*b"some tex"), Cause::DataAsPointer),
    ] {
        let explanation = explained(&with!(at(b"", &[]), code = Some(0x80), ip = Some(ip)));
        assert_eq!(explanation.cause, cause, "{ip:#x}");
        assert!(explanation.paragraph.contains(&format!("execute code at {ip:#x}")), "{ip:#x}");
    }
}

/// Privileged instructions and unaligned operands log the same line.
#[test]
fn a_protection_fault_without_code_may_have_several_causes() {
    let crash = with!(
        Crash::default(),
        source = CrashSource::KernelLog,
        signal = Some(11),
        message = Some("general protection fault".to_owned())
    );
    let explanation = explained(&crash);
    assert_eq!(explanation.cause, Cause::NonCanonical);
    assert_eq!(explanation.confidence, Confidence::Guess);
}

#[test]
fn guards_are_distinguished_from_stacks() {
    let store = b"\xc6\x00\x01"; // mov byte ptr [rax], 1
    let at_guard = |sp| {
        with!(
            at(store, &[("rax", 0x7f00_0000_1ff0), ("rsp", sp)]),
            code = Some(2),
            address = Some(0x7f00_0000_1ff0),
            sp = Some(sp)
        )
    };
    let overflow = explained(&at_guard(0x7f00_0000_1ff0));
    assert_eq!((overflow.cause, overflow.confidence), (Cause::StackOverflow, Confidence::Certain));
    // A frame larger than the guard skips it.
    let beyond = |sp| {
        with!(
            at(store, &[("rax", 0x7f00_0000_0090), ("rsp", sp)]),
            code = Some(1),
            address = Some(0x7f00_0000_0090),
            sp = Some(sp)
        )
    };
    let overflow = explained(&beyond(0x7f00_0000_0090));
    assert_eq!((overflow.cause, overflow.confidence), (Cause::StackOverflow, Confidence::Likely));
    assert_eq!(explained(&beyond(0x7ffc_007f_0000)).cause, Cause::PastMapping);
    // The thread's stack is elsewhere: the access overran other memory.
    assert_eq!(explained(&at_guard(0x7ffc_007f_0000)).cause, Cause::GuardPage);
}

/// A buffer that is overrun upwards reaches the guard of the stack above.
#[test]
fn an_overrun_of_the_stack_is_no_overflow_of_the_next_one() {
    let maps = b"00400000-00401000 r-xp 00001000 fe:00 42                         /usr/bin/cat
7f0000001000-7f0000801000 rw-p 00000000 00:00 0 
7f0000801000-7f0000802000 ---p 00000000 00:00 0 
7f0000802000-7f0001002000 rw-p 00000000 00:00 0 
";
    let store = b"\xc6\x00\x01"; // mov byte ptr [rax], 1
    let crash = |sp: u64| {
        let crash = at(store, &[("rax", 0x7f00_0080_1000), ("rsp", sp)]);
        with!(crash, sp = Some(sp), maps = Maps::parse(maps).unwrap())
    };
    let not = ["no more room"];
    for sp in [0x7f00_0080_0f00, 0x7f00_0078_0000] {
        check(&crash(sp), 2, 0x7f00_0080_1000, Cause::GuardPage, &["beyond the memory"], &not);
    }
    // The stack pointer of an overflow is in the guard or just above.
    for sp in [0x7f00_0080_1010, 0x7f00_0080_2010] {
        check(&crash(sp), 2, 0x7f00_0080_1000, Cause::StackOverflow, &["guard was reached"], &[]);
    }
    // A lightweight guard has no row between the stacks.
    let one = b"00400000-00401000 r-xp 00001000 fe:00 42                         /usr/bin/cat
7f0000001000-7f0001002000 rw-p 00000000 00:00 0 
";
    let crash = |sp| with!(crash(sp), maps = Maps::parse(one).unwrap());
    check(&crash(0x7f00_0080_0f00), 1, 0x7f00_0080_1000, Cause::GuardPage, &["GUARD"], &not);
    check(&crash(0x7f00_0080_2010), 1, 0x7f00_0080_1ff8, Cause::StackOverflow, &["room"], &[]);
    // Without a map, only the page of the stack pointer is known to be missing.
    let log = |sp| with!(crash(sp), maps = Maps::default(), source = CrashSource::KernelLog);
    let overflow = |sp, address: u64, words: &[&str]| {
        check(&log(sp), 1, address, Cause::StackOverflow, words, &[]);
    };
    overflow(0x7f00_0080_0f00, 0x7f00_0080_1000, &["or an access went beyond the upper end"]);
    overflow(0x7f00_0080_1f00, 0x7f00_0080_1f08, &["no more room."]);
    overflow(0x7f00_0080_2000, 0x7f00_0080_1ff8, &["no more room."]);
    // No frame is so large.
    let sp = 0x7f90_0000_0010;
    let lost = with!(at(store, &[("rax", sp - 8), ("rsp", sp)]), sp = Some(sp));
    check(&lost, 1, sp - 8, Cause::Unmapped, &[], &["alloca"]);
}

/// Only the stack shows whether a pointer was called, or a return address was overwritten.
#[test]
fn a_function_pointer_or_a_return_address_is_null() {
    let memory = |code: &[u8], word: u64| {
        let start = 0x40_0100 - code.len() as u64;
        Pieces(vec![(start, code.to_vec()), (0x7ffc_007f_0000, word.to_le_bytes().to_vec())])
    };
    let (facts, labels) = (Facts::default(), Labels::default());
    let explained = |ip: u64, memory: &Pieces| {
        let crash = with!(at(b"", &[]), code = Some(1), address = Some(ip), ip = Some(ip));
        let fault = Fault::of(&crash, Some(memory));
        let memory: Option<&dyn Memory> = Some(memory);
        explain(&with!(Evidence::new(&crash, &facts, &labels), fault = fault, memory = memory))
    };
    let null = Cause::NullPointer;
    let call = [&b"\xff\xd0"[..], b"\xff\x54\x24\x08", b"\xe8\x10\x00\x00\x00"]; // call
    for call in call {
        let found = explained(0, &memory(call, 0x40_0100));
        check_words(&found, null, &["function pointer that is null was called."], &["return"]);
        assert_eq!(found.confidence, Confidence::Certain);
        let found = explained(0x10, &memory(call, 0x40_0100));
        check_words(&found, null, &["called that is nearly null"], &["return", "table"]);
    }
    let words = ["function pointer that is null was called, or a function returned to 0"];
    // No code, no call, and no such memory.
    for (code, word) in [(call[0], 0x22), (&b"\x90\x90"[..], 0x40_0100), (call[0], 0x50_0100)] {
        let found = explained(0, &memory(code, word));
        check_words(&found, null, &words, &[]);
        assert_eq!(found.confidence, Confidence::Likely);
        let words = ["a function pointer or return address was overwritten"];
        check_words(&explained(0x10, &memory(code, word)), null, &words, &["table"]);
    }
    let aarch64 = |link| {
        let crash = with!(at(b"", &[("x30", link)]), machine = Some(Machine::AArch64));
        with!(crash, ip = Some(0))
    };
    check(&aarch64(0x40_0100), 1, 0, null, &["is null was called."], &["return"]);
    check(&aarch64(0), 1, 0, null, &words, &[]);
}

/// Of two registers that are added, either may hold the pointer.
#[test]
fn pointers_with_an_index() {
    let store = b"\xc6\x04\x10\x01"; // mov byte ptr [rax+rdx], 1
    let crash = |rax: u64, rdx: u64| at(store, &[("rax", rax), ("rdx", rdx)]);
    for (rax, rdx) in [(0, 0x10), (0x10, 0)] {
        check(&crash(rax, rdx), 1, 0x10, Cause::NullPointer, &["null or a small number"], &[]);
    }
    check(&crash(0, 0), 1, 0, Cause::NullPointer, &["The pointer is null."], &[]);
    let scaled = with!(
        crash(0, 2),
        code_bytes = Some((0x40_0000, b"\xc6\x04\xd0\x01".to_vec())) // [rax+rdx*8]
    );
    check(&scaled, 1, 0x10, Cause::NullPointer, &["The pointer is null: the access is 16"], &[]);
    // The index is -1.
    let wild = 0x1234_5678_9000;
    for (rax, rdx) in [(u64::MAX, wild), (wild, u64::MAX), (-14_i64 as u64, wild + 13)] {
        check(
            &crash(rax, rdx),
            1,
            wild - 1,
            Cause::Unmapped,
            &["an index"],
            &["MAP_FAILED", "-14"],
        );
    }
    let field = b"\x48\x8b\x40\xf8"; // mov rax, [rax-8]
    let words = ["The pointer is null: the access is 8 bytes before the object"];
    check(&at(field, &[("rax", 0)]), 1, -8_i64 as u64, Cause::NullPointer, &words, &["number"]);
    let bits32 = with!(at(b"\x8b\x40\xf8", &[("eax", 0)]), machine = Some(Machine::X86));
    check(&bits32, 1, 0xffff_fff8, Cause::NullPointer, &words, &["number"]);
    let negative = -14_i64 as u64;
    let words = ["a negative number, -14, such as an error code, or null less an offset"];
    check(&at(store, &[]), 1, negative, Cause::DataAsPointer, &words, &[]);
    let failed = at(b"\x8b\x00", &[("rax", u64::MAX)]);
    check(&failed, 1, u64::MAX, Cause::DataAsPointer, &["MAP_FAILED"], &[]);
}

#[test]
fn values_of_32_bits_are_computed_in_32_bits() {
    let load = b"\x8b\x40\x08"; // mov eax, [eax+8]
    let crash = with!(at(load, &[]), machine = Some(Machine::X86), maps = Maps::default());
    let found = explained(&with!(crash, code = Some(1), address = Some(4)));
    assert!(found.facts.contains(&("by", "eax = 0xfffffffc".to_owned())), "{found:?}");
    check_words(&found, Cause::DataAsPointer, &["a negative number, -4"], &[]);
}

#[test]
fn fill_patterns_lie_where_they_were_written() {
    let of = |value: u64, words: &[&str], not: &[&str]| {
        let crash = at(b"\x8b\x00", &[("rax", value)]);
        check(&crash, 1, value, Cause::PoisonValue, words, not);
    };
    let freed = "memory that was freed";
    for edge in [0xfdfd_fdfd_fdfd_fdfd, 0xabab_abab_abab_abab] {
        of(edge, &["from beside a block of memory"], &[freed, "not written yet"]);
    }
    of(0x0101_0101_0101_0101, &["the program filled with one byte, that was freed"], &[]);
    of(0xdead_0000_0000_0100, &["taken out of its list"], &[freed]);
    of(0xdead_beef_dead_beef, &[freed], &["filled", "beside", "text"]);
    of(0x5a5a_5a5a_5a5a_5a5a, &[freed, "or it is text, \"ZZZZZZZZ\""], &[]);
}

#[test]
fn the_page_for_old_c_libraries_is_no_overwritten_pointer() {
    let crash = |ip: u64| {
        let crash = with!(at(b"", &[]), ip = Some(ip), maps = Maps::default());
        with!(crash, source = CrashSource::KernelLog, present = Some(true))
    };
    let page = 0xffff_ffff_ff60_0000;
    for entry in [page, page + 0x400, page + 0x800] {
        let words = ["old C library", "vsyscall=none"];
        check(&crash(entry), 1, entry, Cause::KernelAddress, &words, &["overwritten"]);
    }
    for other in [page + 0x100, page - 0x1000, page + 0x1000] {
        check(&crash(other), 1, other, Cause::KernelAddress, &["overwritten"], &["C library"]);
    }
}

#[test]
fn an_index_may_give_an_impossible_address() {
    let index = "or an index was wrong";
    let registers = [("rax", 0x7f00_0000_2000), ("rbx", 0x1357_a468_b953_0246)];
    let crash = with!(at(b"\x8b\x04\x18", &registers), code = Some(0x80)); // [rax+rbx]
    check_words(&explained(&crash), Cause::NonCanonical, &["no address at all", index], &[]);
    let crash = with!(at(b"\x8b\x03", &registers), code = Some(0x80));
    let words = ["the pointer was overwritten or never set."];
    check_words(&explained(&crash), Cause::NonCanonical, &words, &[index]);
    let kernel = 0xffff_8880_0000_1000;
    let registers = [("rax", 0x7f00_0000_2000), ("rbx", kernel - 0x7f00_0000_2000)];
    check(&at(b"\x8b\x04\x18", &registers), 1, kernel, Cause::KernelAddress, &[index], &[]);
    check(&at(b"\x8b\x03", &[("rbx", kernel)]), 1, kernel, Cause::KernelAddress, &words, &[index]);
}

#[test]
fn addresses_of_57_bits_are_addresses() {
    let maps = b"ffc00000000000-ffc00000001000 r--p 00000000 00:00 0 \n";
    let crash = at(b"\x89\x00", &[("rax", 0xff_c000_0000_0010)]);
    let mapped = with!(crash.clone(), maps = Maps::parse(maps).unwrap());
    let not = ["no address"];
    check(&mapped, 2, 0xff_c000_0000_0010, Cause::WriteToReadOnly, &["may not be written"], &not);
    // The processor reports no address with others.
    check(&crash, 1, 0xff_c000_0000_0010, Cause::Unmapped, &[], &not);
}

#[test]
fn general_protection_faults_of_valid_addresses() {
    let refused =
        |code: &[u8]| explained(&with!(at(code, &[("rax", 0x7f00_0000_2000)]), code = Some(0x80)));
    let not = ["The registers would show it", "Most likely the address"];
    for code in [&b"\xcd\x2e"[..], b"\x0f\xae\x10"] {
        let words = ["no address that is not canonical"];
        check_words(&refused(code), Cause::IllegalInstruction, &words, &not);
    }
    // A register that is not known.
    let unknown = refused(b"\x8b\x03");
    check_words(&unknown, Cause::NonCanonical, &["registers would show it"], &[]);
}

/// x86 reports no address with an alignment check, and si_addr is 0.
#[test]
fn an_alignment_check_has_no_address() {
    let of = |registers: &[(&str, u64)]| {
        let crash = with!(at(b"\x89\x00", registers), signal = Some(7), code = Some(1));
        explained(&with!(crash, address = Some(0)))
    };
    let words = ["write 4 bytes at 0x7f0000002001", "0x7f0000002001 is not aligned"];
    check_words(&of(&[("rax", 0x7f00_0000_2001)]), Cause::Misaligned, &words, &[" 0x0 "]);
    check_words(&of(&[]), Cause::Misaligned, &["address is not aligned as"], &["0x0"]);
}

#[test]
fn an_access_that_crosses_a_page_began_before() {
    let store = b"\x48\xc7\x00\x01\x00\x00\x00"; // mov qword ptr [rax], 1
    let crash = at(store, &[("rax", 0x7f00_0080_1ffc)]);
    let words = ["write 8 bytes at 0x7f0000801ffc (the fault is at 0x7f0000802000)"];
    check(&crash, 1, 0x7f00_0080_2000, Cause::PastMapping, &words, &["unmapped"]);
}

#[test]
fn an_access_beside_a_mapping_may_be_of_unmapped_memory() {
    let crash = |source, rax: u64| with!(at(b"\x8b\x00", &[("rax", rax)]), source = source);
    let or = "or memory that was mapped there has been unmapped";
    for (address, words) in [
        (0x7f00_0080_2010, "beyond the end of"),
        (0x7f00_0080_9000, "beyond the end of"),
        (0x7fff_f000, "before the start of"),
    ] {
        let rows = b"80000000-80001000 rw-p 00000000 00:00 0 \n7f0000002000-7f0000802000 rw-p 00000000 00:00 0 \n";
        let crash = |source| with!(crash(source, address), maps = Maps::parse(rows).unwrap());
        check(&crash(CrashSource::Core), 1, address, Cause::PastMapping, &[words, or], &[]);
        // The recording would have an event.
        check(&crash(CrashSource::Recording), 1, address, Cause::PastMapping, &[words], &[or]);
    }
    // A register that points into the mapping shows that the access began there.
    let indexed = with!(
        at(b"\x8b\x04\x18", &[("rax", 0x7f00_0080_1000), ("rbx", 0x2000)]), // [rax+rbx]
        code = Some(1),
        address = Some(0x7f00_0080_3000)
    );
    let found = explained(&indexed);
    check_words(&found, Cause::PastMapping, &["beyond the end of"], &[or]);
    assert!(found.because.starts_with("the register rax is 0x7f0000801000"), "{found:?}");
    let found = explained(&with!(
        crash(CrashSource::Core, 0x7f00_0080_2000),
        code = Some(1),
        address = Some(0x7f00_0080_2000)
    ));
    assert_eq!(found.because, "the address is the end of 7f0000002000-7f0000802000");
    let wild = |source| crash(source, 0x1234_5678_9000);
    let words = ["an index or a size was wrong"];
    let record = ["vmatlas record"];
    check(&wild(CrashSource::Core), 1, 0x1234_5678_9000, Cause::Unmapped, &words, &[]);
    check(&wild(CrashSource::Recording), 1, 0x1234_5678_9000, Cause::Unmapped, &words, &record);
}

/// A row may have several labels.
#[test]
fn the_label_next_to_an_address_counts() {
    let guards = vec![AddressRange::new(0x7f00_0000_2000, 0x7f00_0000_3000)];
    let facts = with!(Facts::default(), guards = guards, page_size = 4096);
    let rows = b"7f0000002000-7f0000802000 rw-p 00000000 00:00 0 \n";
    let of = |address: u64| {
        let crash = at(b"\x89\x00", &[("rax", address)]);
        let crash = with!(crash, maps = Maps::parse(rows).unwrap(), code = Some(1));
        let crash = with!(crash, address = Some(address));
        let labels = Labels::read(&crash.maps, &facts, None);
        let fault = Fault::of(&crash, None);
        explain(&with!(Evidence::new(&crash, &facts, &labels), fault = fault))
    };
    let below = of(0x7f00_0000_1ff0);
    check_words(&below, Cause::PastMapping, &["before the start of the mapping", "guard"], &[]);
    check_words(&of(0x7f00_0080_2010), Cause::PastMapping, &["beyond the end of"], &["guard"]);
}

#[test]
fn recorded_memory_had_moved() {
    let crash = with!(at(b"", &[]), code = Some(1), address = Some(0x1234_5678_9000));
    let (facts, labels) = (Facts::default(), Labels::default());
    let moved = LastChange::new(
        ChangeKind::Moved(0x7f00_0000_2000),
        "mremap".to_owned(),
        "memory rw-p".to_owned(),
    );
    let evidence = with!(
        Evidence::new(&crash, &facts, &labels),
        fault = Fault::of(&crash, None),
        change = Some(moved)
    );
    let words =
        ["had moved: memory rw-p was there, until it was moved to 0x7f0000002000 by mremap"];
    check_words(&explain(&evidence), Cause::UseAfterUnmap, &words, &[]);
}

#[test]
fn lightweight_guards_are_flat_where_they_are_known() {
    let address = 0x7f00_0000_5008;
    let crash =
        with!(at(b"\x89\x00", &[("rax", address)]), code = Some(1), address = Some(address));
    let words = ["Most likely it is a lightweight guard", "another thread mapped the memory after"];
    check_words(&explained(&crash), Cause::GuardPage, &words, &[]);
    let guards = vec![AddressRange::new(0x7f00_0000_5000, 0x7f00_0000_6000)];
    let (facts, labels) = (with!(Facts::default(), guards = guards), Labels::default());
    let evidence = with!(Evidence::new(&crash, &facts, &labels), fault = Fault::of(&crash, None));
    check_words(&explain(&evidence), Cause::GuardPage, &["It is a lightweight"], &["Most likely"]);
}

#[test]
fn numbers_that_look_like_part_of_an_address() {
    let of = |rows: &str, value: u64| {
        let crash = with!(
            at(b"\x8b\x00", &[("rax", value)]),
            maps = Maps::parse(rows.as_bytes()).unwrap(),
            code = Some(1),
            address = Some(value)
        );
        explained(&crash)
    };
    let row = "7e0001000000-7e0002000000 rw-p 00000000 00:00 0 \n";
    let found = of(row, 0x1e5_f010);
    check_words(&found, Cause::DataAsPointer, &["lost its upper half: 0x7e0001e5f010"], &["seems"]);
    assert_eq!(found.confidence, Confidence::Likely);
    // A program that is not position-independent, and one with much memory.
    let low = format!("400000-401000 r-xp 00001000 fe:00 42 /a\n{row}");
    let much = format!("{row}7e1010000000-7e1040000000 rw-p 00000000 00:00 0 \n");
    for rows in [low, much] {
        let found = of(&rows, 0x1e5_f010);
        check_words(&found, Cause::DataAsPointer, &["lost its upper half, it seems"], &[]);
        assert_eq!(found.confidence, Confidence::Guess);
    }
    // Few characters may be chance, and addresses near a row are no text.
    let row = "7a30000000-7a30001000 rw-p 00000000 00:00 0 \n";
    check_words(&of(row, 0x7a_3442_5060), Cause::Unmapped, &[], &["text"]);
    let far = "7f30000000-7f30001000 rw-p 00000000 00:00 0 \n7f0030000000-7f0030001000 rw-p 00000000 00:00 0 \n";
    let text = of(far, u64::from_le_bytes(*b"small\0\0\0"));
    check_words(&text, Cause::DataAsPointer, &["is text, \"small\", it seems"], &[]);
    let text = of(far, u64::from_le_bytes(*b"smaller\0"));
    check_words(&text, Cause::DataAsPointer, &["is text, \"smaller\": a string"], &[]);
}

#[test]
fn code_may_have_constants_beside_it() {
    let crash = at(b"\x89\x00", &[("rax", 0x40_0c00)]);
    let constants = ["This is code, or constants that lie beside it"];
    check(&crash, 2, 0x40_0c00, Cause::WriteToReadOnly, &constants, &[]);
}

/// Memory of a file may end with the file.
#[test]
fn an_access_that_the_mapping_permits() {
    let maps = "7f0000001000-7f0000003000 rw-s 00000000 fe:00 42                         /data\n7f0000003000-7f0000005000 rw-p 00000000 00:00 0 \n";
    let of = |address| {
        let crash = with!(Crash::default(), address = Some(address));
        explained(&with!(crash, maps = Maps::parse(maps.as_bytes()).unwrap()))
    };
    let unless = "unless nothing of the file is behind it (SIGBUS)";
    check_words(&of(0x7f00_0000_2000), Cause::Unknown, &["does not fail", unless], &[]);
    check_words(&of(0x7f00_0000_3000), Cause::Unknown, &["does not fail."], &[unless]);
}

#[test]
fn the_size_of_a_file_of_that_name() {
    let of = |name: &str, size: u64| {
        let maps = format!("7f0000001000-7f0000003000 rw-s 00000000 fe:00 42 {name}\n");
        let crash = with!(
            at(b"", &[]),
            signal = Some(7),
            code = Some(2),
            address = Some(0x7f00_0000_2000),
            maps = Maps::parse(maps.as_bytes()).unwrap()
        );
        let (facts, labels) = (Facts::default(), Labels::default());
        let place = with!(PlaceFacts::default(), file_size = Some(size));
        let fault = Fault::of(&crash, None);
        explain(&with!(Evidence::new(&crash, &facts, &labels), fault = fault, place = place))
    };
    let found = of("/data", 0x1000);
    check_words(&found, Cause::PastFile, &["and /data has 0x1000 bytes (4 KiB) now"], &[]);
    // Another file may have the name.
    assert_eq!(found.confidence, Confidence::Likely);
    assert!(found.because.contains("the file that has this name now"), "{found:?}");
    check_words(&of("/data", 0x2000), Cause::MemoryFailure, &["shorter at that time"], &[]);
    check_words(&of("/data (deleted)", 0x1000), Cause::PastFile, &["or the file could"], &["now"]);
}

#[test]
fn a_cycle_of_calls_is_a_recursion() {
    let frame = |pc, name: &str| SymbolFrame {
        pc: Some(pc),
        function: name.to_owned(),
        ..SymbolFrame::default()
    };
    let mut frames = vec![frame(1, "leaf")];
    for _ in 0..20 {
        frames.extend([frame(2, "ping"), frame(3, "pong")]);
    }
    let crash = with!(
        at(b"\x50", &[("rsp", 0x7ffc_0000_0000)]),
        address = Some(0x7ffb_ffff_fff8),
        code = Some(1),
        sp = Some(0x7ffc_0000_0000),
        frames = frames
    );
    let explanation = explained(&crash);
    assert_eq!(explanation.cause, Cause::StackOverflow);
    assert!(explanation.paragraph.contains("ping and pong call each other"), "{explanation:?}");
    assert!(explanation.paragraph.contains("20 rounds"), "{explanation:?}");
}

#[test]
fn nothing_is_made_up_of_nothing() {
    let explanation = explained(&Crash::default());
    assert_eq!((explanation.cause, explanation.confidence), (Cause::Unknown, Confidence::Guess));
    let explanation = explained(&with!(Crash::default(), signal = Some(11)));
    assert_eq!(explanation.cause, Cause::Unknown);
}

#[test]
fn rows_and_gaps_around_an_address() {
    let maps = Maps::parse(MAPS).unwrap();
    let shown = |address| {
        let lines = around(&maps, address, 1);
        lines.iter().map(|line| (line.row, line.here)).collect::<Vec<_>>()
    };
    assert_eq!(shown(0x10), [(None, true), (Some(0), false)]);
    assert_eq!(shown(0x40_0000), [(Some(0), true), (None, false), (Some(1), false)]);
    assert_eq!(shown(0x50_0000), [(Some(0), false), (None, true), (Some(1), false)]);
    assert_eq!(
        shown(0x7f00_0000_1000),
        [(Some(0), false), (None, false), (Some(1), true), (Some(2), false)]
    );
    assert_eq!(shown(u64::MAX), [(Some(3), false), (None, true)]);
    assert!(around(&Maps::default(), 5, 1).is_empty());
    let gap = around(&maps, 0x50_0000, 1)[1].range;
    assert_eq!(gap, AddressRange::new(0x40_1000, 0x7f00_0000_1000));
}

#[test]
fn numbers_of_signals_in_words() {
    assert_eq!(code_name(11, 1).unwrap().0, "SEGV_MAPERR");
    assert_eq!(code_name(7, 2).unwrap().0, "BUS_ADRERR");
    assert_eq!(code_name(11, -6).unwrap().0, "SI_TKILL");
    assert_eq!(code_name(11, 77), None);
}

#[test]
fn a_fault_knows_what_was_tried() {
    let crash = with!(at(b"\x48\x8b\x40\x08", &[("rax", 0)]), address = Some(8), code = Some(1));
    let fault = Fault::of(&crash, None);
    assert_eq!((fault.address, fault.access, fault.derived), (Some(8), Some(Access::Read), false));
    assert_eq!(fault.pointer().unwrap().name, "rax");
    // Without registers, the address determines the register's value.
    let crash = with!(crash, registers = Vec::new());
    assert_eq!(Fault::of(&crash, None).pointer().unwrap().value, Some(0));
}

#[test]
fn what_a_recording_says_of_memory_that_was_there() {
    // Just behind the mapping of 8 MiB.
    const START: u64 = 0x7f00_0080_2000;
    let found = |kind, rax: u64, address: u64| {
        let registers = [("rax", rax), ("rcx", address.wrapping_sub(rax))];
        let crash = with!(
            at(b"\x8a\x04\x08", &registers), // mov al, [rax+rcx]
            source = CrashSource::Recording,
            code = Some(1),
            address = Some(address)
        );
        let (facts, labels) = (Facts::default(), Labels::default());
        let change = LastChange::new(kind, "munmap (event 7)".to_owned(), "memory rw-p".to_owned());
        let range = Some(AddressRange::new(START, START + 0x10_0000));
        explain(&with!(
            Evidence::new(&crash, &facts, &labels),
            fault = Fault::of(&crash, None),
            change = Some(with!(change, range = range))
        ))
    };
    for (kind, words) in [
        (ChangeKind::Unmapped, "used after it was unmapped: memory rw-p was there, until it was"),
        (ChangeKind::Replaced, "used after it was replaced: memory rw-p was there, until it was"),
        (ChangeKind::Moved(0x5000), "used after it had moved: memory rw-p was there, until it was"),
    ] {
        for (pointer, address) in [(START, START + 0x64), (START + 0x8000, START + 0x8000)] {
            let known = found(kind, pointer, address);
            assert_eq!(
                (known.cause, known.confidence),
                (Cause::UseAfterUnmap, Confidence::Certain)
            );
            assert!(known.conclusion.starts_with("It was "), "{known:?}");
            assert!(known.conclusion.contains(words), "{known:?}");
        }
        // Pointers to other memory, and ones that have passed its end.
        for (pointer, address) in
            [(START - 0x1000, START + 0x8000), (START, START), (START + 0x64, START + 0x64)]
        {
            let over = found(kind, pointer, address);
            assert_eq!((over.cause, over.confidence), (Cause::UseAfterUnmap, Confidence::Likely));
            assert!(over.conclusion.contains("went beyond other memory"), "{over:?}");
            assert!(over.conclusion.contains(words), "{over:?}");
        }
    }
    let perms = Maps::parse(MAPS).unwrap().get(2).unwrap().perms;
    let taken = found(ChangeKind::Protected(perms), START, START);
    assert!(taken.conclusion.contains("it was rw-p until they were changed"), "{taken:?}");
}
