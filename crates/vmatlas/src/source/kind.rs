//! The kinds of sources.

/// What kind of source it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SourceKind {
    /// A process that runs.
    Live,
    /// A process in a copy of /proc.
    Copy,
    /// A text with rows in it.
    Text,
    /// A core dump.
    Core,
    /// A log of strace(1).
    Log,
    /// A recording.
    Recording,
}

impl SourceKind {
    /// The word for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            SourceKind::Live => "live",
            SourceKind::Copy | SourceKind::Text => "text",
            SourceKind::Core => "core",
            SourceKind::Log => "strace",
            SourceKind::Recording => "recording",
        }
    }

    /// Whether there are several moments of it.
    pub fn has_moments(self) -> bool {
        matches!(self, SourceKind::Log | SourceKind::Recording)
    }

    /// Whether it tells who made memory.
    pub fn has_origins(self) -> bool {
        matches!(self, SourceKind::Log | SourceKind::Recording)
    }

    /// Whether bytes of the memory can be read.
    pub fn has_memory(self) -> bool {
        matches!(self, SourceKind::Live | SourceKind::Core)
    }
}
