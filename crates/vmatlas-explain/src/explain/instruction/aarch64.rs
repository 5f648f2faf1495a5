//! AArch64, decoded by yaxpeax-arm.

use super::{Instruction, InstructionKind, MemoryOperand, RegisterValue};
use yaxpeax_arch::{Decoder as _, U8Reader};
use yaxpeax_arm::armv8::a64::{
    InstDecoder, Instruction as Decoded, Operand, SIMDSizeCode, ShiftStyle, SizeCode,
};

type Registers<'a> = &'a dyn Fn(&str) -> Option<u64>;

pub(super) fn decode(bytes: &[u8], address: u64, register: Registers<'_>) -> Option<Instruction> {
    let word: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
    let decoded = InstDecoder::default().decode(&mut U8Reader::new(&word)).ok()?;
    let text = decoded.to_string();
    let mnemonic = text.split_whitespace().next().unwrap_or_default();
    let kind = match mnemonic {
        "bl" | "blr" | "blraa" | "blrab" | "blraaz" | "blrabz" => InstructionKind::Call,
        "ret" | "retaa" | "retab" => InstructionKind::Return,
        "b" | "br" | "braa" | "brab" | "braaz" | "brabz" | "cbz" | "cbnz" | "tbz" | "tbnz" => {
            InstructionKind::Jump
        }
        "brk" => InstructionKind::Breakpoint,
        "udf" => InstructionKind::Undefined,
        "svc" => InstructionKind::SystemCall,
        "hvc" | "smc" | "eret" => InstructionKind::Privileged,
        _ if mnemonic.starts_with("b.") => InstructionKind::Jump,
        _ => InstructionKind::Other,
    };
    let branches =
        matches!(kind, InstructionKind::Call | InstructionKind::Jump | InstructionKind::Return);
    let target = match decoded.operands[0] {
        Operand::Register(SizeCode::X, number) if branches && number < 31 => {
            // cbz and tbz test their register.
            let tests = mnemonic.starts_with("cb") || mnemonic.starts_with("tb");
            (!tests).then(|| value(number, register))
        }
        _ if kind == InstructionKind::Return => Some(value(30, register)),
        _ => None,
    };
    let operand = access(mnemonic).and_then(|access| operand(&decoded, address, access, register));
    // Exclusive and acquire/release instructions fault on unaligned addresses, as do atomics on
    // processors without FEAT_LSE2.
    let strict = operand.as_ref().filter(|operand| operand.atomic && operand.size > 1);
    Some(Instruction {
        alignment: strict.map(|operand| operand.size),
        text,
        length: 4,
        kind,
        operands: operand.into_iter().collect(),
        target,
        divisor: None, // a division by zero gives zero
    })
}

/// The memory access of a mnemonic.
#[derive(Clone, Copy)]
struct Access {
    read: bool,
    write: bool,
    atomic: bool,
}

/// Uses the naming in Arm's manual (DDI 0487): loads begin with `ld`, stores with `st`; the atomic
/// `ldOP` and `stOP` (FEAT_LSE) do both.
fn access(mnemonic: &str) -> Option<Access> {
    let operations = ["add", "clr", "eor", "set", "smax", "smin", "umax", "umin"];
    let rest = mnemonic.get(2..).unwrap_or_default();
    let changes = operations.iter().any(|operation| rest.starts_with(operation));
    let loads = mnemonic.starts_with("ld");
    let stores = mnemonic.starts_with("st");
    if mnemonic.starts_with("swp") || mnemonic.starts_with("cas") || ((loads || stores) && changes)
    {
        return Some(Access { read: true, write: true, atomic: true });
    }
    let exclusive = rest.starts_with('x')
        || rest.starts_with("ax")
        || rest.starts_with("lx")
        || rest.starts_with("ar")
        || rest.starts_with("lr");
    (loads || stores).then_some(Access { read: loads, write: stores, atomic: exclusive })
}

fn operand(
    decoded: &Decoded,
    address: u64,
    access: Access,
    register: Registers<'_>,
) -> Option<MemoryOperand> {
    let place = decoded.operands.iter().find_map(|operand| match *operand {
        Operand::RegPreIndex(base, offset, _) => Some((base, None, i64::from(offset))),
        Operand::RegPostIndex(base, _) | Operand::RegPostIndexReg(base, _) => Some((base, None, 0)),
        Operand::RegRegOffset(base, index, size, style, amount) => {
            Some((base, Some((index, size, style, amount)), 0))
        }
        _ => None,
    });
    let mut memory = MemoryOperand {
        size: size(decoded),
        read: access.read,
        write: access.write,
        atomic: access.atomic,
        ..MemoryOperand::default()
    };
    let Some((base, index, displacement)) = place else {
        // Literals are relative to the instruction.
        let offset = decoded.operands.iter().find_map(|operand| match *operand {
            Operand::PCOffset(offset) => Some(offset),
            _ => None,
        })?;
        memory.address = Some(address.wrapping_add(offset as u64));
        return Some(memory);
    };
    let base_value = base_register(base, register);
    memory.stack = base == 31;
    memory.displacement = displacement;
    memory.address = base_value.value.map(|base| base.wrapping_add(displacement as u64));
    memory.base = Some(base_value);
    memory.scale = 1;
    if let Some((number, size, style, amount)) = index {
        let held = value(number, register);
        memory.scale = 1_u64.checked_shl(u32::from(amount)).unwrap_or(1);
        let extended = held.value.map(|value| match (size, style) {
            (_, ShiftStyle::SXTW) => value as i32 as u64,
            (SizeCode::W, _) | (_, ShiftStyle::UXTW) => value & 0xffff_ffff,
            _ => value,
        });
        memory.address = memory
            .address
            .zip(extended)
            .map(|(base, index)| base.wrapping_add(index.wrapping_mul(memory.scale)));
        memory.index = Some(held);
    }
    Some(memory)
}

/// Size of the access in bytes, from the mnemonic's last letter or the registers.
fn size(decoded: &Decoded) -> u64 {
    let text = decoded.opcode.to_string();
    let of_register = decoded.operands.iter().find_map(|operand| match *operand {
        Operand::Register(SizeCode::X, _) | Operand::RegisterPair(SizeCode::X, _) => Some(8),
        Operand::Register(SizeCode::W, _) | Operand::RegisterPair(SizeCode::W, _) => Some(4),
        Operand::SIMDRegister(size, _) => Some(match size {
            SIMDSizeCode::B => 1,
            SIMDSizeCode::H => 2,
            SIMDSizeCode::S => 4,
            SIMDSizeCode::D => 8,
            SIMDSizeCode::Q => 16,
        }),
        _ => None,
    });
    // The first register of a store exclusive is its 32-bit status.
    let exclusive = text.starts_with("stx") || text.starts_with("stlx");
    let moved = if exclusive {
        match decoded.operands[1] {
            Operand::Register(SizeCode::X, _) => Some(8),
            Operand::Register(SizeCode::W, _) => Some(4),
            _ => None,
        }
    } else {
        of_register
    };
    let one = match () {
        () if text.ends_with("sw") => Some(4),
        () if text.ends_with('b') && !text.starts_with("ldrab") => Some(1),
        () if text.ends_with('h') => Some(2),
        () => moved,
    };
    let pair = text.starts_with("ldp")
        || text.starts_with("stp")
        || text.starts_with("ldnp")
        || text.starts_with("stnp")
        || text.ends_with("xp")
        || text.starts_with("casp");
    one.unwrap_or(0) * if pair { 2 } else { 1 }
}

/// In addresses, register 31 is the stack pointer.
fn base_register(number: u16, register: Registers<'_>) -> RegisterValue {
    if number != 31 {
        return value(number, register);
    }
    RegisterValue { name: "sp".to_owned(), value: register("sp") }
}

/// In operands, register 31 is zero.
fn value(number: u16, register: Registers<'_>) -> RegisterValue {
    if number == 31 {
        return RegisterValue { name: "xzr".to_owned(), value: Some(0) };
    }
    let name = format!("x{number}");
    let value = register(&name);
    RegisterValue { name, value }
}
