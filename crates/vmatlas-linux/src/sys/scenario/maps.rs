//! Reads the rows of this process without allocation.

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{read, retry_on_intr};
use std::ops::ControlFlow;
use vmatlas_maps::{Mapping, RowError, parse_row};

/// The kernel writes no more rows than requested, and those of the region often come first.
const PIECE: usize = 1024;

/// Passes each row and its line to `each` until it breaks. `buffer` must be longer than the longest
/// row.
///
/// The file is opened each time: a file opened before a fork shows the parent, and an emulated maps
/// file is generated when it is opened.
pub(crate) fn each_row(
    buffer: &mut [u8],
    mut each: impl FnMut(Result<Mapping<'_>, RowError>, &[u8]) -> ControlFlow<()>,
) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let maps = openat(CWD, c"/proc/self/maps", flags, Mode::empty())?;
    let mut filled = 0;
    loop {
        let until = buffer.len().min(filled + PIECE);
        let got = retry_on_intr(|| read(&maps, &mut buffer[filled..until]))?;
        if got == 0 {
            return Ok(());
        }
        filled += got;
        let mut from = 0;
        while let Some(length) = buffer[from..filled].iter().position(|&byte| byte == b'\n') {
            let line = &buffer[from..from + length];
            from += length + 1;
            if each(parse_row(line), line).is_break() {
                return Ok(());
            }
        }
        buffer.copy_within(from..filled, 0);
        filled -= from;
    }
}
