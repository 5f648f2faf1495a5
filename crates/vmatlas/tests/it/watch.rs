//! Watches programs that grow, by looks on demand: no clock decides what they see.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use vmatlas::{By, Finding, Look, Measure, Trend, Verdict, Watch, WatchOptions, words};

/// The looks at a program, with one of its steps between two of them.
const LOOKS: u64 = 48;
/// The time between two looks that the watch is told.
const STEP: Duration = Duration::from_secs(10);
const MINUTE: f64 = 60.0;

/// `testdata/programs/growing.c` in one of its modes.
struct Growing(Child);

impl Growing {
    fn start(mode: &str) -> Growing {
        static COMPILED: OnceLock<PathBuf> = OnceLock::new();
        let program = COMPILED.get_or_init(|| {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("growing-library");
            let new = path.with_extension(format!("new-{}", std::process::id()));
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/programs/growing.c");
            let status =
                Command::new("cc").args(["-O1", "-pthread", source, "-o"]).arg(&new).status();
            assert!(status.expect("needs a C compiler").success());
            std::fs::rename(new, &path).unwrap();
            path
        });
        let mut command = Command::new(program);
        command.arg(mode).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut growing = Growing(command.spawn().unwrap());
        growing.answer();
        growing
    }

    fn answer(&mut self) {
        self.0.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    }

    fn step(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b".").unwrap();
        self.answer();
    }

    fn watch(&self, by: By) -> Watch {
        let mut options = WatchOptions::default();
        options.by = by;
        options.always_sizes = true;
        Watch::of_targets(&[self.0.id().to_string()], options).unwrap()
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The last look at a program in a mode.
fn watched(mode: &str, by: By) -> Look {
    let mut program = Growing::start(mode);
    let mut watch = program.watch(by);
    let mut last = watch.look(Duration::ZERO).unwrap();
    for look in 1..LOOKS {
        program.step();
        last = watch.look(STEP * u32::try_from(look).unwrap()).unwrap();
    }
    last.unwrap()
}

fn verdict(mode: &str) -> Verdict {
    watched(mode, By::Label).verdict
}

/// The one key whose memory grows, by a rate in bytes a minute.
#[track_caller]
fn assert_grows(verdict: &Verdict, key: &str, bytes: f64) -> Finding {
    let found = verdict.growing.iter().find(|finding| finding.measure == Measure::Resident);
    let found = found.unwrap_or_else(|| panic!("nothing grows: {verdict:?}"));
    assert!(found.key.contains(key), "{verdict:?}");
    let is_near = (found.per_minute - bytes).abs() <= 0.25 * bytes;
    assert!(is_near, "{bytes}: {verdict:?}");
    let said = words::verdict(verdict).unwrap();
    assert!(said.starts_with(&format!("{} grows by ", found.key)), "{said}");
    found.clone()
}

#[track_caller]
fn assert_no_growth(verdict: &Verdict) {
    assert!(verdict.growing.is_empty(), "{verdict:?}");
}

const KIB: f64 = 1024.0;
/// Steps in a minute.
const STEPS: f64 = MINUTE / 10.0;

#[test]
fn a_leak_by_mmap() {
    let found = assert_grows(&verdict("mmap"), "", 256.0 * KIB * STEPS);
    assert!(!found.is_mapped_before);
}

#[test]
fn a_leak_by_malloc() {
    assert_grows(&verdict("malloc"), "heap", 64.0 * 1008.0 * STEPS);
}

#[test]
fn a_leak_in_an_arena_of_a_thread() {
    assert_grows(&verdict("arena"), "arena", 64.0 * 1008.0 * STEPS);
}

#[test]
fn a_slow_leak() {
    assert_grows(&verdict("slow"), "heap", 1008.0 * STEPS);
}

#[test]
fn a_sawtooth() {
    let verdict = verdict("sawtooth");
    assert_no_growth(&verdict);
    assert_eq!(verdict.whole, Trend::Varies);
    assert!(words::verdict(&verdict).unwrap().contains("up and down"));
}

#[test]
fn growth_once() {
    let verdict = verdict("once");
    assert_no_growth(&verdict);
    let grew = matches!(verdict.whole, Trend::Grew { by, until } if by >= 8e6 && until == 260.0);
    assert!(grew, "{verdict:?}");
}

#[test]
fn growth_while_it_starts() {
    let verdict = verdict("startup");
    assert_no_growth(&verdict);
    let grew = matches!(verdict.whole, Trend::Grew { by, until } if by >= 8e6 && until == 80.0);
    assert!(grew, "{verdict:?}");
    assert!(words::verdict(&verdict).unwrap().ends_with(", and no more since 80 s"));
}

#[test]
fn shrinking() {
    let verdict = verdict("shrinking");
    assert_no_growth(&verdict);
    let rate = 256.0 * KIB / 10.0;
    let falls = matches!(verdict.whole, Trend::Falls { per_second } if (per_second - rate).abs() < rate / 10.0);
    assert!(falls, "{verdict:?}");
}

#[test]
fn reserved_memory_touched_once() {
    let verdict = verdict("touching");
    assert_no_growth(&verdict);
    assert!(matches!(verdict.whole, Trend::Grew { by, .. } if by >= 16e6), "{verdict:?}");
    // While it is touched, no more is mapped.
    let mut program = Growing::start("touching");
    let mut watch = program.watch(By::Kind);
    let mut look = None;
    for at in 0..14 {
        look = watch.look(STEP * at).unwrap();
        program.step();
    }
    let verdict = look.unwrap().verdict;
    let found = assert_grows(&verdict, "anonymous", 1024.0 * KIB * STEPS);
    assert!(found.is_mapped_before, "{verdict:?}");
    assert!(words::verdict(&verdict).unwrap().contains("within what was mapped before"));
}

#[test]
fn a_cache_that_is_full() {
    let verdict = verdict("cache");
    assert_no_growth(&verdict);
    assert!(matches!(verdict.whole, Trend::Grew { .. }), "{verdict:?}");
}

#[test]
fn more_and_more_mappings() {
    let verdict = verdict("rows");
    let [found] = &verdict.growing[verdict.growing.len() - 1..] else { unreachable!() };
    assert_eq!(found.measure, Measure::Mappings, "{verdict:?}");
    assert!((found.per_minute - 8.0 * STEPS).abs() <= 1.0, "{verdict:?}");
    let said = words::verdict(&verdict).unwrap();
    assert!(said.contains("the number of mappings grows by 48/min"), "{said}");
}

#[test]
fn no_growth() {
    let verdict = verdict("none");
    assert_no_growth(&verdict);
    assert_eq!(verdict.whole, Trend::Flat, "{verdict:?}");
    assert_eq!(words::verdict(&verdict).unwrap(), "nothing grows");
}

#[test]
fn a_look_has_sums_changes_and_rows() {
    let mut program = Growing::start("mmap");
    let mut watch = program.watch(By::Kind);
    let first = watch.look(Duration::ZERO).unwrap().unwrap();
    assert!((first.processes, first.added, first.removed) == (1, 0, 0) && first.has_sizes);
    assert!(first.totals.iter().all(|total| total.since_start == 0 && total.since_last == 0));
    assert_eq!(first.rss, first.totals.iter().map(|total| total.rss).sum::<u64>());
    assert_eq!(words::verdict(&first.verdict), None, "one look shows no trend");
    program.step();
    program.step();
    watch.look(STEP).unwrap();
    program.step();
    let look = watch.look(STEP * 2).unwrap().unwrap();
    let anonymous = &look.totals[0];
    assert_eq!(anonymous.key, "anonymous");
    assert_eq!((anonymous.since_start, anonymous.since_last), ((3 * 256) << 10, 256 << 10));
    assert_eq!(anonymous.per_minute(look.since), Some(3.0 * 256.0 * KIB * 3.0));
    assert_eq!(look.size - first.size, (3 * 256) << 10);
    // Without sizes, rows and the kernel's count are read.
    let mut watch =
        Watch::of_targets(&[program.0.id().to_string()], WatchOptions::default()).unwrap();
    assert!(watch.look(Duration::ZERO).unwrap().unwrap().has_sizes);
    let look = watch.look(Duration::from_nanos(1)).unwrap().unwrap();
    assert!(!look.has_sizes && look.totals.is_empty() && look.rss > 0 && look.rows > 0);
    drop(program);
    assert!(watch.look(STEP).unwrap().is_none());
}

#[test]
fn several_processes_are_summed_up() {
    let (mut one, two) = (Growing::start("mmap"), Growing::start("rows"));
    let words = [one.0.id().to_string(), two.0.id().to_string()];
    let mut options = WatchOptions::default();
    options.always_sizes = true;
    let mut watch = Watch::of_targets(&words, options).unwrap();
    let first = watch.look(Duration::ZERO).unwrap().unwrap();
    assert_eq!(first.processes, 2);
    one.step();
    drop(two);
    let second = watch.look(STEP).unwrap().unwrap();
    assert_eq!((second.processes, second.ended), (1, 1));
    assert!(second.rows < first.rows);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").to_owned();
    assert!(Watch::of_targets(&[file], WatchOptions::default()).is_err());
}
