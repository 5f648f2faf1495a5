//! `cargo xtask`: the commands of CI and developers besides `cargo` itself.

mod checks;
mod circles;
mod deny;
mod fuzz;
mod kernels;
mod package;
mod schema;
mod sentences;
mod tests;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str =
    "cargo xtask test            all tests; as root on Debian it installs what they need
cargo xtask ci              the checks: format, lints, documentation, packages, licences, benchmarks, fuzzing, layering
cargo xtask circles         the circles of modules that use each other, by crate
cargo xtask layering        checks that the crates keep to their layers
cargo xtask sentences       checks that docs/sentences lists what the commands print
cargo xtask schema          writes docs/schema, the JSON schemas of the documents, from their types
cargo xtask package         packs each crate as for publishing, and builds it from its package
cargo xtask deny            checks the licences, sources and versions of all dependencies, by deny.toml
cargo xtask bench [ARG…]    the benchmarks; arguments go to them
cargo xtask fuzz [TARGET] [--seconds N | --hours N] [-j N]
                            fuzz one target or all, 10 seconds each by default, or N hours in total
cargo xtask kernels [LINE…] [--arch amd64|i386|arm64] [-j N] [--random N] [--seed S] [-- ARG…]
                            vmatlas verify (or vmatlas ARG…) inside Debian's kernels under qemu, on
                            all lines or those given, such as 6.12";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) =
        args.split_first().map_or(("", args.as_slice()), |(first, rest)| (first.as_str(), rest));
    let result = match command {
        "test" => tests::run(),
        "ci" => checks::run(),
        "deny" => deny::run_deny(),
        "package" => package::run_package(),
        "layering" => checks::layering(),
        "sentences" => sentences::check(),
        "schema" => schema::write(),
        "circles" => checks::print_circles(),
        "bench" => bench(rest),
        "fuzz" => fuzz::run_targets(rest),
        "kernels" => kernels::run_kernels(rest),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn bench(args: &[String]) -> Result<(), String> {
    // What `--quick` measures means nothing.
    let is_quick = args.iter().any(|arg| arg == "--quick");
    let profile = if is_quick { "--profile=release" } else { "--profile=dist" };
    let build = ["build", "--quiet", profile, "--package=vmatlas-cli", "--package=benchmarks"];
    run(cargo().args(build))?;
    if !is_quick {
        // The measure `profiles` compares both.
        run(cargo().args(["build", "--quiet", "--profile=release", "--package=vmatlas-cli"]))?;
    }
    let run_it = ["run", "--quiet", profile, "--package=benchmarks", "--bin=benchmarks", "--"];
    run(cargo().args(run_it).args(args))
}

/// The root of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// The folder for all that cargo builds.
fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Whether cargo may ask the registry about a crate, and gets an answer.
fn is_registry_in_reach() -> bool {
    let offline = std::env::var_os("CARGO_NET_OFFLINE").is_some_and(|value| value == "true");
    // A crate of the lock file would be found without the registry.
    let info = || cargo().args(["info", "--quiet", deny::CRATE]).output();
    !offline && info().is_ok_and(|output| output.status.success())
}

/// The cargo that started this program, run in the workspace.
fn cargo() -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root());
    command
}

/// Runs a command to its end; fails if the command does.
fn run(command: &mut Command) -> Result<(), String> {
    let shown = shown(command);
    eprintln!("> {shown}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{shown}: {status}")),
        Err(error) => Err(format!("{shown}: {error}")),
    }
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
