//! Checks of the code besides its tests.

use crate::{cargo, circles, deny, fuzz, package, root, schema, sentences};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn run() -> Result<(), String> {
    layering()?;
    sentences::check()?;
    schema::check()?;
    deny::run_deny()?;
    package::run_package()?;
    run_cargo(&["fmt", "--all", "--check"])?;
    run_cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"])?;
    // Reading needs no C compiler: without features, the build must pass with one that fails. The
    // features of packages that are built together add up, so those without the model come first.
    let without_model = ["--package=vmatlas-linux", "--package=vmatlas"];
    let with_model = ["--features=recordings", "--package=vmatlas-recording"];
    for more in [&[][..], &with_model] {
        let clippy = ["clippy", "--quiet", "--package=vmatlas-explain", "--no-default-features"];
        let deny = ["--", "--deny", "warnings"];
        let args = clippy.iter().chain(&without_model).chain(more).chain(&deny);
        crate::run(cargo().env("CC", "false").args(args))?;
    }
    // The test of the library without the model.
    let test = ["--package=vmatlas", "--no-default-features", "--test=without_recordings"];
    crate::run(cargo().env("CC", "false").args(["test", "--quiet"]).args(test))?;
    crate::run(cargo().env("RUSTDOCFLAGS", "--deny warnings").args([
        "doc",
        "--quiet",
        "--workspace",
        "--no-deps",
    ]))?;
    crate::bench(&["--quick".to_owned()])?;
    fuzz::run_targets(&["--seconds".to_owned(), fuzz::SECONDS_IN_CI.to_string()])
}

fn run_cargo(args: &[&str]) -> Result<(), String> {
    crate::run(cargo().args(args))
}

/// The crates, from the bottom up, with the crates of ours that each may depend on, and whether it
/// does no input or output. Their manifests may declare no more.
pub(crate) const LAYERS: [(&str, &[&str], bool); 8] = [
    ("vmatlas-maps", &[], true),
    ("vmatlas-space", &["vmatlas-maps"], true),
    ("vmatlas-recording", &["vmatlas-maps", "vmatlas-space"], true),
    ("vmatlas-object", &["vmatlas-maps"], true),
    ("vmatlas-explain", &["vmatlas-maps", "vmatlas-object"], true),
    (
        "vmatlas-linux",
        &[
            "vmatlas-explain",
            "vmatlas-maps",
            "vmatlas-object",
            "vmatlas-recording",
            "vmatlas-space",
        ],
        false,
    ),
    (
        "vmatlas",
        &[
            "vmatlas-explain",
            "vmatlas-linux",
            "vmatlas-maps",
            "vmatlas-object",
            "vmatlas-recording",
            "vmatlas-space",
        ],
        false,
    ),
    ("vmatlas-cli", &["vmatlas"], false),
];

/// The dependencies that pure crates may have, directly or not. None of them does input or output
/// (zstd is used on bytes only; its C code is the reference implementation's).
const PURE: [&str; 38] = [
    "addr2line",
    "adler2",
    "aho-corasick",
    "bitvec",
    "cfg-if",
    "cpp_demangle",
    "crc32fast",
    "flate2",
    "funty",
    "gimli",
    "iced-x86",
    "lazy_static",
    "memchr",
    "miniz_oxide",
    "num-traits",
    "object",
    "proc-macro2",
    "quote",
    "radium",
    "regex-automata",
    "regex-syntax",
    "rustc-demangle",
    "ruzstd",
    "simd-adler32",
    "stable_deref_trait",
    "syn",
    "tap",
    "thiserror",
    "thiserror-impl",
    "twox-hash",
    "unicode-ident",
    "wyz",
    "xz4rust",
    "yaxpeax-arch",
    "yaxpeax-arm",
    "zstd",
    "zstd-safe",
    "zstd-sys",
];

/// Words that indicate input and output.
const IO: [&str; 7] =
    ["std::fs", "std::io", "std::net", "std::process", "std::os", "std::env", "std::thread"];

/// Paths that a pure crate may nevertheless name: the types that report errors of its caller's
/// sources. The module itself may not be imported, because that would bring the rest of it into
/// reach.
const ERRORS: [&str; 3] = ["std::io::ErrorKind", "std::io::Error", "std::io::Result"];

/// Words that leave the layer, the place where they are forbidden, and the rule.
const FORBIDDEN: [(&str, &[&str], &str); 2] = [
    ("vmatlas-linux", &["println!", "print!"], "vmatlas-linux prints nothing"),
    (
        "vmatlas-cli",
        &["rustix", "libc", "std::os", "\"/proc/", "\"/sys/"],
        "the command leaves the kernel to vmatlas",
    ),
];

/// Checks that the crates keep to their layers, see ARCHITECTURE.md: by their manifests, and by the
/// words of their code.
pub(crate) fn layering() -> Result<(), String> {
    let mut faults = Vec::new();
    for (name, below, is_pure) in LAYERS {
        let used = dependencies(name, &[])?;
        let is_ours = |other: &&String| LAYERS.iter().any(|(known, ..)| known == other);
        for other in used.direct.iter().filter(is_ours) {
            if !below.contains(&other.as_str()) {
                faults.push(format!("{name} depends on {other}, which is not below it"));
            }
        }
        if is_pure {
            for other in used.all.iter().filter(|other| !is_ours(other)) {
                if !PURE.contains(&other.as_str()) {
                    faults.push(format!(
                        "{name} depends on {other}; is it known to do no input or output?"
                    ));
                }
            }
            words(name, &IO, "a pure crate does no input or output", &mut faults)?;
        }
    }
    for name in ["vmatlas-linux", "vmatlas"] {
        let used = dependencies(name, &["--no-default-features"])?;
        if used.all.contains("vmatlas-space") {
            faults.push(format!("{name} depends on vmatlas-space without the feature recordings"));
        }
    }
    for (name, list, rule) in FORBIDDEN {
        words(name, list, rule, &mut faults)?;
    }
    for name in ["vmatlas", "vmatlas-cli"] {
        for circle in circles::of_crate(name)? {
            faults.push(format!("{name}: these modules use each other: {}", circle.join(", ")));
        }
    }
    kernel_constants(&mut faults)?;
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

/// Checks that the command names no constant of the kernel: code that needs one belongs in the
/// library.
fn kernel_constants(faults: &mut Vec<String>) -> Result<(), String> {
    const PREFIXES: [&str; 12] = [
        "AT_", "MADV_", "MAP_", "MREMAP_", "PROT_", "PR_", "PTRACE_", "RLIMIT_", "SIG", "SYS_",
        "CLONE_", "UFFDIO_",
    ];
    for (path, number, line) in code(&root().join("crates/vmatlas-cli/src"))? {
        let code = without_strings(&line);
        let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
        let is_constant = |word: &&str| {
            let is_upper =
                word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
            is_upper && PREFIXES.iter().any(|p| word.starts_with(p) && word.len() > p.len() + 1)
        };
        if let Some(word) = words.into_iter().find(is_constant) {
            let place = path.display();
            faults.push(format!(
                "{place}:{number}: the command names a constant of the kernel: {word}"
            ));
        }
    }
    Ok(())
}

/// Lists the circles of all crates.
pub(crate) fn print_circles() -> Result<(), String> {
    for (name, ..) in LAYERS {
        for circle in circles::of_crate(name)? {
            println!("{name}: {}", circle.join(", "));
        }
    }
    Ok(())
}

/// The normal dependencies of one of our crates.
struct Dependencies {
    direct: BTreeSet<String>,
    all: BTreeSet<String>,
}

fn dependencies(name: &str, features: &[&str]) -> Result<Dependencies, String> {
    let tree = |depth: &str| {
        let package = format!("--package={name}");
        let args = ["tree", &package, "--edges=normal", "--prefix=none", "--depth", depth];
        let tree = cargo().args(args).args(features).output().map_err(|error| error.to_string())?;
        let tree = String::from_utf8_lossy(&tree.stdout).into_owned();
        let names = tree.lines().filter_map(|line| line.split(' ').next());
        let mut used: BTreeSet<String> = names.map(str::to_owned).collect();
        // The list begins with the crate itself.
        if used.remove(name) { Ok(used) } else { Err(format!("cargo tree does not show {name}")) }
    };
    Ok(Dependencies { direct: tree("1")?, all: tree("99")? })
}

/// Reports the lines of a crate that contain one of these words. Tests are exempt.
fn words(name: &str, list: &[&str], rule: &str, faults: &mut Vec<String>) -> Result<(), String> {
    let lines = code(&root().join("crates").join(name).join("src"))?;
    let tests = |path: &Path| path.iter().any(|part| part == "tests" || part == "tests.rs");
    for (path, number, line) in imports_in_full(lines).into_iter().filter(|(path, ..)| !tests(path))
    {
        let code = ERRORS.iter().fold(without_strings(&line), |code, name| code.replace(name, ""));
        // A word in quotation marks is searched in strings, too; others only in code.
        let is_in = |word: &&str| if word.starts_with('"') { &line } else { &code }.contains(word);
        if list.iter().any(is_in) {
            faults.push(format!("{}:{number}: {rule}: {}", path.display(), line.trim()));
        }
    }
    Ok(())
}

/// Rewrites `use std::{fs, …}` as `std::fs` and so on, so that both forms are found.
fn imports_in_full(lines: Vec<(PathBuf, usize, String)>) -> Vec<(PathBuf, usize, String)> {
    let mut full: Vec<(PathBuf, usize, String)> = Vec::new();
    let mut is_open = false;
    for (path, number, line) in lines {
        match full.last_mut().filter(|_| is_open) {
            Some((.., start)) => start.push_str(line.trim()),
            None => full.push((path, number, line)),
        }
        let Some((.., last)) = full.last_mut() else { continue };
        let Some((before, parts)) = last.split_once("use std::{") else { continue };
        is_open = !parts.contains(';');
        if !is_open {
            *last = format!("{before}use std::{}", separate(parts).join(" std::"));
        }
    }
    full
}

/// Splits at the commas that stand in no inner braces.
fn separate(parts: &str) -> Vec<&str> {
    let mut depth = 0;
    let is_end = |c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    };
    parts.split(is_end).map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// A line without the text between quotation marks.
fn without_strings(line: &str) -> String {
    line.replace("\\\"", "").split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

/// Reads the lines of code below a folder, without comments.
pub(crate) fn code(dir: &Path) -> Result<Vec<(PathBuf, usize, String)>, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_seen_however_they_are_written() {
        let check = |text: &str| {
            let lines = text.lines().map(|line| (PathBuf::new(), 1, line.to_owned())).collect();
            let full = imports_in_full(lines);
            full.into_iter().map(|(.., line)| line).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(check("use std::fmt;\nfn f() {}"), "use std::fmt;\nfn f() {}");
        let full = check(
            "use std::{\n    cell::{Cell, OnceCell},\n    fs::{self, File},\n    io,\n};\nfn f() {}",
        );
        assert_eq!(
            full,
            "use std::cell::{Cell, OnceCell} std::fs::{self, File} std::io std::};\nfn f() {}"
        );
    }
}
