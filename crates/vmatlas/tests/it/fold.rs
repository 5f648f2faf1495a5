//! Laws of folds, on the captures and on random rows.

use std::io::Write as _;
use vmatlas::{Atlas, By, Fold, Folded, Folds, MapTotals, open};

fn atlas(text: &str) -> Atlas {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    open(file.path().to_str().unwrap()).unwrap()
}

/// Each row is in one fold, and a fold states the sums and the permissions of its rows.
#[track_caller]
fn laws(atlas: &Atlas) -> Vec<Fold<'_>> {
    let all: Vec<Fold<'_>> = Folds::of(atlas).iter().collect();
    let mut next = 0;
    for fold in &all {
        assert_eq!(fold.rows.start, next);
        next = fold.rows.end;
        let rows: Vec<_> = fold.rows.clone().map(|index| atlas.row(index).unwrap()).collect();
        assert_eq!(fold.size, rows.iter().map(|row| row.range.size()).sum::<u64>());
        assert_eq!(fold.sizes.rss, rows.iter().filter_map(|row| row.rss()).reduce(|a, b| a + b));
        assert_eq!(fold.sizes.uss, rows.iter().filter_map(|row| row.uss()).reduce(|a, b| a + b));
        assert!(rows.iter().all(|row| fold.perms.contains(&row.perms)));
        assert!(fold.perms.iter().all(|perms| rows.iter().any(|row| row.perms == *perms)));
        let is_code = |row: &vmatlas::Row<'_>| row.perms.write() && row.perms.execute();
        assert_eq!(fold.has_writable_code, rows.iter().any(is_code));
        assert_eq!(fold.what == Folded::Nothing, rows.len() == 1);
        assert_eq!(fold.range.start, rows[0].range.start);
        let gaps = rows.windows(2).map(|two| two[1].range.start.saturating_sub(two[0].range.end));
        assert_eq!(fold.gaps(), gaps.sum::<u64>());
        if fold.what == Folded::Purpose {
            let labelled: u64 = fold.groups.iter().map(|part| part.size).sum();
            let unnamed = rows.iter().filter(|row| !row.shows_its_purpose());
            let size: u64 = unnamed.map(|row| row.range.size()).sum();
            assert_eq!(labelled + fold.unexplained, size);
        }
    }
    assert_eq!(next, atlas.rows().len());
    let rows: Vec<usize> = (0..next).collect();
    assert_eq!(Folds::unfolded(atlas, &rows).len(), next);
    all
}

#[test]
fn folds_of_captures_lose_nothing() {
    let captures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/captures");
    let mut folded = 0;
    for entry in std::fs::read_dir(captures).unwrap() {
        let path = entry.unwrap().path();
        let Ok(atlas) = open(path.to_str().unwrap()) else { continue };
        folded += laws(&atlas).iter().filter(|fold| fold.what != Folded::Nothing).count();
        for by in [By::Kind, By::Label, By::File, By::Image, By::Perms] {
            let totals = MapTotals::of(&atlas, by, |_| true);
            let sum: u64 = totals.groups.iter().map(|group| group.total.size).sum();
            assert_eq!(sum, totals.all.size, "{} {by:?}", path.display());
        }
    }
    assert!(folded > 20, "{folded}");
}

/// Rows that differ at random in all that folds look at.
#[test]
fn folds_of_random_rows_lose_nothing() {
    let mut state = 7_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % below
    };
    for _ in 0..50 {
        let mut start = 0x1000_0000_u64;
        let mut text = String::new();
        for _ in 0..200 {
            start += random(3) / 2 * 0x3000;
            let end = start + 0x1000 * (1 + random(3));
            let perms = ["r--p", "rw-p", "r-xp", "rwxp", "---p"][random(5) as usize];
            let (inode, name) = match random(6) {
                0 => (1, "/a"),
                1 => (2, "/b"),
                2 => (0, "[heap]"),
                3 => (0, "[anon:x]"),
                _ => (0, ""),
            };
            text.push_str(&format!("{start:x}-{end:x} {perms} 00000000 08:01 {inode} {name}\n"));
            start = end;
        }
        laws(&atlas(&text));
    }
}

#[test]
fn what_is_folded() {
    let row = |start: u64, perms: &str, inode: u64, name: &str| {
        format!("{start:x}-{:x} {perms} 00000000 08:01 {inode} {name}\n", start + 0x1000)
    };
    let lengths = |rows: &[String]| -> Vec<usize> {
        laws(&atlas(&rows.concat())).iter().map(|fold| fold.rows.len()).collect()
    };
    // Segments of a file, whatever their permissions; two files are two lines.
    let files = [(1, "/a"), (1, "/a"), (2, "/b"), (2, "/b"), (3, "/b")];
    let rows: Vec<String> = (0..)
        .zip(files)
        .map(|(at, (inode, name))| row(0x10000 + at * 0x1000, "r-xp", inode, name))
        .collect();
    assert_eq!(lengths(&rows), [2, 2, 1]);
    // Two equal rows are shown; three are one line. A map that starts again begins a line.
    let anonymous = |at: u64| row(0x10000 + at * 0x2000, "rw-p", 0, "");
    assert_eq!(lengths(&[0, 1].map(anonymous)), [1, 1]);
    assert_eq!(lengths(&[0, 1, 2].map(anonymous)), [3]);
    let again = [5, 6, 7, 0, 1, 2].map(anonymous);
    assert!(lengths(&again).iter().all(|length| *length <= 3));
}
