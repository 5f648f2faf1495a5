//! Fuzzes rows with smaps fields below.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmatlas_fuzz as laws;
use vmatlas_maps::{Group, Maps, SmapsValue, Totals};

fuzz_target!(|text: &[u8]| vmatlas_fuzz::bounded(|| check(text)));

fn check(text: &[u8]) {
    // Begin with a row, so that fields at the start of the input belong to one.
    let text = [b"10000000-10001000 rw-p 00000000 00:00 0 \n", text].concat();
    let maps = laws::read(&text);
    laws::pieces_make_the_whole(&text, &maps);
    laws::rendered_rows_come_back(&maps);
    fields_have_their_shape(&maps);
    totals_are_sums(&maps);
}

fn fields_have_their_shape(maps: &Maps) {
    let count: usize = (0..maps.len() + 2).map(|index| maps.fields(index).count()).sum();
    assert_eq!(count > 0, maps.has_fields());
    for field in (0..maps.len()).flat_map(|index| maps.fields(index)) {
        assert!(field.name.first().is_some_and(u8::is_ascii_alphabetic));
        match field.value {
            SmapsValue::Kib(kib) => {
                assert_eq!(field.value.number(), Some(kib.saturating_mul(1024)))
            }
            SmapsValue::Number(number) => assert_eq!(field.value.number(), Some(number)),
            SmapsValue::Flags(flags) => flags.iter().for_each(|flag| {
                assert!(!flag.is_empty() && !flag.contains(&b' '));
                assert!(vmatlas_maps::vm_flag_meaning(flag).is_none_or(|_| flag.len() == 2));
            }),
            // Other blanks than the kernel's.
            SmapsValue::Text(text) => {
                assert!(field.value.number().is_none() || text.trim_ascii().ends_with(b" kB"))
            }
            _ => assert_eq!(field.value.number(), None),
        }
    }
}

fn totals_are_sums(maps: &Maps) {
    let totals = Totals::sum(maps, Group::Perms, |index| index % 2 == 0);
    let sum = |sizes: &mut dyn Iterator<Item = u64>| sizes.fold(0, u64::saturating_add);
    let rows = || maps.iter().step_by(2);
    assert_eq!(totals.all.mappings, rows().count() as u64);
    assert_eq!(totals.all.size, sum(&mut rows().map(|row| row.range.size())));
    assert_eq!(totals.all.size, sum(&mut totals.groups.iter().map(|group| group.size)));
    // A rollup beside rows sums them up.
    let is_sum = |index| {
        maps.get(index).is_some_and(|row| row.is_rollup())
            && maps.iter().any(|row| !row.is_rollup())
    };
    let rss = |index| {
        let mut fields = maps.fields(index).filter(|field| field.name == b"Rss" && !is_sum(index));
        fields.find_map(|field| field.value.number())
    };
    let known = (0..maps.len()).step_by(2).filter_map(rss).reduce(u64::saturating_add);
    assert_eq!(totals.all.sizes.rss, known);
    let groups = totals.groups.iter().filter_map(|group| group.sizes.rss);
    assert_eq!(groups.reduce(u64::saturating_add), known);
}
