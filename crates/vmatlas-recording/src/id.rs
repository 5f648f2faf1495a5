//! The numbers of threads, call stacks and events.

use std::fmt;

/// A thread of a recording or log: an index into its tasks.
///
/// A thread that changed its name has a number for each name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(u32);

/// A call stack of a recording or log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackId(u32);

/// The number of an event of a recording, counted from 1; of a log the number of a line.
///
/// 0 stands for no event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventNumber(u64);

/// The kernel's id of a thread, as gettid(2) returns it, in the recorder's pid namespace.
///
/// A process has the id of its first thread, but is a plain number, so that the two cannot be
/// swapped by mistake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tid(u32);

macro_rules! id {
    ($id:ident($number:ident), $what:literal) => {
        impl $id {
            #[doc = concat!("Stands for ", $what, " that is not known.")]
            pub const NONE: $id = $id(0);

            #[doc = concat!("The ", $what, " with that number.")]
            pub const fn new(number: $number) -> $id {
                $id(number)
            }

            /// The number.
            pub const fn get(self) -> $number {
                self.0
            }

            #[doc = concat!("Whether no ", $what, " is known.")]
            pub const fn is_none(self) -> bool {
                self.0 == 0
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

id!(TaskId(u32), "thread");
id!(StackId(u32), "call stack");
id!(EventNumber(u64), "event");
id!(Tid(u32), "thread");

macro_rules! index {
    ($id:ident) => {
        impl $id {
            /// The number as an index.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

index!(TaskId);
index!(StackId);
index!(EventNumber);

impl Tid {
    /// The id of a process's first thread, which is also that of the process.
    pub const fn first_of(pid: u32) -> Tid {
        Tid(pid)
    }
}

impl EventNumber {
    /// The first event.
    pub const FIRST: EventNumber = EventNumber(1);
    /// No event has a greater number.
    pub const MAX: EventNumber = EventNumber(u64::MAX);

    /// The number of the event after it.
    #[must_use]
    pub const fn next(self) -> EventNumber {
        EventNumber(self.0.wrapping_add(1))
    }

    /// The number of the event before it; of the first one [`NONE`](EventNumber::NONE).
    #[must_use]
    pub const fn previous(self) -> EventNumber {
        EventNumber(self.0.saturating_sub(1))
    }
}
