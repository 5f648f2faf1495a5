//! Addresses on the command line: numbers, ranges and symbols.

use crate::output::notes;
use crate::trouble::Trouble;
use vmatlas::words::printable;
use vmatlas::{Atlas, Location};

/// The most mappings and gaps to report of a range.
const MAX_PARTS: usize = 256;

/// Parses all words before a target is read.
pub(crate) fn parse(words: &[String]) -> Result<Vec<Location>, Trouble> {
    let parse = |word: &String| match word.as_str() {
        "-" => Err(Trouble::new("- stands for addresses of standard input, and stands alone")),
        word => word.parse().map_err(|error| Trouble::new(format!("{error}"))),
    };
    words.iter().map(parse).collect()
}

/// The addresses of locations: of a range, where its mappings and gaps begin.
pub(crate) fn addresses(atlas: &Atlas, locations: &[Location]) -> Result<Vec<u64>, Trouble> {
    let mut addresses = Vec::new();
    for location in locations {
        let range = atlas.locate(location)?;
        let (parts, has_more) = atlas.parts_of(range, MAX_PARTS);
        if has_more {
            notes::note(&format!(
                "{}: only the first {MAX_PARTS} mappings and gaps of {range} are reported",
                printable(atlas.name().as_bytes())
            ));
        }
        addresses.extend(parts);
    }
    Ok(addresses)
}

/// The address of a location that is no range.
pub(crate) fn address(atlas: &Atlas, location: &Location) -> Result<u64, Trouble> {
    match location {
        Location::Range(range) => {
            let help = "give one address, or ask vmatlas at about the range";
            Err(Trouble::new(format!("{range} is a range, and one access is explained; {help}")))
        }
        location => Ok(atlas.locate(location)?.start),
    }
}
