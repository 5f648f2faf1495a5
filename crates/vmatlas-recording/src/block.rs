//! Blocks: the self-contained units of a recording.
//!
//! docs/recording.md specifies them; the constants here are that document's.

pub(crate) mod zstd;

/// The last bytes of a finished recording; the offset of its index precedes them.
pub(crate) const TRAILER: [u8; 8] = *b"vmaIndex";
/// The size of a block header, in bytes.
pub(crate) const HEADER: usize = 36;
/// The maximum payload of a block in bytes, compressed or not.
pub(crate) const MAX_BLOCK: usize = 256 << 20;
/// The minimum size in bytes of a payload that is compressed.
#[cfg(feature = "write")]
const PACK_FROM: usize = 128;

/// The content of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum BlockKind {
    Meta = 1,
    /// Definitions of files and tasks.
    Names = 2,
    /// Definitions of frames and calls.
    Stacks = 3,
    /// Definitions of JIT symbols.
    Symbols = 4,
    Events = 5,
    /// All address spaces, as they are before the next event.
    Snapshot = 6,
    /// The positions of the blocks, and the list of processes.
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

/// The position of a block and the events that it starts at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) kind: BlockKind,
    /// The file offset of its header.
    pub(crate) offset: u64,
    /// The number of the first event in the block, or of the next one after it.
    pub(crate) first_event: u64,
    /// The time before that event, in nanoseconds.
    pub(crate) time_ns: u64,
}

/// A block header, little-endian in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) kind: BlockKind,
    pub(crate) packed: bool,
    /// The size of the payload in the file, in bytes.
    pub(crate) stored: u32,
    /// The size of the payload after decompression, in bytes.
    pub(crate) size: u32,
    pub(crate) first_event: u64,
    pub(crate) time_ns: u64,
    crc: u32,
}

impl Header {
    /// Layout: stored, size, kind, packed, two zeroes, first event, time, checksum.
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

    /// Decompresses the payload; `None` if the checksum or the size does not match.
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

/// Appends a block to the output.
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
