//! Findings as a document.

use crate::output::json::{Hex, Schema};
use serde::Serialize;
use vmatlas::audit::{Audit, Found, Rule, Severity};

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AuditJson {
    schema: Schema,
    /// The most serious first.
    findings: Vec<FindingJson>,
    /// The findings that the policy excuses.
    excused: Vec<ExcusedJson>,
    /// The processes, or other targets, that were audited.
    processes: u64,
    counts: CountsJson,
    /// What vmatlas may read of other users' processes: `own`, `perfmon`, `root`; absent if
    /// only files were audited.
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<&'static str>,
    /// The processes that ended while they were read.
    gone: u64,
    /// The processes that may not be read.
    refused: Vec<u32>,
    /// The processes that did not answer in time.
    silent: Vec<u32>,
    warnings: Vec<String>,
}

/// The number of findings by severity.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct CountsJson {
    critical: usize,
    high: usize,
    medium: usize,
    low: usize,
    info: usize,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct FindingJson {
    rule: &'static str,
    /// `info`, `low`, `medium`, `high`, `critical`.
    severity: &'static str,
    /// `guess`, `likely`, `certain`.
    confidence: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    comm: String,
    /// The path of the executable.
    #[serde(skip_serializing_if = "Option::is_none")]
    exe: Option<String>,
    /// The build ID of the executable.
    #[serde(skip_serializing_if = "Option::is_none")]
    build_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    /// The addresses, if it is about a mapping.
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Hex>,
    /// What it is about, without addresses: the path of a file, or what the memory is for.
    subject: String,
    evidence: String,
    /// The honest cause that fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<String>,
    advice: &'static str,
    /// The name of the finding, the same in every run.
    fingerprint: String,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ExcusedJson {
    finding: FindingJson,
    reason: String,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl FindingJson {
    fn of(found: &Found) -> FindingJson {
        let Found { finding, process, fingerprint, .. } = found;
        FindingJson {
            rule: finding.rule.id,
            severity: finding.severity.word(),
            confidence: finding.confidence.word(),
            pid: process.pid,
            comm: text(&process.comm),
            exe: Some(text(&process.exe)).filter(|exe| !exe.is_empty()),
            build_id: process.build_id.clone(),
            uid: process.uid,
            start: finding.range.map(|range| Hex(range.start)),
            end: finding.range.map(|range| Hex(range.end)),
            subject: text(&finding.subject),
            evidence: finding.evidence.clone(),
            explanation: finding.explanation.clone(),
            advice: finding.rule.advice,
            fingerprint: fingerprint.clone(),
        }
    }
}

impl AuditJson {
    pub(super) fn of(audit: &Audit, warnings: Vec<String>) -> AuditJson {
        let excused = |(found, reason): &(Found, String)| ExcusedJson {
            finding: FindingJson::of(found),
            reason: reason.clone(),
        };
        AuditJson {
            schema: Schema,
            findings: audit.findings.iter().map(FindingJson::of).collect(),
            excused: audit.excused.iter().map(excused).collect(),
            processes: audit.processes,
            counts: CountsJson {
                critical: audit.count(Severity::Critical),
                high: audit.count(Severity::High),
                medium: audit.count(Severity::Medium),
                low: audit.count(Severity::Low),
                info: audit.count(Severity::Info),
            },
            tier: audit.reach.map(vmatlas::Reach::word),
            gone: audit.counts.gone,
            refused: audit.counts.refused.iter().map(|refused| refused.pid).collect(),
            silent: audit.counts.silent.clone(),
            warnings,
        }
    }
}

/// A rule.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RuleJson {
    schema: Schema,
    rule: &'static str,
    group: &'static str,
    /// Its severity if no honest cause fits.
    severity: &'static str,
    title: &'static str,
    condition: &'static str,
    honest: &'static str,
    advice: &'static str,
}

impl RuleJson {
    pub(super) fn of(rule: &'static Rule) -> RuleJson {
        RuleJson {
            schema: Schema,
            rule: rule.id,
            group: rule.group.title(),
            severity: rule.severity.word(),
            title: rule.title,
            condition: rule.condition,
            honest: rule.honest,
            advice: rule.advice,
        }
    }
}
