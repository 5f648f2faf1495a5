//! Programs that note their return addresses, and walks of their stacks.

use crate::elf::code_file;
use crate::file_server::Handle;
use crate::record::sink::Registers;
use crate::record::unwind::{Backing, Frame, How, Images, Modules, TaskMemory, Unwinder};
use crate::regular_file::RegularFile;
use crate::sys::test_stop::Stopped;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;
use vmatlas_maps::{AddressRange, Maps};
use vmatlas_object::unwind::End;
use vmatlas_recording::Tid;

/// Compiles testdata/programs/deep.c with these arguments.
pub(super) fn compile(dir: &TempDir, name: &str, flags: &[&str]) -> PathBuf {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/programs/deep.c");
    let path = dir.path().join(name);
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-pthread", source, "-o"]).arg(&path).args(flags);
    // The linker warns about dlopen in static programs.
    cc.stderr(Stdio::null());
    assert!(cc.status().expect("needs a C compiler").success(), "{flags:?}");
    path
}

/// A process that is killed on drop.
pub(super) struct Target {
    child: Child,
    pub(super) input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// The noted frames, innermost first: an address, and whether it was interrupted there.
    pub(super) notes: Vec<(u64, bool)>,
    pub(super) tid: Tid,
}

impl Target {
    pub(super) fn start(command: &mut Command) -> Target {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut target = Target { child, input, output, notes: Vec::new(), tid: Tid::NONE };
        target.read_notes();
        target
    }

    fn read_notes(&mut self) {
        self.notes.clear();
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the process has ended");
            let (what, value) = line.trim_end().split_once(' ').unwrap();
            if what == "ready" {
                self.tid = Tid::new(value.parse().unwrap());
                break;
            }
            let address = u64::from_str_radix(value, 16).unwrap();
            self.notes.push((address, what == "interrupted"));
        }
        // The thread is about to wait.
        let wchan = format!("/proc/{0}/task/{1}/syscall", self.pid(), self.tid);
        for _ in 0..5000 {
            let syscall = std::fs::read_to_string(&wchan).unwrap_or_default();
            if syscall.starts_with("0 0x0 ") {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        panic!("it does not wait: {}", std::fs::read_to_string(&wchan).unwrap());
    }

    /// Lets it run to its next wait.
    pub(super) fn go_on(&mut self) {
        self.input.write_all(b"\n").unwrap();
        self.read_notes();
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Walks its stack.
    pub(super) fn walk(&self, modules: &Modules) -> (Vec<Frame>, End) {
        walk(self.tid, modules)
    }

    /// Fails unless the walk has every noted frame and reached the root.
    pub(super) fn check(&self, frames: &[Frame], end: End) {
        assert_eq!(end, End::Root, "{}", show(frames));
        self.check_noted(frames);
    }

    /// Fails unless the walk has every noted frame, in order.
    pub(super) fn check_noted(&self, frames: &[Frame]) {
        assert!(self.notes.len() > 2, "{:x?}", self.notes);
        let expected: Vec<u64> =
            self.notes.iter().map(|&(address, exact)| address - u64::from(!exact)).collect();
        let first = frames.iter().position(|frame| frame.pc == expected[0]);
        let first = first.unwrap_or_else(|| panic!("{:x?}\n{}", self.notes, show(frames)));
        assert!(first < 5, "{}", show(frames));
        let found: Vec<u64> =
            frames[first..].iter().map(|frame| frame.pc).take(expected.len()).collect();
        assert_eq!(found, expected, "{:x?}\n{}", self.notes, show(frames));
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn walk(tid: Tid, modules: &Modules) -> (Vec<Frame>, End) {
    let stopped = Stopped::new(tid);
    walk_with(tid, modules, &stopped.registers(), &mut Unwinder::default())
}

pub(super) fn walk_with(
    tid: Tid,
    modules: &Modules,
    registers: &Registers,
    unwinder: &mut Unwinder,
) -> (Vec<Frame>, End) {
    let mut frames = Vec::new();
    let end = unwinder.walk(modules, registers, TaskMemory::default().of(memory(tid)), &mut frames);
    // Walks again with cached rules.
    let mut again = Vec::new();
    let mut again_memory = TaskMemory::default();
    let live = again_memory.of(memory(tid));
    assert_eq!(unwinder.walk(modules, registers, live, &mut again), end);
    assert_eq!(again, frames);
    assert_eq!(frames[0].how, How::Registers);
    (frames, end)
}

/// The memory of a task; `None` if it is gone.
pub(super) fn memory(tid: Tid) -> Option<Handle> {
    let file = std::fs::File::open(format!("/proc/{tid}/mem")).ok()?;
    Some(Handle::from(OwnedFd::from(file)))
}

/// The executable mappings in maps now.
pub(super) fn modules(pid: u32, images: &mut Images) -> Modules {
    let mut modules = Modules::default();
    for row in rows(pid) {
        map(&mut modules, images, pid, &row);
    }
    modules
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) range: AddressRange,
    pub(super) offset: u64,
    pub(super) executable: bool,
    pub(super) backing: Option<Arc<Backing>>,
}

pub(super) fn rows(pid: u32) -> Vec<Row> {
    let text = std::fs::read(format!("/proc/{pid}/maps")).unwrap();
    let maps = Maps::parse(&text).unwrap();
    let rows = maps.iter().map(|row| {
        let name = row.name.to_vec().into_boxed_slice();
        let file = row.inode != 0 || *name == *b"[vdso]";
        Row {
            range: row.range,
            offset: row.offset,
            executable: row.perms.execute(),
            backing: file.then(|| Arc::new(Backing { device: row.device, inode: row.inode, name })),
        }
    });
    rows.collect()
}

pub(super) fn map(modules: &mut Modules, images: &mut Images, pid: u32, row: &Row) {
    let Row { range, offset, executable, backing } = row;
    match backing {
        Some(backing) if *backing.name == *b"[vdso]" => {
            let mut file = File::open(format!("/proc/{pid}/mem")).unwrap();
            let mut bytes = vec![0; range.size() as usize];
            file.seek(SeekFrom::Start(range.start)).unwrap();
            file.read_exact(&mut bytes).unwrap();
            modules.map_bytes(images, *range, backing, &bytes);
        }
        Some(backing) => modules.map_file(images, *range, *offset, backing, *executable, || {
            let path = Path::new(std::str::from_utf8(&backing.name).unwrap());
            Some(code_file(RegularFile::new(File::open(path).ok()?).ok()?))
        }),
        None => modules.map_anonymous(*range, *executable),
    }
}

pub(super) fn show(frames: &[Frame]) -> String {
    frames
        .iter()
        .map(|frame| format!("{:16x} {:?} {:x?}\n", frame.pc, frame.how, frame.place))
        .collect()
}
