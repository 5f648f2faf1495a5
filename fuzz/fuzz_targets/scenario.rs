//! Fuzzes scenario files: parses them, writes them again, and runs them on models of several
//! kernels.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmatlas_space::scenario::{Model, Operation, Scenario, StepKind, scenarios};
use vmatlas_space::{Advice, KernelProfile};

/// Whether the operation always leaves equal neighbours merged: see `AddressSpace::check`.
fn joins(operation: &Operation) -> bool {
    match operation {
        Operation::Unmap(_) | Operation::Protect { .. } | Operation::Unlock(_) => true,
        Operation::Map(map) => {
            let touched = map.populate || map.locked || map.growsdown || map.huge;
            !touched && map.file.is_none()
        }
        Operation::Advise(_, advice) => {
            !matches!(advice, Advice::PopulateRead | Advice::PopulateWrite | Advice::GuardInstall)
        }
        Operation::Policy(..) => true,
        _ => false,
    }
}

fuzz_target!(|text: &[u8]| vmatlas_fuzz::bounded(|| check(text)));

fn check(text: &[u8]) {
    for scenario in scenarios(text) {
        let scenario = match scenario {
            Ok(scenario) => scenario,
            Err(error) => {
                assert!(error.line >= 1 && error.column >= 1);
                assert!(!error.to_string().contains('\n'));
                continue;
            }
        };
        let written = scenario.to_string();
        let again =
            Scenario::parse_file(written.as_bytes()).expect("a written scenario can be read");
        assert_eq!(again[0].to_string(), written);
        for version in ["5.10", "6.1", "6.12", "6.18", "7.3"] {
            let mut profile = KernelProfile::of(version.parse().expect("a version"));
            profile.pkeys = true;
            // Allow few mappings, so that the limit is reached.
            profile.max_map_count = 24;
            let mut model = Model::new(profile, scenario.region);
            let mut joined = version != "5.10";
            for step in &scenario.steps {
                let StepKind::Operation(operation, _) = &step.kind else { continue };
                if matches!(operation, Operation::Read { pages, .. } | Operation::Write { pages, .. } if *pages > 4096)
                {
                    continue;
                }
                let outcome = model.apply(operation);
                // An operation that fails halfway may leave split mappings.
                joined &= joins(operation) && outcome.is_ok();
                model
                    .space()
                    .check(joined)
                    .unwrap_or_else(|broken| panic!("{version}: {operation}: {broken}"));
            }
            model.rows();
            model.space().render();
        }
    }
}
