//! The events of a recorded program.

use super::rings::Which;
use vmatlas_object::unwind::Registers;
use vmatlas_recording::{CallKind, Tid};

pub(crate) use super::parse::Mmap;

/// An event at a time of `CLOCK_MONOTONIC`. Task ids are those in the recorder's pid namespace.
/// Events are in the order in which they changed an address space, from which their times can
/// deviate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PerfEvent {
    /// A system call that can change an address space has returned.
    Call(Call),
    /// A process or thread was made. `shares_memory` is `None` if unknown.
    Fork {
        time_ns: u64,
        pid: u32,
        tid: Tid,
        parent_pid: u32,
        parent_tid: Tid,
        shares_memory: Option<bool>,
    },
    /// A thread has ended; `last` means that its process has, too.
    Exit { time_ns: u64, pid: u32, tid: Tid, last: bool },
    /// A thread has a new name.
    Comm { time_ns: u64, pid: u32, tid: Tid, name: Vec<u8> },
    /// A process executes a program, whose name this is. `former` is the previous id of the thread
    /// that called execve(2), which is now the only one and has the id of the process.
    Exec { time_ns: u64, pid: u32, former: Tid, name: Vec<u8> },
    /// The kernel made or changed a mapping: for a call, for execve(2), for a growing stack.
    /// Removed and moved mappings are not reported.
    Mmap { time_ns: u64, mmap: Mmap },
    /// A page fault.
    Fault {
        time_ns: u64,
        pid: u32,
        tid: Tid,
        cpu: u32,
        address: u64,
        /// Whether it is known to be a write.
        write: bool,
        /// `None` for a kernel task.
        registers: Option<Registers>,
        stack: Stack,
    },
    /// This thread wrote to a maple tree: that of its own address space, of a new child, or another
    /// tree of the kernel. `last` is the last address, inclusive; if `stored` is false, the entry
    /// was erased.
    TreeWrite { time_ns: u64, pid: u32, tid: Tid, start: u64, last: u64, stored: bool },
    /// A ring lost this many records. Lost stacks leave calls without stacks; after lost calls the
    /// address space has to be read again.
    Lost { time_ns: u64, which: Which, count: u64 },
}

/// A returned system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) time_ns: u64,
    pub(crate) pid: u32,
    pub(crate) tid: Tid,
    pub(crate) cpu: u32,
    pub(crate) kind: CallKind,
    /// The values of the registers; data they point to may be in `stack`.
    pub(crate) args: [u64; 6],
    /// `None` if only the start was seen: ioctls.
    pub(crate) result: Option<i64>,
    pub(crate) registers: Registers,
    pub(crate) stack: Stack,
}

/// The stack of a thread at an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stack {
    /// It was not requested.
    NotAsked,
    /// It was lost.
    Lost,
    Copied(StackCopy),
}

/// A part of a thread's memory, starting at its stack pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StackCopy {
    pub(crate) sp: u64,
    /// Empty if nothing is mapped there any more.
    pub(crate) bytes: Vec<u8>,
}

impl StackCopy {
    /// The `len` bytes at an address, if the copy contains them.
    pub(crate) fn at(&self, address: u64, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(address.checked_sub(self.sp)?).ok()?;
        self.bytes.get(start..start.checked_add(len)?)
    }

    /// The 64-bit word at an address, if the copy contains it.
    pub(crate) fn word(&self, address: u64) -> Option<u64> {
        Some(u64::from_ne_bytes(self.at(address, 8)?.try_into().ok()?))
    }
}
