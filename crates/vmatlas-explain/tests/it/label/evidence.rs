//! Sizes, alignments and permissions are evidence only where nothing else maps such memory.

use super::*;

const LIBC: &str = "7fff00000000-7fff00200000 r-xp 00000000 fe:00 9        /lib/libc.so.6\n";

/// An image of a file that defines a symbol.
fn image(name: &str, symbol: &'static str) -> ImageFacts {
    let name = name.as_bytes().to_vec();
    with!(ImageFacts::default(), name = name, symbols = vec![(symbol, 0x1000)])
}

/// Group, confidence, text and evidence at an address of these rows.
#[track_caller]
fn label_at(rows: &str, facts: &Facts, memory: Option<&dyn Memory>, at: u64) -> Found {
    let text = format!("{rows}{LIBC}");
    let labels = Labels::read(&Maps::parse(text.as_bytes()).unwrap(), facts, memory);
    let part = labels.at(at).unwrap_or_else(|| panic!("no label at {at:x} of\n{text}"));
    let label = &part.label;
    (label.group.to_string(), label.confidence, label.text.clone(), label.because.clone())
}

type Found = (String, Confidence, String, String);

fn python() -> Facts {
    with!(Facts::default(), images = vec![image("/usr/bin/python3.11", "_PyRuntime")])
}

/// A file without a name, as in a text that lost it, has no `.bss`.
#[test]
fn a_file_without_a_name_has_no_bss() {
    let rows = |name: &str| {
        format!(
            "1000-2000 r-xp 00000000 fd:00 7 {name}\n2000-3000 rw-p 00001000 fd:00 7 {name}\n\
             3000-4000 rw-p 00000000 00:00 0 \n"
        )
    };
    let of = |name: &str| {
        let maps = Maps::parse(rows(name).as_bytes()).unwrap();
        Labels::read(&maps, &Facts::default(), None).iter().len()
    };
    assert_eq!((of("/a"), of("")), (1, 0));
}

/// A program maps memory of its own at multiples of 32 MiB, too; version 3 has no segments.
#[test]
fn memory_aligned_as_mimalloc_aligns_it_may_be_of_the_program() {
    let of = |file: &str| {
        let text = format!(
            "5500000000-5500001000 r-xp 00000000 fe:00 7 /bin/app\n\
             7f0000000000-7f0004000000 rw-p 00000000 00:00 0 \n\
             7f0005000000-7f0005001000 r-xp 00000000 fe:00 8 /lib/{file}\n{LIBC}"
        );
        let labels = Labels::read(&Maps::parse(text.as_bytes()).unwrap(), &Facts::default(), None);
        labels.at(0x7f00_0000_0000).map(|part| part.label.confidence)
    };
    assert_eq!(of("libmimalloc.so.2.1"), Some(Confidence::Guess));
    assert_eq!(of("libmimalloc.so.3.0"), None);
}

/// Databases, matrices and other allocators use round sizes, too.
#[test]
fn a_multiple_of_an_arena_is_a_guess() {
    let program = "00400000-00500000 r-xp 00000000 fe:00 7                 /usr/bin/python3.11\n";
    let row = "7f1000000000-7f100f000000 rw-p 00000000 00:00 0 \n";
    let stack = "7f0ffffff000-7f1000000000 ---p 00000000 00:00 0 \n";
    let with = |file: &str| {
        let other = format!("7f2000000000-7f2000100000 r-xp 00000000 fe:00 8          {file}\n");
        let rows = format!("{program}{row}{other}");
        let (group, confidence, _, because) = label_at(&rows, &python(), None, 0x7f10_0000_0000);
        assert_eq!((group.as_str(), confidence), ("CPython arena", Confidence::Guess));
        because
    };
    let modules = "/usr/lib/python3.11/lib-dynload";
    for file in ["/lib/libssl.so.3", &format!("{modules}/_json.cpython-311.so")] {
        // So may be a block of malloc: that of a bytearray, or several that the kernel merged.
        assert!(with(file).contains("but blocks of malloc"), "{file}");
    }
    for file in [
        "/v/site-packages/_duckdb.cpython-311-x86_64-linux-gnu.so",
        "/v/site-packages/polars.abi3.so",
        "/usr/lib/libunheard.so.1",
        "/usr/lib/libjemalloc.so.2",
        &format!("{modules}/_ctypes.cpython-311.so"),
        &format!("{modules}/mmap.cpython-311.so"),
    ] {
        let name = file.rsplit('/').next().unwrap();
        let is_named = with(file).contains(&format!("but {name} is mapped"));
        assert!(is_named || with(file).contains("but jemalloc is mapped"), "{file}");
    }
    // Memory above a guard is a stack.
    let rows = format!("{program}{stack}{row}{LIBC}");
    let labels = Labels::read(&Maps::parse(rows.as_bytes()).unwrap(), &python(), None);
    let group = labels.at(0x7f10_0000_0000).map(|part| part.label.group.to_string());
    assert_ne!(group.as_deref(), Some("CPython arena"));
}

#[test]
fn memory_aligned_as_jemalloc_aligns_it_may_belong_to_others() {
    let row = "7f1000000000-7f1000200000 rw-p 00000000 00:00 0 \n";
    let program = "00400000-00500000 r-xp 00000000 fe:00 7                      /usr/bin/server\n";
    let library = "7f2000000000-7f2000100000 r-xp 00000000 fe:00 8     /lib/libjemalloc.so.2\n";
    let other = "7f3000000000-7f3000100000 r-xp 00000000 fe:00 3     /lib/libengine.so\n";
    let confidence = |rows: &str, facts: &Facts| {
        let (group, confidence, ..) = label_at(rows, facts, None, 0x7f10_0000_0000);
        assert_eq!(group, "jemalloc");
        confidence
    };
    let of_kernel = |kernel| with!(Facts::default(), kernel = kernel);
    let none = of_kernel(Some(KernelVersion::new(6, 6, 99)));
    assert_eq!(confidence(&format!("{program}{row}{library}"), &none), Confidence::Likely);
    // Newer kernels align all large mappings, also the program's own.
    for kernel in [Some(KernelVersion::new(6, 7, 0)), None] {
        let facts = of_kernel(kernel);
        assert_eq!(confidence(&format!("{program}{row}{library}"), &facts), Confidence::Guess);
    }
    assert_eq!(confidence(&format!("{program}{row}{library}{other}"), &none), Confidence::Guess);
    let mut of_v8 = none.clone();
    of_v8.images = vec![image("/usr/bin/server", "v8dbg_APIObjectType")];
    assert_eq!(confidence(&format!("{program}{row}{library}"), &of_v8), Confidence::Guess);
    // With memory, jemalloc's own data would show it.
    let zeros = Words(Vec::new());
    let found =
        label_at(&format!("{program}{row}{library}"), &none, Some(&zeros), 0x7f10_0000_0000);
    assert_eq!((found.0.as_str(), found.1), ("jemalloc", Confidence::Guess));
}

/// SBCL and valgrind map all of their memory so.
#[test]
fn memory_that_may_be_written_and_executed_need_not_be_code() {
    let at = |perms: &str, name: &str| {
        let row = format!("1001330000-1040000000 {perms} 00000000 00:00 0      {name}\n");
        let (group, confidence, ..) = label_at(&row, &Facts::default(), None, 0x10_0133_0000);
        (group, confidence)
    };
    let guess = ("executable memory".to_owned(), Confidence::Guess);
    assert_eq!(at("rwxp", ""), guess);
    assert_eq!(at("rwxp", "[heap]"), guess);
    assert_eq!(at("rwxs", "/dev/zero (deleted)"), guess);
    let code = ("JIT code".to_owned(), Confidence::Likely);
    assert_eq!(at("r-xp", ""), code);
    assert_eq!(at("--xp", ""), code);
    // The buffer of PHP's compiler.
    assert_eq!(at("r-xs", "/dev/zero (deleted)"), code);
    assert_eq!(at("r-xs", "/memfd:vmem (deleted)"), code);
    // A program or library in a memfd.
    assert_eq!(at("r-xp", "/memfd:tool (deleted)").0, "memfd code");
    let shared = label_at(
        "7f1000000000-7f1000100000 rw-s 00000000 00:01 9     /dev/zero (deleted)\n",
        &Facts::default(),
        None,
        0x7f10_0000_0000,
    );
    assert!(!shared.2.contains("shared with"), "a process without children shares it with none");
}

/// A list of functions proves no more than the pages that they lie in.
#[test]
fn only_listed_functions_are_certain_to_be_code() {
    let code =
        |start: u64, end: u64| AddressRange::new(0x7f10_0000_0000 + start, 0x7f10_0000_0000 + end);
    let jit_code = vec![code(0x1f00, 0x1f40), code(0x1ff0, 0x2010), code(0x10_0000, 0x10_0040)];
    let facts = with!(Facts::default(), page_size = 4096, jit_code = jit_code);
    for (row, rest) in [
        ("rwxp 00000000 00:00 0 ", Confidence::Guess),
        ("r-xp 00000000 00:00 0 ", Confidence::Likely),
        ("r-xs 00000000 00:01 9     /dev/zero (deleted)", Confidence::Likely),
        ("r-xs 00000000 00:01 9     /memfd:code (deleted)", Confidence::Likely),
    ] {
        let rows = format!("7f1000000000-7f1001000000 {row}\n");
        let labels = Labels::read(&Maps::parse(rows.as_bytes()).unwrap(), &facts, None);
        let found: Vec<(u64, Confidence)> = labels
            .iter()
            .map(|part| (part.range.start - 0x7f10_0000_0000, part.label.confidence))
            .collect();
        let certain = Confidence::Certain;
        let expected =
            [(0, rest), (0x1000, certain), (0x3000, rest), (0x10_0000, certain), (0x10_1000, rest)];
        assert_eq!(found, expected, "{row}");
        assert_eq!(labels.at(0x7f10_0010_0000).unwrap().label.text, "code made at run time");
    }
}

/// The kernel makes all readable memory of an old program executable.
#[test]
fn readable_data_may_be_executable() {
    let row = "7f1000000000-7f1000100000 r-xp 00000000 00:00 0 \n";
    for (other, confidence) in [
        ("2a000000-2a100000 rwxp 00000000 00:00 0                    [heap]\n", Confidence::Guess),
        ("2a000000-2a100000 rw-p 00000000 00:00 0                    [heap]\n", Confidence::Likely),
        ("2a000000-2a100000 rwxp 00000000 00:00 0                   [stack]\n", Confidence::Guess),
        ("2a000000-2a100000 rw-p 00000000 00:00 0                   [stack]\n", Confidence::Likely),
    ] {
        let maps = Maps::parse(format!("{other}{row}").as_bytes()).unwrap();
        let labels = Labels::read(&maps, &Facts::default(), None);
        let label = &labels.at(0x7f10_0000_0000).unwrap().label;
        assert_eq!(label.confidence, confidence, "{other}");
        assert_eq!(label.text.contains("or data"), confidence == Confidence::Guess);
    }
}

/// V8's range for code, directly behind a program whose break was never used.
#[test]
fn executable_memory_that_touches_the_program_break_is_no_malloc() {
    let rows = "00400000-00500000 r-xp 00000000 fe:00 7                    /usr/bin/worker\n\
                2a000000-4a000000 rwxp 00000000 00:00 0                    [heap]\n\
                7f2000000000-7f2000100000 r-xp 00000000 fe:00 8            /lib/libtcmalloc.so.4\n";
    let found = label_at(rows, &Facts::default(), None, 0x2a00_0000);
    assert_eq!((found.0.as_str(), found.1), ("executable memory", Confidence::Guess));
    // A library that is opened later replaces nothing. Libraries are mapped downwards.
    let opened = rows.replace("rwxp", "rw-p");
    assert_eq!(label_at(&opened, &Facts::default(), None, 0x2a00_0000).0, "program break");
    // Chunks like glibc's show that its malloc was first.
    let chunks = (0..20).map(|n| (0x2a00_0008 + n * 0x20, 0x21)).collect();
    let chunks = Words(chunks);
    let found = label_at(&opened, &Facts::default(), Some(&chunks), 0x2a00_0000);
    assert_eq!((found.0.as_str(), found.1), ("glibc main heap", Confidence::Likely));
    let rows = rows.replace("7f2000000000-7f2000100000", "7fffe0000000-7fffe0100000");
    // A row that ends where the break starts is not part of it.
    let rows = rows.replace("rwxp", "rw-p");
    let facts = with!(Facts::default(), start_brk = Some(0x4a00_0000));
    let text = format!("{rows}{LIBC}");
    let labels = Labels::read(&Maps::parse(text.as_bytes()).unwrap(), &facts, None);
    assert_eq!(labels.at(0x2a00_0000).map(|part| &*part.label.group), None);
    assert_eq!(label_at(&rows, &Facts::default(), None, 0x2a00_0000).0, "tcmalloc");
    // It is a part of the program.
    let symbol = "MallocExtension_GetNumericProperty";
    let facts = with!(Facts::default(), images = vec![image("/usr/bin/worker", symbol)]);
    let linked = rows.replace("/lib/libtcmalloc.so.4", "/lib/libother.so");
    assert_eq!(label_at(&linked, &facts, None, 0x2a00_0000).0, "tcmalloc");
    // Google's own tcmalloc does not use the break.
    let rows = rows.replace("/lib/libtcmalloc.so.4", "/lib/libother.so");
    let symbol = "MallocExtension_Internal_GetNumericProperty";
    let facts = with!(Facts::default(), images = vec![image("/usr/bin/worker", symbol)]);
    assert_eq!(label_at(&rows, &facts, None, 0x2a00_0000).0, "program break");
}

/// Chunks of dlmalloc, which uClibc has, too, and which programs contain.
#[test]
fn chunks_are_of_glibc_only_where_it_is() {
    let heap = "2a000000-2a100000 rw-p 00000000 00:00 0                    [heap]\n";
    let words = Words((0..20).map(|n| (0x2a00_0008 + n * 0x20, 0x21)).collect());
    let of = |library: &str| {
        let rows =
            format!("{heap}7f3000000000-7f3000200000 r-xp 00000000 fe:00 9           {library}\n");
        let maps = Maps::parse(rows.as_bytes()).unwrap();
        let labels = Labels::read(&maps, &Facts::default(), Some(&words));
        let label = &labels.at(0x2a00_0000).unwrap().label;
        (label.group.to_string(), label.confidence)
    };
    let heap = |confidence| ("glibc main heap".to_owned(), confidence);
    assert_eq!(of("/lib/libc.so.6"), heap(Confidence::Likely));
    // A static program.
    assert_eq!(of("/bin/tool"), heap(Confidence::Guess));
    let uclibc = ("program break".to_owned(), Confidence::Likely);
    assert_eq!(of("/lib/ld64-uClibc.so.1"), uclibc);
    assert_eq!(of("/lib/libuClibc-1.0.42.so"), uclibc);
}

/// Programs with a malloc of their own, or that move the program break themselves.
#[test]
fn the_program_break_is_of_glibc_only_if_nothing_else_uses_it() {
    const HEAP: u64 = 0x2a00_0000;
    let rows = "00400000-00500000 r-xp 00000000 fe:00 7                    /bin/tool\n\
                2a000000-2a100000 rw-p 00000000 00:00 0                    [heap]\n";
    let read = |name: &str, symbols: &[&'static str], moves_break| {
        with!(
            ImageFacts::default(),
            name = name.as_bytes().to_vec(),
            symbols = symbols.iter().map(|symbol| (*symbol, 0x1000)).collect(),
            moves_break = moves_break,
        )
    };
    let of = |images: &[ImageFacts], memory: Option<&dyn Memory>| {
        let facts = with!(Facts::default(), page_size = 4096, images = images.to_vec());
        let (group, confidence, _, because) = label_at(rows, &facts, memory, HEAP);
        (group, confidence, because)
    };
    let ours = |images: &[ImageFacts], memory| {
        let (group, confidence, _) = of(images, memory);
        assert_eq!(group, "glibc main heap");
        confidence
    };
    let mut libc = read("/lib/libc.so.6", &["malloc", "gnu_get_libc_version"], Some(false));
    let linker = read("/lib/ld-linux-x86-64.so.2", &["malloc"], Some(false));
    let plain = [read("/bin/tool", &[], Some(false)), libc.clone(), linker];
    assert_eq!(ours(&plain, None), Confidence::Likely);
    // The program's file was not read.
    let (_, confidence, because) = of(&[read("/bin/tool", &[], None), libc.clone()], None);
    assert_eq!(confidence, Confidence::Guess);
    assert!(because.contains("may have a malloc of its own"), "{because}");
    assert_eq!(ours(&[], None), Confidence::Guess);
    let moves = [read("/bin/tool", &[], Some(true)), libc.clone()];
    let (_, confidence, because) = of(&moves, None);
    assert_eq!(confidence, Confidence::Guess);
    assert!(because.contains("tool can move the program break"), "{because}");
    // A malloc in the program, also with a size before each block.
    let own = [read("/bin/tool", &["malloc"], Some(true)), libc.clone()];
    let chunks = Words((0..20).map(|n| (HEAP + 8 + n * 0x20, 0x21)).collect());
    for memory in [None, Some(&chunks as &dyn Memory)] {
        let group = of(&own, memory).0;
        assert_eq!(group, "program break");
    }
    assert_eq!(ours(&plain, Some(&chunks)), Confidence::Likely);
    // Nor is other memory of glibc.
    let large = "7f1000000000-7f1001000000 rw-p 00000000 00:00 0 \n";
    let text = format!("{rows}{large}{LIBC}");
    let label_of_large = |images: &[ImageFacts]| {
        let facts = with!(Facts::default(), page_size = 4096, images = images.to_vec());
        let labels = Labels::read(&Maps::parse(text.as_bytes()).unwrap(), &facts, None);
        labels.at(0x7f10_0000_0000).map(|part| part.label.group.to_string())
    };
    assert_eq!(label_of_large(&plain).as_deref(), Some("large blocks"));
    assert_eq!(label_of_large(&own), None);
    // The data of libc has its only arena, whose list has only itself.
    let data = AddressRange::new(0x7fff_0030_0000, 0x7fff_0030_4000);
    let arena = data.start + 0xc80;
    libc.segments = vec![(data, 0x3000, true)];
    let top = (arena + 0x60, HEAP + 0x1000);
    let list = Words(vec![top, (arena + 0x870, arena)]);
    for program in [&plain[0], &own[0]] {
        assert_eq!(ours(&[program.clone(), libc.clone()], Some(&list)), Confidence::Certain);
    }
    let other = Words(vec![top, (arena + 0x870, arena + 0x1000)]);
    assert_eq!(of(&[plain[0].clone(), libc], Some(&other)).0, "program break");
}

/// Pools of programs begin with a pointer to their description.
#[test]
fn a_pointer_that_is_pointed_back_to_is_no_group_of_musl() {
    let (start, area) = (0x7f10_0000_0000_u64, 0x7f20_0000_0000_u64);
    let size = 0x4000_u64;
    let flags = (size / 4096) << 12 | 3 << 6 | 1 << 5 | 7;
    let group = |library: &str, random: u64, meta: u64, flags: u64| {
        let rows = format!(
            "2a000000-2a100000 rw-p 00000000 00:00 0                    [heap]\n\
             {start:x}-{:x} rw-p 00000000 00:00 0 \n\
             7f3000000000-7f3000200000 r-xp 00000000 fe:00 9           {library}\n",
            start + size
        );
        let words = [(area, random), (start, meta), (meta + 16, start), (meta + 32, flags)];
        let maps = Maps::parse(rows.as_bytes()).unwrap();
        let labels = Labels::read(&maps, &Facts::default(), Some(&Words(words.to_vec())));
        let is_musl = |at| labels.at(at).is_some_and(|part| part.label.group == "musl malloc");
        assert_eq!(is_musl(start), is_musl(0x2a00_0000));
        is_musl(start).then(|| labels.at(start).unwrap().label.confidence)
    };
    let meta = area + 24 + 3 * 40;
    let certain = Some(Confidence::Certain);
    assert_eq!(group("/lib/ld-musl-x86_64.so.1", 0x1234, meta, flags), certain);
    // A static program may contain musl, and one with glibc does not.
    assert_eq!(group("/bin/tool", 0x1234, meta, flags), certain);
    assert_eq!(group("/lib/libc.so.6", 0x1234, meta, flags), None);
    // Words that a `struct meta` does not have.
    for library in ["/bin/tool", "/lib/ld-musl-x86_64.so.1"] {
        assert_eq!(group(library, 0x1234, meta + 8, flags), None);
        assert_eq!(group(library, 0, meta, flags), None);
        // The size of a pool, as a number of bytes.
        assert_eq!(group(library, 0x1234, meta, size), None);
        assert_eq!(group(library, 0x1234, meta, flags | 50 << 6), None);
    }
}

/// Nodes of the metaspace and others have the shape of an arena.
#[test]
fn the_shape_of_an_arena_is_a_guess_beside_runtimes_that_reserve_memory() {
    let rows = "7f1000000000-7f1000021000 rw-p 00000000 00:00 0 \n\
                7f1000021000-7f1004000000 ---p 00000000 00:00 0 \n\
                7f1010000000-7f1010001000 ---p 00000000 00:00 0 \n\
                7f1010001000-7f1010801000 rw-p 00000000 00:00 0 \n";
    for (file, confidence) in [
        ("/jdk/lib/server/libjvm.so", Confidence::Guess),
        ("/usr/share/dotnet/libcoreclr.so", Confidence::Guess),
        ("/lib/libstdc++.so.6", Confidence::Likely),
        ("/lib/libunheard.so", Confidence::Likely),
    ] {
        let other = format!("7f2000000000-7f2000100000 r-xp 00000000 fe:00 8       {file}\n");
        let rows = format!("{rows}{other}");
        let found = label_at(&rows, &Facts::default(), None, 0x7f10_0000_0000);
        assert_eq!((found.0.as_str(), found.1), ("glibc arena", confidence), "{file}");
    }
}

/// JNA and libffi make small pieces of code.
#[test]
fn not_all_executable_memory_of_a_jvm_is_its_code_cache() {
    let jvm = "7f2000000000-7f2000100000 r-xp 00000000 fe:00 8       /jdk/lib/server/libjvm.so\n";
    let group =
        |rows: &str| label_at(&format!("{rows}{jvm}"), &Facts::default(), None, 0x7f10_0000_0000).0;
    let cache = "7f1000000000-7f1000270000 rwxp 00000000 00:00 0 \n\
                 7f1000270000-7f100f000000 ---p 00000000 00:00 0 \n";
    assert_eq!(group(cache), "JVM code cache");
    let page = "7f1000000000-7f1000001000 rwxp 00000000 00:00 0 \n";
    assert_eq!(group(page), "executable memory");
    // Below another reservation.
    let below = format!("{page}7f1000001000-7f1040000000 ---p 00000000 00:00 0 \n");
    assert_eq!(group(&below), "executable memory");
    let mixed = cache.replace("7f100f000000 ---p", "7f100f000000 rw-p");
    assert_eq!(group(&mixed), "executable memory");
}

/// A program may close memory that it has written to.
#[test]
fn memory_with_contents_is_not_reserved() {
    let because = |fields: &str| {
        let row = format!("7f1000000000-7f1000400000 ---p 00000000 00:00 0 \n{fields}");
        let maps = Maps::parse(row.as_bytes()).unwrap();
        let labels = Labels::read(&maps, &Facts::default(), None);
        labels.at(0x7f10_0000_0000).map(|part| part.label.because.clone())
    };
    let fields =
        |rss: u64, swap: u64| format!("{:<16}{rss:>8} kB\n{:<16}{swap:>8} kB\n", "Rss:", "Swap:");
    let reserved = Some("nothing may access them, and guards are seldom as large".to_owned());
    assert_eq!(because(&fields(0, 0)), reserved);
    let unknown = "nothing may access them; whether they have contents is not known";
    for fields in ["", "Rss:                   0 kB\n"] {
        assert_eq!(because(fields).as_deref(), Some(unknown));
    }
    assert_eq!(because("Rss:                   4 kB\n"), None);
    assert_eq!(because(&fields(4096, 0)), None);
    assert_eq!(because(&fields(0, 12)), None);
}

/// Programs reserve and align memory of their own so.
#[test]
fn an_arena_of_a_thread_is_a_guess_where_no_thread_needs_one() {
    let start = 0x7f10_0000_0000_u64;
    let heap = |number: u64, size: u64| {
        let start = start + number * (64 << 20);
        let (used, end) = (start + size, start + (64 << 20));
        format!(
            "{start:x}-{used:x} rw-p 00000000 00:00 0 \n{used:x}-{end:x} ---p 00000000 00:00 0 \n"
        )
    };
    let stack = "7f2000000000-7f2000001000 ---p 00000000 00:00 0 \n\
                 7f2000001000-7f2000801000 rw-p 00000000 00:00 0 \n";
    let of = |rows: &str, threads: u32| {
        let thread = |tid| with!(ThreadFacts::default(), tid = tid);
        let facts = with!(Facts::default(), threads = (1..=threads).map(thread).collect());
        let (group, confidence, ..) = label_at(rows, &facts, None, start);
        assert_eq!(group, "glibc arena");
        confidence
    };
    let (one, several) = (heap(0, 5 << 20), [heap(0, 5 << 20), heap(2, 6 << 20)].concat());
    assert_eq!((of(&one, 1), of(&several, 1)), (Confidence::Guess, Confidence::Guess));
    assert_eq!((of(&one, 2), of(&several, 2)), (Confidence::Guess, Confidence::Likely));
    // The size of a new heap.
    let new = heap(0, 132 << 10);
    assert_eq!((of(&new, 1), of(&new, 2)), (Confidence::Guess, Confidence::Likely));
    // A text shows threads by their stacks.
    assert_eq!(of(&several, 0), Confidence::Guess);
    assert_eq!(of(&format!("{several}{stack}"), 0), Confidence::Likely);
}

/// The memory of a virtual machine has pages of any contents.
#[test]
fn the_words_of_a_block_inside_other_memory_are_a_guess() {
    const MIB: u64 = 1 << 20;
    let start = 0x7f10_0000_0000_u64;
    let rows = format!("{start:x}-{:x} rw-p 00000000 00:00 0 \n", start + 32 * MIB);
    let facts = with!(Facts::default(), page_size = 4096);
    let at = |blocks: &[(u64, u64)]| {
        // The first word of the row is that of no block.
        let mut words = vec![(start, 7)];
        words.extend(blocks.iter().map(|(at, size)| (start + at + 8, size | 2)));
        let found = label_at(&rows, &facts, Some(&Words(words)), start + blocks[0].0);
        assert_eq!(found.0, "large malloc block");
        found.1
    };
    assert_eq!(at(&[(3 * MIB, MIB + 4096)]), Confidence::Guess);
    // Blocks below which the kernel merged other memory.
    assert_eq!(at(&[(22 * MIB, 10 * MIB)]), Confidence::Likely);
    assert_eq!(at(&[(20 * MIB, 2 * MIB), (22 * MIB, 10 * MIB)]), Confidence::Likely);
}

/// The data of a linker points to all that it knows.
#[test]
fn memory_that_the_linker_points_to_need_not_be_its_own() {
    let data = AddressRange::new(0x7f20_0010_0000, 0x7f20_0010_1000);
    let of = |library: &str, below: &str| {
        let rows = format!(
            "{below}7f1000001000-7f1000021000 rw-p 00000000 00:00 0 \n\
             7f2000000000-7f2000100000 r-xp 00000000 fe:00 8   {library}\n\
             7f2000100000-7f2000101000 rw-p 00100000 fe:00 8   {library}\n"
        );
        let name = library.as_bytes().to_vec();
        let image = with!(ImageFacts::default(), name = name, segments = vec![(data, 4096, true)]);
        let facts = with!(Facts::default(), page_size = 4096, images = vec![image]);
        let words = Words(vec![(data.start + 64, 0x7f10_0001_0000)]);
        let labels = Labels::read(&Maps::parse(rows.as_bytes()).unwrap(), &facts, Some(&words));
        let label = labels.at(0x7f10_0001_0000).map(|part| part.label.clone());
        label.filter(|label| label.group == "loader").map(|label| (label.text, label.because))
    };
    let (glibc, musl) = ("/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-aarch64.so.1");
    let because = "the data of ld-linux-aarch64.so.1 points here".to_owned();
    assert_eq!(of(glibc, ""), Some(("memory of the dynamic linker".to_owned(), because)));
    // The stack of a thread.
    let guard = "7f1000000000-7f1000001000 ---p 00000000 00:00 0 \n";
    assert_eq!(of(glibc, guard), None);
    // musl's linker is its whole C library.
    assert_eq!(of(musl, guard), None);
    assert_eq!(of(musl, ""), None);
}

/// Parts of one group need not have the same evidence.
#[test]
fn the_evidence_of_a_part_is_that_of_others_only_if_it_is_the_same() {
    const MIB: u64 = 1 << 20;
    let start = 0x7f10_0000_0000_u64;
    let because = |rows: &str, facts: &Facts, words: Vec<(u64, u64)>| {
        let maps = Maps::parse(rows.as_bytes()).unwrap();
        let labels = Labels::read(&maps, facts, Some(&Words(words)));
        labels.most_of(maps.get(0).unwrap().range).unwrap().because.clone()
    };
    let rows = format!("{start:x}-{:x} rw-p 00000000 00:00 0 \n", start + 2 * MIB);
    let facts = with!(Facts::default(), page_size = 4096);
    let blocks = vec![(start + 8, MIB | 2), (start + MIB + 8, MIB | 2)];
    let of_both = because(&rows, &facts, blocks);
    assert!(of_both.ends_with(", and likewise the other part"), "{of_both}");
    // Two stacks that the kernel merged, each with a stack pointer of its own.
    let guard = |at: u64| AddressRange::new(at, at + 0x4000);
    let thread = |tid, at| with!(ThreadFacts::default(), tid = tid, stack_pointer = Some(at));
    let facts = with!(
        Facts::default(),
        page_size = 4096,
        guards = vec![guard(start), guard(start + MIB)],
        threads = vec![thread(1, start + MIB - 64), thread(2, start + 2 * MIB - 64)]
    );
    let of_first = because(&rows, &facts, Vec::new());
    let expected = "its stack pointer 0x7f10000fffc0 is here, lightweight guard pages lie below it \
                    (the first of 2 such parts)";
    assert_eq!(of_first, expected);
}

/// A range of the program header, and the parts of rows in it.
#[test]
fn memory_that_is_read_only_since_relocation_is_of_its_file() {
    let rows = "7f1000000000-7f1000004000 r-xp 00000000 fe:00 8   /lib/libx.so\n\
                7f1000004000-7f1000006000 r--p 00004000 fe:00 8   /lib/libx.so\n\
                7f1000006000-7f1000008000 rw-p 00006000 fe:00 8   /lib/libx.so\n";
    let relro = Some(AddressRange::new(0x7f10_0000_4000, 0x7f10_0000_7000));
    let images = vec![with!(ImageFacts::default(), name = b"/lib/libx.so".to_vec(), relro = relro)];
    let facts = with!(Facts::default(), page_size = 4096, images = images);
    let labels = Labels::read(&Maps::parse(rows.as_bytes()).unwrap(), &facts, None);
    let label = &labels.at(0x7f10_0000_4000).unwrap().label;
    assert_eq!(label.text, "data of libx.so that is read-only since it was relocated (RELRO)");
    assert_eq!(label.confidence, Confidence::Certain);
    assert_eq!(label.because, "its program header PT_GNU_RELRO has these addresses");
    // What may be written is not.
    assert_eq!(labels.at(0x7f10_0000_6000), None);
}

/// The fixed addresses of MemorySanitizer, in a program made with it.
#[test]
fn shadow_of_memory_sanitizer_is_known_by_its_place() {
    let row = |start: u64| format!("{start:x}-{:x} rw-p 00000000 00:00 0 \n", start + 0x10_0000);
    let images = vec![image("/bin/tool", "__msan_init")];
    let machine = Some(Machine::X86_64);
    let facts = with!(Facts::default(), machine = machine, images = images);
    for (at, what) in [
        (0x0200_0000_0000, "shadow: a bit for each of memory"),
        (0x5000_0000_0000, "shadow: a bit for each of memory"),
        (0x6000_0000_0000, "origins of memory without a value"),
        (0x7010_0000_0000, "heap"),
    ] {
        let found = label_at(&row(at), &facts, None, at);
        assert_eq!((found.1, found.2), (Confidence::Certain, format!("MemorySanitizer: {what}")));
    }
    // Memory of the program, and a program made without it.
    let is_labelled = |at, facts: &Facts| {
        let labels = Labels::read(&Maps::parse(row(at).as_bytes()).unwrap(), facts, None);
        labels.at(at).is_some()
    };
    assert!(!is_labelled(0x5100_0000_0000, &facts));
    assert!(!is_labelled(0x5000_0000_0000, &Facts::default()));
}

/// A heap keeps the memory of blocks that were freed.
#[test]
fn the_size_of_an_arena_is_not_the_memory_in_use() {
    let start = 0x7f10_0000_0000_u64;
    let rows = "7f1000000000-7f1003934000 rw-p 00000000 00:00 0 \n\
                7f1003934000-7f1004000000 ---p 00000000 00:00 0 \n";
    let shape = label_at(rows, &Facts::default(), None, start);
    assert_eq!(shape.2, "glibc malloc: arena of a thread, 57.2 MiB of 64 MiB accessible");
    let used = 0x393_4000;
    let words = [(start, start + 0x30), (start + 16, used), (start + 24, used)];
    let facts = with!(Facts::default(), page_size = 4096);
    let deep = label_at(rows, &facts, Some(&Words(words.to_vec())), start);
    assert_eq!(deep.2, "glibc malloc: arena at 0x7f1000000030, 57.2 MiB of 64 MiB accessible");
}

/// `BUFFER_SIZE` depends on how the library was built.
#[test]
fn buffers_of_openblas_have_the_size_that_they_have() {
    const LIBRARY: &str = "/usr/lib/libopenblasp-r0.3.21.so";
    for (size, count) in [(32 << 20, 1), (128 << 20, 1), (128 << 20, 3), (32 << 20, 4)] {
        let start = 0x7f10_0000_0000;
        let rows = format!(
            "{start:x}-{:x} rw-p 00000000 00:00 0 \n\
             7f2000000000-7f2000100000 r-xp 00000000 fe:00 8   {LIBRARY}\n\
             7f2000100000-7f2000101000 rw-p 00100000 fe:00 8   {LIBRARY}\n",
            start + size * count
        );
        let data = AddressRange::new(0x7f20_0010_0000, 0x7f20_0010_1000);
        let name = LIBRARY.as_bytes().to_vec();
        let segments = vec![(data, 4096, true)];
        let images = vec![with!(ImageFacts::default(), name = name, segments = segments)];
        let machine = Some(Machine::X86_64);
        let facts = with!(Facts::default(), images = images, machine = machine);
        let free = label_at(&rows, &facts, None, start);
        assert_eq!((free.0.as_str(), free.1), ("OpenBLAS buffer", Confidence::Guess));
        assert!(!free.2.contains("32 MiB") || size * count == 32 << 20, "{free:?}");
        let pointers = (0..count).map(|n| (data.start + 8 * n, start + n * size)).collect();
        let words = Words(pointers);
        let labels = Labels::read(
            &Maps::parse(format!("{rows}{LIBC}").as_bytes()).unwrap(),
            &facts,
            Some(&words),
        );
        for n in 0..count {
            let range = AddressRange::new(start + n * size, start + (n + 1) * size);
            let part = labels.at(range.start).unwrap();
            assert_eq!((part.range, part.label.confidence), (range, Confidence::Likely));
            assert!(part.label.text.ends_with(&format!("{} MiB", size >> 20)), "{part:?}");
        }
    }
}

/// The first words of an arena, as seen in three programs.
#[test]
fn an_arena_of_mimalloc_names_its_library() {
    const GIB: u64 = 1 << 30;
    let start = 0x46c_8b80_0000;
    let data = AddressRange::new(0x7f20_0010_0000, 0x7f20_0010_1000);
    let rows = format!("{start:x}-{:x} rw-p 00000000 00:00 0 \n", start + GIB);
    let segments = vec![(data, 4096, true)];
    let name = b"/v/libarrow.so".to_vec();
    let arrow = with!(ImageFacts::default(), name = name, segments = segments);
    let images = vec![arrow, image("/v/_polars.so", "_rjem_mallctl")];
    let machine = Some(Machine::X86_64);
    let facts = with!(Facts::default(), page_size = 4096, images = images, machine = machine);
    let of_words = |words: [u64; 7]| {
        let words = (0..).map(|n| start + 8 * n).zip(words).collect();
        label_at(&rows, &facts, Some(&Words(words)), start)
    };
    let slices = GIB / (64 << 10);
    let found = of_words([start, GIB, 0x101, data.start + 64, 0, 0, slices]);
    assert_eq!((found.0.as_str(), found.1), ("mimalloc", Confidence::Likely));
    assert!(found.2.contains("libarrow.so"), "{found:?}");
    // Any of these words may be in memory of others.
    for words in [
        [start + 8, GIB, 0x101, data.start + 64, 0, 0, slices],
        [start, GIB << 1, 0x101, data.start + 64, 0, 0, slices << 1],
        [start, GIB, 0x101, data.end + 64, 0, 0, slices],
        [start, GIB, 0x101, data.start + 64, 0, 0, slices + 1],
    ] {
        assert_ne!(of_words(words).0, "mimalloc", "{words:x?}");
    }
}

fn go(version: &str, calls_mmap: bool) -> Facts {
    let sections = vec![(".go.buildinfo".to_owned(), AddressRange::new(0x50_0000, 0x50_0100))];
    let mut image = with!(ImageFacts::default(), name = b"/bin/tool".to_vec(), sections = sections);
    image.segments = vec![(AddressRange::new(0x60_0000, 0x60_1000), 4096, true)];
    if !version.is_empty() {
        image.versions = vec![("Go", version.to_owned())];
    }
    image.go_calls_mmap = Some(calls_mmap);
    let machine = Some(Machine::X86_64);
    with!(Facts::default(), page_size = 4096, machine = machine, images = vec![image])
}

/// Rows of esbuild 0.28 (Go 1.26, stripped): a part of the first arena is left out.
#[test]
fn the_heap_of_go_is_found_at_a_random_address() {
    let heap = "390144000000-390147400000 ---p 00000000 00:00 0 \n\
                390147400000-39014fc00000 rw-p 00000000 00:00 0 \n\
                39014fc00000-390154000000 ---p 00000000 00:00 0 \n";
    let data = "7f1000000000-7f1000100000 rw-p 00000000 00:00 0 \n";
    let rows = format!("{heap}{data}");
    let (used, beside) = (0x3901_4740_0000, 0x7f10_0000_0000);
    let check = |facts: &Facts, at, group: &str, confidence| {
        let found = label_at(&rows, facts, None, at);
        assert_eq!((found.0.as_str(), found.1), (group, confidence), "{found:?}");
    };
    for version in ["1.26.0", "1.26.5", "1.27"] {
        check(&go(version, false), used, "Go heap", Confidence::Likely);
        check(&go(version, false), beside, "Go runtime", Confidence::Likely);
        // The program may have mapped it.
        check(&go(version, true), beside, "Go runtime", Confidence::Guess);
    }
    // A version that was never checked, and an unknown one.
    for version in ["1.28.1", "2.0", ""] {
        check(&go(version, false), used, "Go heap", Confidence::Guess);
    }
    // Before 1.26 the heap is elsewhere, and what this is remains unknown.
    let old = label_at(&rows, &go("1.22.1", false), None, used);
    assert_eq!((old.0.as_str(), old.1), ("Go runtime", Confidence::Guess));
    assert!(old.2.contains("heap"), "{old:?}");
    // An entry of the array of arenas, which a variable of a stripped program points to.
    let array = 0x7f10_0000_0000_u64;
    let index = 0x3901_4400_0000_u64.wrapping_sub(0xffff_8000_0000_0000) / (64 << 20);
    let words = Words(vec![(0x60_0100, array), (array + index * 8, 0x7f10_0008_0000)]);
    let deep = label_at(&rows, &go("1.26.5", false), Some(&words), used);
    assert_eq!((deep.0.as_str(), deep.1), ("Go heap", Confidence::Certain));
}

/// `runtime.mheap_` points into the heap, too, which is elsewhere on other processors.
#[test]
fn memory_of_go_is_not_beside_a_heap_that_was_not_found() {
    let rows = "3f00000000-3f04000000 rw-p 00000000 00:00 0 \n\
                7f1000000000-7f1000100000 rw-p 00000000 00:00 0 \n";
    let mut facts = go("1.22.1", false);
    facts.images[0].symbols = vec![("runtime.mheap_", 0x60_0100)];
    let words = Words(vec![(0x60_0100, 0x3f_0000_1000), (0x60_0108, 0x7f10_0000_1000)]);
    for at in [0x3f_0000_0000, 0x7f10_0000_0000] {
        let found = label_at(rows, &facts, Some(&words), at);
        assert_eq!(found.1, Confidence::Guess, "{found:?}");
        assert!(found.2.contains("its heap, or data beside it"), "{found:?}");
    }
    // With the heap at its usual place.
    let rows = rows.replace("3f00000000-3f04000000", "c000000000-c004000000");
    let found = label_at(&rows, &facts, Some(&words), 0x7f10_0000_0000);
    assert_eq!((found.1, found.3.as_str()), (Confidence::Certain, "runtime.mheap_ points into it"));
}

/// Near other memory, whole arenas may belong to somebody else.
#[test]
fn aligned_memory_near_others_is_no_heap_of_go() {
    let rows = "7f0ff8000000-7f0ffc000000 rw-p 00000000 00:00 0 \n\
                7f1000000000-7f1000100000 rw-p 00000000 00:00 0 \n";
    let found = label_at(rows, &go("1.26.5", true), None, 0x7f0f_f800_0000);
    assert_ne!((found.0.as_str(), found.1), ("Go heap", Confidence::Likely));
}

#[test]
fn versions_that_were_never_checked_lower_the_confidence() {
    let row = "c000000000-c000400000 rw-p 00000000 00:00 0 \n";
    for (version, expected) in [
        ("1.19", Confidence::Likely),
        ("1.22.1", Confidence::Likely),
        ("1.27.0", Confidence::Likely),
        ("1.28", Confidence::Guess),
        ("1.18.10", Confidence::Guess),
        ("2.0", Confidence::Guess),
    ] {
        let found = label_at(row, &go(version, false), None, 0xc0_0000_0000);
        assert_eq!((found.0.as_str(), found.1), ("Go heap", expected), "{version}");
        let is_said = found.3.contains(&format!("never checked on Go {version}"));
        assert_eq!(is_said, expected == Confidence::Guess, "{found:?}");
    }
}

/// The file whose names hold for copied code is that of the label, also beside rows of other files.
#[test]
fn copied_code_is_of_the_file_that_the_label_names() {
    let of = |rows: &str, facts: &Facts, at: u64| {
        let maps = Maps::parse(rows.as_bytes()).unwrap();
        let labels = Labels::read(&maps, facts, None);
        let text = labels.at(at).map(|part| part.label.text.to_string());
        let file =
            vmatlas_explain::label::copied_from(&maps, facts, maps.find(at).mapping.unwrap());
        (text, file.map(|file| maps.get(file).unwrap().name.to_vec()))
    };
    // The library below ends where the copy of the first part of the other begins.
    let rows = "\
7f0000000000-7f0000010000 r-xp 00000000 08:01 1                          /lib/below\n\
7f0000010000-7f0000020000 r-xp 00000000 00:00 0 \n\
7f0000020000-7f0000030000 r-xp 00010000 08:01 2                          /lib/above\n";
    let (text, file) = of(rows, &Facts::default(), 0x7f00_0001_0000);
    assert!(text.is_some_and(|text| text.contains("code of above")));
    assert_eq!(file.as_deref(), Some(&b"/lib/above"[..]));
    // Nothing fits.
    let (_, file) =
        of(&rows.replace("00010000 08", "00020000 08"), &Facts::default(), 0x7f00_0001_0000);
    assert_eq!(file, None);
    // A segment of the library below has these addresses.
    let mut below = ImageFacts::default();
    below.name = b"/lib/below".to_vec();
    let segment = AddressRange::new(0x7f00_0000_0000, 0x7f00_0002_0000);
    below.segments = vec![(segment, 0x2_0000, false)];
    let facts = with!(Facts::default(), images = vec![below]);
    let (text, file) = of(rows, &facts, 0x7f00_0001_0000);
    assert!(text.is_some_and(|text| text.contains("code of below")));
    assert_eq!(file.as_deref(), Some(&b"/lib/below"[..]));
}

/// The rows of programs in huge pages, of Wine, and of others that resemble them.
#[test]
fn code_between_rows_of_a_file_is_a_copy_of_it() {
    let group = |rows: &str, at: u64| {
        let labels = Labels::read(&Maps::parse(rows.as_bytes()).unwrap(), &Facts::default(), None);
        let part = labels.at(at)?;
        let has_name = part.label.text.contains("code of bin");
        assert_eq!(has_name, part.label.group == "replaced file pages", "{part:?}");
        Some((part.label.group.to_string(), part.label.confidence))
    };
    let copied = Some(("replaced file pages".to_owned(), Confidence::Likely));
    // The first of the rows begins with the file.
    let huge = "\
00400000-30400000 r-xp 00000000 00:00 0 \n\
30400000-31200000 r-xp 30000000 00:27 13                            /srv/bin\n\
31200000-31400000 r-xp 00000000 00:00 0 \n\
31400000-39c00000 r-xp 31000000 00:27 13                            /srv/bin\n\
39c00000-39e00000 r-xp 00000000 00:00 0 \n\
39e00000-3bff9000 r-xp 39a00000 00:27 13                            /srv/bin\n\
3bff9000-3cf44000 rw-p 3bbf8000 00:27 13                            /srv/bin\n\
3cf44000-3d709000 rw-p 00000000 00:00 0 \n";
    for at in [0x40_0000, 0x3120_0000, 0x39c0_0000] {
        assert_eq!(group(huge, at), copied, "{at:x}");
    }
    assert_eq!(group(huge, 0x3cf4_4000), Some((".bss".to_owned(), Confidence::Guess)));
    // Offsets that do not fit: code made at run time.
    let code = Some(("JIT code".to_owned(), Confidence::Likely));
    assert_eq!(group(&huge.replace(" 31000000", " 30e00000"), 0x3120_0000), code);
    assert_eq!(group(&huge.replace(" 30000000", " 2fe00000"), 0x40_0000), code);
    // Rows of different files.
    assert_eq!(group(&huge.replacen("00:27 13 ", "00:27 14 ", 1), 0x3120_0000), code);
    // Not adjacent.
    let apart = huge.replace("31200000-31400000", "31201000-31400000");
    assert_eq!(group(&apart, 0x3120_1000), code);
    // It may be written, so it need not be code.
    let written = huge.replace("31200000-31400000 r-xp", "31200000-31400000 rwxp");
    assert_eq!(group(&written, 0x3120_0000).unwrap().1, Confidence::Guess);
    // A section of a Windows program has its own offset in the file.
    let wine = "\
140000000-140001000 r--p 00000000 08:01 100                              /home/u/bin\n\
140001000-140dff000 r-xp 00000000 00:00 0 \n\
140dff000-140e00000 r--p 00dfd000 08:01 100                              /home/u/bin\n";
    assert_eq!(group(wine, 0x1_4000_1000), copied);
    // No later row of it shows how large its code is.
    let last = "\
7bc00000-7bc01000 r--p 00000000 08:01 100                                /usr/lib/wine/ntdll.dll\n\
7bc01000-7bc40000 r-xp 00000000 00:00 0 \n\
7bc40000-7bc41000 r--p 00000000 08:01 101                                /usr/lib/wine/kernel32.dll\n\
7bc41000-7bc60000 r-xp 00001000 08:01 101                                /usr/lib/wine/kernel32.dll\n";
    let perhaps = Some(("JIT code".to_owned(), Confidence::Guess));
    assert_eq!(group(last, 0x7bc0_1000), perhaps);
    // A file with code, and one that is data.
    for other in ["7bc00000-7bc01000 r-xp 00000000", "7bc00000-7bc01000 r--p 00003000"] {
        let rows = last.replace("7bc00000-7bc01000 r--p 00000000", other);
        assert_eq!(group(&rows, 0x7bc0_1000), code, "{other}");
    }
    // A trampoline between two rows that leave nothing out.
    let trampoline = "\
7f0000000000-7f0000010000 r-xp 00000000 08:01 100                        /lib/bin\n\
7f0000010000-7f0000020000 r-xp 00000000 00:00 0 \n\
7f0000020000-7f0000030000 r--p 00010000 08:01 100                        /lib/bin\n";
    assert_eq!(group(trampoline, 0x7f00_0001_0000), code);
    // With memory, equal bytes prove it.
    let maps = Maps::parse(huge.as_bytes()).unwrap();
    let copies = vec![AddressRange::new(0x3120_0000, 0x3140_0000)];
    let labels = Labels::read(&maps, &with!(Facts::default(), copies = copies), None);
    assert_eq!(labels.at(0x3120_0000).unwrap().label.confidence, Confidence::Certain);
    assert_eq!(labels.at(0x39c0_0000).unwrap().label.confidence, Confidence::Likely);
}

#[test]
fn padding_of_androids_linker_belongs_to_a_library() {
    let rows = "\
7f3f25f000-7f3f260000 r--p 00000000 07:98 48                       /apex/lib64/libdl.so\n\
7f3f260000-7f3f263000 ---p 00000000 00:00 0                        [page size compat]\n\
7f3f263000-7f3f264000 r-xp 00004000 07:98 48                       /apex/lib64/libdl.so\n";
    let found = label_at(rows, &Facts::default(), None, 0x7f_3f26_0000);
    assert_eq!((found.0.as_str(), found.1), ("padding", Confidence::Certain));
    assert!(found.2.contains("libdl.so"), "{found:?}");
}

/// A thread runs on one of many equal stacks above guards: the others need not be of threads.
#[test]
fn stacks_of_coroutines_are_not_said_to_be_of_threads() {
    const SIZE: u64 = 64 << 10;
    let rows = |count: u64| {
        let row = |n: u64| {
            let start = 0x7f10_0000_0000 + n * (SIZE + 4096);
            let stack = start + 4096;
            format!(
                "{start:x}-{stack:x} ---p 00000000 00:00 0 \n\
                 {stack:x}-{:x} rw-p 00000000 00:00 0 \n",
                stack + SIZE
            )
        };
        (0..count).map(row).collect::<String>()
    };
    let thread = |tid, stack_pointer| {
        with!(ThreadFacts::default(), tid = tid, stack_pointer = stack_pointer)
    };
    let on_first = Some(0x7f10_0000_8000);
    let confidence = |threads: Vec<ThreadFacts>, count| {
        let facts = with!(Facts::default(), page_size = 4096, threads = threads);
        let found = label_at(&rows(count), &facts, None, 0x7f10_0001_8000);
        assert_eq!(found.0, "thread stack");
        found.1
    };
    assert_eq!(confidence(vec![thread(1, on_first)], 50), Confidence::Guess);
    assert_eq!(confidence(vec![thread(1, on_first), thread(2, None)], 50), Confidence::Guess);
    // A running thread has such a stack.
    assert_eq!(confidence(vec![thread(1, on_first), thread(2, None)], 2), Confidence::Likely);
}

/// Blocks that the kernel merged with each other and with memory that the program mapped.
#[test]
fn a_row_of_several_parts_is_not_called_by_the_first() {
    const MIB: u64 = 1 << 20;
    let start = 0x7f10_0000_0000_u64;
    let of_blocks = |sizes: &[u64], more: u64| {
        let mut words = Vec::new();
        let mut at = start;
        for size in sizes {
            // The size of the chunk, which is a mapping of its own.
            words.push((at + 8, size | 2));
            at += size;
        }
        let rows = format!("{start:x}-{:x} rw-p 00000000 00:00 0 \n{LIBC}", at + more);
        let maps = Maps::parse(rows.as_bytes()).unwrap();
        let facts = with!(Facts::default(), page_size = 4096);
        let labels = Labels::read(&maps, &facts, Some(&Words(words)));
        let row = maps.get(0).unwrap().range;
        let label = labels.most_of(row).unwrap().clone();
        assert_eq!(label.group, "large malloc block");
        assert_eq!(label.text, labels.text_of(row, true));
        label.text
    };
    assert_eq!(of_blocks(&[24 * MIB], 0), "malloc: a single block of 24 MiB");
    assert_eq!(of_blocks(&[MIB; 47], 0), "malloc: 47 blocks of 1 MiB");
    assert_eq!(
        of_blocks(&[32 * MIB, 10 * MIB], 5 * MIB),
        "malloc: a single block of 32 MiB; malloc: a single block of 10 MiB; 5M unexplained"
    );
    assert_eq!(
        of_blocks(&[MIB, 8 * MIB, 7 * MIB, 6 * MIB, 2 * MIB], 0),
        "malloc: a single block of 8 MiB; malloc: a single block of 7 MiB; malloc: a single block \
         of 6 MiB; 5 parts in all"
    );
}

/// A file of memory that may be written and executed is no program, such as the core of SBCL.
#[test]
fn memory_after_a_saved_heap_is_no_bss() {
    let group = |perms: &str| {
        let rows = format!(
            "50000000-50500000 {perms} 00008000 fe:00 7   /lib/sbcl.core\n\
             50500000-50700000 rw-p 00508000 fe:00 7      /lib/sbcl.core\n\
             50700000-51000000 rw-p 00000000 00:00 0 \n"
        );
        let labels = Labels::read(&Maps::parse(rows.as_bytes()).unwrap(), &Facts::default(), None);
        labels.at(0x5070_0000).map(|part| part.label.group.to_string())
    };
    assert_ne!(group("rwxp").as_deref(), Some(".bss"));
    assert_eq!(group("r-xp").as_deref(), Some(".bss"));
}
