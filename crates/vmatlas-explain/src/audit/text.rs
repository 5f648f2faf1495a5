//! Rules about code that was changed in memory: `dirty-text`, `text-differs`.

use super::anonymous::size;
use super::{AuditInput, ChangedPages, Comparison, Finding, Severity, rules, text};
use crate::label::Confidence;
use vmatlas_maps::Mapping;

pub(super) fn find(input: &AuditInput<'_>, found: &mut Vec<Finding>) {
    for pages in input.audit.changed_pages.chunk_by(|a, b| a.row == b.row) {
        let Some(row) = pages.first().and_then(|pages| input.maps.get(pages.row)) else { continue };
        found.push(of_row(input, pages[0].row, &row, pages).at(row.range));
    }
}

fn of_row(
    input: &AuditInput<'_>,
    index: usize,
    row: &Mapping<'_>,
    pages: &[ChangedPages],
) -> Finding {
    let bytes = pages.iter().map(|pages| pages.bytes).sum();
    let name = text(row.name);
    let differences: Vec<&Comparison> =
        pages.iter().filter_map(|pages| pages.difference.as_ref()).collect();
    let differing = differences.iter().filter_map(|comparison| match comparison {
        Comparison::Equal => None,
        Comparison::Differs { address, memory, file, count, are_breakpoints } => {
            Some((*address, memory, file, *count, *are_breakpoints))
        }
    });
    let is_compared = differences.len() == pages.len();
    let elf = input.file(index).and_then(|file| file.code.elf.as_ref());
    let relocates = elf.is_some_and(|elf| elf.relocates_text);
    let has_uprobes = input.rows().any(|(_, row)| row.name == b"[uprobes]");
    let honest = |are_breakpoints: bool| {
        if relocates {
            Some("the file has text relocations (DT_TEXTREL), which change its code".to_owned())
        } else if let Some(tracer) = input.audit.tracer.as_ref().filter(|_| are_breakpoints) {
            let exe = text(&tracer.exe);
            Some(format!("process {} ({exe}) traces it and may set breakpoints", tracer.pid))
        } else if has_uprobes && are_breakpoints {
            Some("the kernel has set uprobes in it ([uprobes])".to_owned())
        } else {
            None
        }
    };
    let all: Vec<_> = differing.collect();
    if let Some((address, memory, file, ..)) = all.first() {
        let offset = row.offset_of(*address);
        let count: u64 = all.iter().map(|found| found.3).sum();
        let evidence = format!(
            "{count} bytes of {name} differ from the file, first at offset {offset:#x}: {} instead of {}",
            hex(memory),
            hex(file)
        );
        let finding = Finding::new(&rules::TEXT_DIFFERS, Confidence::Certain, row.name, evidence);
        return match honest(all.iter().all(|found| found.4)) {
            Some(why) => finding.explained(Severity::Low, why),
            None => finding,
        };
    }
    let evidence = format!("{} of {name} are no longer the pages of the file", size(bytes));
    let finding = Finding::new(&rules::DIRTY_TEXT, Confidence::Certain, row.name, evidence);
    if is_compared && !differences.is_empty() {
        return finding.explained(Severity::Info, "their bytes are still those of the file");
    }
    match honest(true) {
        Some(why) => finding.explained(Severity::Low, why),
        None => finding,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
