//! `vmatlas verify FILE…`: scenarios run on the model and on the running kernel.

use crate::args::VerifyArgs;
use crate::output::words::printable;
use crate::output::{json, note, pager};
use crate::trouble::Trouble;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, thread};
use vmatlas::KernelVersion;
use vmatlas::scenario::{Fact, Mismatch, Model, Random, Scenario, ScenarioError, scenarios};
use vmatlas::space::KernelProfile;
use vmatlas_linux::scenario::{Runner, RunnerError};

/// How many tries a scenario is made smaller with.
const SHRINKING: usize = 3000;
/// How many differing random scenarios are kept before the run ends.
const ENOUGH: usize = 20;

/// The whole answer.
#[derive(Default, Serialize)]
struct Report {
    schema: &'static str,
    passed: u64,
    failed: u64,
    skipped: u64,
    scenarios: Vec<Outcome>,
}

/// What became of one scenario.
#[derive(Serialize)]
struct Outcome {
    name: String,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<String>,
    /// The smallest scenario that shows a difference of a random one.
    #[serde(skip_serializing_if = "Option::is_none")]
    scenario: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Status {
    Ok,
    ModelDiffers,
    KernelDiffers,
    Skipped,
}

impl Report {
    fn add(&mut self, outcome: Outcome) {
        match outcome.status {
            Status::Ok => self.passed += 1,
            Status::Skipped => self.skipped += 1,
            Status::ModelDiffers | Status::KernelDiffers => self.failed += 1,
        }
        self.scenarios.push(outcome);
    }
}

impl Outcome {
    fn of(name: &str, status: Status) -> Outcome {
        Outcome {
            name: name.to_owned(),
            status,
            why: None,
            expected: None,
            model: None,
            kernel: None,
            scenario: None,
        }
    }

    /// A scenario that was not run to its end on the kernel.
    fn ended(name: &str, error: &RunnerError) -> Outcome {
        Outcome { why: Some(error.to_string()), ..Outcome::of(name, Status::KernelDiffers) }
    }
}

pub(crate) fn run(args: &VerifyArgs) -> Result<bool, Trouble> {
    let runner = if args.model_only { None } else { Some(Runner::new().map_err(trouble)?) };
    let plan = Plan::new(args, runner);
    let (mut report, mut unread) = match args.random {
        Some(count) => (plan.random(count, args.seed.unwrap_or(1))?, Vec::new()),
        None => plan.files(&args.files),
    };
    report.schema = json::SCHEMA;
    if args.common.json {
        json::print(&report)?;
    } else {
        pager::print(&text(&report))?;
    }
    let Some(last) = unread.pop() else { return Ok(report.failed == 0) };
    unread.iter().for_each(|message| note(message));
    Err(Trouble::new(last))
}

/// What is compared with what.
struct Plan {
    runner: Option<Runner>,
    profile: KernelProfile,
}

impl Plan {
    fn new(args: &VerifyArgs, runner: Option<Runner>) -> Plan {
        let profile = match (args.kernel, &runner) {
            (Some(version), Some(runner)) => runner.profile_as(version),
            (None, Some(runner)) => runner.profile(),
            (version, None) => KernelProfile::of(version.unwrap_or(NEWEST)),
        };
        Plan { runner, profile }
    }

    /// All scenarios of the files, and what is wrong with those that cannot be read.
    fn files(mut self, files: &[PathBuf]) -> (Report, Vec<String>) {
        let mut report = Report::default();
        let mut unread = Vec::new();
        for path in files {
            let name = path.display();
            let text = match fs::read(path) {
                Ok(text) => text,
                Err(error) => {
                    unread.push(format!("{name}: {error}"));
                    continue;
                }
            };
            for scenario in scenarios(&text) {
                match scenario {
                    Ok(scenario) => {
                        let mut outcome = self.check(&scenario);
                        if let Some(why) = &mut outcome.why
                            && outcome.status != Status::Skipped
                        {
                            why.insert_str(0, &format!("{name}: "));
                        }
                        report.add(outcome);
                    }
                    Err(ScenarioError { kind, line, column, .. }) => {
                        unread.push(format!("{name}:{line}:{column}: {kind}"));
                    }
                }
            }
        }
        (report, unread)
    }

    fn check(&mut self, scenario: &Scenario) -> Outcome {
        let name = &scenario.name;
        let version = self.profile.version;
        let skipped = match &self.runner {
            Some(runner) => scenario.skipped(version, &runner.environment().facts),
            None => scenario.skipped(version, &Fact::of(&self.profile)),
        };
        if let Some(why) = skipped {
            return Outcome { why: Some(why), ..Outcome::of(name, Status::Skipped) };
        }
        let mut model = Model::new(self.profile.clone(), scenario.region);
        let on_model = scenario.differs_on(&mut model);
        let on_kernel = match &mut self.runner {
            Some(runner) => match runner.differs(scenario) {
                Ok(mismatch) => mismatch,
                // One that cannot be run to its end does not keep others from it.
                Err(error) => return Outcome::ended(name, &error),
            },
            None => None,
        };
        let Some(first) = on_kernel.as_ref().or(on_model.as_ref()) else {
            return Outcome::of(name, Status::Ok);
        };
        let status = if on_kernel.is_some() { Status::KernelDiffers } else { Status::ModelDiffers };
        let shown = |mismatch: Option<&Mismatch>| mismatch.map(|m| m.shown.clone());
        Outcome {
            why: Some(format!("line {}", first.line)),
            expected: Some(first.expected.clone()),
            model: shown(on_model.as_ref()),
            kernel: shown(on_kernel.as_ref()),
            ..Outcome::of(name, status)
        }
    }

    /// Random scenarios: after every step, the kernel and the model must agree.
    fn random(self, count: u64, seed: u64) -> Result<Report, Trouble> {
        let Plan { runner, profile } = self;
        let Some(first) = runner else {
            return Err(Trouble::new(
                "random scenarios compare the model with the kernel: --random and --model-only exclude each other",
            ));
        };
        let facts = first.environment().facts.clone();
        let version = profile.version;
        let mut runners = vec![first];
        let cores = thread::available_parallelism().map_or(1, usize::from);
        while runners.len() < cores {
            runners.push(Runner::new().map_err(trouble)?);
        }
        let next = Mutex::new((Random::new(seed), 0));
        let passed = AtomicU64::new(0);
        let failures = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for runner in &mut runners {
                let work = || loop {
                    let scenario = {
                        let mut next = lock(&next);
                        if next.1 == count || lock(&failures).len() >= ENOUGH {
                            return;
                        }
                        next.1 += 1;
                        next.0.scenario(STEPS, &facts, version)
                    };
                    match compare(runner, &profile, &scenario) {
                        None => {
                            passed.fetch_add(1, Ordering::Relaxed);
                        }
                        Some(outcome) => lock(&failures).push(outcome),
                    }
                };
                scope.spawn(work);
            }
        });
        let mut report = Report { passed: passed.into_inner(), ..Report::default() };
        lock(&failures).drain(..).for_each(|outcome| report.add(outcome));
        Ok(report)
    }
}

/// How many operations a random scenario has.
const STEPS: usize = 30;
/// The rules without a kernel to ask and without `--kernel`.
const NEWEST: KernelVersion = KernelVersion::new(7, 3, 0);

/// Compares the model with the kernel; a scenario that tells them apart is made smaller.
fn compare(runner: &mut Runner, profile: &KernelProfile, scenario: &Scenario) -> Option<Outcome> {
    let name = &scenario.name;
    let whole = || Some(scenario.to_string());
    let first = match runner.differs_from_model(scenario, profile) {
        Ok(None) => return None,
        Ok(Some(mismatch)) => mismatch,
        Err(error) => {
            return Some(Outcome { scenario: whole(), ..Outcome::ended(name, &error) });
        }
    };
    let small = scenario.shrink(SHRINKING, |smaller| {
        matches!(runner.differs_from_model(smaller, profile), Ok(Some(_)))
    });
    let again = runner.differs_from_model(&small, profile).ok().flatten();
    let kept = runner.filled_in(&small).ok();
    let once = if again.is_some() { "" } else { ", and not again" };
    let mismatch = again.unwrap_or(first);
    Some(Outcome {
        why: Some(format!("line {}{once}", mismatch.line)),
        kernel: Some(mismatch.expected),
        model: Some(mismatch.shown),
        scenario: kept.map(|kept| kept.to_string()).or_else(whole),
        ..Outcome::of(name, Status::ModelDiffers)
    })
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    let mut say = |line: &str| {
        let _ = writeln!(text, "{}", printable(line.as_bytes()));
    };
    for outcome in &report.scenarios {
        let status = match outcome.status {
            Status::Ok | Status::Skipped => continue,
            Status::ModelDiffers => "the model differs",
            Status::KernelDiffers => "the kernel differs",
        };
        let why = outcome.why.as_deref().unwrap_or_default();
        say(&format!("{}: {status}, {why}", outcome.name));
        let parts = [
            ("expected", &outcome.expected),
            ("kernel", &outcome.kernel),
            ("model", &outcome.model),
        ];
        for (who, part) in parts {
            for (number, line) in part.iter().flat_map(|part| part.lines()).enumerate() {
                let who = if number == 0 { who } else { "" };
                say(&format!("  {who:8}  {line}"));
            }
        }
        for line in outcome.scenario.iter().flat_map(|scenario| scenario.lines()) {
            say(&format!("    {line}"));
        }
    }
    let Report { passed, failed, skipped, .. } = report;
    say(&format!("{passed} passed, {failed} failed, {skipped} skipped"));
    text
}

fn trouble(error: RunnerError) -> Trouble {
    Trouble::new(format!("scenarios cannot be run on this kernel: {error}"))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
