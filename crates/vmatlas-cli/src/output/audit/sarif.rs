//! Findings as SARIF 2.1.0 (OASIS, Static Analysis Results Interchange Format), as far as code
//! scanning reads it.

use serde::Serialize;
use std::io::{self, Write};
use vmatlas::audit::{Audit, Found, Group, RULES, Rule, Severity};

/// The most results of a run that GitHub accepts.
const MAX_RESULTS: usize = 25_000;
/// The characters of a URI's path that stand for themselves (RFC 3986).
const PLAIN: &[u8] = b"-._~/!$&'()*+,;=:@";

#[derive(Serialize)]
struct Log<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    tool: Tool,
    results: Vec<Result<'a>>,
    column_kind: &'static str,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: &'static str,
    semantic_version: &'static str,
    rules: Vec<Descriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    id: &'static str,
    short_description: Text,
    full_description: Text,
    help: Text,
    default_configuration: Configuration,
    properties: RuleProperties,
}

#[derive(Serialize)]
struct Text {
    text: String,
}

#[derive(Serialize)]
struct Configuration {
    level: &'static str,
}

#[derive(Serialize)]
struct RuleProperties {
    tags: [&'static str; 2],
    #[serde(rename = "security-severity")]
    security_severity: &'static str,
    precision: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Result<'a> {
    rule_id: &'static str,
    rule_index: usize,
    level: &'static str,
    message: Text,
    locations: [Location; 1],
    partial_fingerprints: Fingerprints<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suppressions: Vec<Suppression<'a>>,
    properties: ResultProperties,
}

#[derive(Serialize)]
struct Fingerprints<'a> {
    #[serde(rename = "vmatlas/v1")]
    vmatlas: &'a str,
}

#[derive(Serialize)]
struct Suppression<'a> {
    kind: &'static str,
    justification: &'a str,
}

#[derive(Serialize)]
struct ResultProperties {
    severity: &'static str,
    confidence: &'static str,
    pid: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: PhysicalLocation,
    logical_locations: [LogicalLocation; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
}

#[derive(Serialize)]
struct ArtifactLocation {
    uri: String,
}

#[derive(Serialize)]
struct LogicalLocation {
    name: String,
    kind: &'static str,
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

/// A number as of CVSS, by which code scanning sorts: above 9.0 critical, from 7.0 high.
fn number(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "3.0",
        Severity::Info => "0.0",
    }
}

impl Descriptor {
    fn of(rule: &'static Rule) -> Descriptor {
        let text = |text: &str| Text { text: text.to_owned() };
        let honest = match rule.honest {
            "" => String::new(),
            honest => format!(" Honest causes: {honest}."),
        };
        Descriptor {
            id: rule.id,
            short_description: text(rule.title),
            full_description: Text { text: format!("Found when {}.{honest}", rule.condition) },
            help: text(rule.advice),
            default_configuration: Configuration { level: level(rule.severity) },
            properties: RuleProperties {
                tags: ["security", if rule.group == Group::Audit { "policy" } else { "memory" }],
                security_severity: number(rule.severity),
                precision: "high",
            },
        }
    }
}

impl<'a> Result<'a> {
    fn of(found: &'a Found, reason: Option<&'a str>) -> Result<'a> {
        let Found { finding, process, fingerprint, .. } = found;
        let comm = String::from_utf8_lossy(&process.comm).into_owned();
        let who = if comm.is_empty() { String::new() } else { format!("{comm}: ") };
        let cause = finding.explanation.as_ref();
        let cause = cause.map(|why| format!(" Honest cause: {why}.")).unwrap_or_default();
        // The file that is mapped, otherwise the program.
        let path = [finding.subject.as_slice(), &process.exe].into_iter();
        let path = path.into_iter().find(|path| path.starts_with(b"/")).unwrap_or(b"/");
        let severity = finding.severity;
        Result {
            rule_id: finding.rule.id,
            rule_index: RULES.iter().position(|rule| rule.id == finding.rule.id).unwrap_or(0),
            level: level(severity),
            message: Text { text: format!("{who}{}.{cause}", finding.evidence) },
            locations: [Location {
                physical_location: PhysicalLocation {
                    artifact_location: ArtifactLocation { uri: uri(path) },
                },
                logical_locations: [LogicalLocation { name: comm, kind: "process" }],
            }],
            partial_fingerprints: Fingerprints { vmatlas: fingerprint },
            suppressions: reason
                .map(|justification| Suppression { kind: "external", justification })
                .into_iter()
                .collect(),
            properties: ResultProperties {
                severity: severity.word(),
                confidence: finding.confidence.word(),
                pid: process.pid,
            },
        }
    }
}

/// The URI of a path.
fn uri(path: &[u8]) -> String {
    let mut uri = "file://".to_owned();
    for byte in path {
        match byte {
            byte if byte.is_ascii_alphanumeric() || PLAIN.contains(byte) => {
                uri.push(char::from(*byte));
            }
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

/// Writes the log. Of findings with the same fingerprint the first stands for all: an alert is the
/// same whichever process has it.
pub(super) fn write(out: &mut dyn Write, audit: &Audit) -> io::Result<()> {
    let mut known = std::collections::BTreeSet::new();
    let mut results = Vec::new();
    let found = audit.findings.iter().map(|found| (found, None));
    let excused = audit.excused.iter().map(|(found, reason)| (found, Some(reason.as_str())));
    for (found, reason) in found.chain(excused) {
        if known.insert(&found.fingerprint) && results.len() < MAX_RESULTS {
            results.push(Result::of(found, reason));
        }
    }
    let driver = Driver {
        name: "vmatlas",
        semantic_version: env!("CARGO_PKG_VERSION"),
        rules: RULES.iter().map(|rule| Descriptor::of(rule)).collect(),
    };
    let log = Log {
        schema: "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        version: "2.1.0",
        runs: [Run { tool: Tool { driver }, results, column_kind: "unicodeCodePoints" }],
    };
    serde_json::to_writer_pretty(&mut *out, &log)?;
    out.write_all(b"\n")
}
