//! Many rows written by several threads.

use std::io::{self, Write};
use std::num::NonZero;
use std::sync::mpsc::sync_channel;
use std::thread;

/// How many rows a thread writes at a time; fewer are not worth a thread.
const PIECE: usize = 2048;

/// Writes rows, given by their index, in that order. `write_row` appends what stands for a row,
/// given its place among these and its index.
pub(super) fn write(
    out: &mut dyn Write,
    rows: &[usize],
    write_row: impl Fn(usize, usize, &mut Vec<u8>) + Sync,
) -> io::Result<()> {
    let write_piece = |(number, piece): (usize, &[usize])| {
        let mut text = Vec::new();
        let places = number * PIECE..;
        places.zip(piece).for_each(|(place, &row)| write_row(place, row, &mut text));
        text
    };
    let mut pieces = rows.chunks(PIECE).enumerate();
    if rows.len() <= PIECE {
        return pieces.try_for_each(|piece| out.write_all(&write_piece(piece)));
    }
    let count = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        // Each thread writes every so many pieces, and they are taken in turn.
        let threads: Vec<_> = (0..count)
            .map(|first| {
                let (sender, texts) = sync_channel(1);
                let (pieces, write_piece) = (pieces.clone(), &write_piece);
                let work = move || {
                    // Once nobody takes them any more, there is no need to go on.
                    pieces
                        .skip(first)
                        .step_by(count)
                        .try_for_each(|piece| sender.send(write_piece(piece)).ok())
                };
                scope.spawn(work);
                texts
            })
            .collect();
        for (number, _) in pieces {
            // A thread that panicked sends nothing, and its panic ends the scope.
            let Ok(text) = threads[number % count].recv() else { break };
            out.write_all(&text)?;
        }
        Ok(())
    })
}
