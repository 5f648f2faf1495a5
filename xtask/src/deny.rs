//! Runs cargo-deny over all dependencies, by the rules of deny.toml.

use crate::{cargo, is_registry_in_reach, root, run, target_dir};
use std::process::Command;

pub(crate) const CRATE: &str = "cargo-deny@0.20.2";

/// Checks licences, banned crates and sources. cargo-deny is installed in the target folder.
/// Advisories are not checked: their database is a repository that CI cannot fetch.
pub(crate) fn run_deny() -> Result<(), String> {
    let tools = target_dir().join("tools");
    let program = tools.join("bin/cargo-deny");
    if is_registry_in_reach() {
        // Unoptimised: it takes 80 s of CPU to build, optimised 195 s, and runs for one second.
        let mut install = cargo();
        install.args(["install", "--quiet", "--locked", "--debug", CRATE, "--root"]);
        install.arg(&tools);
        run(install.arg("--target-dir").arg(tools.join("build")))?;
        // The build folder is large, and is not needed again.
        let _ = std::fs::remove_dir_all(tools.join("build"));
    } else if !program.exists() {
        eprintln!("NOT CHECKED: deny.toml, because cargo-deny cannot be fetched");
        return Ok(());
    }
    let mut deny = Command::new(program);
    deny.current_dir(root()).args(["--log-level", "error", "check"]);
    run(deny.args(["licenses", "bans", "sources"]))
}
