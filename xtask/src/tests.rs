//! Runs all tests, and installs the packages that they need.

use crate::{cargo, shown};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// The needs of tests: a command or file that shows the need is met, and its Debian package.
const NEEDS: &[(&str, &str)] = &[
    ("cc", "gcc"),
    ("c++", "g++"),
    ("/usr/include/stdio.h", "libc6-dev"),
    ("/usr/lib/debug/.build-id", "libc6-dbg"),
    ("readelf", "binutils"),
    ("python3", "python3"),
    ("node", "nodejs"),
    ("javac", "default-jdk-headless"),
    ("go", "golang-go"),
    ("setpriv", "util-linux"),
    ("strace", "strace"),
    ("jq", "jq"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("mandoc", "mandoc"),
    ("xz", "xz-utils"),
    ("dwz", "dwz"),
    ("zstd", "zstd"),
    ("gcore", "gdb"),
    // The shells whose completions are tested, bash also without its package of completions.
    ("bash", "bash"),
    ("/usr/share/bash-completion/bash_completion", "bash-completion"),
    ("zsh", "zsh"),
    ("fish", "fish"),
    // Runtimes whose memory gets labels.
    ("/usr/lib/python3/dist-packages/numpy", "python3-numpy"),
    ("ruby", "ruby"),
    ("chromium", "chromium"),
    // Allocators whose memory gets labels, 32-bit programs, and another C library.
    ("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2", "libjemalloc2"),
    ("/usr/lib/x86_64-linux-gnu/libmimalloc.so.2", "libmimalloc2.0"),
    ("/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
    ("musl-gcc", "musl-tools"),
    ("/usr/lib32/libc.so", "libc6-dev-i386"),
    // gcc-multilib conflicts with compilers for other machines, so it is not used.
    ("/usr/lib/gcc/x86_64-linux-gnu/12/32/libgcc.a", "lib32gcc-12-dev"),
];

pub(crate) fn run_tests() -> Result<(), String> {
    let (mut passed, mut failed, mut ignored) = (0, 0, 0);
    let mut command = cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]).stdout(Stdio::piped());
    eprintln!("> {}", shown(&command));
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let output = child.stdout.take().map(BufReader::new);
    for line in output.into_iter().flat_map(BufReader::lines) {
        let line = line.map_err(|error| error.to_string())?;
        if let Some(result) = line.strip_prefix("test result: ") {
            passed += count(result, "passed");
            failed += count(result, "failed");
            ignored += count(result, "ignored");
        }
        println!("{line}");
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    println!("{passed} passed, {failed} failed, {ignored} skipped");
    if status.success() { Ok(()) } else { Err("tests failed".to_owned()) }
}

/// Parses the number before a word: `ok. 12 passed; 0 failed; …`.
fn count(result: &str, word: &str) -> u64 {
    let mut words = result.split([' ', ';']).filter(|word| !word.is_empty());
    let mut number = 0;
    words.find_map(|next| {
        if next == word {
            return Some(number);
        }
        number = next.parse().unwrap_or(0);
        None
    });
    number
}

pub(crate) fn run() -> Result<(), String> {
    install(NEEDS)?;
    run_tests()
}

/// Installs missing packages as root on Debian; otherwise names them.
pub(crate) fn install(needs: &[(&str, &str)]) -> Result<(), String> {
    let missing: Vec<&str> =
        needs.iter().filter(|(sign, _)| !is_there(sign)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    if !root || !Path::new("/etc/debian_version").exists() {
        eprintln!(
            "these packages (Debian's names) are needed for all of it, and missing: {}",
            missing.join(" ")
        );
        return Ok(());
    }
    crate::run(Command::new("apt-get").args(["update", "-qq"]))?;
    let apt = ["install", "-qq", "--yes", "--no-install-recommends"];
    crate::run(
        Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(apt).args(missing),
    )
}

fn is_there(sign: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if sign.starts_with('/') {
        return Path::new(sign).exists();
    }
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|dir| dir.join(sign).exists())
}
