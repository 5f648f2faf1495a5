//! Explanations of synthetic crashes, and decoding of instructions.

use vmatlas_explain::crash::{Access, Crash, CrashSource, Machine, SymbolFrame};
use vmatlas_explain::explain::instruction::{Instruction, InstructionKind, decode};
use vmatlas_explain::explain::signal_words::code_name;
use vmatlas_explain::explain::{Cause, Evidence, Explanation, Fault, around, explain};
use vmatlas_explain::label::{Confidence, Facts, Labels};
use vmatlas_maps::{AddressRange, Maps};

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
        let address = Some(0x7f00_0000_2000);
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
