//! Checks an atlas of each source and its capabilities.

use crate::program::Program;
use std::io::Write as _;
use vmatlas::{Atlas, By, ErrorKind, Needs, Note, Open, SourceKind, diff, open};

const ROW: &str = "55d0c000-55d0d000 r-xp 00001000 fe:00 42       /usr/bin/cat\n";

fn text(text: &str) -> (tempfile::NamedTempFile, vmatlas::Result<Atlas>) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let atlas = open(file.path());
    (file, atlas)
}

/// Waits longer for names than a slow machine takes.
fn patient(pid: &str) -> Open {
    let mut limits = vmatlas::Limits::default();
    limits.cpu = Some(std::time::Duration::from_secs(1000));
    Open::new(pid).limits(limits)
}

#[test]
fn an_atlas_can_be_read_by_several_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Atlas>();
    shared::<vmatlas::Error>();
    let program = Program::start();
    let atlas = patient(&program.pid).open().unwrap();
    let address = u64::from_str_radix(&program.function, 16).unwrap();
    let symbol = || atlas.at(address).symbol().map(|symbol| symbol.name());
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(symbol)).collect();
        all.into_iter().for_each(|one| assert_eq!(one.join().unwrap().as_deref(), Some("qsort")));
    });
}

/// A shell that does the rest of its script when it is sent a line.
fn shell(script: &str) -> std::process::Child {
    use std::process::{Command, Stdio};
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("echo ready; read line; {script}")]);
    let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
    child
}

/// What is read of a process is of the address space of its rows, or is left out.
#[test]
fn nothing_is_read_of_another_program() {
    // The note, and whether there are facts of threads and files.
    let read_after = |pid: u32, change: &mut dyn FnMut()| {
        let atlas = Open::new(pid).deep(true).open().unwrap();
        change();
        assert_eq!(atlas.comm(), b"sh");
        let has_facts = !atlas.threads().is_empty();
        assert!(atlas.images().len() > 0 || !has_facts);
        assert!(atlas.rows().any(|row| row.mapping().name.ends_with(b"sh")));
        let is_note = |note: Note| matches!(note, Note::Gone);
        (atlas.notes().any(is_note), has_facts)
    };
    let mut child = shell("exec sleep 1000");
    let pid = child.id();
    assert_eq!(read_after(pid, &mut || ()), (false, true));
    let mut input = child.stdin.take().unwrap();
    let exec = &mut || {
        input.write_all(b"\n").unwrap();
        while std::fs::read(format!("/proc/{pid}/comm")).unwrap() != b"sleep\n" {
            std::thread::yield_now();
        }
    };
    assert_eq!(read_after(pid, exec), (true, false), "another program");
    child.kill().unwrap();
    child.wait().unwrap();

    let mut child = shell("exit");
    let pid = child.id();
    let end = &mut || {
        child.kill().unwrap();
        child.wait().unwrap();
    };
    assert_eq!(read_after(pid, end), (true, false), "it has ended");

    // Another process gets its pid, if we are root and no other process takes it first.
    let mut child = shell("exit");
    let pid = child.id();
    let mut next: Option<std::process::Child> = None;
    let reuse = &mut || {
        child.kill().unwrap();
        child.wait().unwrap();
        for _ in 0..100 {
            let last = (pid - 1).to_string();
            if std::fs::write("/proc/sys/kernel/ns_last_pid", last).is_err() {
                return;
            }
            let mut other = shell("exit");
            if other.id() == pid {
                next = Some(other);
                return;
            }
            other.kill().unwrap();
            other.wait().unwrap();
        }
    };
    assert_eq!(read_after(pid, reuse), (true, false), "its pid is another's");
    if let Some(mut next) = next {
        next.kill().unwrap();
        next.wait().unwrap();
    }
}

/// A process that changes its mount namespace after its rows were read, so that another file has the
/// name of a mapped one: files are known by device and inode, so the row is of the old file.
#[test]
fn a_process_that_changes_its_mounts_keeps_its_files() {
    const SCRIPT: &str = "
import ctypes, mmap, sys
path = sys.argv[1] + '/mapped'
file = open(path, 'r+b')
held = mmap.mmap(file.fileno(), 0)
print('ready', flush=True)
sys.stdin.readline()
libc = ctypes.CDLL(None)
CLONE_NEWNS, MS_REC_PRIVATE = 0x20000, 0x44000
if libc.unshare(CLONE_NEWNS) == 0:
    libc.mount(b'none', b'/', None, MS_REC_PRIVATE, None)
    libc.mount(b'none', sys.argv[1].encode(), b'tmpfs', 0, None)
    open(path, 'w').write('another file')
print('gone' if libc.unshare(0) == 0 else '', flush=True)
sys.stdin.readline()
";
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mapped");
    std::fs::write(&path, [1; 4096]).unwrap();
    let mut python = Command::new("python3");
    python.args(["-c", SCRIPT]).arg(directory.path());
    let mut child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    let atlas = patient(&child.id().to_string()).open().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    lines.next().unwrap().unwrap();
    let name = path.to_str().unwrap().as_bytes();
    let row = atlas.rows().find(|row| row.mapping().name == name).unwrap();
    let now = row.truth().unwrap().now;
    assert!(matches!(now, vmatlas::files::Now::Same | vmatlas::files::Now::Unknown), "{now:?}");
    assert_ne!(row.is_deleted(), Some(true));
    drop(child.stdin.take());
    child.wait().unwrap();
}

#[test]
fn a_live_process_gives_all_but_origins() {
    let program = Program::start();
    let atlas = Open::new(&*program.pid).needs(Needs::SIZES).open().unwrap();
    assert_eq!(atlas.source(), SourceKind::Live);
    assert_eq!(atlas.comm(), b"grows");
    assert!(atlas.rows().any(|row| row.rss().unwrap() >= row.uss().unwrap()));
    assert!(atlas.images().any(|image| image.name() == "libc.so.6"));
    assert_eq!(atlas.threads().len(), 1);
    assert!(atlas.recorded().is_none() && atlas.blame(vmatlas::BlameBy::Stack).is_err());
    // The bytes of the page that the program mapped are zero.
    let page = u64::from_str_radix(&program.memory, 16).unwrap();
    let mut bytes = [1; 8];
    assert_eq!(atlas.memory().unwrap().unwrap().read(page, &mut bytes), 8);
    assert_eq!(bytes, [0; 8]);
}

#[test]
fn many_addresses_are_answered_as_each_alone() {
    let program = Program::start();
    let atlas = patient(&program.pid).open().unwrap();
    let code = atlas.rows().filter(|row| row.perms.execute());
    let addresses: Vec<u64> = code
        .flat_map(|row| (0..8).map(move |part| row.range.start + row.range.size() / 8 * part))
        .collect();
    let all = atlas.at_all(&addresses);
    assert!(all.iter().filter(|place| place.symbol().is_some()).count() > 8);
    for (together, &address) in all.iter().zip(&addresses) {
        assert_eq!(together.object, open(&*program.pid).unwrap().at(address).object, "{address:x}");
    }
}

#[test]
fn the_same_process_again() {
    let mut program = Program::start();
    let before = Open::new(&*program.pid).needs(Needs::SIZES).open().unwrap();
    program.grow();
    let after = before.again().unwrap();
    let growth = diff(&before, &after).by_growth();
    assert!(
        growth.first().is_some_and(|first| first.change.rss >= Some(8 << 20)),
        "{}",
        growth.len()
    );
    let sums = |atlas: &Atlas, by| atlas.totals(by).iter().map(|sum| sum.rss.unwrap()).sum::<u64>();
    let each: Vec<u64> =
        [By::Kind, By::File, By::Label, By::Perms].map(|by| sums(&after, by)).to_vec();
    assert!(each.iter().all(|sum| *sum == each[0]), "the sums of every By are equal: {each:?}");
    drop(program);
    assert!(before.again().is_err_and(|error| error.is_gone()));
}

#[test]
fn a_text_has_rows_and_says_no_to_the_rest() {
    let (_file, atlas) = text(ROW);
    let atlas = atlas.unwrap();
    assert_eq!(atlas.source(), SourceKind::Text);
    assert_eq!(atlas.rows().len(), 1);
    assert!(atlas.memory().unwrap().is_none() && atlas.threads().is_empty());
    assert_eq!(atlas.images().len(), 0);
    let place = atlas.at(0x55d0_c010);
    assert!(place.is_mapped() && place.symbol().is_none() && place.made.is_none());
    assert_eq!(place.file_offset, Some(0x1010));
}

#[test]
fn notes_are_values() {
    let (_file, atlas) = text(&format!("{ROW}{ROW}"));
    let notes: Vec<Note> = atlas.unwrap().notes().collect();
    assert!(matches!(&notes[..], [Note::Listing(warning)] if warning.line == 2), "{notes:?}");
}

#[test]
fn errors_have_a_kind_and_say_what_helps() {
    let kind = |target: &str| open(target).err().map(|error| error.kind());
    assert_eq!(kind("4294967295"), Some(ErrorKind::Gone));
    assert_eq!(kind("/no/such/file"), Some(ErrorKind::NotFound));
    assert_eq!(kind(""), Some(ErrorKind::Usage));
    let (_file, atlas) = text("nothing here\n");
    assert_eq!(atlas.err().map(|error| error.kind()), Some(ErrorKind::NoRows));
    let numa = open("/proc/self/numa_maps").err();
    // Some kernels lack the file `numa_maps`.
    if let Some(error) = numa.filter(|error| error.kind() == ErrorKind::NoRows) {
        assert_eq!(error.looks_like(), Some("/proc/PID/numa_maps"), "{error}");
    }
    let log = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/strace/child.log");
    let error = Open::new(log).pid(Some(1)).open().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NoMoment);
    assert!(error.processes().is_some_and(|all| all.all.len() == 2), "{error}");
}

#[test]
fn a_log_has_moments_and_origins() {
    let log = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/strace/child.log");
    let atlas = open(log).unwrap();
    assert_eq!(atlas.source(), SourceKind::Log);
    assert!(atlas.source().has_moments() && atlas.source().has_origins());
    assert!(atlas.rows().any(|row| row.made().len() > 0));
    assert!(atlas.notes().any(|note| matches!(note, Note::RulesOf(_))));
}
