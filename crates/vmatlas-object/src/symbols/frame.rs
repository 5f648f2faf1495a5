//! A stack frame with names.

use std::fmt;

/// A frame on a stack, of a called or an inlined function, with its names. A walk without names
/// returns [`unwind::Frame`](crate::unwind::Frame)s.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SymbolFrame {
    /// The address of the instruction, or the return address; `None` if unknown.
    pub pc: Option<u64>,
    /// The function name, demangled; empty if unknown.
    pub function: String,
    /// Bytes from the function's start to the address. Without a name, and in frames of logs, the
    /// offset in the module's file or image, or the address if there is no file. 0 in an inlined
    /// function, which may have several ranges and has no start. `None` if a log does not contain
    /// it.
    pub offset: Option<u64>,
    /// The path of the module from the recording or the log, the perf map or jitdump that names
    /// JIT-compiled code, or `[jit]` if there is none. Empty if a log does not contain it.
    pub module: String,
    /// `FILE:LINE`, or `FILE` if the code belongs to no line. In an outer function, the line of the
    /// call that was inlined.
    pub source: Option<String>,
    /// Whether the function was inlined into the function of the next frame.
    pub inlined: bool,
}

impl SymbolFrame {
    /// The number to show beside the function or the module: the offset, otherwise the address,
    /// otherwise 0.
    pub fn shown_offset(&self) -> u64 {
        self.offset.or(self.pc).unwrap_or(0)
    }
}

/// Formats `function+0x12 (module) at file:line`, or `module+0x123`.
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
