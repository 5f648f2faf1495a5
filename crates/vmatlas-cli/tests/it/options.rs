//! Tests that no option and no word is ignored, so that no other question is answered.

use crate::live::Sleeper;
use crate::terminal::{on_terminal, status_on_terminal};
use crate::vmatlas::{command, run_with_input, vmatlas, vmatlas_with_input};

const ZOO: &str = "captures/zoo-x86_64-6.18.maps";
const LOG: &str = "strace/child.log";

/// The line on standard error of a run that is refused.
#[track_caller]
fn refused(args: &[&str]) -> String {
    let run = vmatlas(args);
    let lines = run.stderr.lines().count();
    assert_eq!((run.status, lines), (2, 1), "{args:?}: {}", run.stderr);
    // With --json, the error is a document too.
    let asks_for_json = args.contains(&"--json") || args.contains(&"--ndjson");
    assert_eq!(run.stdout.is_empty(), !asks_for_json, "{args:?}: {}", run.text());
    run.stderr
}

#[test]
fn without_a_target_vmatlas_shows_itself_on_a_terminal_only() {
    let missing = "no TARGET is given";
    for args in [&[] as &[&str], &["--json"], &["show"], &["-q"], &["--color", "never"]] {
        assert!(refused(args).contains(missing), "{args:?}");
    }
    for args in [&["--color", "never"] as &[&str], &["show", "--color", "never"]] {
        let shown = on_terminal(args);
        assert!(shown.contains("[stack]") && shown.contains("vmatlas PID"), "{shown}");
    }
    for args in [&["--json"] as &[&str], &["--where", "size > 1G"], &["-q"], &["show", "--sizes"]] {
        let (status, shown) = status_on_terminal(args);
        assert!(status == 2 && shown.contains(missing), "{args:?}: {shown}");
    }
}

#[test]
fn a_pid_is_a_target() {
    let sleeper = Sleeper::start();
    let pid = sleeper.pid();
    for args in [&["-p", &pid, "--json"] as &[&str], &["show", "--pid", &pid, "--json"]] {
        assert_eq!(vmatlas(args).json()["target"]["pid"].to_string(), pid);
    }
    let json = vmatlas(&["show", &pid, "--pid", &pid, "--json"]).json();
    assert_eq!(json["target"]["pid"].to_string(), pid);
    let stack = json["mappings"].as_array().unwrap().iter().find(|row| row["name"] == "[stack]");
    let address = stack.unwrap()["start"].as_str().unwrap();
    let at = vmatlas(&["at", "-p", &pid, address]);
    assert!(at.status == 0 && at.text().contains("[stack]"), "{}", at.all());
    let explained = vmatlas(&["explain", "-p", &pid, "8"]);
    assert!(explained.text().contains("0x8"), "{}", explained.all());
    // The process of a recording or log where one is given.
    let rows = |args: &[&str]| vmatlas(&[args, &["--raw"]].concat()).stdout;
    assert_eq!(rows(&[LOG, "-p", "18658"]), rows(&[&format!("{LOG}:18658")]));
    assert_eq!(vmatlas(&["at", LOG, "-p", "18658", "7fb267202000"]).status, 0);
    assert!(refused(&["-p", "init"]).contains("a PID is the number of a process"));
    assert!(refused(&["at", "-p", &pid]).contains("an address is missing"));
    assert!(refused(&["at", "-p", "1", &pid, "0"]).contains("is a process, and --pid 1 names one"));
}

#[test]
fn what_a_target_does_not_have_is_refused() {
    let sleeper = Sleeper::start();
    let pid = sleeper.pid();
    let core = "cores/arm64-6.1.core.zst";
    let text = |args: &[&str], why: &str| {
        let said = refused(args);
        assert!(said.contains(why), "{args:?}: {said}");
    };
    text(
        &[&pid, "--at", "5"],
        "a running process is only seen as it is now, so it takes neither --at",
    );
    text(&[&format!("{pid}@0.5")], "a running process is only seen as it is now");
    text(&[&pid, "--pid", "3"], "the target is another process, so it takes no --pid");
    text(&[&pid, "--processes"], "a running process is one process, so it takes no --processes");
    text(&[ZOO, "--at", "end"], "a text of rows is of one moment");
    text(&[ZOO, "--pid", "3"], "a text of rows names no process");
    text(&[ZOO, "--processes"], "a text of rows is of one process");
    text(
        &[ZOO, "--freeze"],
        "only a running process has threads that can be stopped, so it takes no",
    );
    text(&[ZOO, "--deep"], "a text of rows holds no memory, so it takes no --deep");
    text(&["at", ZOO, "0", "--deep"], "a text of rows holds no memory");
    text(&[ZOO, "--sizes"], "it is maps, and only smaps has sizes");
    text(&[core, "--at", "1"], "a core dump is of one moment");
    text(&[core, "--pid", "1"], "a core dump is of one process, which is another");
    text(&[core, "--sizes"], "a core dump has no sizes of smaps");
    text(&[LOG, "--sizes"], "a log of strace has no sizes of smaps");
    text(&[LOG, "--freeze"], "only a running process");
    text(&["explain", "crashes/glibc.log", "--at", "1"], "a log of a crash has no moments");
}

#[test]
fn what_has_no_effect_is_refused() {
    let says = |args: &[&str], why: &str| {
        let said = refused(args);
        assert!(said.contains(why), "{args:?}: {said}");
    };
    says(&[&format!("{LOG}@0.001"), "--at", "0.002"], "another moment is in the target");
    says(&[&format!("{LOG}:18657"), "--pid", "18658"], "another process is in the target");
    assert_eq!(vmatlas(&[&format!("{LOG}:18657"), "--pid", "18657", "-q"]).status, 0);
    let ranking = [
        ["--by", "thread"],
        ["--where", "size > 1"],
        ["--svg", "x"],
        ["--since", "1"],
        ["--top", "9"],
        ["--mappings", "-q"],
    ];
    for option in ranking {
        says(&["blame", LOG, "7fb267202000", option[0], option[1]], "cannot be used with");
    }
    says(&[LOG, "--processes", "--sizes"], "cannot be used with");
    for words in [&[ZOO] as &[&str], &["at", ZOO, "0"], &["diff", ZOO, LOG], &["explain", ZOO]] {
        says(&[words, &["--proc", "/"]].concat(), "--proc is about processes");
    }
    for option in [&["--by", "kind"] as &[&str], &["--summary"], &["--wide"]] {
        says(&[&[LOG, "--processes"], option].concat(), "cannot be used with");
    }
    says(&["at", "--pid", "1", ZOO, "0x1"], "a text of rows names no process");
    says(&["at", ZOO, "0x1", "-"], "- stands for addresses of standard input");
    for command in [&["save", ZOO] as &[&str], &["record"]] {
        let args =
            [command, &["-o", "-"], if command[0] == "record" { &["--", "true"] } else { &[] }];
        says(&args.concat(), "standard output is no file; write ./-");
    }
    says(&["blame", LOG, "--proc", "/"], "blame reads recordings, for which --proc has no meaning");
}

#[test]
fn options_about_what_is_not_printed_are_refused() {
    let says = |args: &[&str], why: &str| {
        let said = refused(args);
        assert!(said.contains(why), "{args:?}: {said}");
    };
    let conflicts: [&[&str]; 8] = [
        &[ZOO, "--no-header", "--by", "perms"],
        &[ZOO, "--ndjson", "--summary"],
        &[ZOO, "--ndjson", "--by", "file"],
        &[ZOO, "--json", "--kernel", "6.1"],
        &[LOG, "--processes", "--kernel", "6.1"],
        &["blame", LOG, "--csv", "--by", "thread"],
        &["blame", LOG, "--folded", "--mappings"],
        &["blame", LOG, "--json", "--top", "3"],
    ];
    conflicts.iter().for_each(|args| says(args, "cannot be used with"));
    says(&["blame", LOG, "--force"], "--force is about the file of --pprof or --svg");
    says(&["blame", LOG, "--svg", "/dev/null", "--top", "3"], "--top is about text");
    says(
        &["blame", LOG, "--debuginfod"],
        "does not identify the files, so it takes no --debuginfod",
    );
}

#[test]
fn a_log_lists_its_processes() {
    let list = vmatlas(&[LOG, "--processes"]);
    insta::assert_snapshot!(list.all(), @"
         pid name                 began      ended status
       18657 child              0.000 s        #59 unknown
       18658 child              0.002 s        #48 unknown
    exit 0
    ");
    let json = vmatlas(&[LOG, "--processes", "--json"]).json();
    assert_eq!((&json["processes"][1]["pid"], &json["backend"]), (&18658.into(), &"strace".into()));
    for target in [format!("{LOG}@0.001"), format!("{LOG}:18657")] {
        assert!(refused(&[&target, "--processes"]).contains("all processes are listed"));
    }
    let log = std::fs::read(crate::vmatlas::testdata().join(LOG)).unwrap();
    assert_eq!(vmatlas_with_input(&["-", "--processes"], &log).text(), list.text());
}

#[test]
fn values_of_another_form_are_refused() {
    let says = |expression: &str, why: &str| {
        let said = refused(&[ZOO, "--where", expression]);
        assert!(said.contains(why), "{expression}: {said}");
    };
    for value in ["yes", "1", "True"] {
        says(&format!("deleted = {value}"), "deleted is true or false");
        says(&format!("deleted != {value}"), "deleted is true or false");
    }
    says("addr = 401000", "write 0x401000");
    says("addr = 7f00beef", "write 0x7f00beef");
    for expression in ["deleted != true", "deleted = t*", "deleted = ''", "addr != 0"] {
        assert!(vmatlas(&[ZOO, "-q", "--where", expression]).status < 2, "{expression}");
    }
}

#[test]
fn a_file_named_as_standard_input_is_not_read_for_it() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("-"), "1000-2000 r--p 00000000 00:00 0 \n").unwrap();
    let run = |args: &[&str], input: &str| {
        let mut command = command(args);
        command.current_dir(directory.path());
        run_with_input(command, input.as_bytes())
    };
    let shown = run(&["-", "--raw"], "3000-4000 r--p 00000000 00:00 0 \n");
    assert!(shown.text().starts_with("00003000-"), "{}", shown.all());
    let shown = run(&["./-", "--raw"], "");
    assert!(shown.text().starts_with("00001000-"), "{}", shown.all());
}

#[test]
fn no_address_of_standard_input_is_no_answer() {
    let run = vmatlas_with_input(&["at", ZOO, "-"], b" \n");
    assert_eq!(run.status, 1, "{}", run.all());
    assert!(run.stderr.contains("there was no address"), "{}", run.stderr);
}

#[test]
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
fn options_of_another_backend_are_refused() {
    let says = |args: &[&str], why: &str| {
        let said = refused(&[&["record", "-o", "/dev/null/none"], args].concat());
        assert!(said.contains(why), "{args:?}: {said}");
    };
    says(&["--stack-size", "4096", "--", "true"], "--stack-size is about perf events");
    says(&["--audit", "--backend", "ptrace", "--", "true"], "leave out --backend ptrace");
    says(&["-p", "1", "--backend", "ptrace"], "is recorded by perf events");
}

#[test]
fn a_process_of_a_crash_log_may_be_in_the_target() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let line = |pid: u32| {
        format!(
            "app[{pid}]: segfault at 7a8 ip 00007fdccdf44277 sp 00007ffe4b1a3a60 error 4 in libc.so[7fdccdeb3000+1c0000]\n"
        )
    };
    std::fs::write(&log, line(7) + &line(8)).unwrap();
    let log = log.to_str().unwrap();
    let explained = |args: &[&str]| vmatlas(&[&["explain", "-q", "--json"], args].concat()).stdout;
    let eighth = explained(&[&format!("{log}:8")]);
    assert_eq!(eighth, explained(&[log, "--pid", "8"]));
    assert_ne!(eighth, explained(&[log]));
    let none = vmatlas(&["explain", &format!("{log}:9")]);
    assert!(
        none.stderr.contains("no crash of process or thread 9, only of 7, 8"),
        "{}",
        none.stderr
    );
}

#[test]
fn moments_that_are_none_are_named() {
    for moment in ["0.1s", "50%", "", "1:2"] {
        let said = refused(&[&format!("{LOG}@{moment}")]);
        let why =
            format!("no moment: `{moment}`; a moment is seconds from the start (1.25), `end`");
        assert!(said.contains(&why), "{said}");
    }
    assert!(refused(&[&format!("{LOG}:child")]).contains("no process: `child`"));
    assert!(refused(&["no-such-file@0.1s"]).contains("there is no such file"));
}

#[test]
fn words_that_are_no_targets() {
    insta::assert_snapshot!([
        refused(&["shwo", "self"]),
        refused(&["shwo"]),
        refused(&["1", "2"]),
        refused(&["self", "--json", "at", "0"]),
        refused(&["--jsn", "self"]),
        refused(&["self", "--color", "alway"]),
        refused(&["at", "self"]),
        refused(&["help", "shwo"]),
        refused(&["man", "shwo"]),
        refused(&["man", "x"]),
        refused(&["diff", "self"]),
    ].concat(), @"
    vmatlas: shwo is no command; did you mean vmatlas show self?
    vmatlas: shwo: there is no such file, and no process of that name; did you mean vmatlas show?
    vmatlas: 1 2: none of these processes has memory that may be read
    vmatlas: a command comes first: vmatlas at self --json 0
    vmatlas: unexpected argument '--jsn' found; did you mean vmatlas --json self?
    vmatlas: invalid value 'alway' for '--color <WHEN>' [possible values: auto, always, never]; did you mean vmatlas self --color always?
    vmatlas: the following required arguments were not provided: <ADDR>...; see vmatlas at --help
    vmatlas: shwo is no command; did you mean vmatlas help show?
    vmatlas: there is no command `shwo`; did you mean vmatlas man show?
    vmatlas: there is no command `x`; `vmatlas man` lists the commands
    vmatlas: the following required arguments were not provided: <SECOND>; see vmatlas diff --help
    ");
}

#[test]
fn the_whole_command_line_is_suggested() {
    insta::assert_snapshot!([
        refused(&["shwo", "self", "--sizes", "--where", "name ~ it's", "--sort", "size"]),
        refused(&["--sizes", "shwo", "self"]),
        refused(&["-q", "shwo", "--wide"]),
        refused(&["a file", "--quiet", "diff", "$HOME", "--where", "size > 1M"]),
        refused(&["--sort", "at", "self", "at", "0"]),
        refused(&["--soort", "size", "self", "--wide"]),
        refused(&["self", "--soort=size", "--colour", "never"]),
        refused(&["self", "--color=alway", "--by", "kid"]),
        refused(&["shwo", "self", "--summry"]),
        refused(&["blame", "--conut", "resident", "a\nb", "--since", "1"]),
        refused(&["completions", "bsh"]),
    ].concat(), @r"
    vmatlas: shwo is no command; did you mean vmatlas show self --sizes --where 'name ~ it'\''s' --sort size?
    vmatlas: shwo is no command; did you mean vmatlas --sizes show self?
    vmatlas: shwo: there is no such file, and no process of that name; did you mean vmatlas -q show --wide?
    vmatlas: a command comes first: vmatlas diff 'a file' --quiet '$HOME' --where 'size > 1M'
    vmatlas: a command comes first: vmatlas at --sort at self 0
    vmatlas: unexpected argument '--soort' found; did you mean vmatlas --sort size self --wide?
    vmatlas: unexpected argument '--soort' found; did you mean vmatlas self --sort=size --color never?
    vmatlas: invalid value 'alway' for '--color <WHEN>' [possible values: auto, always, never]; did you mean vmatlas self --color=always --by kind?
    vmatlas: unexpected argument '--summry' found; did you mean vmatlas show self --summary?
    vmatlas: unexpected argument '--conut' found; did you mean vmatlas blame --count resident $'a\012b' --since 1 --budget 512M,1000s?
    vmatlas: invalid value 'bsh' for '<SHELL>' [possible values: bash, elvish, fish, powershell, zsh]; did you mean vmatlas completions bash?
    ");
}

#[test]
fn what_to_type_next_is_quoted() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    std::fs::copy(crate::vmatlas::testdata().join(LOG), file("it's $(a) log")).unwrap();
    std::fs::copy(crate::vmatlas::testdata().join(LOG), file("-log")).unwrap();
    let cd = format!("cd '{}'", directory.path().display());
    let shown = crate::terminal::on_screen(
        &cd,
        &["it's $(a) log", "--pid", "18658", "--at", "0.0025", "--summary"],
        &[("COLUMNS", "400")],
    );
    let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    let target = r"'it'\''s $(a) log' --pid 18658 --at 0.0025";
    assert!(flat.contains(&format!("vmatlas at {target} ADDRESS")), "{shown}");
    assert!(flat.contains(&format!("vmatlas blame {target}")), "{shown}");
    let list = vmatlas(&["show", "--summary", file("it's $(a) log").to_str().unwrap()]).stderr;
    assert!(list.contains(r"/it'\''s $(a) log:18658' child"), "{list}");
    let shown = crate::terminal::on_screen(&cd, &["--summary", "--", "-log"], &[]);
    assert!(shown.contains("vmatlas blame ./-log"), "{shown}");
}

#[test]
fn what_blame_does_not_find_is_said() {
    let said = |args: &[&str], status| {
        let run = vmatlas(&[&["blame"], args].concat());
        assert_eq!(run.status, status, "{args:?}: {}", run.all());
        assert!(!run.text().contains("(--"), "{}", run.text());
        let last = run.stderr.lines().last().unwrap_or_default().to_owned();
        let quiet = vmatlas(&[&["blame", "-q"], args].concat());
        assert_eq!((quiet.status, quiet.stderr.is_empty()), (status, status == 1), "{args:?}");
        last
    };
    insta::assert_snapshot!([
        said(&[LOG, "--since", "99"], 1),
        said(&[LOG, "--since", "99", "--where", "size > 4K"], 1),
        said(&[LOG, "--where", "size > 4T"], 1),
        said(&[&format!("{LOG}:fork")], 2),
        said(&[&format!("{LOG}@x")], 2),
        said(&["no-such.vmrec"], 2),
        said(&["."], 2),
        said(&["strace"], 2),
    ].join("\n"), @"
    vmatlas: strace/child.log: nothing is still mapped that was mapped after 99 s; the last event of that moment is at 0.003 s
    vmatlas: strace/child.log: nothing that matches --where is still mapped that was mapped after 99 s; the last event of that moment is at 0.003 s
    vmatlas: strace/child.log: none of the 16 rows matches --where
    vmatlas: strace/child.log:fork: no process: `fork`; a process of a recording or log is FILE:PID, with a moment FILE:PID@TIME
    vmatlas: strace/child.log@x: no moment: `x`; a moment is seconds from the start (1.25), `end`, or #N for after event N
    vmatlas: no-such.vmrec: no recording can be read there: No such file or directory (os error 2)
    vmatlas: .: no recording can be read there: not a file
    vmatlas: strace: no recording can be read there: not a file
    ");
}

#[test]
fn options_before_the_command() {
    let at = |args: &[&str]| vmatlas(args).all();
    let after = at(&["at", "--json", ZOO, "7f0fc2bde010"]);
    assert_eq!(at(&["--json", "at", ZOO, "7f0fc2bde010"]), after);
    assert_eq!(at(&["--proc", "/proc", "--json", "at", ZOO, "7f0fc2bde010"]), after);
    assert_eq!(at(&["-q", "--color=never", "diff", ZOO, ZOO]), at(&["diff", "-q", ZOO, ZOO]));
    assert_eq!(at(&["-qp", "18658", "show", LOG]), at(&["show", "-qp18658", LOG]));
    // A value that is the name of a command is none.
    assert!(refused(&["--sort", "at", ZOO]).contains("`at` is no column"));
    assert!(refused(&["--sizes", "at", ZOO, "0"]).contains("unexpected argument '--sizes'"));
    assert!(refused(&["--", "verify"]).contains("verify: there is no such file"));
    assert!(vmatlas(&["--version", "at"]).text().starts_with("vmatlas "));
    assert!(vmatlas(&["--help", "at"]).text().contains("vmatlas at"));
}

#[test]
fn a_filter_that_lets_nothing_through() {
    let said = |args: &[&str]| {
        let run = vmatlas(args);
        assert_eq!(run.status, 1, "{args:?}: {}", run.stderr);
        run.stderr
    };
    let of = |filter: &str| said(&[ZOO, "--where", filter]);
    insta::assert_snapshot!([
        of("name = libz"),
        of("name = zoo"),
        of("name = /zoo and size > 1T"),
        of("name = '[hea'"),
        of("size > 1T"),
        said(&["diff", ZOO, ZOO, "--where", "name = zoo"]),
        said(&["blame", LOG, "-q", "--where", "name = nothing"]),
        said(&["show", ZOO, "-q", "--where", "name = zoo"]),
    ].concat(), @r#"
        vmatlas: captures/zoo-x86_64-6.18.maps: none of the 74 rows matches --where
        vmatlas: captures/zoo-x86_64-6.18.maps: none of the 74 rows matches --where; `=` compares the whole name: `name ~ zoo` or `name = *zoo*` finds zoo inside
        vmatlas: captures/zoo-x86_64-6.18.maps: none of the 74 rows matches --where; `=` compares the whole name: `name ~ /zoo` or `name = */zoo*` finds /zoo inside
        vmatlas: captures/zoo-x86_64-6.18.maps: none of the 74 rows matches --where; `=` compares the whole name: `name = "*[hea*"` or a regular expression after `name ~` finds [hea inside
        vmatlas: captures/zoo-x86_64-6.18.maps: none of the 74 rows matches --where
        vmatlas: captures/zoo-x86_64-6.18.maps, captures/zoo-x86_64-6.18.maps: none of the 148 rows matches --where; `=` compares the whole name: `name ~ zoo` or `name = *zoo*` finds zoo inside
        "#);
    let json = vmatlas(&[ZOO, "--json", "--where", "size > 1T"]);
    assert_eq!((json.status, &json.json()["mappings"]), (1, &serde_json::json!([])));
    assert_eq!(vmatlas(&["diff", ZOO, ZOO, "--where", "name = /zoo/*"]).status, 0);
    let one = b"1000-2000 rw-p 00000000 00:00 0\n";
    let run = vmatlas_with_input(&["-", "--where", "perms has x"], one);
    assert!(run.stderr.contains("the only row does not match --where"), "{}", run.stderr);
}

#[test]
fn bytes_are_sorted_from_the_largest() {
    let column = |column: &str, more: &[&str]| -> Vec<String> {
        let args = [ZOO, "--no-header", "--csv", "--columns", column, "--sort", column];
        vmatlas(&[&args, more].concat()).text().lines().map(str::to_owned).collect()
    };
    let sizes: Vec<u64> = column("size", &[]).iter().map(|size| size.parse().unwrap()).collect();
    assert!(sizes.is_sorted_by(|a, b| a >= b) && sizes.first() > sizes.last(), "{sizes:?}");
    assert_eq!(column("size", &["--reverse"]).first(), Some(&sizes.last().unwrap().to_string()));
    assert!(column("start", &[]).is_sorted() && column("perms", &[]).is_sorted());
}
