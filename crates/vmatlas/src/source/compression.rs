//! Compression formats of core dumps, as written by systemd-coredump and by people.

use crate::error::{Error, ErrorKind, Result};
use std::fmt::Display;
use std::io::{self, Read};

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

/// The first bytes of an input and a reader of the rest, both decompressed if necessary.
pub(crate) fn decompressed<'r>(
    name: impl Display,
    mut input: impl Read + 'r,
) -> Result<(Vec<u8>, Box<dyn Read + 'r>)> {
    let head = head_of(&name, &mut input)?;
    if head.starts_with(XZ) {
        let help = "decompress it first, as by xz -dc, which - reads from a pipe";
        return Err(Error::new(
            ErrorKind::Unreadable,
            format!("{name}: compressed with xz, which is not read; {help}"),
        ));
    }
    let Some(compression) = Compression::of(&head) else { return Ok((head, Box::new(input))) };
    let whole = io::Cursor::new(head).chain(input);
    let mut inside = compression.decoder(whole).map_err(|error| Error::file(&name, error))?;
    Ok((head_of(&name, &mut inside)?, inside))
}

fn head_of(name: &impl Display, input: &mut impl Read) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    let begun = input.by_ref().take(HEAD as u64).read_to_end(&mut head);
    begun.map_err(|error| Error::file(name, error))?;
    Ok(head)
}
