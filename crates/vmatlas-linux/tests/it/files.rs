//! Tests names and opened files on misleading file systems.

use crate::child::{FileChild, lacks, process, root, seen, signal, skipped};
use crate::copy_program::copy_program;
use std::fs::{self, File};

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use vmatlas_linux::files::{FileTruth, FileTruths, Files, Now};
use vmatlas_linux::{Error, RegularFile, Source, within};
use vmatlas_maps::{AddressRange, Maps, ReadAt as _};

/// Set for the process that reads as another user: its task.
const ROLE: &str = "VMATLAS_FILES_ROLE";
const NOBODY: u32 = 65534;

fn truth(path: impl AsRef<Path>, deleted: bool, now: Now) -> FileTruth {
    let other_path = Some(path.as_ref().as_os_str().as_bytes().to_vec());
    FileTruth { other_path, deleted: Some(deleted), certain: true, now }
}

fn not_certain(truth: FileTruth) -> FileTruth {
    FileTruth { certain: false, ..truth }
}

/// The facts about a process's files.
struct Seen {
    files: Files,
    maps: Maps,
    truths: FileTruths,
}

impl Seen {
    fn of(pid: u32) -> Seen {
        let process = process(pid);
        let maps = process.rows(Source::Maps).unwrap().maps;
        let files = Files::read(&process).unwrap();
        let truths = files.truths(&process, &maps);
        Seen { files, maps, truths }
    }

    fn row(&self, range: AddressRange) -> usize {
        let row = self.maps.iter().position(|row| row.range == range);
        row.unwrap_or_else(|| panic!("no row {range}: {:?}", self.maps))
    }

    /// With its path, also if that is the name of the row.
    fn truth(&self, range: AddressRange) -> FileTruth {
        let row = self.row(range);
        let truth = self.truths.get(row).unwrap();
        let path = truth.path(self.maps.get(row).unwrap().name);
        FileTruth { other_path: Some(path.to_vec()), ..truth.clone() }
    }

    #[track_caller]
    fn check(&self, range: AddressRange, expected: &FileTruth) {
        let found = self.truth(range);
        assert!(found == *expected, "found    {}\nexpected {}", shown(&found), shown(expected));
    }

    fn open(&self, range: AddressRange) -> Option<RegularFile> {
        let index = self.row(range);
        self.files.open(&self.maps.get(index).unwrap(), self.truths.get(index))
    }

    /// The start of a row's file.
    fn content(&self, range: AddressRange) -> Option<String> {
        let mut content = [0; 256];
        let (length, read) = self.open(range)?.read_full_at(0, &mut content);
        read.unwrap();
        let content = String::from_utf8_lossy(&content[..length]).into_owned();
        Some(content.trim_end_matches('\0').to_owned())
    }
}

fn shown(truth: &FileTruth) -> String {
    let FileTruth { deleted, certain, now, .. } = truth;
    let path = truth.path(b"").escape_ascii();
    format!("{path} deleted={deleted:?} certain={certain} {now:?}")
}

/// Creates a file of one page that contains its own name.
fn make(path: impl AsRef<Path>) -> PathBuf {
    make_with(path.as_ref(), &path.as_ref().file_name().unwrap().to_string_lossy())
}

fn make_with(path: &Path, content: &str) -> PathBuf {
    let mut page = content.as_bytes().to_vec();
    page.resize(4096, 0);
    fs::write(path, page).unwrap();
    path.to_owned()
}

struct Case {
    range: AddressRange,
    truth: FileTruth,
    content: String,
}

/// Creates misleading names in a directory, with the expected facts and contents of each. Without
/// privileges the number of links is unknown.
fn mislead(child: &mut FileChild, dir: &Path, links_known: bool) -> Vec<Case> {
    let gone = |now| if links_known { now } else { Now::Unknown };
    let pid = child.pid();
    let at = |path: &Path| seen(pid, path);
    let mut cases = Vec::new();
    // Creates and maps a file, then calls `then` to change it, which returns the expected facts.
    let mut case = |path: &str, then: &dyn Fn(&Path) -> FileTruth| {
        let path = dir.join(path);
        make(at(&path));
        let range = child.map(&path);
        let content = path.file_name().unwrap().to_string_lossy().into_owned();
        cases.push(Case { range, truth: then(&path), content });
    };
    let long = "l".repeat(255);
    for name in ["plain", "x (deleted)", "new\nline", r"lit\012eral", " (deleted)", "tab\t ", &long]
    {
        case(name, &|path| truth(path, false, Now::Same));
    }
    let long = "g".repeat(255);
    for name in ["y", "y (deleted)", "z\nz", r"z\012z", &long] {
        case(name, &|path| {
            fs::remove_file(at(path)).unwrap();
            truth(path, true, gone(Now::Nothing))
        });
    }
    case("before", &|path| {
        let after = dir.join("after");
        fs::rename(at(path), at(&after)).unwrap();
        truth(after, false, Now::Same)
    });
    for name in ["replaced", "replaced (deleted)", "replaced\nwith"] {
        case(name, &|path| {
            let newer = make(at(&dir.join("newer")));
            let inode = fs::metadata(&newer).unwrap().ino();
            fs::rename(newer, at(path)).unwrap();
            truth(path, true, Now::Replaced { inode })
        });
    }
    case("linked", &|path| {
        fs::hard_link(at(path), at(&dir.join("another link"))).unwrap();
        fs::remove_file(at(path)).unwrap();
        truth(path, true, gone(Now::Linked))
    });
    fs::create_dir(at(&dir.join("removed"))).unwrap();
    case("removed/file", &|path| {
        fs::remove_dir_all(at(&dir.join("removed"))).unwrap();
        let truth = truth(path, true, gone(Now::Nothing));
        if links_known { truth } else { FileTruth { deleted: None, ..not_certain(truth) } }
    });
    // The directory was replaced by another.
    let (parent, elsewhere) = (dir.join("parent"), dir.join("elsewhere"));
    fs::create_dir(at(&parent)).unwrap();
    case("parent/moved", &|path| {
        fs::rename(at(&parent), at(&elsewhere)).unwrap();
        fs::create_dir(at(&parent)).unwrap();
        make_with(&at(path), "newer");
        truth(elsewhere.join("moved"), false, Now::Same)
    });
    let range = child.map_unnamed(dir);
    let maps = child.process().rows(Source::Maps).unwrap().maps;
    let inode = maps.iter().find(|row| row.range == range).unwrap().inode;
    let truth = truth(dir.join(format!("#{inode}")), true, Now::Unnamed);
    cases.push(Case { range, truth, content: String::new() });
    cases
}

fn check_misled(seen: &Seen, cases: &[Case]) {
    for Case { range, truth, content } in cases {
        seen.check(*range, truth);
        assert_eq!(seen.content(*range).as_ref(), Some(content), "{}", shown(truth));
    }
}

#[test]
fn names_that_mislead() {
    if !root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut child = FileChild::start();
    let cases = mislead(&mut child, dir.path(), true);
    check_misled(&Seen::of(child.pid()), &cases);
}

/// A child in a temporary directory that needs no cleanup, because its mounts are private.
fn with_mounts() -> (FileChild, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut child = FileChild::start();
    child.unshare_mounts();
    (child, dir)
}

#[test]
fn another_mount_namespace() {
    if !root() {
        return;
    }
    let (mut child, dir) = with_mounts();
    let dir = dir.path();
    // Different files are at these paths here.
    for name in ["plain", "gone", "x", "x (deleted)", "y"] {
        make_with(&dir.join(name), "of the reader");
    }
    child.run([&"mount", &"-t", &"tmpfs", &"none", &dir]);
    let cases = mislead(&mut child, dir, true);
    let seen = Seen::of(child.pid());
    check_misled(&seen, &cases);
    assert_eq!(seen.content(cases[0].range).unwrap(), "plain");
}

#[test]
fn chrooted() {
    if !root() {
        return;
    }
    for own_namespace in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut child = FileChild::start();
        let jail = dir.path().join("jail");
        fs::create_dir(&jail).unwrap();
        if own_namespace {
            child.unshare_mounts();
            child.run([&"mount", &"-t", &"tmpfs", &"none", &dir.path()]);
            child.run([&"mkdir", &jail]);
        }
        make(child.seen(jail.join("file")));
        make(child.seen(jail.join("gone")));
        child.chroot(&jail);
        let (file, gone) = (child.map("/file"), child.map("/gone"));
        fs::remove_file(child.seen("/gone")).unwrap();
        let seen = Seen::of(child.pid());
        // The kernel shows paths relative to the reader's root, or to that of the mount namespace.
        seen.check(file, &truth(jail.join("file"), false, Now::Same));
        seen.check(gone, &truth(jail.join("gone"), true, Now::Nothing));
        assert_eq!(seen.content(gone).unwrap(), "gone");
        drop(child);
    }
}

#[test]
fn covered_and_unmounted() {
    if !root() {
        return;
    }
    let (mut child, dir) = with_mounts();
    let dir = dir.path();
    let path = |name: &str| dir.join(name);
    for name in ["covered", "over", "kept (deleted)"] {
        make(path(name));
    }
    fs::create_dir(path("d")).unwrap();
    fs::create_dir(path("other")).unwrap();
    fs::create_dir(path("t")).unwrap();
    for name in ["d/f (deleted)", "d/f", "d/linked"] {
        make(path(name));
    }
    let covered = child.map(path("covered"));
    child.run([&"mount", &"--bind", &path("over"), &path("covered")]);
    let over = child.map(path("covered"));

    // Covered by a directory of the same file system without such files.
    let named_so = child.map(path("d/f (deleted)"));
    let linked = child.map(path("d/linked"));
    fs::hard_link(path("d/linked"), path("d/link")).unwrap();
    fs::remove_file(path("d/linked")).unwrap();
    child.run([&"mount", &"--bind", &path("other"), &path("d")]);

    child.run([&"mount", &"-t", &"tmpfs", &"none", &path("t")]);
    make(child.seen(path("t/inner")));
    make(child.seen(path("t/gone")));
    let (inner, gone) = (child.map(path("t/inner")), child.map(path("t/gone")));
    fs::remove_file(child.seen(path("t/gone"))).unwrap();
    child.run([&"umount", &"-l", &path("t")]);

    let seen = Seen::of(child.pid());
    seen.check(covered, &not_certain(truth(path("covered"), false, Now::Unknown)));
    seen.check(over, &truth(path("covered"), false, Now::Same));
    assert_eq!(seen.content(covered).unwrap(), "covered");
    assert_eq!(seen.content(over).unwrap(), "over");
    let unproven =
        |name| FileTruth { deleted: None, certain: false, ..truth(path(name), true, Now::Linked) };
    seen.check(named_so, &unproven("d/f"));
    assert_eq!(seen.content(named_so).unwrap(), "f (deleted)");
    seen.check(linked, &unproven("d/linked"));
    // For an unmounted file system only the path below its root is known.
    seen.check(inner, &not_certain(truth("/inner", false, Now::Unknown)));
    seen.check(gone, &not_certain(truth("/gone", true, Now::Nothing)));
    assert_eq!(seen.content(gone).unwrap(), "gone");
}

#[test]
fn overlayfs() {
    if !root() {
        return;
    }
    let (mut child, dir) = with_mounts();
    let dir = dir.path();
    for layer in ["lower", "merged", "t"] {
        fs::create_dir(dir.join(layer)).unwrap();
    }
    for name in ["lower/file", "lower/changed", "lower/gone"] {
        make(dir.join(name));
    }
    // The layers are on two file systems, for which overlayfs makes up device and inode.
    child.run([&"mount", &"-t", &"tmpfs", &"none", &dir.join("t")]);
    child.run([&"mkdir", &dir.join("t/upper"), &dir.join("t/work")]);
    let options = format!(
        "lowerdir={0}/lower,upperdir={0}/t/upper,workdir={0}/t/work,xino=off",
        dir.display()
    );
    let merged = dir.join("merged");
    child.run([&"mount", &"-t", &"overlay", &"overlay", &"-o", &options, &merged]);
    let file = child.map(merged.join("file"));
    let changed = child.map(merged.join("changed"));
    let gone = child.map(merged.join("gone"));
    make_with(&child.seen(merged.join("changed")), "copied up");
    fs::remove_file(child.seen(merged.join("gone"))).unwrap();
    let mut cases = mislead(&mut child, &merged, true);
    // Its link count may be that of the lower layer, where nothing is deleted.
    for Case { truth, .. } in &mut cases {
        truth.now = if truth.now == Now::Linked { Now::Unknown } else { truth.now };
    }
    let seen = Seen::of(child.pid());
    check_misled(&seen, &cases);
    seen.check(file, &truth(merged.join("file"), false, Now::Same));
    seen.check(gone, &truth(merged.join("gone"), true, Now::Unknown));
    assert_eq!(seen.content(file).unwrap(), "file");
    // For the kernel it is the same file, although the mapping shows the lower layer's bytes.
    seen.check(changed, &truth(merged.join("changed"), false, Now::Same));
}

/// As root, and as a user who may not follow map_files.
#[test]
fn btrfs_and_readers_without_privileges() {
    if let Ok(role) = std::env::var(ROLE) {
        return read_as_nobody(&role);
    }
    if !root() {
        return;
    }
    let (mut child, dir) = with_mounts();
    let dir = dir.path();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    let test = dir.join("test");
    copy_program(std::env::current_exe().unwrap(), &test);

    let mut places = vec![dir.join("plain")];
    fs::create_dir(&places[0]).unwrap();
    let mount = dir.join("btrfs");
    fs::create_dir(&mount).unwrap();
    if make_btrfs(&dir.join("image")) {
        child.run([&"mount", &"-o", &"loop", &dir.join("image"), &mount]);
        let subvolume = mount.join("sub volume");
        child.run([&"btrfs", &"subvolume", &"create", &subvolume]);
        let device = |path: &Path| fs::metadata(child.seen(path)).unwrap().dev();
        assert_ne!(device(&mount), device(&subvolume), "each subvolume has its own");
        places.extend([mount.clone(), subvolume]);
    }
    let mut truths = Vec::new();
    let mut cases = Vec::new();
    for place in places {
        let range = |range: &AddressRange| format!("{:x}-{:x}", range.start, range.end);
        for case in mislead(&mut child, &place, false) {
            truths.push(format!("{} {}", range(&case.range), shown(&case.truth)));
        }
        // The same as root.
        let other = place.join("other");
        fs::create_dir(child.seen(&other)).unwrap();
        cases.extend(mislead(&mut child, &other, true));
    }
    // It is unknown whether a closed directory has the file.
    let closed = dir.join("closed");
    fs::create_dir(&closed).unwrap();
    let named_so = child.map(make(closed.join("x (deleted)")));
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let unknown = FileTruth {
        other_path: Some(closed.join("x").into_os_string().into_encoded_bytes()),
        deleted: None,
        certain: false,
        now: Now::Unknown,
    };
    truths.push(format!("{:x}-{:x} {}", named_so.start, named_so.end, shown(&unknown)));

    check_misled(&Seen::of(child.pid()), &cases);
    child.become_user(NOBODY);
    let me = std::thread::current().name().unwrap().to_owned();
    let output = Command::new(&test)
        .args([me.as_str(), "--exact", "--nocapture"])
        .env(ROLE, format!("{}\n{}", child.pid(), truths.join("\n")))
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("all as expected"));
}

fn make_btrfs(image: &Path) -> bool {
    File::create(image).unwrap().set_len(128 << 20).unwrap();
    let known = fs::read_to_string("/proc/filesystems").unwrap().contains("btrfs");
    if !known && !Command::new("modprobe").arg("btrfs").status().is_ok_and(|s| s.success()) {
        skipped("btrfs");
        return false;
    }
    let made = Command::new("mkfs.btrfs").arg("-q").arg(image).stderr(Stdio::null()).status();
    if made.is_err() {
        lacks("mkfs.btrfs (package btrfs-progs)");
    }
    made.is_ok_and(|status| status.success())
}

fn read_as_nobody(role: &str) {
    let mut lines = role.split('\n');
    let pid = lines.next().unwrap().parse().unwrap();
    let seen = Seen::of(pid);
    assert!(
        fs::metadata(format!("/proc/{pid}/map_files")).is_err()
            || fs::read_dir(format!("/proc/{pid}/map_files"))
                .unwrap()
                .all(|link| fs::metadata(link.unwrap().path()).is_err()),
        "nobody may not follow map_files"
    );
    let denied = process(1).rows(Source::Maps);
    assert!(matches!(denied, Err(Error::Denied { .. })), "{denied:?}");
    for line in lines {
        let (range, expected) = line.split_once(' ').unwrap();
        let range = crate::child::range(range);
        assert_eq!(shown(&seen.truth(range)), expected);
        if let Some(content) = seen.content(range) {
            assert!(content != "newer", "{expected}");
        }
    }
    println!("all as expected");
}

#[test]
fn a_file_system_that_does_not_answer() {
    if !root() {
        return;
    }
    let (mut child, dir) = with_mounts();
    let dir = dir.path();
    let path = |name: &str| dir.join(name);
    for name in ["fuse", "lib", "local"] {
        fs::create_dir(path(name)).unwrap();
    }
    make(path("lib/library"));
    make(path("local/file"));
    let library = child.map(path("lib/library"));
    let files: Vec<_> = (0..3).map(|_| child.map(path("local/file"))).collect();
    if !Path::new("/dev/fuse").exists() {
        return skipped("FUSE");
    }
    // One is mounted over the directory of a file that is already mapped.
    let servers = [child.mount_fuse(&path("fuse")), child.mount_fuse(&path("lib"))];
    let remote = child.map(path("fuse/file"));
    let seen = Seen::of(child.pid());
    seen.check(remote, &truth(path("fuse/file"), false, Now::Same));
    assert_eq!(seen.content(remote).unwrap(), "");

    servers.iter().for_each(|server| signal(*server, "STOP"));
    let start = Instant::now();
    let seen = Seen::of(child.pid());
    let took = start.elapsed();
    assert!(took < Duration::from_secs(300), "{took:?}");
    let hung = not_certain(truth(path("fuse/file"), false, Now::Unknown));
    seen.check(remote, &hung);
    seen.check(library, &not_certain(truth(path("lib/library"), false, Now::Unknown)));
    for file in files {
        seen.check(file, &truth(path("local/file"), false, Now::Same));
    }
    let certain = (0..seen.maps.len()).filter_map(|row| seen.truths.get(row)).filter(|t| t.certain);
    assert!(certain.count() >= 5, "program, C library, loader");

    // Opening it waits for an answer, but not for ever.
    assert!(seen.open(remote).is_none());
    for server in servers {
        signal(server, "KILL");
    }
}

#[test]
fn nothing_but_regular_files_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = FileChild::start();
    let zero = child.map("/dev/zero");
    let file = child.map(make(dir.path().join("file")));
    let seen = Seen::of(child.pid());
    assert!(seen.open(zero).is_none());
    seen.check(zero, &truth("/dev/zero", false, Now::Same));
    assert!(seen.open(file).is_some());

    // The name now refers to another file, and map_files does not help.
    let made = |name: &str| dir.path().join(name);
    assert!(Command::new("mkfifo").arg(made("fifo")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(made("socket")).unwrap();
    symlink(made("file"), made("link")).unwrap();
    let terminals = || fs::read_dir("/dev/pts").unwrap().count();
    let before = terminals();
    for path in [
        made("fifo"),
        made("socket"),
        PathBuf::from("/dev/ptmx"),
        made("link"),
        dir.path().to_owned(),
    ] {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let device = metadata.dev();
        let row = vmatlas_maps::Mapping {
            range: AddressRange::new(0x1000, 0x2000),
            perms: vmatlas_maps::Perms(*b"r--p"),
            offset: 0,
            device: vmatlas_maps::Device::new(
                (device >> 8) as u32 & 0xfff,
                (device & 0xff | device >> 12 & 0xfff00) as u32,
            ),
            inode: metadata.ino(),
            name: path.as_os_str().as_bytes(),
        };
        let truth = truth(&path, false, Now::Same);
        let files = seen.files.clone();
        let name = row.name.to_vec();
        let row = vmatlas_maps::Mapping { name: b"", ..row };
        let opened = within(Duration::from_secs(2), move || {
            files.open(&vmatlas_maps::Mapping { name: &name, ..row }, Some(&truth)).is_some()
        });
        assert_eq!(opened, Some(false), "{}", path.display());
        if path != made("link") {
            assert!(seen.files.open_path(&path).is_err(), "{}", path.display());
        }
    }
    assert_eq!(terminals(), before);
    assert!(seen.files.open_path(&made("link")).is_ok());
}

#[test]
fn within_does_not_wait() {
    let start = Instant::now();
    assert_eq!(within(Duration::from_secs(600), || 7), Some(7));
    let slow = within(Duration::from_millis(50), || std::thread::sleep(Duration::from_secs(600)));
    assert_eq!(slow, None);
    assert!(start.elapsed() < Duration::from_secs(500));
}
