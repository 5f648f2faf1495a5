//! zstd in Rust, for builds without a C compiler. Like the reference implementation it accepts
//! consecutive frames, skippable frames, checksums, and windows of at most 128 MiB.

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, BufRead as _, BufReader, Read};

/// The largest window that a frame may ask for, in bytes (`ZSTD_WINDOWLOG_LIMIT_DEFAULT`).
const MAX_WINDOW: u64 = 128 << 20;
/// Bytes that are read at once.
const BUFFER: usize = 128 << 10;

/// All frames of a stream, decompressed block by block as they are read.
pub(super) struct ZstdFrames<R> {
    source: BufReader<R>,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: Read> ZstdFrames<R> {
    pub(super) fn new(source: R) -> ZstdFrames<R> {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW);
        ZstdFrames { source: BufReader::with_capacity(BUFFER, source), decoder, in_frame: false }
    }

    /// Begins the next frame; false at the end of the stream.
    fn begin_frame(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.init(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let mut skipped = (&mut self.source).take(u64::from(length));
                    if io::copy(&mut skipped, &mut io::sink())? < u64::from(length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(damaged(error)),
            }
        }
    }

    /// Compares the checksum of a frame, all bytes of which were given out.
    fn check_frame(&self) -> io::Result<()> {
        match self.decoder.get_checksum_from_data() {
            Some(sum) if self.decoder.get_calculated_checksum() != Some(sum) => {
                Err(damaged("the data does not match its checksum"))
            }
            _ => Ok(()),
        }
    }
}

impl<R: Read> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame {
                self.in_frame = self.begin_frame()?;
                if !self.in_frame {
                    return Ok(0);
                }
            }
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            }
            if self.decoder.is_finished() {
                self.in_frame = false;
                self.check_frame()?;
            } else {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.source, one).map_err(damaged)?;
            }
        }
    }
}

fn damaged(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(all(test, feature = "record"))]
mod tests {
    use super::*;
    use std::io::Write as _;

    /// Checks that both decoders agree on a stream; returns the bytes, or `None` for an error.
    fn check(stream: &[u8]) -> Option<Vec<u8>> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let ok = ZstdFrames::new(stream).read_to_end(&mut ours).is_ok();
        let reference = zstd::Decoder::new(stream).unwrap().read_to_end(&mut theirs).is_ok();
        assert_eq!(ok, reference);
        if ok {
            assert!(ours == theirs);
        }
        ok.then_some(ours)
    }

    fn frame(bytes: &[u8], level: i32, window_log: u32) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), level).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.window_log(window_log).unwrap();
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn sample() -> Vec<u8> {
        (0_u32..150_000).flat_map(|at| (at.wrapping_mul(at) >> 7).to_le_bytes()).collect()
    }

    #[test]
    fn frames_are_what_the_reference_makes_of_them() {
        let sample = sample();
        for level in [1, 3, 9, 19] {
            assert!(check(&frame(&sample, level, 20)).as_ref() == Some(&sample), "level {level}");
        }
        assert_eq!(check(&frame(b"", 3, 20)), Some(Vec::new()));
        let skipped = [&b"\x50\x2a\x4d\x18\x03\0\0\0abc"[..]].concat();
        let two = [frame(b"one", 1, 20), skipped.clone(), frame(b"two", 1, 20), skipped].concat();
        assert_eq!(check(&two), Some(b"onetwo".to_vec()));
        assert!(check(&frame(&sample, 1, 27)).is_some(), "the largest window");
        assert!(check(&frame(&sample, 1, 28)).is_none(), "a larger window");
    }

    #[test]
    fn damage_is_an_error() {
        let whole = frame(&sample(), 1, 20);
        for cut in [1, 3, 5, 9, 100, whole.len() / 2, whole.len() - 5, whole.len() - 1] {
            assert_eq!(check(&whole[..cut]), None, "cut at {cut}");
        }
        let mut wrong = whole.clone();
        *wrong.last_mut().unwrap() ^= 1;
        assert_eq!(check(&wrong), None, "the checksum");
        assert_eq!(check(&[whole.clone(), b"garbage".to_vec()].concat()), None);
        assert_eq!(check(&[whole, b"\x50\x2a\x4d\x18\x03\0\0\0a".to_vec()].concat()), None);
    }
}
