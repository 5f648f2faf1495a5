//! Laws that more than one fuzz target asserts.

mod bounds;

pub use bounds::bounded;

use vmatlas_maps::{
    Found, Mapping, Maps, MapsReader, SmapsField, TextFormat, WarningKind, WordSize,
};

/// Reads a text as maps.
pub fn read(text: &[u8]) -> Maps {
    let maps = MapsReader::read(text);
    assert!(maps.warnings().len() <= 201, "warnings are bounded");
    let lines = text.split(|&b| b == b'\n').count();
    assert!(maps.len() <= lines || is_wrapped(&maps), "at most a row from each line");
    assert!(maps.get(maps.len()).is_none());
    maps
}

/// Whether rows were wrapped in something, so that they need not stand in the text as they are.
pub fn is_wrapped(maps: &Maps) -> bool {
    maps.warnings().iter().any(|warning| {
        matches!(
            warning.kind,
            WarningKind::Wrapped(_) | WarningKind::More(_) | WarningKind::CarriageReturns
        )
    })
}

/// A number below `count` that depends on all bytes, to choose what to check with an input: every
/// check is made, each with a part of the inputs.
pub fn pick(bytes: &[u8], count: usize) -> usize {
    hash(bytes) % count
}

fn hash(bytes: &[u8]) -> usize {
    let hash =
        bytes.iter().fold(bytes.len(), |sum, &b| sum.wrapping_mul(31).wrapping_add(b.into()));
    // The low bits alone depend on few bytes.
    hash ^ hash >> 17 ^ hash >> 34
}

/// A text in two or in many pieces has the same rows as the whole text.
pub fn pieces_make_the_whole(text: &[u8], whole: &Maps) {
    let cut = hash(text);
    if cut % 2 == 0 {
        let (front, back) = text.split_at(cut / 2 % (text.len() + 1));
        same(&pushed([front, back]), whole);
    } else {
        same(&pushed(text.chunks(cut / 2 % 97 + 1)), whole);
    }
}

fn pushed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Maps {
    let mut reader = MapsReader::default();
    pieces.into_iter().for_each(|piece| reader.push(piece));
    reader.finish()
}

fn same(pieces: &Maps, whole: &Maps) {
    same_rows(pieces, whole);
    assert_eq!(pieces.warnings(), whole.warnings());
    assert_eq!(pieces.format(), whole.format());
}

/// Asserts that rows and fields are the same.
pub fn same_rows(a: &Maps, b: &Maps) {
    if let Some((a, b)) = a.iter().zip(b.iter()).find(|(a, b)| a != b) {
        panic!("rows differ:\n{}\n{}", shown(&a), shown(&b));
    }
    assert_eq!(a.len(), b.len());
    for index in 0..a.len() {
        let (a, b): (Vec<SmapsField<'_>>, Vec<_>) =
            (a.fields(index).collect(), b.fields(index).collect());
        assert_eq!(a, b, "fields of row {index}");
    }
}

fn shown(row: &Mapping<'_>) -> String {
    let name = row.name.escape_ascii();
    format!("{} {} {:x} {} {} \"{name}\"", row.range, row.perms, row.offset, row.device, row.inode)
}

/// Rows that are rendered and parsed again are the same rows, and rendering again changes no byte.
pub fn rendered_rows_come_back(maps: &Maps) {
    if maps.iter().any(|row| beyond_kernels(&row)) {
        return;
    }
    let formats = [TextFormat::today(WordSize::Bits64), maps.format()];
    // One of them for each input.
    for format in [formats[maps.iter().next().map_or(0, |row| row.range.start >> 12) as usize & 1]]
    {
        // A name that begins with blanks shows its start only by its column.
        let lost = |row: &Mapping<'_>| {
            row.name.starts_with(b" ")
                && fields_width(row, format) + 1 >= format.word_size.name_column()
        };
        if maps.iter().any(|row| lost(&row)) {
            continue;
        }
        let text = maps.render(format, None);
        let again = read(&text);
        if is_wrapped(&again) || maps.iter().any(|row| row.name.starts_with(b"\t")) {
            continue;
        }
        same_rows(&again, maps);
        // Whether the kernel escapes line feeds is taken from all rows of a text, odd ones too.
        let escaped = |maps: &Maps| maps.format().escaped;
        let rendered = again.render(format, None);
        assert!(
            rendered == text || escaped(maps) != escaped(&again),
            "{}\n{}",
            rendered.escape_ascii(),
            text.escape_ascii()
        );
        for warning in again.warnings() {
            let of_rows = matches!(
                warning.kind,
                // Among fields of smaps, what no kernel prints may look like a damaged row.
                WarningKind::BadRow(_)
                    | WarningKind::Overlap { .. }
                    | WarningKind::StartsOver
                    | WarningKind::Empty(_)
                    | WarningKind::Huge(_)
                    | WarningKind::More(_)
                    | WarningKind::NamesEndIn(_)
                    | WarningKind::OddNames { .. }
                    | WarningKind::NoNames(_)
                    | WarningKind::PerhapsBroken(_)
                    | WarningKind::Rollups(_)
                    | WarningKind::RollupOfRows
                    | WarningKind::BadSize(_)
            );
            assert!(of_rows, "{warning}");
        }
    }
}

/// Whether a row has no unambiguous text: its name ends like a line from Windows, or begins with
/// blanks after a device that no kernel has.
fn beyond_kernels(row: &Mapping<'_>) -> bool {
    row.name.ends_with(b"\r")
        || row.name.starts_with(b" ") && (row.device.major | row.device.minor) >> 20 != 0
}

fn fields_width(row: &Mapping<'_>, format: TextFormat) -> usize {
    let mut line = Vec::new();
    format.write_row(&Mapping { name: b"", ..*row }, &mut line);
    line.trim_ascii_end().len()
}

/// The lookup of an address equals a scan of all rows; checked at the edges of rows.
pub fn find_is_a_scan(maps: &Maps) {
    for row in maps.iter().take(5) {
        for address in [
            row.range.start.wrapping_sub(1),
            row.range.start,
            row.range.end.wrapping_sub(1),
            row.range.end,
        ] {
            let Found { mapping, before, after, .. } = maps.find(address);
            assert_eq!(
                mapping,
                maps.iter().position(|row| row.range.contains(address)),
                "at {address:x}"
            );
            let (low, high) = mapping
                .and_then(|i| maps.get(i))
                .map_or((address, address), |row| (row.range.start, row.range.end));
            let others = || {
                maps.iter()
                    .enumerate()
                    .filter(|(i, _)| Some(*i) != mapping)
                    .map(|(_, row)| row.range)
            };
            let end = |i: usize| maps.get(i).map(|row| row.range.end);
            let start = |i: usize| maps.get(i).map(|row| row.range.start);
            assert_eq!(
                before.and_then(end),
                others().map(|r| r.end).filter(|&end| end <= low).max(),
                "before {address:x}"
            );
            let above =
                |start: &u64| if mapping.is_some() { *start >= high } else { *start > high };
            assert_eq!(
                after.and_then(start),
                others().map(|r| r.start).filter(above).min(),
                "after {address:x}"
            );
        }
    }
}

/// The kind of a row agrees with its name.
pub fn names_are_understood(maps: &Maps) {
    for row in maps.iter() {
        assert!(vmatlas_maps::Kind::WORDS.contains(&row.kind().word()));
        let Some(file) = row.file_name() else { continue };
        let stripped = if file.deleted == Some(false) {
            row.name
        } else {
            row.name.strip_suffix(b" (deleted)").unwrap()
        };
        assert_eq!(file.path, vmatlas_maps::restore_line_feeds(stripped));
        let is_whole = file.path.starts_with(b"/") && !file.path.contains(&b'\n');
        assert_eq!(file.ambiguous, file.deleted.is_none() || !is_whole);
    }
}

/// Takes values from bytes; zeros at their end.
pub struct Take<'a>(pub &'a [u8]);

impl Take<'_> {
    /// Whether all bytes are taken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Fewer than `most` bytes, after their number.
    pub fn bytes(&mut self, most: u8) -> Vec<u8> {
        (0..self.byte() % most).map(|_| self.byte()).collect()
    }

    /// A number of up to 64 bits, which may be small or at an edge.
    pub fn word(&mut self) -> u64 {
        match self.byte() {
            small @ 0..128 => u64::from(small),
            shift @ 128..192 => 1 << (shift - 128),
            192..224 => u64::from(self.byte()) << 12,
            224 => u64::MAX,
            225 => i64::MAX as u64,
            _ => u64::from_le_bytes(std::array::from_fn(|_| self.byte())),
        }
    }
}
