//! Tests how the map fits a screen: widths, folds, marks, and what the first lines say.

use crate::terminal::on_screen;
use crate::vmatlas::{vmatlas, vmatlas_with_input};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use tempfile::NamedTempFile;
use unicode_width::UnicodeWidthStr as _;

const ZOO: &str = "captures/zoo-x86_64-6.18.maps";
const SMAPS: &str = "captures/zoo-x86_64-6.18.smaps";
const WIDTHS: [usize; 4] = [60, 80, 120, 200];

fn screen(width: usize, args: &[&str]) -> String {
    on_screen(&format!("stty columns {width} rows 24"), args, &[("LC_ALL", "C.UTF-8")])
}

fn text_file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// Rows with long names, wide characters, labels, and files of three segments.
fn long_names() -> String {
    let names = [
        format!("/{}/libname.so.6.0.30 (deleted)", "directory/".repeat(20)),
        format!("/日本語/{}", "長い名前".repeat(30)),
        "x".repeat(300),
        format!("/{}", "e\u{301}".repeat(150)),
        "/short".to_owned(),
        "[anon:a name that a program gave its memory, and which is longer than a line]".to_owned(),
        String::new(),
        "[heap]".to_owned(),
    ];
    let row = |at: usize| {
        let (start, part, name) = (0x7f00_0000_0000 + at * 0x1000_0000, at % 3, &names[at / 3]);
        let inode = if name.starts_with('/') { at / 3 + 1 } else { 0 };
        let perms = ["r--p", "rwxp", "rw-s"][part];
        format!("{start:x}-{:x} {perms} 00000000 08:01 {inode} {name}\n", start + 0x2000)
    };
    (0..3 * names.len()).map(row).collect()
}

#[test]
fn no_line_is_wider_than_the_screen() {
    let names = text_file(&long_names());
    let names = names.path().to_str().unwrap();
    let mut cut = 0;
    for width in WIDTHS {
        for target in [names, ZOO, SMAPS, "captures/proc-pid-maps-manual.txt", "self"] {
            for options in [
                &[][..],
                &["--by", "file"],
                &["--by", "label", "--summary"],
                &["--where", "size > 0"],
                &["--columns", "start,perms,name,path,label"],
            ] {
                let args = [&["show", "-q", target, "--color", "never"], options].concat();
                let text = screen(width, &args);
                for line in text.lines() {
                    assert!(line.width() <= width, "{width} {args:?}: {line}");
                }
                assert!(!text.contains('\u{1b}'), "{text}");
                cut += text.matches('…').count();
            }
        }
    }
    assert!(cut > 0);
    // Without -q the first screen has the next commands, which are wrapped.
    for width in WIDTHS {
        let text = screen(width, &["self", "--color", "never"]);
        let first: Vec<&str> = text.lines().take(23).collect();
        assert!(text.lines().all(|line| line.width() <= width), "{text}");
        assert!(first.iter().any(|line| line.contains("vmatlas at self")), "{text}");
    }
}

#[test]
fn nothing_is_cut_if_it_is_wide_or_no_terminal() {
    let names = long_names();
    let file = text_file(&names);
    let path = file.path().to_str().unwrap();
    let whole = "directory/".repeat(20) + "/libname.so.6.0.30 (deleted)";
    for text in [
        screen(60, &["show", "-q", path, "--wide"]),
        vmatlas(&["show", path]).text(),
        vmatlas(&["show", path, "--wide"]).text(),
    ] {
        assert!(text.contains(&whole) && !text.contains('…'), "{text}");
    }
    // The name's end is kept, and a locale without UTF-8 has no such character.
    let narrow = screen(60, &["show", "-q", path]);
    assert!(narrow.contains(" libname…6.0.30 (deleted)"), "{narrow}");
    let ascii = on_screen("stty columns 60 rows 24", &["show", "-q", path], &[("LC_ALL", "C")]);
    assert!(!ascii.contains('…') && ascii.contains(".."), "{ascii}");
}

/// The cells of each row: address, size, count, and the rest. The count is 1 where none is shown.
fn counts(text: &str) -> Vec<u64> {
    let heading = text.lines().find(|line| line.starts_with("address")).unwrap();
    let end = heading.find("rows").unwrap() + "rows".len();
    let rows = text.lines().skip_while(|line| *line != heading).skip(1);
    let rows = rows.filter(|line| line.starts_with(|c: char| c.is_ascii_hexdigit()));
    // The line of the gate page is longer, and one row.
    rows.map(|line| match line[..end].rsplit(' ').next() {
        Some(count) if !line.starts_with("ffffffffff600000") => count.parse().unwrap_or(1),
        _ => 1,
    })
    .collect()
}

#[test]
fn folds_hold_every_row() {
    let wide = vmatlas(&[ZOO, "--wide"]).text();
    let rows = wide.lines().skip_while(|line| !line.starts_with("address")).skip(1);
    assert_eq!(rows.filter(|line| !line.ends_with(" gap")).count(), 74, "{wide}");
    let folded = vmatlas(&[ZOO]).text();
    let counts_of_zoo = counts(&folded);
    assert_eq!(counts_of_zoo.iter().sum::<u64>(), 74, "{folded}");
    assert!(counts_of_zoo.len() < 60, "{folded}");
    // Rows that were asked for are not folded.
    for options in [&["--where", "size > 0"][..], &["--sort", "start"], &["--columns", "start"]] {
        let text = vmatlas(&[&[ZOO, "--no-header"], options].concat()).text();
        assert_eq!(text.lines().count(), 74, "{text}");
    }
}

#[test]
fn alternating_rows_are_one_line() {
    let row = |at: usize| {
        let (start, perms) = (0x1000_0000 + at * 0x2000, ["r--p", "rw-p"][at % 2]);
        format!("{start:08x}-{:08x} {perms} 00000000 00:00 0\n", start + 0x2000)
    };
    let rows: String = (0..65_000).map(row).collect();
    let text = vmatlas_with_input(&["show", "-"], rows.as_bytes()).text();
    assert_eq!(counts(&text), [65_000], "{text}");
    let line = text.lines().last().unwrap();
    assert_eq!(line, "10000000-2fbd0000   508M 65000 r,rw  unexplained");
    // Code that can be written is never hidden among other rows of anonymous memory.
    let rows: String = (0..9)
        .map(|at| row(at).replacen("r--p", if at == 4 { "rwxp" } else { "r--p" }, 1))
        .collect();
    let text = vmatlas_with_input(&["show", "-"], rows.as_bytes()).text();
    assert_eq!(counts(&text).iter().sum::<u64>(), 9, "{text}");
    assert!(
        text.lines().any(|line| line.starts_with("10008000-1000a000     8K      rwxp!")),
        "{text}"
    );
}

#[test]
fn writable_code_is_marked_without_colors() {
    let text = vmatlas(&[ZOO]).text();
    assert!(
        text.contains("! 2 mappings (8K) are writable and executable (W+X): ! marks them"),
        "{text}"
    );
    let rows = vmatlas(&[ZOO, "--wide", "--no-header"]).text();
    let marked = rows.lines().filter(|line| line.contains(" rwxp!")).count();
    assert_eq!((marked, rows.matches('!').count()), (2, 2), "{rows}");
    // A fold of an image that has such a row is marked, too.
    assert!(text.lines().any(|line| line.contains("rw! ") && line.contains("/zoo/zoo")), "{text}");
    // Nothing is marked where no such rows are shown.
    let totals = vmatlas(&[ZOO, "--summary"]).text();
    assert!(totals.contains("\n! 2 mappings (8K) are writable and executable (W+X)\n"), "{totals}");
    let none = vmatlas(&["captures/gpm-2.6-i386.txt"]).text();
    assert!(!none.contains('!'), "{none}");
}

#[test]
fn a_dumb_terminal_gets_neither_colors_nor_a_pager() {
    let run = |term: &str| {
        let environment = [("TERM", term), ("PAGER", "sed 's/^/paged /'"), ("NO_COLOR", "")];
        on_screen("stty columns 80 rows 24", &["show", "-q", ZOO], &environment)
    };
    let dumb = run("dumb");
    assert!(!dumb.contains('\u{1b}') && !dumb.contains("paged"), "{dumb}");
    let xterm = run("xterm");
    assert!(xterm.contains('\u{1b}') && xterm.contains("paged"), "{xterm}");
}

/// less shows its prompt in the last line.
#[test]
fn the_heading_stays_while_rows_are_paged() {
    let pager = [("PAGER", "cat > /dev/null; echo \"LESS is $LESS\""), ("TERM", "xterm")];
    let first = "unset LESS; stty columns 80 rows 24";
    let shown = on_screen(first, &["show", "-q", ZOO], &pager);
    assert!(shown.starts_with("LESS is FRXKPsaddress        size rows perms"), "{shown}");
    let shown = on_screen("export LESS=own; stty columns 80 rows 24", &["show", "-q", ZOO], &pager);
    assert!(shown.starts_with("LESS is own"), "{shown}");
}

#[test]
fn totals_mark_guesses_and_have_no_zeros() {
    let text = vmatlas(&[ZOO, "--summary"]).text();
    assert!(
        text.contains("\n  .bss (a guess) ") && text.contains("\n  JIT code (likely) "),
        "{text}"
    );
    assert!(text.lines().next().unwrap().contains("74 mappings, 4.6M, "), "{text}");
    assert!(
        text.lines().all(|line| !line.starts_with("address") && !line.contains("0.0%")),
        "{text}"
    );
    let json = vmatlas(&[ZOO, "--summary", "--json"]).json();
    assert!(json.get("mappings").is_none());
    let anonymous = &json["totals"]
        .as_array()
        .unwrap()
        .iter()
        .find(|t| t["kind"] == "anonymous")
        .unwrap()["labels"];
    let bss = anonymous.as_array().unwrap().iter().find(|label| label["group"] == ".bss").unwrap();
    assert_eq!(bss["guessed"], bss["size"]);
    assert!(bss.get("likely").is_none());
}

#[test]
fn totals_of_every_key_have_the_same_sum() {
    let all = vmatlas(&[SMAPS, "--json"]).json();
    let rows = all["mappings"].as_array().unwrap();
    let sum = |rows: &[serde_json::Value], key: &str| {
        rows.iter().map(|row| row[key].as_u64().unwrap()).sum::<u64>()
    };
    for by in ["kind", "label", "file", "image", "perms"] {
        let json = vmatlas(&[SMAPS, "--json", "--by", by]).json();
        let totals = json["totals"].as_array().unwrap();
        assert!(totals.iter().all(|total| total[by].is_string()), "{json}");
        assert_eq!(sum(totals, "size"), sum(rows, "size"), "{by}");
        let text = vmatlas(&[SMAPS, "--summary", "--by", by]).text();
        assert!(text.lines().any(|line| line.starts_with(&format!("{by} "))), "{text}");
    }
    // What nothing explains is one of the purposes.
    let labels = vmatlas(&[SMAPS, "--summary", "--by", "label"]).text();
    assert_eq!(labels.matches("\nunexplained ").count(), 1, "{labels}");
    // A program is one image with all its segments.
    let images = vmatlas(&[SMAPS, "--json", "--by", "image"]).json();
    let zoo = images["totals"].as_array().unwrap().iter().find(|t| t["image"] == "/zoo/zoo");
    assert_eq!(zoo.unwrap()["mappings"], 6);
}

#[test]
fn sizes_have_private_and_dirty_memory() {
    let json = vmatlas(&[SMAPS, "--json"]).json();
    let rows = json["mappings"].as_array().unwrap();
    let text = vmatlas(&[SMAPS, "--csv", "--no-header", "--columns", "uss,dirty"]).text();
    let bytes = |row: &serde_json::Value, field: &str| row[field].as_u64().unwrap();
    for (row, line) in rows.iter().zip(text.lines()) {
        let uss = bytes(row, "private_clean") + bytes(row, "private_dirty");
        let dirty = bytes(row, "private_dirty") + bytes(row, "shared_dirty");
        assert_eq!(line, format!("{uss},{dirty}"));
        assert_eq!((bytes(row, "uss"), bytes(row, "dirty")), (uss, dirty));
    }
    let private =
        vmatlas(&[SMAPS, "--where", "uss > 0", "--columns", "start", "--no-header"]).text();
    assert_eq!(
        private.lines().count(),
        text.lines().filter(|line| !line.starts_with("0,")).count()
    );
    let shown = vmatlas(&[SMAPS]).text();
    let first = shown.lines().next().unwrap();
    assert!(first.contains(" resident (") && first.contains(" private), "), "{first}");
    assert!(
        shown.lines().any(|line| line.starts_with("address") && line.contains(" rss    uss rows")),
        "{shown}"
    );
}

#[test]
fn a_rollup_is_no_mapping() {
    let rollup = "55def7fa4000-7fff73114000 ---p 00000000 00:00 0   [rollup]\nRss:    70652 kB\nPrivate_Clean:      0 kB\nPrivate_Dirty:   1024 kB\n";
    let text = vmatlas_with_input(&["show", "-"], rollup.as_bytes()).text();
    let first =
        "standard input: the sums of all its mappings (a rollup); 69M resident (1M private)\n";
    assert!(text.starts_with(first), "{text}");
    // A filter that nothing passes is no rollup.
    let none = vmatlas(&["show", "-q", ZOO, "--where", "size = 1"]).text();
    assert!(none.contains(": 0 of 74 mappings, 0\n"), "{none}");
}

/// A copy of /proc with the size of a large process.
#[test]
fn the_cost_of_sizes_is_said_first() {
    let proc = tempfile::tempdir().unwrap();
    let own = proc.path().join("77");
    std::fs::create_dir(&own).unwrap();
    let smaps = std::fs::read(crate::vmatlas::testdata().join(SMAPS)).unwrap();
    std::fs::write(own.join("smaps"), smaps).unwrap();
    std::fs::write(own.join("comm"), "large\n").unwrap();
    let proc = proc.path().to_str().unwrap();
    let note = |pages: &str, options: &[&str]| {
        std::fs::write(own.join("statm"), format!("{pages} {pages} 1 1 0 1 0\n")).unwrap();
        vmatlas(&[&["show", "--proc", proc, "77", "--sizes"], options].concat()).stderr
    };
    let said = "77: reading the sizes may take 200 ms, in which calls of the process that change its mappings wait";
    assert!(note("1000000", &[]).contains(said), "{}", note("1000000", &[]));
    assert!(!note("1000000", &["-q"]).contains("sizes may take"));
    assert!(!note("200000", &[]).contains("sizes may take"));
}

/// A process with many mappings.
struct Many(Child);

impl Drop for Many {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_limit_of_mappings_is_near() {
    let most = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
    let most: u64 = most.trim().parse().unwrap();
    if most > 200_000 {
        eprintln!("skipped: vm.max_map_count is {most}");
        return;
    }
    let program = "import ctypes, sys
count = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + 3 * [ctypes.c_int] + [ctypes.c_long]
at = libc.mmap(None, 4096 * count, 0, 0x4022, -1, 0)
for page in range(0, count, 2):
    libc.mprotect(ctypes.c_void_p(at + 4096 * page), ctypes.c_size_t(4096), 1)
print('ready', flush=True)
sys.stdin.read()";
    let start = |count: u64| {
        let mut python = Command::new("python3");
        python.args(["-c", program, &count.to_string()]);
        python.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = Many(python.spawn().expect("needs python3"));
        let mut line = String::new();
        BufReader::new(child.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        child
    };
    let many = start(most * 6 / 10);
    let text = vmatlas(&["show", "-q", &many.0.id().to_string(), "--summary"]).text();
    let line = text.lines().find(|line| line.contains("vm.max_map_count")).expect("it is near");
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", many.0.id())).unwrap();
    // The kernel does not count the gate page.
    let rows = maps.lines().filter(|row| !row.ends_with("[vsyscall]")).count() as u64;
    assert!(line.contains(&format!("of the {most} mappings")), "{line}");
    assert!(line.ends_with(&format!("after {} more, mmap fails", most - rows)), "{line}");
    let few = start(most / 3);
    let text = vmatlas(&["show", "-q", &few.0.id().to_string(), "--summary"]).text();
    assert!(!text.contains("max_map_count"), "{text}");
}

#[test]
fn files_of_one_path_are_told_apart() {
    let rows = "\
        1000-2000 r-xp 00000000 08:01 11 /usr/lib/liba.so (deleted)\n\
        2000-3000 r-xp 00000000 08:01 12 /usr/lib/liba.so (deleted)\n\
        3000-6000 r-xp 00000000 08:02 11 /usr/lib/liba.so\n\
        6000-7000 r--p 00001000 08:02 11 /usr/lib/liba.so\n\
        7000-8000 r-xp 00000000 08:01 13 /usr/lib/libb.so\n";
    for by in ["image", "file"] {
        // A text does not say for certain that a file is deleted; a document does.
        let json = vmatlas_with_input(&["-", "--json", "-q"], rows.as_bytes()).text();
        assert_eq!(json.matches(r#""deleted":null"#).count(), 2, "{json}");
        let json = json.replace(r#""deleted":null"#, r#""deleted":true"#);
        let args = ["-", "--summary", "--by", by, "-q"];
        let text = vmatlas_with_input(&args, json.as_bytes()).text();
        for line in [
            "/usr/lib/liba.so (device 08:02, inode 11)",
            "/usr/lib/liba.so (deleted, device 08:01, inode 11)",
            "/usr/lib/liba.so (deleted, device 08:01, inode 12)",
        ] {
            let starts = text.lines().filter(|shown| shown.starts_with(line)).count();
            assert_eq!(starts, 1, "{line}: {text}");
        }
        assert!(text.contains("/usr/lib/libb.so ") && !text.contains("inode 13"), "{text}");
    }
}

#[test]
fn notes_and_explanations_fit_the_terminal() {
    let long = "x".repeat(200);
    for columns in [60, 80] {
        let first = format!("stty columns {columns} rows 24");
        let shown = [
            on_screen(&first, &["show", "strace/child.log", "--summary", "--color", "never"], &[]),
            on_screen(&first, &["explain", "crashes/glibc.log", "--color", "never"], &[]),
        ]
        .concat();
        let wide = |line: &&str| line.width() > columns && line.trim_start().contains(' ');
        assert_eq!(shown.lines().find(wide), None, "{shown}");
        assert!(shown.contains("vmatlas: ") && shown.contains("\n  cause "), "{shown}");
        assert!(shown.contains("\n                "), "{shown}");
    }
    // A name stays whole, so that it can be copied.
    let (_, shown) = crate::terminal::status_on_terminal(&["show", &format!("./{long}")]);
    assert!(shown.contains(&long), "{shown}");
}
