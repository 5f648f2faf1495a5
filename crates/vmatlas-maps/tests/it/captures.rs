//! Output of real kernels: parsed and rendered back, the bytes are the same.

use std::path::PathBuf;
use vmatlas_maps::{MapsReader, WordSize};

pub(crate) fn capture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/captures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const CAPTURES: [(&str, WordSize); 7] = [
    ("zoo-x86_64-6.18", WordSize::Bits64),
    ("zoo-x86_64-6.12-anon-names", WordSize::Bits64),
    ("zoo-i386-on-x86_64-6.1", WordSize::Bits64),
    ("busybox-i386-6.1", WordSize::Bits32),
    ("busybox-armhf-6.1", WordSize::Bits32),
    ("busybox-arm64-6.1", WordSize::Bits64),
    ("busybox-ppc64el-6.1", WordSize::Bits64),
];

#[track_caller]
fn same(name: &str, text: &[u8], rendered: &[u8]) {
    let differs =
        text.split(|&b| b == b'\n').zip(rendered.split(|&b| b == b'\n')).position(|(a, b)| a != b);
    assert!(text == rendered, "{name}: line {:?} differs", differs.map(|at| at + 1));
}

#[test]
fn captures_render_to_their_bytes() {
    for (name, word_size) in CAPTURES {
        for suffix in ["maps", "smaps"] {
            let file = format!("{name}.{suffix}");
            let text = capture(&file);
            let maps = MapsReader::read(&text);
            assert_eq!(maps.warnings(), [], "{file}");
            assert_eq!(maps.format().word_size, word_size, "{file}");
            assert_eq!(maps.has_fields(), suffix == "smaps");
            same(&file, &text, &maps.render(maps.format(), None));
        }
    }
}

#[test]
fn a_capture_read_in_pieces_is_the_same() {
    let text = capture("zoo-x86_64-6.18.smaps");
    for piece in [1, 7, 80, 4096] {
        let mut reader = vmatlas_maps::MapsReader::default();
        text.chunks(piece).for_each(|bytes| reader.push(bytes));
        let maps = reader.finish();
        same("pieces", &text, &maps.render(maps.format(), None));
    }
}

/// Compares rows with the process's own record: `.truth` has a line for each mapping that the
/// process made.
#[test]
fn kinds_are_what_the_process_had_made() {
    let expected = |made: &str| {
        Some(match made {
            "memfd" | "memfd-weird" | "memfd-empty" => "memfd",
            "sysv-shm" | "sysv-shm-private-ro" => "sysv-shm",
            "shared-anon" | "dev-zero-shared" | "anon-shmem-unsupported" => "shared-anonymous",
            "dev-zero-private" => "device",
            "io_uring" | "perf" => "anon-inode",
            "aio" => "aio",
            "secretmem" => "secretmem",
            "packet-ring" => "socket",
            "hugetlb-anon" => "huge-anonymous",
            "anon-name" | "anon-named" => "named-anonymous",
            "heap-named" => "heap",
            file if file.starts_with("file-") || file == "posix-shm" => "file",
            _ => return None,
        })
    };
    let mut checked = 0;
    for name in ["zoo-x86_64-6.18", "zoo-x86_64-6.12-anon-names", "zoo-i386-on-x86_64-6.1"] {
        let maps = MapsReader::read(&capture(&format!("{name}.maps")));
        let truth = String::from_utf8(capture(&format!("{name}.truth"))).unwrap();
        for (range, made) in
            truth.lines().filter_map(|line| line.split_once(' ')).filter(|(r, _)| *r != "#")
        {
            let start = u64::from_str_radix(range.split('-').next().unwrap(), 16).unwrap();
            let row = maps
                .get(maps.find(start).mapping.unwrap_or_else(|| panic!("{name}: {range}")))
                .unwrap();
            if let Some(kind) = expected(made) {
                assert_eq!(row.kind().word(), kind, "{name}: {range} {made}");
                checked += 1;
            }
        }
    }
    assert!(checked > 80, "{checked}");
}

#[test]
fn names_of_the_6_12_capture() {
    let maps = MapsReader::read(&capture("zoo-x86_64-6.12-anon-names.maps"));
    let named: Vec<_> = maps
        .iter()
        .filter(|row| row.kind().word().starts_with("named"))
        .map(|row| format!("{} {}", row.kind().word(), String::from_utf8_lossy(row.name)))
        .collect();
    insta::assert_snapshot!(named.join("\n"), @"
    named-shared-anonymous [anon_shmem:shared zoo]
    named-anonymous [anon:zoo name]
    named-anonymous [anon:a/b:c (deleted)]
    ");
}
