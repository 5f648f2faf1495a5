//! What an instruction does with memory, and by which registers it found the address.
//!
//! iced-x86 decodes x86, yaxpeax-arm AArch64. Instructions of other machines are not decoded, and
//! none at all without the feature `decoders`.

#[cfg(feature = "decoders")]
mod aarch64;
#[cfg(feature = "decoders")]
mod x86;

use crate::crash::Machine;

/// The longest instruction of any machine that is decoded, in bytes (x86).
pub const MAX_INSTRUCTION_BYTES: usize = 15;

/// An instruction as far as a crash is about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Instruction {
    /// It as an assembler writes it, in Intel's syntax for x86.
    pub text: String,
    /// Its length in bytes.
    pub length: u64,
    /// What sort it is.
    pub kind: InstructionKind,
    /// The memory that it reads or writes, the stack included.
    pub operands: Vec<MemoryOperand>,
    /// What an address must be a multiple of, where the processor asks for that whatever the
    /// system is set to, in bytes.
    pub alignment: Option<u64>,
    /// The register that holds where a branch leads, with its value.
    pub target: Option<RegisterValue>,
    /// The divisor of a division that is in a register.
    pub divisor: Option<RegisterValue>,
}

/// The sorts of instructions that a crash tells apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstructionKind {
    /// Any other.
    #[default]
    Other,
    /// A call.
    Call,
    /// A jump that is not a call.
    Jump,
    /// A return.
    Return,
    /// A division of integers.
    Divide,
    /// A breakpoint.
    Breakpoint,
    /// One that is defined to be undefined (`ud2`, `udf`), as compilers put where control must
    /// not come.
    Undefined,
    /// One that only the kernel may execute.
    Privileged,
    /// A system call.
    SystemCall,
}

/// A register and what it held.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegisterValue {
    /// Its name as the manual has it, in lower case.
    pub name: String,
    /// Its value, none where the source does not tell it.
    pub value: Option<u64>,
}

/// Memory that an instruction reads or writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryOperand {
    /// The address, where the registers that make it up are known.
    pub address: Option<u64>,
    /// How many bytes; 0 where that is not known.
    pub size: u64,
    /// Whether it is read.
    pub read: bool,
    /// Whether it is written.
    pub write: bool,
    /// Whether that is one step for all other processors.
    pub atomic: bool,
    /// The register that the address is counted from.
    pub base: Option<RegisterValue>,
    /// The register that an index is in.
    pub index: Option<RegisterValue>,
    /// What the index is multiplied with.
    pub scale: u64,
    /// What is added.
    pub displacement: i64,
    /// Whether it is counted from the stack pointer.
    pub stack: bool,
    /// Whether the base of a segment is added, as for thread-local variables on x86.
    pub segment: bool,
}

impl MemoryOperand {
    /// Whether an address is one of its bytes; of an operand of unknown size the first one.
    pub fn covers(&self, address: u64) -> bool {
        let from = self.address.map(|start| address.wrapping_sub(start));
        from.is_some_and(|from| from < self.size.max(1))
    }
}

/// Decodes the instruction at the beginning of `bytes`, which are at `address`. `register` gives
/// the values of registers by their names in lower case, and of `fs_base` and `gs_base`. None
/// where the machine is not known, the bytes are no whole instruction, or the crate was built
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
