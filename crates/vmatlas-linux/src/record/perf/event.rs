//! What is told of a program that is recorded.

use super::rings::Which;
use vmatlas_object::unwind::Registers;
use vmatlas_recording::CallKind;

pub(crate) use super::parse::Mmap;

/// Something that happened, at a time of `CLOCK_MONOTONIC`. Numbers of tasks are those of the
/// recorder's pid namespace. Events are in the order in which they changed an address space,
/// which their times are not always.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PerfEvent {
    /// A system call that can change an address space has returned.
    Call(Call),
    /// A process or thread was made. `shares_memory` is None where that is not known.
    Fork {
        time_ns: u64,
        pid: u32,
        tid: u32,
        parent_pid: u32,
        parent_tid: u32,
        shares_memory: Option<bool>,
    },
    /// A thread has ended.
    Exit { time_ns: u64, pid: u32, tid: u32 },
    /// A thread has a new name; with `exec` because it executes a program.
    Comm { time_ns: u64, pid: u32, tid: u32, exec: bool, name: Vec<u8> },
    /// The kernel made or changed a mapping: by a call, for execve(2), for a stack that grows.
    /// Nothing is told of mappings that go or move.
    Mmap { time_ns: u64, mmap: Mmap },
    /// A page fault.
    Fault {
        time_ns: u64,
        pid: u32,
        tid: u32,
        cpu: u32,
        address: u64,
        /// None if the task was none of a program.
        registers: Option<Registers>,
        stack: Stack,
    },
    /// A maple tree was written to, by this thread: that of its own address space, or of a child
    /// that it makes, or another tree of the kernel. `last` is the last address, not the one
    /// behind it; not `stored` is erased.
    TreeWrite { time_ns: u64, pid: u32, tid: u32, start: u64, last: u64, stored: bool },
    /// A ring had no room for so many records. Without stacks there are calls, without calls
    /// nothing: the address space has to be read anew.
    Lost { time_ns: u64, which: Which, count: u64 },
}

/// A system call that has returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) time_ns: u64,
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    pub(crate) cpu: u32,
    pub(crate) kind: CallKind,
    /// As the registers have them; what they point to may be in `stack`.
    pub(crate) args: [u64; 6],
    /// None where only the beginning was seen: ioctls.
    pub(crate) result: Option<i64>,
    pub(crate) registers: Registers,
    pub(crate) stack: Stack,
}

/// The stack of a thread at an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stack {
    /// Nobody asked for it.
    NotAsked,
    /// There was no room for it.
    Lost,
    Copied(StackCopy),
}

/// A piece of a thread's memory, from its stack pointer on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StackCopy {
    pub(crate) sp: u64,
    /// Empty if nothing is mapped there any more.
    pub(crate) bytes: Vec<u8>,
}

impl StackCopy {
    /// The `len` bytes at an address, if they are in it.
    pub(crate) fn at(&self, address: u64, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(address.checked_sub(self.sp)?).ok()?;
        self.bytes.get(start..start.checked_add(len)?)
    }

    /// The 64-bit word at an address, if it is in it.
    pub(crate) fn word(&self, address: u64) -> Option<u64> {
        Some(u64::from_ne_bytes(self.at(address, 8)?.try_into().ok()?))
    }
}
