//! Runs the command inside real kernels: Debian's cloud kernels, in qemu without virtualisation.
//!
//! Kernels stay in `~/.cache/vmatlas/kernels`, because Debian drops older ones. Delete a line's
//! folder to fetch a newer version of it.

mod debian;
mod initramfs;

use crate::{cargo, run, target_dir, tests};
use debian::{Archive, Line};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// A machine that qemu emulates, with the Rust target and compiler for it.
struct Machine {
    name: &'static str,
    /// Debian's name for the kernel's architecture.
    kernel: &'static str,
    /// The Rust target of a static program; musl, because Rust ships all that linking needs.
    target: &'static str,
    /// The C compiler for zstd, and its Debian package.
    compiler: (&'static str, &'static str),
    qemu: &'static str,
    package: &'static str,
    /// The qemu devices: a processor with all features, such as protection keys; and a second
    /// serial port, for the output of the command.
    devices: &'static [&'static str],
    /// The serial ports of kernel messages and of the command.
    ports: [&'static str; 2],
}

const X86: Machine = Machine {
    name: "amd64",
    kernel: "amd64",
    target: "x86_64-unknown-linux-musl",
    compiler: ("gcc", "gcc"),
    qemu: "qemu-system-x86_64",
    package: "qemu-system-x86",
    devices: &["-cpu", "max", "-device", "isa-serial,chardev=output,index=1"],
    ports: ["ttyS0", "ttyS1"],
};

const MACHINES: [Machine; 3] = [
    X86,
    // A 32-bit program on a 64-bit kernel: Debian has no cloud kernel of 32 bits.
    Machine {
        name: "i386",
        target: "i686-unknown-linux-musl",
        compiler: ("i686-linux-gnu-gcc", "gcc-i686-linux-gnu"),
        ..X86
    },
    Machine {
        name: "arm64",
        kernel: "arm64",
        target: "aarch64-unknown-linux-musl",
        compiler: ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
        qemu: "qemu-system-aarch64",
        package: "qemu-system-arm",
        // The architecture's own pointer authentication is slow to emulate.
        devices: &[
            "-machine",
            "virt",
            "-cpu",
            "max,pauth-impdef=on",
            "-device",
            "pci-serial,chardev=output",
        ],
        ports: ["ttyAMA0", "ttyS0"],
    },
];

/// The longest run of a kernel.
const LIMIT: Duration = Duration::from_secs(600);

struct Options {
    machine: Machine,
    lines: Vec<Line>,
    jobs: usize,
    /// Arguments of vmatlas in the kernel.
    command: Vec<String>,
    /// Whether to show the output; set if the command is not `verify`.
    show: bool,
}

pub(crate) fn run_kernels(args: &[String]) -> Result<(), String> {
    let Options { machine, mut lines, jobs, command, show } = options(args)?;
    let keys = (debian::KEYS, "debian-archive-keyring");
    tests::install(&[(machine.qemu, machine.package), machine.compiler, keys])?;
    let program = build(&machine)?;
    let archive = Archive::new(&cache()?.join(machine.kernel), machine.kernel)?;
    if lines.is_empty() {
        lines = archive.lines()?;
    }
    let kernels: Vec<_> =
        lines.into_iter().map(|line| (line.to_string(), archive.kernel(line))).collect();

    // The directory belongs to this run only: others may run at the same time.
    let dir = std::env::temp_dir().join(format!("vmatlas-kernels-{}", std::process::id()));
    let initramfs = dir.join("initramfs");
    fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    initramfs::write(&initramfs, &archive.busybox()?, &program, &command, machine.ports[1])?;

    let next = Mutex::new(kernels.iter());
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                // A separate block: otherwise the lock is held while the kernel runs.
                while let Some((name, vmlinuz)) = { next.lock().expect("no job panics").next() } {
                    let start = Instant::now();
                    let result = vmlinuz
                        .clone()
                        .and_then(|vmlinuz| boot(&machine, &vmlinuz, &initramfs, &dir.join(name)));
                    let seconds = start.elapsed().as_secs_f64();
                    let (text, good) = report(result, show);
                    println!("{name:>5} {seconds:>5.1} s  {text}");
                    if !good {
                        failed.lock().expect("no job panics").push(name.clone());
                    }
                }
            });
        }
    });
    fs::remove_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let failed = failed.into_inner().expect("no job panics");
    if failed.is_empty() { Ok(()) } else { Err(format!("failed on: {}", failed.join(" "))) }
}

fn options(args: &[String]) -> Result<Options, String> {
    let mut lines = Vec::new();
    let (mut name, mut jobs) = ("amd64", 2);
    let mut command = vec!["verify".to_owned()];
    let mut show = false;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} takes a value"));
        match arg.as_str() {
            "--arch" => name = value()?,
            "-j" => {
                let number = value()?.parse().ok().filter(|jobs| *jobs > 0);
                jobs = number.ok_or("-j takes a number")?;
            }
            "--random" | "--seed" => command.extend([arg.clone(), value()?.clone()]),
            "--" => {
                command = args.by_ref().cloned().collect();
                show = true;
            }
            line => lines.push(line.parse()?),
        }
    }
    if command == ["verify"] {
        command.extend(scenarios()?);
    }
    let machine = MACHINES.into_iter().find(|machine| machine.name == name);
    let machine = machine.ok_or("--arch is one of amd64, i386, arm64")?;
    Ok(Options { machine, lines, jobs, command, show })
}

/// The scenario files, by their paths in the initramfs.
fn scenarios() -> Result<Vec<String>, String> {
    let files = initramfs::scenarios()?;
    Ok(files.iter().map(|(name, _)| format!("/{name}")).collect())
}

/// Builds a static vmatlas.
fn build(machine: &Machine) -> Result<PathBuf, String> {
    let installed = Command::new("rustc")
        .args(["--print=target-libdir", "--target", machine.target])
        .output()
        .map_err(|error| format!("rustc: {error}"))?;
    let there = Path::new(String::from_utf8_lossy(&installed.stdout).trim()).exists();
    let added =
        there || run(Command::new("rustup").args(["target", "add", machine.target])).is_ok();
    let mut cargo = cargo();
    let target = if added {
        let name = machine.target.replace('-', "_");
        cargo.env(format!("CARGO_TARGET_{}_LINKER", name.to_uppercase()), "rust-lld");
        // A compiler for the other C library works if it adds none of that library's checks.
        cargo.env(format!("CC_{name}"), machine.compiler.0);
        cargo.env(format!("CFLAGS_{name}"), "-U_FORTIFY_SOURCE");
        machine.target.to_owned()
    } else {
        // If no target can be fetched, use the machine's own C library.
        cargo.env("RUSTFLAGS", "-Ctarget-feature=+crt-static");
        machine.target.replace("musl", "gnu")
    };
    let build = ["build", "--quiet", "--profile=kernels", "--package=vmatlas-cli", "--target"];
    run(cargo.args(build).arg(&target))?;
    Ok(target_dir().join(target).join("kernels/vmatlas"))
}

fn cache() -> Result<PathBuf, String> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    Ok(cache.ok_or("neither XDG_CACHE_HOME nor HOME is set")?.join("vmatlas/kernels"))
}

/// The result of a run in a kernel.
struct Outcome {
    /// The kernel's version.
    release: String,
    output: String,
    /// The exit status of the command.
    status: String,
}

/// Boots a kernel, which runs the command and powers off.
fn boot(
    machine: &Machine,
    vmlinuz: &Path,
    initramfs: &Path,
    dir: &Path,
) -> Result<Outcome, String> {
    fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let (console, output) = (dir.join("console"), dir.join("output"));
    let mut qemu = Command::new(machine.qemu);
    qemu.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"])
        .args(["-accel", "tcg", "-smp", "1", "-m", "1G"])
        .arg("-kernel")
        .arg(vmlinuz)
        .arg("-initrd")
        .arg(initramfs)
        .args(["-append", &parameters(machine.ports[0])])
        .args(["-serial", &format!("file:{}", console.display())])
        .args(["-chardev", &format!("file,id=output,path={}", output.display())])
        .args(machine.devices);
    let mut child = qemu
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error}", machine.qemu))?;
    let start = Instant::now();
    let ended = loop {
        if child.try_wait().map_err(|error| error.to_string())?.is_some() {
            break true;
        }
        if start.elapsed() > LIMIT {
            // The child may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
            break false;
        }
        thread::sleep(Duration::from_millis(50));
    };
    let text = |path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let output = text(output).unwrap_or_default();
    if let Some(outcome) = outcome(&output) {
        return Ok(outcome);
    }
    let why = if ended { "it ended early" } else { "it took too long" };
    Err(format!("{why}\n{output}\n{}", text(console).unwrap_or_default()))
}

/// The kernel's parameters: few messages, a fast boot, reboot on panic, and the features that
/// scenarios need.
fn parameters(console: &str) -> String {
    format!("console={console} quiet loglevel=3 mitigations=off panic=-1 secretmem.enable=1")
}

/// Parses the output of init.
fn outcome(output: &str) -> Option<Outcome> {
    let (release, rest) = output.split_once('\n')?;
    let (output, status) = rest.trim_end().rsplit_once("\nexit ")?;
    let [release, output, status] = [release, output.trim_end(), status].map(str::to_owned);
    Some(Outcome { release, output, status })
}

/// The text to print, and whether the run succeeded.
fn report(result: Result<Outcome, String>, show: bool) -> (String, bool) {
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(message) => return (message, false),
    };
    let good = outcome.status == "0";
    let last = outcome.output.lines().next_back().unwrap_or_default();
    let mut text = format!("{}: {last}", outcome.release);
    if show || !good {
        text = format!("{}, exit {}\n{}", outcome.release, outcome.status, outcome.output);
    }
    (text, good)
}
