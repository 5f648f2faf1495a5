//! The next commands.

use super::plan::Plan;
use crate::output::style::Paint;
use std::fmt::Write as _;
use vmatlas::label::Confidence;
use vmatlas::{Atlas, SourceKind};

const OF_ITSELF: [(&str, &str); 7] = [
    ("vmatlas PID", "the map of a process, name or file"),
    ("vmatlas PID --sizes", "with resident memory"),
    ("vmatlas PID --deep", "surer labels: reads its memory"),
    ("vmatlas at PID ADDRESS", "what lies at an address"),
    ("vmatlas diff A B", "what differs between two maps"),
    ("vmatlas explain CORE", "why a program crashed: core, log"),
    ("vmatlas help", "everything else"),
];

/// Writes the suggestions above the rows, where the first screen has them.
pub(super) fn write(text: &mut String, atlas: &Atlas, plan: &Plan, paint: Paint) {
    if plan.is_default_target {
        text.push_str("\nThis is the map of vmatlas itself. Next:\n");
        for (command, answer) in OF_ITSELF {
            let line = plan
                .fit
                .end(&format!("  {command:<24} {answer}"), plan.fit.width.unwrap_or(usize::MAX));
            let _ = writeln!(text, "{line}");
        }
        return;
    }
    let target = &plan.typed;
    let mut hints: Vec<String> = Vec::new();
    let is_live = atlas.source() == SourceKind::Live;
    if is_live && !atlas.has_sizes() {
        hints.push("--sizes (memory in use)".to_owned());
    }
    let is_doubtful =
        || atlas.labels().iter().any(|part| part.label.confidence != Confidence::Certain);
    if is_live && !plan.deep && is_doubtful() {
        hints.push("--deep (surer labels)".to_owned());
    }
    if !plan.summary && plan.in_order && !plan.wide && plan.columns.is_empty() {
        hints.push("--wide (every row)".to_owned());
    }
    hints.push(format!("vmatlas at {target} ADDRESS"));
    match atlas.source() {
        SourceKind::Core => hints.push(format!("vmatlas explain {target}")),
        SourceKind::Recording | SourceKind::Log => hints.push(format!("vmatlas blame {target}")),
        _ => {}
    }
    let hints = hints.join(", ");
    for line in plan.fit.lines(&format!("Next: {hints}")) {
        let _ = writeln!(text, "{}", paint.dim(&line));
    }
}
