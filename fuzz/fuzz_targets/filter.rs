//! Fuzzes filter expressions on rows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use vmatlas_maps::{FieldRow, Filter, Mapping, Maps};

static ROWS: LazyLock<Maps> = LazyLock::new(|| {
    Maps::parse(
        b"00400000-00401000 r-xp 00001000 fe:00 42                         /usr/bin/cat\n\
        Rss:                  12 kB\n\
        00600000-00a00000 rwxp 00000000 00:00 0 \n\
        01000000-01001000 rw-p 00000000 00:00 0                          [heap]\n\
        Pss:                   8 kB\n\
        02000000-02001000 r--p 00000000 fe:00 43                         /usr/l\xffb/a\tb(c (deleted)\n\
        ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n",
    ).unwrap()
});

struct Row(usize);

impl FieldRow for Row {
    fn mapping(&self) -> Mapping<'_> {
        ROWS.get(self.0).expect("one of the rows")
    }

    fn smaps(&self, name: &str) -> Option<u64> {
        let mut fields = ROWS.fields(self.0);
        fields.find(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))?.value.number()
    }
}

fn taken(filter: &Filter) -> Vec<bool> {
    (0..ROWS.len()).map(|index| filter.matches(&Row(index))).collect()
}

fuzz_target!(|text: &str| vmatlas_fuzz::bounded(|| check(text)));

fn check(text: &str) {
    let filter = match text.parse::<Filter>() {
        Ok(filter) => filter,
        Err(error) => {
            let columns = 1..=text.chars().count() + 1;
            assert!(columns.contains(&error.column), "column {} of {columns:?}", error.column);
            assert!(
                !error.message.is_empty() && !error.message.contains('\n'),
                "{:?}",
                error.message
            );
            // Leading blanks move the position of the error and change nothing else.
            let moved = format!("  {text}").parse::<Filter>().map(|_| ()).unwrap_err();
            assert_eq!(moved.message, error.message);
            let place_after_blanks = text.trim_start().is_empty();
            assert!(moved.column == error.column + 2 || place_after_blanks);
            return;
        }
    };
    let taken_by = |text: String| match text.parse::<Filter>() {
        Ok(filter) => Some(taken(&filter)),
        Err(error) if error.message == "too deeply nested" => None,
        Err(error) => panic!("{text}: {error}"),
    };
    let plain = taken(&filter);
    let opposite: Vec<bool> = plain.iter().map(|taken| !taken).collect();
    // One of the laws for each text: most of the time goes into the automata of patterns.
    let (expression, expect) = match vmatlas_fuzz::pick(text.as_bytes(), 7) {
        0 => (format!("({text})"), plain),
        1 => (format!("not ({text})"), opposite),
        2 => (format!("!!({text})"), plain),
        3 => (format!("({text}) and ({text})"), plain),
        4 => (format!("({text})||size<0"), plain),
        5 => (format!("{text} or not size >= 0"), plain),
        _ => (format!("({text}) and size<0"), vec![false; ROWS.len()]),
    };
    assert!(taken_by(expression.clone()).is_none_or(|taken| taken == expect), "{expression}");
}
