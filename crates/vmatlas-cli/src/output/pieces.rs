//! Many rows formatted by several threads.

use std::io::{self, Write};
use std::num::NonZero;
use std::sync::mpsc::sync_channel;
use std::thread;

/// The number of rows that a thread formats at a time; fewer are not worth a thread.
const PIECE: usize = 512;

/// Writes a number of rows in order. `write_row` appends the text of the row at a place.
pub(super) fn write(
    out: &mut dyn Write,
    rows: usize,
    write_row: impl Fn(usize, &mut Vec<u8>) + Sync,
) -> io::Result<()> {
    let write_piece = |number: usize, mut text: Vec<u8>| {
        text.clear();
        (number * PIECE..rows.min((number + 1) * PIECE)).for_each(|row| write_row(row, &mut text));
        text
    };
    let mut pieces = 0..rows.div_ceil(PIECE);
    if pieces.len() <= 1 {
        return pieces.try_for_each(|piece| out.write_all(&write_piece(piece, Vec::new())));
    }
    let count = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        // Thread N formats pieces N, N + count, …; they are collected in turn.
        let threads: Vec<_> = (0..count)
            .map(|first| {
                let (sender, texts) = sync_channel(1);
                // Written texts come back, because new memory costs the kernel as much as a text.
                let (back, written) = sync_channel(2);
                let (pieces, write_piece) = (pieces.clone(), &write_piece);
                let work = move || {
                    // Stop once the receiver is gone.
                    pieces.skip(first).step_by(count).try_for_each(|piece| {
                        let text = written.try_recv().unwrap_or_default();
                        sender.send(write_piece(piece, text)).ok()
                    })
                };
                scope.spawn(work);
                (texts, back)
            })
            .collect();
        for number in pieces {
            // A panicked thread sends nothing; its panic ends the scope.
            let (texts, back) = &threads[number % count];
            let Ok(text) = texts.recv() else { break };
            out.write_all(&text)?;
            drop(back.try_send(text));
        }
        Ok(())
    })
}
