//! Checks of dependencies: their licences, and with cargo-deny the other rules of deny.toml.

use crate::{cargo, root, run};
use std::fs;

/// Checks the licence of every built crate. cargo-deny runs only if it is installed: it takes 195 s
/// of CPU to build (0.20.2), and one second to run.
pub(crate) fn run_deny() -> Result<(), String> {
    let path = root().join("deny.toml");
    let text = fs::read_to_string(&path).map_err(|error| format!("deny.toml: {error}"))?;
    let allowed = allowed(&text);
    let mut faults = Vec::new();
    for (package, licence) in licences()? {
        match permits(&licence, &allowed) {
            Ok(true) => {}
            Ok(false) => faults.push(format!("{package}: `{licence}` is not among deny.toml's")),
            Err(why) => faults.push(format!("{package}: `{licence}` cannot be read: {why}")),
        }
    }
    if !faults.is_empty() {
        return Err(faults.join("\n"));
    }
    let installed = cargo().args(["deny", "--version"]).output();
    if !installed.is_ok_and(|version| version.status.success()) {
        return Ok(());
    }
    // cargo-deny resolves all platforms, so cargo may download crates of other systems.
    run(cargo().args(["deny", "check", "licenses", "bans", "sources"]))
}

/// The licences that deny.toml allows.
fn allowed(text: &str) -> Vec<&str> {
    let lines = text.lines().skip_while(|line| line.trim() != "allow = [").skip(1);
    let list = lines.take_while(|line| line.trim() != "]");
    list.filter_map(|line| line.split('"').nth(1)).collect()
}

/// The packages that are built for this machine, with their licences.
fn licences() -> Result<Vec<(String, String)>, String> {
    let mut tree = cargo();
    tree.args(["tree", "--workspace", "--edges=all", "--all-features", "--prefix=none"]);
    tree.arg("--format={p}\t{l}");
    let output = tree.output().map_err(|error| format!("cargo tree: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let pair = |line: &str| {
        let (package, licence) = line.split_once('\t')?;
        // cargo tree marks repeated crates, such as a crate that its own tests depend on.
        let licence = licence.trim_end_matches(" (*)");
        Some((package.to_owned(), licence.to_owned()))
    };
    let mut all: Vec<_> = text.lines().filter_map(pair).collect();
    all.sort();
    all.dedup();
    if all.is_empty() { Err("cargo tree: no packages".to_owned()) } else { Ok(all) }
}

/// Whether the allowed licences satisfy an SPDX expression; `/` is an old form of `OR`.
fn permits(expression: &str, allowed: &[&str]) -> Result<bool, String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let permitted = either(&mut words, allowed)?;
    match words.next() {
        None => Ok(permitted),
        Some(word) => Err(format!("`{word}` is one too many")),
    }
}

type Words<'w> = std::iter::Peekable<std::str::SplitWhitespace<'w>>;

fn either(words: &mut Words<'_>, allowed: &[&str]) -> Result<bool, String> {
    let mut permitted = both(words, allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        permitted |= both(words, allowed)?;
    }
    Ok(permitted)
}

fn both(words: &mut Words<'_>, allowed: &[&str]) -> Result<bool, String> {
    let mut permitted = one(words, allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        permitted &= one(words, allowed)?;
    }
    Ok(permitted)
}

fn one(words: &mut Words<'_>, allowed: &[&str]) -> Result<bool, String> {
    let Some(word) = words.next() else { return Err("a licence is missing".to_owned()) };
    if word == "(" {
        let permitted = either(words, allowed)?;
        return words.next_if_eq(&")").map(|_| permitted).ok_or_else(|| "no `)`".to_owned());
    }
    if words.next_if_eq(&"WITH").is_none() {
        return Ok(allowed.contains(&word));
    }
    let exception = words.next().ok_or_else(|| "an exception is missing".to_owned())?;
    Ok(allowed.contains(&format!("{word} WITH {exception}").as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_judged_by_their_expression() {
        let allowed = ["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"];
        let judged = |expression| permits(expression, &allowed);
        for good in [
            "MIT",
            "MIT/CDDL-1.0",
            "CDDL-1.0 OR MIT",
            "(MIT OR CDDL-1.0) AND Zlib",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert_eq!(judged(good), Ok(true), "{good}");
        }
        for bad in [
            "CDDL-1.0",
            "MIT AND CDDL-1.0",
            "Apache-2.0",
            "Zlib AND (CDDL-1.0 OR GPL-3.0)",
            "MIT WITH x",
        ] {
            assert_eq!(judged(bad), Ok(false), "{bad}");
        }
        for none in ["", "MIT Zlib", "(MIT", "MIT OR", "MIT WITH"] {
            assert!(judged(none).is_err(), "{none}");
        }
    }

    #[test]
    fn the_list_is_that_of_deny_toml() {
        let list = allowed(
            "[x]\nallow = [\n    \"MIT\",\n    \"Zlib\", # of foldhash\n]\nelse = \"GPL\"\n",
        );
        assert_eq!(list, ["MIT", "Zlib"]);
    }
}
