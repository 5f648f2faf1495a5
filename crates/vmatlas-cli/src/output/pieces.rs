//! Many rows written by several threads.

use crate::cmd::view::Row;
use std::io::{self, Write};
use std::num::NonZero;
use std::thread;

/// How many rows one thread writes at a time; fewer are not worth a thread.
const PIECE: usize = 4096;

/// Writes rows in their order. `write_row` appends what stands for a row, given its place.
pub(crate) fn write(
    out: &mut impl Write,
    rows: &[Row<'_>],
    write_row: impl Fn(usize, &Row<'_>, &mut Vec<u8>) + Sync,
) -> io::Result<()> {
    let write_piece = |(number, piece): (usize, &[Row<'_>])| {
        let mut text = Vec::new();
        let places = number * PIECE..;
        places.zip(piece).for_each(|(place, row)| write_row(place, row, &mut text));
        text
    };
    let pieces: Vec<(usize, &[Row<'_>])> = rows.chunks(PIECE).enumerate().collect();
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    for round in pieces.chunks(threads) {
        let [round @ .., last] = round else { continue };
        let write_piece = &write_piece;
        thread::scope(|scope| {
            let others: Vec<_> =
                round.iter().map(|&piece| scope.spawn(move || write_piece(piece))).collect();
            let last = write_piece(*last);
            for other in others {
                out.write_all(
                    &other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                )?;
            }
            out.write_all(&last)
        })?;
    }
    Ok(())
}
