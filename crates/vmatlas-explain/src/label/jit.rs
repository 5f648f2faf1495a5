//! Code made at run time in a process without a recognised JIT runtime.

use super::runs::is_anonymous;
use super::{Confidence, Label, Labeller};
use vmatlas_maps::AddressRange;
use vmatlas_maps::{Kind, Perms};

const GROUP: &str = "JIT code";

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    double_mappings(labeller);
    let rows = labeller.maps.iter().filter(|row| {
        // The kernel calls memory [heap] that touches the program break.
        let is_heap = row.kind() == Kind::Heap && !row.perms.shared();
        row.perms.execute() && (is_anonymous(row) || is_heap)
    });
    let rows: Vec<(AddressRange, Perms)> = rows.map(|row| (row.range, row.perms)).collect();
    for (range, perms) in rows {
        let label = of_code(labeller, range, perms);
        labeller.label(range, &label);
    }
}

fn of_code(labeller: &Labeller<'_>, range: AddressRange, perms: Perms) -> Label {
    let is_listed = labeller.facts.jit_code.iter().any(|code| code.overlaps(&range));
    if is_listed {
        let because = "the process lists functions here (perf map or jitdump)";
        Label::new(GROUP, Confidence::Certain, "code made at run time", because)
    } else if perms.write() {
        // SBCL and valgrind map their heaps so, and old programs all memory (READ_IMPLIES_EXEC).
        let text = "memory that may be written and executed: code made at run time, or data";
        let because = "it may be executed, and comes from no file";
        Label::new("executable memory", Confidence::Guess, text, because)
    } else {
        let text = "code that was made or loaded at run time";
        let because = "it may be executed and not written, and comes from no file";
        Label::new(GROUP, Confidence::Likely, text, because)
    }
}

/// Labels code in memory that may be shared, or is mapped twice, writable in one place and
/// executable in the other.
fn double_mappings(labeller: &mut Labeller<'_>) {
    let mut found: Vec<(AddressRange, Label)> = Vec::new();
    for row in labeller.maps.iter() {
        // PHP's buffer of code is a part of the segment that its processes share.
        if row.kind() == Kind::SharedAnonymous && row.perms.execute() {
            found.push((row.range, of_code(labeller, row.range, row.perms)));
            continue;
        }
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
        } else if row.perms.execute() && !row.perms.shared() {
            // fexecve(3) and dlopen(3) of a memfd map it privately.
            let text = format!("code of the memfd {}", String::from_utf8_lossy(name));
            let because = "it is mapped privately, as the files of programs and libraries are";
            Label::new("memfd code", Confidence::Likely, text, because)
        } else if row.perms.execute() {
            of_code(labeller, row.range, row.perms)
        } else {
            continue;
        };
        found.push((row.range, label));
    }
    for (range, label) in found {
        labeller.label(range, &label);
    }
}
