//! Code made at run time in a process without a recognised JIT runtime.

use super::runs::is_anonymous;
use super::words::file_name;
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
        for (part, label) in of_code(labeller, range, perms) {
            labeller.label(part, &label);
        }
    }
}

/// The labels of executable memory: the pages with listed functions, and then the whole of it.
fn of_code(
    labeller: &Labeller<'_>,
    range: AddressRange,
    perms: Perms,
) -> Vec<(AddressRange, Label)> {
    let because = "the process lists functions here (perf map or jitdump)";
    let label = Label::new(GROUP, Confidence::Certain, "code made at run time", because);
    let page = labeller.page_size();
    let pages = |code: &AddressRange| {
        let end = code.end.checked_next_multiple_of(page).unwrap_or(u64::MAX);
        AddressRange::new(code.start - code.start % page, end).intersect(&range)
    };
    let listed = labeller.facts.jit_code.iter().filter_map(pages).collect();
    let listed = AddressRange::joined(listed).into_iter().map(|part| (part, label.clone()));
    listed.chain([(range, of_unlisted(labeller, range, perms))]).collect()
}

/// The label of executable memory in which no function is listed.
fn of_unlisted(labeller: &Labeller<'_>, range: AddressRange, perms: Perms) -> Label {
    if perms.write() {
        // SBCL and valgrind map their heaps so, and old programs all memory (READ_IMPLIES_EXEC).
        let text = "memory that may be written and executed: code made at run time, or data";
        let because = "it may be executed, and comes from no file";
        Label::new("executable memory", Confidence::Guess, text, because)
    } else if is_data_executable(labeller) {
        let text = "memory that may be executed: code made or loaded at run time, or data";
        let because = "it comes from no file; but data of this program may be executed, too";
        Label::new("executable memory", Confidence::Guess, text, because)
    } else if let Some(file) = file_before(labeller, range) {
        let text = format!(
            "code that was made or loaded at run time, or a copy of that of {}",
            file_name(file)
        );
        let because =
            "it may be executed and not written; but it follows the only row of a file, its begin";
        Label::new(GROUP, Confidence::Guess, text, because)
    } else {
        let text = "code that was made or loaded at run time";
        let because = "it may be executed and not written, and comes from no file";
        Label::new(GROUP, Confidence::Likely, text, because)
    }
}

/// The file whose code memory may be a copy of: it follows the headers of the file, of which nothing
/// else is mapped. Wine copies sections so; a later row would show how large they are
/// ([`copied_code`](super::copied_code)).
fn file_before<'a>(labeller: &Labeller<'a>, range: AddressRange) -> Option<&'a [u8]> {
    const HEADERS: u64 = 64 << 10;
    let below = labeller.maps.find(range.start.checked_sub(1)?).mapping;
    let below = below.and_then(|at| labeller.maps.get(at))?;
    let is_start = below.kind() == Kind::File && below.offset == 0 && below.range.size() <= HEADERS;
    let is_read = below.perms.read() && !below.perms.write() && !below.perms.execute();
    let rows = labeller.maps.iter().filter(|row| row.name == below.name);
    (is_start && is_read && rows.take(2).count() == 1).then_some(below.name)
}

/// Whether the kernel makes all readable memory executable, as for old programs
/// (`READ_IMPLIES_EXEC`, personality(2)).
fn is_data_executable(labeller: &Labeller<'_>) -> bool {
    let is_data = |kind| matches!(kind, Kind::Stack | Kind::Heap);
    labeller.maps.iter().any(|row| row.perms.execute() && is_data(row.kind()))
}

/// Labels code in memory that may be shared, or is mapped twice, writable in one place and
/// executable in the other.
fn double_mappings(labeller: &mut Labeller<'_>) {
    let mut found: Vec<(AddressRange, Label)> = Vec::new();
    for row in labeller.maps.iter() {
        // PHP's buffer of code is a part of the segment that its processes share.
        if row.kind() == Kind::SharedAnonymous && row.perms.execute() {
            found.extend(of_code(labeller, row.range, row.perms));
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
            found.extend(of_code(labeller, row.range, row.perms));
            continue;
        } else {
            continue;
        };
        found.push((row.range, label));
    }
    for (range, label) in found {
        labeller.label(range, &label);
    }
}
