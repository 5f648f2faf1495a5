//! Checks that every crate can be published: the files in its package, and that cargo packs it.

use crate::checks::LAYERS;
use crate::{cargo, is_registry_in_reach, run};

/// The files that a package must hold besides its code.
const MUST: [&str; 4] = ["Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

/// Packs all crates in order, and builds each from its package, as `cargo publish` does before it
/// uploads. Without the registry, which `cargo publish` asks for the versions that are there,
/// `cargo package` does the same.
pub(crate) fn run_package() -> Result<(), String> {
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
    match is_registry_in_reach() {
        true => package.args(["publish", "--dry-run"]),
        false => package.args(["package", "--offline"]),
    };
    let all_crates = ["--workspace", "--exclude=benchmarks", "--exclude=xtask"];
    run(package.args(["--quiet", "--allow-dirty"]).args(all_crates))
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
