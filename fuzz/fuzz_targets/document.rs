//! Fuzzes the reader of documents of JSON, and what commands ask of what it read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmatlas::{By, FIELDS, MapTotals};

fuzz_target!(|bytes: &[u8]| vmatlas_fuzz::bounded(|| check(bytes)));

fn check(bytes: &[u8]) {
    let Ok(atlas) = vmatlas::fuzzing::document(bytes) else { return };
    let maps = atlas.maps();
    assert!(maps.len() <= bytes.len() / 20, "a mapping takes at least 20 bytes");
    let labels: Vec<_> = atlas.labels().iter().collect();
    assert!(labels.windows(2).all(|two| two[0].range.end <= two[1].range.start));
    for row in atlas.rows() {
        for field in FIELDS {
            field.value(&row).text();
        }
        let _ = (row.label(), row.label_text(), row.to_string(), row.sections());
    }
    let totals = MapTotals::of(&atlas, By::Kind, |_| true);
    let counted = totals.groups.iter().map(|group| group.total.mappings).sum::<u64>();
    assert!(counted <= maps.len() as u64, "a mapping has one kind");
    maps.render(maps.format(), None);
    let addresses = maps.iter().take(8).flat_map(|row| [row.range.start, row.range.end]);
    assert_eq!(atlas.at_all(&addresses.collect::<Vec<_>>()).len(), 2 * maps.len().min(8));
    for note in atlas.notes() {
        let _ = (note.word(), note.line(), note.to_string());
    }
}
