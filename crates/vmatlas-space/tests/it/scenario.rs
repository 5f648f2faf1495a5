//! Scenario files: parsed, written, generated and shrunk.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use vmatlas_maps::KernelVersion;
use vmatlas_space::scenario::{Advice, Fact, Operation, Random, Scenario, StepKind, scenarios};

fn files() -> Vec<(String, Vec<u8>)> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/scenarios");
    let entries = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    let scenarios = paths.filter(|path| path.extension().is_some_and(|e| e == "scn"));
    let mut files: Vec<_> =
        scenarios.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect();
    files.sort();
    files
}

#[track_caller]
fn parse(text: &str) -> Vec<Scenario> {
    Scenario::parse_file(text.as_bytes()).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"))
}

/// Clears the line numbers, which writing changes.
fn unnumbered(mut scenario: Scenario) -> Scenario {
    scenario.line = 0;
    scenario.steps.iter_mut().for_each(|step| step.line = 0);
    scenario
}

#[track_caller]
fn round_trip(scenario: &Scenario) {
    let text = scenario.to_string();
    let back = parse(&text);
    assert_eq!(back.len(), 1, "{text}");
    assert_eq!(unnumbered(back[0].clone()), unnumbered(scenario.clone()), "{text}");
    assert_eq!(back[0].to_string(), text);
}

#[test]
fn kept_files_are_read_and_written() {
    let files = files();
    assert!(files.len() >= 6);
    for (path, text) in files {
        let scenarios = Scenario::parse_file(&text).unwrap_or_else(|errors| {
            panic!("{path}:{}", errors.iter().map(|e| format!("\n{e}")).collect::<String>())
        });
        assert!(!scenarios.is_empty(), "{path}");
        scenarios.iter().for_each(round_trip);
    }
}

/// The canonical text of `lines` between `scenario` and `end`.
#[track_caller]
fn canonical(lines: &str) -> String {
    let [scenario] = &parse(&format!("scenario s\n{lines}\nend"))[..] else { panic!("{lines}") };
    round_trip(scenario);
    let text = scenario.to_string();
    text.strip_prefix("scenario s\n").unwrap().strip_suffix("end\n").unwrap().to_owned()
}

#[test]
fn every_form_has_one_canonical_text() {
    let text = canonical(
        "  kernel >= 6.1 < 6.16\n\tkernel > 5.0\n# a comment\nneeds thp\n needs ksm-prctl root\nregion heap\n\
         map -1+1b 4096b none droppable huge locked populate growsdown stack noreserve noreplace\n\
         map 0 1 xwr as \"a b\" shared file=\"x@y=\"@7 ! ENOMEM\n\
         protect 0 1 rw growsdown pkey=default\nprotect 0 1 rw\n\
         remap 0 0 maymove dontunmap len 2 to 16\nremap 1 1\nrefile 0 1 @3\n\
         advise 0 1 dontneed-locked\nlock 0 1 onfault\nlock 0 1\nunlock 0 1\n\
         mlockall onfault current\nmlockall ! EINVAL\nmunlockall\nseal 0 1\n\
         name 0 1 x\nname 0 1 \"!\"\nname 0 1 ! EINVAL\npkey K\n\
         policy 0 1 default\npolicy 0 1 local\npolicy 0 1 bind 0 1\npolicy 0 1 preferred 0\n\
         policy 0 1 interleave 1 0 ! EINVAL\n\
         uffd U\nregister U 0 1\nregister U 0 1 wp\nregister U 0 1 missing\nunregister U 0 1\n\
         brk +2\nbrk -1 ! ENOMEM\nksm on\nksm off\npersonality read-implies-exec\n\
         read 0\nread 0 1\nwrite -5 3 ! SIGBUS\nwrite 0 ! SIGSEGV",
    );
    insta::assert_snapshot!(text, @r#"
    kernel >= 6.1 < 6.16 > 5.0
    needs thp ksm-prctl root
    region heap
    map -1+1b 4096b none droppable noreplace noreserve stack growsdown populate locked huge
    map 0 1 rwx file="x@y="@7 shared as "a b" ! ENOMEM
    protect 0 1 rw pkey=default growsdown
    protect 0 1 rw
    remap 0 0 to 16 len 2 dontunmap maymove
    remap 1 1
    refile 0 1 @3
    advise 0 1 dontneed-locked
    lock 0 1 onfault
    lock 0 1
    unlock 0 1
    mlockall current onfault
    mlockall ! EINVAL
    munlockall
    seal 0 1
    name 0 1 "x"
    name 0 1 "!"
    name 0 1 ! EINVAL
    pkey K
    policy 0 1 default
    policy 0 1 local
    policy 0 1 bind 0 1
    policy 0 1 preferred 0
    policy 0 1 interleave 1 0 ! EINVAL
    uffd U
    register U 0 1 missing
    register U 0 1 wp
    register U 0 1 missing
    unregister U 0 1
    brk +2
    brk -1 ! ENOMEM
    ksm on
    ksm off
    personality read-implies-exec
    read 0
    read 0
    write -5 3 ! SIGBUS
    write 0 ! SIGSEGV
    "#);
    let text = canonical(
        "file F 4\nfile F 4 at \"a\\tb\\n\\x01\\xff\\\"\\\\é\"\ntmpfile T 1\nmemfd M 0\n\
         memfd M 1 \"\"\nsecretmem S 1\ndevice Z /dev/zero\nopen F as G\nopen F as G rw\n\
         open F as G ro ! EACCES\nopen F as G wo\ndup F as H\nclose H\ntruncate F 8\n\
         rename a b\nlink a b\nunlink a\nmkdir d\nrmdir d ! errno 512\nshm S 4\n\
         shm S 4 key FFFFFFFF\nattach S 3+1b replace ro\nattach S 3\ndetach 3+0b\n\
         fork\nparent\nchild\nexpect\nexpect\n\
         -3--1 r-xp\n -1-0 ---p [heap]\n0-1 rwxs @5 F=F\n 1-2 rw-p @0 F = x y\n\
         2-3 rw-p @0 F\n3-4 rw-p @0 F (deleted)\n4-5 rw-p @0 F=F (deleted)\n\
         5-6 rw-p @0 \"=\"=\"= \"\n6-7 rw-p [anon: @ x]\n7-8 rw-p \"@0 \\n\"",
    );
    insta::assert_snapshot!(text, @r#"
    file F 4
    file F 4 at "a\tb\n\x01\xff\"\\é"
    tmpfile T 1
    memfd M 0
    memfd M 1 ""
    secretmem S 1
    device Z /dev/zero
    open F as G
    open F as G
    open F as G ro ! EACCES
    open F as G wo
    dup F as H
    close H
    truncate F 8
    rename a b
    link a b
    unlink a
    mkdir d
    rmdir d ! errno 512
    shm S 4
    shm S 4 key ffffffff
    attach S 3+1b ro replace
    attach S 3
    detach 3
    fork
    parent
    child
    expect
    expect
      -3--1 r-xp
      -1-0 ---p [heap]
      0-1 rwxs @5 F
      1-2 rw-p @0 F=" x y"
      2-3 rw-p @0 F
      3-4 rw-p @0 F (deleted)
      4-5 rw-p @0 F (deleted)
      5-6 rw-p @0 "="="= "
      6-7 rw-p [anon: @ x]
      7-8 rw-p "@0 \n"
    "#);
}

#[test]
fn errors_say_where_and_what() {
    let cases: &[&str] = &[
        "map 0 1 rw",
        "end",
        "scenario",
        "scenario a b\nend",
        "scenario a\nmap 0 1 rw",
        "scenario a\nscenario b\nend",
        "scenario a\nend\nscenario a\nend",
        "scenario a\nkernel <= 6.1\nend\nscenario a\nkernel = 6.1\nend",
        "scenario a\nend it\n",
        "scenario a\nmap 0 1 rw\nregion heap\nend",
        "scenario a\nregion help\nend",
        "scenario a\nregion heap\nregion heap\nend",
        "scenario a\nkernel\nend",
        "scenario a\nkernel ~ 6.1\nend",
        "scenario a\nkernel >= 6\nend",
        "scenario a\nkernel >= 6.1 and more\nend",
        "scenario a\nneeds thb\nend",
        "scenario a\nneeds luck and patience\nend",
        "scenario a\nneeds thp thp\nend",
        "scenario a\n  protct 0 1 rw\nend",
        "scenario a\n  xyzzy\nend",
        "scenario a\nadvise 0 1 dontned\nend",
        "scenario a\npolicy 0 1 weighted\nend",
        "scenario a\npolicy 0 1 bind\nend",
        "scenario a\npolicy 0 1 bind 1024\nend",
        "scenario a\nksm perhaps\nend",
        "scenario a\npersonality mild\nend",
        "scenario a\nmap 0 1\nend",
        "scenario a\nmap 0 1 ! EINVAL\nend",
        "scenario a\nmap 0 1 rw sharde\nend",
        "scenario a\nmap 0 1 rw shared droppable\nend",
        "scenario a\nmap 0 1 rw file F\nend",
        "scenario a\nmap 0 1 rw file=F\nend",
        "scenario a\nmap 0 1 rr\nend",
        "scenario a\nmap 0 1 rwp\nend",
        "scenario a\nmap 1+1 1 rw\nend",
        "scenario a\nmap 1+1b2 1 rw\nend",
        "scenario a\nmap --1 1 rw\nend",
        "scenario a\nmap 99999999999999999999 1 rw\nend",
        "scenario a\nmap 0 x rw\nend",
        "scenario a\nmap 0 281474976710656 rw\nend",
        "scenario a\nread 0 x\nend",
        "scenario a\nread 0 1048577\nend",
        "scenario a\nbrk 2\nend",
        "scenario a\nopen F G\nend",
        "scenario a\nshm S 1 key xyz\nend",
        "scenario a\nshm S 1 key 123456789\nend",
        "scenario a\nname 0 1 \"x\nend",
        "scenario a\nname 0 1 \"x\"y\nend",
        "scenario a\nname 0 1 \"\\q\"\nend",
        "scenario a\nname 0 1 \"\\x0\"\nend",
        "scenario a\nname 0 1 \"\\x00\"\nend",
        "scenario a\npkey \"\\xff\"\nend",
        "scenario a\nunmap 0 1 !\nend",
        "scenario a\nunmap 0 1 ! EFOO\nend",
        "scenario a\nunmap 0 1 ! SIGSEGV\nend",
        "scenario a\nread 0 ! EFAULT\nend",
        "scenario a\nunmap 0 1 ! ENOMEM EINVAL\nend",
        "scenario a\n0-1 rw-p\nend",
        "scenario a\nexpect\n0..1 rw-p\nend",
        "scenario a\nexpect\n0-1x rw-p\nend",
        "scenario a\nexpect\n0-1\nend",
        "scenario a\nexpect\n0-1 rwp\nend",
        "scenario a\nexpect\n1-1 rw-p\nend",
        "scenario a\nexpect\n0-2 rw-p\n1-3 rw-p\nend",
        "scenario a\nexpect\n0-2 rw-p @x F\nend",
        "scenario a\nexpect\n0-2 rw-p @0\nend",
        "scenario a\nexpect\n0-2 rw-p @0 F deleted\nend",
        "scenario a\nexpect here\nend",
    ];
    let mut report = String::new();
    for text in cases {
        let errors = Scenario::parse_file(text.as_bytes()).expect_err(text);
        assert_eq!(errors.len(), 1, "{text}");
        let lines: Vec<_> = text.lines().collect();
        let line = lines.get(errors[0].line as usize - 1).expect(text);
        assert!(errors[0].column as usize <= line.len() + 1, "{text}");
        report.push_str(&format!("{line:?}: {}\n", errors[0]));
    }
    insta::assert_snapshot!(report, @r#"
    "map 0 1 rw": line 1, column 1: outside of a scenario only `scenario NAME` can stand
    "end": line 1, column 1: outside of a scenario only `scenario NAME` can stand
    "scenario": line 1, column 9: NAME is missing
    "scenario a b": line 1, column 12: this option does not belong to the action of this line; the line could end before it
    "map 0 1 rw": line 2, column 1: the scenario that begins in line 1 needs an `end` before this
    "scenario b": line 2, column 1: the scenario that begins in line 1 needs an `end` before this
    "scenario a": line 3, column 1: the scenario in line 1 has this name too and holds for the same kernels; rename one or add `kernel` conditions
    "scenario a": line 4, column 1: the scenario in line 1 has this name too and holds for the same kernels; rename one or add `kernel` conditions
    "end it": line 2, column 5: this option does not belong to the action of this line; the line could end before it
    "region heap": line 3, column 1: `kernel`, `needs` and `region` stand before the first operation
    "region help": line 2, column 8: a region is plain, heap or stack
    "region heap": line 3, column 1: this is repeated, or contradicts an earlier word
    "kernel": line 2, column 7: a condition like >= 6.18 is missing
    "kernel ~ 6.1": line 2, column 8: a condition is <, <=, =, >= or > and then a version
    "kernel >= 6": line 2, column 11: a version is two numbers, like 6.18
    "kernel >= 6.1 and more": line 2, column 15: a condition is <, <=, =, >= or > and then a version
    "needs thb": line 2, column 7: no such fact about a machine; perhaps `thp` is meant
    "needs luck and patience": line 2, column 7: no such fact about a machine
    "needs thp thp": line 2, column 11: this is repeated, or contradicts an earlier word
    "  protct 0 1 rw": line 2, column 3: no such operation; perhaps `protect` is meant
    "  xyzzy": line 2, column 3: no such operation
    "advise 0 1 dontned": line 2, column 12: no such advice; perhaps `dontneed` is meant
    "policy 0 1 weighted": line 2, column 12: a policy is default, local, bind, preferred or interleave
    "policy 0 1 bind": line 2, column 16: NODE is missing
    "policy 0 1 bind 1024": line 2, column 17: the number is above the limit of 1023
    "ksm perhaps": line 2, column 5: this must be on or off
    "personality mild": line 2, column 13: the only personality is read-implies-exec
    "map 0 1": line 2, column 8: PERMS is missing
    "map 0 1 ! EINVAL": line 2, column 9: PERMS is missing
    "map 0 1 rw sharde": line 2, column 12: this option does not belong to the action of this line; the line could end before it
    "map 0 1 rw shared droppable": line 2, column 19: this is repeated, or contradicts an earlier word
    "map 0 1 rw file F": line 2, column 17: =FD@PAGE is missing
    "map 0 1 rw file=F": line 2, column 18: @PAGE is missing
    "map 0 1 rr": line 2, column 9: permissions are `none`, or letters of r, w and x, each at most once
    "map 0 1 rwp": line 2, column 9: permissions are `none`, or letters of r, w and x, each at most once
    "map 1+1 1 rw": line 2, column 5: an address is a page, like 3, -1 or 0+1b (one byte further)
    "map 1+1b2 1 rw": line 2, column 5: an address is a page, like 3, -1 or 0+1b (one byte further)
    "map --1 1 rw": line 2, column 6: an address is a page, like 3, -1 or 0+1b (one byte further)
    "map 99999999999999999999 1 rw": line 2, column 5: the number is above the limit of 70368744177664
    "map 0 x rw": line 2, column 7: a length is a number of pages, like 4, or of bytes, like 1b
    "map 0 281474976710656 rw": line 2, column 7: the number is above the limit of 281474976710655
    "read 0 x": line 2, column 8: a decimal number must stand here
    "read 0 1048577": line 2, column 8: the number is above the limit of 1048576
    "brk 2": line 2, column 5: the break moves by +N or -N pages
    "open F G": line 2, column 8: `as FD` is missing
    "shm S 1 key xyz": line 2, column 13: a key is one to eight hexadecimal digits
    "shm S 1 key 123456789": line 2, column 13: a key is one to eight hexadecimal digits
    "name 0 1 \"x": line 2, column 10: a quoted token ends with a quotation mark, and no more of it follows
    "name 0 1 \"x\"y": line 2, column 10: a quoted token ends with a quotation mark, and no more of it follows
    "name 0 1 \"\\q\"": line 2, column 11: the escapes are \n \t \" \\ and \xHH (not \x00)
    "name 0 1 \"\\x0\"": line 2, column 11: the escapes are \n \t \" \\ and \xHH (not \x00)
    "name 0 1 \"\\x00\"": line 2, column 11: the escapes are \n \t \" \\ and \xHH (not \x00)
    "pkey \"\\xff\"": line 2, column 6: not UTF-8; only paths and shown names hold other bytes, written \xHH in quotes
    "unmap 0 1 !": line 2, column 12: the ERROR after ! is missing
    "unmap 0 1 ! EFOO": line 2, column 13: the name of an errno, like ENOMEM, or SIGSEGV or SIGBUS must follow !
    "unmap 0 1 ! SIGSEGV": line 2, column 13: `read` and `write` fail with SIGSEGV or SIGBUS, everything else with an errno
    "read 0 ! EFAULT": line 2, column 10: `read` and `write` fail with SIGSEGV or SIGBUS, everything else with an errno
    "unmap 0 1 ! ENOMEM EINVAL": line 2, column 20: this option does not belong to the action of this line; the line could end before it
    "0-1 rw-p": line 2, column 1: rows can only follow `expect`
    "0..1 rw-p": line 3, column 1: a row begins with FROM-TO, two pages, like 0-4
    "0-1x rw-p": line 3, column 4: a row begins with FROM-TO, two pages, like 0-4
    "0-1": line 3, column 4: the permissions of a row are four characters, like r-xp
    "0-1 rwp": line 3, column 5: the permissions of a row are four characters, like r-xp
    "1-1 rw-p": line 3, column 1: a row must not be empty and must lie above the row before it
    "1-3 rw-p": line 4, column 1: a row must not be empty and must lie above the row before it
    "0-2 rw-p @x F": line 3, column 11: an offset is @ and a page, and then a label follows
    "0-2 rw-p @0": line 3, column 11: an offset is @ and a page, and then a label follows
    "0-2 rw-p @0 F deleted": line 3, column 15: only `(deleted)`, or = and the name shown, may follow the label
    "expect here": line 2, column 8: this option does not belong to the action of this line; the line could end before it
    "#);
    let errors = Scenario::parse_file(b"scenario a\nmap \xff\nend").unwrap_err();
    insta::assert_snapshot!(errors[0], @r"line 2, column 5: not UTF-8; only paths and shown names hold other bytes, written \xHH in quotes");
}

#[test]
fn one_bad_scenario_does_not_lose_the_file() {
    let text = b"nonsense\nscenario a\nmap 0 1 rw\nend\nend\nscenario b\nmap\nmap 0\nscenario c\n\
        scenario d\n\xff\nexpect\nend\nscenario \"e e\"\nend";
    let found: Vec<_> = scenarios(text)
        .map(|scenario| match scenario {
            Ok(scenario) => scenario.name,
            Err(error) => format!("line {}", error.line),
        })
        .collect();
    assert_eq!(found, ["line 1", "a", "line 5", "line 7", "line 10", "line 11", "e e"]);
}

/// A test file with some bytes changed; about half of them still parse.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"\"",
        b"\\x",
        b"!",
        b"@",
        b"=",
        b"-",
        b"+1b",
        b"end\n",
        b"\n",
        b" ",
        b"\xff",
        b"0",
        b"99999999999999999999",
        b"scenario ",
        b"kernel ",
        b"expect\n",
        b"\xc3\xa9",
        b"\r",
        b"#",
    ];
    let edit = (any::<prop::sample::Index>(), 0..8usize, prop::sample::select(pieces));
    let file = prop::sample::select(files());
    (file, prop::collection::vec(edit, 1..12)).prop_map(|((_, mut text), edits)| {
        for (at, len, piece) in edits {
            let at = at.index(text.len() + 1);
            let end = text.len().min(at + len);
            text.splice(at..end, piece.iter().copied());
        }
        text
    })
}

/// Checks that parsing never panics, and that writing a parsed file round-trips.
fn check(text: &[u8]) {
    for scenario in scenarios(text).flatten() {
        round_trip(&scenario);
    }
    if let Err(errors) = Scenario::parse_file(text) {
        assert!(errors.iter().all(|error| error.line > 0 && error.column > 0));
    }
}

proptest! {
    #[test]
    fn changed_files_are_read_or_refused(text in mutated()) {
        check(&text);
    }

    #[test]
    fn any_bytes_are_read_or_refused(text in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&text);
    }

    #[test]
    fn any_row_is_read_or_refused(line in "[0-9-]{1,5} [rwxps-]{3,4} [@0-9F=\"\\\\x(deleted) \t]{0,12}") {
        check(format!("scenario a\nexpect\n{line}\nend").as_bytes());
    }

    #[test]
    fn any_operation_is_read_or_refused(
        word in prop::sample::select(vec!["map", "remap", "name", "memfd", "shm", "brk", "mlockall", "policy"]),
        line in "( ?[-+0-3]{1,2}b?| rw| file=\"?F\"?@0| \"[a\\\\xn]{0,3}\"| to| len| key| future| bind){0,6}( ! EINVAL)?",
    ) {
        check(format!("scenario a\n{word}{line}\nend").as_bytes());
    }
}

const KERNEL: KernelVersion = KernelVersion::new(6, 18, 0);

fn all_facts() -> BTreeSet<Fact> {
    Fact::ALL.into_iter().map(|(fact, _)| fact).collect()
}

fn operations(scenario: &Scenario) -> impl Iterator<Item = &Operation> {
    scenario.steps.iter().filter_map(|step| match &step.kind {
        StepKind::Operation(operation, _) => Some(operation),
        StepKind::Expect(_) => None,
    })
}

#[test]
fn random_scenarios_cover_the_language() {
    let mut random = Random::new(1);
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..2000 {
        let scenario = random.scenario(30, &all_facts(), KERNEL);
        assert_eq!(scenario.steps.len(), 30);
        assert!(!scenario.may_wait(), "{scenario}");
        assert!(operations(&scenario).filter(|op| matches!(op, Operation::Fork)).count() <= 3);
        round_trip(&scenario);
        for operation in operations(&scenario) {
            let text = operation.to_string();
            let word = text.split(' ').next().unwrap_or("").to_owned();
            *counts.entry(word).or_default() += 1;
            if let Operation::Advise(_, advice) = operation {
                *counts.entry(format!("advise {}", advice.word())).or_default() += 1;
            }
        }
    }
    let words = "map unmap protect remap refile advise lock unlock mlockall munlockall seal name \
        pkey policy uffd register unregister brk ksm personality read write file tmpfile memfd \
        secretmem device open dup close truncate rename link unlink mkdir rmdir shm attach detach \
        fork parent child";
    for word in words.split_ascii_whitespace() {
        assert!(counts.get(word).is_some_and(|n| *n >= 20), "{word}: {counts:#?}");
    }
    for (_, word, _) in Advice::ALL {
        assert!(counts.contains_key(&format!("advise {word}")), "{word}");
    }
}

#[test]
fn random_scenarios_need_only_what_is_there() {
    let facts = BTreeSet::from([Fact::Thp, Fact::Uffd]);
    let mut random = Random::new(2);
    for _ in 0..300 {
        let scenario = random.scenario(25, &facts, KERNEL);
        assert!(scenario.needs.iter().all(|fact| facts.contains(fact)), "{scenario}");
        assert!(scenario.kernel[0].holds((6, 18)) && !scenario.kernel[0].holds((6, 17)));
    }
}

/// A kept seed must give the same scenario; any change of the generator breaks this test.
#[test]
fn a_seed_gives_the_same_scenario_for_ever() {
    let make = |seed| Random::new(seed).scenario(12, &all_facts(), KERNEL);
    assert_eq!(make(3), make(3));
    assert_ne!(make(3).steps, make(4).steps);
    insta::assert_snapshot!(make(3), @"
    scenario random-3-1
    kernel = 6.18
    file F1 2
    map 0 3 rw
    map 6 3 rw shared as A2
    map 3 3 r file=F1@4
    advise 0 2 free
    advise 0 3 dontneed-locked
    advise 3 2 dontdump
    advise 8 1 dontneed-locked
    read 0
    advise 5 1 dontdump
    map 12 1 r
    write 1
    end
    ");
    // The length of one scenario has no effect on the next.
    let mut long = Random::new(3);
    long.scenario(50, &all_facts(), KERNEL);
    let mut short = Random::new(3);
    short.scenario(0, &BTreeSet::new(), KERNEL);
    assert_eq!(long.scenario(9, &all_facts(), KERNEL), short.scenario(9, &all_facts(), KERNEL));
}

#[test]
fn shrinking_finds_the_core() {
    let facts = all_facts();
    let core = |s: &Scenario| {
        let mut forked = false;
        operations(s).any(|operation| {
            forked |= matches!(operation, Operation::Fork);
            forked
                && matches!(operation, Operation::Map(map) if map.file.is_some() && map.noreserve)
        })
    };
    let mut found = 0;
    for seed in 0..1500 {
        let scenario = Random::new(seed).scenario(60, &facts, KERNEL);
        if core(&scenario) {
            let mut asked = 0;
            let small = scenario.shrink(2000, |s| {
                asked += 1;
                assert!(!s.may_wait(), "{s}");
                core(s)
            });
            assert!(asked <= 2000);
            assert!(core(&small) && small.steps.len() <= 4, "{small}");
            found += 1;
        }
    }
    assert!(found >= 3, "{found}");
}

#[test]
fn shrinking_keeps_what_pages_wait_for() {
    let text = "scenario s\nneeds uffd noreserve\nuffd U\nmap 0 4 rw\nregister U 0 4 missing\n\
        unmap 0 4\nmap 0 4 rw noreserve\nwrite 1 2\nwrite 9 ! SIGSEGV\nend\n";
    let [large] = &parse(text)[..] else { panic!() };
    let core =
        |s: &Scenario| s.to_string().contains("register") && s.to_string().contains("write 1");
    let small = large.shrink(1000, core);
    insta::assert_snapshot!(small, @"
    scenario s
    needs uffd
    uffd U
    register U 0 1 missing
    write 1
    end
    ");
    // With no attempts left, `keeps` is never called.
    assert_eq!(large.shrink(0, |_| panic!()), *large);
}

#[test]
fn what_may_wait_is_known() {
    let waits = |lines: &str| {
        let text = format!("scenario s\nuffd U\nmap 0 9 rw\n{lines}\nend");
        parse(&text)[0].may_wait()
    };
    for lines in [
        "register U 0 4\nread 3",
        "register U 2 4\nwrite 0 3",
        "register U 0 4\nfork\nunmap 0 4\nparent\nwrite 1",
        "register U 0 4\nremap 2 2 to 20\nread 21",
        "register U 0 4\nunmap 0 3\nlock 2 2",
        "register U 0 4\nunmap 0 0\nlock 2 2",
        "seal 0 1\nregister U 0 4\nunmap 0 4\nlock 2 2",
        "register U 0 4\nmlockall current",
        "lock 8 1\nregister U 0 4",
        "map 40 1 rw growsdown\nregister U 40 1\nwrite 39",
        "register U 0 1\nadvise 0 1 populate-write",
        "uffd V\nregister U 0 1\nclose V\nread 0",
    ] {
        assert!(waits(lines), "{lines}");
    }
    for lines in [
        "register U 0 4\nread 4",
        "register U 0 4 wp\nwrite 0 3",
        "register U 0 4\nunmap 1 2\nwrite 1 2",
        "register U 0 4\nclose U\nwrite 0 4",
        "register U 4 4\nwrite 3",
    ] {
        assert!(!waits(lines), "{lines}");
    }
}

proptest! {
    #[test]
    fn random_scenarios_are_the_same_as_text(seed in any::<u64>(), steps in 0..80usize) {
        let scenario = Random::new(seed).scenario(steps, &all_facts(), KERNEL);
        prop_assert_eq!(scenario.steps.len(), steps);
        round_trip(&scenario);
    }

    #[test]
    fn shrinking_ends_with_what_it_keeps(seed in any::<u64>(), word in prop::sample::select(vec!["remap", "fork", "attach", "unmap"])) {
        let scenario = Random::new(seed).scenario(30, &all_facts(), KERNEL);
        // Skip scenarios without the operation; enough remain.
        if !scenario.to_string().contains(word) {
            return Ok(());
        }
        let small = scenario.shrink(500, |s| s.to_string().contains(word));
        prop_assert!(small.to_string().contains(word));
        prop_assert!(small.steps.len() <= 3, "{}", small);
    }
}
