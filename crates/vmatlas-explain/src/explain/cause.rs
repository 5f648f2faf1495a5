//! The causes of crashes.

use std::fmt;

/// The cause of a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// A null pointer, or an address so near to 0 that it is a field of a null pointer.
    NullPointer,
    /// A write to read-only memory.
    WriteToReadOnly,
    /// A write to data that the loader made read-only after relocation.
    WriteToRelro,
    /// A read of memory without read permission.
    ReadForbidden,
    /// Execution of memory without execute permission.
    ExecuteNonExecutable,
    /// An access to reserved addresses (`PROT_NONE`).
    NoAccess,
    /// An access to a guard page.
    GuardPage,
    /// A stack overflow.
    StackOverflow,
    /// An access beyond the end or before the start of a mapping.
    PastMapping,
    /// An access to a mapping beyond the end of its file.
    PastFile,
    /// An access to unmapped memory that was mapped before.
    UseAfterUnmap,
    /// An access that was permitted until the permissions changed.
    ProtectionChanged,
    /// A non-canonical address, which neither a program nor the kernel can have.
    NonCanonical,
    /// A pointer with the fill pattern of freed or new memory.
    PoisonValue,
    /// An address that is not aligned as the instruction requires.
    Misaligned,
    /// An access that a protection key forbids (pkeys(7)).
    ProtectionKey,
    /// A memory tag mismatch (Arm's MTE).
    MemoryTag,
    /// A return address that differs from the shadow stack.
    ShadowStack,
    /// Data used as a pointer: text, a number, or a part of an address.
    DataAsPointer,
    /// An address of the kernel.
    KernelAddress,
    /// An unmapped address without a known reason.
    Unmapped,
    /// Memory that the hardware cannot read, or an address without memory.
    MemoryFailure,
    /// The program ended itself.
    Abort,
    /// A library found overwritten memory.
    CorruptMemory,
    /// A use of freed memory.
    UseAfterFree,
    /// An access beyond the bounds of an object.
    OutOfBounds,
    /// Unordered accesses of two threads to the same memory.
    DataRace,
    /// A read of memory that was never written.
    Uninitialized,
    /// Memory that was never freed.
    MemoryLeak,
    /// Memory is exhausted.
    OutOfMemory,
    /// Behaviour that the language does not define.
    UndefinedBehaviour,
    /// An integer division by zero, or a quotient that overflows.
    DivideByZero,
    /// Another arithmetic fault.
    Arithmetic,
    /// An undefined or privileged instruction.
    IllegalInstruction,
    /// A breakpoint or another trap.
    Trap,
    /// A forbidden system call.
    ForbiddenSystemCall,
    /// A signal that a process sent.
    SentSignal,
    /// The input does not show the cause.
    Unknown,
}

impl Cause {
    /// The name of the variant for scripts.
    pub fn word(self) -> &'static str {
        match self {
            Cause::NullPointer => "null-pointer",
            Cause::WriteToReadOnly => "write-to-read-only",
            Cause::WriteToRelro => "write-to-relro",
            Cause::ReadForbidden => "read-forbidden",
            Cause::ExecuteNonExecutable => "execute-non-executable",
            Cause::NoAccess => "no-access",
            Cause::GuardPage => "guard-page",
            Cause::StackOverflow => "stack-overflow",
            Cause::PastMapping => "past-mapping",
            Cause::PastFile => "past-file",
            Cause::UseAfterUnmap => "use-after-unmap",
            Cause::ProtectionChanged => "protection-changed",
            Cause::NonCanonical => "non-canonical",
            Cause::PoisonValue => "poison-value",
            Cause::Misaligned => "misaligned",
            Cause::ProtectionKey => "protection-key",
            Cause::MemoryTag => "memory-tag",
            Cause::ShadowStack => "shadow-stack",
            Cause::DataAsPointer => "data-as-pointer",
            Cause::KernelAddress => "kernel-address",
            Cause::Unmapped => "unmapped",
            Cause::MemoryFailure => "memory-failure",
            Cause::Abort => "abort",
            Cause::CorruptMemory => "corrupt-memory",
            Cause::UseAfterFree => "use-after-free",
            Cause::OutOfBounds => "out-of-bounds",
            Cause::DataRace => "data-race",
            Cause::Uninitialized => "uninitialized",
            Cause::MemoryLeak => "memory-leak",
            Cause::OutOfMemory => "out-of-memory",
            Cause::UndefinedBehaviour => "undefined-behaviour",
            Cause::DivideByZero => "divide-by-zero",
            Cause::Arithmetic => "arithmetic",
            Cause::IllegalInstruction => "illegal-instruction",
            Cause::Trap => "trap",
            Cause::ForbiddenSystemCall => "forbidden-system-call",
            Cause::SentSignal => "sent-signal",
            Cause::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
