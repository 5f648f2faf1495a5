//! The allocations of parsing and the size of a parsed map. Target: no allocation for a row that is
//! not kept, 56 bytes besides its name for a kept one.
//!
//! Counting slows every allocation, so a separate program does it: `allocations`.

use super::Scale;
use crate::report::Section;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Measures and returns the table.
pub fn run(scale: Scale, programs: &Path) -> Section {
    let rows = scale.rows(60_000);
    let mut section = Section::new(format!("memory for {rows} rows of mixed text"));
    let counted = match count(programs, rows) {
        Ok(counted) => counted,
        Err(why) => {
            section.count("allocations", &why, "", Some(false));
            return section;
        }
    };
    for program in counted.as_array().into_iter().flatten() {
        let (name, calls) = (program["name"].as_str().unwrap_or(""), &program["allocations"]);
        let ours = name.starts_with("vmatlas");
        match program["bytes"].as_f64() {
            None => {
                let none = calls.as_u64() == Some(0);
                section.count(name, &format!("{calls} allocations"), "0 allocations", Some(none));
            }
            Some(bytes) => {
                let each = bytes / rows as f64;
                let value = format!("{each:.1} bytes a row, {calls} allocations");
                let most = if name.ends_with("AddressSpace") { 160 } else { 56 };
                let target = if ours { format!("≤ {most} bytes a row") } else { String::new() };
                section.count(name, &value, &target, ours.then_some(each <= f64::from(most)));
            }
        }
    }
    section.note(
        "Bytes are those on the heap when the text is parsed, less one copy of each distinct name; \
         those of the model when 400,000 operations have split and joined its mappings.",
    );
    section
}

fn count(programs: &Path, rows: u64) -> Result<Value, String> {
    let program = programs.join("allocations");
    let output = Command::new(&program)
        .arg(rows.to_string())
        .output()
        .map_err(|error| format!("missing: {}: {error}", program.display()))?;
    serde_json::from_slice(&output.stdout).map_err(|error| {
        format!("allocations: {error}: {}", String::from_utf8_lossy(&output.stderr))
    })
}
