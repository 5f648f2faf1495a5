//! Tests targets that are core dumps, by the kernel and by gdb.

use crate::copy_program::copy_program;
use crate::vmatlas::{Run, testdata, vmatlas, vmatlas_with_input};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

/// Compiles core_child once.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| compiled("core_child", &["-pthread"]))
}

fn compiled(name: &str, options: &[&str]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let source = testdata().join(format!("programs/{name}.c"));
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-O1"]).args(options).arg("-o").args([&path, &source]);
    assert!(cc.status().expect("needs a C compiler").success());
    path
}

/// A core dump, and the maps that its process wrote just before.
struct Dumped {
    _dir: TempDir,
    core: PathBuf,
    maps: String,
}

impl Dumped {
    /// Runs a program in a directory of its own until the kernel dumps its core.
    fn of(program: &Path, filter: &str) -> Option<Dumped> {
        let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
        if pattern.starts_with(['|', '/']) {
            assert!(std::env::var_os("CI").is_none(), "CI must leave cores in the directory");
            eprintln!("skipped: cores go elsewhere: {pattern}");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let script = "ulimit -c unlimited && echo $1 > /proc/self/coredump_filter && exec $0 crash";
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).arg(program).arg(filter).env_clear().current_dir(dir.path());
        let status = shell.stdin(Stdio::null()).status().unwrap();
        assert!(!status.success());
        let files = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let is_core = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("core"))
        };
        let core = files.into_iter().find(is_core).expect("the kernel dumped a core");
        let maps = fs::read_to_string(dir.path().join("maps")).unwrap();
        Some(Dumped { _dir: dir, core, maps })
    }

    fn path(&self) -> &str {
        self.core.to_str().unwrap()
    }
}

/// Keeps the fields of rows that a core records. It does not record whether they are shared, the
/// file's device and inode, and the kernel's names of memory.
fn known(text: &str) -> Vec<String> {
    let row = |line: &str| {
        let mut fields = line.splitn(6, ' ');
        let mut next = || fields.next().unwrap_or_default().to_owned();
        let (range, perms, offset, _device, _inode, name) =
            (next(), next(), next(), next(), next(), next());
        format!("{range} {} {offset} {}", &perms[..3], name.trim_start())
    };
    text.lines().map(row).collect()
}

#[test]
fn all_rows_that_the_process_had() {
    for (filter, has_heap) in [("0x33", true), ("0x7f", true), ("0x01", true), ("0", false)] {
        let Some(dumped) = Dumped::of(program(), filter) else { return };
        let run = vmatlas(&["show", dumped.path(), "--raw"]);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{filter}");
        let mut expected = known(&dumped.maps);
        if !has_heap {
            // Without any dumped byte of it, nothing proves that it is the heap.
            let heap = expected.iter_mut().find(|row| row.ends_with("[heap]")).unwrap();
            heap.truncate(heap.len() - "[heap]".len());
        }
        assert_eq!(known(&run.text()), expected, "{filter}");
        assert!(expected.len() > 36);
        // Names stand in the same columns as in the kernel's text.
        let columns = |text: &str| -> Vec<Option<usize>> {
            text.lines().map(|line| line.find(['/', '['])).collect()
        };
        if has_heap {
            assert_eq!(columns(&run.text()), columns(&dumped.maps));
        }
        assert!(run.text().lines().all(|line| line.contains("? ") && line.contains(" 00:00 0 ")));
    }
}

#[test]
fn of_32_bits() {
    // This program needs no 32-bit C library.
    let options = "-m32 -nostdlib -static -ffreestanding -fno-stack-protector -fno-pie -no-pie";
    let program = compiled("core32", &options.split(' ').collect::<Vec<_>>());
    let Some(dumped) = Dumped::of(&program, "0x33") else { return };
    let run = vmatlas(&["show", dumped.path(), "--raw"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    assert_eq!(known(&run.text()), known(&dumped.maps));
    assert_eq!(json(&dumped)["target"]["word_size"], 32);
}

fn json(dumped: &Dumped) -> serde_json::Value {
    vmatlas(&["show", dumped.path(), "--json"]).json()
}

#[test]
fn json_says_what_is_not_known() {
    let Some(dumped) = Dumped::of(program(), "0x33") else { return };
    let document = json(&dumped);
    let target = &document["target"];
    assert_eq!((&target["source"], &target["comm"]), (&"core".into(), &"core_child".into()));
    assert!(target["pid"].as_u64().unwrap() > 1);
    assert_eq!((&target["page_size"], &target["word_size"]), (&4096.into(), &64.into()));
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert!(release.starts_with(target["kernel"].as_str().unwrap()), "{release} {target}");
    let mappings = document["mappings"].as_array().unwrap();
    let named = |name: &str| {
        mappings.iter().find(|row| row["name"].as_str().unwrap().contains(name)).unwrap()
    };
    let file = named("file with\\012line feed");
    assert!(file["device"].is_null() && file["inode"].is_null(), "{file}");
    assert_eq!(file["perms"], "r-x?");
    assert!(file["path"].as_str().unwrap().ends_with("/file with\nline feed"));
    // Memory without a file is known to have no device and inode.
    let heap = named("[heap]");
    assert_eq!((&heap["device"], &heap["inode"]), (&"00:00".into(), &0.into()));
    let kinds = [
        ("some memory", "memfd"),
        ("/dev/zero", "shared-anonymous"),
        ("/SYSV", "sysv-shm"),
        ("/gone (deleted)", "file"),
        ("[stack]", "stack"),
        ("[vdso]", "vdso"),
        ("[vvar]", "vvar"),
    ];
    kinds.iter().for_each(|(name, kind)| assert_eq!(named(name)["kind"], *kind, "{name}"));
    assert!(named("/SYSV")["shm_id"].is_null());
    let csv = vmatlas(&["show", dumped.path(), "--csv", "--columns", "device,inode,name"]).text();
    assert!(csv.contains("?,?,") && csv.contains("00:00,0,[heap]"), "{csv}");
}

#[test]
fn files_that_exceed_the_budget_are_named() {
    let Some(dumped) = Dumped::of(program(), "0x33") else { return };
    let rows = vmatlas(&["show", dumped.path(), "--raw"]).text();
    let address = rows.lines().find(|row| row.contains("r-x") && row.contains('/')).unwrap();
    let address = address.split('-').next().unwrap();
    for budget in ["0s", "1K"] {
        let run = vmatlas(&["show", dumped.path(), "--json", "--budget", budget]);
        assert_eq!(run.json()["mappings"].as_array().unwrap().len(), rows.lines().count());
        let is_named = |run: &Run| {
            run.stderr.contains("facts of /") && run.stderr.contains("--budget raises the limits")
        };
        assert!(is_named(&run), "{budget}: {}", run.stderr);
        let run = vmatlas(&["at", dumped.path(), address, "--budget", budget]);
        assert!(run.text().contains("code of /"), "{}", run.text());
        assert!(is_named(&run), "{budget}: {}", run.stderr);
    }
}

#[test]
fn an_address_and_the_file_that_it_is_of() {
    let Some(dumped) = Dumped::of(program(), "0x33") else { return };
    // The test modifies this copy.
    let copy = dumped.core.with_file_name("program");
    copy_program(program(), &copy);
    let Some(dumped) = Dumped::of(&copy, "0x33") else { return };
    let row = dumped.maps.lines().find(|line| line.contains("r-xp")).unwrap();
    let start = u64::from_str_radix(row.split('-').next().unwrap(), 16).unwrap();
    let symbols = Command::new("nm").arg(&copy).output().unwrap().stdout;
    let symbols = String::from_utf8(symbols).unwrap();
    let main = symbols.lines().find(|line| line.ends_with(" T main")).unwrap();
    let main = u64::from_str_radix(main.split(' ').next().unwrap(), 16).unwrap();
    let offset = u64::from_str_radix(row.split(' ').nth(2).unwrap(), 16).unwrap();
    let address = format!("{:#x}", start - offset + main + 1);
    let at = || vmatlas(&["at", dumped.path(), &address, "--json"]).json()["addresses"][0].clone();

    let found = at();
    assert_eq!(found["elf"]["symbol"], "main", "{found}");
    assert_eq!(
        (&found["elf"]["symbol_offset"], &found["elf"]["section"]),
        (&1.into(), &".text".into())
    );
    assert_eq!(found["dumped"], false, "the kernel leaves code out");
    let id = found["elf"]["build_id"].clone();
    assert!(sections(dumped.path(), "*/program").contains(".text"));

    // A file with the same name and another build ID is not used.
    let mut bytes = fs::read(&copy).unwrap();
    let id_bytes: Vec<u8> = (0..20)
        .map(|at| u8::from_str_radix(&id.as_str().unwrap()[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let place = bytes.windows(20).position(|window| window == id_bytes).unwrap();
    bytes[place] ^= 1;
    fs::remove_file(&copy).unwrap();
    fs::write(&copy, bytes).unwrap();
    let found = at();
    assert!(found["elf"]["symbol"].is_null(), "{found}");
    assert_eq!(found["elf"]["build_id"], id);
    assert_eq!(found["elf"]["vaddr"], format!("{:#x}", main + 1));
    let note = found["elf"]["note"].as_str().unwrap();
    assert!(note.contains("another file today"), "{note}");
    fs::remove_file(&copy).unwrap();
    assert!(at()["elf"]["note"].as_str().unwrap().contains("No such file"));

    assert!(!sections(dumped.path(), "*/program").contains(".text"));

    // The vDSO is stored in the core itself.
    let row = dumped.maps.lines().find(|line| line.ends_with("[vdso]")).unwrap();
    let found = &vmatlas(&["at", dumped.path(), row.split('-').next().unwrap(), "--json"]).json()["addresses"]
        [0];
    assert!(found["elf"]["build_id"].as_str().unwrap().len() >= 32, "{found}");
    assert_eq!((&found["dumped"], &found["mapping"]["kind"]), (&true.into(), &"vdso".into()));

    let nowhere = vmatlas(&["at", dumped.path(), "0x10"]);
    assert_eq!(nowhere.status, 1);
    assert!(nowhere.text().contains("0x10 is not mapped"), "{}", nowhere.text());
}

fn sections(core: &str, name: &str) -> String {
    let which = format!("name = {name}");
    let run = vmatlas(&["show", core, "--csv", "--columns", "perms,sections", "--where", &which]);
    run.text()
}

/// A core gets the same labels as a live process: its memory is read only with `--deep`.
#[test]
fn what_the_memory_was_for() {
    let Some(dumped) = Dumped::of(program(), "0x33") else { return };
    let labels = |deep: &[&str]| {
        let run = vmatlas(&[&["show", dumped.path(), "--json"], deep].concat());
        let document = run.json();
        let rows = document["mappings"].as_array().unwrap().clone();
        let of = |what: &str| -> Vec<(String, String)> {
            let labels = rows.iter().map(|row| &row["label"]);
            let found =
                labels.filter(|label| label["text"].as_str().is_some_and(|t| t.contains(what)));
            let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            found.map(|label| (text(&label["text"]), text(&label["confidence"]))).collect()
        };
        (of("stack of thread"), of(".bss of"), of("main heap"))
    };
    let (stacks, bss, _) = labels(&[]);
    // The guards of two stacks are the third and the fourth label.
    assert_eq!(stacks.len(), 5, "{stacks:?}");
    assert!(stacks.iter().all(|(text, _)| !text.contains("()")), "{stacks:?}");
    assert!(stacks.iter().any(|(text, _)| text.contains("(core_child)")), "{stacks:?}");
    assert_eq!(bss.len(), 2, "{bss:?}");
    let (stacks, _, heap) = labels(&["--deep"]);
    assert!(stacks.len() == 5 && stacks.iter().all(|(_, sure)| sure == "certain"), "{stacks:?}");
    assert!(heap.len() == 1 && heap[0].1 == "certain", "{heap:?}");
}

/// A fact that a core does not record is not a difference.
#[test]
fn a_core_and_its_maps_do_not_differ() {
    let Some(dumped) = Dumped::of(program(), "0x33") else { return };
    let maps = dumped.core.with_file_name("maps");
    let run = vmatlas(&["diff", dumped.path(), maps.to_str().unwrap()]);
    assert_eq!(run.all(), "0 added, 0 removed, 0 changed, 0 at another address only\nexit 0");
    let Some(other) = Dumped::of(program(), "0x33") else { return };
    let run = vmatlas(&["diff", dumped.path(), other.path()]);
    // Each process had files in its own directory.
    let come_or_gone = |line: &&str| line.starts_with(['+', '-']);
    let text = run.text();
    let lines: Vec<&str> = text.lines().filter(come_or_gone).collect();
    assert_eq!(lines.len(), 6, "{text}");
    assert!(
        lines.iter().all(|line| line.contains("/gone") || line.contains("/file with")),
        "{text}"
    );
}

fn compressed(bytes: &[u8]) -> [(&'static str, Vec<u8>); 3] {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(bytes).unwrap();
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(bytes).unwrap();
    [
        ("zst", zstd::encode_all(bytes, 1).unwrap()),
        ("gz", gz.finish().unwrap()),
        ("lz4", lz4.finish().unwrap()),
    ]
}

#[test]
fn compressed_or_from_a_pipe() {
    let Some(dumped) = Dumped::of(program(), "0x33") else { return };
    let bytes = fs::read(&dumped.core).unwrap();
    let plain = vmatlas(&["show", dumped.path(), "--raw"]);
    let same = |run: &Run, what: &str| {
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{what}");
        assert!(run.stdout == plain.stdout, "{what}");
    };
    same(&vmatlas_with_input(&["show", "-", "--raw"], &bytes), "a pipe");
    for (format, bytes) in compressed(&bytes) {
        // The name does not reveal the compression.
        let path = dumped.core.with_file_name("compressed");
        fs::write(&path, &bytes).unwrap();
        let path = path.to_str().unwrap();
        same(&vmatlas(&["show", path, "--raw"]), format);
        same(&vmatlas_with_input(&["show", "-", "--raw"], &bytes), format);
        // The readable part of a truncated file is used.
        fs::write(path, &bytes[..bytes.len() * 2 / 3]).unwrap();
        let run = vmatlas(&["show", path, "--raw"]);
        assert_eq!(run.status, 0, "{format}: {}", run.stderr);
        assert!(run.stderr.contains("the input is damaged after"), "{format}: {}", run.stderr);
        assert!(run.stderr.contains("bytes of memory are missing"), "{format}: {}", run.stderr);
        fs::write(path, &bytes[..40]).unwrap();
        assert_eq!(vmatlas(&["show", path]).status, 2, "{format}");
    }
    // A text may be compressed as well.
    let (_, text) = &compressed(dumped.maps.as_bytes())[0];
    assert_eq!(vmatlas_with_input(&["show", "-", "--raw"], text).text(), dumped.maps);
}

#[test]
fn cut_and_hostile_ones() {
    let Some(dumped) = Dumped::of(program(), "0x33") else { return };
    let bytes = fs::read(&dumped.core).unwrap();
    let cut = dumped.core.with_file_name("cut");
    let path = cut.to_str().unwrap();
    for length in [4, 30, 64, 100, 500, 3000, 6000, 9000, 20_000, 100_000, bytes.len() - 1] {
        fs::write(&cut, &bytes[..length]).unwrap();
        let run = vmatlas(&["show", path]);
        assert!(matches!(run.status, 0 | 2), "{length}");
        assert!(run.stderr.starts_with(&format!("vmatlas: {path}: ")), "{length}: {}", run.stderr);
        assert!(run.status == 2 || !run.stdout.is_empty());
    }
    fs::write(&cut, &bytes[..30]).unwrap();
    assert_eq!(
        vmatlas(&["show", path]).stderr,
        format!(
            "vmatlas: {path}: ELF header, at byte 0x1e: the file ends here, in its first header\n"
        )
    );
    let run = vmatlas(&["show", program().to_str().unwrap()]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("a program or library and no core dump"), "{}", run.stderr);
    let run = vmatlas(&["show", &format!("{}@1.5", dumped.path())]);
    assert_eq!(run.status, 2);
    assert!(
        run.stderr.contains("a core dump is of one moment, so it takes neither --at nor @TIME"),
        "{}",
        run.stderr
    );
}

/// gdb dumps the memory that it can read, and omits permissions of memory that the program did not
/// change.
#[test]
fn of_gdb() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(program());
    command.arg("wait").current_dir(dir.path()).env_clear().stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let pid = child.id().to_string();
    let prefix = dir.path().join("gcore");
    let gcore = Command::new("gcore").arg("-o").arg(&prefix).arg(&pid).output();
    let against = format!("{}.{pid}", prefix.display());
    let live = vmatlas(&["diff", &against, &pid]);
    child.kill().unwrap();
    child.wait().unwrap();
    let Ok(gcore) = gcore else {
        assert!(std::env::var_os("CI").is_none(), "CI must have gdb");
        return eprintln!("skipped: needs gcore of gdb");
    };
    assert!(gcore.status.success(), "{gcore:?}");

    let run = vmatlas(&["show", &against, "--raw"]);
    assert!(run.stderr.contains("gdb wrote it"), "{}", run.stderr);
    // gdb stopped the program; no signal ended it.
    let explained = vmatlas(&["explain", &against]);
    assert_eq!(explained.status, 1, "{}", explained.text());
    assert!(explained.stderr.contains("no crash"), "{}", explained.stderr);
    let maps = fs::read_to_string(dir.path().join("maps")).unwrap();
    let (rows, expected) = (known(&run.text()), known(&maps));
    let split = |row: &str| -> (String, Vec<u8>, String) {
        let mut parts = row.splitn(3, ' ');
        let mut next = || parts.next().unwrap().to_owned();
        (next(), next().into_bytes(), next())
    };
    let mut rows = rows.iter().map(|row| split(row)).peekable();
    let mut missing = Vec::new();
    for (range, perms, rest) in expected.iter().map(|row| split(row)) {
        let Some(row) = rows.next_if(|row| row.0 == range) else {
            missing.push(rest);
            continue;
        };
        assert_eq!(row.2, rest, "{range}");
        assert!(row.1.iter().zip(&perms).all(|(a, b)| a == b || *a == b'?'), "{range} {row:?}");
    }
    assert_eq!(rows.next(), None, "no row that was not there");
    // gdb leaves out memory that it may not read, and memory marked by MADV_DONTDUMP.
    assert!(
        missing.iter().all(|rest| rest.contains("[vvar") || rest == "00000000 "),
        "{missing:?}"
    );
    assert!(missing.len() <= 4, "{missing:?}");
    assert!(live.text().contains(" 0 removed, 0 changed"), "{}", live.text());
}
