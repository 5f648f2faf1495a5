//! Core dumps of real kernels on six machines, and synthetic ones.

use crate::coredump::writer::{Load, Writer};
use proptest::prelude::*;
use std::path::PathBuf;
use vmatlas_explain::coredump::{CoreDump, CoreErrorKind, ReadAt};
use vmatlas_explain::crash::{CrashSource, Machine};
use vmatlas_explain::explain::{Cause, Evidence, Fault, explain};
use vmatlas_explain::label::{Facts, Labels};
use vmatlas_maps::{AddressRange, KernelVersion, Mapping, Maps, Perms, WordSize};
use vmatlas_object::Memory as _;

mod writer;

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/cores").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A core of a real kernel, and the rows of its process just before the dump.
fn real(name: &str) -> (Vec<u8>, Maps) {
    let core = zstd::decode_all(&file(&format!("{name}.core.zst"))[..]).unwrap();
    (core, Maps::parse(&file(&format!("{name}.maps"))).unwrap())
}

const REAL: [(&str, Machine, WordSize, bool); 5] = [
    ("arm64-6.1", Machine::AArch64, WordSize::Bits64, false),
    ("armhf-6.1", Machine::Arm, WordSize::Bits32, false),
    ("ppc64el-6.1", Machine::PowerPc64, WordSize::Bits64, false),
    ("riscv64-6.12", Machine::RiscV64, WordSize::Bits64, false),
    ("s390x-6.1", Machine::S390x, WordSize::Bits64, true),
];

/// A row with the fields that a core contains.
fn as_in_a_core<'a>(row: &Mapping<'a>) -> Mapping<'a> {
    let [r, w, x, _] = row.perms.0;
    Mapping { perms: Perms([r, w, x, b'?']), inode: 0, device: Default::default(), ..*row }
}

#[test]
fn rows_are_those_that_the_process_had() {
    for (name, machine, word_size, big_endian) in REAL {
        let (bytes, maps) = real(name);
        let core = CoreDump::read(bytes).unwrap();
        let expected: Maps = maps.iter().map(|row| as_in_a_core(&row)).collect();
        let text =
            |maps: &Maps, of: &Maps| String::from_utf8(maps.render(of.format(), None)).unwrap();
        assert_eq!(text(core.maps(), core.maps()), text(&expected, &maps), "{name}");
        assert_eq!(core.warnings(), [], "{name}");
        assert_eq!((core.machine(), core.word_size()), (machine, word_size), "{name}");
        assert_eq!(core.is_big_endian(), big_endian, "{name}");
    }
}

#[test]
fn threads_and_the_crash() {
    for (name, machine, ..) in REAL {
        let core = CoreDump::read(real(name).0).unwrap();
        let row = |address| {
            let index = core.maps().find(address).mapping;
            index.and_then(|index| core.maps().get(index)).unwrap_or_else(|| panic!("{name}"))
        };
        assert_eq!(core.threads().len(), 3, "{name}");
        assert_eq!(core.comm(), Some(&b"core_static"[..]), "{name}");
        for (index, thread) in core.threads().iter().enumerate() {
            assert_eq!(thread.signal, 11, "{name}");
            assert_eq!(row(thread.ip().unwrap()).name, b"/bin/core_static", "{name}");
            let stack = row(thread.sp().unwrap());
            assert!(stack.perms.write() && !stack.perms.execute(), "{name}: {stack:?}");
            assert_eq!(stack.name == b"[stack]", index == 0, "{name}: the others have small ones");
            assert_eq!(Some(thread.tid) == core.pid(), index == 0, "{name}");
            // The first thread's data is on the heap of a static program, the other threads' on
            // their stacks; the address is unknown on 32-bit Arm.
            if let Some(data) = thread.tp() {
                let expected: &[u8] = if index == 0 { b"[heap]" } else { b"" };
                assert_eq!(row(data).name, expected, "{name}: {data:#x}");
            } else {
                assert_eq!(machine, Machine::Arm);
            }
        }
        let crash = core.crash();
        assert_eq!(crash.source, CrashSource::Core);
        assert_eq!((crash.signal, crash.code), (Some(11), Some(1)), "{name}");
        assert_eq!((crash.present, crash.protection_key), (Some(false), Some(false)), "{name}");
        // s390x reports only the page.
        let address = if machine == Machine::S390x { 0 } else { 0x10 };
        assert_eq!(crash.address, Some(address), "{name}");
        assert_eq!((crash.pid, crash.tid), (core.pid(), core.pid()), "{name}");
        assert!(
            crash.registers.contains(&(
                match machine {
                    Machine::PowerPc64 => "nip",
                    Machine::S390x => "pswa",
                    _ => "pc",
                }
                .to_owned(),
                crash.ip.unwrap()
            ))
        );
        assert!(crash.registers.iter().all(|(name, _)| !name.is_empty()));
        assert_eq!(crash.maps.len(), core.maps().len());
    }
}

#[test]
fn what_labels_are_made_from() {
    for (name, machine, word_size, _) in REAL {
        let core = CoreDump::read(real(name).0).unwrap();
        let facts = core.facts();
        let page_size = if machine == Machine::PowerPc64 { 65536 } else { 4096 };
        assert_eq!((facts.page_size, facts.word_size), (page_size, Some(word_size)), "{name}");
        let version = if name.ends_with("6.12") { (6, 12, 117) } else { (6, 1, 176) };
        assert_eq!(facts.kernel, Some(KernelVersion::new(version.0, version.1, version.2)));
        assert_eq!(facts.threads.len(), 3);
        assert_eq!(
            (Some(facts.threads[0].tid), &facts.threads[0].comm[..]),
            (facts.pid, &b"core_static"[..])
        );
        assert!(facts.threads[1].comm.is_empty(), "a core has the name of the first thread only");
        let heap = core.maps().iter().find(|row| row.name == b"[heap]").unwrap();
        assert_eq!(facts.start_brk, Some(heap.range.start), "{name}");
        assert_eq!(facts.auxv.get(6), Some(page_size), "{name}: AT_PAGESZ");
        // AT_ENTRY is in the code of the one image.
        let [image] = &facts.images[..] else { panic!("{name}: {:?}", facts.images) };
        assert_eq!((image.name.as_slice(), image.bias), (&b"/bin/core_static"[..], 0));
        let entry = facts.auxv.get(9).unwrap();
        assert!(image.segments[0].0.contains(entry), "{name}");
        let (data, from_file, writable) = image.segments[1];
        assert!(writable && from_file < data.size(), "{name}: it has .bss");
        let bss = core.maps().find(data.end - 1).mapping.unwrap();
        assert!(core.maps().get(bss).unwrap().perms.write());
        let relro = image.relro.unwrap();
        let row = core.maps().find(relro.start).mapping.and_then(|index| core.maps().get(index));
        assert_eq!(row.unwrap().perms.0, *b"r--?", "{name}");
    }
}

#[test]
fn memory_is_what_the_core_holds() {
    for (name, ..) in REAL {
        let core = CoreDump::read(real(name).0).unwrap();
        let first = core.maps().get(0).unwrap().range;
        let mut magic = [0; 4];
        assert_eq!(core.read(first.start, &mut magic), 4);
        assert_eq!(&magic, b"\x7fELF", "{name}");
        // The kernel dumps only the first page of code.
        let held = core.dumped(first);
        assert_eq!((held.start, held.size()), (first.start, core.page_size()), "{name}");
        assert_eq!(core.read(held.end - 2, &mut magic), 2, "{name}");
        assert_eq!(core.read(held.end, &mut magic), 0, "{name}");
        // It continues across the end of a mapping.
        let stack = core.maps().iter().find(|row| row.name == b"[heap]").unwrap().range;
        assert_eq!(core.dumped(stack), stack, "{name}");
        let mut all = vec![0; stack.size() as usize + 1];
        assert_eq!(core.read(stack.start, &mut all) as u64, stack.size(), "{name}");
        assert_eq!(core.read(0, &mut magic), 0);
        assert_eq!(core.read(u64::MAX, &mut magic), 0);
        let data = core.maps().iter().find(|row| row.perms.0 == *b"rw-?").unwrap().range;
        let mut bytes = vec![0; data.size() as usize];
        core.read(data.start, &mut bytes);
        let marked = memchr::memmem::find(&bytes, b"data of the program");
        assert!(marked.is_some(), "{name}");
    }
}

/// The kernel wrote no names: the program's name is in the auxiliary vector.
#[test]
fn names_without_a_note() {
    for (name, .., big_endian) in REAL {
        let (mut bytes, _) = real(name);
        let whole = CoreDump::read(bytes.clone()).unwrap();
        let kind = 0x4649_4c45_u32;
        let kind = if big_endian { kind.to_be_bytes() } else { kind.to_le_bytes() };
        let note = bytes[..20_000].windows(4).position(|window| window == kind).unwrap();
        bytes[note..note + 4].fill(0);
        let core = CoreDump::read(bytes).unwrap();
        let [warning] = core.warnings() else { panic!("{name}: {:?}", core.warnings()) };
        let expected = "it has no names of files (no note NT_FILE was read); those shown are the dynamic \
                        linker's";
        assert_eq!(warning.to_string(), expected);
        assert!(core.maps().iter().eq(whole.maps().iter()), "{name}");
    }
}

/// Present parts are used, missing parts are reported.
#[test]
fn truncated_anywhere() {
    for (name, ..) in REAL {
        let (bytes, _) = real(name);
        let whole = CoreDump::read(&bytes[..]).unwrap();
        let rows = whole.maps().len();
        let most = bytes.len();
        for length in (0..8192).step_by(13).chain((8192..most).step_by(16411)).chain([most - 1]) {
            match CoreDump::read(&bytes[..length]) {
                Ok(core) => {
                    assert!(!core.warnings().is_empty(), "{name} at {length}");
                    assert!(core.maps().len() <= rows + 3);
                    let _ = (core.crash(), core.facts());
                }
                Err(error) => {
                    assert!(length < 64, "{name} at {length}: {error}");
                    let kind =
                        if length < 4 { CoreErrorKind::NotElf } else { CoreErrorKind::Truncated };
                    assert_eq!(error.kind, kind, "{name} at {length}");
                }
            }
        }
    }
}

/// The kernel stores a large number of segments in a section header.
#[test]
fn more_segments_than_the_header_can_count() {
    for (word, big_endian) in [(4, false), (4, true), (8, false), (8, true)] {
        let count = 70_000;
        let loads = (0..count).map(|index| Load::new(0x10000 + index * 0x2000, 0x1000));
        let writer = Writer { loads: loads.collect(), ..Writer::new(word, big_endian) };
        let bytes = writer.bytes();
        let core = CoreDump::read(&bytes[..]).unwrap();
        assert_eq!(core.maps().len() as u64, count);
        let (_, text) = warnings(&writer);
        assert!(
            text.starts_with("it has no names of files (no note NT_FILE was read): "),
            "{text}"
        );
        // The section header is at the end and is lost first: the table ends where the notes begin.
        let core = CoreDump::read(&bytes[..bytes.len() - 8]).unwrap();
        assert_eq!(core.maps().len() as u64, count);
        let warning = core.warnings()[0].to_string();
        assert!(warning.contains("the number of program headers"), "{warning}");
    }
}

fn warnings(writer: &Writer) -> (usize, String) {
    let core = CoreDump::read(writer.bytes()).unwrap();
    let warnings: Vec<String> = core.warnings().iter().map(ToString::to_string).collect();
    assert!(core.maps().is_ordered());
    (core.maps().len(), warnings.join("\n"))
}

#[test]
fn hostile_segments() {
    let mut writer = Writer::new(8, false);
    writer.loads = vec![Load::new(0x5000, 0x3000), Load::new(0x6000, 0x4000), Load::new(0x1000, 0)];
    let (rows, text) = warnings(&writer);
    assert_eq!(rows, 1);
    assert!(text.contains("1 segments overlap others and are left out"), "{text}");
    assert!(text.contains("00006000-0000a000, which overlaps 00005000-00008000"), "{text}");
    assert!(text.contains("1 segments cover no addresses"), "{text}");

    writer.loads = vec![Load::new(u64::MAX - 0xfff, 0x2000), Load::new(0x1000, u64::MAX)];
    let (rows, text) = warnings(&writer);
    assert_eq!(rows, 0);
    assert!(text.contains("2 segments cover no addresses"), "{text}");

    // The header claims more bytes than the file and memory have.
    writer.loads = vec![Load { file_size: Some(1 << 60), ..Load::new(0x1000, 1 << 50) }];
    let (rows, text) = warnings(&writer);
    assert_eq!(rows, 1);
    assert!(text.contains("of memory are missing"), "{text}");
}

#[test]
fn hostile_counts() {
    // More program headers than any file has.
    let mut bytes = Writer::new(8, false).bytes();
    bytes[56..58].copy_from_slice(&0xfffe_u16.to_le_bytes());
    let core = CoreDump::read(&bytes[..]).unwrap();
    assert!(core.warnings()[0].to_string().contains("the file ends in its program headers"));

    // A table that overlaps the header.
    bytes[32..40].copy_from_slice(&0_u64.to_le_bytes());
    assert_eq!(CoreDump::read(&bytes[..]).unwrap_err().kind, CoreErrorKind::NoSegments);
    bytes[32..40].copy_from_slice(&1_u64.to_le_bytes());
    let _ = CoreDump::read(&bytes[..]);
    bytes[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
    let core = CoreDump::read(&bytes[..]).unwrap();
    assert_eq!(core.maps().len(), 0);

    // Notes with wrong lengths.
    let lie = |kind: u32, size: u32, bytes: &[u8]| {
        let mut writer = Writer::new(8, false);
        writer.raw_note(b"CORE\0", kind, size, bytes);
        warnings(&writer).1
    };
    assert!(lie(1, u32::MAX, b"").contains("goes beyond the notes"));
    // NT_FILE with 2^61 mappings.
    let files = [1_u64 << 61, 4096, 0x1000, 0x2000, 0];
    let files: Vec<u8> = files.iter().flat_map(|word| word.to_le_bytes()).collect();
    let text = lie(0x4649_4c45, files.len() as u32, &files);
    assert!(text.contains("NT_FILE is damaged or cut: 0 of 2305843009213693952"), "{text}");
}

#[test]
fn warnings_about_notes_are_bounded() {
    let mut writer = Writer::new(8, false);
    writer.raw_note(b"CORE\0", 1, u32::MAX, b"");
    let mut bytes = writer.bytes();
    // Each of 40 program headers is that of the notes.
    let number = |at: usize, size: usize| {
        let mut word = [0; 8];
        word[..size].copy_from_slice(&bytes[at..at + size]);
        u64::from_le_bytes(word) as usize
    };
    let (table, count) = (number(32, 8), number(56, 2));
    let headers = bytes[table..table + count * 56].chunks(56);
    let notes = headers.clone().find(|header| header.starts_with(&[4, 0, 0, 0])).unwrap().to_vec();
    let end = bytes.len() as u64;
    (0..40).for_each(|_| bytes.extend_from_slice(&notes));
    bytes[32..40].copy_from_slice(&end.to_le_bytes());
    bytes[56..58].copy_from_slice(&40_u16.to_le_bytes());
    let core = CoreDump::read(&bytes[..]).unwrap();
    let texts: Vec<String> = core.warnings().iter().map(ToString::to_string).collect();
    let damaged = texts.iter().filter(|text| text.contains("goes beyond the notes"));
    assert_eq!(damaged.count(), 4, "{texts:?}");
    assert!(texts.contains(&"36 more of its notes are damaged or cut".to_owned()), "{texts:?}");
}

#[test]
fn what_is_no_core() {
    let error = |bytes: &[u8]| CoreDump::read(bytes).unwrap_err().to_string();
    assert_eq!(error(b""), "ELF header, at byte 0x0: this is no ELF file");
    assert_eq!(error(b"core\n"), "ELF header, at byte 0x0: this is no ELF file");
    let mut bytes = Writer::new(8, false).bytes();
    bytes[16] = 3;
    assert_eq!(
        error(&bytes),
        "ELF header, at byte 0x10: this ELF file is a program or library and no core dump"
    );
    bytes[54] = 57;
    bytes[16] = 4;
    let size = "program headers of 57 bytes, which ELF files of this class do not have";
    assert!(error(&bytes).ends_with(size), "{}", error(&bytes));
    bytes[5] = 3;
    assert!(error(&bytes).contains("3 is no byte order"), "{}", error(&bytes));
    bytes[4] = 0;
    bytes[5] = 1;
    assert!(error(&bytes).contains("0 is no class"), "{}", error(&bytes));
}

/// A file may have several segments in one mapping, or one segment in several.
#[test]
fn files_and_segments_need_not_agree() {
    let mut writer = Writer::new(8, true);
    writer.loads = vec![Load::new(0x10000, 0x6000), Load::new(0x20000, 0x1000)];
    writer.files = vec![
        (AddressRange::new(0x8000, 0x9000), 0, b"/alone".to_vec()),
        (AddressRange::new(0x11000, 0x12000), 2, b"/a\nb".to_vec()),
        (AddressRange::new(0x13000, 0x14000), 5, b"/c (deleted)".to_vec()),
        (AddressRange::new(0x1f000, 0x21000), 7, b"/both".to_vec()),
    ];
    let core = CoreDump::read(writer.bytes()).unwrap();
    let text = String::from_utf8(core.maps().render(core.maps().format(), None)).unwrap();
    let rows: Vec<String> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        rows,
        [
            "00008000-00009000 ???? 00000000 00:00 0 /alone",
            "00010000-00011000 rw-? 00000000 00:00 0",
            "00011000-00012000 rw-? 00002000 00:00 0 /a\\012b",
            "00012000-00013000 rw-? 00000000 00:00 0",
            "00013000-00014000 rw-? 00005000 00:00 0 /c (deleted)",
            "00014000-00016000 rw-? 00000000 00:00 0",
            "0001f000-00020000 ???? 00007000 00:00 0 /both",
            "00020000-00021000 rw-? 00008000 00:00 0 /both",
        ]
    );
}

/// Rows of a core whose note NT_FILE consists of words of that size.
fn rows_of_files(
    writer: &mut Writer,
    size: usize,
    page_size: u64,
    files: &[[u64; 3]],
) -> Vec<String> {
    let words = [files.len() as u64, page_size].into_iter().chain(files.iter().flatten().copied());
    let mut note: Vec<u8> = words
        .flat_map(|word| match writer.big_endian {
            true => word.to_be_bytes()[8 - size..].to_vec(),
            false => word.to_le_bytes()[..size].to_vec(),
        })
        .collect();
    files.iter().for_each(|_| note.extend(b"/lib/libc.so.6\0"));
    writer.raw_note(b"CORE\0", 0x4649_4c45, note.len() as u32, &note);
    let core = CoreDump::read(writer.bytes()).unwrap();
    let row = |row: Mapping<'_>| {
        format!("{} {:x} {}", row.range, row.offset, String::from_utf8_lossy(row.name))
    };
    core.maps().iter().map(row).collect()
}

#[test]
fn offsets_of_files_in_bytes_or_pages() {
    let rows = |page_size, second, third| {
        let files = [[0x10000, 0x12000, 0], [0x12000, 0x15000, second], [0x15000, 0x16000, third]];
        rows_of_files(&mut Writer::new(8, false), 8, page_size, &files)
    };
    let expected = [
        "00010000-00012000 0 /lib/libc.so.6",
        "00012000-00015000 2000 /lib/libc.so.6",
        "00015000-00016000 5000 /lib/libc.so.6",
    ];
    assert_eq!(rows(4096, 2, 5), expected, "as the kernel writes them");
    assert_eq!(rows(1, 0x2000, 0x5000), expected, "as gdb writes them");
    assert_eq!(rows(4096, 0x2000, 0x5000), expected, "as others write them");
    // A large file, with a gap in the addresses.
    let files = [[0x10000, 0x12000, 0], [0x20000, 0x22000, 0x1000]];
    let rows = rows_of_files(&mut Writer::new(8, false), 8, 4096, &files);
    assert_eq!(rows[1], "00020000-00022000 1000000 /lib/libc.so.6");
}

/// MIPS: the kernel writes its own longs into the cores of o32 and n32 programs.
#[test]
fn files_of_a_32_bit_program_in_words_of_a_64_bit_kernel() {
    let files = [[0x10000, 0x12000, 0], [0x12000, 0x15000, 2]];
    for big_endian in [false, true] {
        for size in [4, 8] {
            assert_eq!(
                rows_of_files(&mut Writer::new(4, big_endian), size, 4096, &files),
                ["00010000-00012000 0 /lib/libc.so.6", "00012000-00015000 2000 /lib/libc.so.6"],
                "{size}, {big_endian}"
            );
        }
    }
}

#[test]
fn a_vdso_that_is_missing_is_noticed() {
    let text = |vdso: u64| {
        let mut writer = Writer::new(8, false);
        writer.loads = vec![Load::new(0x10000, 0x1000)];
        let auxv = [33, vdso, 6, 4096, 0, 0];
        let auxv: Vec<u8> = auxv.iter().flat_map(|word| word.to_le_bytes()).collect();
        writer.raw_note(b"CORE\0", 6, auxv.len() as u32, &auxv);
        warnings(&writer).1
    };
    assert!(text(0x7fff_0000).contains("the vDSO at 0x7fff0000 is missing"));
    assert!(!text(0x10000).contains("vDSO"));
    assert!(!text(0).contains("vDSO"));
}

/// Calls all queries of a core.
fn ask(bytes: &[u8]) {
    let Ok(core) = CoreDump::read(bytes) else { return };
    assert!(core.maps().is_ordered());
    assert!(core.warnings().len() < 20);
    let _ = (core.crash(), core.facts(), core.page_size());
    let mut some = [0; 100];
    for row in core.maps().iter() {
        let held = core.dumped(row.range);
        assert!(row.range.start == held.start && held.end <= row.range.end);
        assert!(core.read(row.range.start, &mut some) as u64 >= held.size().min(100));
        let _ = core.image_of(&row);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn damaged_anywhere(
        which in 0..REAL.len(),
        changes in prop::collection::vec((0..6000_usize, any::<u8>()), 1..20),
        length in prop::option::of(0..600_000_usize),
    ) {
        thread_local! {
            static CORES: Vec<Vec<u8>> = REAL.iter().map(|(name, ..)| real(name).0).collect();
        }
        CORES.with(|cores| {
            let mut bytes = cores[which].clone();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            bytes.truncate(length.unwrap_or(usize::MAX));
            ask(&bytes);
        });
    }

    #[test]
    fn anything(bytes in prop::collection::vec(any::<u8>(), 0..2000), class in 1..3_u8) {
        let mut core = Writer::new(if class == 1 { 4 } else { 8 }, false).bytes();
        core.truncate(60);
        core.extend(bytes);
        ask(&core);
    }
}

/// A core on a disk with unreadable bytes.
#[derive(Debug)]
struct Damaged<'a> {
    bytes: &'a [u8],
    bad: std::ops::Range<u64>,
}

impl ReadAt for Damaged<'_> {
    fn size(&self) -> Option<u64> {
        Some(self.bytes.len() as u64)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> std::io::Result<usize> {
        if self.bad.contains(&offset) {
            return Err(std::io::Error::from_raw_os_error(5)); // EIO
        }
        let before = self.bad.start.checked_sub(offset).filter(|_| !self.bad.is_empty());
        let before = before.map_or(bytes.len(), |room| room as usize);
        let room = before.min(bytes.len());
        self.bytes.read_at(offset, &mut bytes[..room])
    }
}

const EIO: &str = "Input/output error (os error 5)";

#[test]
fn bytes_that_cannot_be_read_are_not_taken_for_absent() {
    let (bytes, _) = real("arm64-6.1");
    let read = |bad| CoreDump::read(Damaged { bytes: &bytes, bad });
    let texts = |core: &CoreDump<Damaged<'_>>| {
        core.warnings().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let good = read(0..0).unwrap();

    // The ELF header.
    let error = read(0..64).unwrap_err();
    assert_eq!(error.to_string(), format!("ELF header, at byte 0x0: it cannot be read: {EIO}"));
    assert!(read(40..41).is_err());

    // The program headers: all but the first two.
    let core = read(64 + 2 * 56..64 + 3 * 56).unwrap();
    let expect = format!("its program headers cannot be read, {EIO}: 2 of ");
    assert!(texts(&core).iter().any(|text| text.starts_with(&expect)), "{:#?}", texts(&core));

    // The notes: their place is in the first program header.
    let notes = u64::from_le_bytes(bytes[64 + 8..][..8].try_into().unwrap());
    let core = read(notes + 4..notes + 5).unwrap();
    let expect = format!("its notes cannot be read, at byte {notes:#x} of ");
    assert!(texts(&core).iter().any(|t| t.starts_with(&expect) && t.ends_with(EIO)));
    assert_eq!(core.threads().len(), 0);

    // A page of memory, which is read on demand.
    let start = good.maps().get(0).unwrap().range.start;
    let mut head = [0; 64];
    assert_eq!(good.read(start, &mut head), 64);
    let place = 1 + bytes[1..].windows(64).position(|window| window == head).unwrap() as u64;
    let core = read(place + 16..place + 17).unwrap();
    assert_eq!(core.read(start, &mut head), 16, "what is before it is there");
    let page = *core.page_error().unwrap();
    assert_eq!((page.address, page.offset), (start + 16, place + 16));
    assert_eq!(
        page.to_string(),
        format!(
            "the page at address {:#x} cannot be read, at byte {:#x} of the file: {EIO}",
            start + 16,
            place + 16
        )
    );
    assert_eq!(good.page_error(), None);
}

#[test]
fn pages_that_reading_needs_are_warned_of() {
    // Without NT_FILE the names come from the dynamic linker's list in memory.
    let (mut bytes, _) = real("arm64-6.1");
    let good = CoreDump::read(bytes.clone()).unwrap();
    let note =
        bytes[..20_000].windows(4).position(|window| window == 0x4649_4c45_u32.to_le_bytes());
    bytes[note.unwrap()..][..4].fill(0);
    let start = good.maps().get(0).unwrap().range.start;
    let mut head = [0; 64];
    assert_eq!(good.read(start, &mut head), 64);
    let place = 1 + bytes[1..].windows(64).position(|window| window == head).unwrap() as u64;
    let core = CoreDump::read(Damaged { bytes: &bytes, bad: place..place + 4096 }).unwrap();
    // It reads the program headers, which follow the ELF header.
    let expect = format!(
        "the page at address {:#x} cannot be read, at byte {:#x} of the file: {EIO}",
        start + 64,
        place + 64
    );
    let texts: Vec<String> = core.warnings().iter().map(ToString::to_string).collect();
    assert!(texts.contains(&expect), "{texts:#?}");
}

/// gdb writes cores of programs that have stopped at a signal and go on.
#[test]
fn a_core_of_gdb_is_of_a_program_that_goes_on() {
    assert_eq!(signalled(62, 11, [11, 0, 1], 0x10).crash().has_ended, None);
    let mut writer = Writer::new(8, false);
    let mut status = vec![0; 112];
    status[12] = 11;
    writer.raw_note(b"CORE\0", 1, status.len() as u32, &status);
    writer.raw_note(b"GDB\0", 0xff00_0000, 0, &[]);
    let crash = CoreDump::read(writer.bytes()).unwrap().crash();
    assert_eq!((crash.signal, crash.has_ended), (Some(11), Some(false)));
}

/// The notes of a thread that a signal ended, on a machine with the number `machine` in elf(5).
fn signalled(machine: u16, signal: u32, siginfo: [u32; 3], address: u64) -> CoreDump<Vec<u8>> {
    let mut writer = Writer::new(8, false);
    let mut status = vec![0; 112];
    status[12..14].copy_from_slice(&(signal as u16).to_le_bytes());
    status[32..36].copy_from_slice(&4242_u32.to_le_bytes());
    writer.raw_note(b"CORE\0", 1, status.len() as u32, &status);
    let mut info: Vec<u8> = siginfo.iter().flat_map(|number| number.to_le_bytes()).collect();
    info.resize(16, 0);
    info.extend(address.to_le_bytes());
    info.resize(128, 0);
    writer.raw_note(b"CORE\0", 0x5349_4749, 128, &info);
    let mut bytes = writer.bytes();
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    CoreDump::read(bytes).unwrap()
}

/// MIPS has the fields of siginfo in another order, and it, SPARC, Alpha and PA-RISC have their own
/// numbers of signals.
#[test]
fn signals_of_machines_with_other_numbers() {
    let of = |machine, signal, siginfo, address| {
        let crash = signalled(machine, signal, siginfo, address).crash();
        (crash.signal, crash.code, crash.address, crash.sender)
    };
    assert_eq!(of(8, 11, [11, 1, 0], 0x10), (Some(11), Some(1), Some(0x10), None));
    assert_eq!(of(8, 10, [10, 2, 0], 0x7000), (Some(7), Some(2), Some(0x7000), None));
    for machine in [43, 15] {
        assert_eq!(of(machine, 10, [10, 0, 2], 0x7000), (Some(7), Some(2), Some(0x7000), None));
    }
    // SIGSYS, SIGXFSZ, and SIGSTOP, which ends nothing.
    assert_eq!(of(8, 12, [12, 1, 0], 0).0, Some(31));
    assert_eq!(of(0x9026, 12, [12, 0, 1], 0).0, Some(31));
    assert_eq!(of(8, 31, [31, 0, 0], 0).0, Some(25));
    assert_eq!(of(8, 23, [23, 0, 0], 0).0, None);
    // SIGEMT has no number elsewhere.
    assert_eq!(of(8, 7, [7, 0, 0], 0).0, None);
    // x86 is as ever.
    assert_eq!(of(62, 10, [10, 0, 0], 0).0, Some(10));
    assert_eq!(of(62, 7, [7, 0, 2], 0x7000), (Some(7), Some(2), Some(0x7000), None));

    let crash = signalled(8, 10, [10, 2, 0], 0x7000).crash();
    let (facts, labels) = (Facts::default(), Labels::default());
    let found =
        explain(&with!(Evidence::new(&crash, &facts, &labels), fault = Fault::of(&crash, None)));
    let signal = found.facts.iter().find(|(name, _)| *name == "signal").unwrap();
    assert!(signal.1.starts_with("SIGBUS, si_code 2 BUS_ADRERR"), "{found:?}");
    assert_eq!(found.cause, Cause::PastFile, "{found:?}");
}
