//! zstd: compressed by the reference implementation, decompressed without a C compiler.
//!
//! There are two decoders: the C one is 1.9 to 2.4 times as fast on the blocks of large recordings,
//! the Rust one builds everywhere. With `write` the C library is linked anyway and decodes; without
//! it the Rust one does. The checksum of a block rejects damage before either decoder runs. A hostile
//! writer can compute the checksum of a malformed frame: then one decoder may accept what the other
//! rejects, because neither checks every rule of RFC 8878, but two that accept it give the same bytes.

#[cfg(feature = "write")]
use std::cell::RefCell;
#[cfg(feature = "write")]
use zstd::bulk::{Compressor, Decompressor};

/// The zstd level: higher ones cost more time than the saved space is worth.
#[cfg(feature = "write")]
const LEVEL: i32 = 3;

#[cfg(feature = "write")]
thread_local! {
    // Making a context takes longer than using it for a small block.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Compresses `payload` to a zstd frame; `None` if that is not shorter.
#[cfg(feature = "write")]
pub(super) fn compress(payload: &[u8]) -> Option<Vec<u8>> {
    let packed = COMPRESSOR.with_borrow_mut(|context| {
        if context.is_none() {
            *context = Some(Compressor::new(LEVEL).ok()?);
        }
        context.as_mut()?.compress(payload).ok()
    })?;
    (packed.len() < payload.len()).then_some(packed)
}

/// The same at another level, for what is written seldom.
#[cfg(feature = "write")]
pub(crate) fn compress_at(level: i32, payload: &[u8]) -> Option<Vec<u8>> {
    let packed = Compressor::new(level).ok()?.compress(payload).ok()?;
    (packed.len() < payload.len()).then_some(packed)
}

/// Decompresses a zstd frame; `None` if it is damaged or does not contain `size` bytes.
pub(crate) fn decompress(frame: &[u8], size: usize) -> Option<Vec<u8>> {
    #[cfg(feature = "write")]
    let decoded = by_c(frame, size);
    #[cfg(not(feature = "write"))]
    let decoded = by_rust(frame, size);
    decoded
}

#[cfg(feature = "write")]
fn by_c(frame: &[u8], size: usize) -> Option<Vec<u8>> {
    let payload = DECOMPRESSOR.with_borrow_mut(|context| {
        if context.is_none() {
            *context = Some(Decompressor::new().ok()?);
        }
        context.as_mut()?.decompress(frame, size).ok()
    })?;
    (payload.len() == size).then_some(payload)
}

#[cfg(any(test, not(feature = "write")))]
fn by_rust(frame: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut payload = vec![0; size];
    let mut decoder = ruzstd::decoding::FrameDecoder::new();
    // The decoder allocates up to one window besides the payload.
    decoder.set_max_window_size(super::MAX_BLOCK as u64);
    let decoded = decoder.decode_all(frame, &mut payload).ok()?;
    (decoded == size).then_some(payload)
}

#[cfg(all(test, feature = "write"))]
mod tests {
    use super::{by_c, by_rust, compress};

    /// Payloads like those of recordings: repeated words, small numbers, random bytes, only zeroes.
    fn payloads() -> Vec<Vec<u8>> {
        let mut state = 1_u64;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u32
        };
        let mut payloads = Vec::new();
        for size in [128, 1000, 4096, 70_000, 300_000] {
            payloads.push((0..size).map(|_| b"mmap/lib "[random() as usize % 9]).collect());
            payloads
                .push((0..size).map(|at| if at % 7 < 4 { 0 } else { random() as u8 }).collect());
            payloads.push((0..size).map(|at| (at / 100) as u8).collect());
            payloads.push(vec![0; size]);
        }
        payloads
    }

    #[test]
    fn both_decoders_give_what_was_packed() {
        for payload in payloads() {
            let frame = compress(&payload).unwrap();
            assert_eq!(by_c(&frame, payload.len()).as_ref(), Some(&payload));
            assert_eq!(by_rust(&frame, payload.len()).as_ref(), Some(&payload));
            for size in [0, payload.len() - 1, payload.len() + 1] {
                assert_eq!((by_c(&frame, size), by_rust(&frame, size)), (None, None));
            }
        }
    }

    #[test]
    fn damaged_frames_are_refused_or_the_same_in_both_decoders() {
        for payload in payloads().iter().filter(|payload| payload.len() <= 4096) {
            let frame = compress(payload).unwrap();
            for cut in 0..frame.len() {
                same(&frame[..cut], payload.len());
            }
            for bit in 0..frame.len() * 8 {
                let mut frame = frame.clone();
                frame[bit / 8] ^= 1 << (bit % 8);
                same(&frame, payload.len());
            }
            same(&[&frame[..], b"more"].concat(), payload.len());
            same(&[&frame[..], &frame[..]].concat(), payload.len());
        }
    }

    fn same(frame: &[u8], size: usize) {
        let (c, rust) = (by_c(frame, size), by_rust(frame, size));
        if let (Some(c), Some(rust)) = (c, rust) {
            assert!(c == rust, "{frame:02x?}");
        }
    }

    #[test]
    fn a_frame_cannot_ask_for_more_memory_than_a_block() {
        // A window of 3.75 TiB, then an empty last block.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 0xff, 1, 0, 0];
        assert_eq!(by_rust(&frame, 0), None);
        // The same frame with the smallest window.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 0, 1, 0, 0];
        assert_eq!(by_rust(&frame, 0), Some(Vec::new()));
        // 100 blocks of 128 KiB each for an output of one byte.
        let blocks = [0x02, 0, 0x10, 7].repeat(100);
        let frame = [&[0x28, 0xb5, 0x2f, 0xfd, 0, 0x38], &blocks[..], &[1, 0, 0]].concat();
        assert_eq!((by_c(&frame, 1), by_rust(&frame, 1)), (None, None));
        assert_eq!(by_c(&frame, 100 << 17), by_rust(&frame, 100 << 17));
        assert!(by_rust(&frame, 100 << 17).is_some());
    }
}
