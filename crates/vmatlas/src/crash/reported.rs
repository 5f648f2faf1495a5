//! What the source of a crash has found out itself: a sanitizer, the C library or a runtime sees
//! more than the address of an access tells.

use crate::crash::{Crash, CrashSource};

/// What a source says is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reported {
    /// Memory was used after it was freed, or after its function had returned.
    UseAfterFree,
    /// Memory was freed twice.
    DoubleFree,
    /// An address was freed that is none of a block.
    BadFree,
    /// An access went beyond a block, a variable or an array.
    OutOfBounds,
    /// The heap was found overwritten.
    HeapCorrupted,
    /// The stack was found overwritten.
    StackSmashed,
    /// A stack has no more room.
    StackOverflow,
    /// The tag of a pointer is not that of the memory.
    MemoryTag,
    /// Two threads accessed the same memory, one of them to write, and nothing orders them.
    DataRace,
    /// Memory was used that had never been written.
    Uninitialised,
    /// Memory was not freed.
    Leak,
    /// An operation that the language does not define.
    UndefinedBehaviour,
    /// An assertion failed.
    Assertion,
    /// The program panicked.
    Panic,
    /// All threads wait for one another.
    Deadlock,
    /// There was no more memory.
    OutOfMemory,
}

/// What messages say, the one that says most first.
const WORDS: [(Reported, &[&str]); 14] = [
    (Reported::MemoryTag, &["[MTE]: ", "tag check fault", "tag-mismatch"]),
    (
        Reported::UseAfterFree,
        &["heap-use-after-free", "stack-use-after-", "use-after-poison", "Use After Free"],
    ),
    (Reported::DoubleFree, &["double-free", "double free"]),
    (
        Reported::BadFree,
        &[
            "attempting free on address",
            "alloc-dealloc-mismatch",
            "free(): invalid pointer",
            "bad-free",
        ],
    ),
    (
        Reported::OutOfBounds,
        &[
            "-buffer-overflow",
            "-buffer-underflow",
            "container-overflow",
            "out of bounds",
            "out of range",
            "buffer overflow detected",
        ],
    ),
    (Reported::StackSmashed, &["stack smashing detected"]),
    (
        Reported::StackOverflow,
        &["stack-overflow", "overflowed its stack", "goroutine stack exceeds", "stack overflow"],
    ),
    (
        Reported::HeapCorrupted,
        &[
            "malloc(): ",
            "free(): ",
            "realloc(): ",
            "corrupt",
            "munmap_chunk(): ",
            "malloc_consolidate(): ",
        ],
    ),
    (Reported::DataRace, &["data race", "concurrent map "]),
    (Reported::Uninitialised, &["use-of-uninitialized-value"]),
    (Reported::Leak, &["detected memory leaks", "thread leak"]),
    (Reported::Deadlock, &["all goroutines are asleep", "lock-order-inversion"]),
    (
        Reported::OutOfMemory,
        &["ut of memory", "Killed process ", "heap limit", "Out of Memory", "insufficient memory"],
    ),
    (Reported::Assertion, &["Assertion `", "assert(", "CHECK failed"]),
];

impl Crash {
    /// What the source says is wrong, if it has found that out.
    ///
    /// ```
    /// use vmatlas::crash::{Reported, read_log};
    /// let crashes = read_log(b"free(): double free detected in tcache 2\n");
    /// assert_eq!(crashes[0].reported(), Some(Reported::DoubleFree));
    /// ```
    pub fn reported(&self) -> Option<Reported> {
        use CrashSource::{Apport, Go, HsErr, KernelLog, Runtime, Sanitizer, Tombstone};
        let told = [Apport, Go, HsErr, KernelLog, Runtime, Sanitizer, Tombstone];
        if !told.contains(&self.source) {
            return None;
        }
        let message = self.message.as_deref()?;
        let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
        let found = WORDS.into_iter().find(|(_, words)| says(words)).map(|(what, _)| what);
        let other = || match self.source {
            Sanitizer if message.starts_with("runtime error: ") => {
                Some(Reported::UndefinedBehaviour)
            }
            // Of a bad access there is more to tell.
            Go | Runtime if self.signal.is_none() && message.contains("panic") => {
                Some(Reported::Panic)
            }
            _ => None,
        };
        found.or_else(other)
    }
}

impl Reported {
    /// The word for it, for scripts.
    pub fn word(self) -> &'static str {
        match self {
            Reported::UseAfterFree => "use-after-free",
            Reported::DoubleFree => "double-free",
            Reported::BadFree => "bad-free",
            Reported::OutOfBounds => "out-of-bounds",
            Reported::HeapCorrupted => "heap-corrupted",
            Reported::StackSmashed => "stack-smashed",
            Reported::StackOverflow => "stack-overflow",
            Reported::MemoryTag => "memory-tag",
            Reported::DataRace => "data-race",
            Reported::Uninitialised => "uninitialised",
            Reported::Leak => "leak",
            Reported::UndefinedBehaviour => "undefined-behaviour",
            Reported::Assertion => "assertion",
            Reported::Panic => "panic",
            Reported::Deadlock => "deadlock",
            Reported::OutOfMemory => "out-of-memory",
        }
    }

    /// It in a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Reported::UseAfterFree => {
                "Memory was used after it was freed, or after its function had returned."
            }
            Reported::DoubleFree => "Memory was freed twice.",
            Reported::BadFree => {
                "An address was freed that is not the start of a block of this allocator."
            }
            Reported::OutOfBounds => {
                "An access went beyond what it was meant for: a block, a variable or an array."
            }
            Reported::HeapCorrupted => {
                "The C library found the heap overwritten: by an access beyond a block or after it was freed."
            }
            Reported::StackSmashed => {
                "A buffer on the stack was overrun: what guards the return address was overwritten."
            }
            Reported::StackOverflow => "The stack has no more room.",
            Reported::MemoryTag => {
                "The tag in the pointer is not that of the memory: it was freed, or the pointer has left its block."
            }
            Reported::DataRace => {
                "Two threads accessed the same memory, at least one of them to write, and nothing orders them."
            }
            Reported::Uninitialised => "Memory was used that had never been written.",
            Reported::Leak => "Memory was not freed; nothing crashed.",
            Reported::UndefinedBehaviour => "The language does not define what was done.",
            Reported::Assertion => "An assertion of the program failed.",
            Reported::Panic => "The program panicked.",
            Reported::Deadlock => "All threads wait for one another.",
            Reported::OutOfMemory => "There was no more memory.",
        }
    }
}
