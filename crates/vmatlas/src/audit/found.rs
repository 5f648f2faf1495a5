//! The result of an audit.

use super::fingerprint;
use super::process::AuditedProcess;
use crate::survey::Counts;
use std::sync::Arc;
use vmatlas_explain::audit::{Finding, Severity};
use vmatlas_linux::Limits;
use vmatlas_linux::processes::Reach;

/// How processes are audited.
#[derive(Clone, Debug, Default)]
pub struct AuditOptions {
    /// Whether to read sizes and memory: labels become certain, and changed code is compared with
    /// its file.
    pub deep: bool,
    /// What reading the files of a process may cost.
    pub limits: Limits,
}

/// A finding in a process.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Found {
    /// The finding.
    pub finding: Finding,
    /// The process.
    pub process: Arc<AuditedProcess>,
    /// The name of the finding, which is the same in every run.
    pub fingerprint: String,
}

impl Found {
    pub(super) fn new(process: &Arc<AuditedProcess>, finding: Finding) -> Found {
        let fingerprint = fingerprint::of(process, &finding);
        Found { finding, process: process.clone(), fingerprint }
    }
}

/// The result of an audit.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Audit {
    /// The findings, the most serious first; those of a rule by process.
    pub findings: Vec<Found>,
    /// The findings that exceptions of the policy excuse, each with its reason.
    pub excused: Vec<(Found, String)>,
    /// The processes, or other targets, that were audited.
    pub processes: u64,
    /// Those that were not.
    pub counts: Counts,
    /// What this process may read of others; `None` if no process was audited.
    pub reach: Option<Reach>,
}

impl Audit {
    /// Adds another audit.
    pub fn add(&mut self, other: Audit) {
        self.findings.extend(other.findings);
        self.excused.extend(other.excused);
        self.processes += other.processes;
        self.counts.kernel_threads += other.counts.kernel_threads;
        self.counts.zombies += other.counts.zombies;
        self.counts.leaders_ended += other.counts.leaders_ended;
        self.counts.gone += other.counts.gone;
        self.counts.refused.extend(other.counts.refused);
        self.counts.silent.extend(other.counts.silent);
        self.reach = self.reach.or(other.reach);
        self.sort();
    }

    /// The number of findings of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|found| found.finding.severity == severity).count()
    }

    pub(super) fn sort(&mut self) {
        let place = |found: &Found| {
            let rules = vmatlas_explain::audit::RULES;
            rules.iter().position(|rule| rule.id == found.finding.rule.id)
        };
        self.findings.sort_by(|a, b| {
            let severity = b.finding.severity.cmp(&a.finding.severity);
            let rule = || place(a).cmp(&place(b));
            let process = || a.process.pid.cmp(&b.process.pid);
            let address = || {
                let start = |found: &Found| found.finding.range.map(|range| range.start);
                start(a).cmp(&start(b))
            };
            severity.then_with(rule).then_with(process).then_with(address)
        });
    }
}
