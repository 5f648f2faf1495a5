//! Launches programs, and checks that they do not notice the recorder.

use super::super::{LaunchError, Notice};
use super::collect::{Collect, Report, program, record, record_with, skipped, static_program};
use crate::copy_program::copy_program;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

#[test]
fn exit_status_and_signal_are_passed_on() {
    assert_eq!(record(&["exit", "0"]).status(), "exit status: 0");
    assert_eq!(record(&["exit", "7"]).status(), "exit status: 7");
    assert_eq!(record(&["signal", "15"]).status(), "signal: 15 (SIGTERM)");
    let faulted = record(&["fault"]);
    assert!(faulted.status().starts_with("signal: 11 (SIGSEGV)"));
    let signals = faulted.sink.reports.iter().filter_map(|report| match report {
        Report::Signalled { number, code, address } => Some((*number, *code, *address)),
        _ => None,
    });
    assert_eq!(signals.collect::<Vec<_>>(), [(libc::SIGSEGV, 1, 0x18)]);
    let ends =
        faulted.sink.reports.iter().filter(|report| matches!(report, Report::Exiting { .. }));
    assert_eq!(ends.count(), 1);
}

#[test]
fn what_cannot_be_executed() {
    let error = |command: Command| record_with(command, Collect::default()).outcome.unwrap_err();
    let missing = error(Command::new("/no/such/program"));
    assert!(matches!(missing, LaunchError::NotFound { .. }), "{missing:?}");
    assert_eq!(missing.exit_code(), 127);
    assert_eq!(missing.to_string(), "/no/such/program: not found");
    let missing = error(Command::new("no-such-program-in-the-path"));
    assert_eq!(missing.exit_code(), 127);
    let missing = error(Command::new("/dev/null/program"));
    assert_eq!(missing.exit_code(), 127);

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "no program").unwrap();
    let refused = error(Command::new(&file));
    assert!(matches!(refused, LaunchError::NotExecutable { .. }), "{refused:?}");
    assert_eq!(refused.exit_code(), 126);
    std::fs::write(&file, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let missing = error(Command::new(&file));
    assert!(matches!(missing, LaunchError::NoInterpreter { .. }), "{missing:?}");
    assert_eq!(missing.exit_code(), 127);
    // execvp(3) runs a text file as a shell script.
    std::fs::write(&file, "exit 3\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let script = directory.path().join("script");
    copy_program(&file, &script);
    assert_eq!(record_with(Command::new(&script), Collect::default()).status(), "exit status: 3");
}

#[test]
fn other_children_of_the_caller_are_left_alone() {
    let mut other = Command::new("/bin/sh").args(["-c", "exit 4"]).spawn().unwrap();
    record(&["exit", "0"]);
    assert_eq!(other.wait().unwrap().code(), Some(4));
}

#[test]
fn the_program_sees_what_it_would_have_seen() {
    let mut command = Command::new(program());
    command.arg("state");
    let bare = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let recorded = record(&["state"]).output;
    // std gives a child without pre_exec the mask of this thread, which is empty.
    assert_eq!(recorded, bare);
}

#[test]
fn the_mask_of_the_calling_thread_is_passed_on() {
    use crate::sys::wait::{block, set_signal_mask, signal_mask};
    let mask = signal_mask();
    block(libc::SIGUSR2);
    let output = record(&["state"]).output;
    set_signal_mask(&mask);
    assert!(output.contains("signal 12 1 0"), "{output}");
}

#[test]
fn programs_without_a_loader() {
    let mut command = Command::new(static_program());
    command.args(["map", "107"]);
    let recorded = record_with(command, Collect::default());
    assert_eq!(recorded.status(), "exit status: 0");
    assert_eq!(recorded.sink.mapped(107).len(), 1);
}

#[test]
fn a_program_that_uses_ptrace_is_reported() {
    let recorded = record(&["ptrace"]);
    assert_eq!(recorded.output, "-1\n-1\n-1\n");
    let notices = recorded.outcome.unwrap().notices;
    assert!(matches!(notices[..], [Notice::Ptrace { request: 0, .. }]), "{notices:?}");
}

#[test]
fn a_program_that_uses_io_uring_is_reported_once() {
    let notices = record(&["io-uring"]).outcome.unwrap().notices;
    assert!(matches!(notices[..], [Notice::IoUring { .. }]), "{notices:?}");
}

#[test]
fn filters_of_the_program() {
    let recorded = record(&["filter-errno"]);
    assert_eq!(recorded.output, "-7\n");
    assert_eq!(recorded.outcome.unwrap().notices, []);
    let recorded = record(&["filter-trace"]);
    assert_eq!(recorded.output, "0\n");
    let notices = recorded.outcome.unwrap().notices;
    assert!(matches!(notices[..], [Notice::ForeignFilter { .. }]), "{notices:?}");
}

/// Only root can become an unprivileged user.
#[test]
fn without_privileges() {
    use std::os::unix::process::CommandExt as _;
    if !rustix::process::geteuid().is_root() {
        skipped("needs root");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let set_uid = directory.path().join("recorded");
    copy_program(program(), &set_uid);
    std::fs::set_permissions(&set_uid, std::fs::Permissions::from_mode(0o4755)).unwrap();
    let mut command = Command::new(&set_uid);
    command.args(["map", "109"]).uid(65534).gid(65534);
    let recorded = record_with(command, Collect::default());
    assert_eq!(recorded.status(), "exit status: 0");
    assert_eq!(recorded.sink.mapped(109).len(), 1);
    // The file's owner is root.
    let notices = recorded.outcome.unwrap().notices;
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(matches!(&notices[0], Notice::Unprivileged { program, .. } if *program == set_uid));
    // Here the program itself gave its privileges up, which the recorder would have allowed.
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]);
    command.arg(&set_uid).args(["map", "110"]);
    let recorded = record_with(command, Collect::default());
    assert_eq!(recorded.status(), "exit status: 0");
    assert_eq!(recorded.sink.mapped(110).len(), 1);
    assert_eq!(recorded.outcome.unwrap().notices, []);
}
