//! Tests the accepted inputs and the errors for others.

use super::{Crashed, crash_program, explained};
use crate::copy_program::copy_program;
use crate::vmatlas::{vmatlas, vmatlas_with_input};

const MAPS: &[u8] = b"\
55d0c000-55d0d000 r-xp 00001000 fe:00 42                         /usr/bin/cat
55d0d000-55d0e000 r--p 00002000 fe:00 42                         /usr/bin/cat
55d0e000-55d0f000 rw-p 00000000 00:00 0                          [heap]
55d20000-55d30000 ---p 00000000 00:00 0 
";

/// The cause of an access to an address of `MAPS`, and the exit status.
fn at(address: &str) -> (String, i32) {
    let run = vmatlas_with_input(&["explain", "-", address, "--json"], MAPS);
    (run.json()["cause"].as_str().unwrap().to_owned(), run.status)
}

#[test]
fn an_address_of_a_target() {
    assert_eq!(at("10"), ("null-pointer".to_owned(), 0));
    assert_eq!(at("55d0d010"), ("write-to-read-only".to_owned(), 0));
    assert_eq!(at("55d25000"), ("no-access".to_owned(), 0));
    assert_eq!(at("55d0f010"), ("past-mapping".to_owned(), 0));
    assert_eq!(at("7f0000000000"), ("unmapped".to_owned(), 0));
    assert_eq!(at("6f77206f6c6c6568"), ("data-as-pointer".to_owned(), 0));
    // An access that the permissions allow does not fail.
    assert_eq!(at("55d0e010"), ("unknown".to_owned(), 1));
}

#[test]
fn an_address_of_a_live_process() {
    let run = vmatlas(&["explain", "self", "0x10"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.text().contains("---> "), "{}", run.text());
    assert!(run.text().contains("null-pointer"), "{}", run.text());
}

#[test]
fn the_map_has_an_arrow_where_the_address_is() {
    let run = vmatlas_with_input(&["explain", "-", "55d10000"], MAPS);
    let text = run.text();
    let line = text.lines().find(|line| line.contains("--->")).unwrap();
    assert!(line.contains("55d0f000-55d20000 nothing is mapped"), "{text}");
}

#[test]
fn inputs_without_a_crash() {
    let run = vmatlas_with_input(&["explain", "-"], MAPS);
    assert_eq!((run.status, run.text().as_str()), (1, ""), "{}", run.stderr);
    assert!(run.stderr.contains("no crash"), "{}", run.stderr);
    let run = vmatlas(&["explain", "self"]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("give an address"), "{}", run.stderr);
    // A zombie has ended, and may have crashed.
    assert!(!run.stderr.contains("lives"), "{}", run.stderr);
    let run = vmatlas(&["explain", "no-such-file"]);
    assert_eq!(run.status, 2);
    let run = vmatlas_with_input(&["explain", "-"], b"\x7fELF");
    assert_eq!(run.status, 2, "{}", run.stderr);
    // The log has crashes, of other processes.
    let line = "app[21875]: segfault at 7a8 ip 00007fdccdf44277 sp 00007ffe4b1a3a60 error 4 in libc.so[7fdccdeb3000+1c0000]\n";
    let run = vmatlas_with_input(&["explain", "-", "--pid", "1"], line.as_bytes());
    assert_eq!(run.status, 1, "{}", run.stderr);
    assert!(
        run.stderr.contains("no crash of process or thread 1, only of 21875"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("does not read"), "{}", run.stderr);
    assert_eq!(
        vmatlas_with_input(&["explain", "-", "-q", "--pid", "21875"], line.as_bytes()).status,
        0
    );
}

#[test]
fn a_core_from_a_pipe_and_a_cut_one() {
    let program = crash_program("crash-fp-g", "-O1 -g -fno-omit-frame-pointer");
    let crashed = Crashed::run(&program, "null_field");
    let core = std::fs::read(crashed.core().unwrap()).unwrap();
    let run = vmatlas_with_input(&["explain", "-", "--json"], &core);
    assert_eq!(run.json()["cause"], "null-pointer", "{}", run.stderr);
    // The notes come first in the file, so the cause is known without the memory.
    let run = vmatlas_with_input(&["explain", "-", "--json"], &core[..24 << 10]);
    assert_eq!(run.json()["cause"], "null-pointer", "{}", run.stderr);
    assert!(run.stderr.contains("cut"), "{}", run.stderr);
}

#[test]
fn a_program_whose_name_has_control_characters() {
    let program = crash_program("crash-fp-g", "-O1 -g -fno-omit-frame-pointer");
    let dir = tempfile::tempdir().unwrap();
    let odd = dir.path().join("a\x1b[31m\nb");
    copy_program(program, &odd);
    let crashed = Crashed::run(&odd, "null_field");
    let run = vmatlas(&["explain", crashed.core().unwrap().to_str().unwrap()]);
    let text = run.text();
    assert!(text.contains(r"  who           a\x1b[31m\x0ab ("), "{text}");
    // The core does not hold its code.
    assert!(text.contains("  instruction   0x"), "{text}");
    let odd = |c: char| c.is_control() && c != '\n';
    assert!(!text.contains(odd) && !run.stderr.contains(odd), "{text}{}", run.stderr);
}

/// Writes a report as apport does: each piece of the compressed core is padded by itself.
const APPORT: &str = "import base64, sys, zlib
packer = zlib.compressobj(9, zlib.DEFLATED, 31)
core = open(sys.argv[1], 'rb').read()
pieces = [packer.compress(core[at:at + 50000]) for at in range(0, len(core), 50000)] + [packer.flush()]
print('ProblemType: Crash\\nSignal: 11\\nCoreDump: base64')
for piece in pieces:
    if piece:
        print(' ' + base64.b64encode(piece).decode())
print('Uname: Linux')";

#[test]
fn the_core_in_a_report_of_apport() {
    let program = crash_program("crash-fp-g", "-O1 -g -fno-omit-frame-pointer");
    let crashed = Crashed::run(&program, "null_field");
    let mut python = std::process::Command::new("python3");
    let report = python.arg("-c").arg(APPORT).arg(crashed.core().unwrap()).output().unwrap();
    assert!(report.status.success(), "{report:?}");
    let run = vmatlas_with_input(&["explain", "-", "--json"], &report.stdout);
    let document = run.json();
    assert_eq!(document["source"], "core", "{}", run.stderr);
    assert_eq!(document["cause"], "null-pointer", "{document}");
    // Without the core, the report's own fields are used.
    let run = vmatlas_with_input(&["explain", "-", "--json"], &report.stdout[..60]);
    assert_eq!(run.json()["source"], "apport", "{}", run.stderr);
}

/// Cores that kernels of other machines wrote. Their stacks are not unwound.
#[test]
fn cores_of_other_machines() {
    let document = explained("cores/arm64-6.1.core.zst");
    assert_eq!(document["cause"], "null-pointer", "{document}");
    assert_eq!(
        (&document["access"], &document["instruction"]),
        (&"write".into(), &"str w1, [x0]".into())
    );
    assert_eq!(document["facts"]["by"], "x0 = 0x10");
    for machine in ["armhf-6.1", "ppc64el-6.1", "riscv64-6.12", "s390x-6.1"] {
        let document = explained(&format!("cores/{machine}.core.zst"));
        assert_eq!(document["cause"], "null-pointer", "{machine}: {document}");
    }
}
