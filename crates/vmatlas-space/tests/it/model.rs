//! Runs the scenario files on the model, for every kernel version that they cover.

use std::fmt::Write;
use vmatlas_space::KernelProfile;
use vmatlas_space::scenario::{Fact, Model, Scenario, scenarios};

/// Versions on which the scenario files were run, and some in between.
const VERSIONS: [&str; 9] = ["5.10", "6.1", "6.6", "6.12", "6.16", "6.18", "7.1", "7.2", "7.3"];

/// The difference between the expected rows and those of the model.
fn difference(scenario: &Scenario, profile: KernelProfile) -> Option<String> {
    let mut model = Model::new(profile, scenario.region);
    let mismatch = scenario.differs_on(&mut model)?;
    Some(format!(
        "line {}: expected\n{}\nshown\n{}",
        mismatch.line, mismatch.expected, mismatch.shown
    ))
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
                let mut profile = KernelProfile::of(version);
                profile.pkeys = true;
                if scenario.skipped(version, &Fact::of(&profile)).is_some() {
                    continue;
                }
                run += 1;
                if let Some(difference) = difference(&scenario, profile) {
                    let name = &scenario.name;
                    writeln!(failed, "{name} on {version}: {difference}").unwrap();
                }
            }
        }
    }
    assert!(failed.is_empty(), "{failed}");
    assert!(run > 500, "{run}");
}
