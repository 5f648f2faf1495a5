//! Writes a policy from an audit that was looked at and is good.

use super::found::{Audit, Found};
use super::policy_date::Date;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use vmatlas_explain::audit::Severity;

/// How long a learned exception is valid, in days.
const DAYS: u64 = 90;

/// A policy that excuses each finding above info, for 90 days. The reasons are the evidence: whoever
/// keeps the policy should replace them.
pub fn learned_policy(audit: &Audit) -> String {
    let (today, until) = (Date::today(), Date::in_days(DAYS));
    let mut text = format!(
        "# Learned by `vmatlas audit --learn` on {today}. Each exception needs a reason of yours, and\n\
         # ends on its last day.\n"
    );
    let mut known = BTreeSet::new();
    let findings = audit.findings.iter().filter(|found| found.finding.severity > Severity::Info);
    for found in findings {
        let Found { finding, process, fingerprint } = found;
        if finding.rule.id == "expired-exception" || !known.insert(fingerprint) {
            continue;
        }
        let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let _ = writeln!(text, "\n[[allow]]\nrule = {}", quoted(finding.rule.id));
        // A name of other bytes is known by the fingerprint only.
        let (exe, subject) =
            (std::str::from_utf8(&process.exe), std::str::from_utf8(&finding.subject));
        if let Ok(exe) = exe
            && !exe.is_empty()
            && !exe.contains(['*', '?'])
        {
            let _ = writeln!(text, "exe = {}", quoted(exe));
        }
        match subject {
            Ok(subject) if !subject.contains(['*', '?']) => {
                let _ = writeln!(text, "subject = {}", quoted(subject));
            }
            _ => {
                let _ = writeln!(text, "fingerprint = {}", quoted(fingerprint));
            }
        }
        let reason = format!("learned on {today}: {}", name(finding.evidence.as_bytes()));
        let _ = writeln!(text, "reason = {}\nuntil = {until}", quoted(&reason));
    }
    text
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            character if character.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}
