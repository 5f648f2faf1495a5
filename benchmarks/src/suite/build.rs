//! The cost of building a program that prints its rows: the CPU time of cargo and its children for
//! a clean build that depends on the row crate alone. Target: no more than with procfs.

use super::Scale;
use crate::measure::{Contender, cpu_nanos, race};
use crate::report::{Section, Target};
use crate::target::repository;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The most crates that the row crate may depend on.
const MOST_CRATES: usize = 3;

/// Measures and returns the table.
pub fn run(scale: Scale) -> Section {
    let mut section = Section::new("building a program that prints rows, CPU time");
    let made = tempfile::tempdir().map_err(|error| error.to_string()).and_then(|directory| {
        let path = repository().join("crates/vmatlas-maps");
        let ours = Package::new(
            directory.path(),
            "vmatlas",
            &format!("vmatlas-maps = {{ path = {path:?} }}"),
        )?;
        let peer = "procfs = { version = \"0.18\", default-features = false }";
        Ok((ours, Package::new(directory.path(), "procfs", peer)?, directory))
    });
    let (ours, peer, _directory) = match made {
        Ok(made) => made,
        Err(why) => {
            section.count("packages", &why, "", Some(false));
            return section;
        }
    };
    // A quick run only checks that ours builds.
    let packages = if scale.quick { vec![&ours] } else { vec![&ours, &peer] };
    let profiles = if scale.quick { vec!["dev"] } else { vec!["dev", "release"] };
    for profile in profiles {
        let contenders = packages.iter().map(|package| package.contender(profile)).collect();
        let series = race(if scale.quick { 1 } else { 3 }, contenders);
        let target = series.get(1).map_or(Target::None, |peer| Target::AtMost(1.0, peer));
        let reference = series.last().unwrap_or(&series[0]);
        section.times(&series[0], reference, &[target]);
        series[1..].iter().for_each(|peer| section.times(peer, reference, &[]));
    }
    for package in &packages {
        let is_ours = package.name == ours.name;
        match package.crates_below() {
            Ok(below) => {
                let name = format!("{}: crates below it", package.name);
                let most = format!("≤ {MOST_CRATES}");
                let (target, reached) =
                    if is_ours { (most.as_str(), Some(below <= MOST_CRATES)) } else { ("", None) };
                section.count(&name, &below.to_string(), target, reached);
            }
            Err(why) => section.count(&package.name, &why, "", Some(false)),
        }
        let value = if package.compiles_c() { "runs" } else { "does not run" };
        let (target, reached) =
            if is_ours { ("does not run", Some(!package.compiles_c())) } else { ("", None) };
        section.count(&format!("{}: C compiler", package.name), value, target, reached);
    }
    section.note(
        "CPU time is user and system time of cargo and all it starts, by /proc/self/stat, to 10 ms; \
         each run has a new target directory, and nothing is downloaded. Ratios are to procfs.",
    );
    section
}

/// A package with one program in it.
struct Package {
    name: String,
    directory: PathBuf,
}

impl Package {
    fn new(parent: &Path, name: &str, dependency: &str) -> Result<Package, String> {
        let directory = parent.join(name);
        let package = Package { name: name.to_owned(), directory };
        let source = repository().join(format!("benchmarks/programs/rows_{name}.rs"));
        let manifest = format!(
            "[package]\nname = \"rows\"\nedition = \"2024\"\n[dependencies]\n{dependency}\n[workspace]\n"
        );
        // Build scripts take this for a C compiler; the linker has another name.
        let compiler = format!("#!/bin/sh\n: > {:?}\nexec cc \"$@\"\n", package.c_sign());
        let written = fs::create_dir_all(package.directory.join("src"))
            .and_then(|()| fs::copy(source, package.directory.join("src/main.rs")))
            .and_then(|_| fs::write(package.directory.join("Cargo.toml"), manifest))
            // The versions are those of the workspace, which are already downloaded.
            .and_then(|()| {
                fs::copy(repository().join("Cargo.lock"), package.directory.join("Cargo.lock"))
            })
            .and_then(|_| fs::write(package.directory.join("compiler"), compiler));
        written.map_err(|error| format!("{}: {error}", package.directory.display()))?;
        Ok(package)
    }

    /// A file that exists once a C compiler has run.
    fn c_sign(&self) -> PathBuf {
        self.directory.join("c")
    }

    fn compiles_c(&self) -> bool {
        self.c_sign().exists()
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.args(["--offline", "--quiet"]).args(arguments).current_dir(&self.directory);
        let compiler = format!("sh {}", self.directory.join("compiler").display());
        cargo.env("CC", &compiler).env("CXX", &compiler);
        cargo
    }

    fn contender(&self, profile: &'static str) -> Contender<'_> {
        Contender::timed(&format!("{}, {profile}", self.name), move || {
            let target = tempfile::tempdir().map_err(|error| error.to_string())?;
            let mut build = self.cargo(&["build", "--profile", profile, "--target-dir"]);
            let before = cpu_nanos()?;
            let built = build.arg(target.path()).status().map_err(|error| error.to_string())?;
            let nanos = cpu_nanos()? - before;
            if !built.success() {
                return Err(format!("failed: {built}"));
            }
            let folder = if profile == "dev" { "debug" } else { profile };
            check(&target.path().join(folder).join("rows"))?;
            Ok(nanos)
        })
    }

    /// Counts the crates that are compiled for the row crate.
    fn crates_below(&self) -> Result<usize, String> {
        let tree = self.cargo(&["tree", "--prefix", "none", "--edges", "normal,build"]).output();
        let tree = tree.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&tree.stdout);
        let crates: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.split(' ').next())
            .filter(|name| *name != "rows")
            .collect();
        if tree.status.success() {
            Ok(crates.len().saturating_sub(1))
        } else {
            Err(format!("failed: {}", tree.status))
        }
    }
}

/// Checks that a program prints rows with its own name and its stack among them.
fn check(program: &Path) -> Result<(), String> {
    let output = Command::new(program).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("failed: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).to_lowercase();
    let rows = text.lines().filter(|row| row.split_once('-').is_some()).count();
    let own = program.to_string_lossy().to_lowercase();
    if rows < 10 || !text.contains("stack") || !text.contains(&own) {
        return Err(format!("wrong answer: {rows} rows"));
    }
    Ok(())
}
