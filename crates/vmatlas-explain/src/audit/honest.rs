//! Honest causes of code that comes from no file.

use super::{AuditInput, Severity, text};
use crate::label::Confidence;
use vmatlas_maps::Mapping;
use vmatlas_maps::uapi::personality::READ_IMPLIES_EXEC;

/// The groups of labels of code that a known runtime made, see docs/labels.md.
const CODE_OF_RUNTIMES: [&str; 3] = ["V8 code", "V8 heap", "JVM code cache"];
/// Code that the process itself lists, or that no recogniser knows.
const LISTED: &str = "JIT code";
/// Memory that has the bytes of the file in whose place it lies.
const COPY: &str = "replaced file pages";

/// An honest cause.
pub(super) struct Cause {
    /// The most serious that a finding still is.
    pub(super) severity: Severity,
    /// The cause, in a sentence.
    pub(super) text: String,
}

/// Whether a runtime that vmatlas knows made the code in a row.
pub(super) fn is_known_code(input: &AuditInput<'_>, row: &Mapping<'_>) -> bool {
    input.labels.within(row.range).iter().any(|part| {
        CODE_OF_RUNTIMES.contains(&&*part.label.group) && part.label.confidence > Confidence::Guess
    })
}

/// Why a process may have code that comes from no file in a row.
pub(super) fn of_code(input: &AuditInput<'_>, row: &Mapping<'_>) -> Option<Cause> {
    by_label(input, row).or_else(|| by_maker(input)).or_else(|| by_persona(input))
}

fn by_label(input: &AuditInput<'_>, row: &Mapping<'_>) -> Option<Cause> {
    let parts = input.labels.within(row.range);
    let with = |groups: &[&str]| parts.iter().find(|part| groups.contains(&&*part.label.group));
    let known = with(&CODE_OF_RUNTIMES).map(|part| &part.label);
    if let Some(label) = known.filter(|label| label.confidence > Confidence::Guess) {
        let is_proved = label.confidence == Confidence::Certain || input.audit.is_deep;
        let severity = if is_proved { Severity::Info } else { Severity::Low };
        return Some(Cause { severity, text: format!("{}: {}", label.text, label.because) });
    }
    if let Some(part) = with(&[COPY]).filter(|part| part.label.confidence == Confidence::Certain) {
        let text = format!("{}: {}", part.label.text, part.label.because);
        return Some(Cause { severity: Severity::Info, text });
    }
    let listed = with(&[LISTED]).filter(|part| part.label.confidence == Confidence::Certain)?;
    let text = format!("{}; the list is the program's own word", listed.label.because);
    Some(Cause { severity: Severity::Low, text })
}

/// A mapped file that is known to make code. It excuses only if nobody but root could have changed
/// it.
fn by_maker(input: &AuditInput<'_>) -> Option<Cause> {
    let makers = input.audit.files.iter().filter_map(|file| {
        let maker = file.code.elf.as_ref()?.makes_code?;
        Some((maker, file))
    });
    let (maker, file) =
        makers.max_by_key(|(maker, file)| (file.code.is_of_system(), maker.is_runtime))?;
    let path = text(&file.path);
    let severity = match (file.code.is_of_system(), maker.is_runtime) {
        (true, true) if input.audit.is_deep => Severity::Info,
        (true, _) => Severity::Low,
        (false, _) => Severity::Medium,
    };
    let whose = match file.code.is_of_system() {
        true => "",
        false => ", a file that not only root can change",
    };
    let text = format!("{path}{whose} contains {}, which makes code at run time", maker.name);
    Some(Cause { severity, text })
}

/// The persona of old programs makes all readable memory executable.
pub(super) fn by_persona(input: &AuditInput<'_>) -> Option<Cause> {
    input.has_persona(READ_IMPLIES_EXEC).then(|| Cause {
        severity: Severity::Medium,
        text: "its persona READ_IMPLIES_EXEC makes all readable memory executable".to_owned(),
    })
}
