//! Compares core dumps of the running kernel with gdb and binutils.

use crate::child::program;
use crate::elf::run;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;
use vmatlas_explain::coredump::CoreDump;
use vmatlas_linux::{CoreFile, file_with_build_id};
use vmatlas_maps::{AddressRange, Maps};
use vmatlas_object::Budget;
use vmatlas_object::Memory as _;

/// A core dump, and the maps that its process copied just before.
struct Dumped {
    dir: TempDir,
    core: CoreDump<CoreFile>,
    maps: Maps,
}

impl Dumped {
    /// Runs a program in a new directory until the kernel dumps its core.
    fn of(program: &Path, argument: &str) -> Option<Dumped> {
        let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
        if pattern.starts_with(['|', '/']) {
            crate::child::lacks("cores go elsewhere");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -c unlimited && exec $0 $1"]).arg(program).arg(argument);
        let status = shell.env_clear().current_dir(dir.path()).stdin(Stdio::null()).status();
        assert!(!status.unwrap().success());
        fs::rename(core_in(dir.path()), dir.path().join("dumped")).unwrap();
        let file = CoreFile::new(File::open(dir.path().join("dumped")).unwrap()).unwrap();
        let maps = Maps::parse(&fs::read(dir.path().join("maps")).unwrap()).unwrap();
        Some(Dumped { core: CoreDump::read(file).unwrap(), maps, dir })
    }

    fn gdb(&self, commands: &[&str]) -> Option<String> {
        let mut gdb = Command::new("gdb");
        gdb.args(["-batch", "-nx"]);
        for command in commands {
            gdb.args(["-ex", command]);
        }
        run(gdb.arg(program("core_child")).arg(self.dir.path().join("dumped")))
    }
}

fn core_in(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let is_core = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("core"))
    };
    files.into_iter().find(is_core).expect("the kernel dumped a core")
}

fn hexadecimal(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or_else(|_| panic!("{text:?}"))
}

#[cfg(target_arch = "x86_64")]
#[test]
fn threads_and_registers_are_what_gdb_shows() {
    let Some(dumped) = Dumped::of(&program("core_child"), "crash") else { return };
    let Some(text) = dumped.gdb(&["thread apply all info registers"]) else { return };
    // Thread 3 (Thread 0x7fe4cdf496c0 (LWP 20229)):
    let mut threads: BTreeMap<u32, BTreeMap<&str, u64>> = BTreeMap::new();
    let mut tid = 0;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let (true, Some((before, number))) =
            (line.starts_with("Thread "), line.split_once("(LWP "))
        {
            tid = number.trim_end_matches([')', ':']).parse().unwrap();
            let pointer = before.rsplit_once("(Thread ").unwrap().1.trim();
            threads.entry(tid).or_default().insert("fs_base", hexadecimal(pointer));
        } else if let (Some(registers), [name, value, ..]) = (threads.get_mut(&tid), &words[..])
            && value.starts_with("0x")
        {
            registers.insert(name, hexadecimal(value));
        }
    }
    assert_eq!(threads.len(), 3, "{text}");
    assert_eq!(dumped.core.threads().len(), 3);
    for thread in dumped.core.threads() {
        let shown = &threads[&thread.tid];
        let same = shown.iter().filter_map(|(name, value)| Some((*value, thread.register(name)?)));
        let same: Vec<(u64, u64)> = same.collect();
        assert!(same.len() >= 24, "{shown:?}");
        assert!(same.iter().all(|(a, b)| a == b), "{shown:x?} {thread:x?}");
        assert_eq!(thread.tp(), shown.get("fs_base").copied());
        assert_eq!(thread.sp(), shown.get("rsp").copied());
        assert_eq!(thread.ip(), shown.get("rip").copied());
    }
}

#[test]
fn the_signal_and_the_auxiliary_vector() {
    let Some(dumped) = Dumped::of(&program("core_child"), "crash") else { return };
    let core = &dumped.core;
    let info = core.siginfo().unwrap();
    assert_eq!((info.signal, info.code, info.address), (11, 1, Some(0x10)));
    let crash = core.crash();
    assert_eq!((crash.tid, crash.comm.as_deref()), (core.pid(), Some(&b"core_child"[..])));
    assert_eq!(crash.code_bytes, None, "the kernel leaves code out");
    let asked = ["p/x $_siginfo._sifields._sigfault.si_addr", "p $_siginfo.si_code", "info auxv"];
    let Some(text) = dumped.gdb(&asked) else { return };
    assert!(text.contains("$1 = 0x10\n$2 = 1\n"), "{text}");
    let auxv = text.lines().filter_map(|line| {
        let kind = line.split_whitespace().next()?.parse::<u64>().ok()?;
        (line.contains(" AT_") || line.contains("???")).then_some((kind, line))
    });
    let mut count = 0;
    for (kind, line) in auxv.filter(|(kind, _)| *kind != 0) {
        let words = line.split_whitespace().filter_map(|word| match word.strip_prefix("0x") {
            Some(_) => Some(hexadecimal(word)),
            None => word.parse().ok(),
        });
        let value = core.auxv().get(kind).unwrap();
        assert!(words.skip(1).any(|word| word == value), "{line}: {value:#x}");
        count += 1;
    }
    assert_eq!(count, core.auxv().entries.len());
}

#[test]
fn images_have_the_build_ids_of_their_files() {
    let Some(dumped) = Dumped::of(&program("core_child"), "crash") else { return };
    let images = dumped.core.images();
    let names: Vec<_> =
        images.iter().map(|image| String::from_utf8_lossy(&image.facts.name)).collect();
    assert!(names.len() >= 4, "program, libc, loader, vDSO: {names:?}");
    for (image, name) in images.iter().zip(&names).filter(|(_, name)| name.starts_with('/')) {
        let Some(notes) = run(Command::new("readelf").args(["-n", name])) else { return };
        let id = notes.lines().find_map(|line| line.trim().strip_prefix("Build ID: "));
        let ours = image
            .build_id
            .as_ref()
            .map(|id| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        assert_eq!(ours.as_deref(), id, "{name}");
        let id = image.build_id.clone().unwrap();
        let file = file_with_build_id(&image.facts.name, &id, &Budget::default()).unwrap();
        // The bias puts segments at the rows, according to the file's own headers.
        for row in dumped.maps.iter().filter(|row| row.name == image.facts.name) {
            let address = row.range.start.wrapping_sub(image.facts.bias);
            assert!(file.segments().iter().any(|segment| {
                segment.vaddr & !0xfff <= address && address < segment.vaddr + segment.memsz
            }));
        }
        let other = [&id[1..], &id[..1]].concat();
        let why = file_with_build_id(&image.facts.name, &other, &Budget::default()).err().unwrap();
        assert!(why.contains("another file today"), "{why}");
    }
    let vdso = images.iter().find(|image| image.facts.name == b"[vdso]").unwrap();
    let running = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(vdso.kernel, running.trim().parse().ok());
}

/// The bytes are those that the process wrote.
#[test]
fn memory_is_the_process_s() {
    let Some(dumped) = Dumped::of(&program("core_child"), "crash") else { return };
    let core = &dumped.core;
    let sevens: Vec<AddressRange> = dumped
        .maps
        .iter()
        .filter(|row| row.perms.write() && row.range.size() == 8192)
        .map(|row| row.range)
        .filter(|range| {
            let mut bytes = vec![0; 8192];
            core.read(range.start, &mut bytes) == 8192 && bytes.iter().all(|&byte| byte == 7)
        })
        .collect();
    // Private and shared memory, without that of MADV_DONTDUMP.
    assert_eq!(sevens.len(), 2, "{sevens:x?}");
    let undumped = core.maps().iter().filter(|row| {
        row.perms.write() && row.range.size() == 8192 && core.dumped(row.range).size() == 0
    });
    // By default the kernel does not dump shared file mappings either.
    assert!(undumped.count() >= 1);
}

/// The kernel counts mappings in the header; root may allow this many.
#[test]
fn of_more_mappings_than_65535() {
    const MAX: &str = "/proc/sys/vm/max_map_count";
    let was = fs::read_to_string(MAX).unwrap();
    struct Restore(String);
    impl Drop for Restore {
        fn drop(&mut self) {
            let _ = fs::write(MAX, &self.0);
        }
    }
    if was.trim().parse::<u32>().unwrap() < 80_000 {
        if !crate::child::root() {
            return;
        }
        fs::write(MAX, "80000").unwrap();
    }
    let restore = Restore(was);
    let dumped = Dumped::of(&program("core_child"), "70000");
    drop(restore);
    let Some(dumped) = dumped else { return };
    assert!(dumped.maps.len() > 70_000);
    let ranges = |maps: &Maps| maps.iter().map(|row| row.range).collect::<Vec<_>>();
    assert!(ranges(&dumped.maps) == ranges(dumped.core.maps()));
    // The kernel omits so many names unless kernel.core_file_note_size_limit allows them. The
    // dynamic linker's list has those of libraries.
    let warned = dumped.core.warnings().iter().map(ToString::to_string);
    let text: Vec<String> = warned.collect();
    let limit = fs::read_to_string("/proc/sys/kernel/core_file_note_size_limit");
    if limit.is_ok_and(|limit| limit.trim() == "4194304") {
        assert!(text[0].contains("kernel.core_file_note_size_limit"), "{text:?}");
    }
    let file = |name: &[u8]| name.rsplit(|&byte| byte == b'/').next().unwrap().to_vec();
    let mut images = 0;
    for (row, ours) in dumped.maps.iter().zip(dumped.core.maps().iter()) {
        if row.name.ends_with(b"/core_child") || row.name.ends_with(b"/libc.so.6") {
            assert_eq!((file(row.name), row.offset), (file(ours.name), ours.offset));
            images += 1;
        }
    }
    assert!(images >= 8, "{images}");
}
