//! Laws that hold for all inputs, tested on random ones.

use proptest::collection::vec;
use proptest::prelude::*;
use vmatlas_maps::{
    AddressRange, Device, Diff, Found, KernelVersion, Mapping, Maps, MapsReader, Perms, TextFormat,
    WordSize, parse_row,
};

#[derive(Clone, Debug)]
struct Owned {
    range: AddressRange,
    perms: Perms,
    offset: u64,
    device: Device,
    inode: u64,
    name: Vec<u8>,
}

impl Owned {
    fn row(&self) -> Mapping<'_> {
        let Owned { range, perms, offset, device, inode, ref name } = *self;
        Mapping { range, perms, offset, device, inode, name }
    }
}

fn perms() -> impl Strategy<Value = Perms> {
    (any::<[bool; 3]>(), prop::sample::select(b"ps".as_slice())).prop_map(|([r, w, x], p)| {
        let letter = |set, letter| if set { letter } else { b'-' };
        Perms([letter(r, b'r'), letter(w, b'w'), letter(x, b'x'), p])
    })
}

/// Names as kernels print them: no line feed, no leading blank.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let path = vec(any::<u8>().prop_filter("escaped", |&b| b != b'\n' && b != 0), 0..40);
    let path = path.prop_map(|mut bytes| {
        bytes.insert(0, b'/');
        bytes
    });
    let words: [&[u8]; 9] = [
        b"",
        b"",
        b"[heap]",
        b"[stack]",
        b"[anon:x y]",
        b"anon_inode:[x]",
        b"/a (deleted)",
        b"/a\\012b",
        b"socket:[7]",
    ];
    prop_oneof![path, prop::sample::select(words.map(<[u8]>::to_vec).to_vec())]
}

fn number() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0..64u32).prop_map(|(n, shift)| n >> shift)
}

fn mapping() -> impl Strategy<Value = Owned> {
    let device = (0..0x1000u32, 0..0x10_0000u32).prop_map(|(major, minor)| Device { major, minor });
    (number(), number(), perms(), number(), device, number(), name()).prop_map(
        |(a, b, perms, offset, device, inode, name)| {
            let range = AddressRange::new(a.min(b), a.max(b));
            Owned { range, perms, offset, device, inode, name }
        },
    )
}

/// An ordered map of small rows.
fn world() -> impl Strategy<Value = Vec<Owned>> {
    vec((0..3u64, 0..3u64, mapping()), 0..12).prop_map(|rows| {
        let mut at = 0;
        let place = |(gap, pages, mut row): (u64, u64, Owned)| {
            row.range = AddressRange::new(at + gap, at + gap + pages);
            at = row.range.end;
            row
        };
        rows.into_iter().map(place).collect()
    })
}

fn maps(rows: &[Owned]) -> Maps {
    rows.iter().map(Owned::row).collect()
}

/// The kernel's format strings, translated to Rust's.
fn kernel_prints(row: &Mapping<'_>, word_size: WordSize) -> Vec<u8> {
    let Mapping { range, perms, offset, device: Device { major, minor }, inode, name } = row;
    let (start, end) = (range.start, range.end);
    let mut line =
        format!("{start:08x}-{end:08x} {perms} {offset:08x} {major:02x}:{minor:02x} {inode} ")
            .into_bytes();
    if !name.is_empty() {
        let width = 25 + usize::from(word_size.bits()) / 8 * 6 - 1;
        line.resize(line.len().max(width), b' ');
        line.push(b' ');
        line.extend_from_slice(name);
    }
    line.push(b'\n');
    line
}

fn formats() -> impl Strategy<Value = TextFormat> {
    let versions = prop::sample::select(vec![
        (2, 2, 0),
        (2, 4, 0),
        (2, 6, 5),
        (2, 6, 39),
        (4, 4, 0),
        (6, 18, 0),
    ]);
    let word_sizes = prop::sample::select(vec![WordSize::Bits32, WordSize::Bits64]);
    (versions, word_sizes).prop_map(|((major, minor, patch), word_size)| {
        TextFormat::of(KernelVersion::new(major, minor, patch), word_size)
    })
}

fn naive_find(rows: &[Owned], address: u64) -> Found {
    let mapping = rows.iter().position(|row| row.range.start <= address && address < row.range.end);
    let (low, high) =
        mapping.map_or((address, address + 1), |i| (rows[i].range.start, rows[i].range.end));
    let mut place = Found::default();
    place.mapping = mapping;
    for (i, row) in rows.iter().enumerate().filter(|(i, _)| Some(*i) != mapping) {
        if row.range.end <= low && place.before.is_none_or(|b| rows[b].range.end <= row.range.end) {
            place.before = Some(i);
        }
        if row.range.start >= high
            && place.after.is_none_or(|a| row.range.start < rows[a].range.start)
        {
            place.after = Some(i);
        }
    }
    place
}

proptest! {
    #[test]
    fn parse_gives_back_what_was_rendered(row in mapping(), format in formats()) {
        let row = row.row();
        prop_assume!(!format.narrow_offset || row.offset <= u64::from(u32::MAX));
        // 2.4 writes no blank if the fields reach the column.
        prop_assume!(format.trailing_blank || row.device.major < 0x100 && row.device.minor < 0x100 && row.inode < 1 << 32
            && (format.word_size == WordSize::Bits64 || row.range.end <= 0xffff_ffff && row.offset <= 0xffff_ffff));
        let mut line = Vec::new();
        format.write_row(&row, &mut line);
        prop_assert_eq!(line.pop(), Some(b'\n'));
        prop_assert_eq!(parse_row(&line), Ok(row));
    }

    #[test]
    fn rendered_is_what_a_kernel_prints(row in mapping(), word_size in prop::sample::select(vec![WordSize::Bits32, WordSize::Bits64])) {
        let mut line = Vec::new();
        TextFormat::today(word_size).write_row(&row.row(), &mut line);
        prop_assert_eq!(line, kernel_prints(&row.row(), word_size));
    }

    #[test]
    fn a_text_renders_to_itself(rows in world(), word_size in prop::sample::select(vec![WordSize::Bits32, WordSize::Bits64])) {
        // Rows whose fields reach the column do not show the word size.
        let rows: Vec<_> = rows.into_iter().filter(|row| row.inode < 1000 && row.offset < 1 << 32).collect();
        let text: Vec<u8> = rows.iter().flat_map(|row| kernel_prints(&row.row(), word_size)).collect();
        let maps = MapsReader::read(&text);
        let rendered = maps.render(maps.format(), None);
        prop_assert_eq!(rendered.escape_ascii().to_string(), text.escape_ascii().to_string());
    }

    #[test]
    fn fast_and_patient_parsers_agree(line in "[0-9a-f]{11,13}-[0-9a-f]{12} [r-][w-][x-][ps] [0-9a-fA-F]{7,9} [0-9a-f]{2}:[0-9a-f]{2,3} {1,2}[0-9]{1,3}( {1,40}/x)?") {
        // An extra blank before the permissions forces the general parser.
        let patient = line.replacen(' ', "  ", 1);
        let shown = |line: &str| {
            let row = parse_row(line.as_bytes()).map_err(|error| error.kind)?;
            Ok::<_, vmatlas_maps::RowErrorKind>(format!("{:?}", Mapping { name: row.name.trim_ascii(), ..row }))
        };
        prop_assert_eq!(shown(&line), shown(&patient));
    }

    #[test]
    fn nothing_panics(text in vec(prop::sample::select(b"0f- rwxps:/[]\n\r\t\xff".as_slice()), 0..200)) {
        let maps = MapsReader::read(&text);
        maps.render(maps.format(), None);
        maps.iter().for_each(|row| { row.kind(); row.file_name(); });
    }

    #[test]
    fn pieces_make_the_whole(text in vec(prop::sample::select(b"0f- rwp:\n".as_slice()), 0..100), cut in 0..100usize) {
        let cut = cut.min(text.len());
        let mut reader = vmatlas_maps::MapsReader::default();
        reader.push(&text[..cut]);
        reader.push(&text[cut..]);
        let (pieces, whole) = (reader.finish(), MapsReader::read(&text));
        prop_assert!(pieces.iter().eq(whole.iter()));
        prop_assert_eq!(pieces.warnings(), whole.warnings());
    }

    #[test]
    fn find_is_a_linear_scan(rows in world(), swap in any::<bool>(), address in 0..50u64) {
        let mut rows = rows;
        if swap && rows.len() > 1 {
            rows.swap(0, 1);
        }
        prop_assert_eq!(maps(&rows).find(address), naive_find(&rows, address));
    }

    #[test]
    fn a_diff_applied_to_the_first_gives_the_second(a in world(), b in world(), keep in vec(any::<bool>(), 12)) {
        // Some rows of the first map are in the second too, at other addresses.
        let mut b = b;
        for ((from, to), _) in a.iter().zip(&mut b).zip(&keep).filter(|(_, keep)| **keep) {
            *to = Owned { range: to.range, ..from.clone() };
        }
        let (a, b) = (maps(&a), maps(&b));
        let diff = Diff::compare(&a, &b);
        let applied = diff.apply(&a);
        let sorted = |maps: &Maps| {
            let mut rows: Vec<_> = maps.iter().map(|row| format!("{row:?}")).collect();
            rows.sort();
            rows
        };
        prop_assert_eq!(sorted(&applied), sorted(&b));
        prop_assert!(Diff::compare(&b, &applied).is_empty());
    }
}
