//! A call with its names.

use std::fmt;

/// A call on a stack, of a function or of one that was inlined into it, with what is known of its
/// names. The stack as it was walked is of [`unwind::Frame`](crate::unwind::Frame)s.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SymbolFrame {
    /// The address of the code, where it is known: the instruction, or the return address.
    pub pc: Option<u64>,
    /// The function, demangled; empty where none is known.
    pub function: String,
    /// Bytes from the function's start to the address. Without a name, and in frames of logs, the
    /// offset in the module's file or image, or the address where there is no file. 0 in an inlined
    /// function: its code may be in several places and has no start. `None` where a log does not
    /// tell.
    pub offset: Option<u64>,
    /// The path of the module as the recording or the log has it, the name of the file that names
    /// code made at run time, or `[jit]` where there is none. Empty where a log does not tell.
    pub module: String,
    /// `FILE:LINE`, or `FILE` where the code belongs to no line. In a function that others were
    /// inlined into, where it calls the next one inside.
    pub source: Option<String>,
    /// Whether the function's code is inside of the next frame's.
    pub inlined: bool,
}

impl SymbolFrame {
    /// The number to show beside the function or the module: the offset, or the address where no
    /// offset is known, 0 where neither is.
    pub fn shown_offset(&self) -> u64 {
        self.offset.or(self.pc).unwrap_or(0)
    }
}

/// `function+0x12 (module) at file:line`, or `module+0x123`.
impl fmt::Display for SymbolFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = self.shown_offset();
        match (&*self.function, self.inlined) {
            ("", _) => write!(f, "{}+{offset:#x}", self.module)?,
            (function, true) => write!(f, "{function} (inlined)")?,
            (function, false) => write!(f, "{function}+{offset:#x} ({})", self.module)?,
        }
        self.source.as_ref().map_or(Ok(()), |source| write!(f, " at {source}"))
    }
}
