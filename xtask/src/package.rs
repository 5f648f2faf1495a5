//! Checks that every crate can be published: the files in its package, and that cargo packs it.

use crate::checks::LAYERS;
use crate::{cargo, run};

/// The files that a package must hold besides its code.
const MUST: [&str; 4] = ["Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

/// Packs all crates, as far as possible without a network. `cargo publish` builds each again from
/// its package, which takes minutes of CPU; `verify` requests that here.
pub(crate) fn run_package(verify: bool) -> Result<(), String> {
    let mut faults = Vec::new();
    for (name, ..) in LAYERS {
        let files = files(name)?;
        let missing = MUST.iter().filter(|must| !files.iter().any(|file| file == *must));
        faults.extend(missing.map(|missing| format!("{name}: {missing} is not in its package")));
        if files.iter().any(|file| file.starts_with("tests/")) {
            faults.push(format!("{name}: its tests cannot work outside of the repository"));
        }
    }
    if !faults.is_empty() {
        return Err(faults.join("\n"));
    }
    let mut package = cargo();
    package.args(["package", "--quiet", "--offline", "--allow-dirty", "--workspace"]);
    package.args(["--exclude=benchmarks", "--exclude=xtask"]);
    if !verify {
        package.arg("--no-verify");
    }
    run(&mut package)
}

fn files(name: &str) -> Result<Vec<String>, String> {
    let mut list = cargo();
    list.args(["package", "--quiet", "--offline", "--allow-dirty", "--list", "--package", name]);
    let output = list.output().map_err(|error| format!("cargo package: {error}"))?;
    if !output.status.success() {
        return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim_end()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}
