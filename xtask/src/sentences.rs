//! Checks that docs/sentences lists the sentences that the commands print: all of the source files
//! that it names, and no others.

use crate::{checks, root};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The folders of which every source file with sentences has a heading.
const FOLDERS: [&str; 5] = [
    "vmatlas-explain/src/audit",
    "vmatlas-explain/src/explain",
    "vmatlas-explain/src/label",
    "vmatlas/src",
    "vmatlas-cli/src/output",
];
/// In these folders, what is not listed: `vmatlas access`, descriptions in schemas, and the rules of
/// audits, which docs/audit.md lists.
const LEFT_OUT: [&str; 3] = [
    "vmatlas-cli/src/output/access.rs",
    "vmatlas-cli/src/output/json/schema.rs",
    "vmatlas-explain/src/audit/rules.rs",
];

/// What the documents say of a source file.
#[derive(Default)]
struct Listed {
    sentences: Vec<String>,
    /// Strings that are no sentences, such as those that are searched for.
    others: Vec<String>,
    tests: Vec<String>,
}

/// Compares docs/sentences with the sources.
pub(crate) fn check() -> Result<(), String> {
    let mut faults = Vec::new();
    let listed = read_documents(&mut faults)?;
    let crates = root().join("crates");
    let lines = checks::code(&crates)?;
    let functions: BTreeSet<&str> = lines.iter().filter_map(|(.., line)| function(line)).collect();
    for (file, listed) in &listed {
        let Ok(text) = fs::read_to_string(crates.join(file)) else {
            faults.push(format!("{file}: there is no such file"));
            continue;
        };
        let literals = literals(&text).map_err(|error| format!("{file}: {error}"))?;
        faults.extend(
            differences(listed, &literals).into_iter().map(|fault| format!("{file}: {fault}")),
        );
        let name = |test: &String| test.rsplit("::").next().unwrap_or_default().to_owned();
        let unknown = listed.tests.iter().filter(|test| !functions.contains(&*name(test)));
        faults.extend(unknown.map(|test| format!("{file}: there is no test {test}")));
    }
    for file in files_in_folders(&crates)? {
        if !listed.contains_key(&file) && !LEFT_OUT.contains(&&*file) {
            let text = fs::read_to_string(crates.join(&file)).map_err(|error| error.to_string())?;
            let literals = literals(&text).map_err(|error| format!("{file}: {error}"))?;
            if literals.iter().any(|literal| pieces(literal, WORDS).next().is_some()) {
                faults.push(format!("{file}: docs/sentences has no heading for it"));
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

/// The name of a function that a line defines.
fn function(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("fn ")?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

fn files_in_folders(crates: &Path) -> Result<BTreeSet<String>, String> {
    let mut files = BTreeSet::new();
    for folder in FOLDERS {
        for (path, ..) in checks::code(&crates.join(folder))? {
            let path = path.strip_prefix(crates).map_err(|error| error.to_string())?;
            let path = path.display().to_string();
            if !path.contains("/tests/") && !path.ends_with("/tests.rs") {
                files.insert(path);
            }
        }
    }
    Ok(files)
}

/// What the documents list, by source file.
fn read_documents(faults: &mut Vec<String>) -> Result<BTreeMap<String, Listed>, String> {
    const OTHERS: &str = "Not printed: ";
    let mut all: BTreeMap<String, Listed> = BTreeMap::new();
    let folder = root().join("docs/sentences");
    let entries =
        fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let text =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut file = None;
        for line in text.lines() {
            if let Some(heading) = line.strip_prefix("### ") {
                file = Some(heading.trim_matches('`').to_owned());
            }
            let Some(file) = &file else { continue };
            let listed = all.entry(file.clone()).or_default();
            if let Some(others) = line.strip_prefix(OTHERS) {
                listed.others.extend(quoted(others));
            } else if line.starts_with('|') {
                let cells = cells(line);
                match &cells[..] {
                    [sentence, .., test] => {
                        listed.sentences.extend(quoted(sentence));
                        listed.tests.extend(quoted(test));
                    }
                    _ => faults.push(format!("{file}: no table row: {line}")),
                }
            }
        }
    }
    Ok(all)
}

/// The cells of a row of a table; `\|` is no border.
fn cells(line: &str) -> Vec<String> {
    let line = line.replace("\\|", "\0");
    let cells = line.trim_matches('|').split('|');
    cells.map(|cell| cell.replace('\0', "|").trim().to_owned()).collect()
}

/// The texts between back quotes, of which two allow one inside.
fn quoted(mut text: &str) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(at) = text.find('`') {
        text = &text[at..];
        let mark = if text.starts_with("``") { "``" } else { "`" };
        let Some((inside, rest)) = text[mark.len()..].split_once(mark) else { break };
        all.push(inside.trim().to_owned());
        text = rest;
    }
    all
}

/// The pieces of a sentence between what varies, of at least that many words.
fn pieces(sentence: &str, least: usize) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    let varies = move |c: char| {
        depth += i32::from(c == '{');
        let inside = depth > 0 || c == '…' || c == '\n';
        depth -= i32::from(c == '}');
        inside
    };
    // Names of functions and files are no words.
    let is_word = |word: &str| {
        let word = word.trim_matches(|c: char| c.is_ascii_punctuation());
        word.len() > 1 && word.bytes().all(|b| b.is_ascii_alphabetic() || matches!(b, b'-' | b'\''))
    };
    let is_long =
        move |piece: &&str| piece.split(' ').filter(|word| is_word(word)).count() >= least;
    sentence.split(varies).map(str::trim).filter(is_long)
}

/// A piece of so many words is listed.
const WORDS: usize = 3;

fn differences(listed: &Listed, literals: &[String]) -> Vec<String> {
    let texts = || listed.sentences.iter().chain(&listed.others);
    let mut faults = Vec::new();
    for piece in literals.iter().flat_map(|literal| pieces(literal, WORDS)) {
        if !texts().any(|text| text.contains(piece)) {
            faults.push(format!("docs/sentences does not list: {piece}"));
        }
    }
    let parts: Vec<&str> = literals.iter().flat_map(|literal| pieces(literal, 1)).collect();
    for text in texts().filter(|text| pieces(text, WORDS).next().is_some()) {
        // What varies may be written out, so half of it is enough.
        if !parts.iter().any(|part| part.contains(&**text))
            && covered(text, &parts) < text.len() * 2 / 5
        {
            faults.push(format!("docs/sentences lists what is not in it: {text}"));
        }
    }
    faults
}

/// The number of bytes of a text that lie in one of these parts.
fn covered(text: &str, parts: &[&str]) -> usize {
    let mut is_covered = vec![false; text.len()];
    for part in parts {
        for (at, _) in text.match_indices(part) {
            is_covered[at..at + part.len()].fill(true);
        }
    }
    is_covered.into_iter().filter(|is_covered| *is_covered).count()
}

/// The string literals of a source file outside of its tests, of panics and of attributes that
/// nobody reads.
fn literals(text: &str) -> Result<Vec<String>, String> {
    let tokens: TokenStream = text.parse().map_err(|error| format!("{error:?}"))?;
    let mut all = Vec::new();
    collect(tokens, &mut all);
    Ok(all)
}

fn collect(tokens: TokenStream, all: &mut Vec<String>) {
    // The last name, and whether `!` or nothing follows it.
    let mut name = String::new();
    let mut is_attribute = false;
    let mut skips_item = false;
    for token in tokens {
        match token {
            TokenTree::Punct(punct) => match punct.as_char() {
                '#' => is_attribute = true,
                '!' => {}
                _ => name.clear(),
            },
            TokenTree::Ident(ident) => {
                name = ident.to_string();
                is_attribute = false;
            }
            TokenTree::Literal(literal) => {
                if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                    all.push(text.value());
                } else if let Ok(bytes) = syn::parse_str::<syn::LitByteStr>(&literal.to_string()) {
                    all.push(String::from_utf8_lossy(&bytes.value()).into_owned());
                }
            }
            TokenTree::Group(group) => {
                let inside = group.stream().to_string();
                if std::mem::take(&mut is_attribute) {
                    skips_item |= inside == "cfg (test)";
                    let kept = inside.starts_with("error");
                    if kept {
                        collect(group.stream(), all);
                    }
                    continue;
                }
                let of_panic = ["expect", "panic", "unreachable", "assert", "debug_assert"];
                let is_skipped =
                    std::mem::take(&mut skips_item) && group.delimiter() == Delimiter::Brace;
                if !is_skipped && !of_panic.contains(&&*name) {
                    collect(group.stream(), all);
                }
                name.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_of_a_source_file() {
        let text = "/// No sentence at all.\n#[error(\"a file is {0} missing there\")]\nfn f() {\n    \
             let x = format!(\"one {} two three four\", 1);\n    x.expect(\"it is always there\");\n}\n\
             #[cfg(test)]\nmod tests {\n    const T: &str = \"not this one either\";\n}\n";
        let found = literals(text).unwrap();
        assert_eq!(found, ["a file is {0} missing there", "one {} two three four"]);
        let pieces: Vec<&str> = found.iter().flat_map(|text| pieces(text, 3)).collect();
        assert_eq!(pieces, ["two three four"]);
    }

    #[test]
    fn differences_of_both_kinds() {
        let listed = Listed {
            sentences: quoted("`it … is a known sentence`<br>``with a `quoted` word in it``"),
            others: vec!["only searched for here".to_owned()],
            tests: Vec::new(),
        };
        let literals =
            ["{x} is a known sentence".to_owned(), "a `quoted` word in a new one".to_owned()];
        let faults = differences(&listed, &literals);
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert_eq!(cells("| a \\| b | c |"), ["a | b", "c"]);
    }
}
