//! Tests the files that the command creates: recordings, profiles and flame graphs. They are private,
//! and nothing is written through what others may have laid there.

use crate::copy_program::copy_program;
use crate::record::wait_until;
use crate::vmatlas::{is_root, vmatlas};
use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// An unprivileged user.
const NOBODY: u32 = 65534;

/// A directory with a copy of the program, and the user who runs it there: this one, or an
/// unprivileged one, who may be unable to enter the build directory.
struct Place {
    directory: TempDir,
    is_nobody: bool,
}

impl Place {
    /// A place for each user that a test can be.
    fn all() -> Vec<Place> {
        let users: &[bool] = if is_root() { &[false, true] } else { &[false] };
        users.iter().map(|is_nobody| Place::of(*is_nobody)).collect()
    }

    fn of(is_nobody: bool) -> Place {
        let directory = tempfile::tempdir().unwrap();
        let mode = if is_nobody { 0o777 } else { 0o755 };
        fs::set_permissions(directory.path(), Permissions::from_mode(mode)).unwrap();
        copy_program(env!("CARGO_BIN_EXE_vmatlas"), directory.path().join("vmatlas"));
        Place { directory, is_nobody }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A shell's commands, in the directory.
    fn command(&self, script: &str) -> Command {
        let mut command = match self.is_nobody {
            true => Command::new("setpriv"),
            false => Command::new("sh"),
        };
        if self.is_nobody {
            command.args([&format!("--reuid={NOBODY}"), "--regid=65534", "--clear-groups", "sh"]);
        }
        command.args(["-c", script]).current_dir(self.directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, script: &str) -> Output {
        self.command(script).output().unwrap()
    }

    /// Runs commands that must end with this status. Returns the messages.
    #[track_caller]
    fn expect(&self, status: i32, script: &str) -> String {
        let output = self.run(script);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{script}: {errors}");
        errors
    }

    /// The names in the directory that the program leaves, besides itself.
    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.directory.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name != "vmatlas").collect();
        names.sort();
        names
    }

    fn mode(&self, name: &str) -> u32 {
        fs::symlink_metadata(self.path(name)).unwrap().mode() & 0o7777
    }

    fn inode(&self, name: &str) -> u64 {
        fs::symlink_metadata(self.path(name)).unwrap().ino()
    }

    /// Makes a recording for commands that write something about it.
    fn recording(&self) {
        self.expect(0, "./vmatlas record -q -o R true");
    }

    #[track_caller]
    fn is_recording(&self, name: &str) {
        let shown = vmatlas(&["show", "-q", self.path(name).to_str().unwrap()]);
        assert_eq!(shown.status, 0, "{}", shown.stderr);
    }
}

/// The commands that write to a file, with `$1` for its name and `$2` for more options. `ran`
/// appears if the recorded program has run.
const WRITERS: [&str; 4] = [
    "./vmatlas record $2 -q -o \"$1\" touch ran",
    "./vmatlas record $2 -q --backend perf -o \"$1\" touch ran",
    "./vmatlas blame $2 -q R --pprof \"$1\"",
    "./vmatlas blame $2 -q R --svg \"$1\"",
];

/// The writers that work for a user.
fn writers(place: &Place) -> impl Iterator<Item = &'static str> {
    // Only root may be sure of perf events.
    let is_root = !place.is_nobody && is_root();
    WRITERS.into_iter().filter(move |writer| is_root || !writer.contains("perf"))
}

fn write(writer: &str, name: &str, more: &str) -> String {
    format!("set -- '{name}' {more}; {writer}")
}

#[test]
fn new_files_are_private() {
    for place in Place::all() {
        place.recording();
        for (number, writer) in writers(&place).enumerate() {
            for (umask, mode) in [("0", 0o600), ("022", 0o600), ("0077", 0o600), ("0277", 0o400)] {
                let name = format!("F{number}-{umask}");
                place.expect(0, &format!("umask {umask}; {}", write(writer, &name, "")));
                assert_eq!(place.mode(&name), mode, "{writer} with umask {umask}");
            }
        }
        // The default name, which others can guess.
        place.expect(0, "umask 0; ./vmatlas record -q true");
        let name = place.names().into_iter().find(|name| name.ends_with(".vmrec")).unwrap();
        assert_eq!(place.mode(&name), 0o600);
        assert!(!place.names().iter().any(|name| name.ends_with(".tmp")), "{:?}", place.names());
    }
}

#[test]
fn an_own_file_is_replaced_by_a_private_one() {
    for place in Place::all() {
        place.recording();
        for writer in writers(&place) {
            place.expect(0, "echo old > F; chmod 666 F");
            // Who has the old file open neither sees nor changes the new contents.
            let mut open =
                fs::File::options().read(true).write(true).open(place.path("F")).unwrap();
            place.expect(0, &write(writer, "F", ""));
            let mut seen = String::new();
            open.read_to_string(&mut seen).unwrap();
            assert_eq!((seen.as_str(), open.metadata().unwrap().nlink()), ("old\n", 0));
            assert_eq!(place.mode("F"), 0o600, "{writer}");
            assert!(fs::metadata(place.path("F")).unwrap().len() > 10);
            place.expect(0, "rm -f F ran");
            assert_eq!(place.names(), ["R"], "{writer}");
        }
    }
}

#[test]
fn a_program_that_does_not_start_leaves_an_old_recording() {
    for place in Place::all() {
        place.recording();
        let (inode, bytes) = (place.inode("R"), fs::read(place.path("R")).unwrap());
        place.expect(127, "./vmatlas record -q -o R /no/such/program");
        place.expect(126, "./vmatlas record -q -o R /");
        place.expect(2, "./vmatlas record -q -o R -p 4294967294");
        place.expect(127, "./vmatlas record -q -o new /no/such/program");
        assert_eq!((place.inode("R"), fs::read(place.path("R")).unwrap()), (inode, bytes));
        assert_eq!(place.names(), ["R"]);
    }
}

/// What is no regular file is refused before the program starts, and nothing waits for it.
#[test]
fn no_link_is_followed_and_no_device_is_written() {
    for place in Place::all() {
        place.recording();
        fs::write(place.path("victim"), "precious").unwrap();
        fs::set_permissions(place.path("victim"), Permissions::from_mode(0o666)).unwrap();
        symlink("victim", place.path("link")).unwrap();
        symlink("nothing", place.path("dangling")).unwrap();
        symlink("loop", place.path("loop")).unwrap();
        fs::create_dir(place.path("directory")).unwrap();
        symlink("directory", place.path("link-to-directory")).unwrap();
        place.expect(0, "mkfifo -m 666 fifo");
        symlink("fifo", place.path("link-to-fifo")).unwrap();
        let _socket = UnixListener::bind(place.path("socket")).unwrap();
        symlink("/dev/null", place.path("link-to-device")).unwrap();
        let names = place.names();
        let bad = [
            ("link", "a symbolic link"),
            ("dangling", "a symbolic link"),
            ("loop", "a symbolic link"),
            ("directory", "a directory"),
            ("directory/", "directory"),
            ("link-to-directory", "a symbolic link"),
            ("fifo", "a FIFO"),
            ("link-to-fifo", "a FIFO"),
            ("socket", "a socket"),
            ("link-to-device", "a device"),
            ("missing/F", "No such file or directory"),
            ("victim/F", "Not a directory"),
        ];
        for (name, why) in bad {
            for writer in writers(&place) {
                for force in ["", "--force"] {
                    let errors = place.expect(2, &write(writer, name, force));
                    let says = errors.lines().count() == 1 && errors.contains(why);
                    assert!(says && errors.contains(name), "{writer} {name}: {errors}");
                    assert_eq!(place.names(), names, "{writer} {name}");
                }
            }
        }
        assert_eq!(fs::read(place.path("victim")).unwrap(), b"precious");
        for device in ["/dev/full", "/dev/null", "/dev/stdout"] {
            let errors = place.expect(2, &write(WRITERS[0], device, ""));
            assert!(errors.contains("needs a regular file"), "{errors}");
            assert_eq!(place.names(), names, "{device}");
        }
    }
}

/// A profile may go to a descriptor of the shell.
#[test]
fn products_go_to_standard_output() {
    let place = Place::of(false);
    place.recording();
    let svg = place.run("./vmatlas blame -q R --svg /dev/stdout");
    assert!(svg.stdout.starts_with(b"<?xml"), "{}", String::from_utf8_lossy(&svg.stderr));
    place.expect(0, "echo before > out; ./vmatlas blame -q R --svg /dev/stdout >> out");
    let out = fs::read_to_string(place.path("out")).unwrap();
    assert!(out.starts_with("before\n<?xml"), "{out}");
    place.expect(0, "./vmatlas blame -q R --pprof /dev/null");
    let errors = place.expect(2, "./vmatlas blame -q R --svg /dev/full");
    assert!(errors.contains("/dev/full: No space left"), "{errors}");
}

#[test]
fn files_of_others_and_with_other_names_need_force() {
    for place in Place::all() {
        place.recording();
        for writer in writers(&place) {
            place.expect(0, "echo precious > victim; chmod 666 victim; ln victim F");
            let errors = place.expect(2, &write(writer, "F", ""));
            assert!(errors.contains("F: ") && errors.contains("2 names"), "{errors}");
            assert!(errors.contains("--force"), "{errors}");
            assert_eq!(fs::read(place.path("F")).unwrap(), b"precious\n");
            assert_eq!(place.names(), ["F", "R", "victim"], "{writer}");
            place.expect(0, &write(writer, "F", "--force"));
            assert_eq!(fs::read(place.path("victim")).unwrap(), b"precious\n");
            assert_ne!(place.inode("F"), place.inode("victim"));
            place.expect(0, "rm -f F victim ran");
        }
        if !is_root() {
            continue;
        }
        let other = if place.is_nobody { 0 } else { NOBODY };
        for writer in writers(&place) {
            fs::write(place.path("F"), "precious").unwrap();
            fs::set_permissions(place.path("F"), Permissions::from_mode(0o666)).unwrap();
            std::os::unix::fs::chown(place.path("F"), Some(other), Some(other)).unwrap();
            let inode = place.inode("F");
            let errors = place.expect(2, &write(writer, "F", ""));
            assert!(errors.contains(&format!("belongs to user {other}")), "{errors}");
            // In a directory like /tmp only the owner may replace it.
            if place.is_nobody {
                let shared = place.directory.path();
                fs::set_permissions(shared, Permissions::from_mode(0o1777)).unwrap();
                place.expect(2, &write(writer, "F", "--force"));
                fs::set_permissions(shared, Permissions::from_mode(0o777)).unwrap();
            }
            assert_eq!(fs::read(place.path("F")).unwrap(), b"precious", "{writer}");
            assert_eq!((place.names(), place.inode("F")), (vec!["F".into(), "R".into()], inode));
            place.expect(0, &write(writer, "F", "--force"));
            let file = fs::metadata(place.path("F")).unwrap();
            assert_eq!(file.mode() & 0o777, 0o600, "{writer}");
            assert_ne!((file.uid(), file.ino()), (other, inode), "{writer}");
            fs::remove_file(place.path("F")).unwrap();
            let _ = fs::remove_file(place.path("ran"));
        }
    }
}

/// A link in a directory like /tmp, on a kernel that follows it for root.
#[test]
fn a_link_in_a_shared_directory() {
    if !is_root() {
        return;
    }
    let place = Place::of(false);
    place.recording();
    fs::set_permissions(place.directory.path(), Permissions::from_mode(0o1777)).unwrap();
    fs::write(place.path("victim"), "precious").unwrap();
    symlink("victim", place.path("F")).unwrap();
    std::os::unix::fs::lchown(place.path("F"), Some(NOBODY), Some(NOBODY)).unwrap();
    for writer in WRITERS {
        let errors = place.expect(2, &write(writer, "F", "--force"));
        assert!(errors.contains("symbolic link"), "{errors}");
        assert_eq!(fs::read(place.path("victim")).unwrap(), b"precious", "{writer}");
    }
}

/// A recorder of a program that waits for the end of its input.
struct Recorder(Child);

impl Recorder {
    fn start(place: &Place, output: &str) -> Recorder {
        Recorder::run(place, &format!("exec ./vmatlas record -q -o {output} -- sh -c"))
    }

    fn run(place: &Place, record: &str) -> Recorder {
        let script = format!("{record} 'echo ready; read line; exit 0'");
        let mut child = place.command(&script).stdin(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Recorder(child)
    }

    /// Ends the program. Returns the exit status and the messages.
    fn end(mut self) -> (Option<i32>, String) {
        drop(self.0.stdin.take());
        let output = self.0.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

#[test]
fn two_recorders_do_not_share_a_file() {
    for place in Place::all() {
        for is_replaced in [false, true] {
            if is_replaced {
                place.recording();
                place.expect(0, "mv R F");
            }
            let first = Recorder::start(&place, "F");
            wait_for_bytes(&place.path("F"));
            for force in ["", "--force"] {
                let errors = place.expect(2, &write(WRITERS[0], "F", force));
                assert!(
                    errors.contains("F: another process holds the lock of this file"),
                    "{errors}"
                );
            }
            assert_eq!(first.end(), (Some(0), String::new()));
            place.is_recording("F");
            assert_eq!(place.names(), ["F"]);
        }
        // The lock ends with the recorder.
        place.expect(0, &write(WRITERS[0], "F", ""));
    }
}

fn wait_for_bytes(path: &Path) {
    let is_written = || fs::metadata(path).is_ok_and(|file| file.len() > 0);
    wait_until("something is written", is_written);
}

/// If the recording fails, the program runs on, and the exit status shows it.
#[test]
fn a_removed_file_fails_the_recording_only() {
    for place in Place::all() {
        place.expect(0, "mkdir d");
        let recorder = Recorder::start(&place, "d/F");
        wait_for_bytes(&place.path("d/F"));
        place.expect(0, "rm -r d");
        let (status, errors) = recorder.end();
        assert_eq!(status, Some(2), "{errors}");
        assert!(errors.contains("d/F: the file was removed"), "{errors}");
        // A file that got another name is complete.
        let recorder = Recorder::start(&place, "F");
        wait_for_bytes(&place.path("F"));
        place.expect(0, "mv F G");
        assert_eq!(recorder.end(), (Some(0), String::new()));
        place.is_recording("G");
        // The program's own failure is reported.
        let script = "./vmatlas record -q -o F sh -c 'rm F; exit 7'";
        let errors = place.expect(7, script);
        assert!(errors.contains("F: the file was removed"), "{errors}");
    }
}

/// The limit on file sizes kills who does not expect it.
#[test]
fn a_limit_on_the_size_of_files() {
    for place in Place::all() {
        let many = "i=0; while [ $i -lt 400 ]; do i=$((i+1)); /bin/true; done; echo alive >&2";
        let record = format!("ulimit -f 8; ./vmatlas record -o F sh -c '{many}'");
        let errors = place.expect(2, &record);
        assert!(errors.contains("alive"), "{errors}");
        assert!(errors.contains("File too large"), "{errors}");
        assert!(errors.contains("the recording fails"), "{errors}");
        place.is_recording("F");
        // The program gets the signal as without a recorder.
        let dd = "sh -c 'dd if=/dev/zero of=big bs=1M count=1 2> /dev/null; exit $?'";
        let own = place.run(&format!("ulimit -f 100; {dd}")).status.code();
        let recorded = place.run(&format!("ulimit -f 100; ./vmatlas record -q -o G {dd}"));
        assert_eq!(recorded.status.code(), own);
        assert_ne!(own, Some(0));
    }
}

/// A disk that is full from the beginning.
#[test]
fn a_full_disk_is_reported_by_the_exit_status() {
    if !is_root() {
        return;
    }
    let place = Place::of(false);
    fs::create_dir(place.path("small")).unwrap();
    let with_disk = |program: &str| {
        let mut unshare = Command::new("unshare");
        unshare.current_dir(place.directory.path()).args(["-m", "sh", "-c"]).arg(format!(
            "mount -t tmpfs -o size=16k tmpfs small || exit 99
             head -c 16384 /dev/zero > small/full; ./vmatlas record -q -o small/F {program}"
        ));
        let output = unshare.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (status, errors) = with_disk("touch ran");
    assert_eq!(status, Some(2), "{errors}");
    assert!(errors.contains("No space left on device"), "{errors}");
    assert!(place.path("ran").exists(), "the program has run");
    let (status, errors) = with_disk("sh -c 'exit 3'");
    assert_eq!(status, Some(3), "{errors}");
}
