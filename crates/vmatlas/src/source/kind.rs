//! The kinds of sources.

/// The kind of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SourceKind {
    /// A live process.
    Live,
    /// A process in a copy of /proc.
    Copy,
    /// A text that holds rows.
    Text,
    /// A core dump.
    Core,
    /// A log of strace(1).
    Log,
    /// A recording.
    Recording,
    /// A document of JSON or a snapshot that vmatlas wrote.
    Document,
}

impl SourceKind {
    /// The kind's word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            SourceKind::Live => "live",
            SourceKind::Copy | SourceKind::Text => "text",
            SourceKind::Core => "core",
            SourceKind::Log => "strace",
            SourceKind::Recording => "recording",
            SourceKind::Document => "snapshot",
        }
    }

    /// Whether the source covers several moments.
    pub fn has_moments(self) -> bool {
        matches!(self, SourceKind::Log | SourceKind::Recording)
    }

    /// Whether the source records the origins of memory.
    pub fn has_origins(self) -> bool {
        matches!(self, SourceKind::Log | SourceKind::Recording)
    }

    /// Whether the source holds bytes of the memory.
    pub fn has_memory(self) -> bool {
        matches!(self, SourceKind::Live | SourceKind::Core)
    }
}
