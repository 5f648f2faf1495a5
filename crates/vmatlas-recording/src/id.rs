//! The numbers of threads and call stacks in events.

use std::fmt;

/// A thread of a recording or log: an index into its tasks.
///
/// A thread that changed its name has a number for each name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(u32);

/// A call stack of a recording or log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackId(u32);

macro_rules! id {
    ($id:ident, $what:literal) => {
        impl $id {
            #[doc = concat!("Stands for ", $what, " that is not known.")]
            pub const NONE: $id = $id(0);

            #[doc = concat!("The ", $what, " with that number.")]
            pub const fn new(number: u32) -> $id {
                $id(number)
            }

            /// The number.
            pub const fn get(self) -> u32 {
                self.0
            }

            /// The number as an index.
            pub const fn index(self) -> usize {
                self.0 as usize
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

id!(TaskId, "thread");
id!(StackId, "call stack");
