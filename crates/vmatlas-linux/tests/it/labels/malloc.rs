//! Compares labels of glibc's malloc with malloc_info(3), and of other allocators with the
//! addresses that they returned.

use super::{Output, Seen, address, settle};
use crate::child::{Child, once, program, program_as};
use std::path::{Path, PathBuf};
use std::process::Command;
use vmatlas_explain::label::Confidence;

/// `NAME="NUMBER"` in a line of malloc_info(3).
fn attribute(line: &str, name: &str) -> Option<u64> {
    let (_, rest) = line.split_once(&format!("{name}=\""))?;
    rest.split('"').next()?.parse().ok()
}

fn arenas(program: &Path) {
    let mut child = Child::start(Command::new(program).arg("50"));
    let output = Output(child.until_ready());
    settle(&child, 1);
    let seen = Seen::of(&child, true);

    let mut number = None;
    let mut arenas = 0;
    for line in &output.0 {
        if line.starts_with("<heap ") {
            number = attribute(line, "nr");
        } else if line.starts_with("</heap") {
            number = None;
        }
        // Arena 0 is the program break.
        let Some(number) = number.filter(|number| *number > 0) else { continue };
        if line.starts_with("<aspace type=\"mprotect\"") {
            let text = format!("arena {number}, ");
            let heaps = seen.group("glibc arena");
            let heaps = heaps.iter().filter(|part| part.label.text.contains(&text));
            let heaps: Vec<_> = heaps.collect();
            assert!(heaps.iter().all(|part| part.label.confidence == Confidence::Certain));
            let size: u64 = heaps.iter().map(|part| part.range.size()).sum();
            assert_eq!(Some(size), attribute(line, "size"), "arena {number}\n{}", seen.text());
            arenas += 1;
        }
    }
    assert!(arenas >= 2, "{:?}", output.0);
    let groups = |seen: &Seen, line: Vec<&str>| seen.at(address(line[0])).label.group.clone();
    for line in output.lines("block") {
        let group = groups(&seen, line);
        assert!(group == "glibc arena" || group == "glibc main heap", "{group}\n{}", seen.text());
    }
    assert_eq!(output.lines("large").count(), 3);
    for line in output.lines("large") {
        let (start, size) = (address(line[0]), line[1].parse::<u64>().unwrap());
        let part = seen.at(start);
        assert_eq!(part.label.group, "large malloc block");
        // The chunk header precedes the block.
        assert_eq!(part.range.start, start - 16);
        assert_eq!(part.range.size(), size + 4096);
    }
    assert!(seen.explained() >= 95, "{}", seen.text());

    // By shapes alone, heaps merged with other memory can only be guessed.
    let seen = Seen::of(&child, false);
    for line in output.lines("block") {
        let label = &seen.at(address(line[0])).label;
        let fits = label.group == "glibc arena" || label.group == "glibc main heap";
        assert!(fits || label.confidence == Confidence::Guess, "{label:?}\n{}", seen.text());
    }
    assert!(seen.explained() >= 85, "{}", seen.text());
}

#[test]
fn arenas_are_as_glibc_says() {
    arenas(&program("arenas"));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn arenas_of_32_bits_are_as_glibc_says() {
    // The directory of <asm/types.h>.
    let headers = ["-m32", "-idirafter", "/usr/include/x86_64-linux-gnu"];
    arenas(&program_as("arenas", "arenas-32", &headers));
}

/// The expected labels of a program's blocks and variables.
struct Expected {
    /// Prefixes of the groups that its blocks may have.
    blocks: &'static [&'static str],
    /// Whether the first thread's thread-local storage is labelled.
    tls: bool,
}

fn blocks(command: &mut Command, expected: &Expected) {
    let mut child = Child::start(command);
    let output = Output(child.until_ready());
    assert!(output.lines("block").count() >= 2998);
    settle(&child, 0);
    for deep in [false, true] {
        let seen = Seen::of(&child, deep);
        let itself = seen.facts.images.iter().filter(|image| {
            let path = String::from_utf8_lossy(&image.name);
            path.rsplit('/').next().is_some_and(|name| name.starts_with("blocks"))
        });
        assert_eq!(itself.count(), 1, "a piece of code that is mapped again is no image");
        for line in output.lines("block") {
            let group = &seen.at(address(line[0])).label.group;
            let fits = expected.blocks.iter().any(|words| group.starts_with(words));
            assert!(fits, "{line:?} is no {group} (deep: {deep})\n{}", seen.text());
        }
        let bss = &seen.at(output.address("bss")).label;
        assert_eq!((bss.group.as_ref(), bss.confidence), (".bss", Confidence::Certain));
        if deep && expected.tls {
            let tls = &seen.at(output.address("tls")).label;
            assert_eq!((tls.group.as_ref(), tls.confidence), ("loader", Confidence::Certain));
        }
        // Memory that the program mapped itself may at most have a guessed allocator label.
        let mapped = seen.labels.at(output.address("mapped"));
        assert!(
            mapped.is_none_or(|part| !deep && part.label.confidence == Confidence::Guess),
            "{mapped:?}"
        );
        let missing = u64::from(mapped.is_none()) * 203 * 4096;
        let rss: u64 = (0..seen.maps.len()).map(|index| seen.rss(index)).sum();
        let share = seen.explained() + missing * 100 / rss;
        assert!(share >= if deep { 95 } else { 85 }, "{share} % (deep: {deep})\n{}", seen.text());
    }
}

const GLIBC: Expected = Expected {
    blocks: &["glibc ", "large malloc block", "large blocks"],
    tls: cfg!(target_arch = "x86_64"),
};

#[test]
fn blocks_of_glibc_are_known() {
    blocks(&mut Command::new(program("blocks")), &GLIBC);
    blocks(&mut Command::new(program_as("blocks", "blocks-no-pie", &["-no-pie"])), &GLIBC);
}

#[test]
fn blocks_of_static_programs_are_known() {
    let expected = Expected { tls: false, ..GLIBC };
    blocks(&mut Command::new(program_as("blocks", "blocks-static", &["-static"])), &expected);
    let pie = program_as("blocks", "blocks-static-pie", &["-static-pie"]);
    blocks(&mut Command::new(pie), &expected);
}

/// A library of Debian's.
fn preloaded(name: &str, library: &str) -> Command {
    let directories = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"];
    let paths = directories.map(|directory| Path::new(directory).join(library));
    let path: &PathBuf =
        paths.iter().find(|path| path.exists()).unwrap_or_else(|| panic!("needs {library}"));
    let mut command = Command::new(program(name));
    command.env("LD_PRELOAD", path);
    command
}

#[test]
fn mappings_of_a_program_are_not_those_of_jemalloc() {
    let mut child = Child::start(&mut preloaded("own_mappings", "libjemalloc.so.2"));
    let output = Output(child.until_ready());
    settle(&child, 0);
    let seen = Seen::of(&child, true);
    let is_known = |address| {
        let part = seen.labels.at(address);
        part.is_some_and(|part| part.label.confidence >= Confidence::Likely)
    };
    for line in output.lines("own") {
        let own = address(line[0])..address(line[1]);
        for page in own.step_by(4096) {
            assert!(!is_known(page), "{page:x}\n{}", seen.text());
        }
    }
    for line in output.lines("block") {
        let at = address(line[0]);
        assert!(is_known(at) && seen.at(at).label.group == "jemalloc", "{}", seen.text());
    }
}

#[test]
fn blocks_of_other_allocators_are_known() {
    let expected = |blocks| Expected { blocks, ..GLIBC };
    blocks(&mut preloaded("blocks", "libjemalloc.so.2"), &expected(&["jemalloc"]));
    blocks(&mut preloaded("blocks", "libmimalloc.so.2"), &expected(&["mimalloc"]));
    blocks(&mut preloaded("blocks", "libtcmalloc_minimal.so.4"), &expected(&["tcmalloc"]));
}

/// The page tables of a process in KiB, see proc_pid_status(5).
fn page_tables(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPTE:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// As the shadow memory of sanitizers: the process would pay for page tables of what is looked at.
#[test]
fn untouched_memory_stays_untouched() {
    let script = "import mmap, sys; flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000; \
                  m = [mmap.mmap(-1, 1 << 40, flags=flags) for _ in range(2)]; \
                  m[0][1 << 30] = 7; print('ready', flush=True); sys.stdin.read()";
    let mut command = Command::new("python3");
    command.args(["-c", script]).stdin(std::process::Stdio::piped());
    let mut child = Child::start(&mut command);
    child.until_ready();
    settle(&child, 0);
    let before = page_tables(&child);
    Seen::of(&child, true);
    let after = page_tables(&child);
    assert!(after <= before + 256, "{before} KiB before, {after} KiB after");
}

#[test]
fn blocks_of_musl_are_known() {
    let musl = once("blocks-musl", |path| {
        let mut cc = Command::new("musl-gcc");
        cc.args(["-O1", "-pthread", "-idirafter", "/usr/include", "-o"]).arg(path);
        cc.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/programs/blocks.c"));
        assert!(cc.status().expect("needs musl-tools").success());
    });
    // musl's linker donates the rest of the last page of variables.
    let expected = Expected { blocks: &["musl malloc", "program break", ".bss"], tls: false };
    blocks(&mut Command::new(musl), &expected);
}
