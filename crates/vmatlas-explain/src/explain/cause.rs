//! Why programs crash: the causes that are told apart.

use std::fmt;

/// Why a program crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// A null pointer, or an address so near to 0 that a field of one was accessed.
    NullPointer,
    /// A write to memory that may not be written.
    WriteToReadOnly,
    /// A write to data that the loader made read-only after relocation.
    WriteToRelro,
    /// A read of memory that may not be read.
    ReadForbidden,
    /// The execution of memory that may not be executed.
    ExecuteNonExecutable,
    /// An access to addresses that are reserved (`PROT_NONE`).
    NoAccess,
    /// An access to a guard.
    GuardPage,
    /// A stack that has no more room.
    StackOverflow,
    /// An access beyond the end of a mapping, or before its start.
    PastMapping,
    /// An access to a mapping beyond the end of its file.
    PastFile,
    /// An access to what was unmapped.
    UseAfterUnmap,
    /// An access to what had its permissions taken.
    ProtectionChanged,
    /// An address that no program and no kernel can have.
    NonCanonical,
    /// A pointer that is the pattern that freed or new memory is filled with.
    PoisonValue,
    /// An address that is not a multiple of what the instruction asks for.
    Misaligned,
    /// A protection key that forbids it (pkeys(7)).
    ProtectionKey,
    /// A memory tag that does not match (Arm's MTE).
    MemoryTag,
    /// A return address that is not the one on the shadow stack.
    ShadowStack,
    /// A pointer that is no pointer but text, a number, or a part of an address.
    DataAsPointer,
    /// An address of the kernel.
    KernelAddress,
    /// An address where nothing is mapped, for no reason that shows.
    Unmapped,
    /// Memory that the hardware cannot read any more, or that there is none of.
    MemoryFailure,
    /// The program ended itself.
    Abort,
    /// The library found that memory was overwritten.
    CorruptMemory,
    /// Memory that was used after it was freed.
    UseAfterFree,
    /// An access beyond the bounds of an object.
    OutOfBounds,
    /// Two threads that access the same memory without an order.
    DataRace,
    /// Memory that was read before it was written.
    Uninitialized,
    /// Memory that nobody frees.
    MemoryLeak,
    /// There is no more memory.
    OutOfMemory,
    /// What the language does not define.
    UndefinedBehaviour,
    /// An integer was divided by zero, or the result has no room.
    DivideByZero,
    /// Another fault of arithmetic.
    Arithmetic,
    /// An instruction that there is not, or that programs may not execute.
    IllegalInstruction,
    /// A breakpoint or another trap.
    Trap,
    /// A system call that is forbidden.
    ForbiddenSystemCall,
    /// A signal that somebody sent.
    SentSignal,
    /// What is known does not tell.
    Unknown,
}

impl Cause {
    /// The word for it, for scripts.
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
