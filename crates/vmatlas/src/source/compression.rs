//! Compression formats of core dumps, as written by systemd-coredump and by people.

use crate::error::{Error, ErrorKind, Result};
use std::fmt::Display;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The number of bytes of an input that are kept to detect its format.
pub(crate) const HEAD: usize = 4096;
/// The first bytes of an xz file.
const XZ: &[u8] = b"\xfd7zXZ\0";

enum Compression {
    Zstd,
    Gzip,
    Lz4,
}

impl Compression {
    /// Detects the format by the first bytes; `None` for anything else.
    fn of(head: &[u8]) -> Option<Compression> {
        match head {
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
            [0x1f, 0x8b, ..] => Some(Compression::Gzip),
            [0x04, 0x22, 0x4d, 0x18, ..] => Some(Compression::Lz4),
            _ => None,
        }
    }

    /// A reader of the decompressed bytes.
    fn decoder<'r>(&self, input: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
        Ok(match self {
            #[cfg(feature = "record")]
            Compression::Zstd => Box::new(zstd::Decoder::new(input)?),
            #[cfg(not(feature = "record"))]
            Compression::Zstd => Box::new(super::zstd_frames::ZstdFrames::new(input)),
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(input)),
            Compression::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(input)),
        })
    }
}

/// How far an input may expand: a small file may decompress to more than any disk holds. Memory of
/// a process may be zeroes for the most part, so these count less.
const MAX_RATIO: u64 = 100;
const MAX_ZEROES_RATIO: u64 = 1000;
/// Bytes that any input may expand to, without zeroes and with them.
const ALWAYS: u64 = 256 << 20;
const ALWAYS_WITH_ZEROES: u64 = 16 << 30;

static ZEROES: [u8; 4096] = [0; 4096];

/// The first bytes of an input and a reader of the rest, both decompressed if necessary.
pub(crate) struct Decompressed<'r> {
    pub(crate) head: Vec<u8>,
    pub(crate) rest: Box<dyn Read + 'r>,
    /// For compressed inputs, how far they expanded.
    pub(crate) expansion: Option<Arc<Expansion>>,
}

/// How far a compressed input has expanded.
#[derive(Debug, Default)]
pub(crate) struct Expansion {
    compressed: AtomicU64,
    is_cut: AtomicBool,
}

impl Expansion {
    /// Whether it expanded too far, so that the rest was not read.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }
}

/// Counts the bytes of a compressed input.
struct Counted<R>(R, Arc<Expansion>);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.0.read(buffer)?;
        self.1.compressed.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

/// Ends where an input has expanded too far.
struct Bounded<R> {
    inside: R,
    expansion: Arc<Expansion>,
    bytes: u64,
    zeroes: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let compressed = self.expansion.compressed.load(Ordering::Relaxed);
        let allowed = |always: u64, ratio: u64| always.max(compressed.saturating_mul(ratio));
        if self.bytes - self.zeroes > allowed(ALWAYS, MAX_RATIO)
            || self.bytes > allowed(ALWAYS_WITH_ZEROES, MAX_ZEROES_RATIO)
        {
            self.expansion.is_cut.store(true, Ordering::Relaxed);
            return Ok(0);
        }
        let length = self.inside.read(buffer)?;
        self.bytes += length as u64;
        let is_zero = |part: &&[u8]| **part == ZEROES[..part.len()];
        let parts = buffer[..length].chunks(ZEROES.len()).filter(is_zero);
        self.zeroes += parts.map(|part| part.len() as u64).sum::<u64>();
        Ok(length)
    }
}

/// Detects a compressed input.
pub(crate) fn decompressed<'r>(
    name: impl Display,
    mut input: impl Read + 'r,
) -> Result<Decompressed<'r>> {
    let head = head_of(&name, &mut input)?;
    if head.starts_with(XZ) {
        let help = "decompress it first, as by xz -dc, which - reads from a pipe";
        return Err(Error::new(
            ErrorKind::Unreadable,
            format!("{name}: compressed with xz, which is not read; {help}"),
        ));
    }
    let Some(compression) = Compression::of(&head) else {
        return Ok(Decompressed { head, rest: Box::new(input), expansion: None });
    };
    let expansion = Arc::new(Expansion::default());
    let whole = Counted(io::Cursor::new(head).chain(input), expansion.clone());
    let inside = compression.decoder(whole).map_err(|error| Error::file(&name, error))?;
    let mut rest = Bounded { inside, expansion: expansion.clone(), bytes: 0, zeroes: 0 };
    let head = head_of(&name, &mut rest)?;
    Ok(Decompressed { head, rest: Box::new(rest), expansion: Some(expansion) })
}

fn head_of(name: &impl Display, input: &mut impl Read) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    let begun = input.by_ref().take(HEAD as u64).read_to_end(&mut head);
    begun.map_err(|error| Error::file(name, error))?;
    Ok(head)
}
