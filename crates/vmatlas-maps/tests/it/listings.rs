//! Listings that no kernel printed, and texts that contain rows.

use crate::captures::capture;
use vmatlas_maps::{Group, Maps, MapsReader, Totals};

fn summary(text: &[u8]) -> String {
    let maps = MapsReader::read(text);
    let mut lines = Vec::new();
    for row in maps.iter() {
        let kind = row.kind().word();
        lines.push(
            format!("{} {} {kind} {}", row.range, row.perms, String::from_utf8_lossy(row.name))
                .trim()
                .to_owned(),
        );
    }
    lines.extend(maps.warnings().iter().map(|warning| format!("warning: {warning}")));
    lines.join("\n")
}

#[test]
fn the_manual_page() {
    insta::assert_snapshot!(summary(&capture("proc-pid-maps-manual.txt")), @"
    00400000-00452000 r-xp file /usr/bin/dbus-daemon
    00651000-00652000 r--p file /usr/bin/dbus-daemon
    00652000-00655000 rw-p file /usr/bin/dbus-daemon
    00e03000-00e24000 rw-p heap [heap]
    00e24000-011f7000 rw-p heap [heap]
    35b1800000-35b1820000 r-xp file /usr/lib64/ld-2.15.so
    35b1a1f000-35b1a20000 r--p file /usr/lib64/ld-2.15.so
    35b1a20000-35b1a21000 rw-p file /usr/lib64/ld-2.15.so
    35b1a21000-35b1a22000 rw-p anonymous
    35b1c00000-35b1dac000 r-xp file /usr/lib64/libc-2.15.so
    35b1dac000-35b1fac000 ---p file /usr/lib64/libc-2.15.so
    35b1fac000-35b1fb0000 r--p file /usr/lib64/libc-2.15.so
    35b1fb0000-35b1fb2000 rw-p file /usr/lib64/libc-2.15.so
    f2c6ff8c000-7f2c7078c000 rw-p thread-stack [stack:986]
    7fffb2c0d000-7fffb2c2e000 rw-p stack [stack]
    7fffb2d48000-7fffb2d49000 r-xp vdso [vdso]
    warning: line 17: f2c6ff8c000-7f2c7078c000 would cover 112 TiB: a digit of its start is lost, and it overlaps the mappings there
    ");
}

#[test]
fn an_answer_about_a_2_6_kernel() {
    insta::assert_snapshot!(summary(&capture("gpm-2.6-i386.txt")), @"08048000-08056000 r-xp file /usr/sbin/gpm");
}

#[test]
fn a_crash_log() {
    let text = b"#\n# SIGSEGV (0xb) at pc=0x00007f00\n\nDynamic libraries:\n\
        00400000-00401000 r-xp 00000000 fe:00 42                                 /usr/bin/java\n\
        00500000-00501000 rw-p 00000000 00:00 0 \nVM Arguments:\nStack: none\n";
    insta::assert_snapshot!(summary(text), @"
    00400000-00401000 r-xp file /usr/bin/java
    00500000-00501000 rw-p anonymous
    ");
}

#[test]
fn smaps_in_a_bug_report() {
    let text = b"Hello,\nhere it is:\n1000-2000 rw-p 00000000 00:00 0 \nSize:                  4 kB\nRss:                   0 kB\nRegards: me\n";
    let maps = MapsReader::read(text);
    assert_eq!(
        maps.fields(0).map(|f| String::from_utf8_lossy(f.name).into_owned()).collect::<Vec<_>>(),
        ["Size", "Rss", "Regards"]
    );
}

#[test]
fn bad_rows_are_named_and_the_rest_is_used() {
    let text = b"1000-2000 rw-p 00000000 00:00 0 \n\n2000-3000 rw- 0 0:0 0\nhello there\n3000-3000 r--p 00000000 00:00 0 \n\
        2800-4000 rw-p 00000000 00:00 0 \n4000-5000 r--p 00000000 00:00 0 \n5000-6000 rw-p 00000000 00:0";
    insta::assert_snapshot!(summary(text), @"
    00001000-00002000 rw-p anonymous
    00003000-00003000 r--p anonymous
    00002800-00004000 rw-p anonymous
    00004000-00005000 r--p anonymous
    warning: line 3, column 11: not a row: four permissions and a blank are expected, like r-xp
    warning: line 4, column 1: not a row: a row begins with a hexadecimal address and `-`
    warning: line 5: 00003000-00003000 covers no address
    warning: line 6: 00002800-00004000 overlaps the row before it, 00003000-00003000
    warning: line 8, column 29: not a row: a device of two hexadecimal numbers and a blank are expected, like fe:00
    warning: line 8: the last line has no line feed: the text may have been cut here
    ");
}

#[test]
fn damaged_rows_in_a_text_are_named_too() {
    let text = b"memory map:\n00001000-00002000 rw-p 00000000 00:00 0 \nsee 1-2\n00002000-00003000 rw- 0\n\
        00004000-00005000 rw-p 00000000 00:";
    insta::assert_snapshot!(summary(text), @"
    00001000-00002000 rw-p anonymous
    warning: line 4, column 19: not a row: four permissions and a blank are expected, like r-xp
    warning: line 5, column 36: not a row: a device of two hexadecimal numbers and a blank are expected, like fe:00
    warning: line 5: the last line has no line feed: the text may have been cut here
    ");
    let windows = b"map:\r\n00001000-00002000 rw-p 00000000 00:00 0 \r\n";
    insta::assert_snapshot!(summary(windows), @"
    00001000-00002000 rw-p anonymous
    warning: lines end in a carriage return, as Windows and terminals write it: it is left out
    ");
}

#[test]
fn a_reservation_may_be_huge() {
    assert_eq!(
        MapsReader::read(b"000100000000-7fffffff0000 ---p 00000000 00:00 0 \n").warnings(),
        []
    );
}

#[test]
fn several_maps_one_after_the_other() {
    let text = b"5000-6000 rw-p 00000000 00:00 0 [stack]\n1000-2000 rw-p 00000000 00:00 0 \n";
    insta::assert_snapshot!(summary(text), @"
    00005000-00006000 rw-p stack [stack]
    00001000-00002000 rw-p anonymous
    warning: line 2: the rows begin again: these are several maps, or rows out of order
    ");
}

/// The addresses of a second process may all lie above those of the first.
#[test]
fn a_second_stack_is_of_another_process() {
    let count = |text: &str| MapsReader::read(text.as_bytes()).processes();
    let small = "8048000-804c000 r-xp 00000000 fe:00 7 /a\nf7fc9000-f7fcb000 r-xp 00000000 00:00 0 [vdso]\n\
                 ffce0000-ffd01000 rw-p 00000000 00:00 0 [stack]\n";
    let large = "55d6f0a00000-55d6f0a01000 r--p 00000000 fe:00 8 /b\n7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0 [stack]\n";
    let texts = [(format!("{small}{large}"), 2), (format!("{small}{large}{small}"), 3)];
    for (text, maps) in texts {
        assert_eq!(count(&text), maps, "{text}");
        // Also beside other text.
        assert_eq!(count(&text.replace('\n', "\n  \n").replace("8048000", "app: 8048000")), maps);
    }
    insta::assert_snapshot!(MapsReader::read(format!("{small}{large}").as_bytes()).warnings()[0],
        @"the rows begin again: these are several maps, or rows out of order");
    // More than there is room for warnings.
    assert_eq!(count(&large.repeat(500)), 500);
    // Without stacks, the vdso shows it.
    let of_vdso = "1000-2000 r-xp 00000000 fe:00 7 /a\n3000-5000 r-xp 00000000 00:00 0 [vdso]\n";
    let above = "7000-8000 r-xp 00000000 fe:00 7 /a\n9000-b000 r-xp 00000000 00:00 0 [vdso]\n";
    assert_eq!(count(&format!("{of_vdso}{above}")), 2);
    // One process: its stack in two rows that touch; the name that old kernels gave two pages.
    assert_eq!(
        count("1000-2000 rw-p 00000000 00:00 0 [stack]\n2000-3000 rwxp 00000000 00:00 0 [stack]\n"),
        1
    );
    assert_eq!(
        count(&format!(
            "{of_vdso}ffffffffff600000-ffffffffffe00000 ---p 00000000 00:00 0 [vdso]\n"
        )),
        1
    );
}

#[test]
fn rows_behind_the_path_of_another_process_are_another_map() {
    let count = |text: &str| MapsReader::read(text.as_bytes()).processes();
    let row = |pid: u32, start: u32| {
        format!("/proc/{pid}/maps:{start}000-{start}800 r-xp 00000000 fe:00 7     /lib/libc.so.6\n")
    };
    assert_eq!(count(&format!("{}{}{}", row(1, 1), row(2, 3), row(2, 4))), 2);
    assert_eq!(count(&format!("{}{}{}", row(1, 5), row(2, 3), row(3, 4))), 3);
    assert_eq!(count(&format!("{}{}", row(1, 1), row(1, 3))), 1);
}

#[test]
fn a_copy_from_windows() {
    insta::assert_snapshot!(
        summary(b"1000-2000 rw-p 00000000 00:00 0\r\n3000-4000 r--p 00000000 fe:00 7 /x\r\n"),
        @"
    00001000-00002000 rw-p anonymous
    00003000-00004000 r--p file /x
    warning: lines end in a carriage return, as Windows and terminals write it: it is left out
    "
    );
    // A single name that ends in a carriage return is a name.
    insta::assert_snapshot!(
        summary(b"1000-2000 rw-p 00000000 00:00 0\n3000-4000 r--p 00000000 fe:00 7 /x\r\n").escape_debug(),
        @r"00001000-00002000 rw-p anonymous\n00003000-00004000 r--p file /x"
    );
}

#[test]
fn a_line_without_end_takes_bounded_memory() {
    let mut reader = vmatlas_maps::MapsReader::default();
    reader.push(b"1000-2000 rw-p 00000000 00:00 0 \n");
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..1024 {
        reader.push(&piece);
    }
    reader.push(b"\n3000-4000 rw-p 00000000 00:00 0 \n");
    let maps = reader.finish();
    assert_eq!(maps.len(), 2);
    insta::assert_snapshot!(maps.warnings()[0], @"line 2, column 1: not a row: the line is too long to be a row");
}

#[test]
fn other_listings_are_recognised() {
    assert_eq!(
        vmatlas_maps::other_listing(b"  Start Addr  End Addr  Size  Offset  objfile\n"),
        Some("gdb's `info proc mappings`")
    );
    assert_eq!(
        vmatlas_maps::other_listing(b"7f00 default file=/x mapped=2 kernelpagesize_kB=4\n"),
        Some("/proc/PID/numa_maps")
    );
    assert_eq!(vmatlas_maps::other_listing(b"Error: [Errno 3] No such process: 'maps'\n"), None);
}

#[test]
fn a_text_without_a_row_is_no_empty_map() {
    assert!(Maps::parse(b"").unwrap().is_empty());
    let error = Maps::parse(b"  Start Addr  End Addr  Size  Offset  objfile\n").unwrap_err();
    assert_eq!(error.looks_like(), Some("gdb's `info proc mappings`"));
    assert_eq!(
        error.to_string(),
        "the text has no row of maps: this looks like gdb's `info proc mappings`"
    );
    assert_eq!(Maps::parse(b"\n").unwrap_err().to_string(), "the text has no row of maps");
}

#[test]
fn fields_that_a_text_lacks_have_no_sum() {
    let rows = |fields: &str| {
        format!(
            "55d6f0a00000-55d6f0a01000 r--p 00000000 fe:00 1001                       /usr/bin/demo\n{fields}55d6f0a01000-55d6f0a05000 r-xp 00001000 fe:00 1001                       /usr/bin/demo\n{fields}"
        )
    };
    let sums = |text: &str| {
        let all = Totals::sum(&MapsReader::read(text.as_bytes()), Group::Kind, |_| true).all;
        (all.sizes.rss, all.sizes.pss, all.sizes.hugetlb)
    };
    let (size, rss) = ("Size:                  4 kB\n", "Rss:                   4 kB\n");
    let pss = "Pss:                   3 kB\n";
    let huge = "Private_Hugetlb:    2048 kB\n";
    assert_eq!(sums(&rows("")), (None, None, None));
    assert_eq!(sums(&rows(&[size, pss].concat())), (None, Some(0x1800), None));
    assert_eq!(sums(&rows(&[size, rss].concat())), (Some(0x2000), None, None));
    let shared = "Shared_Hugetlb:        0 kB\n";
    let both = sums(&rows(&[rss, shared, huge].concat()));
    assert_eq!(both, (Some(0x2000), None, Some(0x40_0000)));
    assert_eq!(sums(&rows(&[rss, huge].concat())).2, None);
    // Other blanks than the kernel's.
    assert_eq!(sums(&rows("Rss: 4 kB\n")), (Some(0x2000), None, None));
}

#[test]
fn sizes_that_were_cut_are_named() {
    let row =
        "55d6f0a00000-55d6f0a01000 r--p 00000000 fe:00 1001                       /usr/bin/demo\n";
    for cut in ["Rss:                  1", "Rss:                   1", "Rss: 1 k", "Rss:  1 MB"] {
        let maps = MapsReader::read(format!("{row}{cut}\n").as_bytes());
        let said: Vec<String> = maps.warnings().iter().map(ToString::to_string).collect();
        let known = maps.fields(0).find(|field| field.name == b"Rss").unwrap().value.number();
        assert_eq!(known, None, "{cut}");
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("line 2: Rss is no size in kB"), "{said:?}");
    }
    let whole = format!("{row}Rss:                   4 kB\nTHPeligible:           0\n");
    assert_eq!(MapsReader::read(whole.as_bytes()).warnings(), []);
}

#[test]
fn rows_with_odd_permissions_in_a_text_are_named() {
    let text = "a log\n55d6f0a00000-55d6f0a01000 r--p 00000000 fe:00 1001 /usr/bin/demo\n55d6f0a01000-55d6f0a05000 r--0 00001000 fe:00 1001 /usr/bin/demo\n";
    let maps = MapsReader::read(text.as_bytes());
    let said: Vec<String> = maps.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(maps.len(), 1);
    assert_eq!(
        said,
        ["line 3, column 1: not a row: four permissions and a blank are expected, like r-xp"]
    );
}
