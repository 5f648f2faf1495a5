//! x86-64 and i386, decoded by iced-x86.

use super::{Instruction, InstructionKind, MemoryOperand, RegisterValue};
use iced_x86::{
    Decoder, DecoderOptions, EncodingKind, FlowControl, Formatter as _, InstructionInfoFactory,
    IntelFormatter, Mnemonic, OpAccess, OpKind, Register, UsedMemory,
};

type Registers<'a> = &'a dyn Fn(&str) -> Option<u64>;

pub(super) fn decode(
    bits: u32,
    bytes: &[u8],
    address: u64,
    register: Registers<'_>,
) -> Option<Instruction> {
    let mut decoder = Decoder::with_ip(bits, bytes, address, DecoderOptions::NONE);
    let decoded = decoder.decode();
    if decoded.is_invalid() {
        return None;
    }
    let mut infos = InstructionInfoFactory::new();
    let info = infos.info(&decoded);
    // `xchg` with memory locks without its prefix (Intel SDM, volume 2, XCHG).
    let locks = decoded.has_lock_prefix() || decoded.mnemonic() == Mnemonic::Xchg;
    let operands = info.used_memory().iter();
    let operands = operands.filter_map(|memory| operand(bits, memory, locks, register));
    Some(Instruction {
        text: text(&decoded),
        length: decoded.len() as u64,
        kind: kind(&decoded),
        operands: operands.collect(),
        alignment: alignment(&decoded),
        target: is_indirect(&decoded)
            .then(|| (decoded.op0_kind() == OpKind::Register).then(|| decoded.op0_register()))
            .flatten()
            .map(|target| value(bits, target, register)),
        divisor: (is_division(&decoded) && decoded.op0_kind() == OpKind::Register)
            .then(|| value(bits, decoded.op0_register(), register)),
    })
}

fn text(decoded: &iced_x86::Instruction) -> String {
    let mut formatter = IntelFormatter::new();
    let options = formatter.options_mut();
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    options.set_space_after_operand_separator(true);
    options.set_branch_leading_zeros(false);
    options.set_rip_relative_addresses(false);
    let mut text = String::new();
    formatter.format(decoded, &mut text);
    text
}

fn is_indirect(decoded: &iced_x86::Instruction) -> bool {
    matches!(decoded.flow_control(), FlowControl::IndirectBranch | FlowControl::IndirectCall)
}

fn is_division(decoded: &iced_x86::Instruction) -> bool {
    matches!(decoded.mnemonic(), Mnemonic::Div | Mnemonic::Idiv)
}

fn kind(decoded: &iced_x86::Instruction) -> InstructionKind {
    match decoded.mnemonic() {
        Mnemonic::Div | Mnemonic::Idiv | Mnemonic::Aam => return InstructionKind::Divide,
        Mnemonic::Int3 | Mnemonic::Int1 => return InstructionKind::Breakpoint,
        Mnemonic::Ud0 | Mnemonic::Ud1 | Mnemonic::Ud2 => return InstructionKind::Undefined,
        Mnemonic::Syscall | Mnemonic::Sysenter => return InstructionKind::SystemCall,
        // Programs have no I/O privileges.
        Mnemonic::In | Mnemonic::Out | Mnemonic::Cli | Mnemonic::Sti => {
            return InstructionKind::Privileged;
        }
        _ if decoded.is_privileged() => return InstructionKind::Privileged,
        _ => {}
    }
    match decoded.flow_control() {
        FlowControl::Call | FlowControl::IndirectCall => InstructionKind::Call,
        FlowControl::Return => InstructionKind::Return,
        FlowControl::UnconditionalBranch
        | FlowControl::IndirectBranch
        | FlowControl::ConditionalBranch => InstructionKind::Jump,
        _ => InstructionKind::Other,
    }
}

/// The required alignment of the operand in bytes: 16 for SSE except the unaligned moves, and for
/// AVX only the aligned moves (Intel SDM, volume 1, 14.9 and 11.8).
fn alignment(decoded: &iced_x86::Instruction) -> Option<u64> {
    use Mnemonic as M;
    let has_memory = (0..decoded.op_count()).any(|at| decoded.op_kind(at) == OpKind::Memory);
    let size = decoded.memory_size().size() as u64;
    let aligned = match decoded.mnemonic() {
        M::Vmovaps
        | M::Vmovapd
        | M::Vmovdqa
        | M::Vmovdqa32
        | M::Vmovdqa64
        | M::Vmovntps
        | M::Vmovntpd
        | M::Vmovntdq
        | M::Vmovntdqa
        | M::Cmpxchg16b => true,
        M::Fxsave | M::Fxsave64 | M::Fxrstor | M::Fxrstor64 => return has_memory.then_some(16),
        M::Xsave | M::Xsave64 | M::Xsavec | M::Xsavec64 | M::Xsaveopt | M::Xrstor | M::Xrstor64 => {
            return has_memory.then_some(64);
        }
        M::Movups
        | M::Movupd
        | M::Movdqu
        | M::Lddqu
        | M::Pcmpestri
        | M::Pcmpestrm
        | M::Pcmpistri
        | M::Pcmpistrm => false,
        _ => {
            let vector = (0..decoded.op_count()).any(|at| {
                decoded.op_kind(at) == OpKind::Register && decoded.op_register(at).is_xmm()
            });
            decoded.encoding() == EncodingKind::Legacy && vector && size == 16
        }
    };
    (has_memory && aligned && size >= 16).then_some(size)
}

fn operand(
    bits: u32,
    memory: &UsedMemory,
    locks: bool,
    register: Registers<'_>,
) -> Option<MemoryOperand> {
    use OpAccess as A;
    let (read, write) = match memory.access() {
        A::None | A::NoMemAccess => return None,
        A::Read | A::CondRead => (true, false),
        A::Write | A::CondWrite => (false, true),
        A::ReadWrite | A::ReadCondWrite => (true, true),
    };
    let address = memory.virtual_address(0, |which, element, _| {
        // The element addresses of gathers and scatters cannot be determined.
        (element == 0 && !which.is_vector_register()).then(|| lookup(bits, which, register))?
    });
    let named = |which: Register| (which != Register::None).then(|| value(bits, which, register));
    let whole = |which: Register| which.full_register();
    Some(MemoryOperand {
        address,
        size: memory.memory_size().size() as u64,
        read,
        write,
        atomic: locks && read && write,
        base: named(memory.base()),
        index: named(memory.index()),
        scale: u64::from(memory.scale()),
        displacement: memory.displacement() as i64,
        stack: whole(memory.base()) == Register::RSP,
        segment: matches!(memory.segment(), Register::FS | Register::GS),
    })
}

fn value(bits: u32, which: Register, register: Registers<'_>) -> RegisterValue {
    RegisterValue { name: name(which), value: lookup(bits, which, register) }
}

fn name(which: Register) -> String {
    format!("{which:?}").to_lowercase()
}

/// The value of a register; for a segment register its base.
fn lookup(bits: u32, which: Register, register: Registers<'_>) -> Option<u64> {
    if which.is_segment_register() {
        return match which {
            Register::FS => register("fs_base"),
            Register::GS => register("gs_base"),
            // Other segments have base 0: always in 64-bit mode, and in 32-bit programs on Linux.
            _ => Some(0),
        };
    }
    let whole = if bits == 64 { which.full_register() } else { which.full_register32() };
    let value = register(&name(whole))?;
    Some(match which.size() {
        1 if matches!(which, Register::AH | Register::BH | Register::CH | Register::DH) => {
            value >> 8 & 0xff
        }
        1 => value & 0xff,
        2 => value & 0xffff,
        4 => value & 0xffff_ffff,
        _ => value,
    })
}
