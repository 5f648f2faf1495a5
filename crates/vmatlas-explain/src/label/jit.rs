//! Code made at run time in a process without a recognised JIT runtime.

use super::runs::is_anonymous;
use super::{Confidence, Label, Labeller};
use vmatlas_maps::AddressRange;
use vmatlas_maps::Kind;

const GROUP: &str = "JIT code";

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    double_mappings(labeller);
    let rows = labeller.maps.iter().filter(|row| row.perms.execute() && is_anonymous(row));
    let rows: Vec<AddressRange> = rows.map(|row| row.range).collect();
    for range in rows {
        let label = of_code(labeller, range);
        labeller.label(range, &label);
    }
}

fn of_code(labeller: &Labeller<'_>, range: AddressRange) -> Label {
    let is_listed = labeller.facts.jit_code.iter().any(|code| code.overlaps(&range));
    let (confidence, because) = match is_listed {
        true => (Confidence::Certain, "the process lists functions here (perf map or jitdump)"),
        false => (Confidence::Likely, "it may be executed, and comes from no file"),
    };
    Label::new(GROUP, confidence, "code made at run time", because)
}

/// Labels memory that is mapped twice, writable in one place and executable in the other.
fn double_mappings(labeller: &mut Labeller<'_>) {
    let mut found: Vec<(AddressRange, Label)> = Vec::new();
    for row in labeller.maps.iter() {
        let Kind::Memfd { name } = row.kind() else { continue };
        // .NET maps all of its code and stubs this way (src/coreclr/minipal/Unix/doublemapping.cpp,
        // .NET 7).
        let label = if name == b"doublemapper" {
            let text = match row.perms.execute() {
                true => "code and stubs of .NET",
                false => "code and stubs of .NET, to be written or read",
            };
            let because = ".NET maps a memfd named doublemapper twice";
            Label::new(".NET code", Confidence::Certain, text, because)
        } else if row.perms.execute() {
            of_code(labeller, row.range)
        } else {
            continue;
        };
        found.push((row.range, label));
    }
    for (range, label) in found {
        labeller.label(range, &label);
    }
}
