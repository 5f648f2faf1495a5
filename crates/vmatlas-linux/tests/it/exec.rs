//! Compares the model of execve(2) with programs stopped before their first instruction.

use crate::child::{Child, lacks, program, skipped};
use crate::copy_program::copy_program;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use vmatlas_linux::elf::{self, ElfFile};
use vmatlas_maps::{Device, Kind, Maps};
use vmatlas_space::{
    AddressSpace, Exec, File, Image, KernelProfile, Mmap, Prot, Special, Stack, Vsyscall,
};

const AT_BASE: u64 = 7;
const AT_ENTRY: u64 = 9;
const AT_SYSINFO_EHDR: u64 = 33;
const ENVIRONMENT: &str = "WORDS=in the environment";

/// A program stopped at its first instruction.
struct Started {
    _child: Child,
    /// The pid, or `killed` if the kernel failed after it had removed the old address space.
    pid: Result<u32, String>,
    words: Vec<Vec<u8>>,
    flags: String,
}

impl Started {
    fn new(flags: &str, path: &Path, arguments: &[&str]) -> Started {
        let mut command = Command::new(program("exec_stop"));
        command.env_clear().env("WORDS", "in the environment").arg(flags).arg(path);
        let mut child = Child::start(command.args(arguments));
        let line = child.line();
        let words = std::iter::once(path.as_os_str().as_bytes())
            .chain(arguments.iter().map(|word| word.as_bytes()))
            .map(<[u8]>::to_vec)
            .collect();
        Started {
            _child: child,
            pid: line.parse().map_err(|_| line),
            words,
            flags: flags.to_owned(),
        }
    }

    fn proc(&self, name: &str) -> Vec<u8> {
        let pid = self.pid.as_ref().unwrap();
        fs::read(format!("/proc/{pid}/{name}")).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn auxv(&self) -> HashMap<u64, u64> {
        let bytes = self.proc("auxv");
        let words = bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap()));
        let words: Vec<u64> = words.collect();
        words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
    }

    /// A field of stat, numbered as in proc(5).
    fn stat(&self, field: usize) -> u64 {
        let stat = String::from_utf8_lossy(&self.proc("stat")).into_owned();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split_whitespace().nth(field - 3).unwrap().parse().unwrap()
    }

    /// Whether it was started with this flag of exec_stop.
    fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }
}

fn profile() -> KernelProfile {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut profile = KernelProfile::of(release.trim().parse().unwrap());
    let rows = Maps::parse(&fs::read("/proc/self/maps").unwrap()).unwrap();
    profile.vsyscall = match rows.iter().find(|row| row.kind() == Kind::Vsyscall) {
        None => Vsyscall::None,
        Some(row) if row.perms.read() => Vsyscall::Emulate,
        Some(_) => Vsyscall::ExecuteOnly,
    };
    profile.ksm = Path::new("/sys/kernel/mm/ksm").exists();
    profile.pkeys = fs::read_to_string("/proc/cpuinfo").unwrap().contains(" ospke");
    profile
}

/// The end of the memory of an image with this bias.
fn end_of(image: &Image, bias: u64) -> u64 {
    let end = image.segments.iter().map(|s| s.vaddr + s.memory_size).max().unwrap();
    (bias + end).next_multiple_of(4096)
}

/// The image of a program file, with device and inode from its rows.
fn image(path: &Path, rows: &Maps) -> (Image, ElfFile) {
    let path = path.canonicalize().unwrap();
    let name = path.as_os_str().as_bytes();
    let elf = elf::read(fs::File::open(&path).unwrap()).unwrap().unwrap();
    let row = rows.iter().find(|row| row.name == name);
    let (device, inode) = row.map_or((Device::default(), 0), |row| (row.device, row.inode));
    (elf::exec_image(&elf, &File::new(name, device, inode)), elf)
}

/// Compares the model of a program with the kernel's rows, flags and program break; returns the
/// number of rows.
fn check(what: &str, started: &Started) -> usize {
    let mut profile = profile();
    if started.has('s') {
        profile.stack_limit = 65536;
    }
    let fixed = started.has('r');
    let survived = started.pid.is_ok();
    let text = if survived { started.proc("maps") } else { vec![] };
    let rows = Maps::parse(&text).unwrap();
    let auxv = if survived { started.auxv() } else { HashMap::new() };

    let path = PathBuf::from(std::ffi::OsStr::from_bytes(&started.words[0]));
    let (mut image_of_program, elf) = image(&path, &rows);
    let interpreter =
        elf.interpreter().map(|path| image(Path::new(std::ffi::OsStr::from_bytes(path)), &rows).0);
    let vdso: Vec<(Special, u64)> = rows
        .iter()
        .filter_map(|row| {
            let specials = [Special::Vvar, Special::VvarVclock, Special::Vdso];
            let special = specials.into_iter().find(|s| s.name().as_bytes() == row.name)?;
            Some((special, row.range.end - row.range.start))
        })
        .collect();
    let before_vdso: u64 = vdso.iter().take_while(|(s, _)| *s != Special::Vdso).map(|v| v.1).sum();
    let vdso_size: u64 = vdso.iter().map(|v| v.1).sum();

    // Randomised addresses are taken from the kernel; the rest follows.
    let stack_end = match rows.iter().find(|row| row.kind() == Kind::Stack) {
        Some(row) if !fixed => row.range.end,
        _ => profile.task_size,
    };
    let words = [&started.words[0]].into_iter().chain(&started.words).map(|word| &word[..]);
    let strings = Stack::strings(stack_end, words.chain([ENVIRONMENT.as_bytes()]));
    let stack = Stack::new(&profile, strings, strings.start);
    let bias_of_program = || auxv[&AT_ENTRY] - elf.entry().get();
    let mut vdso_address = None;
    let (mut start_brk, mut mmap_base) = (None, None);
    if !fixed {
        start_brk = Some(started.stat(47));
        let vdso_start = auxv[&AT_SYSINFO_EHDR] - before_vdso;
        // Before 6.9 it was above the stack.
        vdso_address = (stack_end <= vdso_start).then_some(vdso_start);
        let vdso_end = vdso_address.map_or(vdso_start + vdso_size, |_| 0);
        mmap_base = match &interpreter {
            Some(interpreter) => Some(end_of(interpreter, auxv[&AT_BASE])),
            // The alignment of the program may leave room for the vDSO above it.
            None if image_of_program.bias.is_none() => {
                Some(end_of(&image_of_program, bias_of_program()).max(vdso_end))
            }
            None => Some(vdso_end).filter(|end| *end > 0),
        };
        if interpreter.is_some() && image_of_program.bias.is_none() {
            image_of_program.bias = Some(bias_of_program());
        }
    }
    let mut request = Exec::new(image_of_program, interpreter, stack);
    request.vdso = vdso;
    request.vdso_address = vdso_address;
    request.start_brk = start_brk;
    request.mmap_base = mmap_base;
    request.page_zero = started.has('z');

    let mut space = AddressSpace::new(profile);
    if started.has('m') {
        space.set_memory_merge(true).unwrap();
    }
    space.set_read_implies_exec(started.has('x'));
    space.mmap(&Mmap::anonymous(0x1000, Prot::READ).hint(0x40_0000)).unwrap();
    let result = space.exec(&request);
    if let Err(ended) = &started.pid {
        assert_eq!(ended, "killed", "{what}");
        assert!(result.is_err(), "{what}: the kernel kills it; {request:#x?}");
        assert!(space.is_empty());
        return 0;
    }
    let shown = String::from_utf8_lossy(&text);
    assert_eq!(result, Ok(()), "{what}: {request:#x?}\n{shown}");
    let model = String::from_utf8_lossy(&space.render()).into_owned();
    assert!(model == shown, "{what}: the model\n{model}the kernel\n{shown}{request:#x?}");
    assert_eq!(space.program_break(), started.stat(47), "{what}");
    assert_eq!(strings.start, started.stat(48), "{what}: arg_start");
    check_flags(what, &space, &String::from_utf8_lossy(&started.proc("smaps")));
    rows.len()
}

/// Compares the flags of all rows with VmFlags of smaps.
fn check_flags(what: &str, space: &AddressSpace, smaps: &str) {
    let mut start = 0;
    for line in smaps.lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            let Some(flags_of_model) = space.flags(start) else { continue };
            let model: BTreeSet<&str> = flags_of_model.letters().collect();
            // Not modelled: soft-dirty, mappings that the kernel seals itself, and VM_DENYWRITE,
            // which the mappings of a program and its interpreter had up to 5.14.
            let others = ["sd", "sl", "dw"];
            let kernel = flags.split_whitespace().filter(|flag| !others.contains(flag));
            let kernel: BTreeSet<&str> = kernel.collect();
            let model: BTreeSet<&str> = model.into_iter().filter(|flag| *flag != "sl").collect();
            assert_eq!(model, kernel, "{what}: flags at {start:x}");
        } else if let Some((address, _)) = line.split_once(' ').and_then(|w| w.0.split_once('-')) {
            start = u64::from_str_radix(address, 16).unwrap_or(start);
        }
    }
}

const SOURCE: &str = "
static char large[3 << 20];
int small[10] = {1};
char more[9000];
int main(int argc, char **argv) { return large[argc] + small[argc] + more[argc]; }
";

#[test]
fn real_programs() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("program.c");
    fs::write(&source, SOURCE).unwrap();
    let mut programs = vec![];
    for (name, flags) in [
        ("pie", "-pie -fPIE"),
        ("no-pie", "-no-pie"),
        ("static", "-static -no-pie"),
        ("static-pie", "-static-pie -fPIE"),
        ("execstack", "-Wl,-z,execstack"),
        ("static-execstack", "-static -Wl,-z,execstack"),
        ("no-separate-code", "-Wl,-z,noseparate-code"),
        ("writable-code-nostdlib", "-nostdlib -static -Wl,-N,-e,main"),
        ("large-pages", "-Wl,-z,max-page-size=0x200000"),
        ("static-pie-large-pages", "-static-pie -fPIE -Wl,-z,max-page-size=0x10000"),
        ("no-relro", "-Wl,-z,norelro"),
        ("text-far-away", "-no-pie -Wl,-Ttext-segment=0x20000000"),
    ] {
        let path = dir.path().join(name);
        let mut gcc = Command::new("gcc");
        gcc.args(["-O1", "-o"]).arg(&path).arg(&source).args(flags.split(' '));
        if gcc.output().is_ok_and(|output| output.status.success()) {
            programs.push((name.to_owned(), path));
        } else {
            lacks(&format!("gcc {flags}"));
        }
    }
    let java = Path::new("/usr/bin/java").canonicalize();
    let installed = ["/bin/true", "/usr/bin/python3", "/bin/sh", "/usr/bin/gcc"];
    let installed = installed.into_iter().map(|path| Path::new(path).canonicalize());
    for path in installed.chain([java, std::env::current_exe()]) {
        match path {
            Ok(path) => programs.push((path.display().to_string(), path)),
            Err(_) => skipped("a program that is not installed"),
        }
    }
    let ksm = profile().ksm && profile().ksm_prctl;
    let (mut starts, mut rows) = (0, 0);
    for (name, path) in &programs {
        for flags in ["-", "r", "s", "x", "rm"] {
            if flags.contains('m') && !ksm {
                continue;
            }
            let started = Started::new(flags, path, &["first", "second argument"]);
            rows += check(&format!("{name} {flags}"), &started);
            starts += 1;
        }
    }
    eprintln!("{starts} programs, {rows} rows");
}

#[test]
fn arguments_make_the_stack_larger() {
    let long = "long ".repeat(20_000);
    for (count, words) in [(1, "a"), (30, "short"), (8, &long)] {
        let words = vec![words; count];
        for flags in ["-", "r"] {
            check(
                &format!("{count} {flags}"),
                &Started::new(flags, Path::new("/bin/true"), &words),
            );
        }
    }
}

#[test]
fn page_zero_is_mapped() {
    if !crate::child::root() {
        return;
    }
    let started = Started::new("rz", Path::new("/bin/true"), &[]);
    assert!(String::from_utf8_lossy(&started.proc("maps")).starts_with("00000000-00001000 r-xp"));
    check("page zero", &started);
}

/// Reproducible pseudo-random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn one_of<T: Copy>(&mut self, choice: &[T]) -> T {
        choice[self.below(choice.len() as u64) as usize]
    }
}

const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const PT_GNU_STACK: u32 = 0x6474_e551;

/// An ELF file of eight pages that is never run, with up to five segments of all kinds.
fn elf(kind: u16, random: &mut Random, base: u64, interpreter: Option<&Path>) -> Vec<u8> {
    let mut headers: Vec<(u32, u32, [u64; 5])> = vec![];
    // An image larger than a huge page may be aligned to one, if the file system supports it.
    let far = if kind == ET_EXEC { 0x20_0000 } else { 0x2_0000 };
    let mut next = base + random.one_of(&[0, 0, 0, 0x40, 0x2_1040]);
    for number in 0..=random.below(5) {
        let odd = number > 0 || kind == ET_EXEC;
        let vaddr = next;
        let in_file = random.below(5) << 12 | vaddr & 0xfff;
        let offset = if random.below(60) == 0 { in_file + 8 } else { in_file };
        let file = match random.below(if odd { 5 } else { 4 }) {
            0 => random.below(0x800) + 1,
            1 => 0x1000,
            2 => (0x2000 - (vaddr & 0xfff)).min(0x2000),
            3 => random.below(0x3000) + 1,
            _ => 0,
        };
        let zeroes = random.one_of(&[0, 0, 8, 0x800, 0x1000, 0x2345, far]);
        let memory = if random.below(60) == 0 { file / 2 } else { file + zeroes };
        let align = random.one_of(&[0x1000, 0x1000, 0x1000, 0, 3, 0x4000, 0x20_0000]);
        let prot = random.one_of(&[4, 5, 6, 6, 6, 7, 1, 2, 0]);
        headers.push((PT_LOAD, prot, [offset, vaddr, file, memory, align]));
        let gap = random.one_of(&[0, 1, 0x10, 0x1000, 0x1000, 0x5432, far]);
        next = vaddr + memory + gap;
        if random.below(2) == 0 {
            next = next.next_multiple_of(4096);
        }
    }
    if let Some(stack) = random.one_of(&[Some(6), Some(6), Some(7), None]) {
        headers.push((PT_GNU_STACK, stack, [0, 0, 0, 0, 16]));
    }
    let name = interpreter.map(|path| [path.as_os_str().as_bytes(), b"\0"].concat());
    if let Some(name) = &name {
        headers.push((PT_INTERP, 4, [0x400, base + 0x400, name.len() as u64, 1, 1]));
    }

    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    bytes.extend([kind, 62].iter().flat_map(|half| half.to_le_bytes()));
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend([base, 64, 0].iter().flat_map(|word| word.to_le_bytes()));
    bytes.extend(0_u32.to_le_bytes());
    let halves = [64, 56, headers.len() as u16, 64, 0, 0];
    bytes.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
    for (kind, flags, [offset, vaddr, file, memory, align]) in headers {
        bytes.extend([kind, flags].iter().flat_map(|word| word.to_le_bytes()));
        let words = [offset, vaddr, vaddr, file, memory, align];
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }
    bytes.resize(0x400, 1);
    bytes.extend(name.unwrap_or_default());
    bytes.resize(0x8000, 1);
    bytes
}

/// Tests as many programs as `EXEC_SEEDS` says.
#[test]
fn programs_that_no_linker_makes() {
    use std::os::unix::fs::PermissionsExt as _;
    let seeds = std::env::var("EXEC_SEEDS").map_or(60, |seeds| seeds.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let write = |name: String, bytes: Vec<u8>| {
        let (path, written) = (dir.join(&name), dir.join(name + ".new"));
        fs::write(&written, bytes).unwrap();
        fs::set_permissions(&written, fs::Permissions::from_mode(0o755)).unwrap();
        copy_program(written, &path);
        path
    };
    let five_levels = fs::read_to_string("/proc/cpuinfo").unwrap().contains(" la57");
    let (mut killed, mut rows) = (0, 0);
    for seed in 0..seeds {
        let mut random = Random(seed);
        let interpreter = match random.below(3) {
            0 => None,
            1 => Some((ET_DYN, random.one_of(&[0, 0, 0x30_7000, 0x1_2345_6000]))),
            _ => Some((ET_EXEC, 0x7000_0000)),
        };
        let interpreter = interpreter.map(|(kind, base)| {
            write(format!("interpreter-{seed}"), elf(kind, &mut random, base, None))
        });
        let (kind, base) = random.one_of(&[(ET_EXEC, 0x40_0000), (ET_DYN, 0), (ET_DYN, 0x8000)]);
        if kind == ET_DYN && interpreter.is_none() && five_levels {
            // Such a program can exceed the usual 47 address bits.
            continue;
        }
        let program = elf(kind, &mut random, base, interpreter.as_deref());
        let path = write(format!("program-{seed}"), program);
        let flags = random.one_of(&["r", "r", "rx", "rs"]);
        let started = Started::new(flags, &path, &[]);
        killed += usize::from(started.pid.is_err());
        rows += check(&format!("seed {seed} {flags}"), &started);
    }
    eprintln!("{seeds} programs, {killed} of them killed, {rows} rows");
    assert!(killed < seeds as usize / 2);
}
