//! Circular uses between modules, found by the paths in their code.

use crate::checks::code;
use crate::root;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The modules of a crate by path, such as `source::core`, with the modules that each uses.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// Finds the circles of a crate: the modules of each, in order. Modules of tests are ignored.
pub(crate) fn of_crate(name: &str) -> Result<Vec<Vec<String>>, String> {
    let uses = uses(&root().join("crates").join(name).join("src"))?;
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        uses.keys().map(|module| (&**module, reachable(&uses, module))).collect();
    let mut circles: BTreeSet<Vec<String>> = BTreeSet::new();
    for (module, reached) in &reach {
        if reached.contains(module) {
            let back = |other: &&&str| reach.get(**other).is_some_and(|r| r.contains(module));
            circles.insert(reached.iter().filter(back).map(|&other| other.to_owned()).collect());
        }
    }
    Ok(circles.into_iter().collect())
}

/// All modules that are reachable from a module.
fn reachable<'a>(uses: &'a Uses, from: &str) -> BTreeSet<&'a str> {
    let mut all = BTreeSet::new();
    let mut open: Vec<&str> = uses.get(from).into_iter().flatten().map(String::as_str).collect();
    while let Some(module) = open.pop() {
        if all.insert(module) {
            open.extend(uses.get(module).into_iter().flatten().map(String::as_str));
        }
    }
    all
}

fn uses(src: &Path) -> Result<Uses, String> {
    let mut texts: BTreeMap<PathBuf, String> = BTreeMap::new();
    let is_test = |path: &Path| path.iter().any(|part| part == "tests" || part == "tests.rs");
    for (path, _, line) in code(src)?.into_iter().filter(|(path, ..)| !is_test(path)) {
        let text = texts.entry(path).or_default();
        text.push_str(&line);
        text.push('\n');
    }
    let module = |path: &Path| {
        let path = path.strip_prefix(src).unwrap_or(path).with_extension("");
        let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
        if matches!(parts[..], ["lib" | "main"]) { String::new() } else { parts.join("::") }
    };
    let modules: BTreeSet<String> = texts.keys().map(|path| module(path)).collect();
    let mut uses = Uses::new();
    for (path, text) in &texts {
        let own = module(path);
        // Uses in the tests at the end of a file are ignored.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let named = named(text).into_iter();
        let found = named.filter_map(|path| resolve(&own, &path, &modules));
        let children = modules.iter().filter(|module| is_child(&own, module));
        let children = children.filter(|child| names_child(text, child)).cloned();
        let others: BTreeSet<String> =
            found.filter(|other| *other != own).chain(children).collect();
        uses.insert(own, others);
    }
    Ok(uses)
}

/// Whether a module is a direct child of another; the root of the crate has no children here.
fn is_child(own: &str, module: &str) -> bool {
    let below = module.strip_prefix(own).and_then(|rest| rest.strip_prefix("::"));
    !own.is_empty() && below.is_some_and(|name| !name.contains("::"))
}

/// Whether a text uses an item of its child module, `child::…`.
fn names_child(text: &str, child: &str) -> bool {
    let name = child.rsplit("::").next().unwrap_or(child);
    text.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':')
    })
}

/// Resolves a path from `own` to a module. The root of the crate is ignored, because it only
/// declares the others.
fn resolve(own: &str, path: &[String], modules: &BTreeSet<String>) -> Option<String> {
    let mut at: Vec<&str> = own.split("::").filter(|part| !part.is_empty()).collect();
    let mut rest = path;
    while let Some((first, more)) = rest.split_first() {
        match first.as_str() {
            "crate" => at.clear(),
            "super" => drop(at.pop()),
            "self" => {}
            _ => break,
        }
        rest = more;
    }
    let mut found = modules.contains(&at.join("::")).then(|| at.join("::"));
    for part in rest {
        at.push(part);
        if !modules.contains(&at.join("::")) {
            break;
        }
        found = Some(at.join("::"));
    }
    found.filter(|module| !module.is_empty())
}

/// Every path that begins with `crate`, `super` or `self`, with groups expanded.
fn named(text: &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in text.match_indices(start) {
            let before = text[..at].chars().next_back();
            if before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':') {
                take(&text[at..], &mut Vec::new(), &mut all);
            }
        }
    }
    all
}

/// Parses a path or a group of paths at the beginning of a text, and returns its length.
fn take(text: &str, before: &mut Vec<String>, all: &mut Vec<Vec<String>>) -> usize {
    let length = before.len();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if let Some(group) = rest.strip_prefix('{') {
            at += 1 + take_group(group, before, all);
            before.truncate(length);
            return at;
        }
        if word == 0 {
            break;
        }
        before.push(rest[..word].to_owned());
        at += word;
        match text[at..].strip_prefix("::") {
            Some(_) => at += 2,
            None => break,
        }
    }
    all.push(before.clone());
    before.truncate(length);
    at
}

fn take_group(text: &str, before: &mut Vec<String>, all: &mut Vec<Vec<String>>) -> usize {
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        match c {
            '}' => return at + 1,
            c if c.is_alphanumeric() || c == '_' => at += take(&text[at..], before, all).max(1),
            c => at += c.len_utf8(),
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn groups_are_taken_apart() {
        let found = named("use crate::a::{b::C, d, e::{F, g::H}};\nlet x = super::y::Z;");
        let found: Vec<String> = found.iter().map(|path| path.join("::")).collect();
        for path in ["crate::a::b::C", "crate::a::d", "crate::a::e::F", "crate::a::e::g::H"] {
            assert!(found.iter().any(|known| known == path), "{path} in {found:?}");
        }
        assert!(found.iter().any(|known| known == "super::y::Z"));
    }
}
