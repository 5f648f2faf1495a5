//! The magic number of recordings.

/// The first bytes of every recording; the last one is the format version.
pub(crate) const MAGIC: [u8; 16] = *b"\x89vmatlas\r\n\x1a\nrec\x01";

/// Whether bytes begin with the magic number of a recording.
pub fn looks_like_recording(head: &[u8]) -> bool {
    head.starts_with(&MAGIC[..15])
}
