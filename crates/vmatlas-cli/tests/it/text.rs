//! Tests targets that are files and standard input.

use crate::vmatlas::{command, testdata, vmatlas, vmatlas_with_input};
use std::io::Write as _;
use std::process::{Command, Stdio};

const ZOO: &str = "captures/zoo-x86_64-6.18.maps";

#[test]
fn captures_come_back_raw() {
    let mut count = 0;
    for entry in std::fs::read_dir(testdata().join("captures")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "maps" || extension == "smaps") {
            let text = std::fs::read(&path).unwrap();
            assert!(
                vmatlas(&[path.to_str().unwrap(), "--raw"]).stdout == text,
                "{}",
                path.display()
            );
            assert!(
                vmatlas_with_input(&["show", "-", "--raw"], &text).stdout == text,
                "{}",
                path.display()
            );
            count += 1;
        }
    }
    assert_eq!(count, 14);
}

#[test]
fn a_listing_of_the_manual_page() {
    insta::assert_snapshot!(vmatlas(&["captures/proc-pid-maps-manual.txt"]).all());
}

#[test]
fn names_are_harmless_on_a_terminal() {
    let shown = vmatlas(&[ZOO, "--where", "name = /zoo/*", "--columns", "name", "--no-header"]);
    assert!(shown.stdout.iter().all(|&b| b == b'\n' || !b.is_ascii_control()));
    assert!(shown.text().contains(r"/zoo/d/esc\x1b[31mred"));
    assert!(vmatlas(&[ZOO, "--raw"]).text().contains("/zoo/d/esc\x1b[31mred"));
}

#[test]
fn json_of_odd_rows() {
    let json = vmatlas(&[ZOO, "--json"]).json();
    assert_eq!(json["schema"], "vmatlas/1");
    assert_eq!(json["target"], serde_json::json!({"source": "text", "word_size": 64}));
    let mappings = json["mappings"].as_array().unwrap();
    assert_eq!(mappings.len(), 74);
    let odd: Vec<_> = mappings
        .iter()
        .filter(|mapping| {
            let name = mapping["name"].as_str().unwrap();
            ["latin", "SYSV00001234", "twice", "new\\012line", "heap"]
                .iter()
                .any(|word| name.contains(word))
        })
        .collect();
    insta::assert_snapshot!(serde_json::to_string_pretty(&odd).unwrap());
}

#[test]
fn json_of_smaps() {
    let json = vmatlas(&["captures/busybox-arm64-6.1.smaps", "--json"]).json();
    let first = &json["mappings"][0];
    assert_eq!((&first["rss"], &first["pss"]), (&(1152 * 1024).into(), &(357 * 1024).into()));
    assert_eq!(first["vm_flags"], serde_json::json!(["rd", "ex", "mr", "mw", "me"]));
    assert_eq!(json["totals"][0]["kind"], "file");
}

#[test]
fn rows_are_filtered_sorted_and_reversed() {
    let columns = ["--columns", "start,size,perms,kind", "--no-header"];
    let shown = |args: &[&str]| vmatlas(&[&[ZOO], &columns[..], args].concat()).text();
    insta::assert_snapshot!(shown(&["--where", "perms = ?w?s and size >= 12K", "--sort", "size"]), @"
    7f0fc2b5f000  16K rw-s  shared-anonymous
    7f0fc2b81000  12K rw-s  shared-anonymous
    7f0fc2b84000  12K rw-s  shared-anonymous
    7f0fc2b8a000  12K rw-s  sysv-shm
    ");
    insta::assert_snapshot!(vmatlas(&[ZOO, "--csv", "--where", "name = *comma*"]).text(), @r#"
    start,end,size,perms,offset,device,inode,kind,name,path,deleted,label,confidence
    0x7f0fc2ba3000,0x7f0fc2ba5000,8192,r--p,0x1000,fe:00,1114129,file,"/zoo/d/q""uo'te,comma;","/zoo/d/q""uo'te,comma;",false,,
    "#);
}

#[test]
fn kernels_of_other_times() {
    let text = b"55607e72c000-55607e72d000 r--p 00001000 fe:00 14                         /a\n\
        55607e72d000-55607e72e000 rw-p 00000000 00:00 0 \n\
        55607e72e000-55607e72f000 rw-p 00000000 00:00 0                          [anon:x]\n\
        7fffa19c5000-7fffa19e6000 rw-p 00000000 00:00 0                          [stack]\n";
    let shown = |args: &[&str]| vmatlas_with_input(&[&["-", "--raw"], args].concat(), text).text();
    assert_eq!(shown(&["--kernel", "6.1"]).as_bytes(), text);
    insta::assert_snapshot!(shown(&["--kernel", "2.0"]).replace(' ', "_"), @"
    000055607e72c000-000055607e72d000_r--p_0000000000001000_fe:00_14
    000055607e72d000-000055607e72e000_rw-p_0000000000000000_00:00_0
    000055607e72e000-000055607e72f000_rw-p_0000000000000000_00:00_0
    00007fffa19c5000-00007fffa19e6000_rw-p_0000000000000000_00:00_0
    ");
    insta::assert_snapshot!(shown(&["--kernel", "2.4"]).replace(' ', "_"), @"
    000055607e72c000-000055607e72d000_r--p_0000000000001000_fe:00_14_________/a
    000055607e72d000-000055607e72e000_rw-p_0000000000000000_00:00_0
    000055607e72e000-000055607e72f000_rw-p_0000000000000000_00:00_0
    00007fffa19c5000-00007fffa19e6000_rw-p_0000000000000000_00:00_0
    ");
    insta::assert_snapshot!(shown(&["--kernel", "2.6.39", "--word-size", "32"]).replace(' ', "_"), @"
    55607e72c000-55607e72d000_r--p_00001000_fe:00_14__/a
    55607e72d000-55607e72e000_rw-p_00000000_00:00_0_
    55607e72e000-55607e72f000_rw-p_00000000_00:00_0_
    7fffa19c5000-7fffa19e6000_rw-p_00000000_00:00_0__[stack]
    ");
}

#[test]
fn what_lies_at_an_address() {
    let run = vmatlas(&["at", ZOO, "7f0fc2bde010", "0x7f0fc2a5c000"]);
    insta::assert_snapshot!(run.all());
    let json = vmatlas(&["at", ZOO, "7f0fc2bde010", "--json"]).json();
    assert_eq!(json["addresses"][0]["mapped"], true);
    assert_eq!(json["addresses"][0]["file_offset"], "0x26010");
    assert_eq!(json["addresses"][0]["distance_before"], 0x10);
    assert_eq!(json["addresses"][0]["before"]["perms"], "r--p");
}

/// Kernels of Linux 2.6 show no permissions for them.
#[test]
fn pages_for_system_calls_can_be_executed() {
    let row = "ffffffffff600000-ffffffffffe00000 ---p 00000000 00:00 0 ";
    for name in ["", "[vsyscall]", "[vdso]"] {
        let text = format!("{row}{name}\n");
        let run = vmatlas_with_input(&["at", "-", "ffffffffff600100"], text.as_bytes()).text();
        assert!(run.contains("; it may be executed, though old kernels show no perm"), "{run}");
    }
}

/// A text that was cut or filtered lacks fields of smaps.
#[test]
fn sizes_that_are_missing_are_not_summed_up() {
    let first = |text: &str| {
        let run = vmatlas_with_input(&["show", "-q", "-"], text.as_bytes()).text();
        run.lines().next().unwrap().to_owned()
    };
    let row =
        "1000-3000 r--p 00000000 fe:00 7 /a\nRss: 8 kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: 4 kB\n";
    insta::assert_snapshot!(first(row), @"standard input: 1 mapping, 8K; 8K resident (4K private), mostly files (100.0%)");
    let without =
        format!("{row}4000-6000 r--p 00000000 fe:00 7 /a\nRss: 8 kB\nPrivate_Dirty: 4 kB\n");
    insta::assert_snapshot!(first(&without), @"standard input: 2 mappings, 16K; 16K resident, mostly files (100.0%)");
    let cut = format!("{row}4000-6000 r--p 00000000 fe:00 7 /a\n");
    insta::assert_snapshot!(first(&cut), @"standard input: 2 mappings, 16K; at least 8K resident, mostly files (100.0%)");
}

/// `cat smaps smaps_rollup`, also the other way round.
#[test]
fn a_rollup_beside_rows_has_no_label_and_no_sum() {
    let heap =
        "1000-3000 rw-p 00000000 00:00 0    [heap]\nSize: 8 kB\nRss:                   8 kB\n";
    let stack =
        "5000-6000 rw-p 00000000 00:00 0    [stack]\nSize: 4 kB\nRss:                   4 kB\n";
    let rollup = "1000-6000 ---p 00000000 00:00 0    [rollup]\nRss:                  12 kB\n";
    for text in [[heap, stack, rollup], [rollup, heap, stack]] {
        let text = text.concat();
        let run = vmatlas_with_input(&["show", "-"], text.as_bytes());
        let all = run.all();
        assert!(all.contains("2 mappings, 12K; 12K resident"), "{all}");
        assert!(all.contains("the row [rollup] is no mapping"), "{all}");
        let row = all.lines().find(|line| line.contains("---p")).unwrap();
        assert!(row.ends_with("[rollup]"), "{row}");
        let json = vmatlas_with_input(&["show", "-", "--json"], text.as_bytes()).json();
        let totals = json["totals"].as_array().unwrap();
        let sum = |field: &str| totals.iter().filter_map(|kind| kind[field].as_u64()).sum::<u64>();
        assert_eq!((sum("mappings"), sum("size"), sum("rss")), (2, 0x3000, 0x3000));
        let rows = json["mappings"].as_array().unwrap();
        let rollup = rows.iter().find(|row| row["name"] == "[rollup]").unwrap();
        assert!(rollup["label"].is_null());
    }
}

#[test]
fn a_rollup_does_not_show_what_is_mapped() {
    let rollup = "55def7fa4000-7fff73114000 ---p 00000000 00:00 0                          [rollup]\nRss:               70652 kB\n";
    let run = vmatlas_with_input(&["at", "-", "55def7fa4010"], rollup.as_bytes());
    assert!(run.all().starts_with(
        "0x55def7fa4010 may be mapped or not: it lies in the range of a rollup (55def7fa4000-7fff73114000), and the text does not list its mappings.\n"
    ));
    let run = vmatlas_with_input(&["at", "-", "1000"], format!("{rollup}{rollup}").as_bytes());
    assert!(run.all().contains("0x1000 lies outside the ranges of the text's rollups."));
    let json = vmatlas_with_input(&["at", "-", "55def7fa4010", "--json"], rollup.as_bytes()).json();
    assert!(json["addresses"][0]["mapped"].is_null());
}

#[test]
fn sums_of_fields_that_a_text_lacks_are_not_shown() {
    let row =
        "55d6f0a00000-55d6f0a01000 r--p 00000000 fe:00 1001                       /usr/bin/demo\n";
    let show = |field: &str| vmatlas_with_input(&["-"], format!("{row}{field}\n").as_bytes()).all();
    let pss = show("Pss:                   4 kB");
    assert!(pss.contains(" pss\n") && !pss.contains("resident"), "{pss}");
    let rss = show("Rss:                   4 kB");
    assert!(rss.contains("4K resident") && !rss.contains("pss"), "{rss}");
}

#[test]
fn two_maps_compared() {
    let old = b"1000-2000 r-xp 00000000 fe:00 7 /bin/x\n5000-6000 rw-p 00000000 00:00 0 [heap]\n7000-8000 rw-p 00000000 00:00 0 \n";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), old).unwrap();
    let new = b"2000-3000 r-xp 00000000 fe:00 7 /bin/x\n6000-9000 rw-p 00000000 00:00 0 [heap]\na000-b000 r--s 00000000 fe:00 8 /y\n";
    let run = vmatlas_with_input(&["diff", file.path().to_str().unwrap(), "-"], new);
    insta::assert_snapshot!(run.all(), @"
    ~ 00006000-00009000    12K rw-p [heap]  (grew by 8K)
    - 00007000-00008000     4K rw-p
    + 0000a000-0000b000     4K r--s /y
    1 added, 1 removed, 1 changed, 1 at another address only
    exit 1
    ");
    let json =
        vmatlas_with_input(&["diff", file.path().to_str().unwrap(), "-", "--json"], new).json();
    assert_eq!(json["changed"][0]["what"], serde_json::json!(["size"]));
    assert_eq!(json["added"][0]["name"], "/y");
    assert_eq!(json["removed"][0]["kind"], "anonymous");
    assert_eq!(vmatlas(&["diff", ZOO, ZOO]).status, 0);
}

#[test]
fn trouble_is_one_line_and_status_2() {
    let troubles: [(&[&str], &[u8]); 18] = [
        (&[""], b""),
        (&["+1"], b""),
        (&["diff", "-", "-"], b""),
        (&["at", ZOO, "+10"], b""),
        (&["at", ZOO], b""),
        (&["access", "4294967295"], b""),
        (&[ZOO, "--where", "rss > 0"], b""),
        (&[ZOO, "--where", "size >"], b""),
        (&[ZOO, "--columns", "colour"], b""),
        (&["-"], b""),
        (&["-"], b"hello\n"),
        (&["-"], b"Start Addr  End Addr  Size  Offset  objfile\n"),
        (&["-"], b"\x7fELF\x02\x01"),
        (&["captures"], b""),
        (&["no-such-thing"], b""),
        (&["no/such/thing\x1b[31m"], b""),
        (&["4294967295"], b""),
        (&[ZOO, "--sizes"], b""),
    ];
    let mut shown = String::new();
    for (args, input) in troubles {
        let run = vmatlas_with_input(args, input);
        assert_eq!(
            (run.status, run.stdout.len(), run.stderr.lines().count()),
            (2, 0, 1),
            "{args:?}"
        );
        shown.push_str(&run.stderr);
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn warnings_can_be_silenced() {
    let text = b"1000-2000 rw-p 00000000 00:00 0 \nnonsense\n";
    assert_eq!(vmatlas_with_input(&["-"], text).stderr.lines().count(), 1);
    assert_eq!(vmatlas_with_input(&["-", "-q"], text).stderr, "");
    let json = vmatlas_with_input(&["-", "-q", "--json"], text).json();
    assert_eq!(json["warnings"][0]["line"], 2);
}

#[test]
fn a_closed_pipe_is_no_trouble() {
    for format in ["--json", "--csv", "--raw", "--no-header"] {
        let mut child = command(&["captures/zoo-x86_64-6.18.smaps", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{format}: {}", output.status);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{format}");
    }
}

#[test]
fn help_names_every_command() {
    let help = vmatlas(&["--help"]).text();
    for command in ["show", "at", "diff", "access", "completions", "man"] {
        assert!(help.contains(command), "{command}");
    }
    assert!(vmatlas(&["completions", "bash"]).text().contains("_vmatlas"));
}

/// Every command has a page, in which mandoc finds nothing to mend.
#[test]
fn manual_pages() {
    let whole = vmatlas(&["man"]).text();
    let names = whole.lines().filter_map(|line| line.strip_prefix(".BR vmatlas\\-"));
    let names: Vec<&str> = names.filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"show") && names.len() > 8, "{names:?}");
    for name in names.iter().copied().map(Some).chain([None]) {
        let page = vmatlas(&["man"].iter().copied().chain(name).collect::<Vec<_>>()).text();
        for section in ["NAME", "SYNOPSIS", "EXAMPLES", "ENVIRONMENT", "\"SEE ALSO\""] {
            assert!(page.contains(&format!(".SH {section}\n")), "{name:?}: {section}");
        }
        let mut mandoc = Command::new("mandoc");
        mandoc.args(["-T", "lint", "-W", "style"]);
        mandoc.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = match mandoc.spawn() {
            Err(error) if std::env::var_os("CI").is_none() => {
                eprintln!("skipped: mandoc: {error}");
                continue;
            }
            child => child,
        };
        let mut child = child.unwrap();
        child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{name:?}");
    }
    let run = vmatlas(&["man", "shwo"]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("no command `shwo`"), "{}", run.stderr);
}

#[test]
fn what_xz_compressed_is_said_to_be_so() {
    for command in ["show", "explain"] {
        let run = vmatlas_with_input(&[command, "-"], b"\xfd7zXZ\0\0\x04");
        assert_eq!(run.status, 2);
        assert!(run.stderr.contains("compressed with xz"), "{}", run.stderr);
    }
}

/// VmFlags says that some pages of a mapping are guard pages, and not which.
#[test]
fn guard_pages_may_not_be_accessed() {
    let text = |flags: &str| {
        let row = "7f3f26b000-7f3f26d000 rw-p 00000000 00:00 0 \n";
        format!("{row}Rss:                   4 kB\nVmFlags: rd wr mr mw me {flags}\n")
    };
    let at = |flags: &str| {
        let text = text(flags);
        vmatlas_with_input(&["at", "-", "7f3f26b010"], text.as_bytes()).text()
    };
    let rights = "it may be read and written, not executed, ";
    assert!(at("ac").contains(&format!("{rights}and is private")), "{}", at("ac"));
    let guarded = at("ac gu");
    let unless = "unless it is in one of the mapping's guard pages, and is private";
    assert!(guarded.contains(&format!("{rights}{unless}")), "{guarded}");
}

/// The maps never list the memory of the kernel.
#[test]
fn addresses_that_no_process_can_map() {
    let at = |target: &str, address: &str| {
        let run = vmatlas(&["at", target, address]);
        assert_eq!(run.status, 1);
        run.text()
    };
    let capture = "captures/zoo-x86_64-6.18.maps";
    let kernel = at(capture, "ffff888000000000");
    let expect = "0xffff888000000000 is in no row of the text: on most machines it is an address of \
                  the kernel, whose memory maps does not list.\n";
    assert_eq!(kernel, expect);
    // The machine decides, and a text does not have it.
    assert!(at(capture, "4141414141414141").contains("above the end of"));
    assert!(at(capture, "7ffffffff000").contains("above the end of"));
    let core = "cores/arm64-6.1.core.zst";
    let kernel = at(core, "ffff800010000000");
    assert!(
        kernel.ends_with(": it is an address of the kernel, whose memory maps does not list.\n")
    );
    let none = at(core, "0x00f0000000001000");
    assert!(none.contains(" is no address at all (not canonical).\n"), "{none}");
    let long = at("cores/armhf-6.1.core.zst", "ffff800010000000");
    let expect = ": it has more than the 32 bits of an address of the process.\n";
    assert!(long.ends_with(expect), "{long}");
}

const ANDROID: &[u8] = b"7f3f263000-7f3f264000 r-xp 00000000 00:00 0 \n\
    7f3f26b000-7f3f26d000 rw-p 00000000 00:00 0                          [anon:scudo:primary]\n";

/// The upper bits of a pointer of AArch64 are a tag or a signature; a text does not name the machine.
#[test]
fn pointers_of_texts_may_have_a_tag() {
    let at = |address: &str| vmatlas_with_input(&["at", "-", address], ANDROID);
    let tagged = at("0xb400007f3f26c110");
    assert_eq!(tagged.status, 0);
    let first = "0xb400007f3f26c110 is 0x7f3f26c110 with the tag 0xb4 if it is a pointer of AArch64, \
                 which ignores the top byte. 0x7f3f26c110 lies in memory named \"scudo:primary\";";
    assert!(tagged.text().starts_with(first), "{}", tagged.text());
    let signed = at("0x0020007f3f263110");
    let first = "0x20007f3f263110 is 0x7f3f263110 with a signature if it is a signed pointer of \
                 AArch64. 0x7f3f263110 lies in ";
    assert!(signed.text().starts_with(first), "{}", signed.text());
    // Data is not signed, and far from all rows there is nothing to find.
    for address in ["0x0020007f3f26b010", "0xb400006f3f26b010", "0x4141414141414141"] {
        let nowhere = at(address);
        assert_eq!(nowhere.status, 1, "{address}");
        let address = address.replace("0x00", "0x");
        assert!(
            nowhere.text().starts_with(&format!("{address} is in no row of the text")),
            "{address}"
        );
    }
    let at = ["at", "-", "0xb400007f3f26c110", "--json"];
    let json = &vmatlas_with_input(&at, ANDROID).json()["addresses"][0];
    assert_eq!((&json["address"], &json["mapped"]), (&at[2].into(), &true.into()));
    assert_eq!(json["untagged"], "0x7f3f26c110");
    let filter = "addr = 0xb400007f3f26c110";
    let show = ["show", "-", "--where", filter, "--columns", "start", "--no-header"];
    let shown = vmatlas_with_input(&show, ANDROID);
    assert_eq!(shown.text().trim(), "7f3f26b000");
    assert!(shown.stderr.contains("with the tag 0xb4 if it is"), "{}", shown.stderr);
}

#[test]
fn an_address_of_a_text_is_explained_without_its_tag() {
    let explain = |address: &str| vmatlas_with_input(&["explain", "-", address], ANDROID).text();
    let past = explain("0xb400007f3f26d010");
    assert!(past.contains("it is 16 bytes above the end of the mapping"), "{past}");
    assert!(past.contains("with the tag 0xb4 in the top byte if 0xb4"), "{past}");
    let signed = explain("0x0020007f3f263110");
    assert!(signed.contains("Without its upper bits it is 0x7f3f263110"), "{signed}");
    assert!(signed.contains("non-canonical (guess:"), "{signed}");
    // Whose address it is depends on the machine.
    let kernel = explain("0xffff888000001000");
    assert!(kernel.contains("kernel-address (likely:"), "{kernel}");
}

#[test]
fn pointers_of_a_core_of_aarch64_have_tags() {
    let at = vmatlas(&["at", "cores/arm64-6.1.core.zst", "0xb400000000400000"]);
    let first = "0xb400000000400000 is 0x400000 with the tag 0xb4, which AArch64 ignores. 0x400000 \
                 lies in code of /bin/core_static;";
    assert!(at.text().starts_with(first), "{}", at.all());
}

/// The kernel says which bits of pointers the processor ignores for a process: here LAM of x86-64.
#[test]
fn pointers_of_a_process_may_have_ignored_bits() {
    let proc = tempfile::tempdir().unwrap();
    let dir = proc.path().join("4242");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("maps"), ANDROID).unwrap();
    std::fs::write(dir.join("status"), "Name:\tapp\nuntag_mask:\t0x81ffffffffffffff\n").unwrap();
    let proc = proc.path().to_str().unwrap();
    let at = vmatlas(&["at", "4242", "0x5a00007f3f26b010", "--proc", proc]);
    let first = "0x5a00007f3f26b010 is 0x7f3f26b010 with a tag in the bits that the processor ignores \
                 for this process. 0x7f3f26b010 lies in ";
    assert!(at.text().starts_with(first), "{}", at.all());
}
