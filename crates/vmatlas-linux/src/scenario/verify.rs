//! Compares the running kernel with scenarios and with the model.

use super::environment::on_tmpfs;
use super::{RowsAfter, Runner, RunnerError};
use vmatlas_maps::KernelVersion;
use vmatlas_space::scenario::{
    Fact, Labels, Mismatch, Model, Scenario, Step, StepKind, compare, labelled,
};
use vmatlas_space::{FileKind, KernelProfile};

impl Runner {
    /// The rules of the running kernel: those of its version, with the machine's features and
    /// settings.
    pub fn profile(&self) -> KernelProfile {
        self.profile_as(self.environment().kernel.unwrap_or(KernelVersion::new(6, 18, 0)))
    }

    /// The rules of another version, with the machine's features and settings: for kernels whose
    /// version does not match their behaviour.
    pub fn profile_as(&self, version: KernelVersion) -> KernelProfile {
        let environment = self.environment();
        let has = |fact| environment.facts.contains(&fact);
        let mut profile = KernelProfile::of(version);
        profile.page_shift = environment.page_size.trailing_zeros();
        if cfg!(target_arch = "aarch64") {
            // 48-bit addresses, the configuration of distributions.
            profile.task_size = 1 << 48;
        }
        profile.thp = has(Fact::Thp);
        profile.ksm = has(Fact::Ksm);
        profile.anon_names = has(Fact::AnonNames);
        profile.pkeys = has(Fact::Pkeys);
        profile.numa = has(Fact::Numa);
        profile.swap = std::path::Path::new("/proc/swaps").exists();
        profile.overcommit_never = !has(Fact::Noreserve);
        profile.stack_guard_gap = environment.stack_guard_gap;
        profile.vsyscall = environment.vsyscall;
        if let Some(count) = environment.max_map_count {
            profile.max_map_count = usize::try_from(count).unwrap_or(usize::MAX);
        }
        profile
    }

    /// A model with these rules, with the region at `base` and the files on the file system of the
    /// scenarios' directory.
    fn model(&self, profile: &KernelProfile, scenario: &Scenario, base: u64) -> Model {
        let kind = if on_tmpfs(self.directory()) { FileKind::Tmpfs } else { FileKind::Regular };
        Model::at(profile.clone(), scenario.region, base).with_files(kind)
    }

    /// The first step whose outcome on the kernel differs from the scenario; `None` if all agree.
    ///
    /// # Errors
    /// The reason why the scenario did not complete.
    pub fn differs(&mut self, scenario: &Scenario) -> Result<Option<Mismatch>, RunnerError> {
        let run = self.run(scenario, RowsAfter::Expects)?;
        let mut labels = Labels::default();
        let differs = |(step, shown): (&Step, &super::StepRun)| match &step.kind {
            StepKind::Operation(operation, expected) => (shown.outcome != *expected)
                .then(|| Mismatch::outcome(step.line, operation, *expected, shown.outcome)),
            StepKind::Expect(rows) => {
                let shown = shown.rows.as_deref().unwrap_or_default();
                compare(rows, shown, &mut labels)
                    .err()
                    .map(|_| Mismatch::rows(step.line, rows, &labelled(shown, &labels)))
            }
        };
        Ok(scenario.steps.iter().zip(&run.steps).find_map(differs))
    }

    /// The first operation after which the kernel and a model with these rules differ: `expected`
    /// is the kernel's result, `shown` the model's. `None` if they agree.
    ///
    /// # Errors
    /// The reason why the scenario did not complete.
    pub fn differs_from_model(
        &mut self,
        scenario: &Scenario,
        profile: &KernelProfile,
    ) -> Result<Option<Mismatch>, RunnerError> {
        let run = self.run(scenario, RowsAfter::EveryStep)?;
        let mut model = self.model(profile, scenario, run.base);
        let mut labels = Labels::default();
        for (step, kernel) in scenario.steps.iter().zip(&run.steps) {
            let StepKind::Operation(operation, _) = &step.kind else { continue };
            let outcome = model.apply(operation);
            if outcome != kernel.outcome {
                let mismatch = Mismatch::outcome(step.line, operation, kernel.outcome, outcome);
                return Ok(Some(mismatch));
            }
            let (rows, shown) = (model.rows(), kernel.rows.as_deref().unwrap_or_default());
            if compare(&rows, shown, &mut labels).is_err() {
                let kernel = labelled(shown, &labels);
                return Ok(Some(Mismatch::rows(step.line, &kernel, &rows)));
            }
        }
        Ok(None)
    }

    /// The scenario with the kernel's outcomes and final rows, to be saved in a file.
    ///
    /// # Errors
    /// The reason why the scenario did not complete.
    pub fn filled_in(&mut self, scenario: &Scenario) -> Result<Scenario, RunnerError> {
        let mut filled = scenario.clone();
        filled.steps.retain(|step| matches!(step.kind, StepKind::Operation(..)));
        let run = self.run(&filled, RowsAfter::EveryStep)?;
        for (step, shown) in filled.steps.iter_mut().zip(&run.steps) {
            if let StepKind::Operation(_, outcome) = &mut step.kind {
                *outcome = shown.outcome;
            }
        }
        // Uses the model's labels where it shows the same objects.
        let mut model = self.model(&self.profile(), &filled, run.base);
        let mut labels = Labels::default();
        for (step, shown) in filled.steps.iter().zip(&run.steps) {
            if let StepKind::Operation(operation, _) = &step.kind {
                let _ = model.apply(operation);
                let _ =
                    compare(&model.rows(), shown.rows.as_deref().unwrap_or_default(), &mut labels);
            }
        }
        if let Some(rows) = run.steps.last().and_then(|step| step.rows.as_deref()) {
            let kind = StepKind::Expect(labelled(rows, &labels));
            filled.steps.push(Step { line: 0, kind });
        }
        Ok(filled)
    }
}
