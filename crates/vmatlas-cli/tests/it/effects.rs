//! Tests that each option of a command changes what is printed, or is refused.

use crate::vmatlas::{Run, vmatlas};
use std::collections::BTreeSet;

const SMAPS: &str = "captures/zoo-x86_64-6.18.smaps";
const MAPS: &str = "captures/zoo-x86_64-6.18.maps";
const CORE: &str = "cores/arm64-6.1.core.zst";
const LOG: &str = "strace/child.log";

/// An option with a value that differs from its default, and the options that it needs.
type Words = &'static [&'static str];

const COMMON: [Words; 6] = [
    &["--json"],
    &["--numbers", "--json"],
    &["--color", "always"],
    &["--proc", "/tmp"],
    &["--quiet"],
    &["--budget", "1K,0.001s"],
];
const MOMENT: [Words; 2] = [&["--at", "#20"], &["--pid", "18658"]];
const MEMORY: [Words; 2] = [&["--deep"], &["--freeze"]];
const SHOW: [Words; 15] = [
    &["--processes"],
    &["--raw"],
    &["--kernel", "2.4.0", "--raw"],
    &["--word-size", "32", "--raw"],
    &["--csv"],
    &["--ndjson"],
    &["--sizes"],
    &["--where", "size > 100K"],
    &["--summary"],
    &["--by", "perms"],
    &["--wide"],
    &["--sort", "size"],
    &["--reverse"],
    &["--columns", "start,size"],
    &["--no-header"],
];
const BLAME: [Words; 13] = [
    &["--by", "thread"],
    &["--count", "resident"],
    &["--since", "0.0001"],
    &["--where", "size > 100K"],
    &["--top", "1"],
    &["--frames", "1"],
    &["--mappings"],
    &["--debuginfod"],
    &["--folded"],
    &["--csv"],
    &["--force"],
    &["--pprof", "/dev/null/none"],
    &["--svg", "/dev/null/none"],
];
const CSV: Words = &["--csv"];
const WHERE: Words = &["--where", "size > 100K"];

/// Options that change nothing on some targets: the command, the option, and the reason.
const WITHOUT_EFFECT: [(&str, &str, &str); 10] = [
    ("", "--quiet", "there may be nothing to be quiet about"),
    ("", "--budget", "a limit, which holds also where nothing is read"),
    ("", "--color", "scripts may always give it"),
    ("", "--numbers", "the document may have no address"),
    ("", "--deep", "may find nothing more in memory and symbol tables"),
    ("", "--where", "may hold for all that is compared"),
    ("show", "--sizes", "smaps has its sizes"),
    ("blame", "--top", "a ranking may have fewer lines"),
    ("blame", "--frames", "a log without call stacks has none to cut"),
    ("blame", "--since", "all may be newer"),
];

/// Pairs of options of which the second may change nothing beside the first, with the reason.
const PAIRS: [(&str, &str, &str); 6] = [
    ("", "--color", "scripts may always give it"),
    ("--columns", "--wide", "on a terminal, where nothing is cut"),
    ("--processes", "--quiet", "the list has no notes"),
    ("--numbers", "--mappings", "a document always has them"),
    ("--json", "--mappings", "a document always has them"),
    ("--since", "--by", "what is left may have one key"),
];

type Printed = (i32, Vec<u8>, String);

fn printed(words: &[&str]) -> Printed {
    let Run { status, stdout, stderr } = vmatlas(words);
    (status, stdout, stderr)
}

/// The long options that a command's help names.
fn options_of(command: &str) -> BTreeSet<String> {
    let help = vmatlas(&[command, "--help"]).text();
    let long = |line: &str| {
        let at = line.find("--").filter(|&at| at < 8 && line.starts_with("  "))?;
        Some(line[at..].split([' ', ',']).next()?.to_owned())
    };
    help.lines().filter_map(long).filter(|option| option != "--help").collect()
}

#[track_caller]
fn check(command: &str, before: &[&str], options: &[Words], pairs: bool) {
    let given: BTreeSet<String> = options.iter().map(|words| words[0].to_owned()).collect();
    assert_eq!(given, options_of(command), "the options of {command} that are tested");
    let run = |more: &[Words]| {
        let mut words = [&[command], before].concat();
        for word in more.iter().copied().flatten() {
            // What several options need is given once.
            if !word.starts_with("--") || !words.contains(word) {
                words.push(word);
            }
        }
        printed(&words)
    };
    let alone: Vec<Printed> = options.iter().map(|&words| run(&[words])).collect();
    let mut silent = Vec::new();
    for (&words, printed) in options.iter().zip(&alone) {
        let without = run(&[&words[1..]].map(|rest| {
            if rest.first().is_some_and(|w| w.starts_with("--")) { rest } else { &[] }
        }));
        let is_known = |&(of, option, _): &(&str, &str, &str)| {
            (of.is_empty() || of == command) && option == words[0]
        };
        if *printed == without && !WITHOUT_EFFECT.iter().any(is_known) {
            silent.push(format!("{command} {before:?} {words:?}"));
        }
    }
    for (first, one) in options.iter().enumerate().filter(|_| pairs) {
        for (second, other) in options.iter().enumerate().filter(|(second, _)| *second != first) {
            // An option that changes nothing alone says nothing here.
            let is_used = |at: usize| alone[at].0 != 2 && alone[at] != run(&[]);
            let is_known = PAIRS.iter().any(|(beside, option, _)| {
                (beside.is_empty() || *beside == one[0]) && *option == other[0]
            });
            if !is_used(first) || !is_used(second) || is_known || one.contains(&other[0]) {
                continue;
            }
            let both = run(&[one, other]);
            if both.0 != 2 && both == alone[first] {
                silent.push(format!("{command} {before:?} {one:?} {other:?}"));
            }
        }
    }
    assert!(silent.is_empty(), "ignored without a word:\n{}", silent.join("\n"));
}

#[test]
fn every_option_of_show_has_an_effect() {
    let options = [&COMMON[..], &MOMENT, &MEMORY, &SHOW].concat();
    for (target, pairs) in [(MAPS, false), (SMAPS, false), (CORE, false), (LOG, true)] {
        check("show", &[target], &options, pairs);
    }
}

#[test]
fn every_option_of_at_has_an_effect() {
    let options = [&COMMON[..], &MOMENT, &MEMORY, &[CSV]].concat();
    for (target, address) in
        [(MAPS, "7f0fc2bde010"), (SMAPS, "7f0fc2bde010"), (CORE, "400000"), (LOG, "7fb267202000")]
    {
        check("at", &[target, address], &options, true);
    }
}

#[test]
fn every_option_of_blame_has_an_effect() {
    let options = [&COMMON[..], &MOMENT, &BLAME].concat();
    check("blame", &[LOG], &options, true);
}

#[test]
fn every_option_of_diff_has_an_effect() {
    let sizes: [Words; 3] = [&["--sizes"], &["--by", "kind", "--sizes"], &["--by", "process"]];
    let options = [&COMMON[..], &[CSV, WHERE], &sizes].concat();
    for (first, second) in [(MAPS, LOG), (SMAPS, "captures/busybox-i386-6.1.smaps"), (CORE, MAPS)] {
        check("diff", &[first, second], &options, true);
    }
}
