//! The scenario files run on the model, for every kernel they speak of.

use std::collections::BTreeSet;
use std::fmt::Write;
use vmatlas::KernelVersion;
use vmatlas::scenario::{Fact, Model, Scenario, StepKind, VersionCondition, scenarios};
use vmatlas::space::KernelProfile;

/// Versions on which the scenario files were run, and some between.
const VERSIONS: [&str; 9] = ["5.10", "6.1", "6.6", "6.12", "6.16", "6.18", "7.1", "7.2", "7.3"];

fn holds(scenario: &Scenario, version: KernelVersion) -> bool {
    let running = (version.major, version.minor);
    scenario.kernel.iter().all(|condition: &VersionCondition| condition.holds(running))
}

/// What differs between the rows written down and those of the model.
fn difference(scenario: &Scenario, version: KernelVersion) -> Option<String> {
    let mut profile = KernelProfile::of(version);
    profile.anon_names = true;
    profile.pkeys = true;
    let mut model = Model::new(profile, scenario.region);
    for step in &scenario.steps {
        match &step.kind {
            StepKind::Operation(operation, expected) => {
                let outcome = model.apply(operation);
                if outcome != *expected {
                    return Some(format!("line {}: {operation}: {outcome:?}", step.line));
                }
            }
            StepKind::Expect(rows) => {
                let shown = model.rows();
                if shown != *rows {
                    let mut text = format!("line {}:\n", step.line);
                    shown.iter().for_each(|row| writeln!(text, "    {row}").unwrap());
                    return Some(text);
                }
            }
        }
    }
    None
}

#[test]
fn scenario_files_hold_on_the_model() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/scenarios");
    let mut failed = String::new();
    let mut run = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "scn") {
            continue;
        }
        for scenario in scenarios(&std::fs::read(&path).unwrap()) {
            let scenario = scenario.unwrap();
            for version in VERSIONS.map(|version| version.parse().unwrap()) {
                let lacks_names = scenario.needs.contains(&Fact::AnonNames)
                    && version < KernelVersion::new(5, 17, 0);
                if !holds(&scenario, version) || lacks_names {
                    continue;
                }
                run += 1;
                if let Some(difference) = difference(&scenario, version) {
                    let name = &scenario.name;
                    writeln!(failed, "{name} on {version}: {difference}").unwrap();
                }
            }
        }
    }
    assert!(failed.is_empty(), "{failed}");
    assert!(run > 500, "{run}");
    let _: BTreeSet<Fact> = BTreeSet::new();
}
