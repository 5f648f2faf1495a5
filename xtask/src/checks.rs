//! What must hold of the code besides its tests.

use crate::{cargo, fuzz, root};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn run() -> Result<(), String> {
    layering()?;
    run_cargo(&["fmt", "--all", "--check"])?;
    run_cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"])?;
    crate::run(cargo().env("RUSTDOCFLAGS", "--deny warnings").args([
        "doc",
        "--quiet",
        "--workspace",
        "--no-deps",
    ]))?;
    crate::bench(&["--quick".to_owned()])?;
    fuzz::run_targets(&[])
}

fn run_cargo(args: &[&str]) -> Result<(), String> {
    crate::run(cargo().args(args))
}

/// All that the pure crate may depend on: none of these can do input or output (zstd is used on
/// bytes only, and its code in C is the reference implementation's).
const PURE: [&str; 27] = [
    "aho-corasick",
    "bitvec",
    "cfg-if",
    "crc32fast",
    "funty",
    "iced-x86",
    "lazy_static",
    "memchr",
    "num-traits",
    "object",
    "proc-macro2",
    "quote",
    "radium",
    "regex",
    "regex-automata",
    "regex-syntax",
    "syn",
    "tap",
    "thiserror",
    "thiserror-impl",
    "unicode-ident",
    "wyz",
    "yaxpeax-arch",
    "yaxpeax-arm",
    "zstd",
    "zstd-safe",
    "zstd-sys",
];

/// Words that stand for leaving the layer, where they must not stand.
const FORBIDDEN: [(&str, &[&str], &str); 3] = [
    (
        "crates/vmatlas/src",
        &["std::fs", "std::io", "std::net", "std::process", "std::os", "std::env", "std::thread"],
        "the pure crate does no input or output",
    ),
    ("crates/vmatlas-linux/src", &["println!", "print!"], "vmatlas-linux prints nothing"),
    (
        "crates/vmatlas-cli/src",
        &["rustix", "std::os", "\"/proc/", "\"/sys/"],
        "the command leaves the kernel to vmatlas-linux",
    ),
];

/// The crates keep to their places, see ARCHITECTURE.md.
fn layering() -> Result<(), String> {
    let mut faults = Vec::new();
    let tree =
        cargo().args(["tree", "--package=vmatlas", "--edges=normal", "--prefix=none"]).output();
    let tree =
        String::from_utf8_lossy(&tree.map_err(|error| error.to_string())?.stdout).into_owned();
    let used: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    if !used.contains("vmatlas") {
        faults.push("cargo tree does not show the pure crate".to_owned());
    }
    for name in used.iter().filter(|name| **name != "vmatlas" && !PURE.contains(name)) {
        faults.push(format!(
            "the pure crate depends on {name}; is it known to do no input or output?"
        ));
    }
    for (dir, words, rule) in FORBIDDEN {
        let lines = code(&root().join(dir))?;
        // Tests may do what the crate may not: they say what they skip, and run programs.
        let tests = |path: &Path| path.iter().any(|part| part == "tests" || part == "tests.rs");
        for (path, number, line) in lines.into_iter().filter(|(path, ..)| !tests(path)) {
            // `use std::{fs, …}` is the same in other words.
            let line = line.replace("std::{", "std::");
            let code = without_strings(&line);
            // A path is a string, all else is code.
            let is_in =
                |word: &&str| if word.starts_with('"') { &line } else { &code }.contains(word);
            if words.iter().any(is_in) {
                faults.push(format!("{}:{number}: {rule}: {}", path.display(), line.trim()));
            }
        }
    }
    for (path, number, line) in code(&root().join("crates"))? {
        let word = |text: &str| {
            text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe")
        };
        if word(&line) && !path.starts_with(root().join("crates/vmatlas-linux/src/sys")) {
            faults.push(format!(
                "{}:{number}: unsafe code belongs in vmatlas-linux/src/sys",
                path.display()
            ));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

/// A line without what stands between quotation marks.
fn without_strings(line: &str) -> String {
    line.replace("\\\"", "").split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

/// The lines of code below a folder, without comments.
fn code(dir: &Path) -> Result<Vec<(PathBuf, usize, String)>, String> {
    let mut lines = Vec::new();
    let entries = fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            lines.extend(code(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            let of_file =
                text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
            lines.extend(of_file.map(|(at, line)| (path.clone(), at + 1, line.to_owned())));
        }
    }
    Ok(lines)
}
