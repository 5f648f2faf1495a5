//! Compares labels of Java, with several collectors, with HotSpot's own report of its memory.

use super::{Seen, check_share, source};
use crate::child::{Child, lacks, once, program};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use vmatlas_explain::label::{Confidence, Labelled};
use vmatlas_maps::{AddressRange, Kind};

/// The directory of the compiled program, for Java 8, so that every release can run it.
fn classes() -> PathBuf {
    let class = once("heaps-java/Heaps.class", |class| {
        let directory = tempfile::tempdir().unwrap();
        let mut javac = Command::new("javac");
        javac.args(["-nowarn", "--release", "8", "-Xlint:-options", "-d"]).arg(directory.path());
        assert!(javac.arg(source("Heaps.java")).status().expect("needs a Java compiler").success());
        fs::create_dir_all(class.parent().unwrap()).unwrap();
        fs::copy(directory.path().join("Heaps.class"), class).unwrap();
    });
    class.parent().unwrap().to_owned()
}

/// The `bin` directory of the default `java`.
fn default_java() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut all = std::env::split_paths(&path).map(|dir| dir.join("java"));
    let java = all.find(|java| java.exists()).expect("needs Java");
    fs::canonicalize(java).unwrap().parent().unwrap().to_owned()
}

#[test]
fn serial() {
    check(&default_java(), "Serial", "-Xmx512m");
}

#[test]
fn parallel() {
    check(&default_java(), "Parallel", "-Xmx512m");
}

#[test]
fn g1() {
    check(&default_java(), "G1", "-Xmx512m");
}

#[test]
fn z() {
    check(&default_java(), "Z", "-Xmx512m");
}

#[test]
fn shenandoah() {
    check(&default_java(), "Shenandoah", "-Xmx512m");
}

/// With 64-bit references.
#[test]
fn large_heap() {
    check(&default_java(), "G1", "-Xmx40g");
    check(&default_java(), "Shenandoah", "-Xmx40g");
}

/// A class space of the size of the metaspace's nodes, or smaller.
#[test]
fn small_class_space() {
    check(&default_java(), "Serial", "-XX:CompressedClassSpaceSize=64m");
    check(&default_java(), "Serial", "-XX:MaxMetaspaceSize=32m");
}

/// Without an archive below the class space.
#[test]
fn no_archive() {
    check(&default_java(), "Serial", "-Xshare:off");
}

/// Other installed releases.
#[test]
fn other_releases() {
    let default = default_java();
    let Ok(homes) = fs::read_dir("/usr/lib/jvm") else { return };
    let mut others: Vec<PathBuf> = homes
        .filter_map(|home| fs::canonicalize(home.ok()?.path().join("bin/java")).ok())
        .map(|java| java.parent().unwrap().to_owned())
        .filter(|bin| *bin != default)
        .collect();
    others.sort();
    others.dedup();
    for bin in others {
        check(&bin, "G1", "-Xmx512m");
        check(&bin, "Z", "-Xmx512m");
        check(&bin, "G1", "-Xshare:off");
    }
}

fn check(bin: &Path, collector: &str, option: &str) {
    let chosen = format!("-XX:+Use{collector}GC");
    let mut version = Command::new(bin.join("java"));
    version.args([&chosen, "-version"]).stdout(Stdio::null()).stderr(Stdio::null());
    if !version.status().unwrap().success() {
        return lacks(&format!("a Java with {collector}"));
    }
    let mut java = Command::new(program("no_huge_pages"));
    java.arg(bin.join("java"));
    java.args([&chosen, option, "-XX:NativeMemoryTracking=detail", "-cp"]);
    let mut child = Child::start(java.arg(classes()).arg("Heaps"));
    child.until_ready();
    let account = Account::of(&child, bin);
    for deep in [false, true] {
        let seen = Seen::of(&child, deep);
        // Among other memory, a heap cannot be identified without memory access.
        let is_high = option == "-Xmx40g";
        // The collectors' tables have no label, and are large if the heap is.
        if !is_high {
            check_share(&seen, deep);
        }
        for part in seen.labels.iter() {
            account.check(part, &seen);
            // Nothing is in memory that nothing may access.
            let row = seen.maps.find(part.range.start).mapping;
            let is_closed = row.and_then(|row| seen.maps.get(row)).unwrap().perms.none();
            let is_of_java = part.label.group.starts_with("JVM ");
            let is_reserved = part.label.text.starts_with("reserved");
            assert!(!is_closed || !is_of_java || is_reserved, "{part:?}\n{}", seen.text());
        }
        if is_high && !deep {
            continue;
        }
        for (what, group) in [
            ("Java Heap", "JVM heap"),
            ("Code", "JVM code cache"),
            ("Class", "JVM class space"),
            ("Metaspace", "JVM metaspace"),
        ] {
            for range in account.regions(what).filter(|range| range.size() > 32 << 20) {
                check_all_of(&seen, range, group, deep);
            }
        }
        // The name is ZGC's in Java itself.
        let collector = if collector == "Z" { "ZGC" } else { collector };
        let heap = seen.group("JVM heap");
        let is_named = |part: &&Labelled| part.label.text.contains(&format!("({collector})"));
        // Serial has no threads that identify it without memory.
        assert!(heap.iter().all(is_named) || collector == "Serial" && !deep, "{}", seen.text());
    }
    check_stacks(&Seen::of(&child, true), &account);
}

/// Checks that every resident unnamed row in a region has the group's label.
fn check_all_of(seen: &Seen, range: AddressRange, group: &str, deep: bool) {
    for row in seen.maps.iter().filter(|row| row.range.overlaps(&range)) {
        let is_memory = matches!(row.kind(), Kind::Anonymous | Kind::Memfd { .. });
        // With memory every row, without it only the accessible ones.
        if !is_memory || !deep && row.perms.none() {
            continue;
        }
        let start = row.range.start.max(range.start);
        let label = &seen.at(start).label;
        let is_archive = label.group == "JVM class data archive";
        assert!(label.group == group || is_archive, "{start:x}: {label:?}\n{}", seen.text());
    }
}

/// Checks that the bottom of each thread's stack is its guard or the stack, and its top the stack.
fn check_stacks(seen: &Seen, account: &Account) {
    let mut zones = 0;
    for stack in account.regions("Thread Stack") {
        let top = &seen.at(stack.end - 1).label;
        assert_eq!(top.group, "thread stack", "{stack}\n{}", seen.text());
        let bottom = seen.at(stack.start);
        if bottom.label.text.contains("yellow") {
            assert_eq!(bottom.range.start, stack.start, "{bottom:?}");
            assert_eq!(bottom.label.confidence, Confidence::Certain);
            zones += 1;
        }
    }
    assert!(zones >= 5, "{zones}\n{}", seen.text());
}

/// The reserved regions in `jcmd VM.native_memory detail`.
struct Account(Vec<(AddressRange, String)>);

impl Account {
    fn of(child: &Child, bin: &Path) -> Account {
        let mut jcmd = Command::new(bin.join("jcmd"));
        jcmd.args([&child.pid().to_string(), "VM.native_memory", "detail"]);
        let output = jcmd.output().expect("needs jcmd");
        let output = String::from_utf8(output.stdout).unwrap();
        // `[0x0000000687400000 - 0x0000000800000000] reserved 6172672KB for Java Heap from`
        let region = |line: &str| {
            let (range, rest) = line.strip_prefix("[0x")?.split_once("] reserved ")?;
            let (start, end) = range.split_once(" - 0x")?;
            let (_, what) = rest.split_once("KB for ")?;
            let address = |text| u64::from_str_radix(text, 16).unwrap();
            let what = what.strip_suffix(" from").unwrap_or(what);
            Some((AddressRange::new(address(start), address(end)), what.to_owned()))
        };
        let regions: Vec<_> = output.lines().filter_map(region).collect();
        assert!(regions.iter().any(|(_, what)| what == "Java Heap"), "{output}");
        Account(regions)
    }

    fn regions(&self, what: &str) -> impl Iterator<Item = AddressRange> {
        self.0.iter().filter(move |(_, is)| is == what).map(|(range, _)| *range)
    }

    /// Checks that a label of the JVM is in regions of its kind, and a malloc label in no region
    /// that the JVM reserved.
    fn check(&self, part: &Labelled, seen: &Seen) {
        if part.label.group.starts_with("glibc ") {
            let other = self.0.iter().find(|(range, _)| range.overlaps(&part.range));
            assert!(other.is_none(), "{part:?} is {other:?}:\n{}", seen.text());
        }
        let what = match &*part.label.group {
            "JVM heap" => "Java Heap",
            "JVM code cache" => "Code",
            "JVM metaspace" => "Metaspace",
            "JVM class space" => "Class",
            "JVM class data archive" => "Shared class space",
            "JVM GC data" => "GC",
            _ => return,
        };
        let mut at = part.range.start;
        while at < part.range.end {
            let region = self.regions(what).find(|region| region.contains(at));
            let region = region.unwrap_or_else(|| panic!("{at:x} is no {what}:\n{}", seen.text()));
            at = region.end;
        }
    }
}
