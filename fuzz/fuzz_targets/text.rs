//! Fuzzes texts in which rows may stand.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmatlas_fuzz as laws;
use vmatlas_maps::{Mapping, Maps};

fuzz_target!(|bytes: &[u8]| vmatlas_fuzz::bounded(|| check(bytes)));

fn check(bytes: &[u8]) {
    // After such a line the rest is read as a text with rows in it, not as a listing.
    let text = [b"Memory map:\n", bytes].concat();
    let maps = laws::read(&text);
    laws::pieces_make_the_whole(&text, &maps);
    laws::rendered_rows_come_back(&maps);
    laws::names_are_understood(&maps);
    found_rows_stand_there(&text, &maps);
    rows_of_a_listing_are_found(bytes, &maps);
    vmatlas_maps::other_listing(&text);
}

/// No row is invented: a name is part of the text, and only letters of perms stand after them.
fn found_rows_stand_there(text: &[u8], maps: &Maps) {
    for row in maps.iter() {
        assert!(plausible(&row), "{row:?}");
    }
    if laws::is_wrapped(maps) {
        return;
    }
    for row in maps.iter().filter(|row| !row.name.is_empty()).take(5) {
        assert!(text.windows(row.name.len()).any(|part| part == row.name));
    }
}

fn plausible(row: &Mapping<'_>) -> bool {
    let [r, w, x, p] = row.perms.0;
    b"r-".contains(&r) && b"w-".contains(&w) && b"x-".contains(&x) && b"psS-?".contains(&p)
}

/// Every line that is a row by itself is also found in a text, in the same order.
fn rows_of_a_listing_are_found(bytes: &[u8], found: &Maps) {
    if bytes.contains(&b'\r') || laws::is_wrapped(found) {
        return;
    }
    let mut found = found.iter();
    // In a text, a tab before the name separates fields, and no address has more than 16 digits.
    let has_tab = |row: &Mapping<'_>| row.name.starts_with(b"\t");
    let short = |line: &&[u8]| line.iter().position(|&b| b == b'-').is_some_and(|at| at <= 16);
    let lines = bytes.split(|&b| b == b'\n').filter(short);
    let rows = lines.filter_map(|line| vmatlas_maps::parse_row(line).ok());
    for row in rows.filter(plausible).filter(|row| !has_tab(row)) {
        assert!(found.any(|other| other == row), "{row:?}");
    }
}
