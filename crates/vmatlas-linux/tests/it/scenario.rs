//! Scenarios on the running kernel.

use crate::child::{lacks, root, skipped};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;
use vmatlas_linux::scenario::{Environment, RowsAfter, Run, Runner, RunnerError, serve_if_asked};
use vmatlas_recording::CallKind;
use vmatlas_space::Errno;
use vmatlas_space::scenario::{
    Fact, Failure, Labels, Random, Scenario, StepKind, compare, labelled, scenarios,
};

/// A helper process that the runners of these tests execute.
#[test]
fn served_scenarios() {
    serve_if_asked();
}

/// With `EMULATOR`, such as qemu-aarch64-static, these tests must run in it as well.
fn runner() -> Runner {
    let arguments = ["--exact", "scenario::served_scenarios", "--nocapture"].map(OsString::from);
    let this = std::env::current_exe().unwrap();
    match std::env::var_os("EMULATOR") {
        None => Runner::with_program(this, arguments),
        Some(emulator) => {
            let this = std::iter::once(OsString::from(this));
            Runner::with_program(emulator, this.chain(arguments))
        }
    }
    .unwrap()
}

fn parse(text: &str) -> Vec<Scenario> {
    scenarios(text.as_bytes()).collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{error}"))
}

/// Parses the steps between `scenario` and `end`.
fn parse_steps(steps: &str) -> Scenario {
    parse(&format!("scenario test\n{steps}\nend\n")).remove(0)
}

/// The differences between a scenario and its run.
fn differences(scenario: &Scenario, run: &Run) -> Vec<String> {
    let mut labels = Labels::default();
    let mut found = Vec::new();
    for (step, ran) in scenario.steps.iter().zip(&run.steps) {
        let name = format!("{} line {}", scenario.name, step.line);
        match &step.kind {
            StepKind::Operation(_, outcome) if *outcome != ran.outcome => {
                found.push(format!("{name}: {:?} instead of {outcome:?}", ran.outcome));
            }
            StepKind::Operation(..) => {}
            StepKind::Expect(rows) => {
                let shown = ran.rows.as_deref().expect("the rows after an `expect`");
                if let Err(difference) = compare(rows, shown, &mut labels) {
                    let rows = labelled(shown, &labels);
                    let rows: String = rows.iter().map(|row| format!("\n  {row}")).collect();
                    found.push(format!("{name}: {difference}:{rows}"));
                }
            }
        }
    }
    found
}

fn files() -> Vec<(String, Vec<Scenario>)> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/scenarios");
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "scn"))
        .map(|path| (path.display().to_string(), parse(&fs::read_to_string(&path).unwrap())))
        .collect();
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    files
}

#[test]
fn the_scenario_files_hold_on_this_kernel() {
    let mut runner = runner();
    let mut found = Vec::new();
    let (mut ran, mut missing) = (0, BTreeMap::<Fact, u32>::new());
    for (file, scenarios) in files() {
        for scenario in scenarios {
            let Environment { kernel, facts, .. } = runner.environment();
            if scenario.skipped(kernel.unwrap(), facts).is_some() {
                let needs = scenario.needs.iter().filter(|fact| !facts.contains(fact));
                needs.for_each(|fact| *missing.entry(*fact).or_default() += 1);
                continue;
            }
            ran += 1;
            for rows_after in [RowsAfter::Expects, RowsAfter::EveryStep] {
                match runner.run(&scenario, rows_after) {
                    Ok(run) => {
                        let differences = differences(&scenario, &run);
                        found.extend(differences.iter().map(|what| format!("{file}: {what}")));
                    }
                    Err(error) => found.push(format!("{file}: {}: {error}", scenario.name)),
                }
            }
        }
    }
    missing.iter().for_each(|(fact, count)| skipped(&format!("{count} that need {fact:?}")));
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(ran >= 50, "only {ran} scenarios are for this kernel");
}

/// Kinds of recorded calls that no operation of a scenario makes.
const WITHOUT_SCENARIO: &[CallKind] = &[
    // It frees a key and changes no mapping.
    CallKind::PkeyFree,
    // The names of the rings have a counter, and the kernel chooses the address.
    CallKind::IoSetup,
    CallKind::IoDestroy,
    // Needs a processor with shadow stacks.
    CallKind::MapShadowStack,
    // It affects another process.
    CallKind::ProcessMadvise,
    // It changes a policy with a single node only.
    CallKind::SetMempolicyHomeNode,
];

/// The operations that make a call of this kind.
fn words_of(kind: CallKind) -> &'static [&'static str] {
    match kind {
        CallKind::Mmap => &["map"],
        CallKind::Munmap => &["unmap"],
        CallKind::Mprotect => &["protect"],
        CallKind::PkeyMprotect => &["pkey=default"],
        CallKind::Mremap => &["remap"],
        CallKind::Brk => &["brk"],
        CallKind::Madvise => &["advise"],
        CallKind::Mlock => &["lock"],
        CallKind::Munlock => &["unlock"],
        CallKind::Mlockall => &["mlockall"],
        CallKind::Munlockall => &["munlockall"],
        CallKind::Mseal => &["seal"],
        CallKind::Mbind => &["policy"],
        CallKind::RemapFilePages => &["refile"],
        CallKind::Shmat => &["attach"],
        CallKind::Shmdt => &["detach"],
        CallKind::Prctl => &["name", "ksm"],
        CallKind::Personality => &["personality"],
        CallKind::PkeyAlloc => &["pkey"],
        CallKind::Userfaultfd => &["uffd"],
        CallKind::UffdRegister => &["register"],
        CallKind::UffdUnregister => &["unregister"],
        CallKind::ArchPrctl => &["vdso"],
        _ => &[],
    }
}

/// Each call added to the table needs a scenario.
#[test]
fn every_call_of_the_table_has_a_scenario() {
    let texts: Vec<String> = files()
        .iter()
        .flat_map(|(_, scenarios)| scenarios)
        .flat_map(|scenario| &scenario.steps)
        .map(|step| step.kind.to_string())
        .collect();
    for kind in CallKind::all() {
        let words = words_of(kind);
        assert_eq!(words.is_empty(), WITHOUT_SCENARIO.contains(&kind), "{kind:?}");
        for word in words {
            let found = texts.iter().any(|text| text.split(' ').any(|other| other == *word));
            assert!(found, "no scenario has `{word}`, which makes {}", kind.name());
        }
    }
}

#[test]
fn random_scenarios_agree_with_the_model() {
    let mut runner = runner();
    let profile = runner.profile();
    let facts = runner.environment().facts.clone();
    let mut random = Random::new(20_261_122);
    for _ in 0..500 {
        let scenario = random.scenario(30, &facts, profile.version);
        let mismatch = runner.differs_from_model(&scenario, &profile).unwrap();
        assert!(mismatch.is_none(), "{mismatch:#?}\n{scenario}");
    }
}

#[test]
fn the_machine_is_described() {
    let runner = runner();
    let environment = runner.environment();
    assert!(environment.kernel.is_some(), "{environment:?}");
    assert_eq!(environment.page_size, vmatlas_linux::page_size() as u64);
    assert!(environment.max_map_count.is_some_and(|count| count > 1000), "{environment:?}");
    for fact in [Fact::Thp, Fact::Sysv, Fact::Tmpfile, Fact::Noreserve] {
        if !environment.facts.contains(&fact) {
            lacks(&format!("{fact:?}"));
        }
    }
    assert_eq!(environment.facts.contains(&Fact::Root), is_root());
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|this| std::os::unix::fs::MetadataExt::uid(&this) == 0)
}

#[test]
fn every_step_shows_its_rows_and_a_failure_does_not_end_it() {
    let scenario = parse_steps(
        "map 0 2 rw\nunmap 0 0\nwrite 8\nfile F 1\nmap 1 1 r file=F@0\nwrite 1\nclose F\n\
         map 3 1 r file=F@0\nexpect\n  0-1 rw-p\n  1-2 r--p @0 F",
    );
    let run = runner().run(&scenario, RowsAfter::EveryStep).unwrap();
    let outcomes: Vec<_> = run.steps.iter().map(|step| step.outcome).collect();
    let errno = |errno| Err(Failure::Errno(errno));
    let expected = [
        Ok(()),
        errno(Errno::EINVAL),
        Err(Failure::Segv),
        Ok(()),
        Ok(()),
        Err(Failure::Segv),
        Ok(()),
        errno(Errno::EBADF),
        Ok(()),
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(run.steps[0].returned, run.base);
    let rows: Vec<_> = run.steps.iter().map(|step| step.rows.as_ref().unwrap().len()).collect();
    assert_eq!(rows, [1, 1, 1, 1, 2, 2, 2, 2, 2]);
    assert_eq!(run.steps[8].rows, run.steps[7].rows);
}

#[test]
fn a_call_that_hangs_is_ended_and_reported() {
    let mut runner = runner();
    if !runner.environment().facts.contains(&Fact::Uffd) {
        return lacks("userfaultfd");
    }
    runner.set_limit(Duration::from_millis(300)).unwrap();
    let scenario = parse_steps("uffd U\nmap 0 1 rw\nregister U 0 1 missing\nread 0\nunmap 0 1");
    let error = runner.run(&scenario, RowsAfter::EveryStep).unwrap_err();
    assert!(matches!(error, RunnerError::Hung { line: 5, .. }), "{error}");
    runner.run(&parse_steps("map 0 1 rw"), RowsAfter::Expects).unwrap();
}

#[test]
fn a_process_that_destroys_itself_is_reported_and_others_run_on() {
    let mut runner = runner();
    // Everything below the region, and from its end to the highest address.
    let pages = (1u64 << 47) / 4096 - (runner_base(&mut runner) / 4096) - (1 << 20) - 1;
    let scenario = parse_steps(&format!("map 0 1 rw\nunmap 1048576 {pages}\nmap 1 1 rw"));
    let error = runner.run(&scenario, RowsAfter::EveryStep).unwrap_err();
    assert!(matches!(error, RunnerError::Killed { line: 3, signal: 11 }), "{error}");
    runner.run(&parse_steps("map 0 1 rw"), RowsAfter::Expects).unwrap();
}

fn runner_base(runner: &mut Runner) -> u64 {
    runner.run(&parse_steps("map 0 1 rw"), RowsAfter::Expects).unwrap().base
}

#[test]
fn scenarios_that_make_no_sense_are_refused() {
    let mut runner = runner();
    let mut check = |steps: &str, what: &str| {
        let error = runner.run(&parse_steps(steps), RowsAfter::Expects).unwrap_err();
        assert_eq!(error.to_string(), what);
    };
    check("map 0 1 rw\nmap 1 1 r file=F@0", "line 3: no open file is called F");
    check("parent", "line 2: this process has no parent");
    check("child", "line 2: no process was left with `parent`");
    check("attach S 0", "line 2: no segment is called S");
}

#[test]
fn processes_of_a_scenario_take_turns() {
    let scenario = parse_steps(
        "map 0 1 rw\nfork\nmap 1 1 r\nfork\nmap 2 1 rx\nexpect\n  0-1 rw-p\n  1-2 r--p\n  2-3 r-xp\n\
         parent\nexpect\n  0-1 rw-p\n  1-2 r--p\nparent\nmap 3 1 r\nexpect\n  0-1 rw-p\n  3-4 r--p\n\
         child\nexpect\n  0-1 rw-p\n  1-2 r--p\nchild\nexpect\n  0-1 rw-p\n  1-2 r--p\n  2-3 r-xp",
    );
    let run = runner().run(&scenario, RowsAfter::Expects).unwrap();
    assert_eq!(differences(&scenario, &run), Vec::<String>::new());
}

#[test]
fn nothing_is_left_behind() {
    if !root() {
        return;
    }
    let segments = || fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default().lines().count();
    let before = segments();
    let mut runner = runner();
    let directory = runner.directory().to_owned();
    let scenario = parse_steps("shm S 4 key 7a7a7a7a\nattach S 0\nfile F 1\nmap 8 1 r file=F@0");
    for _ in 0..20 {
        let run = runner.run(&scenario, RowsAfter::Expects).unwrap();
        assert!(run.steps.iter().all(|step| step.outcome.is_ok()), "{run:?}");
    }
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    drop(runner);
    assert_eq!(segments(), before);
    assert!(!Path::new(&directory).exists());
}
