//! The mappings, each with its origins.

use crate::output::fit::{Fit, columns};
use crate::output::style::{self, Paint};
use std::fmt::Write as _;
use vmatlas::words::{self, share, size};
use vmatlas::{Blame, Count, Piece};

/// The most functions on the line of an origin.
const IN_A_LINE: usize = 4;
/// The most origins to list for a mapping.
const OF_A_ROW: usize = 8;

/// Lists every mapping with its origins.
pub(super) fn write(text: &mut String, blame: &Blame<'_>, what: Count, paint: Paint) {
    let fit = Fit::of_stdout();
    for pieces in blame.pieces().chunk_by(|a, b| a.row == b.row) {
        let mapping = blame.mapping(&pieces[0]);
        let whole: u64 = pieces.iter().map(|piece| piece.range.size()).sum();
        let address = mapping.range.to_string();
        let facts = format!(" {:>6} {} ", size(mapping.range.size()), mapping.perms);
        let counted = match what {
            Count::Mapped => String::new(),
            _ => format!("  {} in memory", size(whole)),
        };
        let taken = [&address, &facts, &counted].map(|part| columns(part)).iter().sum();
        let name = fit.path(&words::name(mapping.name), fit.room(taken));
        let address = paint.paint(style::of(&mapping), &address);
        text.push_str(format!("{address}{facts}{name}{counted}").trim_end());
        text.push('\n');
        let mut origins: Vec<(u64, &Piece)> = Vec::new();
        for piece in pieces {
            match origins.iter_mut().find(|(_, known)| known.origin == piece.origin) {
                Some((bytes, _)) => *bytes += piece.range.size(),
                None => origins.push((piece.range.size(), piece)),
            }
        }
        origins.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        for (bytes, piece) in origins.iter().take(OF_A_ROW) {
            let part = if *bytes == whole {
                String::new()
            } else {
                format!("{} {} ", size(*bytes), share(*bytes, whole))
            };
            let line = format!(
                "    {part}{}",
                fit.shortened(&words::origin(&blame.made(piece), IN_A_LINE))
            );
            let _ = writeln!(text, "{}", fit.end(&line, fit.room(0)));
        }
        if origins.len() > OF_A_ROW {
            let _ = writeln!(text, "    and {} more", origins.len() - OF_A_ROW);
        }
    }
}
