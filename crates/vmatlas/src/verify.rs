//! Comparison of scenarios on the model of the kernel and on the running kernel.

use crate::error::{Error, ErrorKind, Result};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use vmatlas_linux::scenario::{Runner, RunnerError};
use vmatlas_maps::KernelVersion;
use vmatlas_space::KernelProfile;
use vmatlas_space::scenario::{Fact, Mismatch, Model, Random, Scenario, ScenarioError, scenarios};

/// The most attempts to shrink a scenario.
const SHRINKING: usize = 3000;
/// The number of differing random scenarios after which the run ends.
const ENOUGH: usize = 20;
/// The number of operations in a random scenario.
const STEPS: usize = 30;
/// The version whose rules apply if neither a kernel nor a version is given.
const NEWEST: KernelVersion = KernelVersion::new(7, 3, 0);

/// The results of some scenarios.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The number of scenarios that agree.
    pub passed: u64,
    /// The number of scenarios that differ.
    pub failed: u64,
    /// The number of scenarios that could not run here.
    pub skipped: u64,
    /// The result of each scenario; for random ones only those that differ.
    pub outcomes: Vec<Outcome>,
}

/// The result of one scenario.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: Status,
    /// The difference, or the reason why it was skipped.
    pub why: Option<String>,
    /// The expected rows.
    pub expected: Option<String>,
    /// The rows of the model, if they differ.
    pub model: Option<String>,
    /// The rows of the kernel, if they differ.
    pub kernel: Option<String>,
    /// For a random scenario, the smallest one that shows the difference.
    pub scenario: Option<String>,
}

/// The status of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// Model and kernel show the expected rows.
    Ok,
    /// The model shows other rows.
    ModelDiffers,
    /// The kernel shows other rows.
    KernelDiffers,
    /// It was not run: this machine or version lacks a requirement.
    Skipped,
}

impl Status {
    /// The status's word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::ModelDiffers => "model-differs",
            Status::KernelDiffers => "kernel-differs",
            Status::Skipped => "skipped",
        }
    }
}

impl VerifyReport {
    fn add(&mut self, outcome: Outcome) {
        match outcome.status {
            Status::Ok => self.passed += 1,
            Status::Skipped => self.skipped += 1,
            Status::ModelDiffers | Status::KernelDiffers => self.failed += 1,
        }
        self.outcomes.push(outcome);
    }

    /// Runs the scenarios in a text; places in it are reported with `name` in front. Returns the
    /// errors of scenarios that cannot be parsed.
    pub fn check(&mut self, verifier: &mut Verifier, name: &str, text: &[u8]) -> Vec<String> {
        let mut unread = Vec::new();
        for scenario in scenarios(text) {
            match scenario {
                Ok(scenario) => {
                    let mut outcome = verifier.check(&scenario);
                    if let Some(why) = &mut outcome.why
                        && outcome.status != Status::Skipped
                    {
                        why.insert_str(0, &format!("{name}: "));
                    }
                    self.add(outcome);
                }
                Err(ScenarioError { kind, line, column, .. }) => {
                    unread.push(format!("{name}:{line}:{column}: {kind}"));
                }
            }
        }
        unread
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

    /// The result of a scenario that did not finish on the kernel.
    fn ended(name: &str, error: &RunnerError) -> Outcome {
        Outcome { why: Some(error.to_string()), ..Outcome::of(name, Status::KernelDiffers) }
    }
}

/// The two sides to compare.
pub struct Verifier {
    runner: Option<Runner>,
    profile: KernelProfile,
}

impl Verifier {
    /// Uses the rules of a given kernel, or of the running one. With `model_only` nothing runs on
    /// the kernel.
    ///
    /// # Errors
    /// Fails if scenarios cannot run on this kernel.
    pub fn new(kernel: Option<KernelVersion>, model_only: bool) -> Result<Verifier> {
        let runner = if model_only { None } else { Some(Runner::new().map_err(trouble)?) };
        let profile = match (kernel, &runner) {
            (Some(version), Some(runner)) => runner.profile_as(version),
            (None, Some(runner)) => runner.profile(),
            (version, None) => KernelProfile::of(version.unwrap_or(NEWEST)),
        };
        Ok(Verifier { runner, profile })
    }

    /// Runs a scenario on the model, and on the kernel unless `model_only` is set.
    pub fn check(&mut self, scenario: &Scenario) -> Outcome {
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
                // A scenario that cannot finish does not stop the others.
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

    /// Runs `count` random scenarios: after every step, the kernel and the model must agree.
    ///
    /// # Errors
    /// Fails if `model_only` is set or the kernel cannot run scenarios.
    pub fn random(self, count: u64, scenarios: Random) -> Result<VerifyReport> {
        let Verifier { runner, profile } = self;
        let Some(first) = runner else {
            return Err(Error::new(
                ErrorKind::Usage,
                "random scenarios compare the model with the kernel: they cannot run on the model alone",
            ));
        };
        let facts = first.environment().facts.clone();
        let version = profile.version;
        let mut runners = vec![first];
        let cores = thread::available_parallelism().map_or(1, usize::from);
        while runners.len() < cores {
            runners.push(Runner::new().map_err(trouble)?);
        }
        let next = Mutex::new((scenarios, 0));
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
        let mut report = VerifyReport { passed: passed.into_inner(), ..VerifyReport::default() };
        lock(&failures).drain(..).for_each(|outcome| report.add(outcome));
        Ok(report)
    }
}

/// Compares the model with the kernel, and shrinks a scenario in which they differ.
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

fn trouble(error: RunnerError) -> Error {
    let message = format!("scenarios cannot be run on this kernel: {error}");
    Error::new(ErrorKind::Lacks, message)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
