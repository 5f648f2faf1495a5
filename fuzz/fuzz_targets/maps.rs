//! Fuzzes maps: the bytes follow a row, so that they are read as maps.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmatlas_fuzz as laws;
use vmatlas_maps::{
    Diff, Group, KernelVersion, Mapping, Maps, RowErrorKind, TextFormat, Totals, Warning,
    WarningKind, WordSize,
};

fuzz_target!(|text: &[u8]| vmatlas_fuzz::bounded(|| check(text)));

fn check(text: &[u8]) {
    let maps = laws::read(text);
    laws::pieces_make_the_whole(text, &maps);
    laws::rendered_rows_come_back(&maps);
    laws::find_is_a_scan(&maps);
    laws::names_are_understood(&maps);
    rows_are_those_of_the_reader(text, &maps);
    // What costs most, by turns.
    if laws::pick(text, 2) == 0 {
        a_kernel_prints_every_row(text, &maps);
        let totals = Totals::sum(&maps, Group::Name, |_| true);
        let counted = totals.groups.iter().map(|group| group.mappings).sum::<u64>();
        assert_eq!(counted, maps.len() as u64);
    } else {
        a_diff_leads_from_one_to_the_other(&maps);
    }
}

/// `rows` reads eight digits at once, whole lines or not; `MapsReader` reads line by line.
fn rows_are_those_of_the_reader(text: &[u8], maps: &Maps) {
    let first = text.split(|&b| b == b'\n').find(|line| !line.is_empty());
    // The reader takes off what wraps rows, such as the ends of lines of Windows, and tabs before
    // names.
    let has_tab = |row: Mapping<'_>| row.name.starts_with(b"\t");
    // Permissions that no kernel prints are a row only in a text of nothing else.
    let has_odd_perms = |warning: &Warning| matches!(&warning.kind, WarningKind::BadRow(error) if error.kind == RowErrorKind::Perms);
    let is_wrapped = text.contains(&b'\r')
        || laws::is_wrapped(maps)
        || maps.warnings().iter().any(has_odd_perms)
        || vmatlas_maps::rows(text).filter_map(Result::ok).any(has_tab);
    // A first row in markup makes the whole a text, in which rows need not begin their lines.
    let is_row = |line| vmatlas_maps::parse_row(line).is_ok_and(|row| !row.name.ends_with(b">"));
    if is_wrapped || !first.is_some_and(is_row) {
        return;
    }
    assert!(vmatlas_maps::rows(text).filter_map(Result::ok).eq(maps.iter()));
    let lines = text.split(|&b| b == b'\n').filter(|line| !line.is_empty());
    assert!(vmatlas_maps::rows(text).eq(lines.map(vmatlas_maps::parse_row)));
}

/// Each text is rendered for one kernel.
fn a_kernel_prints_every_row(text: &[u8], maps: &Maps) {
    let versions = ["2.0.40", "2.4.37", "2.6.9", "2.6.39", "4.4", "6.18"];
    let version: KernelVersion = versions[text.len() % versions.len()].parse().unwrap();
    let word_size = if text.len() % 4 < 2 { WordSize::Bits32 } else { WordSize::Bits64 };
    let text = maps.render(TextFormat::of(version, word_size), Some(version));
    assert!(text.iter().filter(|&&b| b == b'\n').count() >= maps.len());
}

fn a_diff_leads_from_one_to_the_other(maps: &Maps) {
    let part = |rest: usize| {
        maps.iter().enumerate().filter(move |(i, _)| i % 3 != rest).map(|(_, row)| row)
    };
    let (first, second): (Maps, Maps) = (part(1).collect(), part(2).collect());
    let diff = Diff::compare(&first, &second);
    let applied = diff.apply(&first);
    assert!(sorted(&applied) == sorted(&second));
    // Rows without a name are identified by the row before them, so their order matters.
    if second.is_ordered() && second.iter().all(|row| row.range.size() > 0) {
        assert!(Diff::compare(&applied, &second).is_empty());
    }
}

fn sorted(maps: &Maps) -> Vec<Mapping<'_>> {
    let mut rows: Vec<_> = maps.iter().collect();
    rows.sort_unstable_by_key(|row| {
        (row.range, row.offset, row.perms, row.device, row.inode, row.name)
    });
    rows
}
