//! Fuzzes labels over hostile memory: the bytes choose runtimes and allocators, whose structures are
//! laid out in a memory, and change words of them: rings, sizes, pointers to anywhere.
//!
//! The first two bytes choose the runtimes, the next one the machine and other facts. Each word that
//! a structure consists of takes a byte: most leave it as it is. Without further bytes, all
//! structures are whole, and every walker finds what it knows; `VMATLAS_FUZZ_LABELS=1` prints the
//! labels of each input that only memory can give.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use vmatlas_explain::crash::Machine;
use vmatlas_explain::label::{Auxv, Facts, ImageFacts, Labels, ThreadFacts, WANTED_SYMBOLS};
use vmatlas_fuzz::Take;
use vmatlas_maps::{AddressRange, Device, Mapping, Maps, Perms, WordSize};
use vmatlas_object::Memory;

/// The most reads that labels of such a process may make.
const MAX_READS: u64 = 1 << 20;
/// The most bytes that they may read.
const MAX_BYTES: u64 = 1 << 30;
/// Most inputs see a memory that ends after so many reads, so that they are fast.
const FEW_READS: u64 = 640;

/// The most runtimes in one process.
const MAX_IMAGES: usize = 2;

const MIB: u64 = 1 << 20;
/// Two pages of data for the images in which no walker searches.
const SEGMENT: u64 = 0x2000;
const STACK_SIZE: u64 = 0x2_0000;
const HEAP: u64 = 0x5555_5900_0000;
const ARENA: u64 = 0x7f00_0000_0000;
const PYTHON: u64 = 0x7f10_0000_0000;
const RUBY: u64 = 0x7f20_0000_0000;
const BIG: u64 = 0x7fc8_0000_0000;
const STACK: u64 = 0x7f40_0000_0000;
const STORAGE: u64 = 0x7f50_0000_0000;
const GROUPS: u64 = 0x7f60_0000_0000;
const BLOCKS: u64 = 0x7f70_0000_0000;
const METASPACE: u64 = 0x7f80_0040_0000;
const CODE_CACHE: u64 = 0x7f90_0000_0000;
const CARDS: u64 = 0x7fa0_0000_0000;
const OBJECTS: u64 = 0x7fb0_0000_0000;
const V8: u64 = 0x2000_0000_0000;
const GO: u64 = 0xc0_0000_0000;
const JAVA_HEAP: u64 = 0x8000_0000;
const FIRST_STACK: u64 = 0x7fff_0000_0000;

/// The address of an image's data.
const fn data(image: u64) -> u64 {
    0x5555_5560_0000 + image * 0x10_0000
}

/// The size of an image's data in bytes.
const fn data_size(image: u64) -> u64 {
    if matches!(image, 1 | 6) { SEGMENT } else { 0x400 }
}

/// The images: path and symbols.
const IMAGES: [(&str, &[&str]); 12] = [
    ("/lib/ld-linux-x86-64.so.2", &["_rtld_global"]),
    ("/lib/libc.so.6", &["gnu_get_libc_version", "__libc_mallopt"]),
    ("/usr/bin/python3", &["_PyRuntime"]),
    ("/usr/lib/libruby.so", &["ruby_version"]),
    ("/usr/lib/libmimalloc.so.2", &["mi_version", "_mi_heap_main"]),
    ("/usr/bin/goprogram", &["runtime.mheap_"]),
    (
        "/usr/lib/jvm/libjvm.so",
        &[
            "gHotSpotVMStructs",
            "gHotSpotVMStructEntryTypeNameOffset",
            "gHotSpotVMStructEntryFieldNameOffset",
            "gHotSpotVMStructEntryIsStaticOffset",
            "gHotSpotVMStructEntryOffsetOffset",
            "gHotSpotVMStructEntryAddressOffset",
            "gHotSpotVMStructEntryArrayStride",
        ],
    ),
    ("/usr/bin/node", &["v8dbg_APIObjectType"]),
    ("/usr/lib/libopenblas.so.0", &[]),
    ("/usr/lib/program-with-asan", &["__asan_init"]),
    ("/lib/ld-musl-x86_64.so.1", &[]),
    ("/usr/lib/libjemalloc.so.2", &["mallctl"]),
];

/// The fields of HotSpot's table: type, name, whether static.
const FIELDS: [(&str, &str, bool); 37] = [
    ("BarrierSet", "_barrier_set", true),
    ("CardTable", "_byte_map", false),
    ("CardTable", "_byte_map_size", false),
    ("CardTableBarrierSet", "_card_table", false),
    ("ClassLoaderData", "_klasses", false),
    ("ClassLoaderData", "_next", false),
    ("ClassLoaderDataGraph", "_head", true),
    ("CodeCache", "_heaps", true),
    ("CodeCache", "_high_bound", true),
    ("CodeCache", "_low_bound", true),
    ("CodeHeap", "_segmap", false),
    ("CollectedHeap", "_reserved", false),
    ("GrowableArray<int>", "_data", false),
    ("GrowableArrayBase", "_len", false),
    ("InstanceKlass", "_constants", false),
    ("JVMFlag", "_addr", false),
    ("JVMFlag", "_flags", false),
    ("JVMFlag", "_name", false),
    ("JVMFlag", "_type", false),
    ("JVMFlag", "flags", true),
    ("JVMFlag", "numFlags", true),
    ("JavaThread", "_osthread", false),
    ("JavaThread", "_stack_base", false),
    ("JavaThread", "_stack_size", false),
    ("Klass", "_next_link", false),
    ("MemRegion", "_start", false),
    ("MemRegion", "_word_size", false),
    ("MetaspaceObj", "_shared_metaspace_base", true),
    ("MetaspaceObj", "_shared_metaspace_top", true),
    ("OSThread", "_thread_id", false),
    ("Thread", "_osthread", false),
    ("ThreadsList", "_length", false),
    ("ThreadsList", "_threads", false),
    ("ThreadsSMRSupport", "_java_thread_list", true),
    ("Universe", "_collectedHeap", true),
    ("VirtualSpace", "_high_boundary", false),
    ("VirtualSpace", "_low_boundary", false),
];

fuzz_target!(|bytes: &[u8]| vmatlas_fuzz::bounded(|| check(bytes)));

fn check(bytes: &[u8]) {
    let mut take = Take(bytes);
    let chosen = u16::from_le_bytes([take.byte(), take.byte()]);
    let flags = take.byte();
    let (words, reads, read) = (BTreeMap::new(), Cell::new(0), Cell::new(0));
    let mut world =
        World { take, words, is_large: flags >= 0xf8 || flags >> 3 == 8, reads, bytes: read };
    let limit = if matches!(flags, 0xf0 | 0xff) { MAX_READS } else { FEW_READS };
    // From a first one on, the next few that are chosen.
    let count = IMAGES.len() as u64;
    let images = (0..count).map(|n| (n + u64::from(chosen >> 12)) % count);
    let mut images: Vec<u64> = images.filter(|n| chosen >> n & 1 != 0).take(MAX_IMAGES).collect();
    images.sort_unstable();
    let mut facts = facts(&images, flags);
    for image in &images {
        world.lay_out(*image);
    }
    change_facts(&mut world.take, &mut facts);
    let maps = maps(&images, &mut world);
    let memory = Limited::new(&world, &maps, limit);
    let labels = Labels::read(&maps, &facts, Some(&memory));
    let (reads, read) = (world.reads.get(), world.bytes.get());
    assert!(reads <= MAX_READS && read <= MAX_BYTES, "{reads} reads of {read} bytes");
    let mut end = 0;
    for labelled in labels.iter() {
        assert!(labelled.range.start >= end && labelled.range.end > labelled.range.start);
        assert!(!labelled.label.text.is_empty() && !labelled.label.because.is_empty());
        end = labelled.range.end;
    }
    if *SHOWS {
        let without = Labels::read(&maps, &facts, None);
        let known = |group: &str, because: &str| {
            without.iter().any(|l| l.label.group == group && l.label.because == because)
        };
        eprintln!("images {chosen:#x}, {reads} reads of {read} bytes");
        for l in labels.iter().filter(|l| !known(&l.label.group, &l.label.because)) {
            eprintln!("  {} {}: {} ({})", l.range, l.label.group, l.label.text, l.label.because);
        }
    }
}

static SHOWS: LazyLock<bool> = LazyLock::new(|| std::env::var_os("VMATLAS_FUZZ_LABELS").is_some());

fn facts(images: &[u64], flags: u8) -> Facts {
    let mut facts = Facts::default();
    facts.page_size = if flags & 4 == 0 { 4096 } else { 0 };
    facts.machine = Some(match flags & 0x23 {
        0 => Machine::X86_64,
        1 => Machine::AArch64,
        2 => Machine::S390x,
        3 => Machine::X86,
        _ => Machine::RiscV64,
    });
    facts.word_size = Some(if flags & 8 == 0 { WordSize::Bits64 } else { WordSize::Bits32 });
    facts.pid = Some(100);
    facts.start_brk = Some(HEAP);
    facts.stack_limit = Some(8 * MIB);
    let thread = |tid: u32, sp: u64, tp: u64, comm: &[u8]| {
        let mut thread = ThreadFacts::default();
        (thread.tid, thread.comm) = (tid, comm.to_vec());
        (thread.stack_pointer, thread.thread_pointer) = (Some(sp), Some(tp));
        thread
    };
    facts.threads = vec![
        thread(100, FIRST_STACK + 0x1_0000, STORAGE + 0x1740, b"main"),
        thread(101, STACK + 0x1_0000, 0, b"G1 Worker"),
    ];
    facts.auxv = Auxv::new(vec![(6, 4096)]);
    if flags & 16 != 0 {
        facts.guards = vec![AddressRange::new(BIG, BIG + 0x1000)];
    }
    for &image in images {
        let (path, symbols) = IMAGES[image as usize];
        let mut facts_of = ImageFacts::default();
        facts_of.name = path.as_bytes().to_vec();
        facts_of.bias = data(image) - 0x8_0000;
        let code = AddressRange::new(data(image) - 0x8_0000, data(image) - 0x4_0000);
        let range = AddressRange::new(data(image), data(image) + data_size(image));
        facts_of.segments = vec![(code, code.size(), false), (range, data_size(image) / 2, true)];
        let section = if image == 5 { ".gopclntab" } else { ".data" };
        facts_of.sections = vec![(section.to_owned(), range)];
        let wanted = |symbol: &&str| WANTED_SYMBOLS.iter().find(|wanted| *wanted == symbol);
        let known = symbols.iter().filter_map(wanted).zip(0..);
        facts_of.symbols = known.map(|(name, n)| (*name, data(image) + n * 8)).collect();
        facts.images.push(facts_of);
    }
    facts
}

/// Some of the facts are as hostile as the memory: they come from files of the process.
fn change_facts(take: &mut Take<'_>, facts: &mut Facts) {
    let count = facts.images.len().max(1);
    while !take.is_empty() && take.byte() == 0xf1 {
        let which = usize::from(take.byte()) % count;
        let Some(image) = facts.images.get_mut(which) else { return };
        match take.byte() % 6 {
            0 => image.segments[1].0 = AddressRange::new(data(which as u64), take.word()),
            // As many as `vmatlas-linux` takes from a file.
            1 => image.segments = vec![image.segments[1]; 1 + usize::from(take.byte() % 64)],
            2 => {
                let start = take.word();
                image.segments[1].0 = AddressRange::new(start, start.saturating_add(take.word()));
            }
            3 => image.symbols.iter_mut().for_each(|(_, at)| *at = at.wrapping_add(take.word())),
            4 => facts.threads[1].stack_pointer = Some(take.word()),
            _ => facts.guards.push(AddressRange::new(STACK + 0x2000, STACK + 0x3000)),
        }
        if facts.images[which].segments.len() < 2 {
            return;
        }
    }
}

fn maps(images: &[u64], world: &mut World<'_>) -> Maps {
    // Memory of a runtime only where it is, and large only if asked for: pages are searched one by
    // one. The first number is that of the image.
    let (all, large) = (IMAGES.len() as u64, world.is_large);
    let heap = if large { 16 * MIB } else { MIB / 8 };
    let big = if large { 32 * MIB } else { MIB / 8 };
    let rows: [(u64, u64, u64, &[u8; 4], &str); 21] = [
        (6, JAVA_HEAP, heap, b"rw-p", ""),
        (5, GO, 0x1_0000, b"rw-p", ""),
        (5, GO + 0x1_0000, 64 * MIB - 0x1_0000, b"---p", ""),
        (7, V8, MIB / 4, b"rw-p", ""),
        (all, HEAP, 0x2_1000, b"rw-p", "[heap]"),
        (1, ARENA, 0x2_1000, b"rw-p", ""),
        (1, ARENA + 0x2_1000, 64 * MIB - 0x2_1000, b"---p", ""),
        (2, PYTHON, if large { 2 * MIB } else { MIB }, b"rw-p", ""),
        (3, RUBY, MIB / 4, b"rw-p", ""),
        (all, STACK, 0x1000, b"---p", ""),
        (all, STACK + 0x1000, STACK_SIZE, b"rw-p", ""),
        (all, STORAGE, 0x3000, b"rw-p", ""),
        (10, GROUPS, 0x4000, b"rw-p", ""),
        (all, BLOCKS, 0x6_0000, b"rw-p", ""),
        (6, METASPACE, 0x1_0000, b"rw-p", ""),
        (6, METASPACE + 0x1_0000, 64 * MIB - 0x1_0000, b"---p", ""),
        (6, CODE_CACHE, 0x2_0000, b"rwxp", ""),
        (all, CARDS, 0x1_0000, b"rw-p", ""),
        (all, OBJECTS, 0x1_0000, b"rw-p", ""),
        (all, BIG, big, b"rw-p", ""),
        (all, FIRST_STACK, 0x2_0000, b"rw-p", "[stack]"),
    ];
    let is_there = |image: u64| image == all || images.contains(&image);
    let rows = rows.into_iter().filter(|(image, ..)| is_there(*image));
    let mut rows: Vec<_> =
        rows.map(|(_, start, size, perms, name)| (start, size, perms, name)).collect();
    for &image in images {
        let (path, _) = IMAGES[image as usize];
        rows.push((data(image) - 0x8_0000, 0x4_0000, b"r-xp", path));
        rows.push((data(image), SEGMENT, b"rw-p", path));
    }
    rows.sort_unstable();
    rows.iter()
        .map(|(start, size, perms, name)| {
            // A row may be smaller, shared or without a permission.
            let mut perms = **perms;
            let mut size = *size;
            match world.take.byte() {
                byte @ 0xe0..0xe4 => perms[usize::from(byte & 3)] = b'-',
                0xe4 => perms[3] = b's',
                0xe5 => size = 0x1000,
                0xe6 => size = size.min(0x4000),
                _ => {}
            }
            Mapping {
                range: AddressRange::new(*start, start + size),
                perms: Perms(perms),
                offset: 0,
                device: Device::new(0, u32::from(name.starts_with('/'))),
                inode: u64::from(name.starts_with('/')),
                name: name.as_bytes(),
            }
        })
        .collect()
}

/// Words in memory; all others are 0.
struct World<'a> {
    take: Take<'a>,
    words: BTreeMap<u64, u64>,
    is_large: bool,
    reads: Cell<u64>,
    bytes: Cell<u64>,
}

impl World<'_> {
    /// Writes a word of a structure, or what the bytes have instead of it.
    fn put(&mut self, at: u64, value: u64) {
        let value = match self.take.byte() {
            0..=207 => value,
            208..=215 => at,
            216..=219 => at + 8,
            220..=223 => value.wrapping_add(8),
            224..=227 => value.wrapping_sub(8),
            228..=231 => 0,
            232..=239 => self.words.keys().nth(usize::from(self.take.byte())).map_or(1, |at| *at),
            240 => u64::MAX,
            241 => value | 1 << 63,
            242..=245 => value << (self.take.byte() & 31),
            _ => self.take.word(),
        };
        self.words.insert(at & !7, value);
    }

    fn put_all(&mut self, at: u64, values: &[u64]) {
        for (n, value) in (0..).zip(values) {
            self.put(at + 8 * n, *value);
        }
    }

    /// Writes text, which takes no byte.
    fn text(&mut self, at: u64, text: &str) {
        for (n, chunk) in (0..).zip([text.as_bytes(), &[0]].concat().chunks(8)) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.words.insert(at + 8 * n, u64::from_le_bytes(word));
        }
    }

    /// Lays out the structures of an image.
    fn lay_out(&mut self, image: u64) {
        let at = data(image);
        match image {
            0 => self.threads(at),
            1 => self.glibc(at),
            2 => self.python(at),
            3 => self.ruby(at),
            // A random number, and a segment whose header has it.
            4 => {
                self.put(at + 0x100, 0x1234_5678_9abc_def0);
                self.put(BIG + 0x40, 0x1234_5678_9abc_def0 ^ BIG);
            }
            5 => self.go(at),
            6 => self.hotspot(at),
            7 => self.put_all(V8, &[MIB / 4, 0, at, V8 + 0x1000, V8 + MIB / 4]),
            8 => self.put_all(at, &[BIG, BIG + 32 * MIB]),
            9 => self.put_all(BLOCKS, &[BLOCKS, 0x1000, 0]),
            10 => self.musl(),
            _ => self.put_all(at, &[BIG, OBJECTS, BIG + 0x1000]),
        }
    }

    /// glibc's list of stacks in ld.so, with two threads, and the first thread's storage.
    fn threads(&mut self, at: u64) {
        let (head, thread) = (at + 0x40, STACK + STACK_SIZE);
        self.put_all(head, &[thread + 0x2c0, thread + 0x2c0]);
        self.put(thread, thread);
        self.put(thread + 0x10, thread);
        self.put_all(thread + 0x2c0, &[head, head, 101]);
        self.put_all(thread + 0x690, &[STACK, STACK_SIZE + 0x1000, 0x1000]);
        let (head, first) = (at + 0x60, STORAGE + 0x1740);
        self.put_all(head, &[first + 0x2c0, first + 0x2c0]);
        self.put_all(first, &[first, STORAGE + 0x2100, first]);
        self.put_all(first + 0x2c0, &[head, head, 100]);
        self.put_all(STORAGE + 0x2100, &[2, 0, STORAGE + 0x1000, 0, STORAGE + 0x1400, 0, 0]);
        // The linker's data point to memory of its own.
        self.put(at + 0x100, CARDS + 0x10);
    }

    /// Two arenas in a ring, chunks in the heap, and large blocks.
    fn glibc(&mut self, at: u64) {
        let (main, arena) = (at + 0x1000, ARENA + 0x20);
        self.put_all(ARENA, &[arena, 0, 0x2_1000, 0x2_1000]);
        self.put(arena + 0x870, main);
        self.put(main + 0x870, arena);
        self.put(main + 0x60, HEAP + 0x2_0000);
        for n in 0..20 {
            self.put_all(HEAP + n * 0x20, &[0, 0x21]);
        }
        self.put_all(BLOCKS, &[0, 0x2_0002]);
        self.put_all(BLOCKS + 0x2_0000, &[0, 0x2_0002]);
        self.put_all(BLOCKS + 0x5_0000, &[0, 0x1_0002]);
    }

    /// An arena with a pool, and the array that has the arena.
    fn python(&mut self, at: u64) {
        let array = OBJECTS + 0x4000;
        self.put(at + 0x80, array);
        let offsets = ((16 << 10) - 32) << 32 | 48;
        self.put_all(PYTHON, &[3, PYTHON + 64, PYTHON, PYTHON, 1 | 1 << 32, offsets]);
        self.put_all(array, &[0, 0, 0, 0, 0, 0]);
        self.put_all(array + 48, &[PYTHON, PYTHON + (16 << 10), 62 | 64 << 32, 0, array, array]);
        self.put_all(array + 96, &[PYTHON + MIB, PYTHON + MIB, 64 | 64 << 32, 0, 0, 0]);
    }

    /// Pages of a heap, with their descriptions, and the transient heap.
    fn ruby(&mut self, at: u64) {
        for n in 0..3 {
            let (page, header) = (RUBY + n * (64 << 10), at + 0x100 + n * 0x60);
            self.put(page, header);
            self.put_all(header, &[40, 400, page, page + 0x40, header + 0x60]);
        }
        self.put(at + 0x20, BIG);
    }

    /// `runtime.mheap_` with the array of arenas.
    fn go(&mut self, at: u64) {
        let array = 0x7f0f_ffff_0000;
        for base in [0_u64, 0xffff_8000_0000_0000] {
            let index = GO.wrapping_sub(base) / (64 * MIB);
            // The array's entry for the heap is in the objects.
            let entry = OBJECTS + 0x8000;
            let array = entry.wrapping_sub(index * 8);
            if array % 4096 == 0 {
                self.put(at + 0x100, array);
            }
            let array = (entry & !0xfff).wrapping_sub(index * 8 & !0xfff);
            self.put(at + 0x108 + 8 * (base & 1), array);
            let entry = array.wrapping_add(index * 8);
            self.put_all(entry & !7, &[OBJECTS + 0x9000]);
        }
        self.put_all(at + 0x200, &[array, OBJECTS + 0x100, CARDS]);
    }

    /// Groups whose descriptions point back.
    fn musl(&mut self) {
        for n in 0..3 {
            let (group, meta) = (GROUPS + n * 0x1000, HEAP + 0x1_0000 + n * 0x40);
            self.put(group, meta);
            self.put_all(meta, &[0, 0, group, 0, 1 << 12]);
        }
    }

    /// HotSpot's table of fields, and objects in which all that it looks up is.
    fn hotspot(&mut self, at: u64) {
        let (table, names) = (at + 0x100, at + 0x800);
        self.put_all(at, &[table, 0, 8, 16, 24, 32, 40]);
        for (n, (kind, field, is_static)) in (0..).zip(FIELDS) {
            let (entry, name) = (table + n * 40, names + n * 64);
            self.text(name, kind);
            self.text(name + 32, field);
            // Static fields are behind the names; others are 8 bytes apart.
            let place = if is_static { at + 0x1400 + n * 8 } else { 0 };
            let flag = u64::from(is_static);
            self.put_all(entry, &[name, name + 32, flag, offset_of(kind, field), place]);
        }
        self.put(table + FIELDS.len() as u64 * 40, 0);
        let object = |n: u64| OBJECTS + n * 0x100;
        let place = |kind: &str, field: &str| {
            let n = FIELDS.iter().position(|(k, f, _)| *k == kind && *f == field).unwrap_or(0);
            at + 0x1400 + n as u64 * 8
        };
        for (kind, field, value) in [
            ("Universe", "_collectedHeap", object(1)),
            ("BarrierSet", "_barrier_set", object(2)),
            ("ClassLoaderDataGraph", "_head", object(4)),
            ("CodeCache", "_heaps", object(7)),
            ("CodeCache", "_low_bound", CODE_CACHE),
            ("CodeCache", "_high_bound", CODE_CACHE + 0x2_0000),
            ("JVMFlag", "flags", object(12)),
            ("JVMFlag", "numFlags", 3),
            ("MetaspaceObj", "_shared_metaspace_base", 0x7fd0_0000_0000),
            ("MetaspaceObj", "_shared_metaspace_top", 0x7fd0_0100_0000),
            ("ThreadsSMRSupport", "_java_thread_list", object(9)),
        ] {
            self.put(place(kind, field), value);
        }
        // The heap, the barriers with their card table.
        self.put_all(object(1) + 8, &[JAVA_HEAP, MIB / 64]);
        self.put(object(2), object(3));
        self.put_all(object(3), &[CARDS, 0x1_0000]);
        // Two class loaders with two classes each, and their constant pools in the metaspace.
        self.put_all(object(4), &[METASPACE + 0x100, object(5)]);
        self.put_all(object(5), &[METASPACE + 0x300, 0]);
        for (klass, next) in [(0x100, METASPACE + 0x200), (0x200, 0), (0x300, METASPACE + 0x100)] {
            self.put_all(METASPACE + klass, &[next, METASPACE + 0x1000 + klass]);
        }
        // A code heap with its segment map.
        self.put_all(object(7), &[1, object(8)]);
        self.put(object(8), object(8) + 0x40);
        self.put_all(object(8) + 0x40 + 8, &[OBJECTS + 0xe000, OBJECTS + 0x1_0000]);
        // A Java thread with guard zones.
        self.put_all(object(9), &[1, object(10)]);
        self.put(object(10), object(11));
        self.put_all(
            object(11),
            &[STACK + STACK_SIZE + 0x1000, STACK_SIZE + 0x1000, object(11) + 0x40],
        );
        self.put(object(11) + 0x40, 101);
        // Options: a name, an address, flags, a type.
        for (n, name) in (0..).zip(["MarkStackSize", "CompressedClassSpaceSize", "UseG1GC"]) {
            self.text(object(14) + n * 0x20, name);
            self.put_all(object(12) + n * 32, &[object(13) + n * 8, 0, object(14) + n * 0x20, 0]);
            self.put(object(13) + n * 8, [4096, 1 << 30, 1][n as usize]);
        }
    }
}

/// The offset of a field in its object: its number among the fields of the objects above.
fn offset_of(kind: &str, field: &str) -> u64 {
    match (kind, field) {
        ("CollectedHeap", _) | ("CardTable", "_byte_map_size") => 8,
        ("MemRegion", "_word_size") | ("ClassLoaderData", "_next") => 8,
        ("InstanceKlass", _) | ("GrowableArray<int>", _) | ("ThreadsList", "_threads") => 8,
        ("VirtualSpace", "_low_boundary") | ("JavaThread", "_stack_size") => 8,
        ("VirtualSpace", "_high_boundary") | ("JavaThread", "_osthread") => 16,
        ("JVMFlag", "_flags") => 8,
        ("JVMFlag", "_name") => 16,
        ("JVMFlag", "_type") => 24,
        ("Thread", "_osthread") => 16,
        _ => 0,
    }
}

/// The memory, which ends after some reads.
struct Limited<'a> {
    rows: Vec<AddressRange>,
    /// The pages that are not zero, sorted.
    pages: Vec<(u64, [u8; PAGE])>,
    /// The row and the page that were read last.
    last: Cell<(AddressRange, usize)>,
    world: &'a World<'a>,
    limit: u64,
}

const PAGE: usize = 4096;

impl<'a> Limited<'a> {
    fn new(world: &'a World<'a>, maps: &Maps, limit: u64) -> Limited<'a> {
        let rows = maps.iter().filter(|row| row.perms.read()).map(|row| row.range).collect();
        let mut pages: Vec<(u64, [u8; PAGE])> = Vec::new();
        for (&at, word) in &world.words {
            let (page, offset) = (at & !0xfff, (at & 0xfff) as usize);
            if pages.last().is_none_or(|(last, _)| *last != page) {
                pages.push((page, [0; PAGE]));
            }
            if let Some((_, bytes)) = pages.last_mut() {
                bytes[offset..offset + 8].copy_from_slice(&word.to_le_bytes());
            }
        }
        let last = Cell::new((AddressRange::new(0, 0), 0));
        Limited { rows, pages, last, world, limit }
    }

    fn row(&self, address: u64) -> Option<AddressRange> {
        let (row, page) = self.last.get();
        if row.contains(address) {
            return Some(row);
        }
        let row = *self.rows.get(self.rows.partition_point(|row| row.end <= address))?;
        row.contains(address).then(|| {
            self.last.set((row, page));
            row
        })
    }

    /// The number of the first page that ends above an address.
    fn page(&self, address: u64) -> usize {
        let (row, last) = self.last.get();
        if self.pages.get(last).is_some_and(|(page, _)| *page == address & !0xfff) {
            return last;
        }
        let first = self.pages.partition_point(|(page, _)| *page + 0xfff < address);
        self.last.set((row, first));
        first
    }
}

impl Memory for Limited<'_> {
    fn read(&self, address: u64, bytes: &mut [u8]) -> usize {
        let World { reads, bytes: read, .. } = self.world;
        reads.set(reads.get() + 1);
        if self.limit != MAX_READS && reads.get() > self.limit {
            return 0;
        }
        let Some(row) = self.row(address) else { return 0 };
        let length = bytes.len().min((row.end - address) as usize);
        read.set(read.get() + length as u64);
        bytes[..length].fill(0);
        let end = address + length as u64;
        for (page, content) in &self.pages[self.page(address)..] {
            if *page >= end {
                break;
            }
            // The part of the page that is asked for.
            let skipped = address.saturating_sub(*page) as usize;
            let to = (page + skipped as u64 - address) as usize;
            let count = (PAGE - skipped).min(length - to);
            bytes[to..to + count].copy_from_slice(&content[skipped..skipped + count]);
        }
        length
    }
}
