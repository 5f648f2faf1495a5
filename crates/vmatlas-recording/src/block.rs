//! Blocks: the pieces in which a recording is written, each complete in itself.
//!
//! docs/recording.md describes them; the constants here are that document's.

mod zstd;

/// How every recording begins; the last two bytes are the version of the format.
pub(crate) const MAGIC: [u8; 16] = *b"\x89vmatlas\r\n\x1a\nrec\x01";
/// How a finished recording ends, behind the offset of its index.
pub(crate) const TRAILER: [u8; 8] = *b"vmaIndex";
/// Bytes of a block's header.
pub(crate) const HEADER: usize = 36;
/// The most bytes of a block, packed or not.
pub(crate) const MAX_BLOCK: usize = 256 << 20;
/// Payloads from this size on are packed.
#[cfg(feature = "write")]
const PACK_FROM: usize = 128;

/// What is in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum BlockKind {
    Meta = 1,
    /// Files and tasks.
    Names = 2,
    /// Frames and calls.
    Stacks = 3,
    /// Names of JIT code.
    Symbols = 4,
    Events = 5,
    /// All address spaces, before the first event that follows.
    Snapshot = 6,
    /// Where the blocks are, and which processes there were.
    Index = 7,
}

impl BlockKind {
    pub(crate) fn from_number(number: u8) -> Option<BlockKind> {
        use BlockKind::{Events, Index, Meta, Names, Snapshot, Stacks, Symbols};
        [Meta, Names, Stacks, Symbols, Events, Snapshot, Index]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }
}

/// Where a block is and what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) kind: BlockKind,
    /// Where its header begins.
    pub(crate) offset: u64,
    /// The number of the first event in it or behind it.
    pub(crate) first_event: u64,
    /// The time before that event, in nanoseconds.
    pub(crate) time_ns: u64,
}

/// The header of a block, as it is in the file: little-endian.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) kind: BlockKind,
    pub(crate) packed: bool,
    /// Bytes of the payload in the file.
    pub(crate) stored: u32,
    /// Bytes of the payload unpacked.
    pub(crate) size: u32,
    pub(crate) first_event: u64,
    pub(crate) time_ns: u64,
    crc: u32,
}

impl Header {
    /// Parts: stored, size, kind, packed, two zeroes, first event, time, checksum.
    pub(crate) fn read(bytes: &[u8; HEADER]) -> Option<Header> {
        let u32_at = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| bytes[at + i]));
        let u64_at =
            |at: usize| u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|i| bytes[at + i]));
        let header = Header {
            stored: u32_at(0),
            size: u32_at(4),
            kind: BlockKind::from_number(bytes[8])?,
            packed: bytes[9] == 1,
            first_event: u64_at(12),
            time_ns: u64_at(20),
            crc: u32_at(28),
        };
        let zero = bytes[9] <= 1 && bytes[10..12] == [0, 0] && bytes[32..36] == [0; 4];
        let bounded = header.stored as usize <= MAX_BLOCK && header.size as usize <= MAX_BLOCK;
        (zero && bounded && (header.packed || header.stored == header.size)).then_some(header)
    }

    fn bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0..4].copy_from_slice(&self.stored.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.size.to_le_bytes());
        bytes[8] = self.kind as u8;
        bytes[9] = u8::from(self.packed);
        bytes[12..20].copy_from_slice(&self.first_event.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.time_ns.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    fn checksum(&self, stored: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.bytes()[..28]);
        hasher.update(stored);
        hasher.finalize()
    }

    /// The payload, if it is what was written.
    pub(crate) fn unpack(&self, stored: &[u8]) -> Option<Vec<u8>> {
        if stored.len() != self.stored as usize || self.checksum(stored) != self.crc {
            return None;
        }
        if !self.packed {
            return Some(stored.to_vec());
        }
        zstd::decompress(stored, self.size as usize)
    }
}

/// Appends a block to what is to be written.
#[cfg(feature = "write")]
pub(crate) fn append(
    kind: BlockKind,
    first_event: u64,
    time_ns: u64,
    payload: &[u8],
    out: &mut Vec<u8>,
) {
    let packed = if payload.len() >= PACK_FROM { zstd::compress(payload) } else { None };
    let stored = packed.as_deref().unwrap_or(payload);
    let mut header = Header {
        kind,
        packed: packed.is_some(),
        stored: stored.len() as u32,
        size: payload.len() as u32,
        first_event,
        time_ns,
        crc: 0,
    };
    header.crc = header.checksum(stored);
    out.extend_from_slice(&header.bytes());
    out.extend_from_slice(stored);
}
