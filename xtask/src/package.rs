//! Checks that every crate can be published: the files in its package, and that cargo packs it.

use crate::checks::LAYERS;
use crate::{cargo, is_registry_in_reach, run, target_dir};
use std::path::PathBuf;

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
    forget_unpacked();
    let mut package = cargo();
    match is_registry_in_reach() {
        true => package.args(["publish", "--dry-run"]),
        false => package.args(["package", "--offline"]),
    };
    let all_crates = ["--workspace", "--exclude=benchmarks", "--exclude=xtask"];
    run(package.args(["--quiet", "--allow-dirty"]).args(all_crates))
}

/// Removes the crates that an earlier run unpacked, and what was built of them. cargo takes them for
/// those of this run, because the registry that it makes for the workspace has the same path, and the
/// crates the same version.
fn forget_unpacked() {
    let built = target_dir().join("debug/.fingerprint");
    for entry in std::fs::read_dir(built).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("vmatlas") {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let registries = home.and_then(|home| std::fs::read_dir(home.join("registry/src")).ok());
    for registry in registries.into_iter().flatten().flatten() {
        // Its address has no host, which the name of the folder would begin with.
        if registry.file_name().to_string_lossy().starts_with('-') {
            for (name, ..) in LAYERS {
                let unpacked = format!("{name}-{}", env!("CARGO_PKG_VERSION"));
                let _ = std::fs::remove_dir_all(registry.path().join(unpacked));
            }
        }
    }
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
