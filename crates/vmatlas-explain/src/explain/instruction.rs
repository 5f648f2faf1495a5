//! Decodes an instruction: its memory operands and the registers of their addresses.
//!
//! iced-x86 decodes x86, yaxpeax-arm decodes AArch64. Other machines are not supported, and none
//! without the feature `decoders`.

#[cfg(feature = "decoders")]
mod aarch64;
#[cfg(feature = "decoders")]
mod x86;

use crate::crash::Machine;

/// The longest instruction of the supported machines, in bytes (x86).
pub const MAX_INSTRUCTION_BYTES: usize = 15;

/// The properties of an instruction that matter for a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Instruction {
    /// The assembler text, in Intel syntax for x86.
    pub text: String,
    /// Its length in bytes.
    pub length: u64,
    /// The kind of instruction.
    pub kind: InstructionKind,
    /// The memory that it reads or writes, including the stack.
    pub operands: Vec<MemoryOperand>,
    /// The required alignment in bytes, if the processor requires one regardless of system
    /// settings.
    pub alignment: Option<u64>,
    /// The register with the target of a branch, with its value.
    pub target: Option<RegisterValue>,
    /// The register with the divisor of a division.
    pub divisor: Option<RegisterValue>,
}

/// The kinds of instructions that matter for a crash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstructionKind {
    /// Any other instruction.
    #[default]
    Other,
    /// A call.
    Call,
    /// A jump that is not a call.
    Jump,
    /// A return.
    Return,
    /// An integer division.
    Divide,
    /// A breakpoint.
    Breakpoint,
    /// A defined undefined instruction (`ud2`, `udf`), which compilers emit at unreachable points.
    Undefined,
    /// An instruction that only the kernel may execute.
    Privileged,
    /// A system call.
    SystemCall,
}

/// A register and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegisterValue {
    /// The name in the manual, in lower case.
    pub name: String,
    /// The value; `None` if the source does not contain it.
    pub value: Option<u64>,
}

/// Memory that an instruction reads or writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryOperand {
    /// The address; `None` if a register is unknown.
    pub address: Option<u64>,
    /// Size in bytes; 0 if unknown.
    pub size: u64,
    /// Whether it is read.
    pub read: bool,
    /// Whether it is written.
    pub write: bool,
    /// Whether the access is atomic.
    pub atomic: bool,
    /// The base register.
    pub base: Option<RegisterValue>,
    /// The index register.
    pub index: Option<RegisterValue>,
    /// The factor of the index.
    pub scale: u64,
    /// The added constant, in bytes.
    pub displacement: i64,
    /// Whether the base is the stack pointer.
    pub stack: bool,
    /// Whether a segment base is added, as for thread-local variables on x86.
    pub segment: bool,
}

impl MemoryOperand {
    /// Whether the operand contains `address`; if the size is unknown, whether it starts there.
    pub fn covers(&self, address: u64) -> bool {
        let from = self.address.map(|start| address.wrapping_sub(start));
        from.is_some_and(|from| from < self.size.max(1))
    }
}

/// Decodes the instruction at the start of `bytes`, which are at `address`. `register` returns the
/// value of a register by its lower-case name, including `fs_base` and `gs_base`. `None` if the
/// machine is not supported, the instruction is truncated or invalid, or the crate was built
/// without the feature `decoders`.
#[cfg_attr(not(feature = "decoders"), expect(unused_variables))]
pub fn decode(
    machine: Machine,
    bytes: &[u8],
    address: u64,
    register: &dyn Fn(&str) -> Option<u64>,
) -> Option<Instruction> {
    match machine {
        #[cfg(feature = "decoders")]
        Machine::X86_64 => x86::decode(64, bytes, address, register),
        #[cfg(feature = "decoders")]
        Machine::X86 => x86::decode(32, bytes, address, register),
        #[cfg(feature = "decoders")]
        Machine::AArch64 => aarch64::decode(bytes, address, register),
        _ => None,
    }
}
