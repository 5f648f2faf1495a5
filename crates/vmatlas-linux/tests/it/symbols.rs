//! Compares symbols with addr2line, nm, go tool addr2line and known names.

use crate::child::{root, skipped, thread_cpu};
use crate::copy_program::copy_program;
use crate::elf::run;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vmatlas_linux::elf::{ElfFile, SegmentFlags, SegmentType, Vaddr};
use vmatlas_linux::symbols::{
    Module, ModuleNote, ModuleSegment, Place, SymbolFrame, SymbolOptions, Symbolizer, hint,
    read_jit,
};
use vmatlas_linux::{Process, ProcessId, RegularFile};
use vmatlas_maps::Device;
use vmatlas_object::Budget;
use vmatlas_object::jit::JitMap;

const C_PROGRAM: &str = r#"
#include <stdio.h>
static volatile int sink;
static inline __attribute__((always_inline)) int innermost(int x)
{
    sink += x;
    return sink * 3;
}
static inline __attribute__((always_inline)) int middle(int x)
{
    int y = innermost(x + 1);
    return y + innermost(x + 2);
}
static __attribute__((noinline)) int outer(int x)
{
    return middle(x) + middle(x + 7);
}
__attribute__((noinline)) int exported(int x) { return outer(x) - 1; }
int main(int argc, char **argv) { return exported(argc) + puts("x"); }
"#;

fn shell(dir: &Path, script: &str) -> Option<String> {
    run(Command::new("sh").current_dir(dir).args(["-e", "-c", script]))
}

fn c_programs() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("program.c"), C_PROGRAM).unwrap();
    dir
}

fn module_of(path: &Path) -> Module {
    let meta = path.metadata().unwrap();
    let elf = vmatlas_linux::elf::read(File::open(path).unwrap()).unwrap().unwrap();
    with!(
        Module::default(),
        path = path.as_os_str().as_encoded_bytes().to_vec(),
        device = Device::new(rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev())),
        inode = meta.ino(),
        size = Some(meta.len()),
        build_id = elf.build_id_bytes().map(<[u8]>::to_vec),
        segments = Vec::new()
    )
}

/// Symbols of a table of nm, by name: address and size.
fn nm(path: &Path) -> Vec<(String, u64, u64)> {
    let text = run(Command::new("nm").arg("-S").arg(path)).unwrap_or_default();
    let hex = |word: &str| u64::from_str_radix(word, 16).ok();
    let row = |line: &str| {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let [address, size, kind, name] = words[..] else { return None };
        matches!(kind, "T" | "t" | "W").then_some((name.to_owned(), hex(address)?, hex(size)?))
    };
    text.lines().filter_map(row).collect()
}

fn offset(elf: &ElfFile, vaddr: u64) -> u64 {
    let segment = elf
        .segments()
        .iter()
        .find(|s| s.kind == SegmentType::LOAD && s.vaddr_range().contains(&vaddr))
        .unwrap_or_else(|| panic!("{vaddr:#x} is in no segment"));
    vaddr - segment.vaddr + segment.offset
}

/// The frames of some addresses of a file.
fn frames_in(
    symbolizer: &mut Symbolizer,
    path: &Path,
    module: Module,
    vaddrs: &[u64],
) -> Vec<Vec<SymbolFrame>> {
    let elf = vmatlas_linux::elf::read(File::open(path).unwrap()).unwrap().unwrap();
    let module = symbolizer.add_module(module);
    let places: Vec<Place> =
        vaddrs.iter().map(|&vaddr| Place::File { module, offset: offset(&elf, vaddr) }).collect();
    symbolizer.symbolize(&places)
}

fn frames(path: &Path, vaddrs: &[u64]) -> Vec<Vec<SymbolFrame>> {
    frames_in(&mut Symbolizer::default(), path, module_of(path), vaddrs)
}

/// `function file:line` of each frame, innermost first.
fn texts(frames: &[Vec<SymbolFrame>]) -> Vec<String> {
    let one = |frame: &SymbolFrame| {
        format!("{} {}", frame.function, frame.source.as_deref().unwrap_or("-"))
    };
    frames.iter().map(|frames| frames.iter().map(one).collect::<Vec<_>>().join(" < ")).collect()
}

/// The same from addr2line.
fn addr2line(path: &Path, vaddrs: &[u64]) -> Option<Vec<String>> {
    let mut command = Command::new("addr2line");
    command.args(["-a", "-f", "-i", "-e"]).arg(path);
    let text = run(command.args(vaddrs.iter().map(|vaddr| format!("{vaddr:#x}"))))?;
    let mut all: Vec<Vec<String>> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("0x") {
            all.push(Vec::new());
            continue;
        }
        let source = lines.next()?.split(" (discriminator").next()?;
        all.last_mut()?.push(format!("{line} {source}"));
    }
    Some(all.into_iter().map(|frames| frames.join(" < ")).collect())
}

fn code_of(path: &Path, names: &[&str]) -> Vec<u64> {
    let symbols = nm(path);
    let of = |name: &&str| symbols.iter().find(|symbol| symbol.0 == *name).cloned();
    names.iter().filter_map(of).flat_map(|(_, start, size)| start..start + size).collect()
}

#[test]
fn inlined_functions_are_those_of_addr2line() {
    let dir = c_programs();
    for (name, flags) in [
        ("plain", "-g -O2"),
        ("dwarf4", "-gdwarf-4 -O2 -no-pie"),
        ("zlib", "-g -O2 -gz=zlib"),
        ("zstd", "-g -O2"),
    ] {
        let script = format!("gcc {flags} program.c -o {name}");
        if shell(dir.path(), &script).is_none() {
            return;
        }
        let path = dir.path().join(name);
        let vaddrs = code_of(&path, &["outer", "exported", "main"]);
        let Some(theirs) = addr2line(&path, &vaddrs) else { return };
        if name == "zstd" {
            let script = format!("objcopy --compress-debug-sections=zstd {name}");
            if shell(dir.path(), &script).is_none() {
                return;
            }
        }
        let frames = frames(&path, &vaddrs);
        assert_eq!(texts(&frames), theirs, "{name}");
        assert!(
            theirs.iter().any(|text| text.starts_with("innermost ") && text.contains("< outer "))
        );
        for (frames, &vaddr) in frames.iter().zip(&vaddrs) {
            let (last, inner) = frames.split_last().unwrap();
            assert!(!last.inlined && inner.iter().all(|frame| frame.inlined));
            let start = nm(&path).iter().find(|s| s.0 == last.function).unwrap().1;
            assert_eq!(last.offset, Some(vaddr - start));
        }
    }
}

#[test]
fn debug_files_and_split_dwarf() {
    let dir = c_programs();
    let script = "gcc -g -O2 program.c -o plain
        objcopy --only-keep-debug plain linked.debug
        objcopy --strip-all plain linked
        objcopy --add-gnu-debuglink=linked.debug linked
        objcopy --strip-all plain by-id";
    if shell(dir.path(), script).is_none() {
        return;
    }
    let path = |name: &str| dir.path().join(name);
    let vaddrs = code_of(&path("plain"), &["outer", "exported", "main"]);
    let plain = frames(&path("plain"), &vaddrs);
    let same = |found: &[Vec<SymbolFrame>]| {
        let functions = |all: &[Vec<SymbolFrame>]| -> Vec<Vec<(String, u64, String)>> {
            let one = |frame: &SymbolFrame| {
                let source = frame.source.as_deref().unwrap_or("-");
                let file = source.rsplit('/').next().unwrap_or_default();
                (frame.function.clone(), frame.shown_offset(), file.to_owned())
            };
            all.iter().map(|frames| frames.iter().map(one).collect()).collect()
        };
        assert_eq!(functions(found), functions(&plain));
    };
    // Without the program's symbols, the names come from the debug file.
    same(&frames(&path("linked"), &vaddrs));

    // Split DWARF: .dwo files, then a package once they are gone. dwp of binutils 2.40 crashes on
    // DWARF 5.
    for version in [4, 5] {
        let script = format!(
            "mkdir split{version} && cd split{version}
            gcc -gsplit-dwarf -gdwarf-{version} -O2 ../program.c -o program"
        );
        if shell(dir.path(), &script).is_none() {
            return;
        }
        let program = path(&format!("split{version}/program"));
        let code = code_of(&program, &["outer", "exported", "main"]);
        same(&frames(&program, &code));
        let script = "dwp -e program && rm *.dwo && mkdir ../package && mv program* ../package";
        if version == 4 && shell(&path("split4"), script).is_some() {
            let program = path("package/program");
            same(&frames(&program, &code));
            fs::remove_file(path("package/program.dwp")).unwrap();
            // The program itself has the lines.
            let names = frames(&program, &code);
            assert!(names.iter().all(|f| f.len() == 1 && !f[0].function.is_empty()));
            assert!(names.iter().all(|f| f[0].source.is_some()));
        }
    }

    // Moves the common DWARF of two debug files to a third, as in Debian's -dbgsym packages.
    let script =
        "gcc -g -O2 -DX=1 program.c -o second && objcopy --only-keep-debug second second.debug
        cp linked.debug common1 && cp second.debug common2
        dwz -L none -l none -m common.debug -M $PWD/common.debug common1 common2
        readelf -SW common1 | grep gnu_debugaltlink
        objcopy --strip-all plain common && mv common1 common1.debug
        objcopy --add-gnu-debuglink=common1.debug common";
    if shell(dir.path(), script).is_some() {
        same(&frames(&path("common"), &vaddrs));
        fs::remove_file(path("common.debug")).unwrap();
        frames(&path("common"), &vaddrs);
    }

    // By build id, in the root directory in which the caller opens files.
    let id = vmatlas_linux::elf::read(File::open(path("by-id")).unwrap())
        .unwrap()
        .unwrap()
        .build_id()
        .unwrap();
    let debug =
        path("root").join(format!("usr/lib/debug/.build-id/{}/{}.debug", &id[..2], &id[2..]));
    fs::create_dir_all(debug.parent().unwrap()).unwrap();
    fs::copy(path("linked.debug"), &debug).unwrap();
    fs::copy(path("by-id"), path("root/program")).unwrap();
    let root = path("root");
    let open = Arc::new(move |path: &Path| {
        RegularFile::new(File::open(root.join(path.strip_prefix("/").unwrap()))?)
    });
    let elf = vmatlas_linux::elf::read(File::open(path("plain")).unwrap()).unwrap().unwrap();
    let places = |module| -> Vec<Place> {
        vaddrs.iter().map(|&v| Place::File { module, offset: offset(&elf, v) }).collect()
    };
    let mut symbolizer = Symbolizer::default();
    let mut module = with!(module_of(&path("plain")), path = b"/program".to_vec());
    let id = symbolizer.add_module_in(module.clone(), open.clone());
    same(&symbolizer.symbolize(&places(id)));
    assert_eq!(symbolizer.notes().count(), 0);
    // The program is gone: the debug file suffices if the recording has the segments.
    module.path = b"/gone".to_vec();
    let code = |s: &&vmatlas_linux::elf::Segment| {
        s.kind == SegmentType::LOAD && s.flags.contains(SegmentFlags::EXECUTE)
    };
    let segment = |s: &vmatlas_linux::elf::Segment| ModuleSegment {
        offset: s.offset,
        size: s.filesz,
        vaddr: s.vaddr,
    };
    let without = symbolizer.add_module_in(module.clone(), open.clone());
    module.segments = elf.segments().iter().filter(code).map(segment).collect();
    let with = symbolizer.add_module_in(module, open);
    same(&symbolizer.symbolize(&places(with)));
    let nameless = symbolizer.symbolize(&places(without));
    assert!(nameless.iter().all(|f| f.len() == 1 && f[0].function.is_empty()));
    assert_eq!(nameless[0][0].to_string(), format!("/gone+{:#x}", offset(&elf, vaddrs[0])));
    assert!(
        symbolizer
            .notes()
            .any(|(id, note)| id == with && matches!(note, ModuleNote::DebugFileOnly { .. }))
    );
}

#[test]
fn small_symbols_compressed_with_xz() {
    let dir = c_programs();
    // Made like find-debuginfo.sh of rpm does.
    let script = "gcc -O2 program.c -o program
        nm -D program --format=posix --defined-only | awk '{print $1}' | sort > dynsyms
        nm program --format=posix --defined-only | awk '$2 ~ /^[Tt]/ {print $1}' | sort > funcsyms
        comm -13 dynsyms funcsyms > keep
        objcopy --only-keep-debug program full
        objcopy -S --remove-section .gdb_index --remove-section .comment --keep-symbols=keep full mini
        cp program whole
        strip --strip-all -R .comment program
        xz --keep mini
        objcopy --add-section .gnu_debugdata=mini.xz program
        ! nm program 2>/dev/null | grep outer";
    if shell(dir.path(), script).is_none() {
        return;
    }
    let path = dir.path().join("program");
    let vaddrs = code_of(&dir.path().join("whole"), &["outer", "exported", "main"]);
    let symbols = nm(&dir.path().join("whole"));
    for (frames, vaddr) in frames(&path, &vaddrs).iter().zip(&vaddrs) {
        let of = |s: &&(String, u64, u64)| (s.1..s.1 + s.2).contains(vaddr);
        let (name, start, _) = symbols.iter().find(of).unwrap();
        assert_eq!((&frames[0].function, frames[0].offset), (name, Some(vaddr - start)));
        assert_eq!((frames.len(), &frames[0].source), (1, &None));
    }
    // Damage in it costs only names.
    let elf = vmatlas_linux::elf::read(File::open(&path).unwrap()).unwrap().unwrap();
    let section = elf.sections().iter().find(|s| s.name == ".gnu_debugdata").unwrap();
    let whole = fs::read(&path).unwrap();
    for n in 0..section.size {
        let mut bytes = whole.clone();
        bytes[(section.offset + n) as usize] ^= 1 << (n % 8);
        let elf = ElfFile::from_bytes(bytes).unwrap().unwrap();
        let _ = elf.symbol_at(Vaddr::new(vaddrs[0]));
    }
}

#[test]
fn rust_and_cpp_names() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("generic.rs"),
        "use std::fmt::Display;
        mod deep { pub struct Thing<T>(pub T); }
        impl<T: std::fmt::Display> deep::Thing<T> {
            #[inline(never)] fn show(&self) -> usize { length(&self.0) }
        }
        #[inline(always)] fn length<T: Display>(x: &T) -> usize { std::hint::black_box(x.to_string()).len() }
        fn main() { println!(\"{}\", deep::Thing(7_u16).show() + deep::Thing(\"x\").show()); }",
    )
    .unwrap();
    fs::write(
        dir.path().join("template.cpp"),
        "#include <cstdio>
        namespace outer { template <typename T, int N> struct Box {
            T n; __attribute__((noinline, noipa)) T get(T x) { return x * N + n; } }; }
        int main(int c, char **) { outer::Box<long, 3> box{c}; printf(\"%ld\", box.get(c)); }",
    )
    .unwrap();
    let rust = "rustc -g -O generic.rs -o rust && rustc -g -O -C symbol-mangling-version=v0 generic.rs -o v0 \
        && rustc -C debuginfo=line-tables-only -O generic.rs -o lines";
    if shell(dir.path(), rust).is_some() {
        for (program, expect) in [
            ("rust", "generic::<impl generic::deep::Thing<T>>::show"),
            ("v0", "<generic::deep::Thing<u16>>::show"),
            ("lines", "generic::<impl generic::deep::Thing<T>>::show"),
        ] {
            let path = dir.path().join(program);
            let symbol =
                nm(&path).into_iter().find(|s| s.0.contains("Thing") && s.0.contains("show"));
            let (_, start, size) = symbol.unwrap();
            let vaddrs: Vec<u64> = (start..start + size).collect();
            let frames = frames(&path, &vaddrs);
            let names: Vec<&str> = frames.iter().map(|f| &*f.last().unwrap().function).collect();
            let show = |name: &&str| name.ends_with("::show") && name.contains("Thing");
            assert!(names.iter().all(show), "{names:?}");
            assert!(names.contains(&expect) || program == "v0", "{names:?}");
            let inlined =
                |f: &Vec<SymbolFrame>| f.iter().any(|f| f.inlined && f.function.contains("length"));
            assert!(frames.iter().any(inlined), "{:?}", texts(&frames));
        }
    }
    if shell(dir.path(), "g++ -g -O2 template.cpp -o cpp").is_some() {
        let path = dir.path().join("cpp");
        let vaddrs = code_of(&path, &["_ZN5outer3BoxIlLi3EE3getEl"]);
        for frames in frames(&path, &vaddrs) {
            assert_eq!(frames[0].function, "outer::Box<long, 3>::get(long)");
            assert!(frames[0].source.as_ref().unwrap().ends_with("template.cpp:3"));
        }
        assert!(!vaddrs.is_empty());
    }
}

#[test]
fn go_programs_keep_their_table() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("main.go"),
        "package main\nimport (\"fmt\"; \"os\")\ntype T struct{ n int }\n//go:noinline\nfunc (t *T) Method(x int) int {\n\tif x > 3 {\n\t\tfmt.Println(x)\n\t}\n\treturn t.n * x\n}\n//go:noinline\nfunc plain(x int) int {\n\treturn x * len(os.Args)\n}\nfunc main() {\n\tt := &T{3}\n\tfmt.Println(t.Method(plain(4)))\n}\n",
    )
    .unwrap();
    let env = "export GO111MODULE=off GOPROXY=off GOFLAGS= GOCACHE=$PWD/cache HOME=$PWD";
    let script = format!(
        "{env}; go build -o whole main.go; go build -ldflags '-s -w' -o stripped main.go
         go build -buildmode=pie -ldflags '-s -w' -o pie main.go; go build -buildmode=pie -o whole-pie main.go"
    );
    if shell(dir.path(), &script).is_none() {
        return;
    }
    for (whole, stripped) in [("whole", "stripped"), ("whole-pie", "pie")] {
        let (whole, stripped) = (dir.path().join(whole), dir.path().join(stripped));
        let mut vaddrs = Vec::new();
        for (name, start, size) in nm(&whole) {
            if name.starts_with("main.") || name.starts_with("fmt.F") || name == "runtime.mallocgc"
            {
                vaddrs.extend(start..start + size);
            }
        }
        assert!(vaddrs.len() > 1000);
        let ours = frames(&stripped, &vaddrs);
        let symbols = nm(&whole);
        for (ours, vaddr) in ours.iter().zip(&vaddrs) {
            let of = |s: &&(String, u64, u64)| (s.1..s.1 + s.2).contains(vaddr);
            let (name, start, _) = symbols.iter().find(of).unwrap();
            assert_eq!((&ours[0].function, ours[0].offset), (name, Some(vaddr - start)));
            assert!(ours[0].source.as_ref().unwrap().contains(".go:"));
        }
        if whole.ends_with("whole-pie") {
            continue; // go tool addr2line does not know these
        }
        let input: String = vaddrs.iter().map(|vaddr| format!("{vaddr:#x}\n")).collect();
        fs::write(dir.path().join("addresses"), input).unwrap();
        let script = format!("{env}; go tool addr2line {} < addresses", whole.display());
        let Some(text) = shell(dir.path(), &script) else { return };
        let theirs: Vec<&str> = text.lines().collect();
        for ((theirs, ours), vaddr) in theirs.chunks(2).zip(&ours).zip(&vaddrs) {
            assert_eq!(ours[0].function, theirs[0], "{vaddr:#x}");
            assert_eq!(ours[0].source.as_deref(), Some(theirs[1]), "{vaddr:#x} {theirs:?}");
        }
        assert_eq!(theirs.len(), 2 * vaddrs.len());
    }
    // Damage in the table.
    let path = dir.path().join("stripped");
    let elf = vmatlas_linux::elf::read(File::open(&path).unwrap()).unwrap().unwrap();
    let section = elf.sections().iter().find(|s| s.name == ".gopclntab").unwrap().clone();
    let bytes = fs::read(&path).unwrap();
    let table = &bytes[section.offset as usize..][..section.size as usize];
    let vaddr = nm(&dir.path().join("whole")).iter().find(|s| s.0 == "main.main").unwrap().1;
    let mut table = table.to_vec();
    let mut seed = 7_u64;
    for n in 0..3000 {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let at = if n < 1024 { n / 8 } else { seed as usize % table.len() };
        let before = std::mem::replace(&mut table[at], (seed >> 32) as u8);
        if let Ok(header) = vmatlas_object::pclntab::Pclntab::parse(&table, 0x1000) {
            for vaddr in [vaddr, 0, u64::MAX, vaddr + 0x1000, seed] {
                let _ = header.find(&table, vaddr);
            }
        }
        table[at] = before;
    }
    for size in (0..200).chain([table.len() / 2]) {
        if let Ok(header) = vmatlas_object::pclntab::Pclntab::parse(&table[..size], 0) {
            let _ = header.find(&table[..size], vaddr);
        }
    }
}

#[test]
fn another_file_by_that_path_is_not_used() {
    let dir = c_programs();
    let script = "gcc -g -O2 program.c -o first && gcc -g -O1 program.c -o second
        gcc -O2 -Wl,--build-id=none program.c -o without && cp without copy";
    if shell(dir.path(), script).is_none() {
        return;
    }
    let path = |name: &str| dir.path().join(name);
    let recorded = module_of(&path("first"));
    let vaddr = code_of(&path("first"), &["main"])[0];
    let open = File::open(path("first")).unwrap();
    let id = |name: &str| {
        vmatlas_linux::elf::read(File::open(path(name)).unwrap())
            .unwrap()
            .unwrap()
            .build_id()
            .unwrap()
    };
    let (first, second) = (id("first"), id("second"));
    fs::rename(path("first"), path("kept")).unwrap();
    fs::rename(path("second"), path("first")).unwrap();

    let mut symbolizer = Symbolizer::default();
    let found = frames_in(&mut symbolizer, &path("kept"), recorded.clone(), &[vaddr]);
    assert_eq!(found[0][0].function, "");
    let notes: Vec<_> = symbolizer.notes().map(|(_, note)| note.to_string()).collect();
    let name = path("first").display().to_string();
    assert_eq!(
        notes,
        [format!("{name} is another file today (build id {second} instead of build id {first})")]
    );
    // The same file, still open.
    let module = symbolizer.add_module(recorded);
    symbolizer.give_file(module, RegularFile::new(open).unwrap());
    let again = symbolizer.module(module).unwrap().clone();
    let found = frames_in(&mut symbolizer, &path("kept"), again, &[vaddr]);
    assert_eq!(found[0].last().unwrap().function, "main");
    assert_eq!(symbolizer.notes().count(), 0);

    // Its name was removed.
    let deleted = with!(module_of(&path("kept")), path = format!("{name}2 (deleted)").into_bytes());
    let found = frames_in(&mut symbolizer, &path("kept"), deleted.clone(), &[vaddr]);
    assert_eq!(found[0][0].function, "");
    fs::copy(path("kept"), path("first2")).unwrap();
    let mut symbolizer = Symbolizer::default();
    let found = frames_in(&mut symbolizer, &path("kept"), deleted, &[vaddr]);
    assert_eq!(
        found[0].last().unwrap().function,
        "main",
        "{:?}",
        symbolizer.notes().collect::<Vec<_>>()
    );

    // Without a build id, by inode and size.
    let vaddr = code_of(&path("without"), &["main"])[0];
    let recorded = module_of(&path("without"));
    assert_eq!(frames(&path("without"), &[vaddr])[0][0].function, "main");
    fs::rename(path("copy"), path("without")).unwrap();
    let mut symbolizer = Symbolizer::default();
    let found = frames_in(&mut symbolizer, &path("without"), recorded.clone(), &[vaddr]);
    assert_eq!(found[0][0].function, "");
    let note = symbolizer.notes().next().unwrap().1.to_string();
    assert!(note.contains(&format!("instead of inode {} of device", recorded.inode)), "{note}");
    let again = module_of(&path("without"));
    let written = path("without").metadata().unwrap();
    let [written, changed] =
        [(written.mtime(), written.mtime_nsec()), (written.ctime(), written.ctime_nsec())]
            .map(|(seconds, rest)| seconds.cast_unsigned() * 1_000_000_000 + rest.cast_unsigned());
    assert!(written < changed, "the name was changed last");
    for (written_by_ns, function, doubt) in [
        (written - 1, "", Some("was written after the start of")),
        (written, "main", Some("its inode was changed after")),
        (changed, "main", None),
    ] {
        let module = with!(again.clone(), written_by_ns = Some(written_by_ns));
        let mut symbolizer = Symbolizer::default();
        let found = frames_in(&mut symbolizer, &path("without"), module, &[vaddr]);
        assert_eq!(found[0][0].function, function, "{written_by_ns}");
        let notes: Vec<String> = symbolizer.notes().map(|(_, note)| note.to_string()).collect();
        assert_eq!(notes.len(), usize::from(doubt.is_some()), "{notes:?}");
        assert!(doubt.is_none_or(|doubt| notes[0].contains(doubt)), "{notes:?}");
    }
    // A build id is better evidence.
    let built = with!(module_of(&path("kept")), written_by_ns = Some(1));
    let found = frames_in(&mut Symbolizer::default(), &path("kept"), built, &[vaddr]);
    assert_eq!(found[0].last().unwrap().function, "main");
    let unknown = with!(Module::default(), path = recorded.path);
    let found = frames_in(&mut symbolizer, &path("without"), unknown, &[vaddr]);
    assert_eq!(found[0][0].function, "main");
    assert!(symbolizer.notes().any(|(_, note)| matches!(note, ModuleNote::Unverified { .. })));
}

#[test]
fn the_vdso_has_names() {
    let maps = fs::read("/proc/self/maps").unwrap();
    if !vmatlas_maps::Maps::parse(&maps).unwrap().iter().any(|row| row.name == b"[vdso]") {
        return;
    }
    let mut symbolizer = Symbolizer::default();
    let module = symbolizer.add_module(with!(Module::default(), path = b"[vdso]".to_vec()));
    let places: Vec<Place> =
        (0..0x1800).step_by(16).map(|offset| Place::File { module, offset }).collect();
    let frames = symbolizer.symbolize(&places);
    assert!(frames.iter().any(|f| f[0].function.contains("clock_gettime")), "{:?}", texts(&frames));
}

#[test]
fn damaged_files_cost_names_only() {
    let dir = c_programs();
    if shell(dir.path(), "gcc -g -O2 program.c -o program && cp program seed").is_none() {
        return;
    }
    let path = dir.path().join("program");
    let seed = fs::read(&path).unwrap();
    let vaddrs = code_of(&path, &["outer", "main"]);
    let elf = vmatlas_linux::elf::read(File::open(&path).unwrap()).unwrap().unwrap();
    let places = |module| -> Vec<Place> {
        vaddrs.iter().step_by(9).map(|&v| Place::File { module, offset: offset(&elf, v) }).collect()
    };
    let file = File::options().write(true).open(&path).unwrap();
    let mut random = 9_u64;
    let mut named = 0;
    for n in 0..700 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut bytes = seed.clone();
        if n % 4 == 0 {
            bytes.truncate(random as usize % seed.len());
        } else {
            for k in 0..1 + n % 7 {
                let at = (random.rotate_left(k * 9) as usize) % bytes.len();
                bytes[at] = (random >> k) as u8;
            }
        }
        file.set_len(0).unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        let module = with!(Module::default(), path = path.as_os_str().as_encoded_bytes().to_vec());
        let mut symbolizer = Symbolizer::default();
        let id = symbolizer.add_module(module);
        let frames = symbolizer.symbolize(&places(id));
        assert!(frames.iter().all(|frames| !frames.is_empty()));
        named += usize::from(frames.iter().any(|frames| !frames[0].function.is_empty()));
        let panicked =
            symbolizer.notes().any(|(_, note)| matches!(note, ModuleNote::TimedOut { .. }));
        assert!(!panicked, "{n}");
    }
    assert!(named > 200, "{named}");
}

/// DWARF that would overflow the stack or exhaust memory.
#[test]
fn functions_without_end() {
    let dir = tempfile::tempdir().unwrap();
    let program = |name: &str, entries: &str| -> Option<PathBuf> {
        let source = format!(
            ".text\n.globl _start\n_start: .fill 64, 1, 0x90\nend:\n
            .section .debug_abbrev\n
            .uleb128 1, 0x11\n.byte 1\n.uleb128 0x11, 1, 0x12, 7, 0, 0\n
            .uleb128 2, 0x2e\n.byte 1\n.uleb128 3, 8, 0x11, 1, 0x12, 7, 0, 0\n
            .uleb128 3, 0x1d\n.byte 1\n.uleb128 0, 0\n
            .uleb128 4, 0x1d\n.byte 0\n.uleb128 0x55, 0x17, 0, 0\n
            .byte 0\n
            .section .debug_ranges\n
            list: .rept 20000\n.quad 1, 2\n.endr\n.quad 0, 0\n
            .section .debug_info\n
            .long unit_end - unit\nunit: .short 4\n.long .debug_abbrev\n.byte 8\n
            .uleb128 1\n.quad _start\n.quad end - _start\n
            .uleb128 2\n.asciz \"function\"\n.quad _start\n.quad end - _start\n
            {entries}\n.byte 0, 0\nunit_end:\n"
        );
        fs::write(dir.path().join("program.s"), source).unwrap();
        let script = format!("as program.s -o program.o && ld program.o -o {name}");
        shell(dir.path(), &script)?;
        Some(dir.path().join(name))
    };
    let depth = |n: u32| format!(".rept {n}\n.uleb128 3\n.endr\n.rept {n}\n.byte 0\n.endr");
    for (name, entries, expect) in [
        ("shallow", depth(200), None),
        ("deep", depth(300_000), Some("its functions nest too deep")),
        (
            "wide",
            ".rept 20000\n.uleb128 4\n.long list\n.endr".to_owned(),
            Some("its functions have too many ranges"),
        ),
    ] {
        let Some(path) = program(name, &entries) else { return };
        let started = thread_cpu();
        let elf = vmatlas_linux::elf::read(File::open(&path).unwrap()).unwrap().unwrap();
        let found = elf.frames_at(Vaddr::new(elf.entry().get() + 8));
        match expect {
            None => assert_eq!(found.unwrap()[0].name.as_deref(), Some(&b"function"[..])),
            Some(why) => {
                assert!(found.as_ref().unwrap_err().to_string().contains(why), "{found:?}");
            }
        }
        // Without the limits this would take hours; an emulated processor takes a minute.
        assert!(thread_cpu() - started < Duration::from_secs(300));
        // Its symbols are still found.
        let slow = Duration::from_secs(1000);
        let options = with!(SymbolOptions::default(), time_limit = slow);
        let symbolizer = &mut Symbolizer::new(options);
        let found = frames_in(symbolizer, &path, module_of(&path), &[elf.entry().get() + 8]);
        assert_eq!(found[0].last().unwrap().offset, Some(8), "{name}: {found:?}");
    }
}

#[test]
fn file_systems_that_hang() {
    let dir = c_programs();
    if shell(dir.path(), "gcc -g -O2 program.c -o program").is_none() {
        return;
    }
    let path = dir.path().join("program");
    let vaddr = code_of(&path, &["main"])[0];
    let options = with!(SymbolOptions::default(), time_limit = Duration::from_millis(300));
    let mut symbolizer = Symbolizer::new(options);
    let hangs = symbolizer.add_module_in(
        with!(Module::default(), path = b"/hangs".to_vec()),
        Arc::new(|_: &Path| -> std::io::Result<RegularFile> {
            std::thread::sleep(Duration::from_secs(600));
            Err(std::io::ErrorKind::NotFound.into())
        }),
    );
    let good = symbolizer.add_module(module_of(&path));
    let elf = vmatlas_linux::elf::read(File::open(&path).unwrap()).unwrap().unwrap();
    let places = [
        Place::File { module: hangs, offset: 1 },
        Place::File { module: good, offset: offset(&elf, vaddr) },
    ];
    for _ in 0..2 {
        let started = Instant::now();
        let frames = symbolizer.symbolize(&places);
        assert!(started.elapsed() < Duration::from_secs(500));
        assert_eq!(frames[0][0].to_string(), "/hangs+0x1");
        assert_eq!(frames[1].last().unwrap().function, "main");
    }
    let notes: Vec<_> = symbolizer.notes().map(|(_, note)| note.to_string()).collect();
    assert_eq!(notes, ["/hangs took too long to read: its names are left out"]);
}

/// Files that do not fit into the budget together are read one after another; one that does not fit
/// at all is named.
#[test]
fn files_share_a_budget() {
    let dir = c_programs();
    let script = "gcc -g -O2 program.c -o program && cp program other && cp program third";
    if shell(dir.path(), script).is_none() {
        return;
    }
    let paths = ["program", "other", "third"].map(|name| dir.path().join(name));
    let elf = vmatlas_linux::elf::read(File::open(&paths[0]).unwrap()).unwrap().unwrap();
    let offset = offset(&elf, code_of(&paths[0], &["main"])[0]);
    let of = |budget: &Budget, paths: &[PathBuf]| {
        let options = with!(SymbolOptions::default(), budget = budget.clone());
        let mut symbolizer = Symbolizer::new(options);
        let modules = paths.iter().map(|path| symbolizer.add_module(module_of(path)));
        let places = modules.collect::<Vec<_>>().into_iter();
        let places: Vec<_> = places.map(|module| Place::File { module, offset }).collect();
        (symbolizer, places)
    };
    let budget = Budget::default();
    let (mut alone, places) = of(&budget, &paths[..1]);
    alone.symbolize(&places);
    let needed = Budget::DEFAULT_BYTES - budget.left();
    assert!(needed > 1000, "{needed}");
    drop(alone);

    let (mut symbolizer, places) = of(&Budget::new(needed + needed / 2), &paths);
    for round in 0..3 {
        let found = symbolizer.symbolize(&places);
        let notes: Vec<_> = symbolizer.notes().map(|(_, note)| note.to_string()).collect();
        assert_eq!(notes, [""; 0], "round {round}");
        for frames in found {
            assert_eq!(frames.last().unwrap().function, "main", "round {round}");
        }
        if round == 1 {
            // Those that were dropped are not closed.
            paths.iter().for_each(|path| fs::remove_file(path).unwrap());
            std::fs::write(&paths[0], "").unwrap();
        }
    }

    shell(dir.path(), script);
    let (mut symbolizer, places) = of(&Budget::new(needed / 2), &paths);
    symbolizer.symbolize(&places);
    let notes: Vec<_> = symbolizer.notes().map(|(_, note)| note.to_string()).collect();
    assert_eq!(notes.len(), 3, "{notes:?}");
    assert!(notes.iter().all(|note| note.contains("bytes of memory")), "{notes:?}");
}

#[test]
fn debuginfod_finds_programs_and_debug_info() {
    let dir = c_programs();
    let script = "gcc -g -O2 program.c -o plain && objcopy --only-keep-debug plain cached.debug
        objcopy --strip-all plain program && mkdir sub && mv plain sub/";
    if shell(dir.path(), script).is_none() {
        return;
    }
    let program = |name: &str, script: String| -> PathBuf {
        let (path, written) = (dir.path().join(name), dir.path().join(format!("{name}.new")));
        fs::write(&written, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&written, fs::Permissions::from_mode(0o755)).unwrap();
        copy_program(written, &path);
        path
    };
    let elf =
        vmatlas_linux::elf::read(File::open(dir.path().join("program")).unwrap()).unwrap().unwrap();
    let id = elf.build_id().unwrap();
    let base = dir.path().display();
    let finds = program(
        "finds",
        format!(
            "[ \"$2\" = {id} ] || exit 1
             case $1 in debuginfo) echo {base}/cached.debug;; executable) echo {base}/program;; esac"
        ),
    );
    let vaddrs = code_of(&dir.path().join("sub/plain"), &["outer"]);
    let expect = frames(&dir.path().join("sub/plain"), &vaddrs);
    let with = |program: PathBuf, module: Module| {
        let mut symbolizer = Symbolizer::new(with!(
            SymbolOptions::default(),
            debuginfod = Some(program),
            debuginfod_limit = Duration::from_millis(500)
        ));
        let frames = frames_in(&mut symbolizer, &dir.path().join("sub/plain"), module, &vaddrs);
        let notes: Vec<_> = symbolizer.notes().map(|(_, note)| note.to_string()).collect();
        (texts(&frames), notes)
    };
    let path = dir.path().join("program");
    assert_eq!(with(finds.clone(), module_of(&path)), (texts(&expect), Vec::new()));
    // The program itself is gone too.
    let gone = with!(module_of(&path), path = b"/gone".to_vec());
    assert_eq!(with(finds, gone).0, texts(&expect));
    for (script, why) in [
        ("exit 1", "found nothing"),
        ("exec sleep 600", "no answer in 500ms"),
        ("echo /dev/zero", "not a regular file"),
    ] {
        let started = Instant::now();
        let (frames, notes) = with(program("fails", script.to_owned()), module_of(&path));
        assert!(frames.iter().all(|frame| !frame.contains("innermost")));
        assert!(notes.iter().any(|note| note.contains(why)), "{notes:?}");
        assert!(started.elapsed() < Duration::from_secs(500));
    }
    let (_, notes) = with("/no/such/program".into(), module_of(&path));
    assert!(notes[0].contains("No such file"), "{notes:?}");
}

/// Runs a program that names its code, until its map contains `sign`.
fn perf_map(
    command: &mut Command,
    sign: &str,
    prompt: impl Fn(u32),
) -> Option<(JitMap, u32, String)> {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: {command:?}: {error}");
            return None;
        }
        Err(error) => panic!("{command:?}: {error}"),
    };
    let pid = child.id();
    let path = format!("/tmp/perf-{pid}.map");
    let end = Instant::now() + Duration::from_secs(300);
    let mut text = String::new();
    while Instant::now() < end && !text.contains(sign) {
        std::thread::sleep(Duration::from_millis(300));
        prompt(pid);
        text =
            fs::read(&path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
    }
    let process = Process::open(Path::new("/proc"), ProcessId { pid, tid: None }).unwrap();
    let (map, notes) = read_jit(&process, &Budget::default());
    // The map is the process's, whichever of its threads is asked.
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let threads = threads.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    if let Some(tid) = threads.filter(|tid| *tid != pid).last() {
        let id = ProcessId { pid, tid: Some(tid) };
        let of_thread = Process::open(Path::new("/proc"), id)
            .map(|thread| read_jit(&thread, &Budget::default()).0);
        assert!(of_thread.is_ok_and(|map| !map.ranges().is_empty()), "thread {tid}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let _ = fs::remove_file(&path);
    let damage: Vec<_> = notes.iter().map(ToString::to_string).collect();
    assert!(damage.len() < 2, "{damage:?}"); // a last line that is being written
    assert!(text.contains(sign), "no {sign} in {} bytes of {path}", text.len());
    Some((map, pid, text))
}

fn check_perf_map((map, pid, text): (JitMap, u32, String), sign: &str) {
    // The last of the entries that contain an address.
    let hex = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).unwrap();
    let rows: Vec<(u64, u64, &str)> = text
        .lines()
        .filter_map(|line| {
            line.split_once(' ')?.1.split_once(' ').map(|(size, name)| (line, size, name))
        })
        .map(|(line, size, name)| (hex(line.split(' ').next().unwrap()), hex(size), name))
        .collect();
    let (start, size, _) =
        *rows.iter().rev().find(|row| row.2.contains(sign) && row.1 > 0).unwrap();
    let address = start + size - 1;
    let expect = rows.iter().rev().find(|row| (row.0..row.0 + row.1).contains(&address)).unwrap();
    let mut symbolizer = Symbolizer::default();
    symbolizer.add_jit(pid, map);
    let frames =
        symbolizer.symbolize(&[Place::Jit { pid, address }, Place::Jit { pid, address: 1 }]);
    assert_eq!(
        (&*frames[0][0].function, frames[0][0].offset),
        (expect.2.trim(), Some(address - expect.0))
    );
    assert_eq!(frames[1][0].to_string(), "[jit]+0x1");
}

#[test]
fn node_names_its_code() {
    let script = "function shownInPerfMap(n) { let s = 0; for (let i = 0; i < n; i++) s += i % 7; return s; }
        for (let i = 0; i < 3000; i++) shownInPerfMap(1000); setTimeout(() => {}, 100000);";
    let mut node = Command::new("node");
    node.args(["--perf-basic-prof", "-e", script]).current_dir(std::env::temp_dir());
    if let Some(found) = perf_map(&mut node, "shownInPerfMap", |_| {}) {
        check_perf_map(found, "shownInPerfMap");
    }
}

#[test]
fn java_names_its_code() {
    let dir = tempfile::tempdir().unwrap();
    let source = "public class Hot { static long shownInPerfMap(int n) { long s = 0; for (int i = 0; i < n; i++) s += i % 7; return s; }
        public static void main(String[] a) throws Exception { long t = 0; for (int i = 0; i < 60000; i++) t += shownInPerfMap(1000);
        System.out.println(t); Thread.sleep(100000); } }";
    fs::write(dir.path().join("Hot.java"), source).unwrap();
    if run(Command::new("javac").current_dir(dir.path()).arg("Hot.java")).is_none() {
        return;
    }
    let mut java = Command::new("java");
    java.current_dir(dir.path()).args(["-XX:+PreserveFramePointer", "Hot"]);
    let prompt = |pid: u32| {
        let _ = Command::new("jcmd").args([&pid.to_string(), "Compiler.perfmap"]).output();
    };
    if let Some(found) = perf_map(&mut java, "shownInPerfMap", prompt) {
        check_perf_map(found, "shownInPerfMap");
    }
}

/// Runs a script in new namespaces, and returns the result of `read_jit` for its last process.
fn jit_of(script: &str, wrap: &[&str]) -> Option<(JitMap, Vec<String>)> {
    let (program, arguments) = wrap.split_first()?;
    let mut child = Command::new(program)
        .args(arguments)
        .args(["-c", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    let mut pid = child.id();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    if let Some(inner) = children.split_whitespace().next() {
        pid = inner.parse().unwrap();
    }
    let found = (line == "ready\n").then(|| {
        let process = Process::open(Path::new("/proc"), ProcessId { pid, tid: None }).unwrap();
        let (map, notes) = read_jit(&process, &Budget::default());
        (map, notes.iter().map(ToString::to_string).collect())
    });
    drop(child.stdin.take());
    child.wait().unwrap();
    if found.is_none() {
        eprintln!("skipped: {wrap:?} does not work here");
    }
    found
}

#[test]
fn perf_maps_are_those_of_the_process_itself() {
    // The process is pid 1 in its namespace and has its own /tmp.
    let script = "mount -t tmpfs none /tmp && echo '1000 10 inside' > /tmp/perf-$$.map && echo ready && read x";
    let wrap = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount", "sh"];
    let Some((map, notes)) = jit_of(script, &wrap) else { return };
    assert_eq!(map.find(0x1005).unwrap().name, "inside");
    assert_eq!(notes, Vec::<String>::new());
    // A file of another user is rejected.
    let script = "mount -t tmpfs none /tmp && echo '1000 10 x' > /tmp/perf-$$.map
        chown 12345 /tmp/perf-$$.map && echo ready && read x";
    let wrap = ["unshare", "--pid", "--fork", "--mount", "sh"];
    let Some((map, notes)) = jit_of(script, &wrap) else { return };
    assert!(map.is_empty());
    assert_eq!(notes, ["/tmp/perf-1.map: it is not read: the process did not write it"]);
    // One of an earlier process with the same pid is rejected.
    let script = "mount -t tmpfs none /tmp && echo '1000 10 x' > /tmp/perf-$$.map
        touch -d '-1 hour' /tmp/perf-$$.map && echo ready && read x";
    let Some((map, notes)) = jit_of(script, &wrap) else { return };
    assert!(map.is_empty());
    assert_eq!(notes, ["/tmp/perf-1.map: it is not read: it is older than the process"]);
}

/// A process gets nothing read through its perf map that it may not read itself.
#[test]
fn perf_maps_lead_to_no_other_files() {
    if !root() {
        return skipped("root");
    }
    // Not in /tmp, which the process covers.
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let secret = dir.path().join("secret");
    fs::write(&secret, "1000 10 secret\n").unwrap();
    let secret = secret.display().to_string();
    let check = |make: &str, mode: u32, read: bool| {
        fs::set_permissions(&secret, fs::Permissions::from_mode(mode)).unwrap();
        let make = make.replace("SECRET", &secret);
        let script = format!(
            "mount -t tmpfs none /tmp && map=/tmp/perf-$$.map && {make} && echo ready && read x"
        );
        let user = ["setpriv", "--reuid=1500", "--regid=1500", "--clear-groups"];
        let wrap = [&user[..], &["unshare", "--user", "--map-root-user", "--mount", "sh"]].concat();
        let Some((map, notes)) = jit_of(&script, &wrap) else { return };
        let refused = "it is not read: the process did not write it";
        assert_eq!(map.find(0x1005).map(|code| code.name), read.then_some("secret"), "{make}");
        assert_eq!(notes.iter().any(|note| note.ends_with(refused)), !read, "{make}: {notes:?}");
    };
    check("echo '1000 10 secret' > $map", 0o600, true);
    for mode in [0o600, 0o644] {
        check("ln -s SECRET $map", mode, false);
        check("touch $map && mount --bind SECRET $map", mode, false);
    }
    check("touch $map && ln $map /tmp/other", 0o600, false);
    check("mkdir /tmp/d && echo x > /tmp/d/x && ln -s d/x $map", 0o600, false);
    for special in ["/proc/kmsg", "/proc/self/status", "/sys/kernel/notes", "/dev/zero"] {
        check(&format!("touch $map && mount --bind {special} $map"), 0o600, false);
        check(&format!("ln -s {special} $map"), 0o600, false);
    }
    check("mkfifo $map", 0o600, false);
    check("mkdir $map", 0o600, false);
}

#[test]
fn jitdumps_are_those_that_are_mapped() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "import mmap, os, struct, sys
path = '{}/jit-%d.dump' % os.getpid()
name = b'made\\0'
load = struct.pack('<IIQQQQ', 1, 1, 0x5000, 0x5000, 4, 0) + name + b'code'
f = open(path, 'w+b')
f.write(struct.pack('<IIIIIIQQ', 0x4a695444, 1, 40, 62, 0, os.getpid(), 0, 0))
f.write(struct.pack('<IIQ', 0, 16 + len(load), 1) + load)
f.write(struct.pack('<II', 0, 99))
f.flush()
m = mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)
print('ready', flush=True)
sys.stdin.read()",
        dir.path().display()
    );
    let Some((map, notes)) = jit_of(&script, &["python3"]) else { return };
    let code = map.find(0x5003).unwrap();
    assert_eq!((code.name, code.offset), ("made", 3));
    assert_eq!(notes.len(), 1);
    assert!(
        notes[0].ends_with(".dump: the jitdump ends in the middle of a record (byte 0x69)"),
        "{notes:?}"
    );
}

#[test]
fn hints_name_what_the_runtime_needs() {
    let frame = |function: &str, module: &str| SymbolFrame {
        function: function.to_owned(),
        offset: Some(1),
        module: module.to_owned(),
        ..SymbolFrame::default()
    };
    let jit = frame("", "[jit]");
    assert!(
        hint("/usr/bin/java", std::slice::from_ref(&jit)).unwrap().contains("Compiler.perfmap")
    );
    assert!(hint("java", &[frame("JavaMain", "libjli.so")]).is_none());
    let eval = |module| frame("_PyEval_EvalFrameDefault", module);
    let old = hint("python3", &[eval("/usr/lib/libpython3.11.so.1.0")]).unwrap();
    assert!(old.contains("this one is older"), "{old}");
    assert!(!hint("python3.12", &[eval("/usr/bin/python3.12")]).unwrap().contains("older"));
    assert!(hint("python3", &[frame("main", "/usr/bin/python3.12")]).is_none());
    assert!(hint("cat", &[jit]).is_none());
}
